"""The target ``registered`` of a route: how it is written, what it becomes, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsl.decision import DEFAULT_FAILURES, Hop, Route
from dsl.errors import Diagnostic
from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.ruleset import RuleSet
from dsl.validate import refusal

KNOWN = Known(trunks=frozenset(("office", "voicemail")), listeners=frozenset(), tenants=frozenset())


def loaded(then: str, known: Known = KNOWN, tests: str = "") -> tuple[RuleSet | None, list[Diagnostic]]:
    return load({"a.yaml": f"rules:\n  - {{name: r, when: true, then: '{then}'}}\n{tests}"}, known)


def hops(then: str) -> tuple[Hop, ...]:
    rules, problems = loaded(then)
    assert rules is not None, problems
    decision = rules.decide(Facts())
    assert isinstance(decision, Route)
    return decision.hops


def test_phones_are_rung_together_or_one_by_one() -> None:
    assert hops("route registered") == (Hop("", registered="together"),)
    assert hops("route registered one by one") == (Hop("", registered="one by one"),)
    assert hops('route "office" then registered on 503') == (
        Hop("office"),
        Hop("", (503,), registered="together"),
    )


def test_a_hop_behind_it_is_for_who_is_not_registered_too() -> None:
    _, voicemail = hops('route registered then "voicemail"')
    assert voicemail.on == (*DEFAULT_FAILURES, 404, 480)
    _, voicemail = hops('route registered one by one then "voicemail" on 404, 480, timeout')
    assert voicemail == Hop("voicemail", (404, 480, "timeout"))
    _, phones = hops('route "office" then registered')
    assert phones.on == DEFAULT_FAILURES


def test_twice_is_a_mistake_however_it_is_tried() -> None:
    rules, problems = loaded("route registered then registered one by one on 486")
    assert rules is None and "twice" in problems[0].message


def test_nobody_can_register_without_a_registrar() -> None:
    rules, problems = loaded("route registered", replace(KNOWN, phones=False))
    assert rules is None
    assert problems[0].message == "nobody can register" and "phones: true" in problems[0].hint
    assert (problems[0].line, problems[0].col) == (2, 40)


def test_a_misspelled_word_is_told() -> None:
    rules, problems = loaded("route registered all at once")
    assert rules is None and "unexpected" in problems[0].message


@pytest.mark.parametrize("written", ["registered", "registered one by one"])
def test_a_test_beside_the_rules_names_it(written: str) -> None:
    tests = f"tests:\n  - given: {{trunk: office}}\n    expect: {{route: [{written}, voicemail]}}\n"
    rules, problems = loaded(f'route {written} then "voicemail"', tests=tests)
    assert rules is not None and not problems and not rules.run_tests()
    rules, problems = loaded('route "voicemail"', tests=tests)
    assert rules is not None
    (failed,) = rules.run_tests()
    assert f'expected route "{written}", "voicemail"' in failed.message


@pytest.mark.parametrize(
    "hop",
    [
        Hop("office", registered="together"),
        Hop("", registered="at once"),  # type: ignore[arg-type]
        Hop("", registered=True),  # type: ignore[arg-type]
    ],
)
def test_what_a_hook_makes_of_it_is_judged(hop: Hop) -> None:
    assert (
        refusal(Route((Hop("", registered="one by one"), Hop("office", (480,)))), KNOWN.trunks or ()) is None
    )
    assert refusal(Route((hop,)), KNOWN.trunks or ()) is not None
