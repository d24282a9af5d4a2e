"""Writes journal lines to a file descriptor in bunches: one system call for many lines.

Lines wait at most ``DELAY`` seconds, so a crash loses little; ``flush`` writes what waits.
"""

from __future__ import annotations

import os

import gevent

DELAY = 0.1
MAX_WAITING = 10_000


class LogWriter:
    """A callable that takes lines; where the reader of the log stalls, lines are dropped and counted."""

    __slots__ = ("_fd", "_lines", "_scheduled", "dropped")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: list[str] = []
        self._scheduled = False
        self.dropped = 0

    def __call__(self, line: str) -> None:
        """Take one line, without its newline."""
        if len(self._lines) >= MAX_WAITING:
            self.dropped += 1
            return
        self._lines.append(line)
        if not self._scheduled:
            self._scheduled = True
            gevent.spawn_later(DELAY, self.flush)

    def flush(self) -> None:
        """Write all lines that wait."""
        self._scheduled = False
        lines, self._lines = self._lines, []
        if self.dropped:
            lines.append(f"[log] {self.dropped} lines dropped: the log was not written fast enough")
            self.dropped = 0
        data = memoryview("".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace"))
        try:
            while data:
                data = data[os.write(self._fd, data) :]
        except OSError:
            self.dropped += len(lines)
