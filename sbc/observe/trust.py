"""The trust of every trunk in both directions, as an operator asks for it: who believes whom, until when.

Put together from the configuration (what we accept and present) and the ledger (what was
observed). The warnings are what will break, or is broken one way only, before anybody calls
about it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sbc.config.model import Trunk, TrunkTls
from sbc.config.snapshot import Snapshot
from sbc.observe.edge_views import Counts
from sbc.tls.failure import Direction
from sbc.tls.ledger import Bad, Good, Ledger, Side
from sbc.tls.lifetime.expiry import State, state_of
from sbc.tls.material.authorities import issuers_of, normal_subject, would_accept
from sbc.tls.material.identity import IdentityMaterial
from sbc.tls.material.problems import day
from sbc.tls.names import listed
from sbc.tls.sources import share_addresses

# Failures that say something of the trust between the two, and not of a scanner or the network.
_OF_TRUST = frozenset((
    "no-certificate", "unknown-ca", "missing-intermediate", "key-not-held", "name-mismatch", "expired",
    "not-yet-valid", "wrong-purpose", "revoked", "stale-revocation", "bad-certificate", "rejected-by-peer",
))  # fmt: skip
_NEAR = ("warning", "incident", "expired")
_OTHER: Mapping[Direction, Direction] = {"inbound": "outbound", "outbound": "inbound"}
_DIRECTIONS: tuple[Direction, ...] = ("inbound", "outbound")


@dataclass(frozen=True, slots=True)
class Roll:
    """Something that ends: a CA, a certificate of ours or of the peer; ``not_after`` is 0 where it does not.

    ``what`` is ``ca``, ``leaf``, ``pin``, ``ours`` or ``theirs``; ``contact`` answers for it.
    """

    what: str
    name: str
    subject: str
    not_after: float
    contact: str = ""
    not_before: float = 0.0

    def mark(self, now: float) -> State:
        """Which mark it has passed at ``now``; nothing of what does not end."""
        return state_of(self.not_before, self.not_after, now) if self.not_after else "ok"


@dataclass(frozen=True, slots=True)
class DirectionView:
    """One direction of one trunk.

    ``accepts`` is our truststore for it, ``presents`` what we show, ``shown`` what the peer really
    showed, the latest first. ``peer_accepts`` are subjects of CAs; ``known_by`` says whence they are
    known: ``observed``, ``declared``, ``asks for none`` or "" for not at all.
    """

    direction: Direction
    accepts: tuple[Roll, ...]
    presents: Roll | None
    shown: tuple[Roll, ...]
    peer_accepts: tuple[str, ...]
    known_by: str
    good: Good | None
    bad: Bad | None
    goods: int
    bads: int


@dataclass(frozen=True, slots=True)
class TrustView:
    """The trust of one TLS trunk; ``warnings`` are sentences.

    ``shares`` says what tells its requests from those of other trunks that one certificate is good for, each
    as (trunk, what), itself first; () where there are none.
    """

    trunk: str
    contact: str
    mode: str
    names: tuple[str, ...]
    name_match: str
    revocation: str
    directions: tuple[DirectionView, ...]
    warnings: tuple[str, ...]
    shares: tuple[tuple[str, str], ...] = ()


def trust_views(
    snapshot: Snapshot, ledger: Ledger, now: float, soft_passes: Callable[[str], Counts] = lambda trunk: ()
) -> tuple[TrustView, ...]:
    """A view of every trunk with TLS, at ``now`` (POSIX seconds).

    ``soft_passes`` tells how many peers of a trunk were let pass without news of revocation, by reason.
    """
    return tuple(
        _view(snapshot, ledger, trunk, trunk.tls, now, soft_passes(trunk.trunk))
        for trunk in snapshot.trunks.values()
        if trunk.tls is not None and trunk.tls.mode != "off"
    )


def _view(
    snapshot: Snapshot, ledger: Ledger, trunk: Trunk, tls: TrunkTls, now: float, passed: Counts
) -> TrustView:
    views = tuple(
        _direction(snapshot, ledger, trunk, tls, each) for each in _DIRECTIONS if _used(trunk, each)
    )
    revocation = tls.revocation
    checked = "off" if revocation.mode == "off" else f"{revocation.mode}: {', '.join(revocation.methods)}"
    if passed:
        checked += f"; let pass as {', '.join(f'{reason} {count}' for reason, count in passed)}"
    why = snapshot.why_stopped(trunk.trunk)
    stopped = [why] if why else []
    warnings = [
        *stopped,
        *_one_way(trunk, views),
        *_unaccepted(snapshot, trunk, tls, views),
        *_ending(views, now),
    ]
    return TrustView(
        trunk.trunk, trunk.contact or "", tls.mode, tls.names, tls.name_match, checked, views,
        tuple(warnings), _shares(snapshot, trunk),
    )  # fmt: skip


def _shares(snapshot: Snapshot, trunk: Trunk) -> tuple[tuple[str, str], ...]:
    """What tells the requests of ``trunk``, and of those that the same peer may speak for."""
    customers = snapshot.customers.get(trunk.trunk)
    if customers is None:
        return ()
    fellows = customers.fellows(trunk.trunk)
    members = [
        each
        for name, each in customers.members.items()
        if name != trunk.trunk
        and (name in fellows or share_addresses(trunk.sources, snapshot.trunks[name].sources))
    ]
    own = customers.members[trunk.trunk]
    return tuple((each.trunk, each.says()) for each in (own, *members)) if members or own.told else ()


def _used(trunk: Trunk, direction: Direction) -> bool:
    return bool(trunk.sources if direction == "inbound" else trunk.peers)


def _direction(
    snapshot: Snapshot, ledger: Ledger, trunk: Trunk, tls: TrunkTls, direction: Direction
) -> DirectionView:
    side = ledger.side(trunk.trunk, direction)
    identity = _identity(snapshot, trunk, tls, direction)
    presents = None
    if identity is not None:
        presents = Roll(
            "ours", identity.name, identity.subject, identity.not_after, not_before=identity.not_before
        )
    accepts = () if direction == "inbound" and tls.mode == "server" else _anchors(snapshot, tls)
    shown = tuple(
        Roll("theirs", each.anchor or "refused", each.subject, each.not_after, not_before=each.not_before)
        for each in ledger.shown(trunk.trunk)
        if each.direction == direction
    )
    accepted, known_by = peer_accepts(snapshot, tls, direction, side)
    return DirectionView(
        direction, accepts, presents, shown, accepted, known_by, side.good, side.bad, side.goods, side.bads
    )


def _identity(
    snapshot: Snapshot, trunk: Trunk, tls: TrunkTls, direction: Direction
) -> IdentityMaterial | None:
    name = snapshot.identity_of(trunk) if direction == "inbound" else tls.client_identity
    return snapshot.identities.get(snapshot.shown_to(trunk.trunk, name)) if name is not None else None


def _anchors(snapshot: Snapshot, tls: TrunkTls) -> tuple[Roll, ...]:
    rolls = []
    for name in tls.trust:
        anchor = snapshot.anchors.get(name)
        if anchor is None:
            continue
        contact = getattr(snapshot.settings.trust.get(name), "contact", None) or ""
        if anchor.kind == "pin":
            rolls.append(Roll("pin", name, "a public key", 0.0, contact))
        for each in anchor.facts:
            who = each.identity
            rolls.append(Roll(anchor.kind, name, who.label, who.not_after, contact, who.not_before))
    return tuple(rolls)


def peer_accepts(
    snapshot: Snapshot, tls: TrunkTls, direction: Direction, side: Side
) -> tuple[tuple[str, ...], str]:
    """What was observed counts before what was declared; a peer that names nobody tells nothing."""
    if side.asked:
        return side.asked, "observed"
    if tls.peer_trusts:
        return _declared(snapshot, tls), "declared"
    if direction == "outbound" and side.good is not None:
        return (), "asks for none" if side.asked is None else "names none"
    return (), ""


def known_to_accept(snapshot: Snapshot, ledger: Ledger, trunk: str) -> tuple[str, ...]:
    """The CAs that the trunk's peer accepts, as its CertificateRequest named or as was declared."""
    tls = snapshot.trunks[trunk].tls
    return peer_accepts(snapshot, tls, "outbound", ledger.side(trunk, "outbound"))[0] if tls else ()


