"""Every certificate that matters to a running SBC: ours, those we trust, those that peers presented.

What they are called and how long they last, for whoever shows it; and the calendar, which tells the
journal once of every mark that one of them passes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from sbc.admin.running import Running
from sbc.config.snapshot import Snapshot
from sbc.observe.journal import Level
from sbc.observe.views import LifeView
from sbc.tls.ledger import Shown
from sbc.tls.lifetime.expiry import Calendar, Life, State, days_left
from sbc.tls.lifetime.rotation import Rotation
from sbc.tls.lifetime.staged import staged_name
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.material.problems import day

EVERY = 60.0
_BUNDLE = 8
_STATE = "expiry"
_LEVELS: dict[State, Level] = {"incident": "ERR", "expired": "ERR", "warning": "WRN", "overdue": "WRN"}


class Certificates:
    """The certificates of one running SBC, and the calendar of their ends."""

    def __init__(self, sbc: Running) -> None:
        self._sbc = sbc
        self._calendar = Calendar()
        self._shelf = sbc.saved.shelf(_STATE, self._calendar.restore, self._calendar.whole)
        self._due = 0.0

    def follow(self, snapshot: Snapshot) -> None:
        """There may be other certificates now."""
        self._due = 0.0

    def tick(self, now: float, at: float) -> None:
        """Tell of the marks that were passed by the date ``now``, once a minute at most."""
        if at < self._due:
            return
        self._due = at + EVERY
        for life, state in self._calendar.look(self.lives(), now):
            fields = {
                "state": state, "whose": life.whose, "name": life.name, "subject": life.subject or None,
                "thumbprint": life.thumbprint[:16] or None, "ends": day(life.ends),
                "days_left": days_left(life.ends, now), "trunks": ",".join(life.trunks) or None,
                "remedy": life.remedy,
            }  # fmt: skip
            self._sbc.recorder.journal.event(_LEVELS.get(state, "INF"), "[expiry]", fields, now)
            self._shelf.changed()

    def lives(self) -> tuple[Life, ...]:
        """Everything that has an end."""
        snapshot = self._sbc.store.current
        shown = (
            (trunk, each) for trunk in snapshot.trunks for each in self._sbc.recorder.ledger.presented(trunk)
        )
        found = [*ours(snapshot), *trusted(snapshot), *theirs(shown)]
        return (*found, *windows(self._sbc.rotator.progress.rotation))

    def views(self) -> tuple[LifeView, ...]:
        """The same, to be shown."""
        now = self._sbc.clock.now()
        return tuple(
            LifeView(
                life.whose, life.name, life.subject, life.thumbprint, life.ends,
                days_left(life.ends, now), life.state(now), life.trunks, life.remedy,
            )
            for life in self.lives()
        )  # fmt: skip

    def table(self) -> dict[str, Any]:
        """What ``sbc certs`` shows: each certificate, and each rotation that is under way."""
        now = self._sbc.clock.now()
        lives = [{name: getattr(each, name) for name in LifeView.__slots__} for each in self.views()]
        rotations = [
            {
                "section": section, "name": name, "staged": entry.staged, "until": entry.until,
                "days_left": entry.days_left(now), "bound": sorted(entry.bound),
            }
            for (section, name), entry in self._sbc.rotator.progress.rotation.entries.items()
        ]  # fmt: skip
        return {"certificates": lives, "rotations": rotations, "now": now}


def ours(snapshot: Snapshot) -> Iterator[Life]:
    """Our own certificates, staged ones too, each with the trunks that are shown it."""
    for name, identity in snapshot.settings.identities.items():
        users = snapshot.users(name)
        for shown in (name, staged_name(name)):
            material = snapshot.identities.get(shown)
            if material is not None:
                trunks = tuple(each for each in users if snapshot.shown_to(each, name) == shown)
                followed = shown == name and staged_name(name) in snapshot.identities
                yield Life(
                    "ours", shown, material.subject, material.thumbprint, material.not_before,
                    material.not_after, trunks, identity.acme, followed,
                )  # fmt: skip


def trusted(snapshot: Snapshot) -> Iterator[Life]:
    """The CAs and pinned certificates that we trust; of a large bundle the one that lasts longest."""
    for name, anchor in snapshot.anchors.items():
        trunks = tuple(
            trunk for trunk, each in snapshot.trunks.items() if each.tls and name in each.tls.trust
        )
        shown = sorted((each.identity for each in anchor.facts), key=lambda who: -who.not_after)
        for who in shown if len(shown) <= _BUNDLE else shown[:1]:
            entry = _entry(name, anchor, who.thumbprint)
            yield Life("trusted", entry, who.subject, who.thumbprint, who.not_before, who.not_after, trunks)


def theirs(presented: Iterable[tuple[str, Shown]]) -> Iterator[Life]:
    """What peers presented, each certificate once a trunk."""
    for trunk, each in {(trunk, each.thumbprint): (trunk, each) for trunk, each in presented}.values():
        yield Life("theirs", trunk, each.subject, each.thumbprint, each.not_before, each.not_after, (trunk,))


def windows(rotation: Rotation) -> Iterator[Life]:
    """The ends of the rotations that are under way."""
    for key, entry in rotation.entries.items():
        material = "".join(entry.material)[:64]
        bound = tuple(sorted(entry.bound))
        yield Life("window", "/".join(key), "", material, entry.staged, entry.until, bound)


def _entry(name: str, anchor: AnchorMaterial, thumbprint: str) -> str:
    """The entry's name; as staged where the certificate is not yet the entry's own."""
    coming = anchor.coming
    new = coming is not None and thumbprint in coming.thumbprints
    return staged_name(name) if new and thumbprint not in anchor.old else name
