"""The pool of port pairs."""

from __future__ import annotations

import pytest

from sbc.base import LocalError
from sbc.media.ports import PortPool


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
