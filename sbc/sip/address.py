"""name-addr and addr-spec, the form of From, To, Contact, Route and their kin (RFC 3261 20.10, 25.1)."""

from __future__ import annotations

import re
from typing import Final

from sbc.sip.grammar import (
    BLANKS,
    LONGEST_KEPT,
    TOKEN,
    Params,
    ParseError,
    find_param,
    format_params,
    is_token,
    parse_params,
    quote,
    recent,
    unescape,
)
from sbc.sip.uri import PARAMS, USER, Uri, parse_uri, split_params

# An unquoted display name is read more widely than the grammar's tokens; str() quotes it.
_name_addr: Final = re.compile(
    r'[ \t]*+(?:"([^"\\]*+(?:\\.[^"\\]*+)*)"[ \t]*+|([^"<>,;\\\x00-\x08\x0a-\x1f\x7f]*+))<([^<>"]*+)>(.*+)',
    re.S,
).fullmatch


# What From and To nearly always look like but for the tag, read in one pass; all else takes the longer way.
_common: Final = re.compile(
    rf'(?:"([^"\\]*+)" ?+|([{TOKEN} ]*+))<([sS][iI][pP][sS]?):(?:([{USER}]++)@|)'
    rf"([A-Za-z0-9][A-Za-z0-9._\-]*+)(?::([1-9][0-9]{{0,4}}+)|){PARAMS}>"
).fullmatch


class NameAddr:
    """A display name (unquoted, "" if none), a URI and the header's parameters; never changed.

    ``tag`` is the tag parameter, or "" (RFC 3261 19.3).
    """

    __slots__ = ("display", "params", "tag", "uri")

    def __init__(self, display: str, uri: Uri, params: Params = ()) -> None:
        self.display: Final = display
        self.uri: Final = uri
        self.params: Final = params
        self.tag: Final = (find_param(params, "tag") or "") if params else ""

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, NameAddr)
            and self.display == other.display
            and self.uri == other.uri
            and self.params == other.params
        )

    def __hash__(self) -> int:
        return hash((self.display, self.uri, self.params))

    def param(self, name: str) -> str | None:
        """The value of a header parameter (lower-case name): "" without a value, None if absent."""
        return find_param(self.params, name)

    def __str__(self) -> str:
        address = f"<{self.uri}>{format_params(self.params)}"
        return f"{quote(self.display)} {address}" if self.display else address


def parse_name_addr(text: str) -> NameAddr:
    """Read one name-addr or addr-spec with its parameters; raises ParseError."""
    return _recent(text) if len(text) <= LONGEST_KEPT else _parse(text)


def _parse(text: str) -> NameAddr:
    # A tag is new with each call, and in To with the first response; what stands before it is not.
    before, found, tag = text.partition(">;tag=")
    if found and is_token(tag):
        address = parse_name_addr(f"{before}>")
        if not address.params:
            return NameAddr(address.display, address.uri, (("tag", tag),))
    match = _common(text)
    if match is not None and "%" not in text:
        quoted, bare, scheme, user, host, port, params = match.groups()
        number = int(port) if port else None
        if number is None or number <= 65535:
            uri = Uri(scheme.lower(), user or "", None, host, number, split_params(params))
            display = bare.rstrip(" ") if quoted is None else quoted
            return NameAddr(display, uri)
    match = _name_addr(text)
    if match is None:
        return _parse_addr_spec(text)
    quoted, bare, inside, rest = match.groups()
    display = unescape(quoted) if quoted is not None else bare.rstrip(BLANKS)
    return NameAddr(display, parse_uri(inside), parse_params(rest) if rest else ())


def _parse_addr_spec(text: str) -> NameAddr:
    # Without brackets every parameter is the header's, and "?" and "," may not occur (RFC 3261 20).
    uri, semicolon, rest = text.partition(";")
    uri = uri.strip(BLANKS)
    if "?" in uri or "," in uri or '"' in uri:
        raise ParseError("malformed address")
    return NameAddr("", parse_uri(uri), parse_params(semicolon + rest) if semicolon else ())


# The same From, To and Contact come in every message of a dialog: each is parsed once.
_recent: Final = recent(_parse)
