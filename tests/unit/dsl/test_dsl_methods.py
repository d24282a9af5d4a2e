"""What begins no call is for rules that name its method, and for no others."""

from __future__ import annotations

import pytest

from dsl.decision import Reject, Route
from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.ruleset import RuleSet

TRUNKS = frozenset(("a", "b"))


def rules(*whens: str) -> tuple[RuleSet, list[str]]:
    """Rules of these conditions, which route to "a", "b", "a" and so on; the warnings of their order."""
    text = "rules:\n" + "".join(
        f'  - name: r{at}\n    when: |\n      {when}\n    then: route "{"ab"[at % 2]}"\n'
        for at, when in enumerate(whens)
    )
    found, problems = load({"r.yaml": text}, Known(trunks=TRUNKS))
    assert found is not None, problems
    return found, [each.message for each in problems]


def taken(made: RuleSet, **facts: str) -> str:
    """The rule that decides; explaining it comes to the same."""
    given = Facts(**facts)  # type: ignore[arg-type]
    decision = made.decide(given)
    assert made.explain(given)[0] == decision
    assert isinstance(decision, Reject | Route)
    return decision.rule.partition(" ")[0]


def test_a_rule_for_every_call_takes_calls_alone() -> None:
    made, warnings = rules("true", 'method == "MESSAGE"')
    assert taken(made) == "r0" and taken(made, method="MESSAGE") == "r1"
    assert taken(made, method="NOTIFY") == "no" and not warnings


@pytest.mark.parametrize(
    ("whens", "warned"),
    [
        (('method == "MESSAGE"', 'method == "MESSAGE" and trunk == "a"'), True),
        (("true", 'method == "INVITE" and trunk == "a"'), True),
        (("true", 'method in ["MESSAGE", "NOTIFY"]'), False),
        (("true", 'method != "INVITE"'), False),
        (('method == "MESSAGE"', "true"), False),
        (("true", 'trunk == "a"'), True),
    ],
)
def test_what_is_never_reached_is_said_of_what_could_reach_it(whens: tuple[str, ...], warned: bool) -> None:
    assert bool(rules(*whens)[1]) == warned


def test_why_a_rule_is_passed_over_is_said() -> None:
    made, _ = rules("true", 'method == "MESSAGE"')
    _, trace = made.explain(Facts(method="MESSAGE"))
    assert trace[0] == "r0 (r.yaml:2): no, because it does not name method"
