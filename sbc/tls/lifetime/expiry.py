"""How long certificates still last, and when that is worth saying.

A certificate passes five marks: 90, 60, 30 and 14 days before its end, and the end. Each is told
once, in words that grow louder; the last fortnight is an incident, because getting a certificate of
somebody else's CA takes about that long. What was told is remembered over restarts, so that neither
a reload nor a restart tells it again. A renewed certificate is another one and begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

DAY = 86400.0
State = Literal["ok", "90 days", "60 days", "30 days", "incident", "expired"]
Whose = Literal["ours", "theirs", "trusted", "window"]
_MARKS: tuple[tuple[float, State], ...] = (
    (14.0, "incident"), (30.0, "30 days"), (60.0, "60 days"), (90.0, "90 days"),
)  # fmt: skip
_ORDER: dict[str, int] = {"ok": 0, "90 days": 1, "60 days": 2, "30 days": 3, "incident": 4, "expired": 5}
REMEDY: dict[Whose, str] = {
    "ours": "order the next one and stage it: sbc certs stage",
    "theirs": "ask the peer when it rolls over, and stage its new CA where that changes",
    "trusted": "get the next certificate of that CA from its owner and stage it: sbc certs stage --ca",
    "window": "see who still needs the old one: sbc certs ready; then sbc certs retire",
}
# Instead, for one of ours that ACME orders.
ORDERED = "the [acme] lines say why ACME has not renewed it; sbc certs renew tries now"


@dataclass(frozen=True, slots=True)
class Life:
    """One certificate and its end (POSIX seconds); ``name`` is its entry in sbc.yaml, or the peer's trunk.

    A ``window`` is no certificate but the end of the time in which old and new are trusted.
    """

    whose: Whose
    name: str
    subject: str
    thumbprint: str
    ends: float
    trunks: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What it is remembered by."""
        return f"{self.whose} {self.name} {self.thumbprint}"

    def state(self, now: float) -> State:
        """Which mark it has passed; a window ends without any before."""
        return "ok" if self.whose == "window" and self.ends >= now else state_of(self.ends, now)


def state_of(ends: float, now: float) -> State:
    """Which mark a certificate that ends at ``ends`` has passed at ``now``."""
    if now > ends:
        return "expired"
    return next((state for days, state in _MARKS if ends - now < days * DAY), "ok")


def days_left(ends: float, now: float) -> int:
    """Whole days until ``ends``; negative once it has passed."""
    return int((ends - now) // DAY)


class Calendar:
    """What has been told of which certificate."""

    def __init__(self, told: Any = None) -> None:
        known = told if isinstance(told, dict) else {}
        self._told: dict[str, str] = {
            name: state for name, state in known.items() if isinstance(state, str) and state in _ORDER
        }

    def look(self, lives: Iterable[Life], now: float) -> list[tuple[Life, State]]:
        """The certificates that have passed a mark of which nothing was told yet; the worst first."""
        passed: list[tuple[Life, State]] = []
        told: dict[str, str] = {}
        for life in lives:
            state = life.state(now)
            before = self._told.get(life.id, "ok")
            if _ORDER[state] > _ORDER[before] and life.id not in told:
                passed.append((life, state))
            told[life.id] = max(state, before, key=_ORDER.__getitem__)
        self._told = told
        return sorted(passed, key=lambda each: -_ORDER[each[1]])

    def to_json(self) -> dict[str, str]:
        """What has been told, as JSON types."""
        return {name: state for name, state in self._told.items() if state != "ok"}
