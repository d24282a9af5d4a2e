"""What happened, told to whoever keeps it: the journal, the counters, the call records."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final

from sbc.b2bua.commands import Note
from sbc.base import Address
from sbc.flow import Flow
from sbc.media.stats import MediaStats
from sbc.observe.caps import Reached
from sbc.observe.cdr import call_record
from sbc.observe.journal import Journal, Level
from sbc.observe.masking import Mask
from sbc.observe.metrics import Counters
from sbc.observe.qualities import Qualities
from sbc.observe.throttle import Throttle
from sbc.observe.turned_away import TurnedAway
from sbc.observe.views import FailureView
from sbc.policy.shares import source_of
from sbc.tls.events import Handshake, HandshakeFailed, Unreached
from sbc.tls.failure import Direction, Failure, alert_name
from sbc.tls.ledger import Ledger
from sbc.tls.optional import OptionalPeers, Showed
from sbc.tls.revocation.policy import SoftPass

FAILURES_KEPT = 50
# Lines a minute about one address, and about all: messages that are refused for what they are, phones
# that come and go, handshakes that fail in one way, floods, what is over a cap; of services that do not
# answer, about one that fails in one way; of allowances that are spent, about those of one limit.
_MESSAGES: Final = (5, 60)
_PHONES: Final = (60, 600)
_HANDSHAKES: Final = (30, 300)
_FLOODS: Final = (1, 20)
_CAPS: Final = (1, 20)
_LOOKUPS: Final = (5, 60)
_LIMITS: Final = (20, 200)
# Seconds between two lines about one source, or one reason, for which peers were let pass.
LOG_EVERY: Final = 3600.0
_MOST_SAID: Final = 4096

# The line of the configuration that decides a failure of a trunk, "" for none.
Place = Callable[[str, Failure, Direction], str]


class Recorder:
    """The one observer of the driver; ``write_record`` takes the call records, a line each.

    ``ledger`` has what was observed of every trunk, ``optional`` who shows what to those in mode
    optional; ``place`` is the app's, for it has the snapshot.
    """

    def __init__(
        self, journal: Journal, write_record: Callable[[str], object], place: Place | None = None
    ) -> None:
        self.journal = journal
        self.counters = Counters()
        self.qualities = Qualities()
        self.failures: deque[FailureView] = deque(maxlen=FAILURES_KEPT)
        self.failures_by_trunk: dict[tuple[str, str], int] = {}
        self.alerts_by_trunk: dict[tuple[str, str], int] = {}
        self.soft_passes = SoftPasses()
        self.ledger = Ledger()
        self.optional = OptionalPeers()
        self.reached = Reached()
        self.place: Place = place or _nowhere
        self.mask: Mask | None = None  # what shortens numbers in records
        self._write_record = write_record
        self.turned_away = TurnedAway(partial(self._record, ""))
        self._messages = Throttle(*_MESSAGES)
        self._phones = Throttle(*_PHONES)
        self._handshakes = Throttle(*_HANDSHAKES)
        self._floods = Throttle(*_FLOODS)
        self._caps = Throttle(*_CAPS)
        self._lookups = Throttle(*_LOOKUPS)
        self._limits = Throttle(*_LIMITS)

    def note(self, note: Note, media: MediaStats | None, now: float) -> None:
        """The core noted something; ``media`` are the counters of a call that ended."""
        self.counters.note(note)
        if note.event == "call-turned-away":
            self.turned_away.note(note, now)
            return
        if note.event == "call-ended":
            kept = media.recording if media is not None else None
            if kept is None:
                self._record(note.call, note.fields, media)
            else:
                kept.then(partial(self._record, note.call, note.fields, media))
            if media is not None:
                fields = note.fields
                callee = str(fields["to"]) if fields.get("b") is not None else ""
                self.qualities.note(str(fields.get("from", "")), callee, media)
            fields = {name: value for name, value in note.fields.items() if name in _ENDED_FIELDS}
            note = Note(note.event, note.call, fields)
        elif "cap" in note.fields:
            self._over_cap(note, now)
            return
        elif note.event in _OF_SOURCES and "remote" in note.fields:
            self._tell_sometimes(self._messages, _source(note), note, now)
            return
        elif note.event == "scanner-dropped":
            self._tell_sometimes(self._floods, _source(note), note, now)
            return
        elif note.event in _OF_PHONES:
            self._tell_sometimes(self._phones, _source(note), note, now)
            return
        elif note.event in _OF_LIMITS:
            self._tell_sometimes(self._limits, str(note.fields["limit"]), note, now)
            return
        elif note.event == "lookup-failed":
            of = f"{note.fields['lookup']} {note.fields['kind']}"
            self._tell_sometimes(self._lookups, of, note, now)
            return
        self.journal.note(note, now)

    def _record(self, call: str, fields: dict[str, Any], media: MediaStats | None = None) -> None:
        """Write the record of a call whose recording is whole by now, or of what became no call."""
        if self.mask is not None:
            fields = self.mask.record(fields)
        self._write_record(call_record(call, fields, media))

    def _tell_sometimes(self, throttle: Throttle, of: str, note: Note, now: float) -> None:
        """Say it, unless much of the same source or service was said just now."""
        more = throttle.note(f"{note.event} {of}", now, of)
        if more is not None:
            reason = f"{note.fields.get('reason', '')}{more}"
            fields = {**note.fields, "reason": reason} if reason else note.fields
            self.journal.note(Note(note.event, note.call, fields), now)

    def _over_cap(self, note: Note, now: float) -> None:
        """A cap has refused something: one line a minute for each address and cap."""
        trunk, cap = str(note.fields["trunk"]), str(note.fields["cap"])
        self.reached.note(trunk, cap, now)
        source = _source(note) if "remote" in note.fields else f"trunk {trunk}"
        more = self._caps.note(f"{source} over {cap}", now, source)
        if more is not None:
            fields = {**note.fields, "reason": f"{note.fields['reason']}{more}"}
            self.journal.note(Note(note.event, note.call, fields), now)

    def tick(self, now: float) -> None:
        """Say what no line or record has said of a flood; to be called about every second."""
        self.turned_away.tick(now)
        for tag, throttle in (("[cap]", self._caps), ("[malformed]", self._messages)):
            rest = throttle.rest(now)
            if rest:
                self.journal.event("WRN", tag, {"event": "kept-back", "reason": rest}, now)

    def handshake(self, event: Handshake) -> None:
        """A good handshake is counted and goes into the ledger (row T9)."""
        host = _host(event.direction, event.facts.sni, event.remote)
        self.counters.tally.of(event.listener, event.direction).handshakes += 1
        if event.direction == "inbound" and event.trunk in self.optional.followed:
            showed: Showed = "presented" if event.chain else "absent"
            self.optional.note(event.trunk, event.remote.host, showed, event.at)
        self.ledger.succeeded(
            event.trunk, event.direction, event.facts, event.at, remote=str(event.remote), host=host,
            listener=event.listener, chain=event.chain, anchor=event.anchor or "", asked=event.peer_cas,
        )  # fmt: skip

    def handshake_failed(self, event: HandshakeFailed) -> None:
        """One failed handshake is one line, one count, one row on the status page (row T16).

        Of those of one address that fail alike, some thirty a minute are lines, and the others are counted.
        """
        self.counters.tally.of(event.listener, event.direction).failures += 1
        failure = event.failure
        trunk = ",".join(event.candidates)
        alert = _alert(event)
        for name in event.candidates or ("",):
            key = (name, failure.kind)
            self.failures_by_trunk[key] = self.failures_by_trunk.get(key, 0) + 1
            if alert:
                self.alerts_by_trunk[name, alert] = self.alerts_by_trunk.get((name, alert), 0) + 1
        where = {name: self.place(name, failure, event.direction) for name in event.candidates}
        places = ", ".join(filter(None, where.values()))
        self.failures.appendleft(_view(event, trunk, places))
        self._enter(event, alert, where)
        fields: dict[str, Any] = {
            "kind": failure.kind, "direction": event.direction, "trunk": trunk or "-",
            "listener": event.listener or "-", "peer": event.remote, "sni": event.sni or "-",
            "alert": alert or "-", "verify_code": event.verify_code,
            "presented": event.peer.label if event.peer else "-",
            "detail": failure.detail, "remedy": failure.remedy, "where": places or "-",
        }  # fmt: skip
        if event.direction == "inbound":
            more = self._handshakes.note(f"{failure.kind} {source_of(event.remote.host)}", event.at)
            if more is None:
                return
            fields["detail"] = f"{failure.detail}{more}"
        level: Level = "ERR" if failure.security_event else "WRN"
        self.journal.event(level, "[tls-refused]", fields, event.at)

    def _enter(self, event: HandshakeFailed, alert: str, where: dict[str, str]) -> None:
        if event.direction == "inbound" and (event.peer is not None or event.chain):
            for name in event.candidates:
                self.optional.note(name, event.remote.host, "bad", event.at)
        # Who does not hold the key of a certificate has not presented it.
        chain = () if event.failure.security_event else event.chain
        self.ledger.failed(
            event.candidates, event.direction, event.failure, event.at, remote=str(event.remote),
            host=_host(event.direction, event.sni, event.remote), listener=event.listener, sni=event.sni,
            alert=alert, chain=chain, where=where,
        )  # fmt: skip

    def unreached(self, event: Unreached) -> None:
        """A peer that was dialled and not found is in the ledger, as one that failed its handshake is."""
        where = {event.trunk: self.place(event.trunk, event.failure, "outbound")}
        self.ledger.failed(
            (event.trunk,), "outbound", event.failure, event.at, remote=event.remote, host=event.host,
            listener=event.listener, where=where,
        )  # fmt: skip

    def soft_pass(self, event: SoftPass) -> None:
        """One of which too little is known was let pass: counted, and said once an hour (row T13)."""
        found = event.found
        if not self.soft_passes.note(event.trunk, found.state, found.source, event.at):
            return
        fields: dict[str, Any] = {
            "event": "soft-pass", "trunk": event.trunk, "direction": event.direction, "peer": event.remote,
            "presented": event.subject, "reason": found.state, "detail": found.reason,
            "source": found.source or "-",
        }  # fmt: skip
        level: Level = "INF" if found.state == "no-source" else "WRN"
        self.journal.event(level, "[revocation]", fields, event.at)

    def revocation(self, level: Level, fields: dict[str, Any], now: float) -> None:
        """A source gave something or failed, or a revocation ended a connection."""
        self.journal.event(level, "[revocation]", fields, now)

    def refused(self, listener: str, address: Address, reason: str, now: float) -> None:
        """A connection was refused at accept."""
        fields = {"listener": listener, "peer": address, "reason": reason}
        self.note(Note("connection-refused", "", fields), None, now)

    def flood(self, flow: Flow, now: float) -> None:
        """A peer brings more messages than its allowance: said once a minute."""
        more = self._floods.note(f"{flow.trunk} {source_of(flow.remote.host)}", now)
        if more is None:
            return
        what = "waits" if flow.reliable else "is dropped"
        reason = (
            f"over {flow.allowance.rate:g} messages a second (caps.messages_per_flow): what is more {what}"
        )
        fields = {
            "listener": flow.listener, "trunk": flow.trunk, "peer": flow.remote, "reason": reason + more,
        }  # fmt: skip
        self.note(Note("flood", "", fields), None, now)

    def fault(self, place: str, now: float) -> None:
        """Our own code failed at ``place``."""
        self.note(Note("internal-error", "", {"place": place}), None, now)


class SoftPasses:
    """Peers that were let pass although nothing fresh said that their certificate is not revoked.

    Counted for each trunk and reason, apart from failed handshakes: these are connections that came about.
    A source that is down would otherwise write a line a connection; it is said once an hour.
    """

    __slots__ = ("_said", "counts")

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self._said: dict[tuple[str, str], float] = {}

    def note(self, trunk: str, reason: str, source: str, now: float) -> bool:
        """Count one at ``now`` (POSIX seconds); True where it is to be logged."""
        self.counts[trunk, reason] = self.counts.get((trunk, reason), 0) + 1
        key = (trunk, source or reason)
        said = self._said.get(key)
        if said is not None and 0.0 <= now - said < LOG_EVERY:  # a clock may have been set back
            return False
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said[key] = now
        return True

    def of(self, trunk: str) -> tuple[tuple[str, int], ...]:
        """The counts of one trunk, by reason."""
        return tuple(
            sorted((reason, count) for (name, reason), count in self.counts.items() if name == trunk)
        )


# What a peer's messages alone bring about: as many as it likes.
_OF_SOURCES: Final = frozenset(("malformed", "call-refused", "phone-refused"))
_OF_PHONES: Final = frozenset(("phone-registered", "phone-unregistered", "phone-expired", "phone-dropped"))
_OF_LIMITS: Final = frozenset(("fraud-warning", "fraud-refused", "fraud-full"))
_ENDED_FIELDS: Final = frozenset(
    ("caller", "called", "from", "to", "status", "reason", "by", "duration", "downgraded", "rule")
)


def _nowhere(trunk: str, failure: Failure, direction: Direction) -> str:
    return ""


def _host(direction: Direction, sni: str, remote: Address) -> str:
    """What the peer is judged by beside its certificate: its address, or the name that we dialled."""
    return sni if direction == "outbound" and sni else remote.host


def _source(note: Note) -> str:
    return source_of(str(note.fields["remote"]).rpartition(":")[0].strip("[]"))


def _alert(event: HandshakeFailed) -> str:
    if event.alert_received is not None:
        return f"received {event.alert_received} {alert_name(event.alert_received)}"
    if event.alert_sent is not None:
        return f"sent {event.alert_sent} {alert_name(event.alert_sent)}"
    return ""


def _view(event: HandshakeFailed, trunk: str, where: str) -> FailureView:
    failure = event.failure
    return FailureView(
        at=event.at, peer=str(event.remote), trunk=trunk, direction=event.direction,
        kind=failure.kind, detail=failure.detail, remedy=failure.remedy, alert=_alert(event),
        where=where,
    )  # fmt: skip
