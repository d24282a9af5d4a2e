"""Which limits have refused something: how often, for which trunk, and when last."""

from __future__ import annotations

from sbc.observe.views import LimitView

#: For so many seconds after it refused something a limit counts as reached.
REACHED: float = 60.0


class Limited:
    """Refusals by trunk and limit; both are words of the configuration, so there are not many."""

    __slots__ = ("_counts", "_last")

    def __init__(self) -> None:
        self._counts: dict[tuple[str, str], int] = {}
        self._last: dict[tuple[str, str], float] = {}

    def note(self, trunk: str, limit: str, now: float) -> None:
        """``limit`` refused something of ``trunk`` at ``now`` (POSIX seconds)."""
        key = (trunk, limit)
        self._counts[key] = self._counts.get(key, 0) + 1
        self._last[key] = now

    def views(self, now: float) -> tuple[LimitView, ...]:
        """All of them, those that were reached last first."""
        found = [
            LimitView(trunk, limit, count, last := self._last[trunk, limit], 0.0 <= now - last < REACHED)
            for (trunk, limit), count in self._counts.items()
        ]
        return tuple(sorted(found, key=lambda each: (-each.last, each.trunk, each.limit)))
