"""Writes journal lines to a descriptor, or to a file by name, in bunches: one system call for many lines.

Lines wait at most ``DELAY`` seconds, so a crash loses little. The write happens in a thread of its
own, because standard output may be a pipe whose reader has stopped reading, and that must not
stop the calls: then lines are dropped and counted. Nor does it wait behind whatever else is done in threads.

A file that was moved away is begun anew under its name, with the next line or when ``reopen`` is asked for.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

import gevent
from gevent.threadpool import ThreadPool

from sbc.net.system.followed import appending, followed

DELAY = 0.1
MAX_WAITING = 10_000
FLUSH_WITHIN = 2.0
DROPPED = "the log was not written, or not fast enough"


class LogWriter:
    """A callable that takes lines; where the reader of the log stalls, lines are dropped and counted.

    ``to`` is a descriptor, or the path of a file; OSError where that cannot be opened. ``told`` is the line
    about so many that were ``dropped`` since the last such line; ``lost`` are all of them.
    """

    __slots__ = ("_fd", "_lines", "_path", "_thread", "_torn", "_writer", "dropped", "lost", "told")

    def __init__(self, to: int | Path) -> None:
        self._path = to if isinstance(to, Path) else None
        self._fd = to if isinstance(to, int) else appending(to)
        self._lines: list[str] = []
        self._writer: gevent.Greenlet | None = None
        self._thread: ThreadPool | None = None
        self._torn = False  # what was written last is the beginning of a line
        self.dropped = self.lost = 0
        self.told: Callable[[int], str] = lambda count: f"[log] {count} lines dropped: {DROPPED}"

    def __call__(self, line: str) -> None:
        """Take one line, without its newline."""
        if len(self._lines) >= MAX_WAITING:
            self.dropped += 1
            self.lost += 1
            return
        self._lines.append(line)
        if self._writer is None:
            self._writer = gevent.spawn_later(DELAY, self._write)

    def reopen(self) -> None:
        """Let go of a file that was moved away now, not with the next line."""
        if self._writer is None:
            self._writer = gevent.spawn(self._write)

    def flush(self) -> None:
        """Write all lines that wait; gives up where nobody has read for two seconds."""
        with gevent.Timeout(FLUSH_WITHIN, False):
            while self._writer is not None:
                self._writer.join()

    def _write(self) -> None:
        lines, self._lines = self._lines, []
        dropped, self.dropped = self.dropped, 0
        if dropped:
            lines.append(self.told(dropped))
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "backslashreplace")
        if self._torn:
            data = b"\n" + data
        if self._thread is None:
            self._thread = ThreadPool(1)
        written = self._thread.apply(self._put, (data,))
        if written < len(data):
            self._failed(lines, data[:written], dropped)
        else:
            self._torn = False
        # What has come meanwhile waits as well: line by line, each would wake two threads.
        self._writer = gevent.spawn_later(DELAY, self._write) if self._lines else None

    def _put(self, data: bytes) -> int:
        """In the thread: write to the file that has the name now; how many octets."""
        if self._path is not None:
            with contextlib.suppress(OSError):  # better into the file that was moved away than nowhere
                self._fd = followed(self._fd, self._path, appending)
        return _write_all(self._fd, data)

    def _failed(self, lines: list[str], written: bytes, dropped: int) -> None:
        """Count what is lost; of a line that is torn the rest is given up, and the next one begins anew."""
        whole = written.count(b"\n") - (self._torn and bool(written))
        lost = len(lines) - whole - bool(dropped)
        self.lost += lost
        self.dropped += lost + dropped
        if written:
            self._torn = not written.endswith(b"\n")


def _write_all(fd: int, data: bytes) -> int:
    """Write all that can be written; how many octets."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError:
        pass
    return len(data) - len(rest)
