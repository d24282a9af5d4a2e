"""What a condition says where only some facts are known: it holds, it does not, or it depends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dsl import syntax
from dsl.compile import texts_of
from dsl.scope import Scope


def holds(node: syntax.Node, known: Mapping[str, str], scope: Scope) -> bool | None:
    """Whether a condition holds for every call with these facts, for none, or, None, for some."""
    match node:
        case syntax.Truth(value=value):
            return value
        case syntax.AllOf(parts=parts):
            return _all(holds(part, known, scope) for part in parts)
        case syntax.AnyOf(parts=parts):
            return _not(_all(_not(holds(part, known, scope)) for part in parts))
        case syntax.Not(of=inner):
            return _not(holds(inner, known, scope))
        case syntax.Compare(op="==" | "!=", left=syntax.FactRef(name=name), right=syntax.Text(value=text)):
            if name in known:
                return (known[name] == text) is (node.op == "==")
        case syntax.Member(left=syntax.FactRef(name=name), options=options):
            if name in known and all(isinstance(each, syntax.Text | syntax.FactRef) for each in options):
                if not any(
                    isinstance(each, syntax.FactRef) and each.name.startswith("table.") for each in options
                ):
                    return (known[name] in texts_of(options, scope)) is not node.negated
    return None


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _all(values: Iterable[bool | None]) -> bool | None:
    result: bool | None = True
    for value in values:
        if value is False:
            return False
        if value is None:
            result = None
    return result
