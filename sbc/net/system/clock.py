"""The one place where the time comes from; everything else is told ``now``."""

from __future__ import annotations

import time
from typing import Final

# Compiled, a name of another module is looked up each time, and this one is asked with every message.
_time: Final = time.time
_monotonic: Final = time.monotonic


class Clock:
    """The system's clocks; tests put another with the same two methods in its place."""

    __slots__ = ()

    def now(self) -> float:
        """POSIX seconds: what certificates, logs and timers are held against."""
        return _time()

    def monotonic(self) -> float:
        """Seconds that never step back: for measuring how long something took."""
        return _monotonic()

    def __call__(self) -> float:
        """The same as ``now``."""
        return _time()
