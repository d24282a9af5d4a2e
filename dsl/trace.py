"""Saying why: the part of a condition that decided it, and the values it looked at."""

from __future__ import annotations

from dsl import syntax
from dsl.compile import condition, value
from dsl.facts import Facts

_SHOWN = 80


def deciding(node: syntax.Node, facts: Facts, held: bool) -> syntax.Node:
    """The smallest part of a condition that settled it: the first false ``and``, the true ``or``."""
    match node:
        case syntax.AllOf(parts=parts) if not held:
            return _first(parts, facts, False)
        case syntax.AnyOf(parts=parts) if held:
            return _first(parts, facts, True)
    return node


def _first(parts: tuple[syntax.Node, ...], facts: Facts, held: bool) -> syntax.Node:
    for part in parts:
        if condition(part)(facts) is held:
            return deciding(part, facts, held)
    return parts[0]


def describe(node: syntax.Node, text: str, facts: Facts) -> str:
    """The condition as written, followed by the values of the facts in it."""
    written = " ".join(text[node.start : node.end].split())
    values = [f"{name} is {_show(value(leaf)(facts))}" for name, leaf in _leaves(node, text).items()]
    held = "holds" if condition(node)(facts) else "does not hold"
    return f"`{written}` {held}" + (f" ({', '.join(values)})" if values else "")


def _leaves(node: syntax.Node, text: str) -> dict[str, syntax.Node]:
    """The facts and headers that a condition reads, by how they are written."""
    match node:
        case syntax.FactRef():
            return {node.name: node}
        case syntax.Call(name="header"):
            return {text[node.start : node.end]: node}
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


def _show(found: object) -> str:
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
