"""How much room is on the disks that are written to; asked in a thread, for a disk may hang."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import gevent
from gevent.threadpool import ThreadPool

from sbc.config.snapshot import Snapshot
from sbc.observe.edge_views import DiskView

EVERY: Final = 30.0
#: Seconds after which a disk that does not answer is said to hang.
HANGS: Final = 60.0


class Space:
    """What was found the last time, of the state directory, that of recordings, and that of the ``log``."""

    def __init__(self, directory: Path, state: Path, log: Path | None, snapshot: Snapshot) -> None:
        self.views: tuple[DiskView, ...] = ()
        self._directory = directory
        self._always = {"records": state} | ({"journal": log.parent} if log is not None else {})
        self._due = 0.0
        self._asked: float | None = None
        self._pool: ThreadPool | None = None
        self.apply(snapshot)

    def apply(self, snapshot: Snapshot) -> None:
        """Recordings are kept where it says."""
        kept = snapshot.settings.recordings
        self._where = self._always | ({"recordings": self._directory / kept.directory} if kept else {})

    def tick(self, at: float) -> None:
        """Ask, now and then; ``at`` is a moment of the monotonic clock."""
        if self._asked is not None:
            if at - self._asked >= HANGS:
                self.views = tuple(DiskView(what, problem="it does not answer") for what in self._where)
        elif at >= self._due:
            self._due, self._asked = at + EVERY, at
            gevent.spawn(self._ask, dict(self._where))

    def _ask(self, where: dict[str, Path]) -> None:
        if self._pool is None:
            self._pool = ThreadPool(1)
        self.views = self._pool.apply(_look, (where,))
        self._asked = None


def _look(directories: dict[str, Path]) -> tuple[DiskView, ...]:
    return tuple(_view(what, directory) for what, directory in directories.items())


def _view(what: str, directory: Path) -> DiskView:
    """Of a directory that is made only when something is written there, the disk that it will be on."""
    while not os.path.exists(directory) and directory != directory.parent:
        directory = directory.parent
    try:
        device, found = os.stat(directory).st_dev, os.statvfs(directory)
    except OSError as error:
        return DiskView(what, problem=error.strerror or type(error).__name__)
    return DiskView(what, found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize, device)
