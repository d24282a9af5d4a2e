"""Allowances of an hour or a day: what is counted, when it is told and refused, and what is forgotten."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from dsl.decision import Counted, Limit, Turn, Window
from sbc.policy.allowances import Allowances, Told
from sbc.policy.rule_limits import RuleLimits

BERLIN = ZoneInfo("Europe/Berlin")
NOON = datetime(2026, 5, 4, 12, tzinfo=UTC).timestamp()
DAY = 86_400.0


def minutes(most: int = 60, key: str = "premium #0 alice", per: Turn = "day", hard: bool = False) -> Limit:
    return Limit(key, most, 0, 403, "", Window("minutes", per, UTC, hard), key.rpartition(" ")[0])


class Desk:
    """Limits with two clocks: ``at`` goes on by itself, ``now`` can be set."""

    def __init__(self, now: float = NOON) -> None:
        self.limits = RuleLimits()
        self.at, self.ahead = 1000.0, now - 1000.0
        self.ended: list[str] = []

    @property
    def now(self) -> float:
        return self.at + self.ahead

    def passes(self, seconds: float) -> list[Told]:
        """Time passes, looked at once a second at most; what was told meanwhile."""
        end = self.at + seconds
        while self.at < end:
            self.at = min(end, self.at + max(1.0, seconds / 200))
            for _, calls in self.limits.allowances.tick(self.at, self.now):
                for call in calls:
                    self.ended.append(call)
        return self.limits.allowances.take_told()

    def asks(self, limit: Limit) -> bool:
        return self.limits.admit((limit,), self.at, self.now) is None

    def answers(self, limit: Limit, call: str) -> None:
        assert self.asks(limit)
        self.limits.begin((limit,), call, self.at, self.now)

    def hangs_up(self, limit: Limit, call: str) -> None:
        self.limits.release((limit,), call, self.at, self.now)

    def used(self, limit: Limit) -> float:
        for each in self.limits.allowances.views(self.at, self.now, 1000):
            if each.key == limit.key:
                return each.used
        return 0.0


def test_what_is_talked_counts_while_the_call_runs() -> None:
    desk, limit = Desk(), minutes()
    desk.answers(limit, "one")
    desk.passes(30 * 60)
    assert desk.used(limit) == pytest.approx(30)
    desk.hangs_up(limit, "one")
    desk.passes(600)
    assert desk.used(limit) == pytest.approx(30)


def test_a_call_that_only_rings_spends_nothing() -> None:
    desk, limit = Desk(), minutes()
    assert desk.asks(limit)
    desk.passes(600)
    desk.hangs_up(limit, "one")
    assert desk.used(limit) == 0


def test_who_has_spent_all_is_refused_while_a_soft_limit_lets_calls_go_on() -> None:
    desk, limit = Desk(), minutes(10)
    desk.answers(limit, "one")
    desk.passes(599)
    assert desk.asks(limit)
    desk.passes(1)
    assert not desk.asks(limit) and desk.ended == []
    desk.passes(60)
    assert desk.used(limit) == pytest.approx(11)
    assert desk.asks(minutes(10, "premium #0 bob")), "nobody else's is spent"


def test_calls_at_once_overrun_by_no_more_than_they_talk_themselves() -> None:
    desk, limit = Desk(), minutes(10)
    for call in range(10):
        desk.answers(limit, str(call))
    desk.passes(60)
    assert desk.used(limit) == pytest.approx(10) and not desk.asks(limit)
    for call in range(9):
        desk.hangs_up(limit, str(call))
    desk.passes(60)
    assert desk.used(limit) == pytest.approx(11)


def test_a_hard_limit_ends_what_runs_within_a_second() -> None:
    desk, limit = Desk(), minutes(2, hard=True)
    desk.answers(limit, "one")
    desk.answers(limit, "two")
    assert [each.what for each in desk.passes(59)] == ["warning"]
    assert desk.ended == []
    assert [each.what for each in desk.passes(1)] == ["refused"]
    assert desk.ended == ["one", "two"]


def test_it_is_told_once_a_window_at_eighty_per_cent() -> None:
    desk, limit = Desk(), minutes(10)
    desk.answers(limit, "one")
    assert desk.passes(479) == []
    told = desk.passes(60)
    assert [(each.what, each.key, each.name, each.text) for each in told] == [
        ("warning", "premium #0 alice", "premium #0", "10 minutes a day")
    ]
    assert desk.passes(200) == []
    assert not desk.asks(limit) and not desk.asks(limit)
    assert [each.what for each in desk.passes(1)] == ["refused"]
    desk.hangs_up(limit, "one")
    desk.passes(DAY)
    desk.answers(limit, "two")
    assert [each.what for each in desk.passes(540)] == ["warning"]


def test_midnight_gives_it_anew_and_a_call_counts_for_both_days() -> None:
    desk, limit = Desk(datetime(2026, 5, 4, 23, 50, tzinfo=UTC).timestamp()), minutes(20)
    desk.answers(limit, "one")
    desk.passes(600)
    assert desk.used(limit) == 0
    desk.passes(300)
    assert desk.used(limit) == pytest.approx(5)


def test_nobody_need_look_for_a_call_to_be_counted_right() -> None:
    desk, limit = Desk(datetime(2026, 5, 4, 23, 50, tzinfo=UTC).timestamp()), minutes(20)
    desk.answers(limit, "one")
    desk.at += 900
    assert desk.used(limit) == pytest.approx(5)
    desk.hangs_up(limit, "one")
    assert desk.used(limit) == pytest.approx(5)


@pytest.mark.parametrize(("date", "hours"), [((2026, 3, 29), 23), ((2026, 10, 25), 25)])
def test_days_of_another_length_hold_the_same_allowance(date: tuple[int, int, int], hours: int) -> None:
    window = Window("hours", "day", BERLIN)
    limit = Limit("k", 40, 0, 403, "", window)
    desk = Desk(datetime(*date, tzinfo=BERLIN).timestamp())
    desk.answers(limit, "one")
    desk.at += hours * 3600 - 1
    assert desk.used(limit) == pytest.approx(hours, abs=0.001)
    desk.at += 1
    assert desk.used(limit) == 0


@pytest.mark.parametrize("jump", [3600.0, -3600.0, 5 * DAY, -5 * DAY, 3650 * DAY, -3650 * DAY])
def test_a_clock_that_jumps_changes_no_duration(jump: float) -> None:
    desk, limit = Desk(), minutes(60)
    desk.answers(limit, "one")
    desk.passes(600)
    desk.ahead += jump
    desk.passes(60)
    same_day = jump in (3600.0, -3600.0) or jump < 0
    assert desk.used(limit) == pytest.approx(11 if same_day else 1, abs=0.06)
    desk.passes(600)
    assert desk.used(limit) == pytest.approx(21 if same_day else 11, abs=0.06)


def test_a_clock_that_was_years_ahead_holds_nobody_for_years() -> None:
    desk, limit = Desk(NOON + 3650 * DAY), minutes(10)
    desk.answers(limit, "one")
    desk.passes(601)
    desk.hangs_up(limit, "one")
    desk.ahead -= 3650 * DAY
    assert not desk.asks(limit), "today goes on with what was spent"
    desk.passes(DAY)
    assert desk.asks(limit)


def test_calls_a_day() -> None:
    desk, limit = Desk(), Limit("k", 5, 0, 403, "", Window("calls", "day", UTC))
    assert [desk.asks(limit) for _ in range(7)] == [True] * 5 + [False] * 2
    assert [each.what for each in desk.passes(1)] == ["warning", "refused"]
    desk.hangs_up(limit, "one")
    assert not desk.asks(limit), "a call that is over was one"
    desk.passes(DAY)
    assert desk.asks(limit)


def test_a_call_that_another_limit_refuses_is_counted_by_none() -> None:
    desk = Desk()
    day, none = Limit("day", 5, 0, 403, "", Window("calls", "day", UTC)), Limit("none", 0)
    for _ in range(20):
        assert desk.limits.admit((day, none), desk.at, desk.now) is none
    assert desk.used(day) == 0
    assert desk.limits.refusals == {"": 20}


@pytest.mark.parametrize(
    ("of", "seconds"), [("seconds", 60), ("minutes", 3600), ("hours", 216_000)]
)  # fmt: skip
def test_units(of: Counted, seconds: int) -> None:
    desk, limit = Desk(NOON - 12 * 3600), Limit("k", 60, 0, 403, "", Window(of, "day", UTC))
    desk.answers(limit, "one")
    desk.at += min(seconds - 1, DAY - 1)
    assert desk.asks(limit)
    if seconds < DAY:
        desk.at += 1
        assert not desk.asks(limit)


def test_a_limit_of_none_refuses_all() -> None:
    desk = Desk()
    assert not desk.asks(minutes(0))


def test_a_reload_changes_what_is_allowed_and_keeps_what_is_spent() -> None:
    desk = Desk()
    desk.answers(minutes(10), "one")
    desk.passes(600)
    assert not desk.asks(minutes(10)) and desk.asks(minutes(20))
    hourly = minutes(10, per="hour")
    assert desk.asks(hourly), "it is another limit"
    desk.passes(601)
    assert not desk.asks(hourly), "the call that runs counts under it"
    desk.hangs_up(hourly, "one")
    assert desk.used(hourly) == pytest.approx(10, abs=0.1)


@pytest.mark.parametrize(("most", "unit"), [(1200, "seconds"), (1, "hours")])
def test_a_limit_that_is_written_in_another_unit_goes_on_with_what_is_spent(most: int, unit: Counted) -> None:
    desk = Desk()
    desk.answers(minutes(20), "one")
    desk.passes(900)
    anew = Limit(minutes().key, most, 0, 403, "", Window(unit, "day", UTC, True), minutes().name)
    assert desk.asks(anew)
    desk.passes(most * {"seconds": 1, "hours": 3600}[unit] - 900 + 20)
    assert not desk.asks(anew) and "one" in desk.ended


def test_reset() -> None:
    desk, limit = Desk(), minutes(10)
    desk.answers(limit, "one")
    desk.passes(700)
    assert not desk.limits.allowances.reset("nobody's", desk.at, desk.now)
    assert desk.limits.allowances.reset(limit.key, desk.at, desk.now)
    assert desk.asks(limit)
    desk.passes(60)
    assert desk.used(limit) == pytest.approx(1)


# A restart


def restarted(desk: Desk, later: float = 0.0) -> Desk:
    """The same after a crash: what was written down last is all that is known."""
    saved = json.loads(json.dumps(desk.limits.allowances.whole()))
    anew = Desk(desk.now + later)
    anew.at = 5.0
    anew.ahead = desk.now + later - 5.0
    for key, row in saved.items():
        anew.limits.allowances.restore(key, row, anew.at, anew.now)
    return anew


def test_what_is_spent_survives_a_restart_and_is_told_once_all_the_same() -> None:
    desk, limit = Desk(), minutes(10)
    desk.answers(limit, "one")
    desk.passes(540)
    anew = restarted(desk, 60)
    assert anew.used(limit) == pytest.approx(9)
    anew.answers(limit, "two")
    assert [each.what for each in anew.passes(61)] == []
    assert not anew.asks(limit)
    assert anew.limits.allowances.near(anew.at, anew.now)[0].key == limit.key
    assert restarted(anew, DAY).asks(limit)


def test_a_reset_after_a_restart_leaves_the_day_that_of_the_zone() -> None:
    limit = Limit("k", 10, 0, 403, "", Window("minutes", "day", ZoneInfo("Pacific/Chatham")))
    desk = Desk(datetime(2026, 5, 4, 23, tzinfo=limit.window.zone).timestamp())  # type: ignore[union-attr]
    desk.answers(limit, "one")
    desk.passes(60)
    anew = restarted(desk)
    anew.at += 2 * 3600
    assert anew.limits.allowances.reset("k", anew.at, anew.now)
    anew.answers(limit, "two")
    anew.passes(60)
    (view,) = anew.limits.allowances.views(anew.at, anew.now, 9)
    assert datetime.fromtimestamp(view.ends, limit.window.zone).isoformat()[:16] == "2026-05-06T00:00"  # type: ignore[union-attr]


def test_only_what_has_changed_is_written_anew() -> None:
    desk, limit = Desk(), minutes(10)
    allowances = desk.limits.allowances
    assert allowances.changes() == {}
    desk.answers(limit, "one")
    first = allowances.changes()
    assert list(first) == [limit.key] and allowances.changes() == {}
    desk.passes(60)
    later = allowances.changes()
    assert first[limit.key] != later[limit.key], "what was given is changed no more"
    assert allowances.whole() == later and allowances.changes() == {}


def test_an_allowance_that_makes_room_is_to_be_forgotten() -> None:
    allowances = Allowances()
    allowances.most_keys = 1
    assert allowances.take(minutes(10), 0.0, NOON)
    (former,) = allowances.whole()
    assert allowances.take(minutes(10, "premium #0 bob"), 0.0, NOON)
    assert allowances.changes().get(former, "kept") is None


@pytest.mark.parametrize(
    "saved",
    [
        {}, "x", 7, None, [], [1] * 9,
        ["n", 10, "minutes", "day", False, 0, 1e300, float("nan"), [False, False]],
        ["n", 10, "weeks", "day", False, 0, 1e12, 5, [False, False]],
        ["n", 10, "minutes", "year", False, 0, 1e12, 5, [False, False]],
        ["n", 10, "minutes", "day", False, 0, 1e12, -5, [False, False]],
        ["n", 10, "minutes", "day", False, 0, 1e12, 5, None],
        ["n", True, "minutes", "day", False, 0, 1e12, 5, [False, False]],
    ],
)  # fmt: skip
def test_what_we_have_not_written_is_refused_and_what_is_good_beside_it_is_kept(saved: object) -> None:
    allowances = Allowances()
    good = ["n", 10, "minutes", "day", False, 0, 1e12, 600.0, [True, True]]
    assert allowances.restore("premium #0 alice", good, 0.0, NOON)
    with pytest.raises(ValueError, match="no allowance"):
        allowances.restore("k", saved, 0.0, NOON)
    assert not allowances.take(minutes(10), 0.0, NOON)


# Room


def small(keys: int) -> Desk:
    desk = Desk()
    desk.limits.allowances.most_keys = keys
    return desk


def test_who_has_lain_idle_longest_is_forgotten_first_and_never_who_is_near_the_end() -> None:
    desk = small(100)
    near, idle = minutes(10, "premium #0 near"), minutes(10, "premium #0 idle")
    for limit, seconds in ((near, 301), (idle, 60)):
        desk.answers(limit, "one")
        desk.passes(seconds)
        desk.hangs_up(limit, "one")
    running = minutes(10, "premium #0 running")
    desk.answers(running, "runs")
    for number in range(5000):
        assert desk.asks(minutes(10, f"premium #0 stranger{number}"))
        assert len(desk.limits.allowances) <= 100
    assert desk.used(near) == pytest.approx(301 / 60)
    assert desk.used(idle) == 0
    desk.passes(60)
    assert desk.used(running) == pytest.approx(1)


def test_where_nobody_can_be_forgotten_a_new_key_is_refused_and_it_is_said() -> None:
    desk = small(50)
    for number in range(50):
        desk.answers(minutes(10, f"premium #0 {number}"), str(number))
    for number in range(1000):
        assert not desk.asks(minutes(10, f"premium #0 another{number}"))
    assert [each.what for each in desk.passes(1)] == ["full"], "not once for each"
    assert desk.asks(minutes(10, "premium #0 7")), "who is known is asked as before"
    desk.hangs_up(minutes(10, "premium #0 7"), "7")
    assert desk.asks(minutes(10, "premium #0 another"))


def test_a_full_house_is_empty_the_day_after() -> None:
    desk = small(50)
    for number in range(50):
        limit = minutes(1, f"premium #0 {number}")
        desk.answers(limit, "one")
        desk.at += 60
        desk.hangs_up(limit, "one")
    assert not desk.asks(minutes(1, "premium #0 another"))
    desk.at += DAY
    for number in range(200):
        assert desk.asks(minutes(1, f"premium #0 new{number}"))


def test_of_very_many_that_run_each_is_counted_and_ended() -> None:
    desk = Desk()
    for number in range(5000):
        desk.answers(minutes(1, f"premium #0 {number}", hard=True), str(number))
    desk.passes(59)
    assert desk.ended == []
    desk.passes(4)
    assert len(set(desk.ended)) == 5000


def test_refusals_are_counted_by_limit_and_of_few_names() -> None:
    desk = Desk()
    for number in range(3000):
        desk.asks(Limit(f"{number} x", 0, name=str(number)))
    assert len(desk.limits.refusals) <= 1001 and sum(desk.limits.refusals.values()) == 3000
