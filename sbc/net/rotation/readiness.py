"""How far each trunk is with a rotation, from all that is known: handshakes, ledger, neighbours."""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from sbc.observe.trust import known_to_accept
from sbc.tls.lifetime.staged import staged_name
from sbc.tls.material.authorities import issuers_of
from sbc.tls.sources import share_addresses

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot
    from sbc.tls.ledger import Ledger
    from sbc.tls.lifetime.rotation import Key, Readiness, Rotation


def users(snapshot: Snapshot, key: Key) -> tuple[str, ...]:
    """The trunks that an entry matters to: those it is shown to, or those that judge by it."""
    if key[0] == "identities":
        return snapshot.users(key[1])
    return tuple(name for name in snapshot.trunks if key[1] in snapshot.trusted_by(name))


def readiness(rotation: Rotation, snapshot: Snapshot, ledger: Ledger, key: Key) -> list[Readiness]:
    """A row for each trunk that the entry matters to."""
    rows = rotation.readiness(key, users(snapshot, key))
    if key[0] == "trust":
        return rows
    issuers = issuers_of(snapshot.identities[staged_name(key[1])].chain_pem)
    told = [each.told(known_to_accept(snapshot, ledger, each.trunk), issuers) for each in rows]
    bound = rotation.entries[key].bound
    return [
        each.held_up(_sharing(snapshot, key[1], each.trunk, bound) if each.trunk in bound else ())
        for each in told
    ]


def _sharing(snapshot: Snapshot, name: str, trunk: str, bound: Container[str]) -> tuple[str, ...]:
    """The trunks that are not bound and for whose sake a peer of ``trunk`` is still shown the old one."""
    mine = snapshot.trunks[trunk]
    return tuple(
        other
        for other in snapshot.users(name)
        if other not in bound
        and snapshot.trunks[other].listener == mine.listener
        and share_addresses(snapshot.trunks[other].sources, mine.sources)
    )
