"""Writes journal lines to a file descriptor in bunches: one system call for many lines.

Lines wait at most ``DELAY`` seconds, so a crash loses little. The write happens in a thread of its
own, because standard output may be a pipe whose reader has stopped reading, and that must not
stop the calls: then lines are dropped and counted. Nor does it wait behind whatever else is done in threads.
"""

from __future__ import annotations

import os

import gevent
from gevent.threadpool import ThreadPool

DELAY = 0.1
MAX_WAITING = 10_000
FLUSH_WITHIN = 2.0


class LogWriter:
    """A callable that takes lines; where the reader of the log stalls, lines are dropped and counted."""

    __slots__ = ("_fd", "_lines", "_thread", "_writer", "dropped")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._lines: list[str] = []
        self._writer: gevent.Greenlet | None = None
        self._thread: ThreadPool | None = None
        self.dropped = 0

    def __call__(self, line: str) -> None:
        """Take one line, without its newline."""
        if len(self._lines) >= MAX_WAITING:
            self.dropped += 1
            return
        self._lines.append(line)
        if self._writer is None:
            self._writer = gevent.spawn_later(DELAY, self._write)

    def flush(self) -> None:
        """Write all lines that wait; gives up where nobody has read for two seconds."""
        with gevent.Timeout(FLUSH_WITHIN, False):
            while self._writer is not None:
                self._writer.join()

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        count, dropped, self.dropped = len(lines), self.dropped, 0
        if dropped:
            lines.append(f"[log] {dropped} lines dropped: the log was not written fast enough")
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        if self._thread is None:
            self._thread = ThreadPool(1)
        if not self._thread.apply(_write_all, (self._fd, data)):
            self.dropped += dropped + count
        # What has come meanwhile waits as well: line by line, each would wake two threads.
        self._writer = gevent.spawn_later(DELAY, self._write) if self._lines else None


def _write_all(fd: int, data: bytes) -> bool:
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError:
        return False
    return True
