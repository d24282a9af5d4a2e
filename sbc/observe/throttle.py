"""What may be said how often: a flood of anything must not become a flood of lines.

Of each key, an address say, so many lines are said in a time, and of all keys together so many more, for
addresses can be forged. Nothing goes uncounted: a line that follows says how many were kept back.
"""

from __future__ import annotations

from typing import Final

PERIOD: Final = 60.0


class Throttle:
    """Lets through ``each`` a minute of one key, and ``most`` of all of them."""

    __slots__ = ("_began", "_each", "_kept_back", "_most", "_others", "_said", "_total")

    def __init__(self, each: int, most: int) -> None:
        self._each = each
        self._most = most
        self._began = float("-inf")
        self._total = 0
        self._others = 0
        self._said: dict[str, int] = {}
        self._kept_back: dict[str, int] = {}

    def note(self, key: str, now: float) -> str | None:
        """None where ``key`` is not to be told of now; else what to add about those kept back, often ""."""
        if not 0.0 <= now - self._began < PERIOD:
            self._begin(now)
        said = self._said.get(key, 0)
        if said >= self._each or self._total >= self._most:
            if said or key in self._kept_back:
                self._kept_back[key] = self._kept_back.get(key, 0) + 1
            else:
                self._others += 1
            return None
        self._said[key] = said + 1
        self._total += 1
        parts = []
        if silent := self._kept_back.pop(key, 0):
            parts.append(f"{silent} more since the last line")
        if self._others:
            parts.append(f"{self._others} of others that no line is about")
            self._others = 0
        return f" ({'; '.join(parts)})" if parts else ""

    def _begin(self, now: float) -> None:
        """A minute is over; what was kept back of keys that are silent since goes to the others."""
        self._others += sum(count for key, count in self._kept_back.items() if key not in self._said)
        self._kept_back = {key: count for key, count in self._kept_back.items() if key in self._said}
        self._said = {}
        self._total = 0
        self._began = now
