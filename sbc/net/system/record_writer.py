"""Writes the call records: a line stands in the file whole or not at all, and a full disk loses none.

A disk that is full takes a part of what is written. Then the file is cut back to its last whole line, and
what is not in it waits in memory, up to ``MAX_WAITING`` records, and is tried again. Only what comes while so
many wait is lost, and counted. Nothing but records is written there: what is to be said goes to ``say``.

A record is given to the kernel at once (``sbc.net.system.prompt``), so that it outlives this process however
that ends: nobody has heard of the end of a call whose record may still be lost. Where the disk is not well,
or others wait already, a thread does it within a few hundredths of a second, so that nothing else waits
behind a disk that hangs. What was written within a second is put on the disk together, so that it outlives a
power cut; that waits in a thread of its own, for the next records are written meanwhile.

A file that was moved away or removed is begun anew under its name with the next record, or when ``reopen`` is
asked for.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections import deque
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import gevent
from gevent.threadpool import ThreadPool

from sbc.net.system.followed import appending, followed
from sbc.net.system.prompt import Prompt
from sbc.observe.journal import Level
from sbc.observe.views import RecordsView

DELAY = 0.02
SYNC_EVERY = 1.0
RETRY = 1.0
SAY_AGAIN = 60  # tries that failed, between two lines about it
MAX_WAITING = 100_000
BUNCH = 500
FLUSH_WITHIN = 2.0
LAST_WITHIN = 5.0
_LOOK_BACK = 65536

Say = Callable[[Level, str, str], object]


class RecordFile:
    """The file of records; every method blocks. OSError where it cannot be opened.

    ``cut`` are the octets of a line that a crash had torn, which opening it has removed.
    """

    __slots__ = ("_fd", "_torn", "cut", "path")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd, self.cut = _open(path)
        self._torn = 0  # octets at the end that are no whole line, and could not be taken back yet

    def append(self, data: bytes) -> tuple[int, str]:
        """Write lines; how many are in the file now, and why not all of them, or ""."""
        rest = memoryview(data)
        try:
            self._follow()
            self._take_back()
            while rest:
                rest = rest[os.write(self._fd, rest) :]
        except OSError as error:
            written = len(data) - len(rest)
            whole = data.rfind(b"\n", 0, written) + 1
            self._torn += written - whole
            with contextlib.suppress(OSError):
                self._take_back()
            return data.count(b"\n", 0, whole), error.strerror or str(error)
        return data.count(b"\n"), ""

    def at_once(self, line: bytes, prompt: Prompt) -> bool:
        """Write one line without waiting for anybody; False where it is left to ``append``."""
        try:
            if self._torn or not _is_regular(self._fd, self.path):
                return False
            written = prompt.write(self._fd, line)
        except OSError:
            return False
        if written < len(line):
            self._torn = written
        return written == len(line)

    def sync(self) -> str:
        """Put what is written on the disk; why that failed, or "". In any thread: it opens the file anew."""
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return ""  # it was moved away, which puts it on the disk
        except OSError as error:
            return error.strerror or str(error)
        try:
            if stat.S_ISREG(os.fstat(fd).st_mode):
                os.fdatasync(fd)
        except OSError as error:
            return error.strerror or str(error)
        finally:
            os.close(fd)
        return ""

    def _follow(self) -> None:
        """Open the file anew where its name no longer leads to it."""

        def anew(path: Path) -> int:
            fd = _open(path)[0]
            with contextlib.suppress(OSError):
                os.fdatasync(self._fd)
            return fd

        fd = followed(self._fd, self.path, anew)
        if fd != self._fd:
            self._fd, self._torn = fd, 0

    def _take_back(self) -> None:
        """Remove what is torn."""
        if self._torn:
            status = os.fstat(self._fd)
            if stat.S_ISREG(status.st_mode):
                os.ftruncate(self._fd, max(0, status.st_size - self._torn))
            self._torn = 0


def _is_regular(fd: int, path: Path) -> bool:
    """Whether ``path`` names the file that is open, and that is no pipe; OSError where it names none."""
    status = os.fstat(fd)
    return stat.S_ISREG(status.st_mode) and os.path.samestat(status, os.stat(path))


def _open(path: Path) -> tuple[int, int]:
    """Open ``path`` for appending, cut back to its last whole line; by how many octets."""
    fd = appending(path)
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        return fd, 0
    whole = _whole(fd, status.st_size)
    if whole < status.st_size:
        os.ftruncate(fd, whole)
    return fd, status.st_size - whole


def _whole(fd: int, size: int) -> int:
    """The length of the file up to the end of its last whole line."""
    end = size
    while end > 0:
        start = max(0, end - _LOOK_BACK)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end = start
    return 0


def _octets(line: str) -> bytes:
    return f"{line}\n".encode("utf-8", "backslashreplace")


class RecordWriter:
    """A callable that takes records, a line each; ``say`` takes level, event and text of what goes wrong.

    ``prompt`` is what is known of the disk.
    """

    def __init__(self, file: RecordFile, say: Say, prompt: Prompt | None = None) -> None:
        self._file = file
        self._say = say
        self._prompt = prompt if prompt is not None else Prompt()
        self._waiting: deque[str] = deque()
        self._writer: gevent.Greenlet | None = None
        self._thread: ThreadPool | None = None
        self._syncer: gevent.Greenlet | None = None
        self._sync_thread: ThreadPool | None = None
        self._unsynced = False
        self._unsafe = ""  # why what is written could not be put on the disk the last time
        self._last = False  # what is being tried is not tried again
        self._failures = 0
        self._lost = 0
        self._lost_before = 0  # when the disk last took everything
        self._problem = ""

    def __call__(self, line: str) -> None:
        """Take one record, without its newline; where the disk is well it outlives us when this returns."""
        if self._writer is None and self._file.at_once(_octets(line), self._prompt):
            self._written()
            return
        if len(self._waiting) >= MAX_WAITING:
            self._lost += 1
            if self._lost == self._lost_before + 1:
                text = f"{MAX_WAITING} records wait: those that come now are lost, until there is room"
                self._say("ERR", "records-lost", f"{self._file.path}: {text}")
            return
        self._waiting.append(line)
        if self._writer is None:
            self._writer = gevent.spawn_later(DELAY, self._write)

    def start(self) -> None:
        """Say what opening the file found."""
        if self._file.cut:
            text = (
                f"{self._file.path} ended in a torn record, from a crash: {self._file.cut} octets are cut off"
            )
            self._say("WRN", "records-torn", text)

    def reopen(self) -> None:
        """Let go of a file that was moved away now, not with the next record."""
        if self._writer is None:
            self._writer = gevent.spawn(self._write)

    def view(self) -> RecordsView:
        """What waits and what is lost, as it is now."""
        return RecordsView(len(self._waiting), self._lost, self._problem)

    def flush(self) -> None:
        """Write all that waits; what the disk has not taken within two seconds is lost, which is said."""
        self._wait(FLUSH_WITHIN)
        if self._waiting:
            self._last = True  # a process that ends in the middle of a try would leave a torn line
            self._wait(LAST_WITHIN)
            self._last = False
        if self._syncer is not None:
            self._syncer.kill(block=False)
            with gevent.Timeout(FLUSH_WITHIN, False):
                self._sync()
        if self._waiting:
            self._lost += len(self._waiting)
            text = f"{len(self._waiting)} records are lost with this process: {self._problem or 'it hangs'}"
            self._say("ERR", "records-lost", f"{self._file.path}: {text}")

    def _wait(self, seconds: float) -> None:
        with gevent.Timeout(seconds, False):
            while self._writer is not None:
                self._writer.join()

    def _write(self) -> None:
        bunch = list(islice(self._waiting, BUNCH))
        if self._thread is None:
            self._thread = ThreadPool(1)
        with self._prompt.waited_for():
            count, problem = self._thread.apply(self._file.append, (b"".join(map(_octets, bunch)),))
        for _ in range(count):
            self._waiting.popleft()
        if count:
            self._written()
        if problem:
            self._failed(problem)
        elif self._problem and not self._waiting:
            self._recovered()
        # What has come meanwhile waits as well: line by line, each would wake two threads.
        delay = RETRY if problem else DELAY if len(self._waiting) < BUNCH else 0.0
        again = self._waiting and not self._last
        self._writer = gevent.spawn_later(delay, self._write) if again else None

    def _written(self) -> None:
        self._unsynced = True
        if self._syncer is None:
            self._syncer = gevent.spawn_later(SYNC_EVERY, self._sync)

    def _sync(self) -> None:
        self._unsynced = False  # what is written from now on is for the next
        if self._sync_thread is None:
            self._sync_thread = ThreadPool(1)
        with self._prompt.waited_for():
            problem = self._sync_thread.apply(self._file.sync)
        if problem and problem != self._unsafe:
            text = f"what was written may not outlive a power cut: {problem}; look at its disk"
            self._say("ERR", "records-unsynced", f"{self._file.path}: {text}")
        self._unsafe = problem
        self._syncer = gevent.spawn_later(SYNC_EVERY, self._sync) if self._unsynced else None

    def _failed(self, problem: str) -> None:
        if problem != self._problem or self._failures % SAY_AGAIN == 0:
            remedy = "make room on its disk, or let this user write there"
            kept = f"{len(self._waiting)} records wait in memory, {self._lost - self._lost_before} are lost"
            text = f"{self._file.path} cannot be written: {problem}; {kept}; {remedy}"
            self._say("ERR", "records-wait", text)
        self._problem = problem
        self._failures += 1

    def _recovered(self) -> None:
        lost = self._lost - self._lost_before
        text = f"{self._file.path} is written again; {lost or 'none'} of the records were lost"
        self._say("WRN" if lost else "INF", "records-written", text)
        self._problem, self._failures, self._lost_before = "", 0, self._lost
