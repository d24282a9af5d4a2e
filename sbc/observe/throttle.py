"""What may be said how often: a flood of anything must not become a flood of lines.

Of each key, an address say, so many lines are said in a time, and of all keys together so many more, for
addresses can be forged. Nothing goes uncounted: a line that follows says how many were kept back, and whose
most of them were. Where none follows, ``rest`` says it once the time is over.
"""

from __future__ import annotations

from typing import Final

PERIOD: Final = 60.0
# Of so many that no line is about it is counted who they are.
_COUNTED: Final = 1000
# So many keys are named in the line that says the rest.
_NAMED: Final = 3


class Throttle:
    """Lets through ``each`` a minute of one key, and ``most`` of all of them."""

    __slots__ = ("_began", "_each", "_kept_back", "_most", "_others", "_said", "_total", "_whose")

    def __init__(self, each: int, most: int) -> None:
        self._each = each
        self._most = most
        self._began = float("-inf")
        self._total = 0
        self._others = 0
        self._said: dict[str, int] = {}
        self._kept_back: dict[str, int] = {}
        self._whose: dict[str, int] = {}

    def note(self, key: str, now: float, who: str = "") -> str | None:
        """None where ``key`` is not to be told of now; else what to add about those kept back, often "".

        ``who`` is named where no line is about it and it has the most of these.
        """
        if not 0.0 <= now - self._began < PERIOD:
            self._begin(now)
        said = self._said.get(key, 0)
        if said >= self._each or self._total >= self._most:
            if said or key in self._kept_back:
                self._kept_back[key] = self._kept_back.get(key, 0) + 1
            else:
                self._others += 1
                if who and (who in self._whose or len(self._whose) < _COUNTED):
                    self._whose[who] = self._whose.get(who, 0) + 1
            return None
        self._said[key] = said + 1
        self._total += 1
        parts = []
        if silent := self._kept_back.pop(key, 0):
            parts.append(f"{silent} more since the last line")
        if self._others:
            parts.append(self._told_others())
        return f" ({'; '.join(parts)})" if parts else ""

    def rest(self, now: float) -> str:
        """What no line has said of a minute that is over, "" for nothing; it is told now."""
        if 0.0 <= now - self._began < PERIOD or not (self._kept_back or self._others):
            return ""
        parts = [f"{count} more: {key}" for key, count in sorted(self._kept_back.items(), key=_by_count)]
        if len(parts) > _NAMED:
            parts[_NAMED:] = [f"{len(parts) - _NAMED} others likewise"]
        self._kept_back = {}
        if self._others:
            parts.append(self._told_others())
        return "; ".join(parts)

    def _told_others(self) -> str:
        text = f"{self._others} of others that no line is about"
        if self._whose:
            worst = max(self._whose, key=lambda who: self._whose[who])
            text += f", {self._whose[worst]} of them from {worst}"
        self._others, self._whose = 0, {}
        return text

    def _begin(self, now: float) -> None:
        """A minute is over; what was kept back of keys that are silent since goes to the others."""
        self._others += sum(count for key, count in self._kept_back.items() if key not in self._said)
        self._kept_back = {key: count for key, count in self._kept_back.items() if key in self._said}
        self._said = {}
        self._total = 0
        self._began = now


def _by_count(item: tuple[str, int]) -> int:
    return -item[1]
