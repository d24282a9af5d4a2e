"""The picture of a running SBC, for whoever shows it: frozen views filled from the live parts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, replace
from typing import Any

from sbc.admin import acl
from sbc.admin.limits import near
from sbc.admin.phones import by_trunk
from sbc.admin.running import Running
from sbc.b2bua.call import Call
from sbc.b2bua.outcomes import Direction, Outcome
from sbc.b2bua.registration import Registration
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.config.quarantine import with_remedies
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.histogram import Histogram
from sbc.observe.edge_views import LoadView, TenantView
from sbc.observe.qualities import Heard, Way
from sbc.observe.views import (
    CallView,
    CertificateView,
    HistogramView,
    LifeView,
    ListenerView,
    NameView,
    OutcomeView,
    PeerView,
    QualityView,
    RegistrationView,
    RevocationView,
    ServerView,
    StatusView,
    TrunkState,
    TrunkView,
)
from sbc.release import release
from sbc.tls.material.identity import IdentityMaterial


def picture(sbc: Running, certificates: tuple[LifeView, ...], *, calls: bool = True) -> StatusView:
    """Everything at this moment, or all but the calls; ``certificates`` are all that matter to it."""
    snapshot = sbc.store.current
    return StatusView(
        version=snapshot.version,
        started=sbc.started,
        listeners=tuple(_listener(sbc, snapshot, name) for name in snapshot.settings.listeners),
        trunks=tuple(_trunks(sbc, snapshot)),
        calls=tuple(_call(sbc, call) for call in sbc.engine.calls.values()) if calls else (),
        counters=sbc.recorder.counters.view(),
        now=sbc.clock.now(),
        release=release(),
        failures=tuple(sbc.recorder.failures),
        replaced=sbc.store.replaced,
        transactions=len(sbc.engine.transactions),
        free_media_ports=sbc.media.free_ports(),
        networks=tuple(sbc.media.networks()),
        revocation=tuple(_sources(sbc, snapshot)),
        certificates=certificates,
        lines_lost=sbc.log.lost,
        records=sbc.records.view(),
        recordings=sbc.recordings.view(),
        exports=tuple(sbc.exports.views()),
        registrations=registrations(sbc),
        phones=by_trunk(sbc),
        registers=tuple(sbc.engine.reception.phones.counts.items()),
        names=tuple(_names(sbc)),
        lookups=tuple(sbc.lookups.views()),
        caps=sbc.recorder.reached.views(sbc.clock.now()),
        load=_load(sbc),
        limits=near(sbc.engine, sbc.clock),
        limit_refusals=tuple(sorted(sbc.engine.rule_limits.refusals.items())),
        limit_keys=len(sbc.engine.rule_limits.allowances),
        acl=acl.view(snapshot.acl),
        blocklist=sbc.blocking.view(),
        disks=sbc.space.views,
        refused=sbc.refused,
        alerts=sbc.alerting.view(),
        draining=sbc.engine.draining,
        tenants=tuple(_tenants(sbc, snapshot)),
    )


def _tenants(sbc: Running, snapshot: Snapshot) -> Iterator[TenantView]:
    for name, each in snapshot.tenant_bounds.items():
        yield TenantView(name, sbc.engine.limits.calls(each.trunk), each.limits.calls, each.limits.cps)


def _trunks(sbc: Running, snapshot: Snapshot) -> Iterator[TrunkView]:
    flows: dict[str, list[Flow]] = {}
    for flow in (*sbc.dialer.flows, *sbc.listeners.flows):
        flows.setdefault(flow.trunk or "", []).append(flow)
    for name, trunk in snapshot.trunks.items():
        yield _trunk(sbc, snapshot, trunk, flows.get(name, []))


def _load(sbc: Running) -> LoadView:
    load = sbc.engine.load
    return LoadView(load.lag, sbc.engine.date(load.since) if load.since is not None else None)


def registrations(sbc: Running) -> tuple[RegistrationView, ...]:
    """How each trunk is registered that asks for it."""
    found = sbc.engine.registrations
    return tuple(
        _registration(sbc, each) for name in sbc.store.current.trunks if (each := found.of(name)) is not None
    )


def _names(sbc: Running) -> Iterator[NameView]:
    """What DNS gave for the domains among the trunks' peers."""
    for name, known, trunks in sbc.names.known():
        servers = tuple(
            ServerView(each.host, str(each.address), each.priority, each.weight) for each in known.targets
        )
        until = float(round(sbc.engine.date(known.until))) if known.answered else 0.0
        problem = known.failure or "; ".join(known.remarks)
        yield NameView(
            name.domain, name.transport, servers, until, problem, bool(known.failure), tuple(sorted(trunks))
        )


