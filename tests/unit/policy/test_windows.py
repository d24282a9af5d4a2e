"""Hours and days of a zone, from when to when: the two days of the year that are not of 24 hours too."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

import pytest

from dsl.decision import Turn, Window
from sbc.policy.windows import bounds

BERLIN, NEW_YORK = ZoneInfo("Europe/Berlin"), ZoneInfo("America/New_York")
CHATHAM, SANTIAGO = ZoneInfo("Pacific/Chatham"), ZoneInfo("America/Santiago")
HOUR, DAY = 3600.0, 86_400.0


def moment(text: str, zone: tzinfo = UTC) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def day(zone: tzinfo, per: Turn = "day") -> Window:
    return Window("minutes", per, zone)


@pytest.mark.parametrize(
    ("at", "zone", "hours"),
    [
        ("2026-05-04T12:00", BERLIN, 24),
        ("2026-05-04T00:00", BERLIN, 24),
        ("2026-03-29T12:00", BERLIN, 23),  # 02:00 is 03:00
        ("2026-10-25T12:00", BERLIN, 25),  # 03:00 is 02:00 once more
        ("2026-03-08T12:00", NEW_YORK, 23),
        ("2026-11-01T12:00", NEW_YORK, 25),
        ("2026-04-05T12:00", CHATHAM, 25),  # at 03:45, from 13:45 ahead of UTC to 12:45
        ("2026-09-06T12:00", SANTIAGO, 23),  # midnight itself is skipped
    ],
)
def test_a_day_is_from_midnight_to_midnight(at: str, zone: tzinfo, hours: int) -> None:
    begun, ends = bounds(moment(at, zone), day(zone))
    assert ends - begun == hours * HOUR
    first = datetime.fromtimestamp(begun, zone)
    assert first.date() == datetime.fromisoformat(at).date()
    assert datetime.fromtimestamp(begun - 1, zone).date() < first.date()
    assert datetime.fromtimestamp(ends, zone).date() > first.date()


@pytest.mark.parametrize("zone", [BERLIN, NEW_YORK, CHATHAM, SANTIAGO, UTC])
def test_days_of_a_year_follow_each_other_without_a_gap(zone: tzinfo) -> None:
    now, seen = moment("2026-01-01T12:00", zone), 0
    begun, ends = bounds(now, day(zone))
    while seen < 366:
        assert begun < ends and bounds(ends - 0.5, day(zone)) == (begun, ends)
        following = bounds(ends, day(zone))
        assert following[0] == ends
        (begun, ends), seen = following, seen + 1


def test_an_hour_that_the_clock_shows_twice_is_two() -> None:
    window = day(BERLIN, "hour")
    first = moment("2026-10-25T00:30")  # 02:30 in summer
    assert bounds(first, window)[1] == bounds(first + HOUR, window)[0] == moment("2026-10-25T01:00")
    # A zone that is not whole hours from UTC has its hours by its own clock.
    assert bounds(moment("2026-05-04T12:00", CHATHAM), day(CHATHAM, "hour"))[0] == moment("2026-05-03T23:15")


def test_a_date_that_no_calendar_has_is_an_hour_from_now() -> None:
    assert bounds(1e15, day(BERLIN)) == (1e15, 1e15 + HOUR)
