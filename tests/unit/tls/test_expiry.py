"""Days left: the marks, and that each is told once."""

from __future__ import annotations

import json

import pytest

from sbc.tls.lifetime.expiry import ORDERED, REMEDY, RENEWED, Calendar, Life, Whose, days_left, state_of
from sbc.tls.lifetime.renewal import renew_at
from sbc.tls.marks import DAY

NOW = 1_800_000_000.0


def life(days: float, whose: Whose = "ours", name: str = "sbc", thumbprint: str = "aa") -> Life:
    """One of two years."""
    ends = NOW + days * DAY
    return Life(whose, name, f"CN={name}", thumbprint, ends - 730 * DAY, ends)


def told_of(mine: Life) -> list[tuple[float, str]]:
    """What is told over a whole life, and how many days after its beginning: looked at every hour."""
    calendar = Calendar()
    told: list[tuple[float, str]] = []
    for hour in range(int((mine.ends - mine.begins) / 3600) + 3):
        at = mine.begins + hour * 3600
        told += [(round((at - mine.begins) / DAY, 1), state) for _, state in calendar.look([mine], at)]
    return told


@pytest.mark.parametrize(
    ("days", "state"),
    [
        (365, "ok"), (90, "ok"), (89.9, "notice"), (60, "notice"), (59.9, "reminder"), (30, "reminder"),
        (29.9, "warning"), (14, "warning"), (13.9, "incident"), (0, "incident"), (-0.1, "expired"),
    ],
)  # fmt: skip
def test_the_marks_of_a_long_life_are_days(days: float, state: str) -> None:
    ends = NOW + days * DAY
    assert state_of(ends - 400 * DAY, ends, NOW) == state


@pytest.mark.parametrize(
    ("whole", "marks"),
    [(90, (22.5, 45, 67.5, 81)), (47, (11.75, 23.5, 35.25, 42.3)), (6, (1.5, 3, 4.5, 5.4))],
)
def test_the_marks_of_a_short_one_are_parts_of_it(whole: float, marks: tuple[float, ...]) -> None:
    told = told_of(Life("theirs", "a", "CN=a", "aa", NOW, NOW + whole * DAY))
    assert [state for _, state in told] == ["notice", "reminder", "warning", "incident", "expired"]
    assert [day for day, _ in told[:4]] == pytest.approx(marks, abs=0.1), "and none at its issue"


@pytest.mark.parametrize("whole", [398.0, 90.0, 47.0, 6.0])
def test_of_one_that_renews_itself_an_overdue_renewal_is_told(whole: float) -> None:
    mine = Life("ours", "a", "CN=a", "aa", NOW, NOW + whole * DAY, renews=True)
    told = told_of(mine)
    assert [state for _, state in told] == ["overdue", "incident", "expired"]
    due = renew_at(mine.begins, mine.ends, "00" * 32)
    assert due + whole * DAY / 15 < mine.begins + told[0][0] * DAY < due + whole * DAY / 10
    assert mine.remedy == ORDERED


def test_once_its_successor_is_there_only_its_end_is() -> None:
    mine = Life("ours", "a", "CN=a", "aa", NOW, NOW + 90 * DAY, renews=True, followed=True)
    assert told_of(mine) == [(90.0, "expired")]
    assert mine.remedy == RENEWED


def test_one_of_ours_that_an_operator_renews_has_the_marks_of_all() -> None:
    assert told_of(Life("ours", "a", "CN=a", "aa", NOW, NOW + 90 * DAY, followed=True))[0][1] == "notice"
    assert life(10).remedy == REMEDY["ours"]


def test_a_life_that_ends_before_it_begins_is_expired_or_an_error_of_nobodys() -> None:
    assert state_of(NOW + DAY, NOW - DAY, NOW) == "expired" and state_of(NOW + 2 * DAY, NOW, NOW) == "ok"


def test_days_are_whole_and_negative_afterwards() -> None:
    assert [days_left(NOW + days * DAY, NOW) for days in (14, 13.99, 0.5, 0, -0.5)] == [14, 13, 0, 0, -1]


def test_each_mark_is_told_once_over_a_whole_life() -> None:
    calendar, mine, told = Calendar(), life(100), []
    for day in range(0, 103):
        for at in (NOW + day * DAY + 1, NOW + day * DAY + 3600):
            told += [(day, state) for _, state in calendar.look([mine], at)]
    assert told == [(10, "notice"), (40, "reminder"), (70, "warning"), (86, "incident"), (100, "expired")]


def test_it_is_remembered_over_a_restart() -> None:
    calendar = Calendar()
    assert calendar.look([life(20)], NOW) == [(life(20), "warning")]
    again = Calendar()
    for name, state in json.loads(json.dumps(calendar.whole())).items():
        again.restore(name, state)
    assert again.look([life(20)], NOW + DAY) == []
    assert [state for _, state in again.look([life(20)], NOW + 10 * DAY)] == ["incident"]


def test_a_renewed_one_begins_anew_and_a_gone_one_is_forgotten() -> None:
    calendar = Calendar()
    calendar.look([life(10)], NOW)
    assert calendar.look([life(400, thumbprint="bb")], NOW) == []
    assert calendar.whole() == {}
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


@pytest.mark.parametrize("state", [None, [], 3, "soon"])
def test_a_memory_that_cannot_be_understood_is_none(state: object) -> None:
    calendar = Calendar()
    with pytest.raises(ValueError, match="no state"):
        calendar.restore(life(10).id, state)
    assert len(calendar.look([life(10)], NOW)) == 1


def test_there_is_a_remedy_for_each_kind() -> None:
    assert set(REMEDY) == {"ours", "theirs", "trusted", "window"}
