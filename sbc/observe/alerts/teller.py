"""What is told, when, and how often: conditions become notices.

A condition that begins is told at once, and once more for every rank that it rises; when it is over that is
told too. Then it is told again at the earliest ``every`` so many seconds after the last time, so that what
comes and goes is two notices in that time and not hundreds. In quiet hours only what is urgent is told. What
began then and still is comes at their end, and so does what came and went meanwhile. What was told is
remembered over a restart, so that one tells nothing again.

Intervals are of the monotonic clock (``at``); ``now`` is for people.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any, Final

from sbc.observe.alerts.condition import Condition
from sbc.observe.alerts.conditions import Found
from sbc.observe.alerts.notice import Notice
from sbc.observe.edge_views import AlertView

#: So many things that are over are remembered, for they may come back.
MOST_OVER: Final = 1000


class _Spell:
    """One condition while it lasts, and for a while after."""

    __slots__ = ("condition", "over", "rank", "since", "times", "told_at", "until", "untold")

    def __init__(self, condition: Condition, since: float) -> None:
        self.condition = condition
        self.since = since
        self.until = 0.0
        self.over = False
        self.rank = 0  # that people know of, 0 for none
        self.told_at = float("-inf")
        self.times = 0
        self.untold = True  # of this spell nobody has heard


class Teller:
    """Knows what has been told; ``changed`` where that is to be kept."""

    def __init__(self) -> None:
        self._spells: dict[str, _Spell] = {}
        self.changed = False

    def look(
        self, found: Found, now: float, at: float, every: float, quiet: bool = False, settled: bool = True
    ) -> list[Notice]:
        """What is to be told, given all that is so.

        ``quiet``: of what is not urgent nothing. Until it is ``settled`` nothing counts as over.
        """
        told = [*self._begun(found.conditions, now, at, every, quiet)]
        present = {each.key for each in found.conditions} | found.unsure
        for key, spell in list(self._spells.items()):
            if settled and key not in present and not key.startswith(found.unsure_of):
                told += self._over(key, spell, now, at, every, quiet)
        self._forget()
        self.changed = self.changed or bool(told)
        return told

    def standing(self) -> tuple[AlertView, ...]:
        """What is so now, the most urgent first."""
        there = [each for each in self._spells.values() if not each.over]
        there.sort(key=lambda each: (each.condition.urgency != "urgent", each.condition.urgency, -each.since))
        return tuple([_view(each) for each in there])

    def _begun(
        self, conditions: Iterable[Condition], now: float, at: float, every: float, quiet: bool
    ) -> Iterable[Notice]:
        for condition in conditions:
            spell = self._spells.get(condition.key)
            if spell is None:
                spell = self._spells[condition.key] = _Spell(condition, now)
            elif spell.over:
                spell.over, spell.untold, spell.since = False, True, now
                spell.times += 1
            spell.condition = condition
            early = not spell.rank and at - spell.told_at < every
            held = early or (quiet and condition.urgency != "urgent")
            if condition.rank > spell.rank and not held:
                yield Notice("alert", condition, spell.since, times=spell.times)
                spell.rank, spell.told_at, spell.times, spell.untold = condition.rank, at, 0, False

    def _over(
        self, key: str, spell: _Spell, now: float, at: float, every: float, quiet: bool
    ) -> Iterable[Notice]:
        if not spell.over:
            spell.over, spell.until = True, now
        held = quiet and spell.condition.urgency != "urgent"
        if spell.rank and not held:
            spell.rank = 0
            yield Notice("over", spell.condition, spell.since, spell.until, spell.times)
            spell.times = 0
        elif spell.untold and not spell.rank and not held and at - spell.told_at >= every:
            spell.untold = False
            yield Notice("was", spell.condition, spell.since, spell.until, spell.times)
            spell.told_at, spell.times = at, 0
        if not spell.rank and not (spell.untold and held) and at - spell.told_at >= every:
            del self._spells[key]
            self.changed = True

    def _forget(self) -> None:
        over = [key for key, spell in self._spells.items() if spell.over]
        for key in over[:-MOST_OVER]:
            del self._spells[key]

    # What survives a restart

    def to_json(self, now: float, at: float) -> dict[str, Any]:
        """What people know of, by alert, as JSON types."""
        return {
            key: {
                "condition": asdict(spell.condition), "since": spell.since, "rank": spell.rank,
                "told": now - (at - spell.told_at),
            }
            for key, spell in self._spells.items()
            if spell.rank
        }  # fmt: skip

    def restore(self, key: str, saved: Any, now: float, at: float) -> None:
        """Know one of what ``to_json`` gave; ValueError where that is something else."""
        try:
            spell = _Spell(Condition(**saved["condition"]), float(saved["since"]))
            spell.rank, spell.untold = int(saved["rank"]), False
            spell.told_at = at - max(0.0, now - float(saved["told"]))
            self._spells[key] = spell
        except (TypeError, KeyError, ValueError, AttributeError):
            raise ValueError("it is not what was written there") from None


def _view(spell: _Spell) -> AlertView:
    said = spell.condition
    return AlertView(said.urgency, said.title, said.detail, said.remedy, spell.since, bool(spell.rank))
