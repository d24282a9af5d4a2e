"""Numbers shortened: the last digits of every telephone number, where people read who called whom.

What is a number is told by how it is written, for they come in URIs, in texts of peers and in reasons alike:
seven digits or more that stand alone, five or more after a ``+``, which may be divided, or six before the @
of a URI. Shorter ones (emergency and other services, extensions) tell nobody apart. Nothing else is touched:
hexadecimal names, addresses, dates and what is divided by dashes are no numbers, and neither are Call-IDs, by
which one line is found from another. A digit becomes an ``x``, so nothing moves.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from sbc.sip.uri import Uri

_NUMBER: Final = re.compile(
    r"(?<![\w.%-])(?:(?:\+|%2b)\d(?:[-.()]?\d){4,}(?!\d)"
    r"|(?:(?<=sip:)|(?<=sips:))\d(?:[-.()]?\d){5,}(?=@|;[^@>\s]*@)"
    r"|(?<=tel:)\d(?:[-.()]?\d){5,}(?!\d)"
    r"|\d{7,}(?![\w-]|\.\d))",
    re.ASCII | re.IGNORECASE,
)
_DIGIT: Final = re.compile(r"\d", re.ASCII)
# What may be all digits and is no number.
_NAMES: Final = frozenset(
    (
        "call",
        "as",
        "CallID",
        "call_id",
        "serial",
        "event",
        "trunk",
        "to_trunk",
        "trunk_in",
        "trunk_out",
        "rule",
    )
)
# What of a record is or may hold a number: its trunks, peers and addresses are looked up by their names.
_OF_RECORDS: Final = (
    "caller", "called", "asserted", "redirected_from", "referred_by", "reason", "tags", "lookups",
)  # fmt: skip
# The longest text that is remembered with what it becomes.
_LONG: Final = 256
# The same of a SIP message, whose other lines are looked at.
_UNTOUCHED: Final = re.compile(
    r"(?:via|v|call-id|i|cseq|max-forwards|content-length|l|authorization|proxy-authorization"
    r"|www-authenticate|proxy-authenticate)[ \t]*:",
    re.IGNORECASE | re.ASCII,
)


class Mask:
    """Blots out the last ``digits`` digits of each number."""

    __slots__ = ("_shorten", "digits")

    def __init__(self, digits: int) -> None:
        self.digits = digits
        self._shorten = lru_cache(4096)(self._numbers)

    def text(self, text: str) -> str:
        """``text`` with its numbers shortened."""
        if len(text) > _LONG:
            return self._numbers(text)
        return self._shorten(text) if len(text) > 5 else text

    def _numbers(self, text: str) -> str:
        return _NUMBER.sub(self._number, text)

    def _number(self, found: re.Match[str]) -> str:
        text = found[0]
        # The first three octets may be an escaped +, which is no digit.
        head = 3 if text[0] == "%" else 0
        places = [each.start() for each in _DIGIT.finditer(text, head)][-self.digits :]
        shown = list(text)
        for place in places:
            shown[place] = "x"
        return "".join(shown)

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of a line with numbers shortened in all that is text."""
        return {name: value if name in _NAMES else self._value(value) for name, value in fields.items()}

    def record(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """What a call record is made of, likewise."""
        return {**fields, **{each: self._value(fields[each]) for each in _OF_RECORDS if each in fields}}

    def _value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Uri):
            return self.text(str(value))
        if type(value) is tuple:  # and no address, which is one with names
            return tuple([self.text(each) if isinstance(each, str) else each for each in value])
        if isinstance(value, Mapping):
            return {name: self._value(each) for name, each in value.items()}
        return value

    def octets(self, message: bytes) -> bytes:
        """A SIP message with the numbers in its header shortened, but for what names transactions."""
        return self._message(message.decode("latin-1")).encode("latin-1")

    def _message(self, text: str) -> str:
        head, blank, body = text.partition("\r\n\r\n")
        lines = [line if _UNTOUCHED.match(line) else self._numbers(line) for line in head.split("\r\n")]
        return "\r\n".join(lines) + blank + body
