"""A Snapshot: the whole configuration at one moment, checked, immutable, ready to be used.

Every call keeps the snapshot that it began under; a reload swaps a reference and nothing else.
What is asked for each connection or message is worked out once, when the snapshot is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from weakref import ref

from dsl.breath import breathe
from dsl.errors import Diagnostic
from dsl.ruleset import RuleSet
from sbc.config.acl import AclFiles
from sbc.config.collect import Collector
from sbc.config.customers import customers_of
from sbc.config.hook_set import NO_HOOKS, HookSet
from sbc.config.lookup import Lookup
from sbc.config.model import Settings, Trunk
from sbc.config.places import Places
from sbc.config.premium_tables import premium_of
from sbc.config.read_files import ReadTrunk
from sbc.config.sinks import Destination
from sbc.config.users import NOBODY_KNOWN, Users
from sbc.policy.acl import Acl, Rule
from sbc.policy.customers import Customers
from sbc.policy.limits import TenantBounds
from sbc.policy.premium import Premium
from sbc.policy.rates import Rated
from sbc.sip.digest_client import Account
from sbc.tls.lifetime.staged import staged_name
from sbc.tls.match import AnchorMaterial
from sbc.tls.material.identity import IdentityMaterial
from sbc.tls.revocation.files import FileList
from sbc.tls.sources import SourceIndex

_FROZEN = (
    "trunks", "identities", "anchors", "lists", "quarantined", "quarantined_tenants", "held", "bound",
    "accounts", "lookups", "sinks", "switched_off",
)  # fmt: skip


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Snapshot:
    """What the operator's files said when they were last read without a mistake.

    ``version`` is 12 hex digits over every byte that was read; ``sources`` has a table for each
    listener that has trunks; ``warnings`` are what ``sbc check`` says beside. ``quarantined`` has the
    trunks whose material is broken, with why: they admit nobody and are not dialled; ``held`` has those
    that run on what was in force before their files broke. ``disabled`` has the trunks that have no calls,
    with why: by their file, or ``switched_off`` by an operator. ``bound`` has
    for a trunk the identities of which it is shown what is staged.
    ``customers`` has for each trunk whose address others may have too what tells their requests apart; with
    those or emergency numbers it is ``discerning``, and asks whose and how urgent a request is.
    ``tenant_bounds`` has for each tenant its limits, ``premium`` for each trunk that has some those for
    numbers that cost, ``rated`` the rates of what it begins. ``trust_generations`` has for each a hash over
    whom it trusts and as whom we appear to it: a connection made under another one is not used for it again.
    ``logins`` are the users that rules challenge, ``phones`` those of the registrar.
    ``accounts`` has for each trunk that we register with the password that its challenges are answered by,
    ``sinks`` where alerts go.
    ``lookups`` has the services that rules ask, ``hep`` and ``syslog`` are who is told what happens.
    ``acl`` has the rules of the access list.
    ``places`` has for each trunk the lines of its keys. ``trunk_files`` and ``acl_files`` are for the next
    reading; it comes of itself when the clock passes, either way, one of the moments ``dated`` (POSIX
    seconds), on which it hangs that a certificate or a list could not be used.
    """

    version: str
    directory: Path
    settings: Settings
    trunks: Mapping[str, Trunk]
    rules: RuleSet
    hooks: HookSet = NO_HOOKS
    identities: Mapping[str, IdentityMaterial] = field(default_factory=dict)
    anchors: Mapping[str, AnchorMaterial] = field(default_factory=dict)
    lists: Mapping[str, tuple[FileList, ...]] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()
    places: Mapping[str, Places] = field(default_factory=dict)
    logins: Users = NOBODY_KNOWN
    phones: Users = NOBODY_KNOWN
    accounts: Mapping[str, Account] = field(default_factory=dict)
    sinks: Mapping[str, Destination] = field(default_factory=dict)
    lookups: Mapping[str, Lookup] = field(default_factory=dict)
    hep: Collector | None = None
    syslog: Collector | None = None
    quarantined: Mapping[str, tuple[Diagnostic, ...]] = field(default_factory=dict)
    quarantined_tenants: Mapping[str, tuple[Diagnostic, ...]] = field(default_factory=dict)
    held: Mapping[str, tuple[Diagnostic, ...]] = field(default_factory=dict)
    bound: Mapping[str, frozenset[str]] = field(default_factory=dict)
    trunk_files: Mapping[str, ReadTrunk] = field(default_factory=dict, repr=False)
    acl: Acl = field(default_factory=Acl, repr=False)
    acl_files: AclFiles = field(default_factory=dict, repr=False)
    dated: tuple[float, ...] = ()
    switched_off: Mapping[str, str] = field(default_factory=dict)
    version_on: str = ""
    disabled: Mapping[str, str] = field(init=False)
    sources: Mapping[str, SourceIndex] = field(init=False)
    customers: Mapping[str, Customers] = field(init=False, repr=False)
    discerning: bool = field(init=False, repr=False)
    tenant_bounds: Mapping[str, TenantBounds] = field(init=False, repr=False)
    rated: Mapping[str, Rated] = field(init=False, repr=False)
    premium: Mapping[str, Premium] = field(init=False, repr=False)
    trust_generations: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        put = object.__setattr__
        for name in _FROZEN:
            put(self, name, MappingProxyType(dict(getattr(self, name))))
        by_file = {name: self._by_file(name) for name, each in self.trunks.items() if not each.enabled}
        put(self, "disabled", MappingProxyType({**self.switched_off, **by_file}))
        put(self, "sources", MappingProxyType(_source_tables(self.trunks.values())))
        put(self, "customers", customers_of(self.trunks.values(), self.settings.listeners))
        put(self, "discerning", bool(self.customers) or self.settings.emergency is not None)
        bounds = {name: TenantBounds(name, each.limits) for name, each in self.settings.tenants.items()}
        put(self, "tenant_bounds", MappingProxyType(bounds))
        rated = {
            name: each for name, trunk in self.trunks.items() if (each := self._rated(trunk)) is not None
        }
        put(self, "rated", MappingProxyType(rated))
        put(self, "premium", premium_of(self.trunks.values(), self.rules))
        generations = {name: self._generation(trunk) for name, trunk in self.trunks.items()}
        put(self, "trust_generations", MappingProxyType(generations))

    def _rated(self, trunk: Trunk) -> Rated | None:
        """The rates that hold for ``trunk``, None where none does."""
        tenant, limits = self.settings.tenants.get(trunk.tenant or ""), trunk.limits
        shared = tenant.limits.rates if tenant is not None else {}
        if not limits.rates and not limits.rates_per_source and not shared:
            return None
        return Rated(trunk.trunk, limits.rates, limits.rates_per_source, trunk.tenant or "", shared)

    def binding(self, bindings: Mapping[str, Iterable[str]]) -> Snapshot:
        """This snapshot, freshly built, with the trunks of ``bindings`` (by identity) shown what is staged.

        What is not staged, and a trunk that is not there or uses another identity, counts for nothing.
        """
        bound: dict[str, frozenset[str]] = {}
        for name, trunks in bindings.items():
            for trunk in trunks:
                if staged_name(name) in self.identities and trunk in self.users(name):
                    bound[trunk] = bound.get(trunk, frozenset()) | {name}
        if not bound:
            return self
        shown = repr(sorted((trunk, sorted(names)) for trunk, names in bound.items()))
        version = hashlib.sha256(f"{self.version} {shown}".encode()).hexdigest()[:12]
        return replace(self, version=version, bound=bound)

    def switching_off(self, trunks: Mapping[str, str]) -> Snapshot:
        """This snapshot with those of ``trunks`` disabled that it has, each for why, beside those by file."""
        off = {name: why for name, why in trunks.items() if name in self.trunks}
        if off == self.switched_off:
            return self
        plain = self.version_on or self.version
        version = hashlib.sha256(f"{plain} off {sorted(off)}".encode()).hexdigest()[:12] if off else plain
        return replace(self, version=version, version_on=plain, switched_off=off)

    def users(self, identity: str) -> tuple[str, ...]:
        """The trunks that ``identity`` is shown to: those that it answers, and those dialled with it."""
        return tuple(
            trunk.trunk
            for trunk in self.trunks.values()
            if trunk.tls is not None
            and trunk.tls.mode != "off"
            and identity in (self.identity_of(trunk), trunk.tls.client_identity)
        )

    def trusted_by(self, trunk: str) -> tuple[str, ...]:
        """The trust entries by which ``trunk`` judges its peers; () without TLS, or without such a trunk."""
        found = self.trunks.get(trunk)
        tls = found.tls if found is not None else None
        return tls.trust if tls is not None and tls.mode != "off" else ()

    def shown_to(self, trunk: str, identity: str) -> str:
        """The name under ``identities`` of what ``trunk`` is shown for ``identity``."""
        return staged_name(identity) if identity in self.bound.get(trunk, ()) else identity

    def why_quarantined(self, trunk: str) -> str:
        """What is broken that ``trunk`` needs, in a line; "" where it is not quarantined."""
        return "; ".join(each.message for each in self.quarantined.get(trunk, ()))

    def why_stopped(self, trunk: str) -> str:
        """Why ``trunk`` admits nobody and is not dialled: disabled or quarantined; "" where it serves."""
        off = self.disabled.get(trunk)
        if off is not None:
            return f"disabled: {off}"
        why = self.why_quarantined(trunk)
        return f"quarantined: {why}" if why else ""

    def _by_file(self, trunk: str) -> str:
        place = self.places.get(trunk, {}).get("enabled", "its file")
        return f"{place} says `enabled: false`"

    def trunk_for(self, listener: str, source_ip: str) -> str | None:
        """The trunk that ``source_ip`` speaks for on a UDP or TCP listener; None for a stranger."""
        table = self.sources.get(listener)
        return table.first(source_ip) if table is not None else None

    def barred(self, listener: str, host: str, trunks: Iterable[str], now: float) -> Rule | None:
        """The rule of the access list that keeps an address out which may mean ``trunks``; it is counted."""
        tenants = tuple(dict.fromkeys([self.tenant_of(each) for each in trunks]))
        return self.acl.at_door(listener, host, tenants, now)

    def shuts_out(self, listener: str, host: str, trunk: str, now: float) -> bool:
        """Whether the access list lets no peer at ``host`` in, or go on, on a connection of ``trunk``."""
        bars = self.acl.bars
        return all([bars(listener, host, self.tenant_of(each), now) for each in self.meant_by(host, trunk)])

    def meant_by(self, host: str, trunk: str) -> tuple[str, ...]:
        """The trunks whose requests a connection of ``trunk`` from ``host`` may bring, itself the first."""
        customers, own = self.customers.get(trunk), self.trunks.get(trunk)
        if customers is None or own is None:
            return (trunk,)
        sources = self.sources.get(own.listener)
        near = sources.lookup(host) if sources is not None else ()
        secure = self.settings.listeners[own.listener].transport == "tls"
        fellows = () if secure else customers.fellows(trunk)
        sharing = [each for each in near if each in customers.members]
        return tuple(dict.fromkeys([trunk, *sharing, *fellows]))

    def tenant_of(self, trunk: str | None) -> str:
        """The tenant of a trunk; "" where it has none."""
        found = self.trunks.get(trunk or "")
        return (found.tenant or "") if found is not None else ""

    def identity_of(self, trunk: Trunk) -> str | None:
        """The name of the identity that answers the trunk's connections: its own, or its tenant's."""
        if trunk.tls is not None and trunk.tls.server_identity is not None:
            return trunk.tls.server_identity
        tenant = self.settings.tenants.get(trunk.tenant) if trunk.tenant is not None else None
        return tenant.server_identity if tenant is not None else None

    def _generation(self, trunk: Trunk) -> str:
        breathe()
        digest = hashlib.sha256(repr((trunk.listener, trunk.tenant, trunk.tls)).encode())
        if trunk.tls is None:
            return digest.hexdigest()[:16]
        for name in (self.identity_of(trunk), trunk.tls.client_identity):
            identity = self.identities.get(self.shown_to(trunk.trunk, name)) if name is not None else None
            feed(digest, identity.chain_pem if identity is not None else b"none")
        for name in trunk.tls.trust:
            anchor = self.settings.trust.get(name)
            feed(digest, repr(anchor).encode())
            for certificate in self.anchors[name].certificates if name in self.anchors else ():
                feed(digest, certificate)
        return digest.hexdigest()[:16]


class SnapshotStore:
    """The snapshot in force. Greenlets switch only at I/O, so one assignment is the whole swap."""

    __slots__ = ("_replaced", "current")

    def __init__(self, current: Snapshot) -> None:
        self.current = current
        self._replaced: list[tuple[ref[Snapshot], RuleSet]] = []

    def swap(self, fresh: Snapshot) -> Snapshot:
        """Put ``fresh`` in force and return what it replaces."""
        former, self.current = self.current, fresh
        self._replaced.append((ref(former), former.rules))
        return former

    @property
    def replaced(self) -> int:
        """How many earlier snapshots are still in memory, for calls or transactions that began under them."""
        return sum(snapshot() is not None for snapshot, _ in self._replaced)

    def let_go(self, most: int) -> bool:
        """Free up to ``most`` rules of snapshots that nobody holds any more; True while there are others."""
        in_force = self.current.rules
        for each in self._replaced:
            snapshot, rules = each
            if snapshot() is None:
                if rules is in_force or not rules.take_apart(most):
                    self._replaced.remove(each)
                return True
        return False


def feed(digest: hashlib._Hash, data: bytes) -> None:
    """Add ``data`` with its length, so that two neighbours cannot be taken for two others."""
    digest.update(len(data).to_bytes(8, "big"))
    digest.update(data)


def _source_tables(trunks: Iterable[Trunk]) -> dict[str, SourceIndex]:
    pairs: dict[str, list[tuple[str, str]]] = {}
    for trunk in trunks:
        breathe()
        pairs.setdefault(trunk.listener, []).extend((source, trunk.trunk) for source in trunk.sources)
    return {listener: SourceIndex(each) for listener, each in pairs.items()}
