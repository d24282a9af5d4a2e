"""The trust of one snapshot, indexed for the handshake: listeners, sources, tenants, trunks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Literal, Protocol

from sbc.base import Address
from sbc.tls.failure import Direction
from sbc.tls.groups import normal_group
from sbc.tls.lifetime.staged import staged_name
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.names import NameMatch, is_ip, normal_name, one_label_wildcard
from sbc.tls.revocation.finding import Method
from sbc.tls.revocation.policy import DEFAULT_POLICY, RevocationMode, RevocationPolicy
from sbc.tls.sources import SourceIndex

Mode = Literal["off", "server", "optional", "required"]
_STRICTNESS = {"off": 0, "server": 1, "optional": 2, "required": 3}


class RevocationDemand(Protocol):
    """The ``revocation:`` of a trunk; ``config.model.TrunkRevocation`` is one."""

    @property
    def mode(self) -> RevocationMode: ...
    @property
    def methods(self) -> tuple[Method, ...]: ...


class TrunkTlsPolicy(Protocol):
    """The ``tls:`` block of a trunk; ``config.model.TrunkTls`` is one."""

    @property
    def mode(self) -> Mode: ...
    @property
    def server_identity(self) -> str | None: ...
    @property
    def client_identity(self) -> str: ...
    @property
    def trust(self) -> tuple[str, ...]: ...
    @property
    def names(self) -> tuple[str, ...]: ...
    @property
    def name_match(self) -> NameMatch: ...
    @property
    def client_eku(self) -> Literal["require", "allow-server-auth"]: ...
    @property
    def min_version(self) -> Literal["1.2", "1.3"]: ...
    @property
    def groups(self) -> tuple[str, ...]: ...
    @property
    def revocation(self) -> RevocationDemand: ...


class TrunkEntry(Protocol):
    """What the table needs of a trunk; ``config.model.Trunk`` is one."""

    @property
    def tenant(self) -> str | None: ...
    @property
    def sources(self) -> tuple[str, ...]: ...
    @property
    def peers(self) -> tuple[Address, ...]: ...
    @property
    def listener(self) -> str: ...
    @property
    def told_by_request(self) -> bool: ...
    @property
    def tls(self) -> TrunkTlsPolicy | None: ...


class TenantEntry(Protocol):
    """What the table needs of a tenant; ``config.model.Tenant`` is one."""

    @property
    def domains(self) -> tuple[str, ...]: ...
    @property
    def server_identity(self) -> str: ...


@dataclass(frozen=True, slots=True)
class TrunkTrust:
    """One trunk's TLS policy with its anchors loaded; ``bound`` are the identities shown as staged.

    ``by_request``: its requests are told from those of others at its address.
    ``asks`` where a peer's certificate is looked at, ``demands`` where a peer without one is refused.
    ``peer_hosts`` are the host names that it dials, which name it under a public CA where ``names``
    do not; ``quarantined`` where something that it needs could not be loaded: it is known and admits nobody.
    """

    trunk: str
    tenant: str | None
    mode: Mode
    anchors: tuple[AnchorMaterial, ...]
    names: tuple[str, ...] = ()
    name_match: NameMatch = "rfc5922"
    client_eku: Literal["require", "allow-server-auth"] = "require"
    min_version: Literal["1.2", "1.3"] = "1.2"
    groups: tuple[str, ...] = ()
    server_identity: str | None = None
    client_identity: str = "none"
    bound: frozenset[str] = frozenset()
    quarantined: bool = False
    peer_hosts: tuple[str, ...] = ()
    revocation: RevocationPolicy = DEFAULT_POLICY
    by_request: bool = False
    asks: bool = field(init=False)
    demands: bool = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "asks", self.mode in ("optional", "required"))
        object.__setattr__(self, "demands", self.mode == "required")


class Admission:
    """The candidates of one handshake and what follows from them for its context.

    Compares by identity: the table returns the same object for the same candidates, so that
    it can key the cache of contexts. ``host_names`` are the names expected of a dialled peer
    whose trunk gives none. ``led_anew`` is which issuers the chains of connections that stand have under
    it, by those that they had: filled by who looks.
    """

    __slots__ = ("candidates", "direction", "host_names", "identity", "led_anew", "names", "tenant")

    def __init__(
        self, candidates: tuple[TrunkTrust, ...], identity: str | None, *, tenant: str | None = None,
        direction: Direction = "inbound", host_names: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        self.candidates = candidates
        self.identity = identity
        self.tenant = tenant
        self.direction = direction
        self.host_names = host_names
        self.names = tuple(each.trunk for each in candidates)
        self.led_anew: dict[tuple[str, ...], tuple[bytes, ...]] = {}

    @property
    def asks(self) -> bool:
        """True where the handshake requests a certificate."""
        return any(each.asks for each in self.candidates)

    @property
    def demands(self) -> bool:
        """True where the handshake cannot finish without a certificate."""
        return all(each.demands for each in self.candidates)

    @property
    def pins(self) -> frozenset[str]:
        """The keys by which a certificate may be accepted whoever issued it."""
        return frozenset[str]().union(*(anchor.pins for anchor in self.anchors))

    @property
    def server_auth_will_do(self) -> bool:
        """True where some candidate accepts a client certificate made for servers."""
        return any(each.client_eku == "allow-server-auth" for each in self.candidates)

    @property
    def min_version(self) -> Literal["1.2", "1.3"]:
        """The lowest version any candidate accepts; ``match`` holds each to its own."""
        return min(each.min_version for each in self.candidates)

    @property
    def groups(self) -> tuple[str, ...]:
        """Every group some candidate accepts, the first candidate's preference first; () for any."""
        if not all(each.groups for each in self.candidates):
            return ()
        return tuple(dict.fromkeys(group for each in self.candidates for group in each.groups))

    @property
    def anchors(self) -> tuple[AnchorMaterial, ...]:
        """The anchors of the candidates that look at certificates, each once."""
        return tuple({a.name: a for each in self.candidates if each.asks for a in each.anchors}.values())


