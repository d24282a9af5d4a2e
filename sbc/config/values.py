"""The scalar values of the configuration: how each is written, and what is said when it is not.

Every reader raises ValueError with a text of the form ``what is wrong: what to write instead``;
the part behind the colon becomes the hint.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic_core import CoreSchema

from dsl.addresses import canonical_host, canonical_user
from sbc.base import Address
from sbc.media.early import OFFERABLE
from sbc.media.policy import SUITES
from sbc.policy.bodies import KINDS
from sbc.policy.customers import Numbers
from sbc.tls.groups import GROUPS
from sbc.tls.material.pins import parse_pin
from sbc.tls.names import is_ip

_NUMBERS = (int, float, int | None, float | None)


class Strict(BaseModel):
    """What the files say, frozen; a key that is not known is a mistake."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*", mode="before")
    @classmethod
    def _counted(cls, given: Any, about: ValidationInfo) -> Any:
        """``true`` is no number: a limit of it would be one of one. Times and shares say so themselves."""
        field = cls.model_fields[about.field_name or ""]
        own = any([isinstance(each, BeforeValidator) for each in field.metadata])
        if isinstance(given, bool) and field.annotation in _NUMBERS and not own:
            raise ValueError(
                f"expected a number, found {str(given).lower()}: write a number, or remove the key"
            )
        return given


_LONGEST = 36_500 * 86_400.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(ms|s|m|h|d|)").fullmatch
_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?(?:/ ?s)?").fullmatch
_HOST_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9_](?:[A-Za-z0-9._-]*))):([0-9]{1,5})").fullmatch
_HOST = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,252})").fullmatch
_ACCOUNT = re.compile(r"[A-Za-z0-9\-_.!~*'()&=+$,;?/%]+").fullmatch
_PRINTABLE = re.compile(r"[!-~](?:[ -~]{0,98}[!-~])?").fullmatch
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}").fullmatch
_HTTPS = re.compile(r"https://[A-Za-z0-9._\[\]:-]+(/\S*)?").fullmatch
_SIZE = re.compile(r"([0-9]{1,15}) ?([KMGTkmgt]?)(?:i?B)?").fullmatch
_SHIFTS = {"": 0, "K": 10, "M": 20, "G": 30, "T": 40}
_CODE_POINT = re.compile(r"[0-9]{1,2}").fullmatch
#: RFC 2474 (CS), 2597 (AF), 3246 (EF), 5865 (VA) and 8622 (LE); `default` is best effort.
_DSCP = {
    "default": 0, "be": 0, "le": 1, "ef": 46, "va": 44,
    **{f"cs{each}": each << 3 for each in range(8)},
    **{f"af{each}{drop}": (each << 3) + (drop << 1) for each in range(1, 5) for drop in range(1, 4)},
}  # fmt: skip
_NUMBER = re.compile(r"\+?[0-9]{1,32}").fullmatch
_PORTS = re.compile(r"([0-9]{1,5}) ?- ?([0-9]{1,5})").fullmatch


def parse_duration(value: object) -> float:
    """Read ``60s``, ``5m``, ``1h``, ``2d``, ``250ms`` or a number of seconds; ValueError otherwise."""
    found = None if isinstance(value, bool) else _DURATION(str(value).strip())
    if found is None:
        raise ValueError(f"{value!r} is not a duration: write a number and ms, s, m, h or d, such as 60s")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds <= 0:
        raise ValueError(f"{value!r} is no time at all: write a duration above zero, such as 60s")
    if seconds > _LONGEST:
        raise ValueError(f"{str(value)[:20]} is longer than anything lasts: the most is 36500d, a century")
    return seconds


def parse_rate(value: object) -> float:
    """Read ``2000/s`` or a number, so many a second; ValueError otherwise."""
    found = None if isinstance(value, bool) else _RATE(str(value).strip())
    if found is None:
        raise ValueError(f"{value!r} is not a rate: write a number a second, such as 2000/s")
    return float(found[1])


def parse_size(value: object) -> int:
    """Read ``500M``, ``20G``, ``1T`` (of 1024 each) or a number of bytes; ValueError otherwise."""
    found = None if isinstance(value, bool) else _SIZE(str(value).strip())
    size = int(found[1]) << _SHIFTS[found[2].upper()] if found is not None else 0
    if size <= 0:
        raise ValueError(f"{value!r} is not a size: write a number of bytes, or one and K, M, G or T: 20G")
    return size


def parse_dscp(value: object) -> int:
    """Read a DSCP by its name (``ef``, ``cs3``, ``af31``) or number, 0 to 63; ValueError otherwise."""
    text = "" if isinstance(value, bool) else str(value).strip().lower()
    found = int(text) if _CODE_POINT(text) and text.isascii() else _DSCP.get(text, 64)
    if found > 63:
        hint = "write ef, cs0 to cs7, af11 to af43 or a number from 0 to 63"
        if text.isdigit() or text.startswith("0x"):
            hint += "; that of a TOS or traffic class byte divided by 4"
        raise ValueError(f"{value!r} is not a DSCP: {hint}")
    return found


