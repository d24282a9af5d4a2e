"""Machines that are told what happens: ``hep`` and ``log.syslog`` of sbc.yaml, and what is made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, NamedTuple

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from sbc.base import Address
from sbc.config.values import Name, Strict, TextOr, parse_address
from sbc.tls.material.identity import IdentityMaterial

Way = Literal["udp", "tcp", "tls"]
#: RFC 5424 6.2.1: the facilities that daemons and sites may use.
FACILITIES: Final = {"daemon": 3, **{f"local{each}": 16 + each for each in range(8)}}
Facility = Literal["daemon", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"]

_TO: Final = re.compile(r"(udp|tcp|tls):(.+)").fullmatch


class Destination(NamedTuple):
    """How a collector is reached, and where."""

    way: Way
    address: Address

    def __str__(self) -> str:
        return f"{self.way}:{self.address}"


def parse_destination(value: object) -> Destination:
    """Read ``udp:host:port``, ``tcp:`` or ``tls:``; ValueError otherwise."""
    if isinstance(value, Destination):
        return value
    found = _TO(str(value).strip())
    if found is None:
        raise ValueError(
            f"{value!r} does not say how and where: write udp:HOST:PORT, tcp:HOST:PORT or tls:HOST:PORT"
        )
    way: Any = found[1]
    address = parse_address(found[2])
    if not address.port:
        raise ValueError(f"{value!r} has no port: write one, such as {way}:{address.host}:9060")
    return Destination(way, address)


To = Annotated[
    Destination,
    BeforeValidator(parse_destination),
    WithJsonSchema({"type": "string", "examples": ["udp:10.0.0.7:9060", "tls:log.example.com:6514"]}),
]


class Collecting(Strict):
    """A machine that is told something: where it is, and of TLS whom we trust to be it and who we are to it.

    ``ca`` is a file of the CAs that its certificate may be of, in place of the public ones; ``identity`` is
    what we show it.
    """

    to: To
    ca: str | None = Field(default=None, min_length=1)
    identity: Name | None = None

    @model_validator(mode="after")
    def _of_tls(self) -> Collecting:
        if self.to.way != "tls" and (self.ca or self.identity):
            raise ValueError("ca and identity are for TLS: write to: tls:HOST:PORT, or leave them out")
        return self


class Hep(Collecting):
    """The collector of SIP messages (HEP version 3), our number there, and the file of its password."""

    id: int = Field(default=2001, ge=1, le=0xFFFFFFFF)
    password_file: str | None = Field(default=None, min_length=1)


class Syslog(Collecting):
    """The collector of the journal (RFC 5424), and the facility that our lines have there."""

    facility: Facility = "local0"


def _only_to(value: object) -> object:
    return {"to": value} if isinstance(value, str) else value


ToSyslog = Annotated[Syslog | None, BeforeValidator(_only_to), TextOr("tls:log.example.com:6514")]
ToHep = Annotated[Hep | None, BeforeValidator(_only_to), TextOr("udp:127.0.0.1:9060")]


@dataclass(frozen=True, slots=True)
class Collector:
    """A collector with all that reaching it takes; ``broken`` says why it cannot be reached, "" where it can.

    ``ca_pem`` is empty for the public CAs. ``number`` is our number or the facility there.
    """

    to: Destination
    number: int
    ca_pem: str = ""
    identity: IdentityMaterial | None = None
    password: bytes = field(default=b"", repr=False)
    broken: str = ""
