"""One TCP or TLS connection from its first message to its end: read, frame, hand over.

One greenlet runs ``converse`` for the whole life of the connection and owns its socket. It
reads whatever the kernel has, decrypts it, and hands every whole message to the handler as
a plain call. A peer that always has more to say would never let another greenlet run, so the
reader waits before each read and shares its turn between messages (turn.py). One that says more
than its allowance (``sbc.flow.Allowance``) is not read until that has grown: it fills the kernel's
buffers and has to wait itself.
"""

from __future__ import annotations

import time
from typing import Final

from gevent import socket

from sbc.flow import Flow
from sbc.net.handler import Handler
from sbc.net.source import Ended, Plaintext
from sbc.net.system.turn import Turn, discard
from sbc.net.transport.channel import StreamChannel
from sbc.observe.traffic import Stats
from sbc.sip.message import Message
from sbc.sip.parse import ParseError
from sbc.sip.stream import PING, PONG, Item, MessageStream

_monotonic: Final = time.monotonic
# No more than a TLS record holds: what one read brings is parsed in one go.
READ_SIZE: Final = 16384
# Between two sweeps (2.5 s). Who keeps a connection alive sends one or two keepalives (RFC 5626 4.4.1); of
# messages that are refused unread a peer with many telephones behind it may send a few.
BARREN: Final = 100
# Whoever is over its allowance has so many messages taken at once, and rests so long at least: others who
# come in between wait for a fraction of a millisecond.
_PIECE: Final = 4
_REST: Final = 0.002
_PONG_BYTES: Final = b"\r\n"


class PlainSource:
    """The reading half of a TCP connection; ``heard``: the peer has said something."""

    __slots__ = ("_recv", "_sock", "heard", "turn")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._recv = sock.recv
        self.heard = False
        self.turn = Turn()

    def read(self) -> bytes:
        """The next bytes, waiting for them; raises ``Ended`` at the peer's FIN or reset."""
        try:
            self.turn.wait(self._sock)
            data: bytes = self._recv(READ_SIZE)
        except OSError as error:
            raise Ended(f"connection lost: {error.strerror or error}") from None
        if not data:
            raise Ended("closed by the peer")
        self.heard = True
        return data


def converse(flow: Flow, source: Plaintext, handler: Handler, max_message: int, stats: Stats) -> str:
    """Read until the connection ends, giving every message to ``handler``; returns why it ended."""
    channel: StreamChannel = flow.channel
    reader = _Reader(flow, channel, source.turn, handler, stats)
    stream = MessageStream(max_body=max_message)
    allowance = flow.allowance
    try:
        while channel.is_open():
            data = source.read()
            if not channel.is_open():
                break  # closed by somebody else while we waited; nothing more is believed
            channel.heard = True
            items = stream.feed(data)
            reader.ponged = False
            # A read that completes nothing counts as well: there may be one for each octet.
            count = len(items) or 1
            if allowance.left > count:
                allowance.left -= count
                reader.deliver(items)
            else:
                reader.dole_out(items)
        # Closing with input unread would reset the connection under our last answer; the
        # channel shuts the socket down after its linger time, which ends this.
        discard(channel.sock)
    except Ended as ended:
        return channel.reason or str(ended)
    return channel.reason or "closed"


class _Reader:
    """Hands over what one connection brings."""

    __slots__ = ("_channel", "_flow", "_handler", "_stats", "_turn", "ponged")

    def __init__(
        self, flow: Flow, channel: StreamChannel, turn: Turn, handler: Handler, stats: Stats
    ) -> None:
        self._flow = flow
        self._channel = channel
        self._turn = turn
        self._handler = handler
        self._stats = stats
        self.ponged = False

    def deliver(self, items: list[Item]) -> None:
        """Hand all of it over, unless the channel is closed in the middle."""
        for item in items:
            if isinstance(item, Message):
                self._handler.on_message(self._flow, item)
            else:
                self._take(item)
            if _monotonic() > self._turn.end:
                self._turn.share()
            if not self._channel.is_open():
                break

    def dole_out(self, items: list[Item]) -> None:
        """Hand it over as the peer's allowance grows."""
        allowance = self._flow.allowance
        for start in range(0, len(items) or 1, _PIECE):
            piece = items[start : start + _PIECE]
            count = len(piece) or 1
            at = _monotonic()
            if not allowance.take(count, at):
                self._stats.held += count
                if allowance.tell(at):
                    self._handler.on_flood(self._flow)
                self._wait(count)
            if not self._channel.is_open():
                break
            self.deliver(piece)

    def _wait(self, count: int) -> None:
        """Wait until ``count`` messages are allowed, or the channel is closed."""
        allowance = self._flow.allowance
        allowance.waiting += 1
        try:
            while self._channel.is_open() and not allowance.take(count, _monotonic()):
                # However many wait, they look no more often than one would.
                self._turn.rest(max(_REST, 1.0 / allowance.rate) * allowance.waiting)
        finally:
            allowance.waiting -= 1

    def _take(self, item: Item) -> None:
        if item is PING:
            self._pong()
        elif item is PONG:
            self._channel.ponged = True
            self._count()
        elif isinstance(item, ParseError):
            self._handler.on_malformed(self._flow, item)
            if item.fatal:
                self._channel.close(f"malformed stream: {item}")
            else:
                self._count()

    def _pong(self) -> None:
        """Answer all pings of one read together: one is enough to show that we live (RFC 5626 4.4.1)."""
        if not self.ponged:
            self.ponged = True
            self._channel.send(_PONG_BYTES)
        self._count()

    def _count(self) -> None:
        channel = self._channel
        channel.barren += 1
        if channel.barren > BARREN:
            channel.close(f"over {BARREN} keepalives or malformed messages within seconds")
