"""Text for logs: whatever a peer sent becomes one harmless word of one line.

A line is read by people and by grep, so a peer may neither end it (control characters, line
separators) nor forge a field of it (blanks, quotes), and no secret may be in it: keys of SRTP
(``inline:``, RFC 4568), digest answers (RFC 3261 section 22), passwords of URIs.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final

REDACTED = "[redacted]"
SECRET_FIELDS = frozenset({"password", "authorization", "proxy-authorization", "ha1", "key", "secret"})

_URI_PASSWORD = re.compile(r"sips?:[^\s:@<>\"]*:[^\s@<>\"]*@")
_SECRETS = re.compile(
    r"(inline:|(?:cnonce|response|password|ha1)=\"?)[^\s\";,<>]*"
    r"|(\bsips?:[^\s:@<>\"]*:)[^\s@<>\"]*(?=@)",
    re.IGNORECASE,
)


def has_secret(text: str) -> bool:
    """Whether ``text`` may hold a secret; a quick look before ``redact``."""
    if ":" not in text and "=" not in text:
        return False
    small = text.lower()
    return (
        "inline:" in small
        or "nse=" in small
        or "nonce=" in small
        or "assword=" in small
        or "ha1=" in small
        or ("@" in small and _URI_PASSWORD.search(small) is not None)
    )


def redact(text: str) -> str:
    """Blot out every key, digest answer and password in ``text``."""
    if not has_secret(text):
        return text
    return _SECRETS.sub(lambda found: (found[1] or found[2]) + REDACTED, text)


def word(value: object) -> str:
    """``value`` as one printable word: control characters escaped, quoted where it has blanks or quotes."""
    text = value if type(value) is str else str(value)
    if text.isprintable() and '"' not in text and "\\" not in text:
        return text if text and " " not in text else f'"{text}"'
    return '"' + "".join([_escape(each) for each in text]) + '"'


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