def parse_address(value: object) -> Address:
    """Read ``host:port`` or ``[ipv6]:port``; ValueError otherwise."""
    if isinstance(value, Address):
        return value
    found = _HOST_PORT(str(value).strip())
    if found is None:
        raise ValueError(f"{value!r} is not an address with a port: write {_with_port(str(value))}")
    if int(found[3]) > 65535:
        raise ValueError(f"port {found[3]} does not exist: the highest is 65535")
    return Address(found[1] or _named(found[2]), int(found[3]))


def _named(host: str) -> str:
    """A host name, or an IPv4 address; ValueError for what only looks like one (RFC 3261 25.1, toplabel).

    A resolver reads 10.0.0.010 as 10.0.0.8 and 127.1 as 127.0.0.1, and of 300.0.0.1 nobody ever answers.
    """
    last = host.removesuffix(".").rpartition(".")[2].lower()
    if (last.isdigit() or last.startswith("0x")) and not is_ip(host):
        hint = "write four numbers from 0 to 255 without leading zeros, such as 203.0.113.9, or a name"
        raise ValueError(f"{host!r} looks like an address and is none: {hint}")
    if ".." in host:
        raise ValueError(f"{host!r} has nothing between two dots: remove one of them")
    return host


def is_domain(value: object) -> bool:
    """Whether ``value`` is a host name without a port, whose servers DNS names (RFC 3263 4)."""
    return isinstance(value, str) and bool(_HOST(value.strip())) and not is_ip(value.strip())


def with_port(given: dict[str, Any]) -> dict[str, Any]:
    """The words of a peer, which has a port if it is an address; ValueError."""
    host = given.get("host")
    if isinstance(host, str) and "port" not in given and is_ip(host.strip("[]")):
        raise ValueError(f"{host!r} is an address and has no port: write port: 5061 beside it")
    return given


def parse_name_server(value: object) -> Address:
    """Read a DNS server, an address with or without a port (53); ValueError otherwise."""
    text = str(value).strip()
    if is_ip(text.strip("[]")):
        return Address(text.strip("[]"), 53)
    found = _HOST_PORT(text)
    if found is None or not is_ip(found[1] or found[2]):
        raise ValueError(
            f"{value!r} is not the address of a DNS server: write one such as 10.0.0.53; no names"
        )
    return parse_address(text)


