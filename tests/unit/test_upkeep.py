"""When memory is given back: after many connections too, and not again and again."""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from sbc import upkeep
from sbc.upkeep import FEW, MANY, OFTEN, QUIET, Upkeep

pytestmark = pytest.mark.pure


class Watched:
    """An SBC with a call that never ends; ``given`` is when memory was given back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gone = 0
        self.at = 0.0
        self.given: list[float] = []
        busy: Any = SimpleNamespace(calls={"a": None}, transactions=[])
        store: Any = SimpleNamespace(replaced=[])
        self.upkeep = Upkeep(busy, store, lambda: self.gone)
        monkeypatch.setattr(upkeep, "_malloc_trim", lambda _: self.given.append(self.at))

    def pass_by(self, seconds: int, gone: int = 0) -> list[float]:
        """So many seconds, in each of which so many connections go; when memory was given back in them."""
        self.given.clear()
        for _ in range(seconds):
            self.at += 1.0
            self.gone += gone
            self.upkeep.tick(self.at)
        return list(self.given)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


@pytest.mark.parametrize("seconds", [1, 30])
def test_what_many_connections_leave_is_given_back_once_when_they_are_gone(
    watched: Watched, seconds: int
) -> None:
    assert watched.pass_by(seconds, 1000) == []  # two thousand at a time, or few again and again
    assert watched.pass_by(1000) == [seconds + QUIET]


def test_few_give_nothing_back_before_they_are_many(watched: Watched) -> None:
    assert watched.pass_by(1, MANY - 1) == [] and watched.pass_by(100) == []
    watched.gone += 1
    assert watched.pass_by(100) == [102.0]


def test_where_they_come_and_go_all_day_it_is_done_once_in_a_while(watched: Watched) -> None:
    given = watched.pass_by(3600, FEW)
    assert 2 < len(given) <= 3600 / OFTEN + 1
    assert all(later - former >= OFTEN for former, later in pairwise(given))
