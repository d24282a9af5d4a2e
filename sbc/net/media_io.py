"""The sockets of the media plane, behind four verbs: offer, answer, delete, query.

One non-blocking UDP socket for RTP and one for RTCP on each leg of each stream, without a
greenlet: the hub's event loop calls straight into the relay when a datagram is there. A greenlet
for each socket would cost a switch for each packet and a stack for each socket. The price is
that nothing on this path may block or switch, and nothing does: the relay is pure, and a send
that would block is a lost packet, as it would be on any full queue.

One datagram is read for each readiness event. At the rates of speech a second read would nearly
always find nothing, and finding nothing costs as much as receiving; when there is more, the loop
comes back at once.
"""

from __future__ import annotations

import _socket
from collections.abc import Callable
from typing import Any

from gevent import get_hub

from sbc.base import LocalError, PeerError
from sbc.config.model import MediaConfig
from sbc.ids import Ids
from sbc.media.policy import MediaPolicy
from sbc.media.ports import PortPool
from sbc.media.relay import Port, Tap, packet
from sbc.media.session import MediaSession
from sbc.media.srtp import MAX_PACKET
from sbc.media.stats import MediaStats
from sbc.media.terms import Endpoint

_READ = 1


class _Socket:
    """A bound UDP socket and, once it is attached to a relay port, its watcher."""

    __slots__ = ("socket", "watcher")

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        self.watcher: Any = None

    def attach(self, port: Port) -> None:
        port.channel = self.socket.sendto
        self.watcher = get_hub().loop.io(self.socket.fileno(), _READ)
        self.watcher.start(_receive, self.socket.recvfrom, port)

    def close(self) -> None:
        if self.watcher is not None:
            self.watcher.stop()
            self.watcher.close()
            self.watcher = None
        self.socket.close()


def _receive(recvfrom: Callable[[int], tuple[bytes, Any]], port: Port) -> None:
    """Relay one datagram; runs in the hub, so it must neither block nor raise."""
    try:
        data, source = recvfrom(MAX_PACKET)
    except OSError:  # nothing there, or the ICMP error of an earlier send
        return
    sent = packet(port, data, source)
    if sent is not None:
        try:
            sent[0].channel(sent[1], sent[2])
        except (OSError, TypeError):  # TypeError: the RTCP socket is closed, RTCP is multiplexed
            port.leg.refuse("not sent")


class _BoundPorts:
    """Takes pairs from the pool and binds them; a port that somebody else holds is passed over."""

    def __init__(self, config: MediaConfig) -> None:
        self._pool = PortPool(config.ports)
        self._host = config.address
        self._family = _socket.AF_INET6 if ":" in config.address else _socket.AF_INET
        self.sockets: dict[int, _Socket] = {}

    def take(self) -> int:
        """Return the even port of a pair that is now bound; LocalError when none can be."""
        for _ in range(len(self._pool)):
            port = self._pool.take()
            if self._bind(port):
                return port
            self._pool.give(port)
        raise LocalError(
            f"no media port of {self._pool.text} can be bound on {self._host}: "
            "widen media.ports or correct media.address in sbc.yaml"
        )

    def give(self, port: int) -> None:
        """Close both sockets of a pair and return it to the pool."""
        self.sockets.pop(port).close()
        self.close(port + 1)
        self._pool.give(port)

    def close(self, port: int) -> None:
        """Close the socket of ``port`` where it is open."""
        socket = self.sockets.pop(port, None)
        if socket is not None:
            socket.close()

    def _bind(self, port: int) -> bool:
        return self.open(port) and (self.open(port + 1) or self.close(port) or False)

    def open(self, port: int) -> bool:
        """Bind ``port``; False when it is taken or the address is not ours."""
        socket = _socket.socket(self._family, _socket.SOCK_DGRAM)
        try:
            socket.setblocking(False)
            socket.bind((self._host, port))
        except OSError:
            socket.close()
            return False
        self.sockets[port] = _Socket(socket)
        return True

    def free(self) -> int:
        """Return the number of free pairs."""
        return len(self._pool)


class MediaIO:
    """All media of this process. ``clock`` returns seconds; it is read for each verb, not for packets."""

    def __init__(self, config: MediaConfig, ids: Ids, clock: Callable[[], float]) -> None:
        self._timeout = config.timeout
        self._address = config.advertise or config.address
        self._ids = ids
        self._clock = clock
        self._ports = _BoundPorts(config)
        self._sessions: dict[str, MediaSession] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def offer(
        self, call: str, side: str, sdp: bytes, ours: MediaPolicy, theirs: MediaPolicy, restart: bool = False
    ) -> bytes:
        """Turn an offer from ``side`` into ours to the other side; see MediaSession.offer.

        ``restart``: the offer goes to another peer than before (failover), which gets new keys.
        """
        session = self._sessions.get(call)
        new = session is None
        if session is None:
            session = MediaSession(call, self._address, self._ids, self._ports)
        try:
            ours_to_them = session.offer(side, sdp, ours, theirs, self._clock(), restart)
        except (PeerError, LocalError):
            if not new:
                self._attach(session)
            raise
        self._sessions[call] = session
        self._attach(session)
        return ours_to_them

    def answer(self, call: str, side: str, sdp: bytes) -> bytes:
        """Turn an answer from ``side`` into ours to the side that offered; see MediaSession.answer."""
        session = self._sessions.get(call)
        if session is None:
            raise PeerError("an answer came without an offer", 488)
        answer = session.answer(side, sdp, self._clock())
        self._attach(session)
        return answer

    def rollback(self, call: str) -> None:
        """Return to the media from before the call's last offer, which was refused."""
        session = self._sessions.get(call)
        if session is not None:
            session.rollback()
            self._attach(session)

    def delete(self, call: str) -> MediaStats:
        """Close the call's media and return its counters; empty for a call without media."""
        session = self._sessions.pop(call, None)
        return MediaStats() if session is None else session.close()

    def query(self, call: str) -> MediaStats:
        """Return the call's counters as they are now; empty for a call without media."""
        session = self._sessions.get(call)
        return MediaStats() if session is None else session.stats()

    def idle(self, now: float) -> list[str]:
        """Return the answered calls without a packet for ``media.timeout`` seconds; held calls are not.

        It compares counters with its last call, so its resolution is how often it is called.
        """
        return [call for call, session in self._sessions.items() if session.silent_for(now) >= self._timeout]

    def tap(self, call: str, tap: Tap | None) -> None:
        """Show the call's decoded packets to ``tap(side, packet)``, which must not block or raise."""
        session = self._sessions.get(call)
        if session is not None:
            session.set_tap(tap)

    def free_ports(self) -> int:
        """Return how many pairs of ports are free."""
        return self._ports.free()

    def close(self) -> None:
        """Delete every call."""
        for call in list(self._sessions):
            self.delete(call)

    def _attach(self, session: MediaSession) -> None:
        """Open what the legs need now: RTCP has no socket of its own where it is multiplexed."""
        for stream in session.streams:
            for end in stream.ends.values():
                if end.local:
                    self._attach_end(end)

    def _attach_end(self, end: Endpoint) -> None:
        sockets, leg, port = self._ports.sockets, end.leg, end.local
        rtp = sockets[port]
        if rtp.watcher is None:
            rtp.attach(leg.port_rtp)
        if leg.agreed and leg.mux:
            leg.port_rtcp.channel = None
            self._ports.close(port + 1)
        elif port + 1 in sockets or self._ports.open(port + 1):
            if sockets[port + 1].watcher is None:
                sockets[port + 1].attach(leg.port_rtcp)
