"""Counters, and their exposition as text for Prometheus.

A counter is a plain int in a slot or a dict: counting costs an addition and needs no library.
What is a state rather than an event (open connections, live calls, expiry) is read from the
StatusView when somebody asks, so that nothing has to be kept in step.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import inf

from sbc.b2bua.commands import Note
from sbc.observe.call_metrics import outcomes, qualities
from sbc.observe.edge_views import BlocklistView
from sbc.observe.families import Sample
from sbc.observe.families import family as _family
from sbc.observe.families import one as _one
from sbc.observe.traffic import Stats, Tally
from sbc.observe.upkeep_metrics import upkeep
from sbc.observe.views import (
    CertificateView,
    CountersView,
    LifeView,
    ListenerView,
    LookupView,
    NameView,
    RegistrationView,
    RevocationView,
    StatusView,
    TrunkView,
)
from sbc.tls.lifetime.expiry import RANK

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Counters:
    """What happened since the start; ``tally`` has what is of a listener."""

    __slots__ = ("calls", "downgrades", "events", "frames_missed", "sips_arrivals", "tally")

    def __init__(self) -> None:
        self.tally = Tally()
        self.calls = self.frames_missed = 0
        self.sips_arrivals = 0
        self.downgrades = 0
        self.events: dict[str, int] = {}

    def note(self, note: Note) -> None:
        """Count an event of the core, under its name and where it has a counter of its own."""
        event = note.event
        self.events[event] = self.events.get(event, 0) + 1
        if event == "sips-arrival":
            self.sips_arrivals += 1
        elif event == "sips-downgrade":
            self.downgrades += 1
        elif event == "call-ended":
            self.calls += 1
        elif event == "hook-missed":
            self.frames_missed += int(note.fields["frames"])

    def view(self) -> CountersView:
        """The counters as they are now."""
        return CountersView(
            inbound=self.tally.total("inbound"),
            outbound=self.tally.total("outbound"),
            calls=self.calls,
            frames_missed=self.frames_missed,
            sips_arrivals=self.sips_arrivals,
            downgrades=self.downgrades,
            events=tuple(sorted(self.events.items())),
        )


def exposition(status: StatusView) -> str:
    """The whole status as Prometheus text, each name beginning with ``sbc_``."""
    return "\n".join(
        [
            *_totals(status),
            *_listeners(status.listeners),
            *_networks(status),
            *_trunks(status),
            *_enabled(status),
            *outcomes(status.trunks),
            *qualities(status.trunks),
            *_tenants(status),
            *_limits(status),
            *_caps(status),
            *_registrations(status.registrations),
            *_phones(status),
            *_names(status.names),
            *_lookups(status.lookups),
            *_acl(status),
            *_sources(status.revocation),
            *_blocklist(status.blocklist),
            *upkeep(status),
            "",
        ]
    )


def _exports(status: StatusView) -> Iterator[str]:
    each = [({"collector": view.name}, view) for view in status.exports]
    reached = [(labels, float(not view.problem)) for labels, view in each]
    waiting = [(labels, float(view.waiting)) for labels, view in each]
    sent = [(labels, float(view.sent)) for labels, view in each]
    dropped = [(labels, float(view.dropped)) for labels, view in each]
    yield from _family("sbc_collector_up", "gauge", "Who is told what happens can be reached.", reached)
    yield from _family("sbc_collector_waiting", "gauge", "Messages that it has not been told.", waiting)
    yield from _family("sbc_collector_sent_total", "counter", "Messages that it has been told.", sent)
    yield from _family("sbc_collector_dropped_total", "counter", "Messages that it never will.", dropped)


def _acl(status: StatusView) -> Iterator[str]:
    acl = status.acl
    yield from _one("sbc_acl_rules", "gauge", "Rules of the access list.", acl.rules)
    denied = [({"kind": kind}, float(count)) for kind, count in acl.denied]
    yield from _family("sbc_acl_denied_total", "counter", "Whom the access list kept out.", denied)


def _totals(status: StatusView) -> Iterator[str]:
    counters = status.counters
    build = {"release": status.release, "configuration": status.version}
    yield from _family("sbc_info", "gauge", "What is running.", [(build, 1)])
    yield from _one("sbc_start_time_seconds", "gauge", "When it started.", status.started)
    yield from _one("sbc_calls", "gauge", "Live calls.", len(status.calls))
    urgent = sum(call.emergency for call in status.calls)
    yield from _one("sbc_emergency_calls", "gauge", "Those of them that are emergency calls.", urgent)
    yield from _one("sbc_calls_ended_total", "counter", "Calls that are over.", counters.calls)
    ways = {"inbound": counters.inbound, "outbound": counters.outbound}
    good = [({"direction": way}, float(stats.handshakes)) for way, stats in ways.items()]
    yield from _family("sbc_tls_handshakes_total", "counter", "Good handshakes.", good)
    failed = [({"direction": way}, float(stats.failures)) for way, stats in ways.items()]
    yield from _family("sbc_tls_handshake_failures_total", "counter", "Refused handshakes.", failed)
    records = status.records
    yield from _one("sbc_call_records_waiting", "gauge", "Records not written yet.", records.waiting)
    yield from _one("sbc_call_records_lost_total", "counter", "Records that never will be.", records.lost)
    lost = status.lines_lost
    yield from _one("sbc_journal_lines_lost_total", "counter", "Lines that the journal does not have.", lost)
    yield from _exports(status)
    kept = status.recordings
    yield from _one("sbc_recordings", "gauge", "Calls that are being recorded.", kept.running)
    yield from _one("sbc_recordings_bytes", "gauge", "What all recordings take of their disk.", kept.used)
    yield from _one("sbc_recordings_failed_total", "counter", "Recordings that are not whole.", kept.failed)
    yield from _one(
        "sbc_recording_packets_dropped_total", "counter", "Of recorded calls, in no file.", kept.dropped
    )
    missed = counters.frames_missed
    yield from _one("sbc_hook_frames_missed_total", "counter", "What was too much for on_media.", missed)
    yield from _one("sbc_sips_arrivals_total", "counter", "SIPS requests.", counters.sips_arrivals)
    yield from _one(
        "sbc_sips_downgrades_total", "counter", "SIPS calls with a plain leg.", counters.downgrades
    )
    events = [({"event": name}, float(count)) for name, count in counters.events]
    yield from _family("sbc_events_total", "counter", "Events of the core, by name.", events)


def _listeners(listeners: tuple[ListenerView, ...]) -> Iterator[str]:
    named = [({"listener": view.name, "transport": view.transport}, view) for view in listeners]
    streams = [(labels, view) for labels, view in named if view.transport != "udp"]
    datagrams = [(labels, view.inbound) for labels, view in named if view.transport == "udp"]
    both = [
        ({**labels, "direction": way}, stats)
        for labels, view in streams
        for way, stats in (("inbound", view.inbound), ("outbound", view.outbound))
    ]
    secure = [(labels, stats) for labels, stats in both if labels["transport"] == "tls"]

    def family(
        name: str, kind: str, text: str, of: list[tuple[dict[str, str], Stats]], what: str
    ) -> Iterator[str]:
        return _family(name, kind, text, [(labels, float(getattr(stats, what))) for labels, stats in of])

    up = [(labels, float(view.state == "listening")) for labels, view in named]
    yield from _family("sbc_listener_up", "gauge", "1 where the port listens.", up)
    inbound = [(labels, view.inbound) for labels, view in streams]
    yield from family("sbc_listener_accepted_total", "counter", "Connections taken.", inbound, "accepted")
    yield from family("sbc_listener_received_total", "counter", "Datagrams taken.", datagrams, "received")
    yield from family("sbc_listener_unsent_total", "counter", "Datagrams not sent.", datagrams, "unsent")
    yield from family(
        "sbc_listener_refused_total", "counter", "Refused before anything was read.",
        [(labels, view.inbound) for labels, view in named], "refused",
    )  # fmt: skip
    yield from family("sbc_listener_handshakes_total", "counter", "Good handshakes.", secure, "handshakes")
    yield from family(
        "sbc_listener_handshake_failures_total", "counter", "Refused handshakes.", secure, "failures"
    )
    yield from family(
        "sbc_listener_handshakes_in_flight", "gauge", "Handshakes begun and not done.", secure, "in_flight"
    )
    yield from family("sbc_listener_connections", "gauge", "Open connections.", both, "open")
    crowded = [(labels, float(view.inbound.crowded)) for labels, view in streams]
    yield from _family(
        "sbc_connections_over_cap_total",
        "counter",
        "Refused for want of a place, or of one's share.",
        crowded,
    )
    held = [(labels, float(view.held)) for labels, view in named]
    yield from _family(
        "sbc_messages_held_total",
        "counter",
        "Over their peer's cap: they waited, over UDP were dropped.",
        held,
    )


def _networks(status: StatusView) -> Iterator[str]:
    pairs = [
        ({"network": each.name, "family": each.family, "state": state}, float(count))
        for each in status.networks
        for state, count in (("free", each.free), ("taken", each.pairs - each.free))
    ]
    yield from _family("sbc_media_port_pairs", "gauge", "Pairs of media ports of each network.", pairs)


def _enabled(status: StatusView) -> Iterator[str]:
    on = [({"trunk": view.name}, float(view.state != "disabled")) for view in status.trunks]
    yield from _family("sbc_trunk_enabled", "gauge", "0 where the trunk is out of service.", on)


def _peers(trunks: tuple[TrunkView, ...]) -> Iterator[str]:
    peers = [
        ({"trunk": view.name, "peer": each.address}, each) for view in trunks for each in view.peer_states
    ]
    up = [(labels, float(each.state == "up")) for labels, each in peers]
    yield from _family("sbc_peer_up", "gauge", "1 where this peer of the trunk answers.", up)
    down = [(labels, float(each.state == "down")) for labels, each in peers]
    yield from _family("sbc_peer_down", "gauge", "1 where it is known that this peer does not.", down)
    rests = [(labels, each.rests_until) for labels, each in peers]
    yield from _family("sbc_peer_rests_until_seconds", "gauge", "When its rest ends; 0 without one.", rests)


def _trunks(status: StatusView) -> Iterator[str]:
    trunks = status.trunks
    up = [({"trunk": view.name}, float(view.state == "up")) for view in trunks]
    yield from _family("sbc_trunk_up", "gauge", "1 where the trunk answers.", up)
    downs = [({"trunk": view.name}, float(view.state == "down")) for view in trunks]
    yield from _family("sbc_trunk_down", "gauge", "1 where it is known that nobody answers.", downs)
    yield from _peers(trunks)
    yield from _trunk_counts(trunks)
    own, peers = list(_expiries(trunks, "own")), list(_expiries(trunks, "peer"))
    yield from _family("sbc_own_certificate_expiry_seconds", "gauge", "notAfter of ours.", own)
    yield from _family("sbc_peer_certificate_expiry_seconds", "gauge", "notAfter of the peer's.", peers)
    yield from _lives(status.certificates)


def _trunk_counts(trunks: tuple[TrunkView, ...]) -> Iterator[str]:
    broken = [({"trunk": view.name}, float(view.held or view.state == "quarantined")) for view in trunks]
    yield from _family("sbc_trunk_broken", "gauge", "1 where a file of the trunk's TLS is broken.", broken)
    shown = [
        ({"trunk": view.name, "certificate": what}, float(count))
        for view in trunks
        for what, count in view.shown
    ]
    yield from _family(
        "sbc_trunk_optional_handshakes_total", "counter", "Inbound, where a certificate is optional.", shown
    )
    calls = [({"trunk": view.name}, float(view.calls)) for view in trunks]
    yield from _family("sbc_trunk_calls", "gauge", "Live calls of the trunk.", calls)
    ports = [({"trunk": view.name}, float(view.media_ports)) for view in trunks]
    yield from _family("sbc_trunk_media_port_pairs", "gauge", "Pairs that calls from it hold.", ports)
    failures = [
        ({"trunk": view.name, "kind": kind}, float(count)) for view in trunks for kind, count in view.failures
    ]
    yield from _family(
        "sbc_trunk_handshake_failures_total", "counter", "Refused handshakes, by kind.", failures
    )
    alerts = [_alerted(view.name, alert, count) for view in trunks for alert, count in view.alerts]
    yield from _family("sbc_trunk_handshake_alerts_total", "counter", "Refused handshakes, by alert.", alerts)
    passes = [
        ({"trunk": view.name, "reason": reason}, float(count))
        for view in trunks
        for reason, count in view.soft_passes
    ]
    yield from _family(
        "sbc_revocation_soft_passes_total", "counter", "Peers let pass unchecked, by reason.", passes
    )


def _tenants(status: StatusView) -> Iterator[str]:
    calls = [({"tenant": view.name}, float(view.calls)) for view in status.tenants]
    yield from _family("sbc_tenant_calls", "gauge", "Live calls of the tenant's trunks together.", calls)
    limits = [
        ({"tenant": view.name}, float(view.call_limit))
        for view in status.tenants
        if view.call_limit is not None
    ]
    yield from _family("sbc_tenant_calls_limit", "gauge", "How many it may have.", limits)


def _limits(status: StatusView) -> Iterator[str]:
    refused = [({"limit": name or "-"}, float(count)) for name, count in status.limit_refusals]
    yield from _family("sbc_limit_refusals_total", "counter", "Calls that a limit refused.", refused)
    yield from _one("sbc_limit_keys", "gauge", "Allowances of which something is spent.", status.limit_keys)


def _caps(status: StatusView) -> Iterator[str]:
    refused = [({"trunk": each.trunk, "cap": each.cap}, float(each.refused)) for each in status.caps]
    yield from _family("sbc_cap_refusals_total", "counter", "What caps have refused.", refused)
    reached = [({"trunk": each.trunk, "cap": each.cap}, float(each.reached)) for each in status.caps]
    yield from _family("sbc_cap_reached", "gauge", "1 where it refused something within a minute.", reached)
    overloaded = float(status.load.overloaded_since is not None)
    yield from _one("sbc_overloaded", "gauge", "1 while it cannot keep up.", overloaded)
    yield from _one("sbc_loop_lag_seconds", "gauge", "How late the loop comes round.", status.load.lag)
    yield from _one("sbc_transactions", "gauge", "SIP transactions that live.", status.transactions)


def _registrations(found: tuple[RegistrationView, ...]) -> Iterator[str]:
    up = [({"trunk": each.trunk}, float(each.state == "registered")) for each in found]
    yield from _family("sbc_registration_up", "gauge", "1 where the trunk is registered.", up)
    ends = [({"trunk": each.trunk}, each.until) for each in found if each.until]
    yield from _family("sbc_registration_expiry_seconds", "gauge", "When its binding ends.", ends)


def _phones(status: StatusView) -> Iterator[str]:
    users = [({"trunk": each.trunk}, float(each.users)) for each in status.phones]
    yield from _family("sbc_phone_users", "gauge", "Users who are registered.", users)
    places = [({"trunk": each.trunk}, float(each.contacts)) for each in status.phones]
    yield from _family("sbc_phone_contacts", "gauge", "Places at which they are.", places)
    reached = [({"trunk": each.trunk}, float(each.reachable)) for each in status.phones]
    yield from _family("sbc_phone_contacts_reachable", "gauge", "Those of them with a connection.", reached)
    came = [({"result": name}, float(count)) for name, count in status.registers]
    yield from _family("sbc_phone_registers_total", "counter", "What came of REGISTER.", came)


def _names(found: tuple[NameView, ...]) -> Iterator[str]:
    labels = [{"name": each.domain, "transport": each.transport} for each in found]
    servers = [(label, float(len(each.servers))) for label, each in zip(labels, found, strict=True)]
    yield from _family("sbc_name_servers", "gauge", "Servers that DNS names for a domain.", servers)
    up = [(label, float(not each.failing)) for label, each in zip(labels, found, strict=True)]
    yield from _family("sbc_name_up", "gauge", "1 where DNS answered for the domain the last time.", up)


def _lookups(found: tuple[LookupView, ...]) -> Iterator[str]:
    labels = [{"lookup": each.name} for each in found]
    up = [(label, float(each.state == "closed")) for label, each in zip(labels, found, strict=True)]
    yield from _family("sbc_lookup_up", "gauge", "1 where the service is asked, 0 while left alone.", up)
    ended = [
        ({"lookup": each.name, "ending": kind}, float(count)) for each in found for kind, count in each.counts
    ]
    yield from _family("sbc_lookup_questions_total", "counter", "What rules asked, by how it ended.", ended)
    taken = [(label, each.seconds) for label, each in zip(labels, found, strict=True)]
    yield from _family("sbc_lookup_seconds_total", "counter", "The time that questions took.", taken)
    waiting = [(label, float(each.under_way)) for label, each in zip(labels, found, strict=True)]
    yield from _family("sbc_lookup_under_way", "gauge", "Questions that wait for their answer.", waiting)


def _lives(certificates: tuple[LifeView, ...]) -> Iterator[str]:
    labels = [
        {"whose": each.whose, "name": each.name, "thumbprint": each.thumbprint[:16]} for each in certificates
    ]
    ends = [(label, each.ends) for label, each in zip(labels, certificates, strict=True)]
    yield from _family("sbc_certificate_expiry_seconds", "gauge", "When it ends, POSIX seconds.", ends)
    marks = [(label, float(RANK[each.state])) for label, each in zip(labels, certificates, strict=True)]
    words = "0 ok, 1 notice, 2 reminder, 3 warning or overdue, 4 incident, 5 expired."
    yield from _family("sbc_certificate_mark", "gauge", words, marks)


def _alerted(trunk: str, alert: str, count: int) -> Sample:
    way, number, name = alert.split(" ", 2)
    return {"trunk": trunk, "alert": name, "number": number, "way": way}, float(count)


def _sources(found: tuple[RevocationView, ...]) -> Iterator[str]:
    # A file may hold several lists of a CA, and several entries may name it: what runs out first counts.
    first: dict[tuple[str, str, str], RevocationView] = {}
    for each in sorted(found, key=lambda view: (not view.problem, view.until or inf)):
        first.setdefault((each.kind, each.source, each.of), each)
    sources = list(first.values())
    labels = [{"kind": each.kind, "source": each.source, "of": each.of} for each in sources]
    up = [(label, float(not each.problem)) for label, each in zip(labels, sources, strict=True)]
    ends = [(label, each.until) for label, each in zip(labels, sources, strict=True) if each.until]
    yield from _family("sbc_revocation_source_up", "gauge", "1 where the source answers.", up)
    yield from _family("sbc_revocation_expiry_seconds", "gauge", "When what it gave runs out.", ends)


def _blocklist(view: BlocklistView) -> Iterator[str]:
    yield from _one("sbc_blocklist_size", "gauge", "Addresses that are blocked.", view.now)
    ever = [({"kind": kind}, float(count)) for kind, count in view.counts]
    yield from _family("sbc_blocklist_blocked_total", "counter", "Addresses that ever were, by why.", ever)
    yield from _one("sbc_blocklist_refused_total", "counter", "What they brought, unread.", view.refused)


def _expiries(trunks: tuple[TrunkView, ...], side: str) -> Iterator[Sample]:
    for view in trunks:
        certificate: CertificateView | None = getattr(view, side)
        if certificate is not None:
            yield {"trunk": view.name, "name": certificate.name}, certificate.not_after
