"""Which caps have refused something, how often, for which trunk and when."""

from __future__ import annotations

from sbc.observe.edge_views import CapView

#: For so many seconds after it refused something a cap counts as reached.
REACHED: float = 60.0


class Reached:
    """Refusals by trunk and cap; both are words of the configuration, so there are not many."""

    __slots__ = ("_counts", "_last")

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._last: dict[tuple[str, str], float] = {}

    def note(self, trunk: str, cap: str, now: float) -> None:
        """``cap`` refused something of ``trunk`` at ``now`` (POSIX seconds)."""
        key = (trunk, cap)
        self._counts[key] = self._counts.get(key, 0) + 1
        self._last[key] = now

    def views(self, now: float) -> tuple[CapView, ...]:
        """All of them, those that were reached last first."""
        found = [
            CapView(trunk, cap, count, last := self._last[trunk, cap], 0.0 <= now - last < REACHED)
            for (trunk, cap), count in self._counts.items()
        ]
        return tuple(sorted(found, key=lambda each: (-each.last, each.trunk, each.cap)))