def _registration(sbc: Running, each: Registration) -> RegistrationView:
    def date(moment: float) -> float:
        return sbc.engine.date(moment) if moment else 0.0

    return RegistrationView(
        trunk=each.trunk.trunk, address=each.address, registrar=str(each.peer or ""), state=each.state,
        reason=each.reason, contact=each.contact, since=date(each.since), until=date(each.until),
        due=date(each.due), associated=each.associated, service_route=each.routes,
    )  # fmt: skip


def _listener(sbc: Running, snapshot: Snapshot, name: str) -> ListenerView:
    config = snapshot.settings.listeners[name]
    bound = sbc.listeners.endpoint(name)
    if bound is None:
        return ListenerView(name, config.transport, config.bind, "stopped", "not bound")
    used = {snapshot.identity_of(trunk) for trunk in snapshot.trunks.values() if trunk.listener == name}
    used |= {tenant.server_identity for tenant in snapshot.settings.tenants.values()}
    names = sorted(each for each in used if each is not None and config.transport == "tls")
    certificates = tuple(
        _certificate(snapshot.identities[each]) for each in names if each in snapshot.identities
    )
    tally = sbc.recorder.counters.tally
    return ListenerView(
        name, config.transport, Address(*bound.local), certificates=certificates,
        inbound=replace(tally.of(name, "inbound")), outbound=replace(tally.of(name, "outbound")),
        advertise=str(config.advertise) if config.advertise is not None else "",
    )  # fmt: skip


def _certificate(identity: IdentityMaterial) -> CertificateView:
    return CertificateView(identity.name, identity.subject, identity.thumbprint, identity.not_after)


def _trunk(sbc: Running, snapshot: Snapshot, trunk: Trunk, flows: list[Flow]) -> TrunkView:
    name = snapshot.identity_of(trunk)
    identity = snapshot.identities.get(snapshot.shown_to(trunk.trunk, name)) if name else None
    peers = tuple(_peer(sbc, trunk, peer, flows) for peer in sbc.engine.peers.located.members(trunk))
    summary = sbc.recorder.optional.summary(trunk.trunk, sbc.clock.now())
    failures = tuple(
        (kind, count) for (each, kind), count in sbc.recorder.failures_by_trunk.items() if each == trunk.trunk
    )
    alerts = tuple(
        (alert, count) for (each, alert), count in sbc.recorder.alerts_by_trunk.items() if each == trunk.trunk
    )
    return TrunkView(
        name=trunk.trunk, listener=trunk.listener, peers=tuple(str(peer) for peer in trunk.peers),
        transport=snapshot.settings.listeners[trunk.listener].transport,
        mode=trunk.tls.mode if trunk.tls else "off", srtp=trunk.srtp, sips=trunk.sips,
        state=_state_of(snapshot, trunk, peers, flows),
        reason=_trouble(snapshot, trunk.trunk) or _failing(peers) or _nobody(trunk, peers),
        held=trunk.trunk in snapshot.held and trunk.trunk not in snapshot.disabled,
        optional=summary.advice if summary is not None else "",
        shown=summary.counts if summary is not None else (),
        calls=sbc.engine.limits.calls(trunk.trunk),
        call_limit=trunk.limits.calls, media_ports=sbc.media.held_ports(trunk.trunk),
        own=_certificate(identity) if identity else None,
        peer=_presented(flows) or _remembered(sbc, trunk.trunk), failures=failures, alerts=alerts,
        revocation=trunk.tls.revocation.mode if trunk.tls else "off",
        soft_passes=sbc.recorder.soft_passes.of(trunk.trunk), peer_states=peers,
        outcomes=tuple(_outcome(*each) for each in sbc.engine.outcomes.known(trunk.trunk)),
        quality=tuple(_quality(*each) for each in sbc.recorder.qualities.known(trunk.trunk)),
    )  # fmt: skip


def _outcome(direction: Direction, found: Outcome) -> OutcomeView:
    calls = sum(found.codes.values())
    answered = sum(count for code, count in found.codes.items() if code.startswith("2"))
    return OutcomeView(
        direction, tuple(sorted(found.codes.items())), calls, answered, answered / calls if calls else None,
        found.ended, found.seconds, found.seconds / found.ended if found.ended else None,
        found.delays.mean, _histogram(found.delays),
    )  # fmt: skip


def _quality(way: Way, heard: Heard) -> QualityView:
    scores, losses, jitters, trips = heard.scores, heard.losses, heard.jitters, heard.round_trips
    return QualityView(
        way, scores.mean, losses.mean, jitters.mean, trips.mean,
        _histogram(scores), _histogram(losses), _histogram(jitters), _histogram(trips),
    )  # fmt: skip


def _histogram(found: Histogram) -> HistogramView:
    return HistogramView(found.bounds, tuple(found.counts), found.sum)


def _trouble(snapshot: Snapshot, trunk: str) -> str:
    """What is wrong with the trunk's files, or why it is disabled; "" for nothing."""
    if trunk in snapshot.disabled:
        return snapshot.disabled[trunk]
    if trunk in snapshot.held:
        return f"runs on what was in force before: {with_remedies(snapshot.held[trunk])}"
    return with_remedies(snapshot.quarantined.get(trunk, ()))


