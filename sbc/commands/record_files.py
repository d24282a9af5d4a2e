"""The call records as they lie on disk: the file that is written now, and what a rotation made of the others.

All files are opened at once, before the first is read: a rotation in between renames and compresses them,
and would let one be read twice and another not at all. Of a file no more is in memory than one line. What
cannot be read is passed over, counted and named, for a report that is silent about a gap would be believed.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import re
import stat
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, cast

from sbc.base import LocalError

#: The octets of a line that are read; no call has so long a record.
LONGEST: Final = 1 << 20
# Problems that are named; of the others only their number is kept.
_NAMED: Final = 20
# A file was written to after the last record in it was made, but for a clock that was set back meanwhile.
_SLACK: Final = 86400.0
_TRIES: Final = 5
# What a rotation puts into a name: a number, or a date.
_TURN: Final = re.compile(r"[.-][0-9][0-9T_.:+-]*")

_OPENERS: Final[dict[str, Callable[[IO[bytes]], Any]]] = {
    ".gz": lambda raw: gzip.GzipFile(fileobj=raw, mode="rb"),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
_BROKEN: Final = (OSError, EOFError, zlib.error, lzma.LZMAError)

Record = dict[str, Any]


def records_path(directory: Path, named: Path | None) -> Path:
    """The file ``named``, or that of the configuration in ``directory``."""
    from sbc.config.control import state_path
    from sbc.observe.cdr import RECORDS

    return named if named is not None else state_path(directory) / RECORDS


def record_files(path: Path) -> list[Path]:
    """``path`` and those that a rotation made of it (``.1``, ``-20261129``, ``.2.gz``); by name.

    Of a file that is being compressed only the whole one counts. LocalError where the directory cannot be
    read.
    """
    try:
        names = {each.name for each in os.scandir(path.parent)}
    except OSError as error:
        raise LocalError(f"{path.parent} cannot be read: {_why(error)}") from None
    found = sorted(name for name in names if _is_of(path, name) and not _is_copy(name, names))
    return [path.parent / name for name in found]


def _is_of(path: Path, name: str) -> bool:
    if name == path.name:  # whatever it is called, and compressed though it may be
        return True
    whole, packed = os.path.splitext(name)
    stem, extension = path.stem, path.suffix
    rest = (whole if packed in _OPENERS else name).removeprefix(stem)
    if not name.startswith(stem) or extension not in rest:
        return False
    before, _, behind = rest.partition(extension) if extension else ("", "", rest)
    turn = before or behind  # logrotate's `extension` puts it before
    return not turn or (not (before and behind) and _TURN.fullmatch(turn) is not None)


def _is_copy(name: str, names: set[str]) -> bool:
    whole, extension = os.path.splitext(name)
    return extension in _OPENERS and whole in names


class RecordFiles:
    """The records of ``path`` and of its rotated files, opened; a context manager, to be read once.

    Files that were last written before ``since`` (POSIX seconds) are left out. ``problems`` name what could
    not be read, the first of them; ``unread`` says how many there were. LocalError where a file cannot be
    opened.
    """

    def __init__(self, path: Path, since: float = 0.0) -> None:
        self.problems: list[str] = []
        self.unread = 0
        self._live = path
        self._found = False
        self._stack = ExitStack()
        self._files: list[tuple[Path, IO[bytes]]] = []
        try:
            for _ in range(_TRIES):
                if self._open_all(record_files(path), since):
                    break
                self._stack.close()
            else:
                raise LocalError(f"the files of {path} are moved while they are opened: try again")
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> RecordFiles:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def found(self) -> bool:
        """Whether there are any files at all, those that were left out too."""
        return self._found

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the files that are read."""
        return tuple(each.name for each, _ in self._files)

    def __iter__(self) -> Iterator[Record]:
        """Each record as JSON types, the oldest file first; within a file as they were written."""
        for path, file in sorted(self._files, key=_first_ended):
            yield from self._records(path, file)

    def _open_all(self, paths: list[Path], since: float) -> bool:
        """Open what is to be read; False where the names mean other files by now."""
        self._files, self._found = [], bool(paths)
        opened: dict[Path, os.stat_result] = {}
        for path in paths:
            try:
                # Not to be waited for where it is a pipe.
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except FileNotFoundError:
                return False
            except OSError as error:
                why = f"{_why(error)}; run this as the user of the service"
                raise LocalError(f"{path} cannot be read: {why}") from None
            opened[path] = status = os.fstat(fd)
            if stat.S_ISDIR(status.st_mode):  # of which no file object can be made
                os.close(fd)
                if path == self._live:
                    raise LocalError(f"{path} is a directory: name the file of records that is in it")
                continue
            raw = self._stack.enter_context(os.fdopen(fd, "rb"))
            if stat.S_ISREG(status.st_mode) and status.st_mtime >= since - _SLACK:
                opener = _OPENERS.get(path.suffix)
                self._files.append((path, opener(raw) if opener is not None else raw))
        return record_files(self._live) == paths and all(map(_is_still, opened.items()))

    def _records(self, path: Path, file: IO[bytes]) -> Iterator[Record]:
        number = 0
        try:
            while line := file.readline(LONGEST):
                number += 1
                whole = line.endswith(b"\n")
                if not whole and len(line) == LONGEST:
                    _skip_line(file)
                record = _record(line)
                if record is not None:
                    yield record
                elif line.strip() and (whole or len(line) == LONGEST or path != self._live):
                    self._problem(f"{path.name}:{number} is no call record")
                # What is written to just now may end in a part of a line.
        except _BROKEN as error:
            self._problem(f"{path.name}: from line {number + 1} on it cannot be read: {_why(error)}")

    def _problem(self, text: str) -> None:
        self.unread += 1
        if len(self.problems) < _NAMED:
            self.problems.append(text)


def moment(text: object) -> float | None:
    """POSIX seconds of a time in a record, None where it has none (or is none)."""
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except (ValueError, OverflowError):
        return None


def _first_ended(named: tuple[Path, IO[bytes]]) -> float:
    """When the first call of a file ended, by which files stand in order whatever they are called."""
    _, file = named
    try:
        record = _record(file.readline(LONGEST))
        file.seek(0)
    except _BROKEN:
        return 0.0  # it is told when it is read
    return moment(record.get("ended")) or 0.0 if record is not None else 0.0


def _skip_line(file: IO[bytes]) -> None:
    while (rest := file.readline(LONGEST)) and not rest.endswith(b"\n"):
        pass


def _record(line: bytes) -> Record | None:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast(Record, found) if isinstance(found, dict) else None


def _is_still(named: tuple[Path, os.stat_result]) -> bool:
    path, status = named
    try:
        return os.path.samestat(os.stat(path), status)
    except OSError:
        return False


def _why(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
