"""The trace says which rule decided, and which part of its condition was the reason."""

from __future__ import annotations

from dsl.decision import NO_ROUTE
from dsl.facts import Facts
from dsl.load import load
from dsl.ruleset import RuleSet

TEXT = r"""rules:
  - name: premium
    when: trunk == "teams" and (header("X-Tier") == "gold" or peer.san == "dns:gold.example")
    then: |
      require srtp
      continue
  - name: digits
    when: not to.user matches /^\d+$/
    then: reject 484
  - name: short
    when: >
      length(to.user)
      < 4
    then: route "desk"
"""


def rules() -> RuleSet:
    loaded, diagnostics = load({"20.yaml": TEXT})
    assert loaded is not None, diagnostics
    return loaded


def test_the_false_part_is_named_with_the_values_it_looked_at() -> None:
    decision, trace = rules().explain(Facts(trunk="desk", ruri_user="12345"))
    assert decision == NO_ROUTE
    assert trace == [
        'premium (20.yaml:2): no, because `trunk == "teams"` does not hold (trunk is "desk")',
        r"digits (20.yaml:7): no, because `not to.user matches /^\d+$/` does not hold"
        ' (to.user is "12345")',
        'short (20.yaml:10): no, because `length(to.user) < 4` does not hold (to.user is "12345")',
        "no rule matched: 404 No route",
    ]


def test_continuing_and_deciding_rules_say_so() -> None:
    facts = Facts(trunk="teams", ruri_user="123", header={"X-Tier": "gold"}.get)
    decision, trace = rules().explain(facts)
    assert decision == rules().decide(facts)
    assert trace == [
        'premium (20.yaml:2): yes, because `trunk == "teams" and (header("X-Tier") == "gold" or peer.san =='
        ' "dns:gold.example")` holds (trunk is "teams", header("X-Tier") is "gold", peer.san is []);'
        " it continues",
        r'digits (20.yaml:7): no, because `not to.user matches /^\d+$/` does not hold (to.user is "123")',
        'short (20.yaml:10): yes, because `length(to.user) < 4` holds (to.user is "123"); it decides',
    ]


def test_all_of_an_or_is_named_when_none_of_it_holds() -> None:
    _, trace = rules().explain(Facts(trunk="teams", peer_sans=("dns:a", "dns:b")))
    assert trace[0].endswith(
        '`header("X-Tier") == "gold" or peer.san == "dns:gold.example"` does not hold'
        ' (header("X-Tier") is "", peer.san is ["dns:a", "dns:b"])'
    )


def test_values_are_fit_for_a_terminal() -> None:
    _, trace = rules().explain(Facts(trunk="\x1b[2J" + "x" * 200))
    assert "\x1b" not in trace[0]
    assert len(trace[0]) < 200
