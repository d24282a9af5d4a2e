"""The one place where the time comes from; everything else is told ``now``."""

from __future__ import annotations

import time
from collections.abc import Callable


class Clock:
    """The system's clocks; tests put another with the same two functions in its place.

    ``now()`` are POSIX seconds: what certificates, logs and records are held against. ``monotonic()`` are
    seconds that never step back: for timers, and for measuring how long something took.
    """

    __slots__ = ("monotonic", "now")

    def __init__(self) -> None:
        self.now: Callable[[], float] = time.time
        self.monotonic: Callable[[], float] = time.monotonic

    def __call__(self) -> float:
        """The same as ``now``."""
        return self.now()