def _sources(sbc: Running, snapshot: Snapshot) -> Iterator[RevocationView]:
    """Where revocation data comes from: the operator's files, then every address."""
    for lists in snapshot.lists.values():
        for path, each in lists:
            yield RevocationView("file", path, each.issuer_name, each.next_update)
    for source, state in sbc.revocation.sources.states.items():
        yield RevocationView(source.method, source.url, source.subject, state.until, state.due, state.problem)


def _state_of(snapshot: Snapshot, trunk: Trunk, peers: tuple[PeerView, ...], flows: list[Flow]) -> TrunkState:
    if trunk.trunk in snapshot.disabled:
        return "disabled"
    if trunk.trunk in snapshot.quarantined:
        return "quarantined"
    return "down" if _nobody(trunk, peers) else _state(peers, flows)


def _nobody(trunk: Trunk, peers: tuple[PeerView, ...]) -> str:
    """Why a trunk that has peers has none: they are domains, and DNS names no server of them."""
    return f"DNS names no server of {trunk.domains[0].host}" if trunk.domains and not peers else ""


def _state(peers: tuple[PeerView, ...], flows: list[Flow]) -> TrunkState:
    """Down where every peer is, resting where none takes calls; else up where one is, or on a connection."""
    states = {each.state for each in peers}
    if states == {"down"}:
        return "down"
    if states and states <= {"down", "resting"}:
        return "resting"
    return "up" if "up" in states or flows else "unknown"


def _failing(peers: tuple[PeerView, ...]) -> str:
    """Why probes fail, and peers rest; with the peer's name where the trunk has more than one."""
    troubles = [
        each.reason if len(peers) == 1 else f"{each.address}: {each.reason}" for each in peers if each.reason
    ]
    return ", ".join(troubles)


def _peer(sbc: Running, trunk: Trunk, peer: Address, flows: list[Flow]) -> PeerView:
    """What probes and calls say of a peer; without probes, whether there is a connection that we opened."""
    at, known = sbc.clock.monotonic(), sbc.engine.peers.known(trunk).get(peer)
    rest = known.resting(at) if known is not None else ""
    until = float(round(sbc.engine.date(known.rests))) if known is not None and rest else 0.0
    if known is not None and known.up is False:
        return PeerView(str(peer), "down", known.reason, until)
    if known is not None and rest == "asked":
        return PeerView(str(peer), "resting", known.met, until)
    connected = any(flow.reuse is not None and peer in (flow.reuse.target, flow.remote) for flow in flows)
    state: TrunkState = "up" if connected or (known is not None and known.up) else "unknown"
    reason = (known.reason or (known.met if rest else "")) if known is not None else ""
    return PeerView(str(peer), state, reason, until)


def _presented(flows: list[Flow]) -> CertificateView | None:
    """The certificate that the trunk's peer presented on its newest connection."""
    for flow in sorted(flows, key=lambda each: -each.opened_at):
        peer = flow.tls.peer if flow.tls else None
        if peer is not None:
            name = next((san[4:] for san in peer.sans if san.startswith("dns:")), peer.subject)
            return CertificateView(name, peer.subject, peer.thumbprint, peer.not_after)
    return None


def _remembered(sbc: Running, trunk: str) -> CertificateView | None:
    """The certificate that a peer of the trunk presented last, when it last was accepted."""
    for shown in sbc.recorder.ledger.shown(trunk):
        if shown.accepted:
            return CertificateView(shown.subject, shown.subject, shown.thumbprint, shown.not_after)
    return None


def _call(sbc: Running, call: Call) -> CallView:
    media = sbc.media.query(call.id)
    return CallView(
        id=call.id, caller=call.caller, called=call.called,
        a_trunk=call.a.trunk.trunk, b_trunk=call.b.trunk.trunk if call.b else "",
        state=call.state, started=sbc.engine.date(call.created),
        answered=sbc.engine.date(call.answered_at) if call.answered_at else None,
        a_tls=_tls(call.a.flow), b_tls=_tls(call.b.flow) if call.b else "",
        a_srtp=media.a.suite, b_srtp=media.b.suite, downgraded=bool(call.downgrades),
        emergency=call.emergency, one_way=call.one_way,
        a_quality=media.a.quality, b_quality=media.b.quality,
    )  # fmt: skip


def _tls(flow: Flow) -> str:
    return flow.tls.version if flow.tls else ""


def to_json(status: StatusView) -> dict[str, Any]:
    """The status as JSON types; addresses as text."""
    picture = asdict(status)
    for view, listener in zip(status.listeners, picture["listeners"], strict=True):
        listener["address"], listener["shown"] = str(view.address), view.shown
    counters = status.counters
    picture["counters"] |= {
        "handshakes": counters.handshakes, "handshake_failures": counters.handshake_failures
    }  # fmt: skip
    return picture
