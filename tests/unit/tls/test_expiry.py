"""Days left: the marks, and that each is told once."""

from __future__ import annotations

import json

import pytest

from sbc.tls.lifetime.expiry import DAY, REMEDY, Calendar, Life, Whose, days_left, state_of

NOW = 1_800_000_000.0


def life(days: float, whose: Whose = "ours", name: str = "sbc", thumbprint: str = "aa") -> Life:
    return Life(whose, name, f"CN={name}", thumbprint, NOW + days * DAY)


@pytest.mark.parametrize(
    ("days", "state"),
    [
        (365, "ok"), (90, "ok"), (89.9, "90 days"), (60, "90 days"), (59.9, "60 days"), (30, "60 days"),
        (29.9, "30 days"), (14, "30 days"), (13.9, "incident"), (0, "incident"), (-0.1, "expired"),
    ],
)  # fmt: skip
def test_the_marks(days: float, state: str) -> None:
    assert state_of(NOW + days * DAY, NOW) == state


def test_days_are_whole_and_negative_afterwards() -> None:
    assert [days_left(NOW + days * DAY, NOW) for days in (14, 13.99, 0.5, 0, -0.5)] == [14, 13, 0, 0, -1]


def test_each_mark_is_told_once_over_a_whole_life() -> None:
    calendar, mine, told = Calendar(), life(100), []
    for day in range(0, 103):
        for at in (NOW + day * DAY + 1, NOW + day * DAY + 3600):
            told += [(day, state) for _, state in calendar.look([mine], at)]
    assert told == [(10, "90 days"), (40, "60 days"), (70, "30 days"), (86, "incident"), (100, "expired")]


def test_it_is_remembered_over_a_restart() -> None:
    calendar = Calendar()
    assert calendar.look([life(20)], NOW) == [(life(20), "30 days")]
    again = Calendar(json.loads(json.dumps(calendar.to_json())))
    assert again.look([life(20)], NOW + DAY) == []
    assert [state for _, state in again.look([life(20)], NOW + 10 * DAY)] == ["incident"]


def test_a_renewed_one_begins_anew_and_a_gone_one_is_forgotten() -> None:
    calendar = Calendar()
    calendar.look([life(10)], NOW)
    assert calendar.look([life(400, thumbprint="bb")], NOW) == []
    assert list(calendar.to_json()) == []
    assert calendar.look([life(85, thumbprint="bb")], NOW) != []


def test_the_worst_comes_first() -> None:
    lives = [life(80, name="a"), life(-1, name="b"), life(5, name="c")]
    assert [each.name for each, _ in Calendar().look(lives, NOW)] == ["b", "c", "a"]


def test_a_clock_that_goes_back_tells_nothing_twice() -> None:
    calendar = Calendar()
    calendar.look([life(10)], NOW)
    calendar.look([life(10)], NOW - 10 * DAY)
    assert calendar.look([life(10)], NOW) == []


def test_a_window_is_told_when_it_is_over_and_not_before() -> None:
    calendar, window = Calendar(), life(1, "window")
    assert calendar.look([window], NOW) == []
    assert calendar.look([window], NOW + 2 * DAY) == [(window, "expired")]


@pytest.mark.parametrize("told", [None, [], "junk", {"ours sbc aa": 3}, {"ours sbc aa": "soon"}])
def test_a_memory_that_cannot_be_understood_is_none(told: object) -> None:
    assert len(Calendar(told).look([life(10)], NOW)) == 1


def test_there_is_a_remedy_for_each_kind() -> None:
    assert set(REMEDY) == {"ours", "theirs", "trusted", "window"}
