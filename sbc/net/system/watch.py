"""Noticing that the configuration has changed on disk.

Two senses, because neither is enough. inotify is quick, and says nothing on a network file
system or about a file behind a symbolic link that leads elsewhere. A hash over the contents,
taken every few seconds, misses nothing, and is late. So inotify only wakes; the hash alone
decides: a change is that the contents differ from those last reported. Hence an editor's
write-and-rename, a touch, or a noisy neighbour in the same directory is one change or none.

Directories are watched, never files, for whoever replaces a file atomically leaves a watch on
the old inode. Each directory's parent is watched too, for the directory itself may be removed,
made again, or be a link that is swapped; so is the directory behind each link (certbot's
``live/`` links into ``archive/``). After every wake all watches are set anew, which for a
directory that is watched already costs one system call and changes nothing.

A burst is waited out: the files are read once nothing has happened for ``debounce`` seconds,
but at the latest after ten times that. A file that somebody still writes is no change yet: half a
table is good CSV, and a shorter table. inotify tells of writing and of its end; whoever has not
written for ``patience`` seconds and has not closed the file either is not waited for. Where inotify
says nothing, a file has rested when two looks in a row see the same.

The contents are hashed in gevent's thread pool, since a dead file server may block a read for
minutes. The hash is taken before the callback runs; what changes while it runs is thus seen the
next time.
"""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import gevent
from gevent.socket import wait_read
from inotify_simple import INotify, flags

from sbc.config.watched import Watched

_MASK = (
    flags.CLOSE_WRITE | flags.CREATE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO
    | flags.ATTRIB | flags.DELETE_SELF | flags.MOVE_SELF
)  # fmt: skip
# What ends the writing of a file, as far as its name in a directory goes.
_WRITTEN = flags.CLOSE_WRITE | flags.DELETE | flags.MOVED_FROM | flags.MOVED_TO
T = TypeVar("T")

_LARGEST = 64 << 20
_log = logging.getLogger("portcullis.watch")


class Watch:
    """Calls ``on_change()`` in a greenlet of its own after the watched files' contents have changed.

    ``what`` is asked again after each change, for sbc.yaml may name other files by then. ``debounce``,
    ``poll`` and ``patience`` are in seconds. ``on_change`` may block; a failure in it does not end the watch.
    """

    def __init__(
        self,
        what: Callable[[], Iterable[Watched]],
        on_change: Callable[[], object],
        *,
        debounce: float = 0.3,
        poll: float = 5.0,
        patience: float = 60.0,
    ) -> None:
        self._what = what
        self._on_change = on_change
        self._debounce = debounce
        self._poll = poll
        self._patience = patience
        self._inotify = _open_inotify()
        self._heeded: dict[int, set[str] | None] = {}
        self._watched: tuple[Watched, ...] = ()
        self._seen = b""
        self._glimpsed = b""  # a change that may not be whole yet
        self._writing: dict[tuple[int, str], float] = {}  # when each file was last written that is not closed
        self._greenlet: gevent.Greenlet | None = None

    @property
    def polling_only(self) -> bool:
        """True where the kernel gave no inotify instance: changes are noticed by ``poll`` alone."""
        return self._inotify is None

    def start(self) -> None:
        """Take what is there now as known; every change after this call is reported.

        Start the watch before the configuration is first read, so that no change falls between.
        """
        self._watched = _in_thread(self._ask)
        self._arm()
        self._seen = _in_thread(fingerprint, self._watched)
        self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """Stop watching; a callback that runs is not interrupted."""
        greenlet, self._greenlet = self._greenlet, None
        if greenlet is not None:
            greenlet.kill()
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    def _run(self) -> None:
        while True:
            woken = self._woken(self._poll)
            if woken:
                self._await_quiet()
            self._arm()
            if not self._is_written():
                self._look(woken)

    def _is_written(self) -> bool:
        """Whether somebody is still writing one of the files."""
        late = gevent.get_hub().loop.now() - self._patience
        self._writing = {key: at for key, at in self._writing.items() if at > late}
        return bool(self._writing)

    def _look(self, told: bool) -> None:
        """Report a change, and watch from now on what the configuration names after it.

        What nobody has ``told`` of has to look the same twice.
        """
        found = _in_thread(fingerprint, self._watched)
        if found == self._seen:
            return
        if not told and found != self._glimpsed:
            self._glimpsed = found
            return
        self._watched = _in_thread(self._ask)
        self._arm()
        self._seen = _in_thread(fingerprint, self._watched)
        gevent.spawn(self._on_change).join()

    def _ask(self) -> tuple[Watched, ...]:
        return tuple(self._what())

    def _await_quiet(self) -> None:
        """Return when it has been quiet for a while, or when it has not been for long enough."""
        for _ in range(10):
            gevent.sleep(self._debounce)
            if not self._woken(0):
                return

    def _woken(self, timeout: float) -> bool:
        """Wait until something happened in a watched directory; False after ``timeout`` seconds."""
        if self._inotify is None:
            gevent.sleep(timeout)
            return False
        deadline = gevent.get_hub().loop.now() + timeout
        while True:
            if self._drain():
                return True
            left = deadline - gevent.get_hub().loop.now()
            if left <= 0:
                return False
            try:
                wait_read(self._inotify.fileno(), timeout=left)
            except TimeoutError:
                return False

    def _drain(self) -> bool:
        """Read the events that are there; True where one of them concerns us."""
        assert self._inotify is not None
        concerned = False
        for event in self._inotify.read(timeout=0):
            heeded = self._heeded.get(event.wd, None)
            if event.mask & flags.IGNORED:
                self._heeded.pop(event.wd, None)
                self._writing = {key: at for key, at in self._writing.items() if key[0] != event.wd}
            if event.mask & flags.MODIFY:
                if heeded is None:
                    self._note_writing(event.wd, event.name)
                continue
            if event.mask & _WRITTEN:
                self._writing.pop((event.wd, event.name), None)
            concerned = concerned or heeded is None or event.name in heeded
        return concerned

    def _note_writing(self, number: int, name: str) -> None:
        """Somebody writes a file; a journal that lies beside the configuration is written for ever."""
        if any(fnmatch.fnmatchcase(name, each.pattern) for each in self._watched):
            self._writing[number, name] = gevent.get_hub().loop.now()

    def _arm(self) -> None:
        """Set a watch on every directory that matters now; those that are missing come with their parent."""
        if self._inotify is None:
            return
        heeded: dict[int, set[str] | None] = {}
        for path, names in _in_thread(_places, self._watched).items():
            try:
                # In a directory where few names matter others may write all day.
                mask = _MASK | flags.MODIFY if names is None else _MASK
                number = self._inotify.add_watch(path, mask | flags.MASK_ADD)
            except OSError:
                continue
            known = heeded.setdefault(number, names)
            heeded[number] = None if known is None or names is None else known | names
        for number in self._heeded.keys() - heeded.keys():
            try:
                self._inotify.rm_watch(number)
            except OSError:
                continue
        self._heeded = heeded