def parse_ports(text: str) -> tuple[int, int]:
    """Read ``first-last``, both included; at least one pair. ValueError otherwise."""
    found = _PORTS(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not a range of ports: write first-last, such as 20000-29999")
    first, last = int(found[1]), int(found[2])
    if first < 1 or last > 65535 or first + first % 2 >= last:  # RTP has the even one, RTCP the next
        raise ValueError(
            f"{text!r} holds no pair of ports: write first-last, from 1024 to 65535, such as 20000-29999"
        )
    return first, last


def parse_numbers(value: object) -> Numbers:
    """Read the beginning of numbers, or a block, ``+4930100..+4930199``; ValueError otherwise."""
    if isinstance(value, Numbers):
        return value
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is not a text: put numbers in quotes, such as "+4930100"')
    low, dots, high = (canonical_user(each.strip()) for each in value.partition(".."))
    if not _NUMBER(low) or (dots and not _NUMBER(high)):
        hint = 'write its beginning, such as "+4930100", or a block, "+4930100..+4930199"'
        raise ValueError(f"{value!r} is not a number: {hint}")
    if dots and (len(low) != len(high) or low[:1] + high[:1] in ("+0", "0+") or low > high):
        hint = 'write the first and the last of one length, such as "+4930100..+4930199"'
        raise ValueError(f"{value!r} is no block of numbers: {hint}")
    return Numbers(low, high if dots else "")


def _with_port(text: str) -> str:
    if text.isdigit():
        return f"the host before it, such as 203.0.113.9:{text[:5]}"
    if _HOST(text):
        _named(text)
    if ":" in text and not text.startswith("["):
        return f"[{text}]:5061" if text.count(":") > 1 else "host:port, such as 203.0.113.9:5061"
    return f"{text}:5061" if _HOST(text) else "host:port, such as 203.0.113.9:5061"


def _network(text: str) -> str:
    if "%" in text:
        raise ValueError(f"{text!r} names an interface, which no network has: leave it out, with the %")
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(
            f"{text!r} is not a network: write an address or CIDR, such as 52.112.0.0/14; no names"
        ) from None
    address = ipaddress.ip_interface(text).ip
    if address != network.network_address:
        raise ValueError(
            f"{text!r} has bits set behind its prefix: write {network}, or {address} for one host"
        )
    return str(network)


def _ip(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError(
            f"{text!r} is not an IP address: media needs a literal one, such as 203.0.113.9"
        ) from None


def _ports(text: str) -> str:
    first, last = parse_ports(text)
    return f"{first}-{last}"


def _host(text: str) -> str:
    if not _HOST(text):
        raise ValueError(f"{text!r} is not a host name: write letters, digits, dots and hyphens")
    return _named(text)


def _peer_host(text: str) -> str:
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in bare:
        try:
            return str(ipaddress.IPv6Address(bare))
        except ValueError:
            raise ValueError(
                f"{text!r} is neither a host nor an address: write the host alone, and its port as `port:`"
            ) from None
    return _host(bare)


def _srv(text: str) -> str:
    if not is_domain(text):
        raise ValueError(
            f"{text!r} is not a domain: write the domain alone, such as carrier.example;"
            " an address goes to `peers`, with its port"
        )
    return text


def _domain(text: str) -> str:
    return "*." + _host(text[2:]) if text.startswith("*.") else _host(text)


def _name(text: str) -> str:
    if not _NAME(text):
        raise ValueError(
            f"{text!r} cannot be a name: write letters, digits, dots and hyphens, such as carrier-a"
        )
    return text


def _one_of(text: str, known: tuple[str, ...], what: str) -> str:
    if text not in known:
        raise ValueError(f"{text!r} is not {what}: write one of {', '.join(known)}")
    return text


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _https(text: str) -> str:
    if not _HTTPS(text):
        raise ValueError(f"{text!r} is not an https address: write https://host/path")
    return text


def _account(text: str) -> str:
    if not _ACCOUNT(text):
        raise ValueError(f"{text!r} cannot be a user: write the part before the @, such as 4930123456")
    return text


def _agent(text: str) -> str:
    if not _PRINTABLE(text):
        raise ValueError(f"{text!r} cannot be sent as a name: write printable ASCII, such as Portcullis")
    return text


def _suite(text: str) -> str:
    return _one_of(text, SUITES, "an SRTP suite")


def _group(text: str) -> str:
    return _one_of(text, GROUPS, "a key-exchange group")


def _offered(text: str) -> str:
    return _one_of(text.upper(), OFFERABLE, "a codec that we can offer")


def _body(text: str) -> str:
    return _one_of(text, tuple(KINDS), "a body that can cross")


def _filled(text: str) -> str:
    if not text.strip():
        raise ValueError("nothing is given: write a file name")
    return text


Duration = Annotated[
    float,
    BeforeValidator(parse_duration),
    WithJsonSchema({"type": ["string", "number"], "examples": ["60s"]}),
]
Size = Annotated[
    int,
    BeforeValidator(parse_size),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["20G"]}),
]
Rate = Annotated[
    float,
    BeforeValidator(parse_rate),
    WithJsonSchema({"type": ["string", "number"], "examples": ["2000/s"]}),
]
Dscp = Annotated[
    int,
    BeforeValidator(parse_dscp),
    WithJsonSchema({"type": ["string", "integer"], "examples": ["ef", "cs3", 46]}),
]
HostPort = Annotated[
    Address,
    BeforeValidator(parse_address),
    WithJsonSchema({"type": "string", "examples": ["127.0.0.1:5061", "[::1]:5061"]}),
]
Network = Annotated[str, AfterValidator(_network)]
IpAddress = Annotated[str, AfterValidator(_ip)]
PortRange = Annotated[str, AfterValidator(_ports)]
Host = Annotated[str, AfterValidator(_host)]
PeerHost = Annotated[str, AfterValidator(_peer_host)]
NameServer = Annotated[
    Address,
    BeforeValidator(parse_name_server),
    WithJsonSchema({"type": "string", "examples": ["10.0.0.53", "127.0.0.1:5353", "[::1]:53"]}),
]
SrvDomain = Annotated[str, AfterValidator(_srv)]
HttpsUrl = Annotated[str, AfterValidator(_https)]
Domain = Annotated[str, AfterValidator(_domain)]
Name = Annotated[str, AfterValidator(_name)]
AgentName = Annotated[str, AfterValidator(_agent)]
AccountName = Annotated[str, AfterValidator(_account)]
OfferedCodec = Annotated[str, AfterValidator(_offered)]
BodyKind = Annotated[str, AfterValidator(_body)]
Suite = Annotated[str, AfterValidator(_suite)]
Group = Annotated[str, AfterValidator(_group)]
# One text, or a list of them.
_SEVERAL = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
)
Several = Annotated[tuple[Annotated[str, AfterValidator(_filled)], ...], BeforeValidator(_several), _SEVERAL]
Pins = Annotated[tuple[Annotated[str, AfterValidator(parse_pin)], ...], BeforeValidator(_several), _SEVERAL]


CalledHosts = Annotated[
    tuple[Annotated[PeerHost, AfterValidator(canonical_host)], ...], BeforeValidator(_several), _SEVERAL
]
CalledNumbers = Annotated[
    tuple[Annotated[Numbers, BeforeValidator(parse_numbers)], ...],
    BeforeValidator(lambda given: (given,) if isinstance(given, str | int) else given),
    _SEVERAL,
]


class TextOr:
    """Tells an editor that one text, such as ``example``, may stand in place of keys and values."""

    def __init__(self, example: str) -> None:
        self._example = example

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"anyOf": [{"type": "string", "examples": [self._example]}, handler(schema)]}
