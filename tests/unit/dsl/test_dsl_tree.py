"""Every node of a syntax tree knows which part of the text it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dsl.parse import MAX_DEPTH, parse_actions, parse_condition
from dsl.syntax import Node, below

WHEN = (
    '(sips or trunk == "a") and not ((from.user in ["1", "2"])) and has header "X" and f(to.user + "b") > 3'
)
THEN = 'set to.user = (to.user + "x")\nroute table.t[(to.user)].c then "b" on 503, timeout; continue'


def nodes(root: Node) -> Iterator[Node]:
    yield root
    for each in below(root):
        yield from nodes(each)


def said(text: str, roots: tuple[Node, ...]) -> list[tuple[str, str]]:
    return [(type(each).__name__, text[each.start : each.end]) for root in roots for each in nodes(root)]


def test_parentheses_belong_to_what_is_around_them() -> None:
    condition, problems = parse_condition(WHEN)
    assert condition is not None and not problems
    assert said(WHEN, (condition,)) == [
        ("AllOf", WHEN),
        ("AnyOf", 'sips or trunk == "a"'),
        ("FactRef", "sips"),
        ("Compare", 'trunk == "a"'),
        ("FactRef", "trunk"),
        ("Text", '"a"'),
        ("Not", 'not ((from.user in ["1", "2"]))'),
        ("Member", 'from.user in ["1", "2"]'),
        ("FactRef", "from.user"),
        ("Text", '"1"'),
        ("Text", '"2"'),
        ("HasHeader", 'has header "X"'),
        ("Text", '"X"'),
        ("Compare", 'f(to.user + "b") > 3'),
        ("Call", 'f(to.user + "b")'),
        ("Concat", 'to.user + "b"'),
        ("FactRef", "to.user"),
        ("Text", '"b"'),
        ("Number", "3"),
    ]


def test_every_part_of_an_action_has_its_place() -> None:
    actions, problems = parse_actions(THEN)
    assert actions is not None and not problems
    assert said(THEN, actions) == [
        ("SetPartAction", 'set to.user = (to.user + "x")'),
        ("FactRef", "to.user"),
        ("Concat", 'to.user + "x"'),
        ("FactRef", "to.user"),
        ("Text", '"x"'),
        ("RouteAction", 'route table.t[(to.user)].c then "b" on 503, timeout'),
        ("HopClause", "table.t[(to.user)].c"),
        ("Lookup", "table.t[(to.user)].c"),
        ("FactRef", "to.user"),
        ("HopClause", 'then "b" on 503, timeout'),
        ("Text", '"b"'),
        ("FailureWord", "503"),
        ("FailureWord", "timeout"),
        ("ContinueAction", "continue"),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["not " * 2_000, "f(" * 3_000, "(true or " * 500])
def test_what_is_nested_too_deep_is_refused(text: str) -> None:
    condition, (problem,) = parse_condition(text + "true" + ")" * text.count("("))
    assert condition is None and problem.message == f"nested more than {MAX_DEPTH} deep"


def test_parentheses_alone_nest_nothing() -> None:
    condition, problems = parse_condition("(" * 4_000 + "sips" + ")" * 4_000)
    assert condition is not None and not problems and (condition.start, condition.end) == (4_000, 4_004)
