"""When memory is given back: after a burst of connections too, and not again and again."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from sbc import upkeep
from sbc.upkeep import GONE, MANY, Upkeep

pytestmark = pytest.mark.pure


class Watched:
    """An SBC with a call that never ends; ``given`` is when memory was given back."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.connections = 3
        self.at = 0.0
        self.given: list[float] = []
        busy: Any = SimpleNamespace(calls={"a": None}, transactions=[])
        store: Any = SimpleNamespace(replaced=[])
        self.upkeep = Upkeep(busy, store, lambda: self.connections)
        monkeypatch.setattr(upkeep, "_malloc_trim", lambda _: self.given.append(self.at))

    def pass_by(self, seconds: int) -> list[float]:
        """So many seconds with this many connections; when memory was given back in them."""
        self.given.clear()
        for _ in range(seconds):
            self.at += 1.0
            self.upkeep.tick(self.at)
        return self.given


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Watched:
    return Watched(monkeypatch)


def test_what_many_connections_leave_is_given_back_once_while_a_call_goes_on(watched: Watched) -> None:
    watched.connections = MANY
    assert watched.pass_by(100) == []
    watched.connections = 3
    left = watched.at + 1
    assert watched.pass_by(100) == [left + GONE]


def test_few_that_come_and_go_give_nothing_back(watched: Watched) -> None:
    for connections in (MANY - 1, 0) * 5:
        watched.connections = connections
        assert watched.pass_by(20) == []


def test_those_that_come_back_in_time_leave_nothing(watched: Watched) -> None:
    for connections in (MANY, 0) * 5:
        watched.connections = connections
        assert watched.pass_by(int(GONE) - 1) == []


def test_a_second_burst_counts_anew(watched: Watched) -> None:
    for _ in range(3):
        watched.connections = 10 * MANY
        assert watched.pass_by(10) == []
        watched.connections = MANY
        assert len(watched.pass_by(20)) == 1
