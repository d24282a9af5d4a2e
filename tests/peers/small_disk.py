"""A disk that gets full: a small file system of its own, or where that may not be, a limit of the process."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOM = 8192
MORE = 1 << 20


class SmallDisk:
    """``path`` takes ``ROOM`` octets, until ``make_room`` is called."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def make_room(self) -> None:
        """There is room again."""
        subprocess.run(["mount", "-o", f"remount,size={MORE}", str(self.path)], check=True)


class _Limited(SmallDisk):
    """No file of this process grows over ``ROOM`` octets."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (ROOM, self._before[1]))

    def make_room(self) -> None:
        """Take the limit away."""
        resource.setrlimit(resource.RLIMIT_FSIZE, self._before)


def mounts(path: Path, size: int = ROOM) -> bool:
    """Put a file system of ``size`` octets there; False where this user may not."""
    path.mkdir(exist_ok=True)
    argv = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)]
    try:
        return subprocess.run(argv, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def unmount(path: Path) -> None:
    """Take it away again, whoever still has a file of it open."""
    subprocess.run(["umount", "-l", str(path)], check=True)


@contextmanager
def small_disk(path: Path) -> Iterator[SmallDisk]:
    """A small disk at ``path``."""
    mounted = mounts(path)
    disk = SmallDisk(path) if mounted else _Limited(path)
    try:
        yield disk
    finally:
        if mounted:
            unmount(path)
        else:
            disk.make_room()


@contextmanager
def mounted_disk(path: Path, size: int) -> Iterator[None]:
    """The same for another process; skipped where nothing may be mounted."""
    if not mounts(path, size):
        pytest.skip("NO DISK COULD BE FILLED: THIS USER MAY NOT MOUNT ONE")
    try:
        yield
    finally:
        unmount(path)
