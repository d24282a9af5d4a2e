"""The lexical rules that every SIP header shares: tokens, quoted strings, parameters (RFC 3261 25.1).

Each run of characters is taken by a possessive quantifier, a group that repeats begins with what the
run before it cannot take, and a quoted string that never ends swallows the rest of the text, so that
no input makes a scan start over: all of them are linear. A group is never possessive itself, which
CPython before 3.11.5 gets wrong (gh-106052); and it is ``(?:...|)`` where it may be missing, which is
found out faster than with ``?``.
Character classes are spelt out in ASCII; ``\\s``, ``\\d`` and ``str.strip()`` would also take
Unicode's blanks and digits, which are not SIP's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, TypeVar

from sbc.base import PeerError
from sbc.protocols import Spoken

Params = tuple[tuple[str, str | None], ...]
T = TypeVar("T")

BLANKS: Final = " \t"
TOKEN: Final = r"A-Za-z0-9\-.!%*_+`'~"
QUOTED: Final = r'"[^"\\]*+(?:\\.[^"\\]*+)*"'
CONTROLS: Final = bytes(byte for byte in range(32) if byte != 9) + b"\x7f"

# How many parsed values are kept for when they come again, and how long one may be (characters):
# immutable values, so that what is kept can be shared. The text of one address comes again within
# milliseconds, in the next message of its call, or never (its tag is new with each call), so few
# are enough; and many, strewn over the heap, would pin the memory of the busiest hour for ever.
RECENT: Final = 256
LONGEST_KEPT: Final = 256
_forget: Final[list[Callable[[], None]]] = []

_token: Final = re.compile(f"[{TOKEN}]+").fullmatch
_param: Final = re.compile(
    rf"[ \t]*+;[ \t]*+([{TOKEN}]++)(?:[ \t]*+=[ \t]*+({QUOTED}|[!#-+\-.-:=@-~]++)|)"
).match
_element: Final = re.compile(
    r'"[^"\\]*+(?:\\.[^"\\]*+)*(?:"|\\?\Z)|<[^>]*+(?:>|\Z)|[^",<]++|(,)|.', re.S
).finditer
_unescape: Final = re.compile(r"\\(.)", re.S).sub
_quoted_or_plain: Final = re.compile(r'("[^"\\]*+(?:\\.[^"\\]*+)*(?:"|\\?\Z))|[^"]++', re.S).finditer
_CLEAN: Final = r'[^"\\\x00-\x08\x0a-\x1f\x7f]'
_clean_quoted: Final = re.compile(rf'"{_CLEAN}*+(?:\\[^\r\n]{_CLEAN}*+)*"').fullmatch
_control: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
DROP_CONTROLS: Final = dict.fromkeys(CONTROLS)


class ParseError(PeerError):
    """A message cannot be accepted; ``message`` holds what could be read of it, or None.

    That is a ``sbc.sip.message.Message``, which is made of the rules here and not known to them.
    ``status`` is the SIP answer that is due; ``fatal`` says that the bytes which follow on the same
    stream can no longer be divided into messages (RFC 3261 18.3); ``protocol`` is what they are, where
    that is another than SIP. ``octets`` are those that were refused, or their beginning.
    """

    def __init__(
        self, reason: str, status: int = 400, *, message: Any = None, fatal: bool = False,
        protocol: Spoken = "",
    ) -> None:  # fmt: skip
        super().__init__(reason, status)
        self.message: Any = message
        self.fatal = fatal
        self.protocol: Spoken = protocol
        self.octets = b""

    @property
    def answerable(self) -> bool:
        """Whether the message is a request, not an ACK, with a Via for the answer to carry back.

        ``response_to`` can then answer it; To, From, Call-ID or CSeq may be missing or malformed.
        """
        message = self.message
        if message is None or not message.is_request or getattr(message, "method", "ACK") == "ACK":
            return False
        return "via" in message.headers


def recent(parse: Callable[[str], T]) -> Callable[[str], T]:
    """``parse`` with its last ``RECENT`` values kept; for texts of at most ``LONGEST_KEPT`` characters."""
    kept = lru_cache(maxsize=RECENT)(parse)
    _forget.append(kept.cache_clear)
    return kept


def forget_recent() -> None:
    """Let go of what is kept: strewn over the heap, it pins the memory that was freed around it."""
    for forget in _forget:
        forget()


def is_token(text: str) -> bool:
    """Whether ``text`` is a token (RFC 3261 25.1)."""
    return (text.isalnum() and text.isascii()) or _token(text) is not None


def parse_params(text: str) -> Params:
    """Split ``;name=value;name`` into pairs, quoted values kept in their quotes; raises ParseError."""
    found = []
    at = 0
    while match := _param(text, at):
        found.append((match[1], match[2]))
        at = match.end()
    if at != len(text) and text[at:].strip(BLANKS):
        raise ParseError("malformed header parameter")
    if len(found) > 1 and len({name.lower() for name, _ in found}) < len(found):
        raise ParseError("a header parameter occurs twice")
    return tuple(found)


def format_params(params: Params) -> str:
    """Write parameters back as ``;name=value;name``."""
    return "".join([f";{name}" if value is None else f";{name}={value}" for name, value in params])


def find_param(params: Params, name: str) -> str | None:
    """The value of the parameter ``name`` (given in lower case): "" without a value, None if absent."""
    for key, value in params:
        if key == name or key.lower() == name:
            return value or ""
    return None


def split_commas(text: str) -> list[str]:
    """Split a list header at its commas, but not inside quotes or <>; empty elements are dropped."""
    if "," not in text:
        return [text] if text else []
    if '"' not in text and "<" not in text:
        return [part for each in text.split(",") if (part := each.strip(BLANKS))]
    parts, start = [], 0
    for match in _element(text):
        if match[1]:
            parts.append(text[start : match.start()].strip(BLANKS))
            start = match.end()
    parts.append(text[start:].strip(BLANKS))
    return [part for part in parts if part]


# Nearly every Content-Length, Max-Forwards and CSeq: found four times as fast as read.
_SMALL: Final = {str(number): number for number in range(1000)}


def decimal(text: str) -> int | None:
    """The number that ``text`` writes in ASCII digits; None if it is none or above 9,999,999,999."""
    small = _SMALL.get(text)
    if small is not None:
        return small
    if not (text.isdigit() and text.isascii()):
        return None
    if len(text) > 10:
        text = text.lstrip("0") or "0"
    return int(text) if len(text) <= 10 else None


def quote(text: str) -> str:
    """Make a quoted-string of ``text`` (RFC 3261 25.1), control characters left out."""
    text = text.translate(DROP_CONTROLS).replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


def unquote(text: str) -> str:
    """The meaning of a quoted-string, or of a bare token; control characters are left out."""
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    return unescape(text)


def unescape(text: str) -> str:
    """Undo the backslashes of a quoted-string's inside; control characters are left out."""
    if "\\" not in text:
        return text
    return _unescape(r"\1", text).translate(DROP_CONTROLS)


def has_bare_control(text: str) -> bool:
    """Whether a control character stands in ``text`` but not in a quoted-pair (RFC 3261 25.1)."""
    if not _control(text):
        return False
    return any(
        _control(part[0]) and not (part[1] and _clean_quoted(part[1])) for part in _quoted_or_plain(text)
    )
