"""The one file of what survives a restart: SQLite, written ahead (WAL) and synchronised at each commit.

A row is an entry of a shelf: its key and value as JSON, with the version of their form. Every call blocks
and is made by one thread (``sbc.net.system.store``). After a crash the file has all that was committed. One
that is damaged, or of another layout, is put aside and begun anew; one that cannot be written is read if that
is possible, and tried again with the next change.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import quote

FILE: Final = "state.db"
LAYOUT: Final = 1
ASIDE: Final = ".unreadable"
_TABLE: Final = """
create table entries (
  shelf text not null, key text not null, value text not null, version integer not null,
  primary key (shelf, key)
)
"""
_COLUMNS: Final = ["shelf", "key", "value", "version"]
# A row that is replaced moves to the end: entries come back in the order in which they were written last.
_READ: Final = "select key, value, version from entries where shelf = ? order by rowid"
_ENDINGS: Final = ("", "-wal", "-shm")

#: Key, value and version as they are in the file, whatever somebody has put there.
Row = tuple[object, object, object]
#: By shelf and key: value and version, None for an entry that is no more.
Changes = dict[tuple[str, str], tuple[str, int] | None]


class Database:
    """``aside`` is where one that could not be read was put, ``why`` for what reason; None and "" for never.

    ``problem`` says why it cannot be written; ``opened`` counts how often a file was opened to be written:
    what was written before need not be in the next.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.aside: Path | None = None
        self.why = ""
        self.problem = ""
        self.opened = 0
        self._db: sqlite3.Connection | None = None
        self._to_read: sqlite3.Connection | None = None  # where it cannot be written
        self._inode = 0

    def open(self) -> None:
        """Open it, or begin it anew; ``problem`` where that is impossible."""
        self.close()
        if os.path.exists(self.path) and not os.path.isfile(self.path):  # a pipe would be waited for
            self.problem = "it is no file"
            return
        for _ in range(2):
            try:
                self._db, self.problem = _opened(self.path), ""
            except (
                sqlite3.OperationalError
            ) as error:  # the disk, or who may write there: the file may be good
                self.problem = str(error)
                self._to_read = _readable(self.path)
                return
            except sqlite3.DatabaseError as error:
                self._set_aside(str(error))
            else:
                self.opened += 1
                self._inode = self.path.stat().st_ino
                return

    def read(self, shelf: str) -> list[Row]:
        """What is in a shelf, what was written last at the end."""
        db = self._db or self._to_read
        if db is None:
            return []
        try:
            return db.execute(_READ, (shelf,)).fetchall()
        except sqlite3.OperationalError as error:
            self.problem = str(error)
        except sqlite3.Error as error:
            self._set_aside(str(error))
            self.open()
        return []

    def write(self, changes: Changes) -> str:
        """All of it or nothing, on the disk when this returns; what went wrong, or ""."""
        if self._db is None or self._is_gone():
            self.open()
        db = self._db
        if db is None:
            return self.problem or self.why
        gone = [place for place, entry in changes.items() if entry is None]
        put = [(*place, *entry) for place, entry in changes.items() if entry is not None]
        try:
            db.execute("begin immediate")
            db.executemany("delete from entries where shelf = ? and key = ?", gone)
            db.executemany("insert or replace into entries values (?, ?, ?, ?)", put)
            db.execute("commit")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                db.execute("rollback")
            if not isinstance(error, sqlite3.OperationalError):
                self._set_aside(str(error))
            self.problem = str(error)
            return self.problem
        self.problem = ""
        return ""

    def close(self) -> None:
        """Close it; what was written is in the one file then."""
        for db in (self._db, self._to_read):
            if db is not None:
                with contextlib.suppress(sqlite3.Error):
                    db.close()
        self._db = self._to_read = None

    def _is_gone(self) -> bool:
        """Whether the name no longer leads to the file that is open."""
        try:
            return self.path.stat().st_ino != self._inode
        except OSError:
            return True

    def _set_aside(self, why: str) -> None:
        self.close()
        self.aside, self.why = self.path.with_suffix(ASIDE), why
        for ending in _ENDINGS:
            with contextlib.suppress(OSError):
                _beside(self.path, ending).replace(_beside(self.aside, ending))


def _opened(path: Path) -> sqlite3.Connection:
    _make(path)
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    db.text_factory = _text
    try:
        (layout,) = db.execute("pragma user_version").fetchone()
        if db.execute("pragma quick_check(1)").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("it is malformed")
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = full")
        tables = [name for (name,) in db.execute("select name from sqlite_master where type = 'table'")]
        if not tables and not layout:
            db.executescript(f"begin immediate; {_TABLE}; pragma user_version = {LAYOUT}; commit;")
        columns = [row[1] for row in db.execute("pragma table_info(entries)")]
        if (layout or LAYOUT) != LAYOUT or columns != _COLUMNS:
            raise sqlite3.DatabaseError(f"it is of another layout ({layout})")
    except BaseException:
        db.close()
        raise
    return db


def _make(path: Path) -> None:
    """Nobody else may read what will be in it: the files that SQLite puts beside are like it."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        path.chmod(0o600)
    except OSError as error:
        raise sqlite3.OperationalError(error.strerror or str(error)) from None


def _readable(path: Path) -> sqlite3.Connection | None:
    """A connection that can read a file on a disk that takes nothing, not even SQLite's own index; or None.

    As a last resort it is read as it was at the last checkpoint.
    """
    for how in ("mode=rw", "mode=ro", "mode=ro&immutable=1"):
        alone = ("pragma locking_mode = exclusive",) if how == "mode=rw" else ()
        with contextlib.suppress(sqlite3.Error):
            return _asked(path, how, *alone)
    return None


def _asked(path: Path, how: str, *before: str) -> sqlite3.Connection:
    """Connect, and make sure that it can be read."""
    db = sqlite3.connect(f"file:{quote(str(path))}?{how}", uri=True, check_same_thread=False, timeout=1.0)
    db.text_factory = _text
    try:
        for each in (*before, "select count(*) from entries"):
            db.execute(each).fetchone()
    except BaseException:
        db.close()
        raise
    return db


def look_in(path: Path, shelf: str) -> list[Row]:
    """What a running SBC, or the last one, has in a shelf; changes nothing. sqlite3.Error, OSError."""
    if not path.is_file():
        return []
    crashed_or_running = _beside(path, "-wal").exists()
    db = _asked(path, "mode=ro" if crashed_or_running else "mode=ro&immutable=1")
    with contextlib.closing(db):
        return db.execute(_READ, (shelf,)).fetchall()


def _text(data: bytes) -> str:
    """What is no UTF-8 is no JSON either, and spoils its own row alone."""
    return data.decode("utf-8", "replace")


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


def remove(paths: Iterable[Path]) -> None:
    """Remove files that may not be there, and what SQLite has put beside them."""
    for path in paths:
        for ending in _ENDINGS:
            with contextlib.suppress(OSError):
                _beside(path, ending).unlink()
