"""Writes that are made at once, while everybody waits: into the kernel's memory, on a disk that is well.

A small write to a file is a copy into the page cache, some millionths of a second, and what is there outlives
this process however that ends. But a disk that is slow or hangs holds whoever writes to it, and with him all
calls. So nothing is written at once while a thread waits for that disk longer than it should, or for some
time after a write has taken long; then it is left to a thread, and comes somewhat later.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

#: Seconds that a write may take; that a thread may wait for the disk, which then hangs.
LONG: Final = 0.1
HANGS: Final = 1.0
#: Seconds in which nothing is written at once after one that took long; each further one doubles them.
REST: Final = 1.0
REST_MOST: Final = 60.0


class Prompt:
    """What is known of one disk; to be asked in the loop alone."""

    def __init__(self) -> None:
        self._waits: dict[int, float] = {}  # since when threads wait
        self._next = 0
        self._rests_until = 0.0
        self._rest = REST

    @property
    def ready(self) -> bool:
        """Whether the disk is well, as far as anybody knows."""
        at = time.monotonic()
        return at >= self._rests_until and all([at - began < HANGS for began in self._waits.values()])

    @contextmanager
    def waited_for(self) -> Iterator[None]:
        """Meanwhile a thread waits for the disk."""
        self._next += 1
        number = self._next
        self._waits[number] = time.monotonic()
        try:
            yield
        finally:
            del self._waits[number]

    def write(self, fd: int, data: bytes) -> int:
        """Write, where the disk is ready, and say how many octets; 0 where it is not. OSError."""
        if not self.ready:
            return 0
        began = time.monotonic()
        try:
            return os.write(fd, data)
        finally:
            ended = time.monotonic()
            if ended - began < LONG:
                self._rest = REST
            else:
                self._rests_until = ended + self._rest
                self._rest = min(2 * self._rest, REST_MOST)
