"""Peers that were let pass although nothing fresh said that their certificate is not revoked.

Counted for each trunk and reason, apart from failed handshakes: these are connections that came about.
A source that is down would otherwise write a line a connection; it is said once an hour.
"""

from __future__ import annotations

LOG_EVERY = 3600.0
_MOST_SAID = 4096


class SoftPasses:
    """Counts of soft passes, and when each was last said."""

    __slots__ = ("_said", "counts")

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], int] = {}
        self._said: dict[tuple[str, str], float] = {}

    def note(self, trunk: str, reason: str, source: str, now: float) -> bool:
        """Count one at ``now`` (POSIX seconds); True where it is to be logged."""
        self.counts[trunk, reason] = self.counts.get((trunk, reason), 0) + 1
        key = (trunk, source or reason)
        if now - self._said.get(key, -LOG_EVERY) < LOG_EVERY:
            return False
        if len(self._said) >= _MOST_SAID:
            self._said.clear()
        self._said[key] = now
        return True

    def of(self, trunk: str) -> tuple[tuple[str, int], ...]:
        """The counts of one trunk, by reason."""
        return tuple(
            sorted((reason, count) for (name, reason), count in self.counts.items() if name == trunk)
        )