@dataclass(frozen=True, slots=True)
class _ListenerTrust:
    sources: SourceIndex
    trunks: Mapping[str, TrunkTrust]
    strictness: Mapping[str, int]


class TrustTable:
    """The trust of one snapshot; ``admit`` and ``outbound`` answer from it.

    ``by_name`` is False where no SNI makes a difference, because there are no tenants.
    """

    def __init__(
        self, listeners: Mapping[str, _ListenerTrust], tenants: Mapping[str, TenantEntry],
        trunks: Mapping[str, TrunkTrust],
    ) -> None:  # fmt: skip
        self._listeners = listeners
        self.by_name = bool(tenants)
        self._tenants = tenants
        self._trunks = trunks
        self._domains = {
            normal_name(domain): name for name, tenant in tenants.items() for domain in tenant.domains
        }
        self._admissions: dict[tuple[object, ...], Admission] = {}

    def tenant_of(self, sni: str) -> str | None:
        """The tenant whose domain an SNI is: exactly, or under a one-label wildcard."""
        name = normal_name(sni)
        exact = self._domains.get(name)
        if exact is not None or "." not in name:
            return exact
        wildcard = "*." + name.partition(".")[2]
        return self._domains.get(wildcard) if one_label_wildcard(wildcard, name) else None

    def domains(self, trunks: Iterable[str]) -> tuple[str, ...]:
        """The names under which the tenants of ``trunks`` can be reached."""
        tenants = dict.fromkeys(self._trunks[each].tenant for each in trunks)
        return tuple(name for each in tenants if each is not None for name in self._tenants[each].domains)

    def candidates_by_source(self, listener: str, source: str) -> tuple[str, ...]:
        """The TLS trunks of the listener that admit the address, narrowest network first."""
        trust = self._listeners.get(listener)
        return () if trust is None else trust.sources.lookup(source)

    def admit(self, listener: str, source: str, sni: str) -> Admission | None:
        """The candidates for an address and SNI ("" for none); None admits nobody."""
        trust = self._listeners.get(listener)
        tenant = self.tenant_of(sni) if sni else None
        candidates = [each for each in self._possible(listener, source, sni) if not each.quarantined]
        if trust is None or not candidates:
            return None
        if tenant is None and not sni:
            tenant = candidates[0].tenant
        key = (listener, tenant, tuple(each.trunk for each in candidates))
        known = self._admissions.get(key)
        if known is None:
            identity = self._shown(self._identity(candidates, tenant, trust), candidates)
            known = self._admissions[key] = Admission(tuple(candidates), identity, tenant=tenant)
        return known

    def quarantined(self, listener: str, source: str, sni: str) -> tuple[str, ...]:
        """The trunks that an address and SNI mean and that cannot serve for now."""
        return tuple(each.trunk for each in self._possible(listener, source, sni) if each.quarantined)

    def _possible(self, listener: str, source: str, sni: str) -> list[TrunkTrust]:
        # Quarantined trunks are among them: what a name means must not depend on who is broken.
        trust = self._listeners.get(listener)
        if trust is None:
            return []
        by_source = [trust.trunks[name] for name in trust.sources.lookup(source)]
        tenant = self.tenant_of(sni) if sni else None
        return _by_tenant(by_source, tenant, sni, trust.strictness)

    def outbound(self, trunk: str, host: str) -> Admission | None:
        """What is expected of the peer ``host`` of a trunk that we dial; None for a trunk out of service."""
        trust = self._trunks.get(trunk)
        if trust is None or trust.mode == "off" or trust.quarantined:
            return None
        key = ("outbound", trunk, host)
        known = self._admissions.get(key)
        if known is None:
            identity = None if trust.client_identity == "none" else trust.client_identity
            if identity in trust.bound:
                identity = staged_name(trust.client_identity)
            known = self._admissions[key] = Admission(
                # A server always shows a certificate and we always judge it, whatever the inbound mode.
                (replace(trust, mode="required"),),
                identity,
                tenant=trust.tenant,
                direction="outbound",
                host_names=(host,),
            )
        return known

    def _shown(self, name: str | None, candidates: list[TrunkTrust]) -> str | None:
        # Which of them it is shows only after our certificate: it is the staged one when all have it.
        users = [each for each in candidates if name is not None and self._answers(each) == name]
        bound = bool(users) and all(name in each.bound for each in users)
        return staged_name(name) if bound and name is not None else name

    def _answers(self, trust: TrunkTrust) -> str | None:
        tenant = self._tenants.get(trust.tenant) if trust.tenant is not None else None
        return trust.server_identity or (tenant.server_identity if tenant is not None else None)

    def _identity(
        self, candidates: list[TrunkTrust], tenant: str | None, trust: _ListenerTrust
    ) -> str | None:
        if tenant is not None:
            return self._tenants[tenant].server_identity
        named = [*candidates, *(trust.trunks[name] for name in sorted(trust.trunks))]
        usable = (each.server_identity for each in named if not each.quarantined)
        return next((each for each in usable if each is not None), None)


