"""Saying why: the part of a condition that decided it, and the values it looked at."""

from __future__ import annotations

from collections.abc import Callable

from dsl import syntax
from dsl.compile import condition, value
from dsl.draft import Draft
from dsl.facts import DAYS
from dsl.scope import Scope

_SHOWN = 80


def deciding(node: syntax.Node, draft: Draft, held: bool, scope: Scope) -> syntax.Node:
    """The smallest part of a condition that settled it: the first false ``and``, the true ``or``."""
    match node:
        case syntax.AllOf(parts=parts) if not held:
            return _first(parts, draft, False, scope)
        case syntax.AnyOf(parts=parts) if held:
            return _first(parts, draft, True, scope)
    return node


def _first(parts: tuple[syntax.Node, ...], draft: Draft, held: bool, scope: Scope) -> syntax.Node:
    for part in parts:
        if bool(condition(part, scope)(draft)) is held:
            return deciding(part, draft, held, scope)
    return parts[0]


def describe(node: syntax.Node, text: str, draft: Draft, scope: Scope) -> str:
    """The condition as written, followed by the values of the facts in it."""
    written = " ".join(text[node.start : node.end].split())
    values = [
        f"{name} is {_show(value(leaf, scope)(draft), leaf)}" for name, leaf in _leaves(node, text).items()
    ]
    held = "holds" if condition(node, scope)(draft) else "does not hold"
    return f"`{written}` {held}" + (f" ({', '.join(values)})" if values else "")


def _leaves(node: syntax.Node, text: str) -> dict[str, syntax.Node]:
    """The facts and headers that a condition reads, by how they are written."""
    match node:
        case syntax.FactRef() | syntax.VariableRef():
            return {node.name: node}
        case syntax.Call(name="header" | "calls" | "to.param" | "from.param"):
            return {text[node.start : node.end]: node}
        case syntax.Lookup(key=inner):
            return {text[node.start : node.end]: node, **_leaves(inner, text)}
        case syntax.Call(args=parts) | syntax.Concat(parts=parts):
            pass
        case syntax.AllOf(parts=parts) | syntax.AnyOf(parts=parts):
            pass
        case syntax.Compare(left=left, right=right):
            parts = (left, right)
        case syntax.Matches(left=left) | syntax.Affix(left=left) | syntax.Member(left=left):
            parts = (left,)
        case syntax.Not(of=inner):
            parts = (inner,)
        case _:
            return {}
    return {name: leaf for part in parts for name, leaf in _leaves(part, text).items()}


_MOMENTS: dict[str, Callable[[int], str]] = {
    "time": lambda found: f"{found // 60:02}:{found % 60:02}",
    "day": lambda found: DAYS[found - 1],
    "date": lambda found: f"{found // 10000:04}-{found // 100 % 100:02}-{found % 100:02}",
}


def _show(found: object, leaf: syntax.Node) -> str:
    if isinstance(leaf, syntax.FactRef) and leaf.name in _MOMENTS and isinstance(found, int):
        return _MOMENTS[leaf.name](found)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, tuple):
        shown = "[" + ", ".join(f'"{each}"' for each in found) + "]"
    elif isinstance(found, str):
        shown = f'"{found}"'
    else:
        shown = str(found)
    shown = "".join(char if char.isprintable() else "?" for char in shown)
    return shown if len(shown) <= _SHOWN else shown[: _SHOWN - 3] + "..."
