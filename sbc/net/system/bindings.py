"""Who is registered, on disk: SQLite, in a thread of its own, many changes to one commit.

What changes while a commit is under way, or sooner than ``GATHER`` after one began, goes with the next, so
the disk is waited for once however many phones register; of one user only the last is written. A commit that
fails is tried again with the next change or a second later, and said; nobody waits for it any longer, for a
full disk must silence no phone.

The file is written ahead (WAL) and synchronised at each commit: after a crash it has all that was confirmed.
One that cannot be read is set aside, and said: phones are known again when they refresh.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import gevent
from gevent.threadpool import ThreadPool

from sbc.base import Address
from sbc.flow import Transport
from sbc.registrar.binding import Binding
from sbc.sip.grammar import ParseError
from sbc.sip.uri import parse_uri

GATHER: Final = 0.01  # a commit of its own costs a phone more than all else that is done for it
RETRY: Final = 1.0
SAY_AGAIN: Final = 60  # tries that failed, between two lines about it
FLUSH_WITHIN: Final = 2.0

_TRANSPORTS: Final[dict[str, Transport]] = {"udp": "udp", "tcp": "tcp", "tls": "tls"}
_TABLE: Final = """
create table if not exists bindings (
  user text not null, contact text not null, remote text not null, port integer not null,
  transport text not null, trunk text not null, expires_at real not null, registered_at real not null,
  call_id text not null, cseq integer not null, path text not null, q real not null,
  instance text not null, reg_id integer not null, user_agent text not null
)
"""
_COLUMNS: Final = 15
_INSERT: Final = f"insert into bindings values ({', '.join('?' * _COLUMNS)})"
Row = tuple[str | int | float, ...]
Say = Callable[[str], object]
Done = Callable[[], object]


class BindingFile:
    """The database; every method blocks, and is called by one thread.

    ``aside`` is where one that could not be read was put, ``problem`` why there is none, None and "" where
    all is well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.aside: Path | None = None
        self.problem = ""
        self._db: sqlite3.Connection | None = None

    def load(self) -> list[Row]:
        """Open it, and return what is in it; a file that is no good is begun anew."""
        for _ in range(2):
            try:
                return self._open()
            except sqlite3.OperationalError as error:
                self.problem = str(error)  # the disk, or who may write there: the file may be good
                return []
            except sqlite3.DatabaseError as error:
                self.problem = str(error)
                self._set_aside()
        return []

    def _open(self) -> list[Row]:
        db = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False, timeout=5.0)
        try:
            self.path.chmod(0o600)
            if db.execute("pragma quick_check(1)").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("it is malformed")
            db.execute("pragma journal_mode = wal")
            db.execute("pragma synchronous = full")
            db.execute(_TABLE)
            db.execute("create index if not exists by_user on bindings (user)")
            rows = db.execute("select * from bindings").fetchall()
            if any([len(row) != _COLUMNS for row in rows]):
                raise sqlite3.DatabaseError("it has other columns")
        except BaseException:
            db.close()
            raise
        self._db, self.problem = db, ""
        return rows

    def _set_aside(self) -> None:
        self.close()
        self.aside = self.path.with_suffix(".unreadable")
        for ending in ("-wal", "-shm"):
            with contextlib.suppress(OSError):
                self.path.with_name(self.path.name + ending).unlink()
        with contextlib.suppress(OSError):
            self.path.replace(self.aside)

    def write(self, changes: dict[str, list[Row]]) -> str:
        """Let each user have these rows and no others, all in one commit; what went wrong, or ""."""
        if self._db is None:
            self.load()
        db = self._db
        if db is None:
            return self.problem
        try:
            db.execute("begin immediate")
            db.executemany("delete from bindings where user = ?", [(user,) for user in changes])
            db.executemany(_INSERT, [row for rows in changes.values() for row in rows])
            db.execute("commit")
        except (sqlite3.Error, ValueError) as error:
            with contextlib.suppress(sqlite3.Error):
                db.execute("rollback")
            if isinstance(error, sqlite3.Error) and not isinstance(error, sqlite3.OperationalError):
                self._set_aside()
            return str(error)
        return ""

    def close(self) -> None:
        """Close it; what was written is in the one file then."""
        if self._db is not None:
            with contextlib.suppress(sqlite3.Error):
                self._db.close()
            self._db = None


