"""What a broken file of certificates or keys stops: the trunks that need it, and nothing else.

A mistake in the YAML refuses the whole configuration, for nobody can say what was meant. A broken
certificate file is another matter: it is clear whom it concerns. At a reload, what was in force for
the same entry stays in force, loudly, until the file is mended or the material expires. A trunk
that newly refers to something broken does without it: it trusts only the others that it names now, and
shows the identity that it showed before; trust that was taken from it is never given back. Where nothing
is left, or nothing was in force before, as at a start, it is quarantined: it admits nobody and is not
dialled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from dsl.errors import Diagnostic
from sbc.config.model import Identity, Settings, Trunk, TrustAnchor
from sbc.config.snapshot import Snapshot
from sbc.tls.lifetime.staged import beside, next_entry, next_pair, staged_name
from sbc.tls.material.anchors import AnchorMaterial, kind_of
from sbc.tls.material.identity import IdentityMaterial

Entry = tuple[str, str]
Said = tuple[Diagnostic, ...]


@dataclass(slots=True)
class Quarantine:
    """Trunks and tenants that are stopped, and trunks that run on what was in force before, each with why."""

    trunks: dict[str, Said] = field(default_factory=dict)
    tenants: dict[str, Said] = field(default_factory=dict)
    held: dict[str, Said] = field(default_factory=dict)


def former_anchor(
    former: Snapshot | None, name: str, config: TrustAnchor, now: float
) -> AnchorMaterial | None:
    """What entry ``name`` was before: if of the same kind and not all expired, and with the limits of now."""
    known = former.anchors.get(name) if former is not None else None
    if known is None or known.kind != kind_of(config):
        return None
    if not any(each.identity.not_after > now for each in known.facts):
        return None
    return replace(known, public=known.public or config.public, permitted=tuple(config.permitted))


def former_identity(former: Snapshot | None, name: str, now: float) -> IdentityMaterial | None:
    """What identity ``name`` was before, unless it has expired."""
    known = former.identities.get(name) if former is not None else None
    return known if known is not None and known.not_after > now else None


def still_staged(
    former: Snapshot | None, name: str, config: Identity, directory: Path, now: float
) -> IdentityMaterial | None:
    """What was staged for identity ``name`` before, while its file is there and cannot be used."""
    there = next_pair(config, directory) is not None
    return former_identity(former, staged_name(name), now) if there else None


def still_dual(
    former: Snapshot | None, name: str, config: TrustAnchor, fresh: AnchorMaterial, directory: Path,
    now: float,
) -> AnchorMaterial:  # fmt: skip
    """``fresh``, with what was staged beside it before, while that file is there and cannot be used."""
    if fresh.coming is not None or next_entry(config, directory) is None:
        return fresh
    known = former_anchor(former, name, config, now)
    coming = known.coming if known is not None else None
    if coming is None or (coming.public and not fresh.public):
        return fresh  # who is trusted without a name must not be so by a public CA
    return beside(fresh, coming)


def quarantine(
    settings: Settings, trunks: dict[str, Trunk], broken: Mapping[Entry, Said], held: Mapping[Entry, Said],
    former: Snapshot | None,
) -> Quarantine:  # fmt: skip
    """Who is stopped by ``broken`` entries and who runs on ``held`` ones.

    A trunk that worked before and can do without what is broken is replaced in ``trunks`` by one that does.
    """
    found = Quarantine()
    for name, trunk in trunks.items():
        wrong = _said(settings, trunk, broken)
        if wrong:
            without = _without(settings, trunk, broken, former)
            if without is None:
                found.trunks[name] = wrong
                continue
            trunks[name] = without
        if still := wrong + _said(settings, trunks[name], held):
            found.held[name] = still
    for name, tenant in settings.tenants.items():
        entry = ("identities", tenant.server_identity)
        if entry in broken:
            found.tenants[name] = broken[entry]
    return found


def _without(
    settings: Settings, trunk: Trunk, broken: Mapping[Entry, Said], former: Snapshot | None
) -> Trunk | None:
    """The trunk as it is configured now, without the broken entries; None where that cannot be."""
    name = trunk.trunk
    known = former.trunks.get(name) if former is not None and name not in former.quarantined else None
    tls, was = trunk.tls, known.tls if known is not None else None
    if tls is None or was is None:
        return None
    trust = tuple(each for each in tls.trust if ("trust", each) not in broken)
    if tls.trust and not trust:
        return None
    shown = {
        key: getattr(was, key)
        for key in ("server_identity", "client_identity")
        if ("identities", getattr(tls, key)) in broken
    }
    fresh = trunk.model_copy(update={"tls": tls.model_copy(update={"trust": trust, **shown})})
    given = {("identities", each) for each in settings.identities}
    needed = {entry for entry in _needs(settings, fresh) if entry[0] == "identities"}
    return fresh if needed <= given and needed.isdisjoint(broken) else None


def _said(settings: Settings, trunk: Trunk, wrong: Mapping[Entry, Said]) -> Said:
    return tuple(each for entry in _needs(settings, trunk) for each in wrong.get(entry, ()))


def _needs(settings: Settings, trunk: Trunk) -> Iterator[Entry]:
    """The entries of the keystore and the truststore that the trunk cannot do without, each once."""
    tls = trunk.tls
    if tls is None or tls.mode == "off":
        return
    tenant = settings.tenants.get(trunk.tenant) if trunk.tenant is not None else None
    shown = (tls.server_identity, tenant.server_identity if tenant is not None else None, tls.client_identity)
    for name in dict.fromkeys(shown):
        if name is not None and name != "none":
            yield "identities", name
    for name in dict.fromkeys(tls.trust):
        yield "trust", name


def changes(former: Snapshot | None, fresh: Snapshot) -> Iterator[tuple[str, str, str]]:
    """What became of trunks from one snapshot to the next: event, trunk, why in a line."""
    was = {} if former is None else {**former.held, **former.quarantined}
    for name, said in fresh.quarantined.items():
        if former is None or former.quarantined.get(name) != said:
            yield "trunk-quarantined", name, with_remedies(said)
    for name, said in fresh.held.items():
        if former is None or former.held.get(name) != said:
            yield "trunk-held", name, with_remedies(said)
    for name in was:
        if name in fresh.trunks and name not in fresh.quarantined and name not in fresh.held:
            yield "trunk-mended", name, ""


def lines(said: Said) -> str:
    """Diagnostics in one line, each with its place."""
    return "; ".join(f"{each.path}:{each.line}: {each.message}" for each in said)


def with_remedies(said: Said) -> str:
    """The same with what would mend each, for whoever is not shown the diagnostics beside it."""
    remedies = [f" ({each.hint})" if each.hint else "" for each in said]
    return "; ".join(lines((each,)) + remedy for each, remedy in zip(said, remedies, strict=True))


def told(snapshot: Snapshot) -> list[str]:
    """A line for each trunk and tenant that broken material stops or would stop."""
    return [
        *(f"quarantined: trunk {name} because {lines(said)}" for name, said in snapshot.quarantined.items()),
        *(
            f"quarantined: tenant {name} because {lines(said)}"
            for name, said in snapshot.quarantined_tenants.items()
        ),
        *(
            f"held: trunk {name} runs on what was in force before, because {lines(said)}"
            for name, said in snapshot.held.items()
        ),
    ]
