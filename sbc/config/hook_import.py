"""Running the top level of one hook file: each build gives it a module of its own.

Its name is one that no import can meet, so that the calls of an older snapshot keep the code they
started with, and a reload starts from nothing. It is in ``sys.modules`` only while the top level
runs, and that must come to an end: what it runs of its own is counted, since a reload that never
ended would be the last.
"""

from __future__ import annotations

import importlib.abc
import importlib.util
import sys
import traceback
from itertools import count
from types import FrameType, ModuleType

MOST_STEPS = 5_000_000
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
    """A trace function that lets one file run so many instructions of its own and no more."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._left = MOST_STEPS

    def __call__(self, frame: FrameType, event: str, argument: object) -> _Steps | None:
        if frame.f_code.co_filename != self._path:
            return None
        frame.f_trace_opcodes = True  # a loop that is written in one line never begins a new one
        self._left -= 1
        if self._left < 0:
            raise _TooLong(f"its top level has run {MOST_STEPS:,} steps and has not come to an end")
        return self


def import_text(path: str, text: str) -> ModuleType:
    """The module that ``text`` makes under the path that the operator is shown; ImportFailed."""
    name = f"sbc hook {next(_SERIAL)} {path}"
    loader = _TextLoader(path, text)
    spec = importlib.util.spec_from_loader(name, loader, origin=path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and typing look their module up while it is made
    traced = sys.gettrace()
    sys.settrace(_Steps(path))
    try:
        loader.exec_module(module)
    except BaseException as error:
        kind = "" if isinstance(error, _TooLong) else f"{type(error).__name__}: "
        raise ImportFailed(failing_line(error, path), f"{kind}{error}") from error
    finally:
        sys.settrace(traced)
        sys.modules.pop(name, None)
    return module


def failing_line(error: BaseException, path: str) -> int:
    """The last line of the file at ``path`` that an error passed through; 0 when none."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == path]
    return lines[-1] if lines else 0
