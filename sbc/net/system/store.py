"""What must survive a restart: shelves of entries, each a key and a JSON value, in one SQLite file.

Whoever has something to keep asks for a shelf once, and is handed what was on it entry by entry. From then on
nobody saves anything: the store asks ten times a second what has changed (``changes``), or is told of it
(``Shelf.put``), writes all of that in one commit, in a thread of its own, and begins no two commits within
ten milliseconds. Of one entry only the last value is written. What a killed process may not lose even so long
is ``ahead``: its owner has ``at_once`` called when it has changed (``sbc.net.system.ahead``).

What somebody is told on the strength of an entry is told when it is on the disk: ``after`` and ``wait`` come
back when all that has changed by then is written. If the disk takes nothing they come back all the same, for
a full disk must silence no phone; that is said, and all is tried again, the last values as long as it takes.

Nothing that lies in the directory stops the SBC. A damaged file is put aside, and an entry that its shelf
cannot read as well, each with a line; the others stay. If the file is lost or replaced while we run, every
shelf is written anew.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.event import Event
from gevent.threadpool import ThreadPool

from sbc.base import LocalError
from sbc.net.system.ahead import SHELF, Ahead, committed_in
from sbc.net.system.database import ASIDE, FILE, Changes, Database, Row
from sbc.net.system.former import find_former
from sbc.net.system.prompt import Prompt
from sbc.net.system.whole_file import write_whole

LOOK_EVERY: Final = 0.1
GATHER: Final = 0.01  # a commit of its own costs a phone more than all else that is done for it
RETRY: Final = 1.0
SAY_AGAIN: Final = 60  # tries that failed, between two lines about it
PATIENCE: Final = 10.0  # with a disk that hangs
MOST_WAITING: Final = 500_000  # entries that a disk has not taken; a new one beyond them is not kept
MOST_TOLD: Final = 100_000  # who waits for a commit; who comes beyond them is told at once
_json: Final = json.JSONEncoder(check_circular=False).encode  # ``dumps`` asks for its options each time
_NAME: Final = re.compile(r"[a-z][a-z0-9.-]*").fullmatch
#: What a shelf's owner may raise at an entry that it cannot read.
_WRONG: Final = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)

Entries = Mapping[str, Any]
#: Take up one entry: False where it is over and may go; ValueError and its like where it is none of ours.
Take = Callable[[str, Any], bool | None]
Say = Callable[[str], object]
Done = Callable[[], object]


class Shelf:
    """One owner's entries: ``whole`` gives all of them, ``changes`` what has changed, None for what is gone.

    It is asked for changes ``every`` so many seconds. Where there is no ``changes`` the owner calls
    ``changed``, and all of ``whole`` is compared: that is for what is small.
    """

    def __init__(
        self, store: Store, name: str, version: int, whole: Callable[[], Entries],
        changes: Callable[[], Entries] | None, every: float, ahead: bool,
    ) -> None:  # fmt: skip
        self.name = name
        self.ahead = ahead
        self.version = version
        self.whole = whole
        self.store = store
        self._changes = changes
        self._every = every
        self._due = 0.0
        self._known: dict[str, Any] = {}  # of a shelf that is compared

    def put(self, key: str, value: Any) -> tuple[str, str]:
        """Keep a JSON ``value`` under ``key``, as it is now, and say where; None lets go of it."""
        return self.store.keep(self, key, value)

    def changed(self) -> None:
        """Something has changed: keep what ``whole`` gives now."""
        fresh = dict(self.whole())
        for key in self._known.keys() - fresh.keys():
            self.put(key, None)
        for key, value in fresh.items():
            if key not in self._known or self._known[key] != value:
                self.put(key, value)
        self._known = json.loads(json.dumps(fresh))

    def after(self, then: Done) -> None:
        """Call ``then`` when all that has changed is on the disk, or was said not to be."""
        self.store.after(then)

    def wait(self) -> None:
        """Come back when all that has changed is on the disk, or was said not to be."""
        self.store.wait()

    def knows(self, key: str, value: Any) -> None:
        """This is on the disk."""
        if self._changes is None:
            self._known[key] = value

    def collect(self, at: float, last: bool) -> list[tuple[str, str]]:
        """Put what has changed, where it is time to ask, and say where it is kept; ``last``: it is."""
        if self._changes is None or not (last or at >= self._due):
            return []
        self._due = at + self._every
        return [self.put(key, value) for key, value in self._changes().items()]


class Store:
    """The state directory; ``say`` takes a line where something cannot be read or written.

    ``prompt`` is what is known of its disk.
    """

    def __init__(self, directory: Path, say: Say, prompt: Prompt | None = None) -> None:
        self.directory = directory
        self._say = say
        self._file = Database(directory / FILE)
        self._prompt = prompt if prompt is not None else Prompt()
        self._ahead = Ahead(directory, self._prompt)
        self._thread = ThreadPool(1)
        self._opened = -1  # never, yet
        self._shelves: list[Shelf] = []
        self._waiting: Changes = {}
        self._told: list[Done] = []
        self._looker: gevent.Greenlet | None = None
        self._writer: gevent.Greenlet | None = None  # that is at it
        self._again: gevent.Greenlet | None = None  # that tries once more what has failed
        self._failures = 0
        self._lost = 0
        self._began = 0.0  # the last commit

    def path(self, name: str) -> Path:
        """Where ``name`` (lower case, digits, dots, dashes) lies; for what is too large for an entry."""
        if not _NAME(name):
            raise LocalError(f"{name!r} is no name of a state file")
        return self.directory / name

    # Shelves

    def shelf(
        self, name: str, take: Take, whole: Callable[[], Entries],
        changes: Callable[[], Entries] | None = None, *, version: int = 1, every: float = 0.0,
        ahead: bool = False,
    ) -> Shelf:  # fmt: skip
        """The shelf ``name``, after ``take`` was given what is on it.

        ``version`` is that of the entries' form: those of another are put aside. With ``ahead``, ``at_once``
        writes what has changed of it.
        """
        if any([each.name == name for each in self._shelves]):
            raise LocalError(f"somebody has the shelf {name} already")
        made = Shelf(self, self.path(name).name, version, whole, changes, every, ahead)
        if self._opened < 0:
            self._open()
        self._restore(made, take)
        self._take_over(made, take)
        self._shelves.append(made)
        return made

    def _open(self) -> None:
        self._thread.apply(self._file.open)
        self._opened = self._file.opened
        self._say_aside()
        number = committed_in(self._thread.apply(self._file.read, (SHELF,)))
        self._waiting.update(self._thread.apply(self._ahead.open, (number,)))
        if self._file.problem:
            self._failed(self._file.problem)

    def _say_aside(self) -> None:
        """A line where the file was put aside."""
        aside, self._file.aside = self._file.aside, None
        if aside is not None:
            text = f"begun anew, put aside as {aside.name}"
            self._say(f"{self._file.path} cannot be read ({self._file.why}): {text}")

    def _restore(self, shelf: Shelf, take: Take) -> None:
        wrong: dict[str, object] = {}
        why = ""
        for row in self._rows(shelf.name):
            try:
                key, value = _entry(row, shelf.version)
                if take(key, value) is False:
                    self._waiting[shelf.name, str(row[0])] = None
                else:
                    shelf.knows(key, value)
            except (*_WRONG, RecursionError) as error:
                wrong[str(row[0])] = row[1] if isinstance(row[1], str) else repr(row[1])
                why = why or type(error).__name__
        if wrong:
            self._put_aside(shelf, wrong, why)
        self._begin()

    def _rows(self, shelf: str) -> list[Row]:
        """What is in the file, and what a process that was killed had ahead of it."""
        ahead = {key: entry for (name, key), entry in self._waiting.items() if name == shelf}
        rows = [row for row in self._thread.apply(self._file.read, (shelf,)) if row[0] not in ahead]
        return rows + [(key, *entry) for key, entry in ahead.items() if entry is not None]

    def _put_aside(self, shelf: Shelf, wrong: dict[str, object], why: str) -> None:
        aside = self.path(f"{shelf.name}{ASIDE}")
        failed = self._thread.apply(write_whole, (aside, json.dumps(wrong).encode()))
        if not failed:
            self._waiting.update({(shelf.name, key): None for key in wrong})
        where = f"left out, put aside in {aside.name}" if not failed else "left out"
        which = f"{len(wrong)} entries of {shelf.name} in {self._file.path}"
        self._say(f"{which} cannot be read ({why}): {where}")

    def _take_over(self, shelf: Shelf, take: Take) -> None:
        """Take up what a release before has left, once: when it is written here, that file goes."""
        found = self._thread.apply(find_former, (self.directory, shelf.name))
        if found.problem:
            self._say(found.problem)
        wrong = 0
        for key, value in found.entries.items():
            try:
                if take(key, value) is not False:
                    self.keep(shelf, key, value)
                    shelf.knows(key, json.loads(json.dumps(value)))
            except _WRONG:
                wrong += 1
        if wrong:
            self._say(f"{found.path}: {wrong} of its entries cannot be read: they are left out")
        if found.entries:
            self.after(lambda: None if self._failures else found.remove())

    # What changes

    def start(self) -> None:
        """Begin to ask the shelves what has changed."""
        if self._looker is None:
            self._looker = gevent.spawn(self._look)

    def keep(self, shelf: Shelf, key: str, value: Any) -> tuple[str, str]:
        """Write an entry of ``shelf`` with the next commit, and say where it is; None removes it."""
        place = (shelf.name, _json(key))
        entry = None if value is None else (_json(value), shelf.version)
        if len(self._waiting) >= MOST_WAITING and place not in self._waiting:
            self._lost += 1
            return place
        self._waiting.pop(place, None)
        self._waiting[place] = entry
        self._begin()
        return place

    def at_once(self) -> bool:
        """Whether what has changed of the shelves that are ``ahead`` outlives this process now."""
        fresh: Changes = {}
        for shelf in self._shelves:
            if shelf.ahead:
                for place in shelf.collect(0.0, True):
                    if place in self._waiting:
                        fresh[place] = self._waiting[place]
        return not fresh or self._ahead.put(fresh)

    def after(self, then: Done) -> None:
        """Call ``then`` when all that has changed is on the disk, or was said not to be."""
        if len(self._told) >= MOST_TOLD:
            then()
            return
        self._told.append(then)
        self._begin()

    def wait(self) -> None:
        """Come back when all that has changed is on the disk, was said not to be, or the disk hangs."""
        done = Event()
        self.after(done.set)
        done.wait(PATIENCE)

    def close(self) -> None:
        """Write what waits, and close the file; what a disk that hangs takes no more is lost."""
        if self._looker is not None:
            self._looker.kill(block=False)
            self._looker = None
        self._collect(last=True)
        with gevent.Timeout(PATIENCE, False):
            self.wait()
            if not self._waiting:
                self._thread.apply(self._ahead.close)
            self._thread.apply(self._file.close)
        if self._again is not None:
            self._again.kill(block=False)
            self._again = None

    # Writing

    def _look(self) -> None:
        while True:
            gevent.sleep(LOOK_EVERY)
            self._collect()

    def _collect(self, last: bool = False) -> None:
        at = time.monotonic()
        for shelf in self._shelves:
            shelf.collect(at, last)

    def _begin(self) -> None:
        if self._writer is None and (self._told or (self._waiting and self._again is None)):
            if self._again is not None:
                self._again.kill(block=False)
                self._again = None
            self._writer = gevent.spawn(self._write)

    def _write(self) -> None:
        problem = ""
        try:
            while (self._told or self._waiting) and not (problem and not self._told):
                early = self._began + GATHER - time.monotonic()
                if early > 0.0:
                    gevent.sleep(early)
                self._began = time.monotonic()
                self._collect()
                problem = self._commit()
        finally:
            self._writer = None
            if self._waiting:
                self._again = gevent.spawn_later(RETRY, self._try_again)

    def _try_again(self) -> None:
        self._again = None
        self._begin()

    def _commit(self) -> str:
        changes, self._waiting = self._waiting, {}
        told, self._told = self._told, []
        problem = self._write_changes(changes) if changes else ""
        if problem:
            self._waiting = {**changes, **self._waiting}
            self._failed(problem)
        elif changes and self._failures:
            lost = f"; {self._lost} entries were not kept" if self._lost else ""
            self._say(f"{self._file.path} is written again{lost}")
            self._failures = self._lost = 0
        self._say_aside()
        if self._file.opened != self._opened:
            self._opened = self._file.opened
            self._write_anew()
        for then in told:
            then()
        return problem

    def _write_changes(self, changes: Changes) -> str:
        with self._prompt.waited_for():
            problem: str = self._thread.apply(self._put_down, ({**changes, **self._ahead.begin()},))
        return problem

    def _put_down(self, changes: Changes) -> str:
        """In the thread."""
        problem = self._file.write(changes)
        if not problem:
            self._ahead.committed()
        return problem

    def _write_anew(self) -> None:
        """Another file is open than the one that we have written: what is kept is to be in it, all of it."""
        for shelf in self._shelves:
            for key, value in shelf.whole().items():
                self.keep(shelf, key, value)

    def _failed(self, problem: str) -> None:
        if self._failures % SAY_AGAIN == 0:
            remedy = "make room on its disk, or let this user write there"
            until = "what changes now is known until we restart"
            self._say(f"{self._file.path} cannot be written: {problem}; {until}; {remedy}")
        self._failures += 1


def _entry(row: Row, version: int) -> tuple[str, Any]:
    """An entry as it was written; ValueError, TypeError or RecursionError for one that nobody of us has."""
    key, value, written = row
    if not isinstance(key, str) or not isinstance(value, str) or written != version:
        raise TypeError("it is of another form")
    name = json.loads(key)
    if not isinstance(name, str):
        raise TypeError("it has no name")
    return name, json.loads(value)


def entries(rows: list[Row], version: int = 1) -> dict[str, Any]:
    """The rows of a shelf as somebody else reads them: what cannot be read is left out."""
    found = {}
    for row in rows:
        try:
            key, value = _entry(row, version)
        except (ValueError, TypeError, RecursionError):
            continue
        found[key] = value
    return found
