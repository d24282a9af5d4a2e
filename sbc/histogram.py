"""A histogram: how many of the values that there were lie under each of a few bounds."""

from __future__ import annotations

from bisect import bisect_left


class Histogram:
    """Counts of values up to each of ``bounds``, which ascend, and of those above the last; and their sum."""

    __slots__ = ("bounds", "counts", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)

    @property
    def mean(self) -> float | None:
        """Their mean; None before there was one."""
        return self.sum / count if (count := self.count) else None
