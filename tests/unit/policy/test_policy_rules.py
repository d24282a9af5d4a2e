"""Turns in a group, and the limits that rules set: counts, refills, and what is kept of strangers' keys."""

from __future__ import annotations

import pytest

from dsl.decision import DEFAULT_FAILURES, Group, Hop, Limit
from sbc.policy import rule_limits
from sbc.policy.balance import Balancer
from sbc.policy.rule_limits import RuleLimits


@pytest.mark.parametrize(
    ("members", "turns"),
    [
        ((("a", 1), ("b", 1)), "abab"),
        ((("a", 3), ("b", 1)), "aabaaaba"),
        ((("a", 5), ("b", 1), ("c", 1)), "aabacaa"),
        ((("a", 2),), "aa"),
    ],
)
def test_turns_follow_the_weights(members: tuple[tuple[str, int], ...], turns: str) -> None:
    balancer, group = Balancer(), Group("g", members)
    assert "".join(balancer.order(group)[0] for _ in turns) == turns


def test_the_others_of_a_group_follow_once_each() -> None:
    balancer, group = Balancer(), Group("g", (("a", 3), ("b", 2), ("c", 1)))
    for _ in range(12):
        assert sorted(balancer.order(group)) == ["a", "b", "c"]


def test_turns_go_on_when_a_reload_changes_the_group() -> None:
    balancer = Balancer()
    balancer.order(Group("g", (("a", 1), ("b", 1))))
    assert balancer.order(Group("g", (("b", 1), ("c", 1))))[0] == "b"


def test_a_group_in_a_route_becomes_its_hops() -> None:
    group = Group("g", (("a", 1), ("b", 1)))
    hops = (Hop("x"), Hop("", (503,), group), Hop("y", ("timeout",)))
    assert Balancer().expand(hops) == (Hop("x"), Hop("a", (503,)), Hop("b", (503,)), Hop("y", ("timeout",)))
    assert Balancer().expand((Hop("", (), group),)) == (Hop("a"), Hop("b", DEFAULT_FAILURES))


def test_calls_at_once() -> None:
    limits, two = RuleLimits(), (Limit("k", 2),)
    assert [limits.admit(two, 0.0, 0.0) for _ in range(3)] == [None, None, two[0]]
    limits.release(two, "call", 0.0, 0.0)
    assert limits.admit(two, 0.0, 0.0) is None
    limits.release(two, "call", 0.0, 0.0)
    limits.release(two, "call", 0.0, 0.0)
    assert len(limits) == 0


def test_calls_in_a_time_refill_evenly() -> None:
    limits, per_minute = RuleLimits(), (Limit("k", 6, 60),)
    assert [limits.admit(per_minute, 0.0, 0.0) is None for _ in range(7)] == [True] * 6 + [False]
    assert limits.admit(per_minute, 9.9, 0.0) is not None
    assert limits.admit(per_minute, 10.1, 0.0) is None
    limits.release(per_minute, "call", 0.0, 0.0)
    assert limits.admit(per_minute, 10.2, 0.0) is not None


def test_a_refused_call_is_counted_nowhere() -> None:
    limits = RuleLimits()
    many, rate, none = Limit("many", 1), Limit("rate", 1, 3600), Limit("none", 0)
    assert limits.admit((many, rate, none), 0.0, 0.0) is none
    assert limits.admit((many, rate), 0.0, 0.0) is None


def test_keys_are_forgotten_when_they_say_nothing_and_bounded_when_they_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    limits = RuleLimits()
    for number in range(12_000):
        assert limits.admit((Limit(f"caller {number}", 1, 1),), float(number), 0.0) is None
    assert len(limits) < 5_000
    held = RuleLimits()
    refused = [
        held.admit((Limit(f"caller {number}", 1),), 0.0, 0.0) for number in range(rule_limits.MOST_KEYS + 5)
    ]
    assert [each is not None for each in refused[-6:]] == [False] + [True] * 5
