"""Edits of one hop: `route "a" with { ... } then "b" with { ... }`."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from dsl.decision import Group, Hop, Route, SetHeader, SetParam, SetPart, route_of
from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.validate import refusal
from sbc.policy.balance import Balancer

KNOWN = Known(trunks=frozenset(("office", "a", "b", "c")))
HEAD = "groups: {both: [b, c]}\nrules:\n  - name: r\n    when: true\n    then: |\n      "


def routed(then: str, **facts: Any) -> Route:
    rules, found = load({"a.yaml": HEAD + then.replace("\n", "\n      ") + "\n"}, KNOWN)
    assert rules is not None and not found, found
    decision = rules.decide(Facts(ruri_user="0301", from_user="100", **facts))
    explained, _ = rules.explain(Facts(ruri_user="0301", from_user="100", **facts))
    assert isinstance(decision, Route) and decision == explained
    assert refusal(decision, KNOWN.trunks or ()) is None
    return decision


def test_edits_are_for_their_hop_alone() -> None:
    route = routed(
        'set to.user = "+49" + to.user\n'
        'route "a" with { set from.user = "1" + from.user; set header "X-C" = to.user }\n'
        'then "b" with {\n  set to.param("rn") = "+1"\n  remove header "X-*"\n} on 5xx then "c" on timeout'
    )
    assert route.edits == (SetPart("to.user", "+490301"),)
    first, second, third = route.hops
    assert first.edits == (SetPart("from.user", "1100"), SetHeader("X-C", "+490301"))
    assert second.edits[0] == SetParam("to", "rn", "+1") and second.on == ("5xx",)
    assert third.edits == () and route.at(2) is route
    assert route.at(0).edits == (*route.edits, *first.edits)


def test_an_edit_sees_those_before_it_in_its_own_braces_and_no_others() -> None:
    route = routed(
        'route "a" with { set from.user = "7"; set header "X-A" = from.user + header("X-B") } '
        'then "b" with { set header "X-B" = "b"; set header "X-A" = from.user + header("X-B") }'
    )
    assert route.hops[0].edits[1] == SetHeader("X-A", "7")
    assert route.hops[1].edits[1] == SetHeader("X-A", "100b")


def test_those_of_a_group_are_for_each_of_its_trunks() -> None:
    route = routed('route group.both with { set from.host = "x.example" }')
    assert route.hops[0].group == Group("both", (("b", 1), ("c", 1)))
    hops = Balancer().expand(route.hops)
    assert [(hop.trunk, hop.edits) for hop in hops] == [
        ("b", (SetPart("from.host", "x.example"),)), ("c", (SetPart("from.host", "x.example"),)),
    ]  # fmt: skip


def test_braces_of_constants_make_one_decision_at_load() -> None:
    text = HEAD + 'route "a" with { set from.user = "1" }\n'
    rules, _ = load({"a.yaml": text}, KNOWN)
    assert rules is not None and rules.rules[0].outcome.fixed is not None
    rules, _ = load({"a.yaml": text.replace('"1"', "to.user")}, KNOWN)
    assert rules is not None and rules.rules[0].outcome.fixed is None


@pytest.mark.parametrize(
    ("then", "told"),
    [
        ('route "a" with { set to.port = "1" }', ["6:28 to.port cannot be set"]),
        ('route "a" with { set header "Via" = "1" }', ["6:35 Via is written by the SBC itself"]),
        ('route "a" with { require srtp }', ["6:24 unexpected 'require'"]),
        ('route "a" with { }', ["6:24 unexpected '}'"]),
        ('set to.usr = "1"\nroute "a" with {\nset x = \n}\nthen "b"', ["9:7 unexpected '}'"]),
    ],
)
def test_mistakes_in_braces(then: str, told: list[str]) -> None:
    rules, found = load({"a.yaml": HEAD + then.replace("\n", "\n      ") + "\n"}, KNOWN)
    assert rules is None and [f"{each.line}:{each.col} {each.message}" for each in found] == told


def test_tests_beside_the_rules_ask_what_leaves_at_a_hop() -> None:
    text = (
        HEAD
        + 'set from.user = "5"\n      route "a" with { set to.user = "9"; set header "X-A" = "y" } then "b"\n'
    )
    text += "tests:\n  - given: {to: '1'}\n    expect:\n      hops:\n"
    good = "        a: {to.user: '9', from.user: '5', headers: {X-A: y}}\n        b: {to.user: '1'}\n"
    rules, found = load({"a.yaml": text + good}, KNOWN)
    assert rules is not None and not found and rules.run_tests() == []
    rules, _ = load({"a.yaml": text + "        b: {to.user: '9'}\n"}, KNOWN)
    assert rules is not None
    (failed,) = rules.run_tests()
    assert failed.message == 'expected at b to.user "9", but it is "1"'
    for wrong in ("x: {to.user: '9'}", "a: {to.usr: '9'}", "a: 5"):
        assert load({"a.yaml": text + f"        {wrong}\n"}, KNOWN)[0] is None


def test_a_hook_may_make_such_hops_and_is_held_to_what_can_be_edited() -> None:
    good = Route((Hop("a", edits=(SetPart("from.user", "1"),)),))
    assert refusal(good, ("a",)) is None
    for edits in ((SetHeader("Via", "x"),), [SetPart("from.user", "1")], None):
        wrong: Any = Route((Hop("a", edits=edits),))  # type: ignore[arg-type]
        assert refusal(wrong, ("a",)) is not None


def test_a_route_that_a_rule_makes_has_each_value_in_its_place() -> None:
    values = [object() for _ in fields(Route)]
    made: Any = route_of(*values)  # type: ignore[arg-type]
    assert [getattr(made, each.name) for each in fields(Route)] == values
    assert type(made) is Route and made == Route(*values)  # type: ignore[arg-type]
