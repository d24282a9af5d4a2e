"""What an operator is told of, read off two pictures: the one now, and how counters have risen since others.

Each condition has a key that outlives the picture: its trunk, certificate or file. What nobody can say now
(a trunk that was not probed yet) is ``unsure``: there what was known before holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from sbc.config.alerts import Watched
from sbc.observe.alerts.condition import Condition, Urgency, plain
from sbc.observe.alerts.rises import Rises
from sbc.observe.edge_views import DiskView
from sbc.observe.times import day, span
from sbc.observe.views import FailureView, LifeView, StatusView, TrunkView
from sbc.tls.lifetime import expiry

#: More than these are one condition: nobody reads on.
MOST: Final = 1000
#: So many allowances are in a picture at most.
LIMITS_TOLD: Final = 20
_MANY: Final = ("trunk ", "peer ", "registration ", "handshakes ", "limit ")
_URGENCY: Final[dict[str, Urgency]] = {
    "notice": "info", "reminder": "info", "warning": "warning", "overdue": "warning", "incident": "urgent",
    "expired": "urgent",
}  # fmt: skip
_WHOSE: Final = {
    "ours": "our certificate", "theirs": "the certificate of the peer of",
    "trusted": "the trusted certificate",
    "window": "the time for both certificates of",
}  # fmt: skip
# Of a disk so little of what is to be free that calls are about to lose something.
_NEARLY_FULL: Final = 4


@dataclass(frozen=True, slots=True)
class Found:
    """What is so now; of the keys that are ``unsure``, or begin like ``unsure_of``, nobody can say."""

    conditions: tuple[Condition, ...]
    unsure: frozenset[str] = frozenset()
    unsure_of: tuple[str, ...] = ()


class Lookout:
    """Looks at one picture after another, of a process that began at ``begun`` (monotonic)."""

    def __init__(self, begun: float) -> None:
        self._rises = Rises(begun)

    def look(self, status: StatusView, watched: Watched, at: float) -> Found:
        """What is so in the picture, at a moment of the monotonic clock."""
        found = [*_states(status, watched), *self._risen(status, watched, at)]
        self._rises.looked()
        unsure = set(_untried(status))
        if len(found) > MOST:
            # What there may be many of hides nothing else.
            found.sort(key=lambda each: each.key.startswith(_MANY))
            unsure.update([each.key for each in found[MOST:]])
            more = Condition(
                "more", "urgent", f"{len(found) - MOST} more things are wrong", remedy="see sbc status",
                good="the many things that were wrong are fewer",
            )  # fmt: skip
            found[MOST:] = [more]
        # Of more allowances than are told the others may be nearly spent too.
        unsure_of = ("limit ",) if len(status.limits) >= LIMITS_TOLD else ()
        return Found(tuple(found), frozenset(unsure), unsure_of)

    def _risen(self, status: StatusView, watched: Watched, at: float) -> Iterator[Condition]:
        """What is a matter of how often something happened lately."""
        within, time = watched.within, span(watched.within)

        def risen(key: str, count: int) -> int:
            return self._rises.of(key, count, at, within)

        for trunk in status.trunks:
            yield from _handshakes(trunk, status.failures, watched, risen)
            soft = sum(count for reason, count in trunk.soft_passes if reason != "no-source")
            rise = risen(f"soft {trunk.name}", soft)
            if rise:
                yield Condition(
                    f"soft {trunk.name}", "warning",
                    f"peers of trunk {trunk.name} are admitted although they may be revoked",
                    f"{rise} within {time}", "see the [revocation] lines; sbc trust says which source fails",
                    f"no peer of trunk {trunk.name} was admitted unchecked for {time}",
                )  # fmt: skip
        rise = self._rises.of("blocklist", status.blocklist.lifetime, at, within, lasting=True)
        if rise >= watched.blocked:
            yield Condition(
                "blocklist", "warning", f"{rise} addresses were blocked within {time}",
                f"{status.blocklist.now} are blocked now", "a scan, or a peer of yours? see sbc blocklist",
                f"fewer than {watched.blocked} addresses were blocked within {time}",
            )  # fmt: skip
        lost, failed = (
            risen("records-lost", status.records.lost), risen("recordings-failed", status.recordings.failed)
        )  # fmt: skip
        yield from _losses(status, lost, failed, time)
        lines = risen("journal-lost", status.lines_lost)
        if lines:
            yield Condition(
                "journal-lost", "warning", f"{lines} lines of the journal are lost", f"within {time}",
                "make room on its disk, or see why nobody reads it",
                f"no line of the journal was lost for {time}",
            )  # fmt: skip
        events = dict(status.counters.events)
        for event, urgency, title, remedy in _EVENTS:
            rise = risen(event, events.get(event, 0))
            if rise:
                yield Condition(
                    event, urgency, title, f"{rise} within {time}", remedy, f"none more for {time}: {title}"
                )


def _untried(status: StatusView) -> Iterator[str]:
    """The keys of what has not been tried yet."""
    for found in status.registrations:
        if found.state == "trying":
            yield f"registration {found.trunk}"
    for trunk in status.trunks:
        if trunk.state == "unknown":
            yield f"trunk {trunk.name}"
        for each in trunk.peer_states:
            if each.state == "unknown":
                yield f"peer {trunk.name} {each.address}"


def _handshakes(
    trunk: TrunkView, failures: tuple[FailureView, ...], watched: Watched, risen: Callable[[str, int], int]
) -> Iterator[Condition]:
    """Handshakes of one trunk that fail often, by the alert that ends them."""
    named = sum(count for _, count in trunk.alerts)
    silent = ("", max(0, sum(count for _, count in trunk.failures) - named))
    for alert, count in (*trunk.alerts, silent):
        key = f"handshakes {trunk.name} {alert or '-'}"
        rise = risen(key, count)
        if rise >= watched.handshake_failures:
            yield _spike(key, trunk, alert, rise, span(watched.within), failures)


def _losses(status: StatusView, lost: int, failed: int, time: str) -> Iterator[Condition]:
    """What should have been written down and is not."""
    if status.records.problem:
        yield Condition(
            "records", "urgent", "call records cannot be written",
            f"{status.records.waiting} wait: {plain(status.records.problem)}",
            "make room on the disk of the state directory", "call records are written again",
        )  # fmt: skip
    if lost:
        yield Condition(
            "records-lost", "urgent", f"{lost} call records are lost", plain(status.records.problem),
            "make room on the disk of the state directory", f"no call record was lost for {time}",
        )  # fmt: skip
    if failed or status.recordings.problem:
        yield Condition(
            "recordings-failed", "urgent", "calls are not recorded as they should be",
            plain(status.recordings.problem) or f"{failed} recordings are not whole",
            "see the [recording] lines", "calls are recorded again",
        )  # fmt: skip


_EVENTS: Final[tuple[tuple[str, Urgency, str, str], ...]] = (
    ("emergency-failed", "urgent", "an emergency call was not answered", "see the [emergency] lines"),
    ("fraud-full", "urgent", "limits have no room for another caller, who is refused", "see sbc limits"),
    ("internal-error", "warning", "a fault of Portcullis ended a call", "see the journal, and report it"),
)


def _states(status: StatusView, watched: Watched) -> Iterator[Condition]:
    """What is so at this moment."""
    for each in status.listeners:
        if each.state == "failed":
            yield Condition(
                f"listener {each.name}", "urgent", f"listener {each.name} does not listen",
                plain(each.reason), "see the [reload] and [start] lines",
                f"listener {each.name} listens again",
            )  # fmt: skip
    if status.refused:
        yield Condition(
            "reload", "warning", "a changed configuration was refused: the former one runs on",
            plain(status.refused), "see sbc check", "the configuration is right again",
        )  # fmt: skip
    for trunk in status.trunks:
        yield from _trunk(trunk)
    for found in status.registrations:
        if found.state == "failed":
            yield Condition(
                f"registration {found.trunk}", "urgent", f"trunk {found.trunk} is not registered",
                plain(found.reason), "see sbc registrations", f"trunk {found.trunk} is registered again",
            )  # fmt: skip
    yield from map(_life, (each for each in status.certificates if each.state != "ok"))
    yield from _sources(status)
    yield from _limits(status)
    yield from _surroundings(status, watched.disk_free)


def _surroundings(status: StatusView, disk_free: float) -> Iterator[Condition]:
    """What we need beside the trunks."""
    if status.load.overloaded_since is not None:
        yield Condition(
            "overload", "urgent", "Portcullis cannot keep up: no call begins", "",
            "see the [overload] lines; who floods? sbc status", "Portcullis keeps up again",
        )  # fmt: skip
    for service in status.lookups:
        if service.state != "closed":
            yield Condition(
                f"lookup {service.name}", "warning", f"the service {service.name} does not answer",
                plain(service.reason), "rules take its else until it does", f"{service.name} answers again",
            )  # fmt: skip
    for name in status.names:
        if name.failing:
            yield Condition(
                f"name {name.domain} {name.transport}", "warning", f"no DNS server answers for {name.domain}",
                plain(name.problem), "see the [dns] lines", f"DNS answers for {name.domain} again",
            )  # fmt: skip
    for export in status.exports:
        if export.problem:
            yield Condition(
                f"export {export.name} {export.to}", "warning", f"the collector {export.name} takes nothing",
                f"{plain(export.to)}: {plain(export.problem)}", "see its lines in the journal",
                f"the collector {export.name} takes what happens again",
            )  # fmt: skip
    disks: dict[int, list[DiskView]] = {}
    for disk in status.disks:
        disks.setdefault(disk.device, []).append(disk)
    for same in disks.values():
        yield from _disk(same, disk_free)


def _limits(status: StatusView) -> Iterator[Condition]:
    """Allowances that are nearly spent, which may be fraud."""
    for limit in status.limits:
        spent = limit.share >= 1.0
        yield Condition(
            f"limit {limit.limit} {limit.key}", "urgent" if spent else "warning",
            f"{'all' if spent else f'{limit.share * 100:.0f} %'} is spent of the limit {plain(limit.limit)}",
            f"by {plain(limit.key)}", "is it fraud? see sbc limits, and the [fraud] lines",
            f"the limit {plain(limit.limit)} is no longer nearly spent by {plain(limit.key)}", 1 + spent,
        )  # fmt: skip


def _trunk(trunk: TrunkView) -> Iterator[Condition]:
    name, reason = trunk.name, plain(trunk.reason)
    if trunk.state == "quarantined" or trunk.held:
        urgency: Urgency = "warning" if trunk.held else "urgent"
        yield Condition(
            f"broken {name}", urgency, f"a file of the TLS of trunk {name} is broken", reason,
            "see sbc check", f"the files of trunk {name} are whole again",
        )  # fmt: skip
    if trunk.state == "down":
        yield Condition(
            f"trunk {name}", "urgent", f"trunk {name} is down", reason, f"see sbc doctor {name}",
            f"trunk {name} is up again",
        )  # fmt: skip
    # Of one whose peers are all down that is enough.
    elif trunk.state != "disabled":
        for each in trunk.peer_states:
            if each.state == "down":
                yield Condition(
                    f"peer {name} {each.address}", "warning", f"peer {each.address} of trunk {name} is down",
                    plain(each.reason), f"see sbc doctor {name}",
                    f"peer {each.address} of trunk {name} is up again",
                )  # fmt: skip


def _spike(
    key: str, trunk: TrunkView, alert: str, rise: int, time: str, failures: tuple[FailureView, ...]
) -> Condition:
    """Many handshakes of one trunk failed alike; the last one says why, and what to do."""
    alike = (each for each in failures if trunk.name in each.trunk.split(",") and each.alert == alert)
    last = next(alike, None)
    way, number, name = alert.split(" ", 2) if alert else ("", "", "")
    told = f"with the alert {name} ({number}, {way})" if alert else "without an alert"
    detail = f"{rise} within {time}"
    if last is not None:
        detail += f", the last by {plain(last.peer)}: {plain(last.detail)}"
    return Condition(
        key, "warning", f"handshakes of trunk {trunk.name} fail {told}", detail,
        plain(last.remedy) if last and last.remedy else f"see sbc trust {trunk.name}",
        f"few handshakes of trunk {trunk.name} fail {told}",
    )  # fmt: skip


def _life(life: LifeView) -> Condition:
    whose, name = _WHOSE[life.whose], f"{plain(life.name)}"
    what = f"{whose} {'trunk ' if life.whose == 'theirs' else ''}{name}"
    left = life.days_left
    when = f"ended on {day(life.ends)}" if left < 0 else f"ends in {left} days, on {day(life.ends)}"
    trunks = f"; trunks {', '.join(life.trunks)}" if life.trunks else ""
    return Condition(
        f"certificate {life.whose} {life.name} {life.thumbprint}", _URGENCY[life.state], f"{what} {when}",
        f"{plain(life.subject)}{trunks}", life.remedy, f"{what} is replaced",
        expiry.RANK[life.state],
    )  # fmt: skip


def _sources(status: StatusView) -> Iterator[Condition]:
    for each in status.revocation:
        over = bool(each.until) and each.until < status.now
        if each.problem or over:
            why = plain(each.problem) or f"what it gave ran out on {day(each.until)}"
            yield Condition(
                f"revocation {each.kind} {each.source} {each.of}", "warning",
                f"a source of revocations fails: {each.kind} {plain(each.source)}",
                f"{why}; for certificates of {plain(each.of)}", "see the [revocation] lines",
                f"the source of revocations {plain(each.source)} answers again",
            )  # fmt: skip


def _disk(same: list[DiskView], least: float) -> Iterator[Condition]:
    """One disk, whatever is written to it."""
    disk, what = same[0], " and ".join([each.what for each in same])
    key, of = f"disk {what}", f"the disk of the {what}"
    if disk.problem:
        yield Condition(key, "warning", f"{of} cannot be asked for its room", plain(disk.problem))
    elif disk.free < least * disk.size:
        full = disk.free < least * disk.size / _NEARLY_FULL
        yield Condition(
            key, "urgent" if full else "warning", f"{of} is nearly full",
            f"{100 * disk.free / disk.size:.1f} % is free, {disk.free >> 20} MB",
            "make room there", f"{of} has room again", 1 + full,
        )  # fmt: skip