def _by_tenant(
    by_source: list[TrunkTrust], tenant: str | None, sni: str, strictness: Mapping[str, int]
) -> list[TrunkTrust]:
    common = [each for each in by_source if each.tenant is None]
    if tenant is not None:
        least = strictness.get(tenant, 0)
        own = [each for each in by_source if each.tenant == tenant]
        return own + [each for each in common if _STRICTNESS[each.mode] >= least]
    if common or sni:
        return common
    one = len({each.tenant for each in by_source}) == 1
    return by_source if one or all(each.by_request for each in by_source) else []


def build_table(
    trunks: Mapping[str, TrunkEntry], tenants: Mapping[str, TenantEntry],
    anchors: Mapping[str, AnchorMaterial], listeners: Iterable[str],
    bound: Mapping[str, frozenset[str]] = MappingProxyType({}), quarantined: Collection[str] = (),
) -> TrustTable:  # fmt: skip
    """The table of a snapshot; an anchor that is not loaded trusts nobody. ValueError for a bad source."""
    trusts = {
        name: _trunk_trust(name, entry, entry.tls, anchors, bound.get(name, frozenset()), name in quarantined)
        for name, entry in sorted(trunks.items())
        if entry.tls is not None and entry.tls.mode != "off"
    }
    by_listener = {}
    for listener in listeners:
        mine = {name: trust for name, trust in trusts.items() if trunks[name].listener == listener}
        index = SourceIndex((source, name) for name in mine for source in trunks[name].sources)
        strictness: dict[str, int] = {}
        for trust in mine.values():
            if trust.tenant is not None:
                strictness[trust.tenant] = max(strictness.get(trust.tenant, 0), _STRICTNESS[trust.mode])
        by_listener[listener] = _ListenerTrust(index, mine, strictness)
    return TrustTable(by_listener, tenants, trusts)


def _trunk_trust(
    name: str, entry: TrunkEntry, tls: TrunkTlsPolicy, anchors: Mapping[str, AnchorMaterial],
    bound: frozenset[str], quarantined: bool,
) -> TrunkTrust:  # fmt: skip
    return TrunkTrust(
        name, entry.tenant, tls.mode, tuple(anchors[each] for each in tls.trust if each in anchors),
        tls.names, tls.name_match, tls.client_eku, tls.min_version,
        tuple(map(normal_group, tls.groups)),
        tls.server_identity, tls.client_identity, bound, quarantined,
        tuple(peer.host for peer in entry.peers if not is_ip(peer.host)),
        RevocationPolicy(tls.revocation.mode, tls.revocation.methods), entry.told_by_request,
    )  # fmt: skip
