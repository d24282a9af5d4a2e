"""The pool of port pairs."""

from __future__ import annotations

import pytest

from sbc.base import LocalError
from sbc.media.places import PortPool


def test_pairs_are_even_and_rest_as_long_as_possible() -> None:
    pool = PortPool("20001-20007")
    assert len(pool) == 3
    assert [pool.take(), pool.take()] == [20002, 20004]
    pool.give(20002)
    assert [pool.take(), pool.take()] == [20006, 20002]


def test_an_exhausted_pool_says_what_to_do() -> None:
    pool = PortPool("20000-20001")
    pool.take()
    with pytest.raises(LocalError, match=r"20000-20001 are in use: widen media\.ports"):
        pool.take()


def taken(pool: PortPool, trunk: str, most: int | None = None) -> int:
    """How many pairs the trunk gets until it is refused."""
    count = 0
    with pytest.raises(LocalError):
        while True:
            pool.take(trunk, most)
            count += 1
    return count


def test_the_last_tenth_is_for_trunks_that_hold_less_than_their_share() -> None:
    pool = PortPool("20000-20399")
    assert taken(pool, "flood") == 180, "alone it may have all but a tenth"
    assert taken(pool, "late") == 20 and len(pool) == 0, "and that is there for whoever comes later"


def test_a_refusal_names_the_trunk_what_it_holds_and_the_setting() -> None:
    pool = PortPool("20000-20399")
    for _ in range(180):
        pool.take("flood")
    with pytest.raises(LocalError) as caught:
        pool.take("flood")
    assert str(caught.value) == (
        "trunk flood holds 180 of 200 pairs of media ports, and the last 20 are for trunks that hold"
        " less than their share, 100: widen media.ports in sbc.yaml, or set limits.ports of the trunk"
    )


def test_what_a_trunk_gives_back_no_longer_counts_against_it() -> None:
    pool = PortPool("20000-20399")
    first = pool.take("flood")
    assert taken(pool, "flood") == 179 and pool.held("flood") == 180
    pool.give(first)
    assert pool.held("flood") == 179 and taken(pool, "flood") == 1 and pool.held("nobody") == 0


def test_trunks_that_hold_no_more_than_their_share_fill_the_pool() -> None:
    pool = PortPool("20000-20399")
    for number in range(200):
        pool.take(f"trunk-{number % 4}")
    with pytest.raises(LocalError, match="in use"):
        pool.take("trunk-5")


def test_a_number_that_the_operator_gave_is_what_holds_and_no_share() -> None:
    pool = PortPool("20000-20399")
    assert taken(pool, "small", 4) == 4
    why = r"^trunk small holds 4 pairs of media ports: its limits\.ports is 4$"
    with pytest.raises(LocalError, match=why):
        pool.take("small", 4)
    assert taken(pool, "only", 200) == 196, "the last tenth, too"


def test_a_pair_is_given_back_once() -> None:
    pool = PortPool("20000-20003")
    port = pool.take()
    pool.give(port)
    with pytest.raises(ValueError, match="not taken"):
        pool.give(port)
    assert len(pool) == 2


@pytest.mark.parametrize(
    "text", ["", "20000", "a-b", "30000-20000", "0-10", "60000-70000", "20001-20002", "20000-20000"]
)
def test_a_bad_range_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        PortPool(text)


def test_the_last_pairs_are_kept_for_emergency_calls() -> None:
    pool = PortPool("20000-20039")
    pool.keep(4)
    assert taken(pool, "office") + taken(pool, "carrier", most=100) == 16
    with pytest.raises(
        LocalError, match=r"the last 4 pairs .* are kept for emergency calls: widen media\.ports"
    ):
        pool.take("other")
    port, *_ = (pool.take() for _ in range(4))
    with pytest.raises(LocalError, match="are in use"):
        pool.take()
    pool.give(port)
    pool.keep(0)
    assert pool.take("other", 2) == port


def test_no_more_than_a_quarter_is_kept() -> None:
    pool = PortPool("20000-20039")
    pool.keep(1000)
    assert pool.kept == 5
