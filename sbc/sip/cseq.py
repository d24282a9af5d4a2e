"""CSeq and the methods that it may name (RFC 3261 8.1.1.5, 20.16)."""

from __future__ import annotations

from typing import Final

from sbc.sip.grammar import ParseError, decimal, is_token

# The methods of RFC 3261 and its extensions; a look-up here spares matching a token.
KNOWN_METHODS: Final = frozenset(
    "INVITE ACK BYE CANCEL OPTIONS PRACK UPDATE INFO REGISTER SUBSCRIBE NOTIFY PUBLISH MESSAGE REFER".split()
)


class CSeq:
    """A CSeq value, never changed: number below 2**31 and method (RFC 3261 8.1.1.5)."""

    __slots__ = ("method", "number")

    def __init__(self, number: int, method: str) -> None:
        self.number: Final = number
        self.method: Final = method

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CSeq) and self.number == other.number and self.method == other.method

    def __hash__(self) -> int:
        return hash((self.number, self.method))

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


def parse_cseq(text: str) -> CSeq:
    """Read a CSeq value; raises ParseError if it is malformed or 2**31 and more."""
    digits, _, method = text.replace("\t", " ").partition(" ")
    method = method.lstrip(" ")
    number = decimal(digits)
    if number is None or number >= 1 << 31 or not (method in KNOWN_METHODS or is_token(method)):
        raise ParseError("malformed CSeq")
    return CSeq(number, method)
