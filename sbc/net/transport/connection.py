"""One TCP or TLS connection from its first message to its end: read, frame, hand over.

One greenlet runs ``converse`` for the whole life of the connection and owns its socket. It
reads whatever the kernel has, decrypts it, and hands every whole message to the handler as
a plain call. A peer that always has more to say would never let another greenlet run, so the
reader waits before each read and shares its turn between messages (turn.py).
"""

from __future__ import annotations

from gevent import socket

from sbc.flow import Flow
from sbc.net.handler import Handler
from sbc.net.source import Ended, Source
from sbc.net.system.turn import Turn, discard
from sbc.net.transport.channel import StreamChannel
from sbc.sip.message import Message
from sbc.sip.parse import ParseError
from sbc.sip.stream import PING, PONG, MessageStream

READ_SIZE = 65536
# Between two sweeps (2.5 s). Who keeps a connection alive sends one or two keepalives (RFC 5626 4.4.1); of
# messages that are refused unread a peer with many telephones behind it may send a few.
BARREN = 100
_PONG_BYTES = b"\r\n"


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


def converse(flow: Flow, source: Source, handler: Handler, max_message: int) -> str:
    """Read until the connection ends, giving every message to ``handler``; returns why it ended."""
    channel: StreamChannel = flow.channel
    stream = MessageStream(max_body=max_message)
    turn = source.turn
    try:
        while channel.is_open():
            data = source.read()
            if not channel.is_open():
                break  # closed by somebody else while we waited; nothing more is believed
            channel.heard = True
            for item in stream.feed(data):
                _deliver(flow, channel, item, handler)
                turn.share()
                if not channel.is_open():
                    break
        # Closing with input unread would reset the connection under our last answer; the
        # channel shuts the socket down after its linger time, which ends this.
        discard(channel.sock)
    except Ended as ended:
        return channel.reason or str(ended)
    return channel.reason or "closed"


def _deliver(flow: Flow, channel: StreamChannel, item: object, handler: Handler) -> None:
    if isinstance(item, Message):
        handler.on_message(flow, item)
    elif item is PING:
        channel.send(_PONG_BYTES)
        _count(channel)
    elif item is PONG:
        channel.ponged = True
        _count(channel)
    elif isinstance(item, ParseError):
        handler.on_malformed(flow, item)
        if item.fatal:
            channel.close(f"malformed stream: {item}")
        else:
            _count(channel)


def _count(channel: StreamChannel) -> None:
    channel.barren += 1
    if channel.barren > BARREN:
        channel.close(f"over {BARREN} keepalives or malformed messages within seconds")
