"""The configuration as the operator writes it: sbc.yaml and trunks.d/*.yaml, typed and frozen.

Durations are seconds (written ``60s``, ``5m``, ``1h`` or a number), sizes are bytes.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from dsl.decision import Downgrade
from sbc.base import Address
from sbc.config.alerts import Alerts
from sbc.config.answers import Answers
from sbc.config.blocklist import BlocklistSettings, MaybeBlocklist
from sbc.config.collect import ToHep
from sbc.config.control import CONTROL, STATE
from sbc.config.emergency import Emergency
from sbc.config.identity import CallerIdentity, Identified
from sbc.config.limits import Limits, Overload, TenantLimits
from sbc.config.log import Log
from sbc.config.lookup import LookupConfig, LookupName
from sbc.config.match import Match
from sbc.config.media import Marks, MediaConfig
from sbc.config.profiles import ProfileName, with_profile
from sbc.config.recordings import Recordings
from sbc.config.registrar import RegistrarSettings
from sbc.config.server import Dns, Server
from sbc.config.trace import Trace
from sbc.config.values import (
    AccountName,
    AgentName,
    BodyKind,
    Domain,
    Duration,
    Group,
    Host,
    HostPort,
    HttpsUrl,
    Name,
    Network,
    OfferedCodec,
    Pins,
    Rate,
    Several,
    SrvDomain,
    Strict,
    Suite,
    TextOr,
    parse_address,
    parse_duration,
    parse_ports,
)
from sbc.media.policy import STREAMS, SUITES, Srtp
from sbc.media.sdp import MAX_MEDIA
from sbc.policy.diversions import Diverted
from sbc.policy.identity import Trust
from sbc.policy.standing import Standing, Transfers
from sbc.sip.session_timer import LEAST
from sbc.tls.groups import DEFAULT_GROUPS
from sbc.tls.sources import parse_network

__all__ = [
    "Acme", "Admin", "Caps", "Dns", "Downgrade", "Emergency", "HookSettings", "Identity", "Limits",
    "Listener", "Match", "OptionsProbe", "Registration",
    "Revocation", "Server", "SessionTimer", "Settings", "Tenant", "TenantLimits", "TlsMode", "Trunk",
    "TrunkRevocation",
    "TrunkTls", "TrustAnchor",
    "parse_address", "parse_duration", "parse_ports",
]  # fmt: skip

TlsMode = Literal["off", "server", "optional", "required"]
RevocationMode = Literal["off", "soft", "hard"]
RevocationMethod = Literal["staple", "crl", "ocsp"]


class Listener(Strict):
    """One bound address: its transport and the limits of its edge.

    ``network`` is where media of its trunks is received, one of ``media.networks``. ``proxy_protocol`` are
    load balancers, which say before the first octet of each connection where it comes from.
    """

    bind: HostPort
    transport: Literal["udp", "tcp", "tls"]
    advertise: HostPort | None = None
    handshake_timeout: Duration = 15.0
    handshakes_in_flight: int = Field(default=200, ge=1)
    connections: int = Field(default=10000, ge=1)
    idle_timeout: Duration = 600.0
    max_message: int = Field(default=65536, ge=4096)
    network: Name | None = None
    proxy_protocol: tuple[Network, ...] = ()

    @model_validator(mode="after")
    def _balanced(self) -> Listener:
        if self.proxy_protocol and self.transport == "udp":
            raise ValueError(
                "proxy_protocol is for connections: take it out of this UDP listener, or use tcp or tls"
            )
        networks = self.proxy_protocol
        everybody = next((each for each in networks if not parse_network(each).prefixlen), None)
        if everybody is not None:
            raise ValueError(
                f"proxy_protocol {everybody} lets anybody say where it comes from: write the addresses of the"
                " load balancers, such as [10.0.0.5]"
            )
        return self


class Identity(Strict):
    """A certificate chain and its private key: one entry of the keystore.

    With ``acme`` both files are ours to write: the certificate is ordered for the domains of the
    tenants that the identity answers for.
    """

    chain: str = Field(min_length=1)
    key: str = Field(min_length=1)
    passphrase_file: str | None = None
    acme: StrictBool = False


class ExternalAccount(Strict):
    """What a directory gave to bind our account to one of its customers (RFC 8555 7.3.4)."""

    id: str = Field(min_length=1)
    key_file: str = Field(min_length=1)


class Acme(Strict):
    """The ACME directory (RFC 8555) that issues certificates, and where its HTTP-01 questions arrive.

    ``ca_file`` are the CAs of the directory's own HTTPS, where it is not a public one.
    """

    directory: HttpsUrl
    email: str | None = Field(default=None, pattern=r"^[^@\s]+@[^@\s]+$")
    ca_file: str | None = Field(default=None, min_length=1)
    external_account: ExternalAccount | None = None
    listen: HostPort = Address("0.0.0.0", 80)


class TrustAnchor(Strict):
    """One entry of the truststore: a file of CA certificates, pinned leaf certificates, or pinned keys.

    Exactly one of ``ca``, ``leaf`` and ``pin`` is given. ``public`` says that anybody can get a
    certificate of this CA, so that only a name check tells peers apart; ``permitted`` are the DNS
    suffixes that it may vouch for; ``contact`` is who answers for it; ``crl`` are files and URLs
    of the CA's revocation lists, beside those that certificates name themselves.
    """

    ca: str | None = Field(default=None, min_length=1)
    leaf: Several = ()
    pin: Pins = ()
    public: StrictBool = False
    permitted: tuple[str, ...] = ()
    contact: str | None = None
    crl: Several = ()

    @model_validator(mode="after")
    def _one_kind(self) -> TrustAnchor:
        given = [kind for kind in ("ca", "leaf", "pin") if getattr(self, kind)]
        if len(given) == 1:
            return self
        what = f"{' and '.join(given)} together" if given else "neither ca nor leaf nor pin"
        raise ValueError(f"{what}: write one of ca: FILE, leaf: FILE, pin: sha256/DIGITS; one kind an entry")

    @property
    def files(self) -> tuple[str, ...]:
        """The certificate files that the entry names."""
        return (self.ca,) if self.ca is not None else self.leaf


class Tenant(Strict):
    """A tenant: the SNI names that are its own, the identity they are answered with, and its limits."""

    domains: tuple[Domain, ...] = Field(min_length=1)
    server_identity: str
    limits: TenantLimits = TenantLimits()


class Admin(Strict):
    """The Flask pages and the health endpoint; ``hosts`` are further names that they are asked under."""

    bind: HostPort = Address("127.0.0.1", 8080)
    hosts: tuple[Host, ...] = ()


class Metrics(Strict):
    """The metrics on a port of their own; ``hosts`` are further names that they are asked under."""

    bind: HostPort = Address("127.0.0.1", 9464)
    hosts: tuple[Host, ...] = ()


class TrunkRevocation(Strict):
    """What a trunk demands about revoked certificates, and where it may be learned."""

    mode: RevocationMode = "soft"
    methods: tuple[RevocationMethod, ...] = Field(default=("staple", "crl", "ocsp"), min_length=1)


class TrunkTls(Strict):
    """The TLS policy of one trunk, both directions."""

    mode: TlsMode = "required"
    server_identity: str | None = None
    client_identity: str = "none"
    trust: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    name_match: Literal["rfc5922", "rfc2818"] = "rfc5922"
    client_eku: Literal["require", "allow-server-auth"] = "require"
    min_version: Literal["1.2", "1.3"] = "1.2"
    groups: tuple[Group, ...] = Field(default=DEFAULT_GROUPS, min_length=1)
    peer_trusts: tuple[str, ...] = ()
    revocation: TrunkRevocation = TrunkRevocation()


class SessionTimer(Strict):
    """The session timers of a trunk (RFC 4028); without ``expires`` only what its peers ask for is kept.

    ``min`` is the shortest session that its peers may ask for.
    """

    expires: Duration | None = None
    min: Duration = float(LEAST)

    @model_validator(mode="after")
    def _long_enough(self) -> SessionTimer:
        if self.min < LEAST:
            raise ValueError(f"min is {self.min:g}s: write {LEAST}s or more, the least that RFC 4028 allows")
        if self.expires is not None and self.expires < self.min:
            raise ValueError(
                f"expires, {self.expires:g}s, is under min, {self.min:g}s: write an expires of at least "
                f"{self.min:g}s, such as 1800s, or a lower min"
            )
        return self


class OptionsProbe(Strict):
    """How the trunk is probed with OPTIONS."""

    every: Duration = 60.0
    down_after: int = Field(default=3, ge=1)


class Registration(Strict):
    """As whom we register with a trunk's registrar, and prove who we are to it (RFC 3261 10.2, 22).

    ``user`` at ``domain`` is the address of record; without a domain it is the host of the first peer.
    The password is used for ``realm`` alone, under the name ``auth_user``, without one ``user``.
    ``outbound_proxy`` is the peer that REGISTER goes to, without one all of them in order; ``expires`` is
    asked for. With ``bulk`` one binding is for all numbers of the account (RFC 6140).
    """

    user: AccountName
    auth_user: str | None = Field(default=None, min_length=1)
    domain: Host | None = None
    realm: str = Field(min_length=1)
    password_file: str = Field(min_length=1)
    outbound_proxy: HostPort | None = None
    expires: Duration = Field(default=3600.0, ge=10, le=604800)
    bulk: StrictBool = False


def _or_off(value: object) -> object:
    if isinstance(value, str):
        if value.strip().lower() != "off":
            raise ValueError(f"{value!r} says nothing: write off, or {{expires: 1800s, min: 90s}}")
        return None
    if value is None:
        raise ValueError("nothing is given: write off, or {expires: 1800s, min: 90s}")
    return value


Timed = Annotated[
    SessionTimer | None, BeforeValidator(_or_off, json_schema_input_type=SessionTimer | Literal["off"])
]


class Trunk(Strict):
    """One trunk: who it is, how it is reached, and what is demanded of it.

    Without ``sources`` nobody may call in on it; without ``peers`` it cannot be called; ``srv`` stands for
    one peer, a domain.
    ``phones``: those who call on it are users of the ``registrar``, and prove a password.
    ``network`` is where its media is received, that of its listener unless given;
    ``media`` says whether its peers receive RTP where they send from (RFC 4961).
    One that is not ``enabled`` has no calls: nobody is admitted to it, and it is neither dialled nor probed.
    ``contact`` is who answers for the other side. ``redirects`` says what becomes of a 3xx of its peers,
    ``transfers`` of a REFER and of an INVITE with Replaces.
    """

    trunk: Name
    enabled: StrictBool = True
    profile: ProfileName | None = None
    contact: str | None = None
    tenant: str | None = None
    servers: tuple[Annotated[Server, TextOr("sip.carrier.example:5061")], ...] = Field(
        default=(), alias="peers"
    )
    srv: SrvDomain | None = None
    sources: tuple[Network, ...] = ()
    phones: StrictBool = False
    match: Match | None = None
    listener: str
    network: Name | None = None
    tls: TrunkTls | None = None
    srtp: Srtp = "accept"
    media: Literal["symmetric", "asymmetric"] = "symmetric"
    suites: tuple[Suite, ...] = Field(default=SUITES, min_length=1)
    sdes_in_clear: StrictBool = False
    sips: Downgrade = "warn"
    identity: Identified = CallerIdentity()
    scheme: Literal["sip", "sips"] = "sip"
    redirects: Literal["refuse", "pass", "expose", "follow"] = "refuse"
    transfers: Transfers = "refuse"
    domain: Host | None = None
    limits: Limits = Limits()
    options: OptionsProbe | None = None
    registration: Registration | None = Field(default=None, alias="register")
    ring_timeout: Duration = 180.0
    dial_timeout: Duration = 5.0
    response_timeout: Duration = 32.0
    media_timeout: Duration | None = None
    alias: StrictBool = False
    long_requests: Literal["tcp", "udp"] = "tcp"
    early_media: Literal["pass", "ringing", "authorized"] = "pass"
    early_offer: tuple[OfferedCodec, ...] = ()
    bodies: tuple[BodyKind, ...] = ()
    methods: tuple[Literal["MESSAGE", "NOTIFY"], ...] = ()
    delayed_offer: Literal["pass", "refuse"] = "pass"
    diversion: Diverted = "pass"
    q850: Literal["pass", "read", "write", "both"] = "pass"
    session_timer: Timed = SessionTimer()
    answers: Answers = {}

    @model_validator(mode="before")
    @classmethod
    def _profiled(cls, given: Any) -> Any:
        return with_profile(given)

    @cached_property
    def listed(self) -> tuple[Server, ...]:
        """Its peers as the file has them, by ``peers`` or by ``srv``."""
        return self.servers if self.srv is None else (*self.servers, Server(host=self.srv))

    @cached_property
    def peers(self) -> tuple[Address, ...]:
        """The addresses of its peers, in the order of the file; a domain has the port 0."""
        return tuple([each.address for each in self.listed])

    @cached_property
    def domains(self) -> tuple[Address, ...]:
        """Those of its peers whose servers DNS names."""
        return tuple([each for each in self.peers if not each.port])

    @cached_property
    def ranks(self) -> tuple[tuple[Server, ...], ...]:
        """Its peers by priority, the lowest first; () where the order of the file is that of the tries."""
        found: dict[int, list[Server]] = {}
        for each in self.listed:
            if each.priority is not None:
                found.setdefault(each.priority, []).append(each)
        return tuple([tuple(found[priority]) for priority in sorted(found)])

    @cached_property
    def patience(self) -> dict[Address, float]:
        """How long those peers have for their first response that have a ``try_for``, in seconds."""
        return {each.address: each.try_for for each in self.listed if each.try_for is not None}

    @cached_property
    def standing(self) -> Standing:
        """What is asked of it for each call and message."""
        identity, timer = self.identity, self.session_timer
        unsaid = self.trust_unsaid
        return Standing(
            name=self.trunk, tenant=self.tenant, bodies=self.bodies, transfers=self.transfers,
            into=identity.into or unsaid, outward=identity.out or unsaid, written=identity.header,
            alias=self.alias,
            diversion=self.diversion, srtp=self.srtp, suites=self.suites,
            asymmetric=self.media == "asymmetric", ports=self.limits.ports, early_media=self.early_media,
            early_offer=bool(self.early_offer), timed=timer is not None,
            expires=int(timer.expires or 0) if timer is not None else 0,
            least=int(timer.min) if timer is not None else 0,
            response_timeout=self.response_timeout, ring_timeout=self.ring_timeout,
            patient=bool(self.patience),
        )  # fmt: skip

    @property
    def trust_unsaid(self) -> Trust | None:
        """The trust in who users are where `identity` does not say it; None: as its peer's certificate is.

        A phone is a user's, and no network that vouches for others (RFC 3325 3), whatever certificate it has.
        """
        return "none" if self.phones else None

    @property
    def told_by_request(self) -> bool:
        """Whether its requests can be told from those of others at its address: by Contact or by `match`."""
        return self.match is not None or self.registration is not None

    def patience_with(self, peer: Address | None) -> float:
        """How long ``peer`` has for a first response to what it was sent, in seconds."""
        own = self.patience.get(peer) if peer is not None else None
        return own if own is not None else self.response_timeout


class Revocation(Strict):
    """How revocation lists and OCSP answers are fetched; ``max_bytes`` bounds a list.

    ``refresh`` is the longest time between two fetches, ``wait`` how long a connection is held
    for what is not known yet, ``allow_private`` the private networks that may be asked.
    """

    max_bytes: int = Field(default=32 << 20, ge=1024)
    timeout: Duration = 10.0
    redirects: int = Field(default=3, ge=0)
    refresh: Duration = 3600.0
    wait: Duration = 3.0
    allow_private: tuple[Network, ...] = ()


class Caps(Strict):
    """What one address, one peer or one call may take of what all of them share.

    Connections and handshakes under way are those of one address at one listener; ``per_peer`` holds, where
    it is more, for a host that a trunk names singly. Messages are those that one peer brings a second,
    challenges those that one address is sent a second; further streams of an offer get port 0.
    """

    connections_per_source: int = Field(default=50, ge=1)
    handshakes_per_source: int = Field(default=20, ge=1)
    connections_per_peer: int = Field(default=1000, ge=1)
    handshakes_per_peer: int = Field(default=100, ge=1)
    streams_per_call: int = Field(default=STREAMS, ge=1, le=MAX_MEDIA)
    messages_per_flow: Rate = Field(default=2000.0, ge=10)
    challenges_per_source: Rate = Field(default=20.0, ge=1)


class HookSettings(Strict):
    """How long a hook may take before its call is rejected."""

    timeout: Duration = 0.5


class Settings(Strict):
    """The whole of sbc.yaml."""

    listeners: dict[Name, Listener] = Field(min_length=1)
    identities: dict[Name, Identity] = {}
    trust: dict[Name, TrustAnchor] = {}
    tenants: dict[Name, Tenant] = {}
    acme: Acme | None = None
    media: MediaConfig = MediaConfig()
    dscp: Marks = Marks()
    admin: Admin | None = None
    metrics: Metrics | None = None
    alerts: Alerts | None = None
    caps: Caps = Caps()
    blocklist: MaybeBlocklist = BlocklistSettings()
    dns: Dns = Dns()
    emergency: Emergency | None = None
    overload: Overload = Overload()
    hooks: HookSettings = HookSettings()
    drain: Duration = 60.0
    log: Log = Log()
    recordings: Recordings | None = None
    trace: Trace = Trace()
    revocation: Revocation = Revocation()
    control: str = Field(default=CONTROL, min_length=1)
    state: str = Field(default=STATE, min_length=1)
    user_agent: AgentName | None = None
    users: str | None = Field(default=None, min_length=1)
    registrar: RegistrarSettings | None = None
    tables: dict[Name, str] = {}
    lookups: dict[LookupName, LookupConfig] = {}
    acl: str | None = Field(default=None, min_length=1)
    hep: ToHep = None
