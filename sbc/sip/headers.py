"""The header fields of a message: order and spelling kept, found by any spelling of their name.

Beside ``fields`` goes ``first``: the value of the first field of each canonical name, which is what
nearly every look-up asks for; where it is as long as ``fields``, none is there twice. ``views`` holds
what the typed accessors of ``Message`` have made of the fields; every change here drops it, so that
no caller has to remember to. CSeq and Via are read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from sbc.sip.grammar import (
    LONGEST_KEPT,
    TOKEN,
    Params,
    ParseError,
    decimal,
    find_param,
    format_params,
    is_token,
    parse_params,
    recent,
    split_commas,
)
from sbc.sip.uri import HOST, NameAddr, check_ipv6

Field = tuple[str, str]

_via: Final = re.compile(
    rf"[sS][iI][pP][ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+([{TOKEN}]++)[ \t]++{HOST}"
    r"(?:[ \t]*+:[ \t]*+([0-9]{1,5}+)|)[ \t]*+(;.*+|)",
    re.S,
).fullmatch
# The methods of RFC 3261 and its extensions; a look-up here spares matching a token.
KNOWN_METHODS: Final = frozenset(
    "INVITE ACK BYE CANCEL OPTIONS PRACK UPDATE INFO REGISTER SUBSCRIBE NOTIFY PUBLISH MESSAGE REFER".split()
)

COMPACT: Final = {
    "a": "accept-contact", "b": "referred-by", "c": "content-type", "d": "request-disposition",
    "e": "content-encoding", "f": "from", "i": "call-id", "j": "reject-contact", "k": "supported",
    "l": "content-length", "m": "contact", "o": "event", "r": "refer-to", "s": "subject", "t": "to",
    "u": "allow-events", "v": "via", "x": "session-expires", "y": "identity",
}  # fmt: skip
_LONG = """
    Accept Accept-Encoding Accept-Language Alert-Info Allow Authorization CSeq Call-ID Call-Info
    Content-Disposition Content-Language Date Diversion Expires History-Info In-Reply-To MIME-Version
    Max-Forwards Min-Expires Min-SE Organization P-Asserted-Identity P-Preferred-Identity P-Early-Media
    P-Charging-Vector Path Priority Privacy Proxy-Authenticate Proxy-Authorization Proxy-Require RAck RSeq
    Reason Record-Route Refer-Sub Replaces Replies Reply-To Require Retry-After Route Server Service-Route
    Subscription-State Target-Dialog Timestamp Unsupported User-Agent WWW-Authenticate Warning
    From To Via Contact Content-Type Content-Length Content-Encoding Supported Subject Event Allow-Events
    Refer-To Referred-By Session-Expires Identity Accept-Contact Reject-Contact Request-Disposition
    Remote-Party-ID
