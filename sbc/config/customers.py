"""Which trunks may share an address, and what tells the requests of each, as the configuration has it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from dsl.addresses import canonical_user
from dsl.breath import breathe
from sbc.config.model import Listener, Trunk
from sbc.policy.customers import Customer, Customers


def customers_of(trunks: Iterable[Trunk], listeners: Mapping[str, Listener]) -> Mapping[str, Customers]:
    """For each trunk whose address others may have too, what tells their requests apart."""
    groups: dict[tuple[object, ...], list[Trunk]] = {}
    for trunk in trunks:
        breathe()
        groups.setdefault((trunk.listener, demands(trunk, listeners.get(trunk.listener))), []).append(trunk)
    found: dict[str, Customers] = {}
    for group in groups.values():
        if any(each.match is not None for each in group) or (
            len(group) > 1 and any(each.registration is not None for each in group)
        ):
            customers = Customers([customer(each) for each in group])
            found.update((each.trunk, customers) for each in group)
    return MappingProxyType(found)


def customer(trunk: Trunk) -> Customer:
    """What tells the requests of ``trunk``."""
    terms, match = trunk.registration, trunk.match
    contact = canonical_user(terms.user) if terms is not None and not terms.bulk else ""
    reached = frozenset([peer.host.lower() for peer in trunk.peers])
    if match is None:
        return Customer(trunk.trunk, terms is not None, contact, reached=reached)
    return Customer(
        trunk.trunk, terms is not None, contact, match.number, match.to_host, match.from_host, reached
    )


def demands(trunk: Trunk, listener: Listener | None) -> object:
    """What a peer must prove beside its address to be ``trunk``; equal where one proof is good for both."""
    if listener is None or listener.transport != "tls":
        return ""
    tls = trunk.tls
    if tls is None:
        return ("without a policy", trunk.trunk)
    return (
        tls.mode, frozenset(tls.trust), frozenset(tls.names), tls.name_match, tls.client_eku, tls.min_version,
        frozenset(tls.groups), tls.revocation.mode, frozenset(tls.revocation.methods),
    )  # fmt: skip
