"""The Via header (RFC 3261 20.42, 18.2; rport: RFC 3581)."""

from __future__ import annotations

import re
from typing import Final

from sbc.sip.grammar import (
    LONGEST_KEPT,
    TOKEN,
    Params,
    ParseError,
    find_param,
    format_params,
    is_token,
    parse_params,
    recent,
)
from sbc.sip.uri import HOST, check_ipv6

_via: Final = re.compile(
    rf"[sS][iI][pP][ \t]*+/[ \t]*+2\.0[ \t]*+/[ \t]*+([{TOKEN}]++)[ \t]++{HOST}"
    r"(?:[ \t]*+:[ \t]*+([0-9]{1,5}+)|)[ \t]*+(;.*+|)",
    re.S,
).fullmatch


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
    place, found, rest = text.partition(";branch=")
    branch, more, tail = rest.partition(";")
    if not found or len(text) > LONGEST_KEPT or '"' in text or not is_token(branch):
        return _parse(text)
    # All but the branch is the same in every message of a peer.
    via = _recent(f"{place};branch{more}{tail}")
    params = tuple([(name, branch if name == "branch" else value) for name, value in via.params])
    return Via(via.transport, via.host, via.port, params)


def _parse(text: str) -> Via:
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


_recent: Final = recent(_parse)
