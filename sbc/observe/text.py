"""Text for logs: whatever a peer sent becomes one harmless word of one line.

A line is read by people and by grep, so a peer may neither end it (control characters, line
separators) nor forge a field of it (blanks, quotes), and no secret may be in it: keys of SRTP
(``inline:``, RFC 4568), digest answers (RFC 3261 section 22), passwords of URIs.

What looks for them reads a text once, whatever it holds: a stretch that might have been a secret and is none
is passed over as a whole, never begun again in its middle.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final

REDACTED = "[redacted]"
SECRET_FIELDS = frozenset({"password", "authorization", "proxy-authorization", "ha1", "key", "secret"})

# Characters of one value that are shown: no name or address is longer, and nobody reads on.
MOST_SHOWN: Final = 2048
CUT: Final = "..."

# A scheme, a user and, after a colon, what is a password where an @ follows.
_URI = re.compile(r"(sips?:[^\s:@<>\"]*+:)([^\s@<>\"]*+)", re.IGNORECASE)
# The same of any other (RFC 3986 3.2.1), as libraries quote it in their errors.
_WEB = re.compile(r"(://[^\s:@/<>\"]*+:)([^\s@/<>\"]*+)")
_NAMED = re.compile(
    r"(inline(?::|%3a)[ \t]*+|(?:cnonce|response|password|ha1|authorization)[ \t]*+=[ \t]*+)"
    r"(?:\\?\"(?:[^\"\\]|\\.)*\\?\"?|[^\s\";,<>]*+)",
    re.IGNORECASE | re.DOTALL,
)


def has_secret(text: str) -> bool:
    """Whether ``text`` may hold a secret, or is too long to be shown; a quick look before ``redact``."""
    if len(text) > MOST_SHOWN:
        return True
    if ":" not in text and "=" not in text:
        return False
    small = text.lower()
    if "inline" in small:
        return True
    if "=" in small and (
        "response" in small or "nonce" in small or "assword" in small or "ha1" in small or "authori" in small
    ):
        return True
    if "@" in small and "://" in small:
        return True
    # A URI without a password has but the colon of its scheme before its @.
    for piece in small.split("@")[:-1]:
        start = piece.find("sip")
        if start >= 0 and piece.find(":", piece.find(":", start) + 1) > start:
            return True
    return False


def redact(text: str) -> str:
    """``text`` with every key, digest answer and password blotted out; of a long one only the beginning."""
    if not has_secret(text):
        return text
    cut = len(text) > MOST_SHOWN
    if cut:
        text = text[:MOST_SHOWN]

    def hide(found: re.Match[str]) -> str:
        end = found.end()
        # Where the text was cut nobody knows whether an @ came: then it was a password.
        secret = text[end] == "@" if end < len(text) else cut
        return found[1] + REDACTED if secret else found[0]

    text = _NAMED.sub(rf"\1{REDACTED}", _WEB.sub(hide, _URI.sub(hide, text)))
    return text + CUT if cut else text


def word(value: object) -> str:
    """``value`` as one printable word: control characters escaped, quoted where it has blanks or quotes."""
    text = value if type(value) is str else str(value)
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text if text and " " not in text else f'"{text}"'
    return '"' + "".join([_escape(each) for each in text]) + '"'


def words(fields: Mapping[str, Any]) -> str:
    """Write `` name=value`` for each field that has a value, every secret blotted out."""
    line = "".join([f" {name}={word(value)}" for name, value in fields.items() if value is not None])
    if SECRET_FIELDS.isdisjoint(fields) and not has_secret(line):
        return line
    return "".join([_word(name, value) for name, value in fields.items() if value is not None])


def _word(name: str, value: object) -> str:
    return f" {name}={REDACTED if name in SECRET_FIELDS else word(redact(str(value)))}"


def json_line(head: Mapping[str, Any], fields: Mapping[str, Any]) -> str:
    """``head`` and each field that has a value as one JSON object in ASCII, every secret blotted out.

    Numbers and truths stay what they are, all else is a text; no field takes a name of the head.
    """
    line = dict(head)
    for name, value in fields.items():
        if value is not None and name not in head:
            line[name] = _json_value(name, value)
    return json.dumps(line)


def _json_value(name: str, value: object) -> int | float | str:
    if name in SECRET_FIELDS:
        return REDACTED
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    return whole(redact(value if isinstance(value, str) else str(value)))


def whole(text: str) -> str:
    """``text`` as JSON can have it: a byte that was not UTF-8 would be half a character, and is an escape."""
    return text if text.isprintable() else "".join([_whole(each) for each in text])


def _whole(character: str) -> str:
    return _escape(character) if 0xD800 <= ord(character) <= 0xDFFF else character


def printable(text: str) -> str:
    """``text`` without what could move a terminal's cursor or end its line: that is written as an escape."""
    return (
        text
        if text.isprintable()
        else "".join([each if each.isprintable() else _escape(each) for each in text])
    )


def _escape(character: str) -> str:
    if character in '\\"':
        return "\\" + character
    if character.isprintable():
        return character
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not UTF-8, kept by surrogateescape
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


_MILLISECONDS: Final = [f".{number:03d}Z" for number in range(1000)]


def iso_time(now: float) -> str:
    """``now`` (POSIX seconds) as ISO 8601 in UTC with milliseconds."""
    second = int(now // 1)
    return _to_the_second(second) + _MILLISECONDS[int((now - second) * 1000)]


@lru_cache(maxsize=64)
def _to_the_second(second: int) -> str:
    # Many lines and records are of the same second, and the calendar is the dear part.
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