def _in_thread(function: Callable[..., T], *arguments: object) -> T:
    """Call what reads files outside the hub's thread."""
    result: T = gevent.get_hub().threadpool.apply(function, arguments)
    return result


def fingerprint(what: Iterable[Watched]) -> bytes:
    """A hash over the names and contents of all watched files; a file that cannot be read counts as such."""
    digest = hashlib.blake2b(digest_size=16)
    for path in _files(what):
        digest.update(str(path).encode("utf-8", "surrogateescape") + b"\0")
        digest.update(_content(path))
    return digest.digest()


def _content(path: Path) -> bytes:
    try:
        if not os.path.isfile(path):
            return b"unreadable"
        found = path.stat()
        if found.st_size > _LARGEST:
            return f"large {found.st_size} {found.st_mtime_ns}".encode()
        return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError as error:
        return f"unreadable {error.errno}".encode()


def _files(what: Iterable[Watched]) -> list[Path]:
    found: set[Path] = set()
    for directory, pattern in what:
        try:
            found.update(each for each in directory.iterdir() if fnmatch.fnmatchcase(each.name, pattern))
        except OSError:
            continue
    return sorted(found)


def _places(what: tuple[Watched, ...]) -> dict[Path, set[str] | None]:
    """The directories to watch, and the names that matter in each; None is every name."""
    places: dict[Path, set[str] | None] = {each.directory: None for each in what}
    links = [path for path in _files(what) if os.path.islink(path)]
    for path in links:
        places[Path(path.resolve()).parent] = None
    for directory in [each.directory for each in what]:
        parent = directory.absolute().parent
        while not os.path.exists(parent) and parent != parent.parent:
            directory, parent = parent, parent.parent
        names = places.setdefault(parent, set())
        if names is not None:
            names.add(directory.name)
    return places


def _open_inotify() -> INotify | None:
    try:
        return INotify(nonblocking=True)
    except OSError as error:
        _log.warning("no inotify (%s): changes to the configuration are noticed by polling", error.strerror)
        return None
