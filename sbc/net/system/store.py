"""What must survive a restart: small JSON files in the state directory, and room for larger ones.

A file is written whole beside the old one and renamed over it, so that a crash leaves either.
Writing waits a moment, because what changes with every handshake would otherwise be written
with every handshake; it happens off the hub, because a disk may take its time. A file that
cannot be read is put aside, not trusted and not lost.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

from sbc.base import LocalError

DELAY = 2.0
_NAME = re.compile(r"[a-z][a-z0-9.-]*").fullmatch


class Store:
    """The state directory; ``warn`` takes a line when something cannot be read or written."""

    def __init__(self, directory: Path, warn: Callable[[str], object]) -> None:
        self.directory = directory
        self._warn = warn
        self._waiting: dict[str, Any] = {}
        self._writer: gevent.Greenlet | None = None

    def path(self, name: str) -> Path:
        """Where ``name`` (lower case, digits, dots, dashes) lies; for files too large for JSON."""
        if not _NAME(name):
            raise LocalError(f"{name!r} is no name of a state file")
        return self.directory / name

    def load(self, name: str) -> Any:
        """What was saved under ``name`` last; None where nothing was, or it cannot be read any more."""
        if name in self._waiting:
            return self._waiting[name]
        path = self.path(f"{name}.json")
        try:
            return json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError, RecursionError) as error:
            self.set_aside(name, type(error).__name__)
            return None

    def set_aside(self, name: str, why: str) -> None:
        """What was saved under ``name`` is of no use, for ``why``: say so, and keep the file beside."""
        path = self.path(f"{name}.json")
        aside = path.with_suffix(".unreadable")
        with contextlib.suppress(OSError):
            path.replace(aside)
        self._warn(f"{path} cannot be read ({why}): begun anew, put aside as {aside.name}")

    def save(self, name: str, value: Any) -> None:
        """Keep a JSON ``value`` under ``name``: within two seconds on disk, at once for ``load``.

        The value is written as it is then: give one that nobody changes any more.
        """
        self.path(name)
        self._waiting[name] = value
        if self._writer is None:
            self._writer = gevent.spawn_later(DELAY, self._write)

    def flush(self) -> None:
        """Write now whatever waits, before returning."""
        if self._writer is not None:
            self._writer.kill()
        self._write()

    def _write(self) -> None:
        pool = gevent.get_hub().threadpool
        while self._waiting:
            name, value = next(iter(self._waiting.items()))
            path = self.path(f"{name}.json")
            failed = pool.apply(_write_json, (path, value))
            if failed:
                # It stays in memory; the next change tries again.
                self._warn(f"{path} cannot be written: {failed}; make room, or let this user write there")
                break
            if self._waiting.get(name) is value:
                del self._waiting[name]
        self._writer = None


def _write_json(path: Path, value: Any) -> str:
    """Write ``value`` in a thread: by its entries, for the encoder holds the interpreter for one call."""
    if isinstance(value, dict):
        entries = [json.dumps({key: each})[1:-1] for key, each in value.items()]
        return write_whole(path, f"{{{', '.join(entries)}}}".encode())
    return write_whole(path, json.dumps(value).encode())


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> str:
    """Replace the file at ``path`` by ``data`` in one step, safe from a crash; what went wrong, or ""."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink()
        return error.strerror or str(error)
    return ""
