"""The configuration as the operator writes it: sbc.yaml and trunks.d/*.yaml, typed and frozen.

Durations are seconds (written ``60s``, ``5m``, ``1h`` or a number), sizes are bytes.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from sbc.base import Address
from sbc.media.policy import SUITES, Srtp

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> float:
    """Read ``60s``, ``5m``, ``1h``, ``2d``, ``250ms`` or a number of seconds; ValueError otherwise."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    text = str(value).strip()
    for unit in sorted(_UNITS, key=len, reverse=True):
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdigit():
            return float(number) * _UNITS[unit]
    raise ValueError(f"{text!r} is not a duration: write a number and ms, s, m, h or d, such as 60s")


def parse_address(value: object) -> Address:
    """Read ``host:port`` or ``[ipv6]:port``; ValueError otherwise."""
    if isinstance(value, Address):
        return value
    host, colon, port = str(value).rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{str(value)!r} is not an address: write host:port, such as 0.0.0.0:5061")
    return Address(host, int(port))


Duration = Annotated[float, BeforeValidator(parse_duration)]
HostPort = Annotated[Address, BeforeValidator(parse_address)]
TlsMode = Literal["off", "server", "optional", "required"]
Downgrade = Literal["allow", "warn", "forbid"]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Listener(_Model):
    """One bound address: its transport and the limits of its edge (rows S1 and S5)."""

    bind: HostPort
    transport: Literal["udp", "tcp", "tls"]
    advertise: HostPort | None = None
    handshake_timeout: Duration = 15.0
    handshakes_in_flight: int = Field(default=200, ge=1)
    connections: int = Field(default=10000, ge=1)
    idle_timeout: Duration = 600.0
    max_message: int = Field(default=65536, ge=4096)


class Identity(_Model):
    """A certificate chain and its private key: one entry of the keystore."""

    chain: str
    key: str
    passphrase_file: str | None = None


class TrustAnchor(_Model):
    """One entry of the truststore: a CA file, a pinned leaf file, or a public-key pin."""

    ca: str | None = None
    leaf: str | None = None
    pin: str | None = None
    public: bool = False
    permitted: tuple[str, ...] = ()


class Tenant(_Model):
    """A tenant: the SNI names that are its own and the identity they are answered with."""

    domains: tuple[str, ...]
    server_identity: str


class MediaConfig(_Model):
    """Where media is received: the bound address, what SDP says instead, and the ports."""

    address: str = "127.0.0.1"
    advertise: str | None = None
    ports: str = "20000-29999"
    timeout: Duration = 300.0


class Admin(_Model):
    """The Flask pages and the health endpoint."""

    bind: HostPort = Address("127.0.0.1", 8080)


class TrunkTls(_Model):
    """The TLS policy of one trunk, both directions (rows T1 to T8, T19 to T21)."""

    mode: TlsMode = "required"
    server_identity: str | None = None
    client_identity: str = "none"
    trust: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    name_match: Literal["rfc5922", "rfc2818"] = "rfc5922"
    client_eku: Literal["require", "allow-server-auth"] = "require"
    min_version: Literal["1.2", "1.3"] = "1.2"
    groups: tuple[str, ...] = ("X25519MLKEM768", "X25519", "P-256")


class Limits(_Model):
    """Upper bounds of one trunk; None is no bound. ``cps`` is new calls a second."""

    calls: int | None = Field(default=None, ge=0)
    cps: float | None = Field(default=None, ge=0)


class OptionsProbe(_Model):
    """How the trunk is probed with OPTIONS."""

    every: Duration = 60.0
    down_after: int = Field(default=3, ge=1)


class Trunk(_Model):
    """One trunk: who it is, how it is reached, and what is demanded of it."""

    trunk: str
    tenant: str | None = None
    peers: tuple[HostPort, ...] = ()
    sources: tuple[str, ...] = ()
    listener: str
    tls: TrunkTls | None = None
    srtp: Srtp = "accept"
    suites: tuple[str, ...] = SUITES
    sdes_in_clear: bool = False
    sips: Downgrade = "warn"
    scheme: Literal["sip", "sips"] = "sip"
    domain: str | None = None
    limits: Limits = Limits()
    options: OptionsProbe | None = None
    ring_timeout: Duration = 180.0
    dial_timeout: Duration = 5.0
    response_timeout: Duration = 32.0


class HookSettings(_Model):
    """How long a hook may take before its call is rejected."""

    timeout: Duration = 0.5


class Settings(_Model):
    """The whole of sbc.yaml."""

    listeners: dict[str, Listener]
    identities: dict[str, Identity] = {}
    trust: dict[str, TrustAnchor] = {}
    tenants: dict[str, Tenant] = {}
    media: MediaConfig = MediaConfig()
    admin: Admin | None = None
    hooks: HookSettings = HookSettings()
    control: str = "run/sbc.sock"
    state: str = "run"
    user_agent: str | None = None
