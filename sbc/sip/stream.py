"""A byte stream cut into messages by Content-Length (RFC 3261 18.3), with RFC 5626 keepalives.

Between messages CRLFCRLF is a ping and a single CRLF a pong. A lone CRLF that ends a read is taken
as a pong at once rather than held back: a pong has a deadline, and no sender splits four octets.
NULs between messages, which some stacks send behind one, say no more than a CRLF; before the first
message they may be of another protocol.

Whoever disagrees with us about where a message ends could smuggle one past us. So anything that
leaves the framing in doubt (no Content-Length, two that differ, one that another reader might not
see: framing.py) is fatal: it yields one ParseError, and the stream accepts nothing more. A message
that is merely wrong, with its length beyond doubt, yields a ParseError that is not fatal, and the
stream goes on: many calls share a connection. A body that is too long is passed over unread.

``_scanned`` remembers how far the end of the head was looked for, and bytes leave the buffer's
front once for each feed: the whole is linear however the bytes are dealt out. A read that starts
with a message, as nearly every one does, never enters the buffer: only what it leaves over does.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final

from sbc.protocols import protocol_of
from sbc.sip.framing import length_beyond_doubt
from sbc.sip.message import Message
from sbc.sip.parse import MAX_HEAD, ParseError, content_length, read_fields, read_start


class Keepalive(Enum):
    """What stood between two messages (RFC 5626 3.5.1, 4.4.1)."""

    PING = "ping"
    PONG = "pong"


PING = Keepalive.PING
PONG = Keepalive.PONG

Item = Message | Keepalive | ParseError
Octets = bytes | bytearray

# How long a body may be that is passed over, in octets; who announces more has lost count, and would be heard
# no more: everything behind would be swallowed.
MAX_SKIP: Final = 1 << 20
# Octets by which another protocol is known from the first of them, and with its headers.
_BEGINNING: Final = 16
_LINES: Final = 2048
# How what comes nearly always begins: nothing more is asked of it.
_USUAL: Final = (
    *(b"SIP/2.0 ", b"INVITE sip:", b"ACK sip:", b"BYE sip:", b"CANCEL sip:", b"OPTIONS sip:"),
    *(b"INVITE sips:", b"ACK sips:", b"BYE sips:", b"CANCEL sips:", b"OPTIONS sips:"),
)

_nuls: Final = re.compile(rb"\0++").match
# So many pings without a break say what any greater number says, and are found at once.
_MANY: Final = 128
_PINGS: Final = b"\r\n\r\n" * _MANY


class MessageStream:
    """Feed it what one connection brings; ``max_head`` and ``max_body`` are in octets."""

    __slots__ = (
        "_begun",
        "_buffer",
        "_item",
        "_message",
        "_needed",
        "_scanned",
        "_skip",
        "failed",
        "max_body",
        "max_head",
    )

    def __init__(self, max_head: int = MAX_HEAD, max_body: int = 65536) -> None:
        self.max_head = max_head
        self.max_body = max_body
        self.failed = False
        self._begun = False  # a message has come
        self._buffer = bytearray()
        self._scanned = 0
        self._needed = 0
        self._skip = 0
        self._item: Message | ParseError | None = None
        self._message: Message | None = None

    def feed(self, data: bytes) -> list[Item]:
        """Take octets, return what they complete; raises nothing, errors are among the items."""
        items: list[Item] = []
        if self.failed:
            return items
        buffer = self._buffer
        if buffer:
            buffer += data
        source = buffer or data
        at = 0
        while (after := self._step(source, at, items)) is not None:
            at = after
        if source is buffer:
            del buffer[:at]
        else:
            buffer += data[at:]
        self._scanned = max(0, len(buffer) - 3) if self._item is None else 0
        return items

    @property
    def waiting(self) -> bool:
        """Whether part of a message has come and the rest has not: what an idle limit may want to know."""
        return bool(self._buffer) or self._item is not None or self._skip > 0

    def _step(self, source: Octets, at: int, items: list[Item]) -> int | None:
        """Take one thing at offset ``at`` and return the offset behind it, or None if it is not all there."""
        if self._item is not None:
            return self._take_body(source, at, items)
        if at >= len(source):
            return None
        if self._skip:
            passed = min(self._skip, len(source) - at)
            self._skip -= passed
            return at + passed
        if not source.startswith(b"\r\n", at):
            return self._take_head(source, at, items)
        if source.startswith(b"\r\n\r\n", at):
            if source.startswith(_PINGS, at):
                return self._pass_pings(source, at, items)
            items.append(PING)
            return at + 4
        if len(source) == at + 3 and source.endswith(b"\r"):
            return None
        items.append(PONG)
        return at + 2

    def _pass_pings(self, source: Octets, at: int, items: list[Item]) -> int:
        """Note so many pings as can mean anything, however many follow."""
        items.extend([PING] * _MANY)
        while source.startswith(_PINGS, at):
            at += len(_PINGS)
        return at

    def _pass_nuls(self, source: Octets, at: int, items: list[Item]) -> int:
        """Note that something came, and pass it over."""
        items.append(PONG)
        found = _nuls(source, at)
        return at + 1 if found is None else found.end()

    def _take_body(self, source: Octets, at: int, items: list[Item]) -> int | None:
        end = at + self._needed
        if len(source) < end or self._item is None:
            return None
        if self._needed and self._message is not None:
            self._message.body = bytes(source[at:end])
        items.append(self._item)
        self._begun = True
        self._item = self._message = None
        return end

    def _take_head(self, source: Octets, at: int, items: list[Item]) -> int | None:
        # Asked whether or not the head is whole: how a stream is cut must not decide what becomes of it.
        usual = source.startswith(_USUAL, at)
        if not usual and self._begun and source.startswith(b"\0", at):
            return self._pass_nuls(source, at, items)
        end = source.find(b"\r\n\r\n", max(at, self._scanned))
        spoken = "SIP" if usual else protocol_of(bytes(source[at : at + _BEGINNING]))
        # Only the headers tell HTTP from a WebSocket: they are waited for.
        if end < 0 and len(source) - at <= self.max_head and spoken in ("", "SIP", "HTTP"):
            return None
        if end < 0 or end - at > self.max_head or spoken not in ("", "SIP"):
            return self._fail(ParseError("the header section is too long", 513), source, at, items)
        head = bytes(source[at : end + 2])
        item: Message | ParseError
        try:
            first, headers = read_fields(head)
        except ParseError as error:
            error.octets = head
            return self._expect_body(error, length_beyond_doubt(head), source, at, end + 4, items)
        try:
            item = read_start(first, headers)
            item.head = head
        except ParseError as error:
            error.octets = head
            item = error
        try:
            length = content_length(headers)
        except ParseError as error:
            error.message = item.message if isinstance(item, ParseError) else item
            return self._fail(error, source, at, items)
        return self._expect_body(item, length, source, at, end + 4, items)

    def _expect_body(
        self, item: Message | ParseError, length: int | None, source: Octets, start: int, at: int,
        items: list[Item],
    ) -> int:  # fmt: skip
        """Go on at the body, ``at``, of the message whose head began at ``start``."""
        message: Message | None = item.message if isinstance(item, ParseError) else item
        if length is None:
            error = item if isinstance(item, ParseError) else ParseError("no Content-Length", message=message)
            return self._fail(error, source, start, items)
        if length > self.max_body:
            error = ParseError("the body is too long", 413, message=message)
            error.octets = bytes(source[start : at - 2])
            if length > MAX_SKIP:
                return self._fail(error, source, start, items)
            items.append(error)
            self._skip = length
            return at
        self._item, self._message, self._needed = item, message, length
        return at

    def _fail(self, error: ParseError, source: Octets, at: int, items: list[Item]) -> int:
        """Note that nothing more can be told apart: all that is there is passed over."""
        head = bytes(source[at : at + min(_LINES, self.max_head)])
        spoken = protocol_of(head.partition(b"\r\n\r\n")[0])
        if spoken not in ("", "SIP"):
            error = ParseError(f"what came is {spoken}, not SIP", protocol=spoken)
        error.octets = error.octets or head
        error.fatal = self.failed = True
        items.append(error)
        return len(source)
