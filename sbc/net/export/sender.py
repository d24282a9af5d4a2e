"""What is told to one collector: a bounded queue, and a greenlet that carries it there.

Whoever has something to tell puts it down and goes on. Over UDP each item is a datagram; over TCP and TLS
items follow one another, each with its own length in it. A connection that cannot be had or breaks is tried
again, at first after a second and then ever more seldom; meanwhile items wait, up to a bound, and what comes
then is dropped and counted. That a collector is gone is said once, and again when it is back, with what was
lost.

What was just written when a connection broke is written again on the next: a collector may have it twice.
"""

from __future__ import annotations

import errno
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Final

import gevent
from gevent import socket, ssl
from gevent.event import Event

from sbc.base import Address
from sbc.config.collect import Collector
from sbc.net.system.resolver import ResolveFailed, resolve
from sbc.net.system.sockets import family_of, reach, tune
from sbc.net.system.trust import context_of
from sbc.net.system.turn import Turn
from sbc.observe.edge_views import ExportView
from sbc.observe.journal import Level
from sbc.observe.tap import Seen

#: What waits at most, in items and in octets.
MOST: Final = 10_000
MOST_OCTETS: Final = 16 << 20
# Octets of a connection that are written together.
_TOGETHER: Final = 65536
# Seconds: to connect; for a collector that does not read; until the next try, at first and at most; to leave.
CONNECT_WITHIN: Final = 5.0
WRITE_WITHIN: Final = 10.0
RETRY: Final = 1.0
RETRY_MOST: Final = 30.0
LEAVE_WITHIN: Final = 2.0
# Seconds: until the name of a UDP collector is looked up again; until what refuses us has said so.
_LOOK_AGAIN: Final = 60.0
_SOON: Final = 0.02

Say = Callable[[Level, str, str], object]


