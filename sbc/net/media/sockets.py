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

import select
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from gevent import get_hub, monkey

from sbc.media.relay import Port, packet
from sbc.media.srtp import MAX_PACKET
from sbc.net.system.sockets import normal_host

_EPOLLIN = 1
#: Seconds between two looks while packets come, and after this many looks in vain.
_BUSY, _QUIET, _PATIENCE = 0.002, 0.01, 100
#: Datagrams in one look, so that a flood cannot keep the hub from its other work.
_BATCH = 256

_epoll: Callable[[], Any] = (
    monkey.get_original("select", "epoll") if monkey.is_module_patched("select") else select.epoll
)


class MediaSocket:
    """A bound UDP socket of ours; ``port`` is what it serves, None while it rests between two calls.

    Where it takes ``both`` families an IPv4 peer has its IPv4 address on our side of it.
    """

    __slots__ = ("fd", "port", "recvfrom", "sendto", "socket")

    def __init__(self, socket: Any, both: bool = False) -> None:
        self.socket = socket
        self.fd: int = socket.fileno()
        self.recvfrom: Callable[[int], Any] = partial(_receive, socket.recvfrom) if both else socket.recvfrom
        self.sendto: Callable[[bytes, Any], Any] = partial(_send_to, socket.sendto) if both else socket.sendto
        self.port: Port | None = None

    def serve(self, port: Port) -> None:
        """From now on relay what arrives as arrived on ``port``, and send from here."""
        self.port = port
        port.channel = self.sendto

    def rest(self) -> None:
        """From now on throw away what arrives, and send nothing."""
        port, self.port = self.port, None
        if port is not None:
            port.channel = None


def _receive(receive: Callable[[int], Any], size: int) -> tuple[bytes, Any]:
    data, source = receive(size)
    host = normal_host(source[0])
    return data, source if ":" in host else (host, source[1])


def _send_to(send: Callable[[bytes, Any], Any], data: bytes, target: Any) -> Any:
    return send(data, target if ":" in target[0] else (f"::ffff:{target[0]}", target[1]))


class Poller:
    """Relays what arrives on the sockets that were added; it sleeps while there are none.

    Resting sockets stay in the set and are read like all others: that costs no system call a call,
    and neither can late packets of a former call reach the next nor a stranger's fill the queues.
    ``clock`` returns seconds; it is read once for each look.
    """

    __slots__ = ("_busy", "_clock", "_epoll", "_quiet", "_sockets", "_vain")

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._epoll = _epoll()
        self._sockets: dict[int, MediaSocket] = {}
        self._vain = 0
        loop = get_hub().loop
        self._busy = loop.timer(_BUSY, _BUSY)
        self._quiet = loop.timer(_QUIET, _QUIET)

    def add(self, socket: MediaSocket) -> None:
        """Read ``socket`` from now on."""
        self._epoll.register(socket.fd, _EPOLLIN)
        if not self._sockets:
            self._vain = 0
            self._busy.start(self._look)
        self._sockets[socket.fd] = socket

    def remove(self, socket: MediaSocket) -> None:
        """Forget ``socket``, which is about to be closed."""
        socket.rest()
        del self._sockets[socket.fd]
        self._epoll.unregister(socket.fd)
        if not self._sockets:
            self._busy.stop()
            self._quiet.stop()

    def close(self) -> None:
        """Stop for good; the sockets are their owner's to close."""
        for timer in (self._busy, self._quiet):
            timer.stop()
            timer.close()
        self._epoll.close()
        self._sockets.clear()

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
        sockets, poll, done = self._sockets, self._epoll.poll, 0
        now = self._clock()
        while done < _BATCH:
            events = poll(0, _BATCH)
            if not events:
                break
            for fd, _ in events:
                socket = sockets[fd]
                try:
                    data, source = socket.recvfrom(MAX_PACKET)
                except OSError:  # the ICMP error of an earlier send
                    continue
                port = socket.port
                if port is None:
                    continue
                sent = packet(port, data, source, now)
                if sent is None:
                    continue
                try:
                    sent[0].channel(sent[1], sent[2])
                except OSError:
                    port.leg.refuse("not sent")
                except TypeError:
                    if sent[0].channel is not None:
                        raise
                    port.leg.refuse("no socket")
            done += len(events)
        return done
