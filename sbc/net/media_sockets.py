"""The UDP sockets of the media plane and the one poller that reads them all.

No greenlet and no watcher for each socket: all media sockets are in an epoll set of their own,
and the hub looks into it by a timer, every two milliseconds, and relays all that has come. This runs
in the hub, so nothing on this path may block or switch; nothing does, the relay is pure and a
send that would block is a lost packet, as on any full queue.

Being woken for each packet would cost as much again as relaying it, and a greenlet's switch
comes on top. Watching the epoll set itself, to be woken once, was measured too: the kernel walks
the whole set whenever such a watch begins. The timer costs one or two percent of a core,
and a packet waits three milliseconds at most, of the twenty between two. When nothing comes
for a while the looks become rare, and while no call has media there are none.
"""

from __future__ import annotations

import _socket
import select
from collections.abc import Callable
from errno import EACCES, EADDRINUSE
from typing import Any

from gevent import get_hub, monkey

from sbc.base import LocalError
from sbc.media.ports import PortPool
from sbc.media.relay import Port, packet
from sbc.media.srtp import MAX_PACKET

_EPOLLIN = 1
#: Seconds between two looks while packets come, and after this many looks in vain.
_BUSY, _QUIET, _PATIENCE = 0.002, 0.01, 100
#: Datagrams in one look, so that a flood cannot keep the hub from its other work.
_BATCH = 256

_epoll: Callable[[], Any] = (
    monkey.get_original("select", "epoll") if monkey.is_module_patched("select") else select.epoll
)


class Poller:
    """Relays what arrives on the sockets that were added; it sleeps while there are none."""

    __slots__ = ("_busy", "_epoll", "_ports", "_quiet", "_vain")

    def __init__(self) -> None:
        self._epoll = _epoll()
        self._ports: dict[int, tuple[Callable[[int], Any], Port]] = {}
        self._vain = 0
        loop = get_hub().loop
        self._busy = loop.timer(_BUSY, _BUSY)
        self._quiet = loop.timer(_QUIET, _QUIET)

    def add(self, socket: Any, port: Port) -> None:
        """Relay what arrives on ``socket`` as arrived on ``port``, and send from it."""
        port.channel = socket.sendto
        fd = socket.fileno()
        if not self._ports:
            self._vain = 0
            self._busy.start(self._look)
        self._ports[fd] = (socket.recvfrom, port)
        self._epoll.register(fd, _EPOLLIN)

    def remove(self, socket: Any) -> None:
        """Forget ``socket``, which is about to be closed."""
        found = self._ports.pop(socket.fileno(), None)
        if found is None:
            return
        found[1].channel = None
        self._epoll.unregister(socket.fileno())
        if not self._ports:
            self._busy.stop()
            self._quiet.stop()

    def close(self) -> None:
        """Stop for good; the sockets are their owner's to close."""
        for timer in (self._busy, self._quiet):
            timer.stop()
            timer.close()
        self._epoll.close()
        self._ports.clear()

    def _look(self) -> None:
        if self._drain():
            if self._vain >= _PATIENCE:
                self._quiet.stop()
                self._busy.start(self._look)
            self._vain = 0
            return
        self._vain += 1
        if self._vain == _PATIENCE:
            self._busy.stop()
            self._quiet.start(self._look)

    def _drain(self) -> int:
        """Relay up to a batch, one datagram of a socket at a time; returns how many there were."""
        ports, poll, done = self._ports, self._epoll.poll, 0
        while done < _BATCH:
            events = poll(0, _BATCH)
            if not events:
                break
            for fd, _ in events:
                recvfrom, port = ports[fd]
                try:
                    data, source = recvfrom(MAX_PACKET)
                except OSError:  # the ICMP error of an earlier send
                    continue
                sent = packet(port, data, source)
                if sent is not None:
                    _send(port, sent)
            done += len(events)
        return done


def _send(port: Port, sent: tuple[Port, bytes, Any]) -> None:
    try:
        sent[0].channel(sent[1], sent[2])
    except OSError:
        port.leg.refuse("not sent")
    except TypeError:
        if sent[0].channel is not None:
            raise
        port.leg.refuse("no socket")


class BoundPorts:
    """Takes pairs from the pool and binds them; a port that somebody else holds is passed over."""

    __slots__ = ("_family", "_host", "_poller", "_pool", "_sockets")

    def __init__(self, host: str, pool: PortPool, poller: Poller) -> None:
        self._host = host
        self._pool = pool
        self._poller = poller
        self._family = _socket.AF_INET6 if ":" in host else _socket.AF_INET
        self._sockets: dict[int, Any] = {}

    def take(self) -> int:
        """Return the even port of a pair that is now bound; LocalError when none can be."""
        for _ in range(max(1, len(self._pool))):
            port = self._pool.take()
            try:
                if self._bind(port):
                    return port
            except OSError as error:
                self._pool.give(port)
                raise LocalError(f"no media port can be opened on {self._host}: {error}") from error
            self._pool.give(port)
        raise LocalError(f"others hold all media ports of {self._pool.text}: widen media.ports in sbc.yaml")

    def give(self, port: int) -> None:
        """Close both sockets of a pair and return it to the pool."""
        self._close(port)
        self._close(port + 1)
        self._pool.give(port)

    def serve(self, port: int, relay: Port) -> None:
        """See to it that ``relay`` receives and sends on ``port``; without a free port it does not."""
        if relay.channel is not None:
            return
        try:
            found = port in self._sockets or self._open(port)
        except OSError:
            found = False
        if found:
            self._poller.add(self._sockets[port], relay)

    def retire(self, port: int) -> None:
        """Close ``port`` of a pair that stays taken: RTCP is multiplexed on the other."""
        self._close(port)

    def _bind(self, port: int) -> bool:
        try:
            if self._open(port) and self._open(port + 1):
                return True
        except OSError:
            self._close(port)
            raise
        self._close(port)
        return False

    def _open(self, port: int) -> bool:
        """Bind ``port``; False when somebody else holds it, OSError for what no other port would cure."""
        socket = _socket.socket(self._family, _socket.SOCK_DGRAM)
        try:
            socket.setblocking(False)
            socket.bind((self._host, port))
        except OSError as error:
            socket.close()
            if error.errno in (EADDRINUSE, EACCES):
                return False
            raise
        self._sockets[port] = socket
        return True

    def _close(self, port: int) -> None:
        socket = self._sockets.pop(port, None)
        if socket is not None:
            self._poller.remove(socket)
            socket.close()
