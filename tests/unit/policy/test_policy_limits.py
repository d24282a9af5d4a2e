"""Calls and calls a second, with the time as a literal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.config.model import Limits, TenantLimits, Trunk
from sbc.policy.limits import CallerBounds, CallLimits, Refused, TenantBounds


def trunk(name: str = "a", calls: int | None = None, cps: float | None = None) -> Trunk:
    return Trunk(trunk=name, listener="l", limits=Limits(calls=calls, cps=cps))


def said(refused: Refused | None) -> str:
    return refused.why if refused is not None else ""


def admitted(limits: CallLimits, to: Trunk, times: int, now: float) -> int:
    return sum(limits.admit(to, now) is None for _ in range(times))


class TestConcurrentCalls:
    def test_the_bound_is_the_last_call_admitted(self) -> None:
        limits, a = CallLimits(), trunk(calls=2)
        assert admitted(limits, a, 5, 0.0) == 2
        assert limits.calls("a") == 2

    def test_the_refusal_says_why(self) -> None:
        limits, a = CallLimits(), trunk("carrier", calls=0)
        assert said(limits.admit(a, 0.0)) == "trunk carrier has 0 calls and its limit is 0"

    def test_a_released_call_makes_room(self) -> None:
        limits, a = CallLimits(), trunk(calls=1)
        assert limits.admit(a, 0.0) is None
        limits.release(a)
        assert limits.admit(a, 0.0) is None

    def test_trunks_do_not_share(self) -> None:
        limits = CallLimits()
        assert admitted(limits, trunk("a", calls=1), 2, 0.0) == 1
        assert admitted(limits, trunk("b", calls=1), 2, 0.0) == 1

    def test_releasing_too_often_lends_nothing(self) -> None:
        limits, a = CallLimits(), trunk(calls=1)
        limits.release(a)
        limits.release(a)
        assert admitted(limits, a, 2, 0.0) == 1

    def test_without_limits_everything_passes(self) -> None:
        assert admitted(CallLimits(), trunk(), 1000, 0.0) == 1000

    def test_a_reload_applies_to_the_next_call_and_keeps_the_count(self) -> None:
        limits = CallLimits()
        assert admitted(limits, trunk(calls=10), 5, 0.0) == 5
        assert limits.admit(trunk(calls=3), 0.0) is not None
        assert limits.admit(trunk(calls=6), 0.0) is None


class TestCallsASecond:
    def test_a_burst_of_one_second_passes_and_no_more(self) -> None:
        assert admitted(CallLimits(), trunk(cps=10), 50, 0.0) == 10

    def test_tokens_come_back_at_the_rate(self) -> None:
        limits, a = CallLimits(), trunk(cps=10)
        assert admitted(limits, a, 50, 0.0) == 10
        assert admitted(limits, a, 50, 0.55) == 5
        assert admitted(limits, a, 50, 60.0) == 10

    def test_under_one_a_second(self) -> None:
        limits, a = CallLimits(), trunk(cps=0.5)
        assert admitted(limits, a, 5, 0.0) == 1
        assert admitted(limits, a, 5, 1.9) == 0
        assert admitted(limits, a, 5, 2.0) == 1

    def test_none_at_all(self) -> None:
        limits = CallLimits()
        assert said(limits.admit(trunk("a", cps=0), 0.0)) == "trunk a is over its limit of 0 calls a second"
        assert admitted(limits, trunk(cps=0), 5, 1e6) == 0

    def test_a_call_refused_for_its_number_takes_no_token(self) -> None:
        limits, a = CallLimits(), trunk(calls=1, cps=2)
        assert admitted(limits, a, 100, 0.0) == 1
        limits.release(a)
        assert limits.admit(a, 0.0) is None

    def test_a_clock_set_back_neither_blocks_nor_floods(self) -> None:
        limits, a = CallLimits(), trunk(cps=1)
        assert limits.admit(a, 100.0) is None
        assert admitted(limits, a, 5, 50.0) == 0
        assert admitted(limits, a, 5, 51.0) == 1


@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0.1, 20))
def test_never_more_than_the_burst_and_the_rate(gaps: list[float], cps: float) -> None:
    limits, a = CallLimits(), trunk(cps=cps)
    now = passed = 0.0
    for gap in gaps:
        now += gap
        passed += limits.admit(a, now) is None
    assert passed <= max(1.0, cps) + now * cps + 1e-6


def test_negative_limits_do_not_exist() -> None:
    with pytest.raises(ValueError, match="greater than or equal"):
        Limits(calls=-1)


class TestTenants:
    def bounds(self, calls: int | None = None, cps: float | None = None) -> TenantBounds:
        return TenantBounds("acme", TenantLimits(calls=calls, cps=cps))

    def test_its_trunks_share_the_limit(self) -> None:
        limits, acme = CallLimits(), self.bounds(calls=2)
        assert limits.admit(trunk("a"), 0.0, tenant=acme) is None
        assert limits.admit(trunk("b"), 0.0, tenant=acme) is None
        assert (
            said(limits.admit(trunk("c"), 0.0, tenant=acme)) == "tenant acme has 2 calls and its limit is 2"
        )
        assert (limits.calls("a"), limits.calls("c")) == (1, 0)
        assert limits.admit(trunk("d"), 0.0) is None

    def test_whoever_refuses_takes_no_token_of_the_other(self) -> None:
        limits, acme, a = CallLimits(), self.bounds(cps=5), trunk("a", cps=1)
        assert limits.admit(a, 0.0, tenant=acme) is None
        assert [said(limits.admit(a, 0.0, tenant=acme)) for _ in range(9)] == [
            "trunk a is over its limit of 1 calls a second"
        ] * 9
        assert [limits.admit(trunk("b"), 0.0, tenant=acme) for _ in range(4)] == [None] * 4
        full = "tenant acme is over its limit of 5 calls a second"
        assert said(limits.admit(trunk("c", cps=1), 0.0, tenant=acme)) == full
        assert limits.admit(trunk("c", cps=1), 0.2, tenant=acme) is None


class TestCallers:
    def bounds(self, caller: str, calls: int = 2) -> CallerBounds:
        return CallerBounds(caller, "trunk a", calls)

    def test_each_caller_has_so_many_calls_and_no_more(self) -> None:
        limits, alice = CallLimits(), self.bounds("alice")
        assert [limits.admit_caller(alice, 0.0) for _ in range(2)] == [None, None]
        assert limits.admit_caller(alice, 0.0) == (
            "limits.calls_per_caller", "caller alice of trunk a has 2 calls and its limit is 2"
        )  # fmt: skip
        assert limits.admit_caller(self.bounds("bob"), 0.0) is None
        limits.release(alice)
        assert limits.admit_caller(alice, 0.0) is None

    def test_a_caller_without_calls_is_forgotten(self) -> None:
        limits = CallLimits()
        for number in range(1000):
            each = self.bounds(f"+1{number}")
            assert limits.admit_caller(each, 0.0) is None
            limits.release(each)
        assert len(limits) == 0

    def test_one_of_a_tenant_is_named_so(self) -> None:
        limits, alice = CallLimits(), CallerBounds("alice", "tenant acme", 1)
        assert limits.admit_caller(alice, 0.0) is None
        refused = limits.admit_caller(alice, 0.0)
        assert refused is not None and refused.cap == "tenant.limits.calls_per_caller"
