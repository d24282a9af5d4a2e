"""One hook file: parsed, checked, its top level run, and what it then is checked again."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from difflib import get_close_matches
from pathlib import PurePath
from types import ModuleType
from typing import Any

from dsl.errors import Diagnostic
from sbc.config.hook_import import ImportFailed, import_text
from sbc.config.hook_set import Hook

# Every function that a hook file may define, and what it is given.
POINTS = {
    "on_handshake": ("handshake",),
    "on_invite": ("facts",),
    "on_route": ("facts", "decision"),
    "on_answer": ("facts", "answer"),
    "on_end": ("facts", "end"),
    "on_register": ("facts", "registration"),
    "on_media": ("facts", "frames"),
}
# What a hook file may say of itself, and what it says by saying nothing.
WHENS = ("every call", "named")
ON_FAILURES = ("reject", "skip")
LONGEST_LIMIT = 60.0
_WORDS = ("WHEN", "ON_FAILURE", "TIME_LIMIT")
_BEFORE_THE_RULES = ("on_handshake", "on_invite", "on_register")
_NUMBERS = {1: "one argument", 2: "two arguments"}

Place = tuple[int, int]


class HookFile:
    """One file on its way to its hooks, with what is wrong with it in ``diagnostics``."""

    def __init__(self, path: str, text: str, limit: float) -> None:
        self._path = path
        self._text = text
        self._limit = limit
        self._lines = text.splitlines()
        self._places: dict[str, Place] = {}
        self.diagnostics: list[Diagnostic] = []

    def _report(self, place: Place, message: str, hint: str = "", severity: str = "error") -> None:
        line, col = place
        shown = self._lines[line - 1] if 0 < line <= len(self._lines) else ""
        self.diagnostics.append(Diagnostic(self._path, line, col, message, hint, shown, severity))

    @property
    def _is_wrong(self) -> bool:
        return any(each.severity == "error" for each in self.diagnostics)

    def load(self) -> list[Hook]:
        """Parse, check, run the top level and check again; nothing when anything is wrong."""
        tree = self._parse()
        if tree is None:
            return []
        for name, node in _top_level(tree):
            self._check_name(name, node)
        if self._is_wrong:
            return []
        try:
            hooks = import_text(self._path, self._text, self._hooks)
        except ImportFailed as failure:
            place = (failure.line, 1 if failure.line else 0)
            self._report(place, f"this hook does not load: {failure.reason}")
            return []
        return [] if self._is_wrong else hooks

    def _parse(self) -> ast.Module | None:
        try:
            return ast.parse(self._text, self._path)
        except SyntaxError as error:
            self._report((error.lineno or 0, error.offset or 0), f"this is not Python: {error.msg}")
        except (ValueError, RecursionError, MemoryError) as error:
            self._report((0, 0), f"this is not Python: {error}")
        return None

    # What the text says

    def _check_name(self, name: str, node: ast.AST) -> None:
        """A name defined at the top level that nobody would look at, though it seems to be meant so."""
        place = (getattr(node, "lineno", 0), getattr(node, "col_offset", -1) + 1)
        if name in POINTS and name in self._places:
            self._report(place, f"{name} is defined twice", f"the first is in line {self._places[name][0]}")
        self._places.setdefault(name, place)
        if name not in POINTS and (name.startswith("on_") or _plain(name) in map(_plain, POINTS)):
            near = get_close_matches(name.lower(), POINTS, 1)
            hint = f"did you mean {near[0]}?" if near else f"hooks are: {', '.join(POINTS)}"
            self._report(place, f"there is no hook {name!r}", hint)
        elif name.isupper() and name not in _WORDS:
            near = get_close_matches(name, _WORDS, 1, 0.85)
            if near:
                self._report(
                    place, f"nothing looks at {name}", f"did you mean {near[0]}?", severity="warning"
                )

    # What the module has

    def _hooks(self, module: ModuleType) -> list[Hook]:
        found = [name for name in POINTS if hasattr(module, name)]
        if not found:
            self._report((1, 1), "this file defines no hook", f"hooks are: {', '.join(POINTS)}")
            return []
        for name in found:
            self._check_function(name, getattr(module, name))
        when = self._word(module, "WHEN", WHENS)
        on_failure = self._word(module, "ON_FAILURE", ON_FAILURES)
        limit = self._time_limit(module)
        self._check_words(found, when, on_failure)
        name = PurePath(self._path).stem
        return [
            Hook(
                self._path, name, point, self._places.get(point, (1, 1))[0], getattr(module, point),
                limit, on_failure, when == "named",
            )
            for point in found
        ]  # fmt: skip

    def _check_function(self, name: str, function: object) -> None:
        place = self._places.get(name, (1, 1))
        wanted = POINTS[name]
        usage = f"write def {name}({', '.join(wanted)}):"
        if not callable(function):
            self._report(place, f"{name} is not a function", usage)
        elif inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            self._report(place, f"{name} is a plain function: no async, no yield", usage)
        elif not _takes(function, len(wanted)):
            self._report(place, f"{name} takes {_NUMBERS[len(wanted)]}, {' and '.join(wanted)}", usage)
        elif tuple(inspect.signature(function).parameters) == wanted[::-1] != wanted:
            self._report(place, f"{name} is given {' and '.join(wanted)}, in this order", usage)

    def _word(self, module: ModuleType, name: str, choices: tuple[str, ...]) -> Any:
        value = getattr(module, name, choices[0])
        if not isinstance(value, str) or value not in choices:
            near = get_close_matches(value, choices, 1) if isinstance(value, str) else []
            hint = f'did you mean "{near[0]}"?' if near else ""
            wanted = " or ".join(f'"{choice}"' for choice in choices)
            self._report(self._places.get(name, (1, 1)), f"{name} is {wanted}", hint)
        return value

    def _time_limit(self, module: ModuleType) -> float:
        limit = getattr(module, "TIME_LIMIT", self._limit)
        if type(limit) not in (int, float) or not 0 < limit <= max(LONGEST_LIMIT, self._limit):
            place = self._places.get("TIME_LIMIT", (1, 1))
            self._report(
                place, f"TIME_LIMIT is a number of seconds, {LONGEST_LIMIT:g} at most", "TIME_LIMIT = 2"
            )
            return self._limit
        return float(limit)

    def _check_words(self, found: list[str], when: str, on_failure: str) -> None:
        """What the words of a file cannot mean for the hooks in it."""
        early = [name for name in found if name in _BEFORE_THE_RULES]
        if when == "named" and early:
            hint = "move it into a file of its own, without WHEN"
            self._report(
                self._places.get(early[0], (1, 1)),
                f"{early[0]} comes before the rules: none can name it",
                hint,
            )
        for name in ("on_handshake", "on_register"):
            if on_failure == "skip" and name in found:
                hint = f"move {name} into a file of its own, without ON_FAILURE"
                message = f"{name} decides who is let in, so its failure cannot be skipped"
                self._report(self._places.get(name, (1, 1)), message, hint)


def _top_level(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    """Every name that the statements of a module define, with where."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((each.id, each) for each in targets if isinstance(each, ast.Name))


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _takes(function: Callable[..., object], arguments: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * arguments)
    except (TypeError, ValueError):
        return False
    return True
