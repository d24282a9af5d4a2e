"""Running the top level of one hook file: each build gives it a module of its own.

Its name is one that no import can meet, so that the calls of an older snapshot keep the code they
started with, and a reload starts from nothing. It is in ``sys.modules`` only while the top level
runs, and that must come to an end, since a reload that never ended would be the last. What it runs
of its own is counted, and its time is limited: it may wait for a service that does not answer, or for
ever. So it runs in a thread of its own, and a real one also where gevent has put greenlets in their
place: what waits in C can be ended by nobody, only be left behind. At the start and in ``sbc check``
it is the same, so that what loads there loads at every reload.
"""

from __future__ import annotations

import _thread
import importlib.abc
import importlib.util
import sys
import traceback
from collections.abc import Callable
from itertools import count
from types import FrameType, ModuleType, TracebackType
from typing import Any, Generic, TypeVar

T = TypeVar("T")
Look = Callable[[ModuleType], T]

MOST_STEPS = 5_000_000
MOST_SECONDS = 10.0
_SERIAL = count(1)


class ImportFailed(Exception):
    """The top level of a hook file raised; ``line`` is where, 0 when not in the file."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


class _TextLoader(importlib.abc.ExecutionLoader):
    """Imports one module from a text that was read already; writes no bytecode."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_source(self, fullname: str) -> str:
        return self._text


class _TooLong(BaseException):
    """Raised in a top level that has run for too long."""


class _Steps:
    """A trace function that lets one file run so many instructions of its own and no more.

    ``line`` is where the file is, as far as it has come. When it is ``over``, its next step ends it; a
    library that it is in goes on until it returns, for it may hold a lock.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._left = MOST_STEPS
        self.line = 0
        self.over = False

    def __call__(self, frame: FrameType, event: str, argument: object) -> _Steps | None:
        if frame.f_code.co_filename != self._path:
            return None
        frame.f_trace_opcodes = True  # a loop that is written in one line never begins a new one
        self.line = frame.f_lineno
        self._left -= 1
        if self.over or self._left < 0:
            raise _TooLong(f"its top level has run {MOST_STEPS:,} steps and has not come to an end")
        return self


class _TopLevel(Generic[T]):
    """One run of one top level, and of ``look``, which asks the module for what is wanted of it.

    ``found`` is what it was told, ``failed`` why there is nothing.
    """

    def __init__(self, path: str, loader: _TextLoader, module: ModuleType, look: Look[T]) -> None:
        self.found: T | None = None
        self.failed: ImportFailed | None = None
        self._path = path
        self._loader = loader
        self._module = module
        self._look = look
        self._steps = _Steps(path)
        self._running = _native("allocate_lock")()

    def run(self, seconds: float) -> bool:
        """Run it, and wait for its end; False where it has not come to one."""
        self._running.acquire()
        _native("start_new_thread")(self._run, ())
        if self._running.acquire(True, seconds):
            return True
        self._steps.over = True
        return False

    @property
    def line(self) -> int:
        """The line of the file that it runs."""
        return self._steps.line

    def _run(self) -> None:
        sys.settrace(self._steps)
        try:
            self._loader.exec_module(self._module)
            self.found = self._look(self._module)
        except BaseException as error:
            self.failed = ImportFailed(failing_line(error.__traceback__, self._path), _said(error))
        finally:
            sys.settrace(None)
            gevent = sys.modules.get("gevent")
            if gevent is not None:  # it may have waited in a hub of its own, which nobody needs any more
                gevent.get_hub().destroy(True)
            self._running.release()


def _native(name: str) -> Any:
    """What ``_thread`` has under this name, as it was before gevent put something else in its place."""
    monkey = sys.modules.get("gevent.monkey")
    return getattr(_thread, name) if monkey is None else monkey.get_original("_thread", name)


def import_text(path: str, text: str, look: Look[T]) -> T:
    """What ``look`` finds in the module that ``text`` makes; ImportFailed.

    ``path`` is what the operator is shown. What the module has may be foreign code too, so it is looked at
    within the same limits.
    """
    name = f"sbc hook {next(_SERIAL)} {path}"
    loader = _TextLoader(path, text)
    spec = importlib.util.spec_from_loader(name, loader, origin=path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and typing look their module up while it is made
    top_level = _TopLevel(path, loader, module, look)
    try:
        ended = top_level.run(MOST_SECONDS)
    finally:
        sys.modules.pop(name, None)
    if not ended:
        reason = f"its top level has not come to an end in {MOST_SECONDS:g} s"
        raise ImportFailed(top_level.line, reason)
    if top_level.failed is not None:
        raise top_level.failed
    return top_level.found  # type: ignore[return-value]


def _said(error: BaseException) -> str:
    """An error in words; those of its own may be code that fails."""
    kind = name_of(type(error))
    try:
        return str(error) if kind == _TooLong.__name__ else f"{kind}: {error}"
    except BaseException:
        return kind


def name_of(kind: type) -> str:
    """What a class is called, without asking the class."""
    name: str = type.__dict__["__name__"].__get__(kind)
    return name


def failing_line(passed: TracebackType | None, path: str) -> int:
    """The last line of the file at ``path`` that an error passed through; 0 when none."""
    lines = [line for frame, line in traceback.walk_tb(passed) if frame.f_code.co_filename == path]
    return lines[-1] if lines else 0
