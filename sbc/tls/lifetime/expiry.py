"""How long certificates still last, and when that is worth saying.

A certificate passes five marks: four before its end (``sbc.tls.marks``), and the end. Each is told once, in
words that grow louder; the last fortnight, or tenth of a short life, is an incident, because getting a
certificate of somebody else's CA takes about that long. What was told is remembered over restarts, so that
neither a reload nor a restart tells it again. A renewed certificate is another one and begins anew.

One that renews itself has no use for the first marks: its renewal falls due when a third of its life is left
(``sbc.tls.lifetime.renewal``). What is told of it is that this is overdue, and then as of any other. Once its
successor is there, nothing but its end is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from sbc.tls.marks import DAY, mark_passed

State = Literal["ok", "notice", "reminder", "warning", "overdue", "incident", "expired"]
Whose = Literal["ours", "theirs", "trusted", "window"]
# How loud each is.
RANK: dict[str, int] = {
    "ok": 0, "notice": 1, "reminder": 2, "warning": 3, "overdue": 3, "incident": 4, "expired": 5,
}  # fmt: skip
_OVERDUE = 1 / 4
REMEDY: dict[Whose, str] = {
    "ours": "order the next one and stage it: sbc certs stage",
    "theirs": "ask the peer when it rolls over, and stage its new CA where that changes",
    "trusted": "get the next certificate of that CA from its owner and stage it: sbc certs stage --ca",
    "window": "see who still needs the old one: sbc certs ready; then sbc certs retire",
}
# Instead, for one of ours that ACME orders: before it has its successor, and after.
ORDERED = "the [acme] lines say why ACME has not renewed it; sbc certs renew tries now"
RENEWED = "its successor is staged: sbc certs ready says who still needs this one; then sbc certs retire"


@dataclass(frozen=True, slots=True)
class Life:
    """One certificate, its beginning and end (POSIX seconds); ``name`` is its entry, or the peer's trunk.

    A ``window`` is no certificate but the time in which old and new are trusted. ``renews`` where we order
    its successor ourselves, ``followed`` where that is there already.
    """

    whose: Whose
    name: str
    subject: str
    thumbprint: str
    begins: float
    ends: float
    trunks: tuple[str, ...] = ()
    renews: bool = False
    followed: bool = False

    @property
    def id(self) -> str:
        """What it is remembered by."""
        return f"{self.whose} {self.name} {self.thumbprint}"

    def state(self, now: float) -> State:
        """Which mark it has passed; a window ends without any before."""
        state = state_of(self.begins, self.ends, now)
        if state == "expired" or not (self.renews or self.whose == "window"):
            return state
        if self.followed or self.whose == "window":
            return "ok"
        if state == "incident":
            return state
        return "overdue" if self.ends - now < _OVERDUE * (self.ends - self.begins) else "ok"

    @property
    def remedy(self) -> str:
        """What to do about it."""
        if not self.renews:
            return REMEDY[self.whose]
        return RENEWED if self.followed else ORDERED


def state_of(begins: float, ends: float, now: float) -> State:
    """Which mark a certificate that lasts from ``begins`` to ``ends`` has passed at ``now``."""
    return "expired" if now > ends else mark_passed(begins, ends, now) or "ok"


def days_left(ends: float, now: float) -> int:
    """Whole days until ``ends``; negative once it has passed."""
    return int((ends - now) // DAY)


class Calendar:
    """What has been told of which certificate."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def look(self, lives: Iterable[Life], now: float) -> list[tuple[Life, State]]:
        """The certificates that have passed a mark of which nothing was told yet; the worst first."""
        passed: list[tuple[Life, State]] = []
        told: dict[str, str] = {}
        for life in lives:
            state = life.state(now)
            before = self._told.get(life.id, "ok")
            if RANK[state] > RANK[before] and life.id not in told:
                passed.append((life, state))
            told[life.id] = max(state, before, key=RANK.__getitem__)
        self._told = told
        return sorted(passed, key=lambda each: -RANK[each[1]])

    def whole(self) -> dict[str, str]:
        """What has been told, by certificate."""
        return {name: state for name, state in self._told.items() if state != "ok"}

    def restore(self, name: str, state: Any) -> None:
        """What had been told of one before a restart; ValueError where that is none of our words."""
        if not isinstance(state, str) or state not in RANK:
            raise ValueError("it is no state")
        self._told[name] = state
