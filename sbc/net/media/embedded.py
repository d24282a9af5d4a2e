"""The media plane behind four verbs: offer, answer, delete, query (and rollback of an offer).

They are the verbs of rtpengine's ng protocol, so that media can move to another process, or to
rtpengine itself, without a change in the call control. Here each verb is a plain call into the
pure session, followed by opening or closing what sockets the session then needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sbc.base import LocalError, PeerError
from sbc.config.model import Listener, MediaConfig
from sbc.ids import Ids
from sbc.media.policy import MediaPolicy
from sbc.media.ports import PortPool
from sbc.media.relay import Tap
from sbc.media.session import MediaSession
from sbc.media.stats import MediaStats
from sbc.net.media.ports import BoundPorts
from sbc.net.media.sockets import Poller
from sbc.net.system.sockets import normal_host


class MediaIO:
    """All media of this process. ``clock`` returns seconds; it is read for each verb, not for each packet.

    ``listeners`` returns where signalling arrives, to which no media is sent.
    """

    def __init__(
        self, config: MediaConfig, ids: Ids, clock: Callable[[], float],
        listeners: Callable[[], Iterable[Listener]] = tuple,
    ) -> None:  # fmt: skip
        self._timeout = config.timeout
        self._bound = normal_host(config.address)
        self._address = config.advertise or self._bound
        self._ids = ids
        self._clock = clock
        self._poller = Poller(clock)
        self._pool = PortPool(config.ports)
        self._ports = BoundPorts(
            self._bound, self._pool, self._poller, clock, config.advertise or "", listeners
        )
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
            session = MediaSession(call, self._address, self._ids, self._ports, self._bound)
            self._sessions[call] = session
        try:
            ours_to_them = session.offer(side, sdp, ours, theirs, self._clock(), restart)
        except (PeerError, LocalError):
            if new:
                del self._sessions[call]
            else:
                self._attach(session)
            raise
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
        session = self._sessions.get(call)
        if session is None:
            return MediaStats()
        stats = session.close()
        del self._sessions[call]
        return stats

    def query(self, call: str) -> MediaStats:
        """Return the call's counters as they are now; empty for a call without media."""
        session = self._sessions.get(call)
        return MediaStats() if session is None else session.stats()

    def idle(self, now: float) -> list[str]:
        """Return the answered calls without a packet for ``media.timeout`` seconds; held calls are not.

        It compares counters with its last call, so its resolution is how often it is called. It also
        closes the ports that have not been needed for a while.
        """
        self._ports.trim(now)
        return [call for call, session in self._sessions.items() if session.silent_for(now) >= self._timeout]

    def tap(self, call: str, tap: Tap | None) -> None:
        """Show the call's decoded packets to ``tap(side, packet)``, which must not block or raise."""
        session = self._sessions.get(call)
        if session is not None:
            session.set_tap(tap)

    def mark(self, dscp: int) -> None:
        """Send RTP and RTCP with this DSCP from now on, that of running calls too; OSError."""
        self._ports.mark(dscp)

    def free_ports(self) -> int:
        """Return how many pairs of ports are free."""
        return len(self._ports)

    def held_ports(self, trunk: str) -> int:
        """Return how many pairs of ports the calls have that came in on ``trunk``."""
        return self._pool.held(trunk)

    def close(self) -> None:
        """Delete every call and stop for good."""
        for call in list(self._sessions):
            self.delete(call)
        self._ports.close()
        self._poller.close()

    def _attach(self, session: MediaSession) -> None:
        """Open what the legs need now: RTCP has no socket of its own where it is multiplexed."""
        for stream in session.streams:
            for end in stream.ends.values():
                leg = end.leg
                if not end.local:
                    continue
                self._ports.serve(end.local, leg.port_rtp)
                if leg.agreed and leg.mux:
                    self._ports.retire(end.local + 1)
                else:
                    self._ports.serve(end.local + 1, leg.port_rtcp)
