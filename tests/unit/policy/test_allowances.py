"""How many messages a peer may bring, with the time as a literal."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from sbc.base import Address
from sbc.flow import BURST, EARNED, UNBOUNDED, Allowance, Flow
from sbc.policy.shares import MOST, Allowances


def brought(allowance: Allowance, times: int, at: float) -> int:
    """How many of ``times`` messages a reader takes in at ``at``."""
    count = 0
    for _ in range(times):
        if allowance.left >= 1.0:
            allowance.left -= 1.0
        elif not allowance.take(1, at):
            continue
        count += 1
    return count


def test_a_quarter_of_a_second_at_once_and_then_the_rate() -> None:
    allowance = Allowance(2000, 10.0)
    assert brought(allowance, 100_000, 10.0) == 500
    assert brought(allowance, 100_000, 10.1) == 200
    assert brought(allowance, 100_000, 10.35) == 500
    assert brought(allowance, 100_000, 1000.0) == 500, "an hour of silence is no stock"


@given(st.lists(st.tuples(st.floats(0, 2), st.integers(0, 3000)), max_size=40))
def test_never_more_than_the_burst_and_the_rate(steps: list[tuple[float, int]]) -> None:
    allowance, at, total = Allowance(1000), 0.0, 0
    for gap, count in steps:
        at += gap
        total += brought(allowance, count, at)
    # What is left is looked at, and the clock only when there is nothing: one burst more in the worst case.
    assert total <= 1000 * (2 * BURST + at) + 1


@given(st.floats(50, 3000), st.floats(0, 1000))
def test_whoever_stays_below_the_rate_never_waits(rate: float, began: float) -> None:
    allowance = Allowance(3000, began)
    for number in range(2000):
        assert brought(allowance, 1, began + number / rate) == 1


def test_a_call_that_comes_about_earns_more_than_it_takes() -> None:
    """1,300 calls a second over one connection, four messages each: no flood."""
    allowance = Allowance(2000)
    for call in range(20_000):
        at = call / 1300
        assert brought(allowance, 4, at) == 4
        allowance.earned += EARNED


def test_what_calls_earn_is_no_hoard() -> None:
    allowance = Allowance(2000)
    allowance.earned += 1_000_000
    assert brought(allowance, 100_000, 0.0) == 500 + 2 * 2000


def test_a_piece_larger_than_the_burst_is_taken_and_paid_for() -> None:
    allowance = Allowance(10, 0.0)
    assert allowance.take(8, 0.0)
    assert not allowance.take(8, 0.0)
    assert not allowance.take(8, 0.54)
    assert allowance.take(8, 0.56)


def test_a_flood_is_told_of_once_a_second() -> None:
    allowance = Allowance(10, 5.0)
    assert [allowance.tell(at) for at in (5.0, 5.5, 5.99, 6.0, 6.1)] == [True, False, False, True, False]


def test_flows_of_one_peer_share_and_those_of_others_do_not() -> None:
    allowances = Allowances(2000)
    one = allowances.of("office", "192.0.2.1", 0.0)
    assert allowances.of("office", "192.0.2.1", 50.0) is one
    assert allowances.of("office", "192.0.2.2", 0.0) is not one
    assert allowances.of("carrier", "192.0.2.1", 0.0) is not one, "one address may be two peers"
    assert allowances.of("a", "2001:db8::1", 0.0) is allowances.of("a", "2001:db8::2", 0.0)


def test_a_reload_gives_everybody_the_new_rate() -> None:
    allowances = Allowances(2000)
    one = allowances.of("office", "192.0.2.1", 0.0)
    allowances.apply(10)
    assert (one.rate, allowances.of("office", "192.0.2.2", 0.0).rate) == (10, 10)


def test_forged_addresses_fill_nothing_and_take_nothing_from_whoever_is_over_it() -> None:
    allowances = Allowances(2000)
    flood = allowances.of("office", "192.0.2.1", 0.0)
    brought(flood, 10_000, 0.0)
    for number in range(3 * MOST):
        at = number / 100_000
        allowances.of("office", f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}", at)
        assert len(allowances) <= MOST
    assert allowances.of("office", "192.0.2.1", 0.0) is flood


def test_a_flow_without_one_may_bring_anything() -> None:
    flow = Flow(1, "udp", Address("192.0.2.1", 5060), Address("192.0.2.2", 5060))
    assert flow.allowance is UNBOUNDED
    assert brought(flow.allowance, 100_000, 0.0) == 100_000
