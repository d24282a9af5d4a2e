"""Every regular expression of the product takes time linear in the text: steps are counted, texts doubled."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from functools import cache
from random import Random
from types import ModuleType
from typing import Any

import pytest

from tests.arch.sources import PRODUCT, Source, sources
from tests.property.steps import MODES, Machine, texts, worst

pytestmark = pytest.mark.slow

# Compiled from what the operator writes, in a form that is linear (tests/unit/dsl/test_dsl_patterns.py).
AT_RUN_TIME = {("dsl/patterns.py", "_compile_simple")}
# It reads our own pages, when they are made into a manual, and nobody's text.
OF_OUR_PAGES = "sbc.commands.printed"
# How a bound method goes through a text; a pattern without one may be used in any way.
MODE = {"fullmatch": ("fullmatch",), "match": ("match",)}


def modules() -> Iterator[ModuleType]:
    for name in PRODUCT:
        package = importlib.import_module(name)
        yield package
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            yield importlib.import_module(found.name)


def patterns_in(
    value: object, owner: str, seen: set[int]
) -> Iterator[tuple[re.Pattern[Any], tuple[str, ...]]]:
    """The patterns that ``value`` is, holds or is a method of, each with how it is used."""
    within: Iterable[object] = ()
    if isinstance(value, re.Pattern):
        yield value, MODES
    elif isinstance(its := getattr(value, "__self__", None), re.Pattern):
        yield its, MODE.get(getattr(value, "__name__", ""), ("scan",))
    elif isinstance(value, dict):
        within = (*value.keys(), *value.values())
    elif isinstance(value, (tuple, list, set, frozenset)):
        within = value
    elif isinstance(value, type) and value.__module__ == owner:
        within = vars(value).values()
    if id(value) not in seen:
        seen.add(id(value))
        for each in list(within):
            yield from patterns_in(each, owner, seen)


@cache
def found() -> dict[str, tuple[re.Pattern[Any], tuple[str, ...]]]:
    """Every pattern by the names under which the product knows it."""
    known: dict[str, tuple[re.Pattern[Any], tuple[str, ...]]] = {}
    for module in modules():
        if module.__name__.startswith(OF_OUR_PAGES):
            continue
        for name, value in list(vars(module).items()):
            for number, each in enumerate(patterns_in(value, module.__name__, set())):
                known[f"{module.__name__}.{name}{f'[{number}]' if number else ''}"] = each
    return known


def calls(source: Source) -> Iterator[tuple[str, ast.Call]]:
    """Each call of a function of ``re``, with the name of the function in which it stands, "" for none."""

    def walk(node: ast.AST, inside: str) -> Iterator[tuple[str, ast.Call]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Call) and isinstance(child.func, ast.Attribute):
                if isinstance(child.func.value, ast.Name) and child.func.value.id == "re":
                    yield inside, child
            name = getattr(child, "name", "lambda") if isinstance(child, _SCOPES) else inside
            yield from walk(child, name)

    yield from walk(source.tree, "")


_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


@pytest.mark.parametrize("name", sorted(found()))
def test_steps_grow_with_the_length_and_no_faster(name: str) -> None:
    pattern, modes = found()[name]
    slow = worst(pattern, modes)
    assert slow is None, f"{name}, {pattern.pattern!r}: {slow}"


def test_every_pattern_is_where_it_can_be_found() -> None:
    hidden = [
        f"{source.path}:{call.lineno}"
        for source in sources(*PRODUCT)
        if not source.module.startswith(OF_OUR_PAGES)
        for inside, call in calls(source)
        if (inside and (source.path, inside) not in AT_RUN_TIME)
        or (isinstance(call.func, ast.Attribute) and call.func.attr not in ("compile", "escape"))
    ]
    assert hidden == [], "compile it once, at the top of its module, where it is also tried for its steps"
    for source in sources(*PRODUCT):
        if source.module.startswith(OF_OUR_PAGES):
            continue
        compiled = [call for inside, call in calls(source) if not inside]
        names = [name for name in found() if name.rpartition(".")[0] == source.module]
        assert len(names) >= len(compiled), f"a pattern of {source.path} is not reached by its name"
    assert len(found()) > 60


@pytest.mark.parametrize(
    ("pattern", "flags"),
    [
        (r'sips?:[^\s:@<>"]*:[^\s@<>"]*@', 0),  # a start at every scheme, a scan to the end from each
        (r'((?:^|[<\s,])sips?:)(?:\[[^\]@]*\]|[^;>?,:\s"@]+)(?::\d+)?(?=[;>?,\s]|$)', 0),
        (r'@(?:\[[^\]]*\]|[^;>?,:\s"]+)(?::\d+)?', 0),
        (r"[ \t]*;[ \t]*tag[ \t]*(?:=[^;]*|(?=;|$))", re.IGNORECASE),
        (r"[ \t]*+;", 0),  # possessive, and yet a start at every blank
        (r"(a+)+$", 0),
        (r"(?:a|aa)*b", 0),
        (r"(?:\w+\s*)*;", 0),
        (r"a*a*b", 0),
        (r"x[a-z]*y", 0),
        (r"<!--.*?-->", re.DOTALL),
        (r"^(.*?,){3}P", 0),
    ],
)
def test_what_is_slow_is_found(pattern: str, flags: int) -> None:
    assert worst(re.compile(pattern, flags)) is not None


@pytest.mark.parametrize(
    "pattern",
    [
        r"[a-z]+",
        r"\bsips?:([^\s:@]*+)(?::([^\s@]*+)(@)?)?",
        r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)',
        r";[ \t]*tag",
        r"a{0,100}b",
        r"(?<!a)a+b",
    ],
)
def test_what_is_linear_is_let_alone(pattern: str) -> None:
    assert worst(re.compile(pattern, re.DOTALL)) is None


@pytest.mark.parametrize("name", sorted(found()))
def test_the_machine_matches_what_the_library_matches(name: str) -> None:
    pattern, _ = found()[name]
    machine, dice = Machine(pattern), Random(name)
    for text in texts(machine, dice, 40):
        given = text.encode("latin-1") if machine.binary else text
        for whole in (False, True):
            match = pattern.fullmatch(given) if whole else pattern.match(given)
            assert machine.at(text, 0, whole) == (match.end() if match else -1), repr(text)
