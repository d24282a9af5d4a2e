"""What the store has not committed yet, as lines ahead of the database: a killed process loses none of it.

A commit takes its thread and the disk some hundredths of a second. What calls are counted by is therefore
written here at once (``sbc.net.system.prompt``), and outlives this process from then on; the commit that
follows brings it to the disk. Each line is an entry with a number, and each commit says up to which number it
has them. After a crash those beyond it are taken up, in their order; a line that is torn ends its file.

There are two files. While one is written to, the other, whose lines are all committed, is emptied.
"""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any, Final

from sbc.net.system.database import Changes, Row
from sbc.net.system.prompt import Prompt

FILES: Final = ("state.ahead-0", "state.ahead-1")
#: Octets after which the other file is written to, and beyond which none are written until it is empty.
TURN: Final = 1 << 16
MOST: Final = 1 << 20
#: Where the database says up to which number it has the entries; nobody else has this shelf.
SHELF: Final = "ahead"
_PLACE: Final = (SHELF, '"number"')


class Ahead:
    """The two files in a directory; what opens, reads or empties them blocks."""

    def __init__(self, directory: Path, prompt: Prompt) -> None:
        self._paths = [directory / name for name in FILES]
        self._prompt = prompt
        self._fds: list[int] = []
        self._sizes = [0, 0]
        self._now = 0
        self._number = 0

    def open(self, committed: int) -> Changes:
        """Open the files, and give what is in them beyond the number ``committed``."""
        found: list[tuple[int, str, str, str | None, int]] = []
        pipes = [path for path in self._paths if path.is_fifo()]  # which would be waited for
        for path in self._paths:
            if path not in pipes:
                with contextlib.suppress(OSError):
                    found += _lines(path.read_bytes())
        left: Changes = {}
        for number, shelf, key, value, version in sorted(found, key=lambda line: line[0]):
            self._number = max(self._number, number)
            if number > committed:
                left.pop((shelf, key), None)
                left[shelf, key] = None if value is None else (value, version)
        self._number = max(self._number, committed)
        with contextlib.suppress(OSError):
            for which, path in enumerate(self._paths if not pipes else ()):
                self._fds.append(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
                # Its last line may be torn: nothing is written behind it.
                self._sizes[which] = MOST if os.fstat(self._fds[which]).st_size else 0
        self._now = 1 if self._sizes[0] else 0
        return left

    def put(self, changes: Changes) -> bool:
        """Write these entries at once; whether they outlive this process now."""
        if len(self._fds) < len(FILES) or self._sizes[self._now] >= MOST:
            return False
        lines = []
        for (shelf, key), entry in changes.items():
            self._number += 1
            value, version = entry if entry is not None else (None, 0)
            lines.append(f"{json.dumps([self._number, shelf, key, value, version])}\n")
        data = "".join(lines).encode()
        try:
            written = self._prompt.write(self._fds[self._now], data)
        except OSError:
            return False
        self._sizes[self._now] += written
        if 0 < written < len(data):
            self._sizes[self._now] = MOST  # what came behind a torn line would not be read
        return written == len(data)

    def begin(self) -> Changes:
        """A commit begins: what it is to say of us."""
        other = 1 - self._now
        if self._sizes[self._now] >= TURN and not self._sizes[other]:
            self._now = other
        return {_PLACE: (str(self._number), 1)} if self._number else {}

    def committed(self) -> None:
        """It is on the disk: in a thread, empty the file that is not written to."""
        other = 1 - self._now
        if self._sizes[other]:
            self._empty(other)

    def close(self) -> None:
        """Everything is committed."""
        for which in range(len(self._fds)):
            self._empty(which)
            os.close(self._fds[which])
        self._fds = []

    def _empty(self, which: int) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._fds[which], 0)
            self._sizes[which] = 0


def committed_in(rows: list[Row]) -> int:
    """The number in the database, by what is on our shelf; 0 where there is none."""
    values = [value for _, value, _ in rows]
    return max([int(each) for each in values if isinstance(each, str) and each.isdecimal()], default=0)


def _lines(data: bytes) -> list[tuple[int, str, str, str | None, int]]:
    found = []
    for line in data[: data.rfind(b"\n") + 1].splitlines():
        try:
            number, shelf, key, value, version = json.loads(line)
        except (ValueError, TypeError, RecursionError):
            break
        if not _is_entry(number, shelf, key, value, version):
            break
        found.append((number, shelf, key, value, version))
    return found


def _is_entry(number: Any, shelf: Any, key: Any, value: Any, version: Any) -> bool:
    return (
        isinstance(number, int)
        and isinstance(shelf, str)
        and isinstance(key, str)
        and (value is None or isinstance(value, str))
        and isinstance(version, int)
    )
