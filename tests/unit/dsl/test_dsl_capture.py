"""``capture``: what a pattern finds in a text, a header above all."""

from __future__ import annotations

import pytest

from dsl.decision import Route, SetHeader
from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.patterns import MAX_TEXT, compiled

KNOWN = Known(trunks=frozenset(("a",)))


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        (r"id=(\d+)", "name=x;id=42;id=43", "42"),
        (r"\d+", "name=x;id=42", "42"),
        (r"(a)|(b)", "b", ""),
        (r"(?:a|b)c", "xbc", "bc"),
        (r"(?:id|no)=([a-z]+)", "no=abc", "abc"),
        (r"id=(\d+)", "", ""),
        (r"(é+)", "caféé", "éé"),
        (r"x(.*)", "x\udc80y", "?y"),
        (r"(z)", "a" * MAX_TEXT + "z", ""),
        (r"^(.*)$", "", ""),
    ],
)
def test_the_first_group_or_the_whole(pattern: str, text: str, found: str) -> None:
    assert compiled(pattern).capture(text) == found


def test_it_asks_and_sets() -> None:
    text = """
rules:
  - name: by contract
    when: number(capture(header("X-Contract"), /^c-(\\d+)-/)) >= 100
    then: |
      set header "X-Id" = capture(header("X-Contract"), /^c-(\\d+)-/)
      route "a"
  - name: others
    when: capture(header("X-Contract"), /c-/) == ""
    then: reject 403
tests:
  - given: {headers: {X-Contract: c-120-b}}
    expect: {rule: by contract, headers: {X-Id: "120"}}
  - given: {headers: {X-Contract: c-9-b}}
    expect: {rule: no rule matched}
  - given: {to: "1"}
    expect: {rule: others}
""".replace("\\\\", "\\")
    rules, found = load({"a.yaml": text}, KNOWN)
    assert rules is not None and not found, found
    assert rules.run_tests() == []
    decision = rules.decide(Facts(header=lambda name: "c-120-\r\nEvil: 1" if name == "X-Contract" else None))
    assert isinstance(decision, Route) and decision.edits == (SetHeader("X-Id", "120"),)


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ('capture(header("X"), "a") == ""', "a /pattern/ is needed here"),
        ('capture(header("X-A")) == ""', "capture takes 2 arguments, not 1"),
        ('capture(calls, /a/) == ""', "this is a number; text is needed here"),
        ('capture(header("Authorization"), /a/) == ""', "Authorization carries credentials"),
        ("capture(to.user, /(?=a)/) == to.user", "this pattern cannot be used"),
        ("capture(to.user, /a/)", "this is text, not a condition"),
    ],
)
def test_mistakes(when: str, told: str) -> None:
    _, found = load(
        {"a.yaml": f"rules:\n  - name: r\n    when: |\n      {when}\n    then: reject 403\n"}, KNOWN
    )
    assert [each.message.startswith(told) for each in found] == [True], found
