"""The one place where the time comes from; everything else is told ``now``."""

from __future__ import annotations

from time import monotonic, time


class Clock:
    """The system's clocks; tests put another with the same two methods in its place."""

    __slots__ = ()

    def now(self) -> float:
        """POSIX seconds: what certificates, logs and timers are held against."""
        return time()

    def monotonic(self) -> float:
        """Seconds that never step back: for measuring how long something took."""
        return monotonic()

    def __call__(self) -> float:
        """The same as ``now``."""
        return time()
