"""No pattern asks for what some Python that we promise to run on gets wrong.

CPython before 3.11.5, so Debian 12's own, mis-compiles a possessive quantifier after a group (gh-106052):
what should match does not, and what should not does. After one character or a set it is right everywhere.
"""

from __future__ import annotations

import ast
import importlib
import re._constants as codes  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from collections.abc import Iterator
from typing import Any

import pytest

from tests.arch.sources import PRODUCT, Source, functions, sources

PRODUCT_SOURCES = sources(*PRODUCT)
USES = {"compile", "search", "match", "fullmatch", "sub", "subn", "split", "findall", "finditer"}
ONE_CHARACTER = {codes.LITERAL, codes.NOT_LITERAL, codes.IN, codes.ANY}
# An operator's pattern, once it is known to be one of a few simple shapes; none of them is possessive.
MADE_WHILE_RUNNING = ["dsl/patterns.py _compile_simple"]


def is_delicate(pattern: str | bytes) -> bool:
    """Whether a group in ``pattern`` is atomic, or repeated possessively."""
    return any(
        op is codes.ATOMIC_GROUP or (op is codes.POSSESSIVE_REPEAT and not _is_one_character(argument[2]))
        for op, argument in _operations(parser.parse(pattern))
    )


def _is_one_character(repeated: Any) -> bool:
    return len(repeated) == 1 and repeated[0][0] in ONE_CHARACTER


def _operations(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every operation of a parsed pattern, those inside of others included."""
    if isinstance(tree, parser.SubPattern):
        yield from tree
    if isinstance(tree, (list, tuple, parser.SubPattern)):
        for each in tree:
            yield from _operations(each)


def patterns(source: Source, names: dict[str, Any]) -> Iterator[tuple[int, str | bytes | None]]:
    """The line and the text of every pattern given to ``re``; None where it cannot be read."""
    for node in source.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in USES:
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "re":
                try:
                    yield node.lineno, _text(node.args[0], names)
                except KeyError:
                    yield node.lineno, None


def _text(node: ast.AST, names: dict[str, Any]) -> str | bytes:
    """What a string made of literals and of a module's constants is; KeyError for any other."""
    match node:
        case ast.Constant(value=str() | bytes() as value):
            return value
        case ast.JoinedStr(values=parts):
            return "".join(str(_text(part, names)) for part in parts)
        case ast.FormattedValue(value=inner):
            return _text(inner, names)
        case ast.Name(id=name) if isinstance(names.get(name), str | bytes):
            return names[name]  # type: ignore[no-any-return]
    raise KeyError(ast.dump(node))


def _function_at(source: Source, line: int) -> str:
    return next(name for first, name, length in functions(source) if first <= line < first + length)


def test_no_group_is_possessive_or_atomic() -> None:
    seen, wrong, unread = 0, [], []
    for source in PRODUCT_SOURCES:
        for line, pattern in patterns(source, vars(importlib.import_module(source.module))):
            seen += 1
            if pattern is None:
                unread.append(f"{source.path} {_function_at(source, line)}")
            elif is_delicate(pattern):
                wrong.append(f"{source.path}:{line}")
    assert wrong == [], "CPython before 3.11.5 gets these wrong (gh-106052)"
    assert unread == MADE_WHILE_RUNNING
    assert seen > 60


@pytest.mark.parametrize(
    "pattern",
    ["(?:a++b)?+c", "(?:ab?c)?+", "((x)|y)*+", "(?:(?:ab)++)*", "(?>ab)", "(?!(?:ab)++)", rb"(?:ab){2}+"],
)
def test_this_test_sees_what_is_wrong(pattern: str | bytes) -> None:
    assert is_delicate(pattern)


@pytest.mark.parametrize("pattern", ["[ab]++(?:c*+d|)", ".*+", "(?:a++)*", "[^a]?+", "(?:[a-c])++"])
def test_this_test_lets_be_what_is_right(pattern: str) -> None:
    assert not is_delicate(pattern)
