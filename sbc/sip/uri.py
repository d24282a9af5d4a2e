"""URIs (RFC 3261 19.1, RFC 3966) and name-addr, the form of From, To, Contact, Route and their kin (20.10).

SIP, SIPS and tel are read; other schemes are carried opaquely.

One pattern reads a whole SIP URI. It is a little wider than the grammar where devices are known to
be (``#`` in a user, ``_`` in a host, ``@`` with no user before it), and strict wherever two readers
could disagree about where the user ends and the host begins: one ``@``, no blanks, no quotes, no angle
brackets.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address
from typing import Any, Final

from dsl.addresses import Party, escape_user, party
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

USER: Final = r"A-Za-z0-9\-_.!~*'()&=+$,;?/%#\[\]^`{|}"
_PASSWORD: Final = r"A-Za-z0-9\-_.!~*'()&=+$,%"
_PARAM: Final = r"A-Za-z0-9\-_.!~*'()\[\]/:&+$%#^`{|}"
PARAMS: Final = rf"(;[{_PARAM}][{_PARAM}=]*+(?:;[{_PARAM}][{_PARAM}=]*+)*|)"
HOST: Final = r"(?:\[([0-9A-Fa-f:.]++)\]|([A-Za-z0-9][A-Za-z0-9._\-]*+))"

_sip: Final = re.compile(
    rf"([sS][iI][pP][sS]?):(?:([{USER}]++)(?::([{_PASSWORD}]*+)|)@|@|){HOST}(?::([0-9]{{1,5}}+)|)"
    rf"{PARAMS}(?:\?([!#-;=?-~]++)|)"
).fullmatch
_tel: Final = re.compile(rf"[tT][eE][lL]:([0-9A-Fa-f*#+\-.()]++){PARAMS}").fullmatch
_other: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*+):([!#-;=?-~]++)").fullmatch
_bad_escape: Final = re.compile(r"%(?![0-9A-Fa-f]{2})").search


class Uri:
    """A URI, never changed; ``host`` without brackets, escapes left as they were written.

    For a scheme other than sip and sips ``host`` is "" and ``user`` holds the number (tel) or
    everything after the colon.
    """

    __slots__ = ("_party", "headers", "host", "params", "password", "port", "scheme", "user")

    def __init__(
        self, scheme: str, user: str = "", password: str | None = None, host: str = "",
        port: int | None = None, params: Params = (), headers: str = "",
    ) -> None:  # fmt: skip
        self.scheme: Final = scheme
        self.user: Final = user
        self.password: Final = password
        self.host: Final = host
        self.port: Final = port
        self.params: Final = params
        self.headers: Final = headers
        self._party: Party | None = None

    def parts(self) -> dict[str, Any]:
        """All that it is made of, by the names of the attributes."""
        return {
            "scheme": self.scheme, "user": self.user, "password": self.password, "host": self.host,
            "port": self.port, "params": self.params, "headers": self.headers,
        }  # fmt: skip

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Uri) and self.parts() == other.parts()

    def __hash__(self) -> int:
        return hash(str(self))

    @property
    def party(self) -> Party:
        """Who or what it names, in the one form of all its spellings: what rules see and what is sent on."""
        read = self._party
        if read is None:
            read = self._party = party(self.scheme, self.user, self.host, self.port or 0, self.params)
        return read

    def param(self, name: str) -> str | None:
        """The value of a URI parameter (lower-case name): "" without a value, None if absent."""
        return find_param(self.params, name) if self.params else None

    def with_(self, **changes: Any) -> Uri:
        """A copy with other parts, ``user`` escaped where it must be; raises ValueError if that is no URI."""
        if "user" in changes and self.scheme in ("sip", "sips"):
            changes["user"] = escape_user(changes["user"])
        uri = Uri(**{**self.parts(), **changes})
        try:
            same = parse_uri(str(uri)) == uri
        except ParseError:
            same = False
        if not same:
            raise ValueError(f"these parts do not make a {self.scheme} URI: {', '.join(sorted(changes))}")
        return uri

    def __str__(self) -> str:
        host = self.host
        text = f"{self.scheme}:{self.user}"
        if self.password is not None:
            text += f":{self.password}"
        if host:
            if self.user:
                text += "@"
            text += f"[{host}]" if ":" in host else host
        if self.port is not None:
            text += f":{self.port}"
        if self.params:
            text += format_params(self.params)
        return f"{text}?{self.headers}" if self.headers else text

    def __repr__(self) -> str:
        hidden = self if self.password is None else Uri(**{**self.parts(), "password": "***"})
        return f"<Uri {hidden}>"


def parse_uri(text: str) -> Uri:
    """Read a URI of any scheme; raises ParseError (a PeerError, status 400)."""
    return _recent_uris(text) if len(text) <= LONGEST_KEPT else _parse_uri(text)


def _parse_uri(text: str) -> Uri:
    match = _sip(text)
    if match is None:
        return _parse_other(text)
    scheme, user, password, ipv6, host, port, params, headers = match.groups()
    if "%" in text and _bad_escape(text):
        raise ParseError("malformed escape in a URI")
    if ipv6 is not None:
        host = check_ipv6(ipv6)
    if user is None and headers and "@" in headers:
        raise ParseError("malformed URI")  # whoever looks for an @ would find another host
    number = None
    if port is not None:
        number = int(port)
        if number > 65535:
            raise ParseError("port out of range in a URI")
    return Uri(scheme.lower(), user or "", password, host, number, split_params(params), headers or "")


# The ACK and the BYE of a dialog have the same Request-URI.
_recent_uris: Final = recent(_parse_uri)


def _parse_other(text: str) -> Uri:
    if match := _tel(text):
        return Uri("tel", match[1], params=split_params(match[2]))
    match = _other(text)
    if match is None or match[1].lower() in ("sip", "sips", "tel"):
        raise ParseError("malformed URI")
    return Uri(match[1].lower(), match[2])


def split_params(text: str) -> Params:
    """Split URI parameters that a pattern has already accepted."""
    if not text:
        return ()
    pairs = [each.partition("=") for each in text[1:].split(";")]
    return tuple([(name, value if equals else None) for name, equals, value in pairs])


def check_ipv6(text: str) -> str:
    """Return an IPv6 address as it was written; raises ParseError if it is none."""
    try:
        IPv6Address(text)
    except AddressValueError:
        raise ParseError("malformed IPv6 address") from None
    return text


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
    return _recent_name_addrs(text) if len(text) <= LONGEST_KEPT else _parse_name_addr(text)


def _parse_name_addr(text: str) -> NameAddr:
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
_recent_name_addrs: Final = recent(_parse_name_addr)