class BindingStore:
    """What is kept of the registrar; ``say`` takes a line where something cannot be read or written."""

    def __init__(self, path: Path, say: Say) -> None:
        self._file = BindingFile(path)
        self._say = say
        self._changes: dict[str, list[Row]] = {}
        self._waiting: list[Done] = []
        self._writer: gevent.Greenlet | None = None  # that is at it
        self._again: gevent.Greenlet | None = None  # that tries once more what has failed
        self._thread = ThreadPool(1)
        self._failures = 0
        self._began = 0.0  # the last commit

    def load(self, now: float) -> list[Binding]:
        """What was kept and has not expired at ``now`` (POSIX)."""
        rows, file = self._thread.apply(self._file.load), self._file
        if file.problem:
            self._say(
                f"{file.path} cannot be opened: {file.problem}; who registers is known until we restart"
            )
        elif file.aside is not None:
            text = f"begun anew, put aside as {file.aside.name}; phones are known again when they refresh"
            self._say(f"{file.path} cannot be read: {text}")
        found = [_binding(row) for row in rows]
        return [each for each in found if each is not None and each.expires_at > now]

    def keep(self, user: str, bindings: tuple[Binding, ...], then: Done) -> None:
        """Write what ``user`` has, and call ``then`` when it is on the disk, or was said not to be."""
        self._changes[user] = [_row(each) for each in bindings]
        self._waiting.append(then)
        if self._again is not None:
            self._again.kill(block=False)
            self._again = None
        if self._writer is None:
            self._writer = gevent.spawn(self._write)

    def close(self) -> None:
        """Write what waits, within two seconds, and close the file."""
        with gevent.Timeout(FLUSH_WITHIN, False):
            while self._writer is not None:
                self._writer.join()
            self._thread.apply(self._file.close)
        if self._again is not None:
            self._again.kill(block=False)

    def _write(self) -> None:
        while self._changes:
            early = self._began + GATHER - time.monotonic()
            if early > 0.0:
                gevent.sleep(early)
            self._began = time.monotonic()
            changes, self._changes = self._changes, {}
            waiting, self._waiting = self._waiting, []
            problem = self._thread.apply(self._file.write, (changes,))
            if problem:
                self._failed(problem, changes)
            elif self._failures:
                self._say(f"{self._file.path} is written again")
                self._failures = 0
            for then in waiting:
                then()
            if problem and not self._waiting:
                self._again = gevent.spawn_later(RETRY, self._try_again)
                break
        self._writer = None

    def _try_again(self) -> None:
        self._again = None
        if self._writer is None:
            self._writer = gevent.getcurrent()
            self._write()

    def _failed(self, problem: str, changes: dict[str, list[Row]]) -> None:
        for user, rows in changes.items():
            self._changes.setdefault(user, rows)
        if self._failures % SAY_AGAIN == 0:
            remedy = "make room on its disk, or let this user write there"
            until = "who registers now is known until we restart"
            self._say(f"{self._file.path} cannot be written: {problem}; {until}; {remedy}")
        self._failures += 1


def _row(each: Binding) -> Row:
    return (
        each.user, str(each.contact), each.remote.host, each.remote.port, each.transport, each.trunk,
        each.expires_at, each.registered_at, each.call_id, each.cseq,
        json.dumps(each.path) if each.path else "[]", each.q,
        each.instance, each.reg_id, _text(each.user_agent),
    )  # fmt: skip


def _text(said: str) -> str:
    """What a peer has said, as UTF-8 can hold it."""
    return said.encode("utf-8", "backslashreplace").decode()


def _binding(row: Row) -> Binding | None:
    """What a row says; None for one that nobody of us has written."""
    user, contact, host, port, transport, trunk, expires_at, registered_at = row[:8]
    call_id, cseq, path, q, instance, reg_id, user_agent = row[8:]
    known = _TRANSPORTS.get(str(transport))
    if known is None:
        return None
    try:
        return Binding(
            str(user), parse_uri(str(contact)), None, Address(str(host), int(port)), known, str(trunk),
            expires_at=float(expires_at), registered_at=float(registered_at), call_id=str(call_id),
            cseq=int(cseq), path=tuple([str(each) for each in json.loads(str(path))]), q=float(q),
            instance=str(instance), reg_id=int(reg_id), user_agent=str(user_agent),
        )  # fmt: skip
    except (ParseError, ValueError, TypeError):
        return None