class Sender:
    """A callable that takes one item; ``say`` hears level, event and text of what the collector does.

    ``encode`` makes octets of an item when it is sent, and not when it is taken.
    """

    def __init__(
        self, name: str, collector: Collector, say: Say, encode: Callable[[Any], bytes] = bytes
    ) -> None:
        self._encode = encode
        self._name = name
        self.collector = collector
        self._say = say
        self._waiting: deque[tuple[Any, int]] = deque()
        self._octets = 0
        self._some = Event()
        self._empty = Event()
        self._empty.set()
        self._sent = self._dropped = self._dropped_before = 0
        self._problem = ""
        self._delay = RETRY
        self._context = context_of(collector) if collector.to.way == "tls" else None
        self._worker = gevent.spawn(self._datagrams if collector.to.way == "udp" else self._stream)

    def __call__(self, item: bytes | Seen) -> None:
        """Take one item; it is dropped where too many wait."""
        size = len(item if isinstance(item, bytes) else item.octets)
        if len(self._waiting) >= MOST or self._octets + size > MOST_OCTETS:
            self._dropped += 1
            return
        self._waiting.append((item, size))
        self._octets += size
        if not self._some.is_set():
            self._empty.clear()
            self._some.set()

    def view(self) -> ExportView:
        """What waits, what was sent and dropped, and why nothing gets through, as it is now."""
        to = str(self.collector.to)
        return ExportView(self._name, to, len(self._waiting), self._sent, self._dropped, self._problem)

    def close(self) -> None:
        """Send what waits, unless that takes too long, and stop."""
        if not self._problem:
            self._empty.wait(LEAVE_WITHIN)
        self._worker.kill()

    # The queue

    def _take(self, most: int) -> list[Any]:
        """The next items, together about ``most`` octets or one that is longer; none are forgotten yet."""
        found: list[Any] = []
        total = 0
        for item, size in self._waiting:
            total += size
            if found and total > most:
                break
            found.append(item)
        return found

    def _forget(self, count: int, sent: bool = True) -> None:
        for _ in range(count):
            self._octets -= self._waiting.popleft()[1]
        if sent:
            self._sent += count
        else:
            self._dropped += count
        if not self._waiting:
            self._some.clear()
            self._empty.set()

    # UDP

    def _datagrams(self) -> None:
        """The body of the greenlet over UDP."""
        turn, sock, looked = Turn(), None, 0.0
        while True:
            self._some.wait()
            try:
                if sock is None or time.monotonic() - looked > _LOOK_AGAIN:
                    sock, looked = self._datagram_socket(sock), time.monotonic()
                self._send(sock)
                turn.share()
            except (OSError, ResolveFailed) as error:
                if getattr(error, "errno", 0) == errno.EMSGSIZE:
                    self._forget(1, sent=False)
                    continue
                self._lost(_why(error))
                gevent.sleep(RETRY)

    def _send(self, sock: Any) -> None:
        """Send the next item; OSError, also where the one before was refused."""
        try:
            sock.send(self._encode(self._waiting[0][0]))
        except ConnectionRefusedError:
            if not self._problem:  # that was said of the one before, which is gone
                self._sent -= 1
                self._dropped += 1
            raise
        if self._problem:
            gevent.sleep(_SOON)
            refused = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if refused:
                raise OSError(refused, os.strerror(refused))
        self._forget(1)
        self._back()

    def _datagram_socket(self, former: Any) -> Any:
        target = resolve(self.collector.to.address)[0]
        if former is not None:
            former.close()
        sock = socket.socket(family_of(target.host), socket.SOCK_DGRAM)
        sock.connect(tuple(target))
        return sock

    # TCP and TLS

    def _stream(self) -> None:
        """The body of the greenlet over a connection, which is made when there is something to tell."""
        while True:
            self._some.wait()
            sock = None
            try:
                sock = self._connect()
                reader = gevent.spawn(_read_to_the_end, sock)
                try:
                    self._write(sock, reader)
                finally:
                    reader.kill(block=False)
            except (OSError, ResolveFailed) as error:
                self._lost(_why(error))
            finally:
                if sock is not None:
                    sock.close()
            gevent.sleep(self._delay)
            self._delay = min(2 * self._delay, RETRY_MOST)

    def _connect(self) -> Any:
        collector = self.collector
        if collector.broken:
            raise OSError(collector.broken)
        with gevent.Timeout(CONNECT_WITHIN, TimeoutError(f"no connection within {CONNECT_WITHIN:g} s")):
            address = collector.to.address
            sock = reach(resolve(Address(address.host, address.port)))
            try:
                tune(sock)
                if self._context is not None:
                    context = self._context.get()
                    if isinstance(context, str):
                        raise OSError(context)
                    sock = context.wrap_socket(sock, server_hostname=address.host)
            except BaseException:
                sock.close()
                raise
        return sock

    def _write(self, sock: Any, reader: gevent.Greenlet) -> None:
        """Write what comes, until the collector closes the connection; OSError where that loses anything."""
        turn = Turn()
        while True:
            while not self._some.wait(1.0):
                if reader.ready():
                    return
            items = self._take(_TOGETHER)
            octets = b"".join([self._encode(each) for each in items])
            with gevent.Timeout(WRITE_WITHIN, TimeoutError(f"nothing is read there for {WRITE_WITHIN:g} s")):
                sock.sendall(octets)
            reader.join(_SOON)
            if reader.ready():
                raise OSError("the connection was closed")
            self._forget(len(items))
            self._back()
            self._delay = RETRY
            turn.share()

    # What is said

    def _lost(self, why: str) -> None:
        if not self._problem:
            rest = f"up to {MOST} messages wait; start it, or correct `to`"
            self._say("ERR", "collector-lost", f"{self.collector.to}: {why}; {rest}")
        self._problem = why

    def _back(self) -> None:
        if self._problem:
            lost, self._dropped_before = self._dropped - self._dropped_before, self._dropped
            text = f"{self.collector.to} is reached again; {lost or 'none'} of the messages were lost"
            self._problem = ""
            self._say("WRN" if lost else "INF", "collector-back", text)


def _read_to_the_end(sock: Any) -> None:
    """Notice that a connection is over, and forget what a collector says."""
    try:
        while sock.recv(4096):
            pass
    except OSError:
        pass


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"the handshake failed: {error.reason or type(error).__name__}"
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
