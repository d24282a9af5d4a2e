"""Requests a second, by method, with the time as a literal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sbc.config.limits import Limits, TenantLimits
from sbc.policy.rates import CHALLENGES, MOST, Rated, RateLimits

RATES = {"invite": 20.0, "options": 5.0}


def rated(
    own: dict[str, float] | None = None, source: dict[str, float] | None = None,
    tenant: dict[str, float] | None = None, trunk: str = "a",
) -> Rated:  # fmt: skip
    return Rated(trunk, own or {}, source or {}, "acme" if tenant else "", tenant or {})


def passed(
    limits: RateLimits, of: Rated, times: int, at: float, method: str = "INVITE", source: str = "10.0.0.1"
) -> int:
    return sum(limits.admit(of, source, method, at) is None for _ in range(times))


class TestOfATrunk:
    def test_a_burst_of_one_second_passes_and_no_more(self) -> None:
        assert passed(RateLimits(), rated(RATES), 100, 5.0) == 20

    def test_exactly_the_rate_passes_for_ever(self) -> None:
        """Tenths do not add up in floating point: who keeps to its rate is never refused all the same."""
        limits, of = RateLimits(), rated({"invite": 10.0})
        assert passed(limits, of, 10, 0.0) == 10
        assert [passed(limits, of, 2, number / 10) for number in range(1, 2000)] == [1] * 1999

    def test_each_method_has_its_own(self) -> None:
        limits, of = RateLimits(), rated(RATES)
        assert passed(limits, of, 50, 0.0) == 20
        assert passed(limits, of, 50, 0.0, "OPTIONS") == 5
        assert passed(limits, of, 500, 0.0, "REGISTER") == 500, "nothing is said of it"

    def test_what_is_not_named_shares_the_rate_of_others(self) -> None:
        limits, of = RateLimits(), rated({"invite": 20.0, "other": 4.0})
        assert passed(limits, of, 3, 0.0, "SUBSCRIBE") == 3
        assert passed(limits, of, 3, 0.0, "XYZZY") == 1
        assert passed(limits, of, 50, 0.0) == 20

    def test_under_one_a_second(self) -> None:
        limits, of = RateLimits(), rated({"register": 0.2})
        assert passed(limits, of, 3, 0.0, "REGISTER") == 1
        assert passed(limits, of, 3, 4.9, "REGISTER") == 0
        assert passed(limits, of, 3, 5.0, "REGISTER") == 1

    def test_the_refusal_says_which_and_when_to_come_again(self) -> None:
        limits, of = RateLimits(), rated({"register": 0.2})
        assert limits.admit(of, "10.0.0.1", "REGISTER", 0.0) is None
        over = limits.admit(of, "10.0.0.1", "REGISTER", 1.0)
        assert over is not None and (over.cap, over.wait) == ("limits.rates.register", 5)
        assert over.why == "trunk a is over limits.rates.register, 0.2 a second"

    def test_a_reload_changes_the_rate_at_once(self) -> None:
        limits = RateLimits()
        assert passed(limits, rated({"invite": 50.0}), 10, 0.0) == 10
        assert passed(limits, rated({"invite": 2.0}), 10, 0.0) == 2

    def test_no_more_refusals_than_requests_would_pass_are_answered(self) -> None:
        limits, of = RateLimits(), rated({"invite": 3.0})
        assert passed(limits, of, 3, 0.0) == 3
        refused = [limits.admit(of, "10.0.0.1", "INVITE", 0.0) for _ in range(50)]
        assert sum(each is not None and each.answered for each in refused) == 3


class TestOfSeveral:
    def test_an_address_has_its_own_within_the_trunks(self) -> None:
        limits, of = RateLimits(), rated({"invite": 20.0}, {"invite": 4.0})
        assert [passed(limits, of, 9, 0.0, source=f"10.0.0.{each}") for each in range(7)] == [4] * 5 + [0, 0]

    def test_whoever_refuses_takes_no_token_of_the_others(self) -> None:
        limits, of = RateLimits(), rated({"invite": 20.0}, {"invite": 1.0}, {"invite": 30.0})
        passed(limits, of, 1000, 0.0, source="10.0.0.1")
        assert sum(passed(limits, of, 1, 0.0, source=f"10.0.1.{each}") for each in range(30)) == 19

    def test_the_trunks_of_a_tenant_share(self) -> None:
        limits, tenant = RateLimits(), {"invite": 10.0}
        assert passed(limits, rated(tenant=tenant, trunk="a"), 7, 0.0) == 7
        over = [limits.admit(rated(tenant=tenant, trunk="b"), "", "INVITE", 0.0) for _ in range(9)]
        assert sum(each is None for each in over) == 3
        assert over[-1] is not None and over[-1].cap == "tenant.limits.rates.invite"
        assert over[-1].whose == "tenant acme"

    def test_a_user_has_its_own(self) -> None:
        limits, rates = RateLimits(), {"invite": 2.0}
        found = [limits.admit_user(rates, "phones", "alice", "INVITE", 0.0) for _ in range(3)]
        assert found[:2] == [None, None] and found[2] is not None
        assert (found[2].cap, found[2].whose) == (
            "limits.rates_per_user.invite", "alice of trunk phones"
        )  # fmt: skip
        assert limits.admit_user(rates, "phones", "bob", "INVITE", 0.0) is None
        assert limits.admit_user(rates, "phones", "alice", "MESSAGE", 0.0) is None


class TestStrangers:
    def test_beyond_the_rate_one_a_second_is_answered(self) -> None:
        limits, answered = RateLimits(), 0
        for tick in range(10_000):  # a thousand a second for ten seconds
            over = limits.strange("10.0.0.1", 20.0, tick / 1000)
            if over is None:
                limits.challenged("10.0.0.1", 20.0, tick / 1000)
            else:
                assert over.cap == CHALLENGES
                answered += over.answered
        assert 9 <= answered <= 11

    def test_who_proves_a_password_uses_nothing_up(self) -> None:
        limits = RateLimits()
        assert all(limits.strange("10.0.0.1", 1.0, 0.0) is None for _ in range(100))


@pytest.mark.slow
def test_no_flood_of_addresses_makes_it_keep_more_or_forgets_a_trunk() -> None:
    limits, of = RateLimits(), rated({"invite": 5.0}, {"invite": 5.0})
    assert passed(limits, of, 9, 0.0) == 5
    for number in range(3 * MOST):
        limits.strange(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", 20.0, 0.0)
    assert len(limits) <= MOST + 1
    assert passed(limits, of, 9, 0.0, source="10.9.9.9") == 0


@given(st.lists(st.floats(0, 3), max_size=60), st.floats(0.1, 20))
def test_never_more_than_the_burst_and_the_rate(gaps: list[float], rate: float) -> None:
    limits, of = RateLimits(), rated({"invite": rate})
    at = 0.0
    count = 0
    for gap in gaps:
        at += gap
        count += passed(limits, of, 1, at)
    assert count <= max(1.0, rate) + at * rate + 1e-6


@pytest.mark.parametrize("model", [Limits, TenantLimits])
def test_what_has_no_rate_is_told_with_what_has(model: type[TenantLimits]) -> None:
    assert model.model_validate({"rates": {"INVITE": "20/s", "other": 3}}).rates == {
        "invite": 20.0,
        "other": 3.0,
    }
    with pytest.raises(ValidationError, match="'bye' has no rate: write invite, register"):
        model.model_validate({"rates": {"bye": 3}})
    with pytest.raises(ValidationError, match="lets nothing pass"):
        model.model_validate({"rates": {"invite": 0}})
