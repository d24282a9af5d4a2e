"""One TCP or TLS connection from its first message to its end: read, frame, hand over.

One greenlet runs ``converse`` for the whole life of the connection and owns its socket. It
reads whatever the kernel has, decrypts it, and hands every whole message to the handler as
a plain call, so nothing switches between two messages of one read. A peer that always has
more to say would never let another greenlet run, so the reader steps aside every few reads.
"""

from __future__ import annotations

from typing import Protocol

import gevent
from gevent import socket

from sbc.flow import Flow
from sbc.net.handler import Handler
from sbc.net.transport.channel import StreamChannel
from sbc.sip.message import Message
from sbc.sip.parse import ParseError
from sbc.sip.stream import PING, PONG, MessageStream

READ_SIZE = 65536
READS_IN_A_ROW = 16
_PONG_BYTES = b"\r\n"


class Ended(Exception):
    """The connection can be read no further; the text says why."""


class Source(Protocol):
    """Where plaintext comes from."""

    def read(self) -> bytes:
        """The next plaintext, never empty; raises ``Ended``."""


class PlainSource:
    """The reading half of a TCP connection."""

    __slots__ = ("_recv",)

    def __init__(self, sock: socket.socket) -> None:
        self._recv = sock.recv

    def read(self) -> bytes:
        """The next bytes, waiting for them; raises ``Ended`` at the peer's FIN or reset."""
        try:
            data: bytes = self._recv(READ_SIZE)
        except OSError as error:
            raise Ended(f"connection lost: {error.strerror or error}") from None
        if not data:
            raise Ended("closed by the peer")
        return data


def converse(flow: Flow, source: Source, handler: Handler, max_message: int) -> str:
    """Read until the connection ends, giving every message to ``handler``; returns why it ended."""
    channel: StreamChannel = flow.channel
    stream = MessageStream(max_body=max_message)
    reads = 0
    try:
        while channel.ended() is None:
            data = source.read()
            if channel.ended() is not None:
                break  # closed by somebody else while we waited; nothing more is believed
            channel.heard = True
            for item in stream.feed(data):
                _deliver(flow, channel, item, handler)
                if channel.ended() is not None:
                    break
            reads += 1
            if reads == READS_IN_A_ROW:
                reads = 0
                gevent.sleep(0)
        _drain(channel)
    except Ended as ended:
        return channel.ended() or str(ended)
    return channel.ended() or "closed"


def _deliver(flow: Flow, channel: StreamChannel, item: object, handler: Handler) -> None:
    if isinstance(item, Message):
        handler.on_message(flow, item)
    elif item is PING:
        channel.send(_PONG_BYTES)
    elif item is PONG:
        channel.ponged = True
    elif isinstance(item, ParseError):
        handler.on_malformed(flow, item)
        if item.fatal:
            channel.close(f"malformed stream: {item}")


def _drain(channel: StreamChannel) -> None:
    # Closing with input unread would reset the connection under our last answer; the
    # channel shuts the socket down after its linger time, which ends this loop.
    try:
        while channel.sock.recv(READ_SIZE):
            pass
    except OSError:
        return
