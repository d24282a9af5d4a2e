"""A trace as a ladder: the caller's side left of the SBC, the callee's right of it, a line a message.

What begins at a peer (its INVITE, a phone's REGISTER) is on the left, what we begin (the other leg, an
OPTIONS of ours) on the right. Beside a message stands who the peer is; what TLS proved of it is said once,
when something first comes over a connection. Nothing that a peer wrote can move the cursor or end a line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from sbc.observe.tap import Seen
from sbc.observe.text import iso_time, printable
from sbc.observe.trace.frames import Remark
from sbc.observe.trace.rung import arrow, media, said, style
from sbc.observe.trace.telling import proved
from sbc.sip.message import Message, Request
from sbc.sip.parse import ParseError, parse_message

WIDTH: Final = 26
# Paths that are known to have been told of; a phone that comes anew is told of anew.
_PATHS: Final = 10_000
# Requests of which it is asked to whom they are.
_TO_SOMEBODY: Final = ("INVITE", "MESSAGE", "REGISTER")
_TIME: Final = slice(11, 23)  # of a whole date


class Ladder:
    """Draws one trace; ``paint`` puts a text into a style, ``unicode`` says whether lines may be drawn.

    ``whole``: each message follows its arrow, line by line. ``named``: each line has the name of its call.
    """

    def __init__(
        self, paint: Callable[[str, str], str], unicode: bool, whole: bool = False, named: bool = True
    ) -> None:
        self._paint = paint
        self._unicode = unicode
        self._bar = "│" if unicode else "|"
        self._whole = whole
        self._named = named
        self._paths: set[tuple[int, str]] = set()

    def head(self) -> str:
        """The line above: what the columns are."""
        return self._paint("bold", f"{'':13} {'caller':<{WIDTH - 2}} SBC {'callee':>{WIDTH - 2}}")

    def lines(self, event: Seen | Remark) -> Iterator[str]:
        """What is written for one message or remark."""
        if isinstance(event, Remark):
            yield self._remark(event)
            return
        path = event.path
        key = path.flow, path.trunk
        if key not in self._paths:
            if len(self._paths) >= _PATHS:
                self._paths.clear()
            self._paths.add(key)
            way = "to" if path.outbound else "from"
            told = f"{path.trunk or '-'}: {way} {path.remote}, ours {path.local}: {proved(path)}"
            yield self._line(event.now, self._paint("dim", printable(told)))
        yield self._rung(event)
        if self._whole:
            text = event.octets.decode("utf-8", "surrogateescape").replace("\r\n", "\n").rstrip("\n")
            yield from (f"{'':13}{self._paint('dim', printable(each))}" for each in text.split("\n"))

    def _rung(self, seen: Seen) -> str:
        message = _read(seen.octets)
        text = f"no SIP: {seen.malformed}" if seen.malformed else _said(message)
        left = _is_left(seen, message)
        drawn = arrow(printable(text), seen.sent != left, WIDTH, self._unicode)
        drawn = self._paint("red" if seen.malformed else style(message), drawn)
        empty = " " * WIDTH
        near, far = (drawn, empty) if left else (empty, drawn)
        name = f" {seen.call}" if self._named and seen.call else ""
        peer = printable(f"{seen.path.trunk or '-'} {seen.path.remote}")
        body = f" {media(message.body)}" if message is not None and message.body else ""
        return self._line(seen.now, f"{self._bar}{near}{self._bar}{far}{self._bar} {peer}{body}{name}")

    def _remark(self, remark: Remark) -> str:
        if remark.kind == "lost":
            text = f"{remark.text} messages are missing here: they came faster than they were read"
            return f"{'':13}{self._paint('yellow', text)}"
        if remark.kind == "end":
            return f"{'':13}{self._paint('dim', printable(remark.text))}"
        name = f" {remark.call}" if self._named and remark.call else ""
        styled = "bold" if remark.kind == "decided" else "dim"
        return self._line(remark.now, self._paint(styled, f"  {printable(remark.text)}") + name)

    def _line(self, now: float, text: str) -> str:
        return f"{self._paint('dim', iso_time(now)[_TIME])} {text}"


def _read(octets: bytes) -> Message | None:
    try:
        return parse_message(octets)
    except ParseError as error:
        found: Message | None = error.message
        return found


def _said(message: Message | None) -> str:
    if message is None:
        return "unreadable"
    text = said(message)
    if isinstance(message, Request) and message.method in _TO_SOMEBODY:
        try:
            user = (message.to.uri if message.method == "REGISTER" else message.target).party.user
        except ParseError:
            user = ""
        text = f"{text} {user}".rstrip()
    return text


def _is_left(seen: Seen, message: Message | None) -> bool:
    """Whether it is drawn on the caller's side; without a call that is where a peer began it."""
    if seen.side:
        return seen.side == "a"
    return seen.sent != isinstance(message, Request) if message is not None else not seen.sent
