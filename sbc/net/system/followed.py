"""Files that are written under a name for long: what was moved away by a rotation is begun anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

#: Who may read what we write: its user, and whoever is in its group.
MODE = 0o640


def followed(fd: int, path: Path, reopen: Callable[[Path], int]) -> int:
    """``fd`` while ``path`` names its file; else what ``reopen`` opens, and ``fd`` is closed.

    OSError where that cannot be opened; ``fd`` is open then.
    """
    try:
        if os.path.samestat(os.stat(path), os.fstat(fd)):
            return fd
    except FileNotFoundError:
        pass
    fresh = reopen(path)
    os.close(fd)
    return fresh


def appending(path: Path) -> int:
    """Open ``path``, made where it is missing, to be written at its end; OSError."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, MODE)