def _declared(snapshot: Snapshot, tls: TrunkTls) -> tuple[str, ...]:
    subjects: list[str] = []
    for name in tls.peer_trusts:
        anchor = snapshot.anchors.get(name)
        subjects += anchor.subjects if anchor is not None else [normal_subject(name) or name]
    return tuple(dict.fromkeys(subjects))


# What is or will be wrong


def _one_way(trunk: Trunk, views: tuple[DirectionView, ...]) -> Iterator[str]:
    """One direction works while the other has failed since it last worked."""
    by_direction = {each.direction: each for each in views}
    for view in views:
        other = by_direction.get(_OTHER[view.direction])
        bad = view.bad
        if other is None or other.good is None or bad is None or bad.kind not in _OF_TRUST or not bad.sole:
            continue
        if view.good is not None and view.good.at > bad.at:
            continue
        if other.bad is not None and other.bad.at > other.good.at and other.bad.kind in _OF_TRUST:
            continue
        who = "the peer refuses us" if bad.kind == "rejected-by-peer" else "we refuse the peer"
        what = f"{other.direction} works, {view.direction} fails since"
        yield f"one way only: {what} ({bad.kind}, {who}): {bad.detail}"


def _unaccepted(
    snapshot: Snapshot, trunk: Trunk, tls: TrunkTls, views: tuple[DirectionView, ...]
) -> Iterator[str]:
    for view in views:
        identity = _identity(snapshot, trunk, tls, view.direction)
        if identity is None:
            asks = view.direction == "outbound" and view.known_by in ("observed", "names none")
            if asks:
                yield "the peer asks for a certificate when we dial it, and client_identity is none"
            continue
        issuers = issuers_of(identity.chain_pem)
        if not would_accept(view.peer_accepts, issuers):
            accepted = f"the CAs that the peer accepts ({view.known_by}): {listed(view.peer_accepts, 4)}"
            ours = f"identity {identity.name} was issued by {issuers[0]}"
            yield f"{view.direction}: {ours}, which is not among {accepted}"


def _ending(views: tuple[DirectionView, ...], now: float) -> Iterator[str]:
    told = set()
    for view in views:
        own = (view.presents,) if view.presents is not None else ()
        inuse = tuple(each for each in view.shown if each.name != "refused")[:1]
        for roll in (*view.accepts, *own, *inuse):
            if roll.mark(now) not in _NEAR or roll in told:
                continue
            told.add(roll)
            whose = {"ours": "our certificate", "theirs": "the peer's certificate"}.get(roll.what, "trust")
            verb = "expired" if roll.not_after < now else "expires"
            yield f"{whose} {roll.name} ({roll.subject}) {verb} on {day(roll.not_after)}"
