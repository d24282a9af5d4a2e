"""Loading the hook files: read, compiled and checked together with the rest of a snapshot.

Each build gives each file a module of its own under a name that no import can meet, so that
the calls of an older snapshot keep the code they started with, and a reload starts from
nothing. The module is in ``sys.modules`` only while its own top level runs.
"""

from __future__ import annotations

import ast
import importlib.abc
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import count
from types import ModuleType

from dsl.errors import Diagnostic
from sbc.hookapi import Decision, Facts

OnRoute = Callable[[Facts, Decision], object]

HOOK_NAMES = ("on_route",)
_SERIAL = count(1)


@dataclass(frozen=True, slots=True)
class Hook:
    """One hook file: its path, the line of ``on_route``, and the function."""

    path: str
    line: int
    on_route: OnRoute
    module: ModuleType = field(repr=False)


class _TextLoader(importlib.abc.ExecutionLoader):
    """Imports one module from a text that was read already; writes no bytecode."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text

    def get_filename(self, fullname: str) -> str:
        return self._path

    def get_source(self, fullname: str) -> str:
        return self._text


class _ImportFailed(Exception):
    """The top level of a hook file raised; ``line`` is where, 0 when not in the file."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line
        self.reason = reason


def load_hooks(texts: Mapping[str, str]) -> tuple[tuple[Hook, ...], list[Diagnostic]]:
    """Load hook files (text by path) in the order of their paths; hooks only of good files."""
    hooks: list[Hook] = []
    diagnostics: list[Diagnostic] = []
    for path in sorted(texts):
        file = _HookFile(path, texts[path])
        hook = file.load()
        diagnostics += file.diagnostics
        if hook is not None:
            hooks.append(hook)
    return tuple(hooks), diagnostics


class _HookFile:
    """One file on its way to a Hook, with what is wrong with it in ``diagnostics``."""

    def __init__(self, path: str, text: str) -> None:
        self._path = path
        self._text = text
        self._lines = text.splitlines()
        self.diagnostics: list[Diagnostic] = []

    def _report(self, line: int, col: int, message: str, hint: str = "") -> None:
        shown = self._lines[line - 1] if 0 < line <= len(self._lines) else ""
        self.diagnostics.append(Diagnostic(self._path, line, col, message, hint, shown))

    def load(self) -> Hook | None:
        """Parse, check, run the top level and check again; None when anything is wrong."""
        tree = self._parse()
        if tree is None:
            return None
        places = self._check_names(tree)
        if self.diagnostics:
            return None
        try:
            module = _import(self._path, self._text)
        except _ImportFailed as failure:
            self._report(failure.line, 1 if failure.line else 0, f"this hook does not load: {failure.reason}")
            return None
        return self._check_function(module, places)

    def _parse(self) -> ast.Module | None:
        try:
            return ast.parse(self._text, self._path)
        except SyntaxError as error:
            self._report(error.lineno or 0, error.offset or 0, f"this is not Python: {error.msg}")
        except (ValueError, RecursionError, MemoryError) as error:
            self._report(0, 0, f"this is not Python: {error}")
        return None

    def _check_names(self, tree: ast.Module) -> dict[str, tuple[int, int]]:
        """Where the hook functions are defined; a name that nobody would call is reported."""
        places: dict[str, tuple[int, int]] = {}
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or not node.name.startswith(
                "on_"
            ):
                continue
            places[node.name] = (node.lineno, node.col_offset + 1)
            if node.name not in HOOK_NAMES:
                near = get_close_matches(node.name, HOOK_NAMES, 1)
                hint = f"did you mean {near[0]}?" if near else f"hooks are: {', '.join(HOOK_NAMES)}"
                self._report(*places[node.name], f"there is no hook {node.name!r}", hint)
        return places

    def _check_function(self, module: ModuleType, places: dict[str, tuple[int, int]]) -> Hook | None:
        function = getattr(module, "on_route", None)
        line, col = places.get("on_route", (1, 1))
        usage = "write def on_route(facts, decision):"
        if not callable(function):
            self._report(line, col, "this file defines no on_route", usage)
        elif inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            self._report(line, col, "on_route is a plain function: no async, no yield", usage)
        elif not _takes_two(function):
            self._report(line, col, "on_route takes two arguments, facts and decision", usage)
        else:
            return Hook(self._path, line, function, module)
        return None


def _takes_two(function: Callable[..., object]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except (TypeError, ValueError):
        return False
    return True


def _import(path: str, text: str) -> ModuleType:
    name = f"sbc hook {next(_SERIAL)} {path}"
    loader = _TextLoader(path, text)
    spec = importlib.util.spec_from_loader(name, loader, origin=path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and typing look their module up while it is made
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        line = failing_line(error, path)
        raise _ImportFailed(line, f"{type(error).__name__}: {error}") from error
    finally:
        sys.modules.pop(name, None)
    return module


def failing_line(error: BaseException, path: str) -> int:
    """The last line of the file at ``path`` that an error passed through; 0 when none."""
    frames = traceback.walk_tb(error.__traceback__)
    lines = [line for frame, line in frames if frame.f_code.co_filename == path]
    return lines[-1] if lines else 0
