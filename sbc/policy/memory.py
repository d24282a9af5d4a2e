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
        self._changed: dict[str, None] = {}
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
            self._changed.pop(short, None)
            self._changed[short] = None
            if len(self._until) > self.most_texts:
                longest = next(iter(self._until))
                del self._until[longest]
                self._changed[longest] = None

    def whole(self) -> dict[str, float | None]:
        """All that is remembered, and until when."""
        return {text: until for text, until in self._until.items()}

    def changes(self) -> dict[str, float | None]:
        """What was remembered since this was asked last, in that order; None for what is forgotten."""
        changed, self._changed = self._changed, {}
        return {text: self._until.get(text) for text in changed}

    def restore(self, text: str, until: Any, now: float) -> bool:
        """Remember what was before a restart, False where that is over; ValueError for what is no date."""
        if not (type(until) is float or type(until) is int):
            raise ValueError("it is no date")
        if not now < until < now + 367 * _DAY or len(self._until) >= self.most_texts:
            return False
        self._until[text[:MOST_CHARACTERS]] = float(until)
        return True