""".split()


_NO_TOKEN: Final = "a header name must be a token (RFC 3261 25.1)"
# Every known spelling to its canonical name; ``canonical`` lower-cases the others, which are not kept.
CANONICAL: Final[dict[str, str]] = {}
for _name in _LONG:
    CANONICAL.update({_name: _name.lower(), _name.lower(): _name.lower(), _name.upper(): _name.lower()})
for _short, _name in COMPACT.items():
    CANONICAL.update({_short: CANONICAL[_name], _short.upper(): CANONICAL[_name]})


def canonical(name: str) -> str:
    """The name in small letters and long (RFC 3261 7.3.1, 7.3.3), by which names compare."""
    key = CANONICAL.get(name)
    if key is not None:
        return key
    lower = name.lower()
    return COMPACT.get(lower, lower)


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
    digits, _, method = text.partition(" ")
    if "\t" in text or method.startswith(" "):
        digits, _, method = text.replace("\t", " ").partition(" ")
        method = method.lstrip(" ")
    number = decimal(digits)
    if number is None or number >= 1 << 31 or not (method in KNOWN_METHODS or is_token(method)):
        raise ParseError("malformed CSeq")
    return CSeq(number, method)


class Via:
    """One Via value, never changed: ``transport`` in upper case, ``host`` without brackets.

    ``branch`` is the branch parameter, or "" (RFC 2543 peers send none).
    """

    __slots__ = ("branch", "host", "params", "port", "transport")

    def __init__(self, transport: str, host: str, port: int | None = None, params: Params = ()) -> None:
        self.transport: Final = transport
        self.host: Final = host
        self.port: Final = port
        self.params: Final = params
        self.branch: Final = find_param(params, "branch") or ""

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Via)
            and self.transport == other.transport
            and self.host == other.host
            and self.port == other.port
            and self.params == other.params
        )

    def __hash__(self) -> int:
        return hash((self.transport, self.host, self.port, self.params))

    @property
    def received(self) -> str | None:
        """The received address without brackets, or None (RFC 3261 18.2.1, RFC 5118 4.5)."""
        value = find_param(self.params, "received")
        return value.strip("[]") if value else None

    @property
    def rport(self) -> int | None:
        """The port in rport; 0 where it is present and empty, None where absent (RFC 3581)."""
        value = find_param(self.params, "rport")
        if not value:
            return None if value is None else 0
        if not (value.isascii() and value.isdigit()) or len(value) > 5 or int(value) > 65535:
            raise ParseError("malformed rport")
        return int(value)

    @property
    def maddr(self) -> str | None:
        """The maddr parameter without brackets, or None."""
        value = find_param(self.params, "maddr")
        return value.strip("[]") if value else None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {host}{port}{format_params(self.params)}"


def parse_via(text: str) -> Via:
    """Read one Via value; raises ParseError."""
    # All but the branch is the same in every message of a peer.
    place, found, branch = text.partition(";branch=")
    if not found or len(text) > LONGEST_KEPT or '"' in text:
        return _parse_via(text)
    if ";" not in branch:  # it is the last, as most write it
        via = _recent_via(place)
        if is_token(branch) and find_param(via.params, "branch") is None:
            return Via(via.transport, via.host, via.port, via.params + (("branch", branch),))
        return _parse_via(text)
    branch, _, tail = branch.partition(";")
    if not is_token(branch):
        return _parse_via(text)
    via = _recent_via(f"{place};branch;{tail}")
    params = tuple([(name, branch if name == "branch" else value) for name, value in via.params])
    return Via(via.transport, via.host, via.port, params)


def _parse_via(text: str) -> Via:
    match = _via(text)
    if match is None:
        raise ParseError("malformed Via")
    transport, ipv6, host, port, rest = match.groups()
    if ipv6 is not None:
        host = check_ipv6(ipv6)
    number = None
    if port is not None:
        number = int(port)
        if number > 65535:
            raise ParseError("port out of range in Via")
    return Via(transport.upper(), host, number, parse_params(rest) if rest else ())


_recent_via: Final = recent(_parse_via)


class Views:
    """What the accessors of ``Message`` have parsed so far; None where nobody has asked."""

    __slots__ = ("call_id", "contact", "cseq", "from_", "record_routes", "routes", "to", "via")

    def __init__(self) -> None:
        self.via: Via | None = None
        self.call_id: str | None = None
        self.cseq: CSeq | None = None
        self.from_: NameAddr | None = None
        self.to: NameAddr | None = None
        self.contact: NameAddr | None = None
        self.routes: list[NameAddr] | None = None
        self.record_routes: list[NameAddr] | None = None


class Headers:
    """Header fields in order; names compare by RFC 3261 7.3.1 (any case, compact form equal).

    ``fields`` and ``first`` are for reading: changes go through the methods, which keep them in step.
    """

    __slots__ = ("fields", "first", "views")

    def __init__(self, fields: Iterable[Field] = (), first: dict[str, str] | None = None) -> None:
        """Take ``fields``; who has found the ``first`` of each name already hands them over."""
        self.fields = list(fields)
        if first is None:
            first = {}
            for name, value in self.fields:
                first.setdefault(canonical(name), value)
        self.first = first
        self.views = Views()

    @property
    def unique(self) -> bool:
        """Whether no name is there twice."""
        return len(self.first) == len(self.fields)

    def get(self, name: str) -> str | None:
        """The value of the first field called ``name``, or None."""
        return self.first.get(canonical(name))

    def get_all(self, name: str) -> list[str]:
        """The values of all fields called ``name``, one for each field line."""
        key = canonical(name)
        if key not in self.first:
            return []
        if self.unique:
            return [self.first[key]]
        return [value for each, value in self.fields if canonical(each) == key]

    def values(self, name: str) -> list[str]:
        """All elements of a list header over all its lines, split at commas (RFC 3261 7.3.1)."""
        lines = self.get_all(name)
        if len(lines) == 1:
            return split_commas(lines[0])
        return [value for line in lines for value in split_commas(line)]

    def set(self, name: str, value: str) -> None:
        """Replace all fields called ``name`` by one, in place of the first or else at the end."""
        key = canonical(name)
        if key not in self.first:
            return self.add(name, value)
        if key not in CANONICAL and not is_token(name):
            raise ValueError(_NO_TOKEN)
        at = self.index(key)
        self.fields[at] = (name, value)
        if not self.unique:
            rest = [field for field in self.fields[at + 1 :] if canonical(field[0]) != key]
            self.fields[at + 1 :] = rest
        self.first[key] = value
        self.views = Views()
        return None

    def index(self, name: str) -> int:
        """Where the first field called ``name`` is; raises ValueError where there is none."""
        key = canonical(name)
        for at, (each, _) in enumerate(self.fields):
            if canonical(each) == key:
                return at
        raise ValueError(f"there is no {name}")

    def add(self, name: str, value: str) -> None:
        """Append a field; raises ValueError for a name that is not a token."""
        key = canonical(name)
        if key not in CANONICAL and not is_token(name):
            raise ValueError(_NO_TOKEN)
        self.fields.append((name, value))
        self.first.setdefault(key, value)
        self.views = Views()

    def extend(self, fields: Iterable[Field]) -> None:
        """Append ``fields``, whose names are tokens."""
        for field in fields:
            self.fields.append(field)
            self.first.setdefault(canonical(field[0]), field[1])
        self.views = Views()

    def remove(self, name: str) -> None:
        """Remove all fields called ``name``; none is fine."""
        key = canonical(name)
        if key not in self.first:
            return
        self.fields[:] = [field for field in self.fields if canonical(field[0]) != key]
        del self.first[key]
        self.views = Views()

    def copy(self) -> Headers:
        """An independent copy."""
        return Headers(self.fields, self.first.copy())

    def __contains__(self, name: str) -> bool:
        return canonical(name) in self.first

    def __len__(self) -> int:
        return len(self.fields)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<Headers {' '.join(name for name, _ in self.fields)}>"
