"""Whether something grows: a line through samples that jump about, and what of it is no accident."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

#: The share of the time that is left out at the beginning, while everything is made for the first time.
WARMING = 0.3
_MOST = 300  # samples that a line is laid through: each is compared with each


@dataclass(frozen=True, slots=True)
class Trend:
    """By how much something has grown while it was watched; ``first`` and ``last`` are medians."""

    name: str
    growth: float
    first: float
    last: float

    def grew(self, allowed: float) -> bool:
        """Whether it grew by more than ``allowed``, by the line through all and by both ends of it."""
        return self.growth > allowed and self.last - self.first > allowed / 2


def trend(name: str, samples: Sequence[tuple[float, float]], warming: float = WARMING) -> Trend:
    """The trend of ``samples``, each a moment in seconds and a value, in their order, after the warming up.

    The slope is the median of all slopes between two of them (Theil and Sen), which a third of outliers
    does not move.
    """
    since = samples[0][0] + warming * (samples[-1][0] - samples[0][0])
    kept = [each for each in samples if each[0] >= since]
    step = max(1, len(kept) // _MOST)
    thinned = kept[::step]
    slopes = [
        (later - value) / (after - at)
        for number, (at, value) in enumerate(thinned)
        for after, later in thinned[number + 1 :]
        if after > at
    ]
    quarter = max(1, len(kept) // 4)
    values = [value for _, value in kept]
    growth = median(slopes) * (kept[-1][0] - kept[0][0]) if slopes else 0.0
    return Trend(name, growth, median(values[:quarter]), median(values[-quarter:]))


def most_grown(before: Mapping[str, int], after: Mapping[str, int], most: int = 8) -> list[tuple[str, int]]:
    """Of which kinds there are most more, the most first."""
    more = {name: count - before.get(name, 0) for name, count in after.items()}
    return sorted([each for each in more.items() if each[1] > 0], key=lambda each: -each[1])[:most]
