"""What rules had remembered of calls that were answered: texts, such as a caller and a country, until a date.

A caller's first call to a country is one that nothing is remembered of. There is room for ``MOST_TEXTS``;
then the one that was remembered longest ago is forgotten, and is new again.
"""

from __future__ import annotations

from typing import Any, Final

MOST_TEXTS: Final = 100_000
MOST_CHARACTERS: Final = 200
_DAY: Final = 86_400.0


class Memory:
    """Texts, each until a date (POSIX); one for the life of the process."""

    __slots__ = ("_changed", "_until", "most_texts")

    def __init__(self) -> None:
        self._until: dict[str, float] = {}  # what was remembered last is the last
        self._changed = False
        self.most_texts = MOST_TEXTS

    def __len__(self) -> int:
        return len(self._until)

    def knows(self, text: str, now: float) -> bool:
        """Whether ``text`` was remembered, and still is at ``now``."""
        until = self._until.get(text[:MOST_CHARACTERS])
        return until is not None and now < until

    def keep(self, remember: tuple[tuple[str, int], ...], now: float) -> None:
        """Remember each of these texts for so many days from ``now`` on."""
        for text, days in remember:
            short = text[:MOST_CHARACTERS]
            self._until.pop(short, None)
            self._until[short] = now + days * _DAY
            if len(self._until) > self.most_texts:
                del self._until[next(iter(self._until))]
            self._changed = True

    def to_json(self, now: float) -> dict[str, float] | None:
        """All that is remembered; None where nothing has changed since it was asked last."""
        if not self._changed:
            return None
        self._changed = False
        return {text: until for text, until in self._until.items() if now < until}

    def restore(self, saved: Any, now: float) -> None:
        """Remember what was before a restart; ValueError where some of that is not what we save."""
        if not isinstance(saved, dict):
            raise ValueError("it is no mapping")
        good = {
            text: float(until) for text, until in saved.items() if type(until) is float or type(until) is int
        }
        for text, until in good.items():
            if now < until < now + 367 * _DAY:
                self._until[text] = until
        if len(good) < len(saved):
            raise ValueError(f"{len(saved) - len(good)} of its {len(saved)} entries cannot be read")
