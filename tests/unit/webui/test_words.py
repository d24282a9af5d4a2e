"""Times as a person says them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.observe.times import ago, day, left, span
from sbc.observe.trust import Roll
from tests.unit.observe.pictures import DAY, NOW, OWN
from webui.words import expiry, nearness


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"),
        (-5, "0 s"),
        (59.9, "59 s"),
        (60, "1 min 0 s"),
        (3900, "1 h 5 min"),
        (90000, "1 d 1 h"),
    ],
)
def test_span(seconds: float, said: str) -> None:
    assert span(seconds) == said


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "just now"), (1, "1 s ago"), (3599, "59 min ago"), (200000, "2 d ago")]
)
def test_ago(seconds: float, said: str) -> None:
    assert ago(NOW - seconds, NOW) == said


def test_a_peer_with_a_clock_ahead_of_ours_is_just_now() -> None:
    assert ago(NOW + 5, NOW) == "just now"


@pytest.mark.parametrize(
    ("days", "said"), [(-1, "expired"), (0.5, "under a day"), (1.5, "1 day"), (40, "40 days")]
)
def test_expiry(days: float, said: str) -> None:
    assert expiry(replace(OWN, not_after=NOW + days * DAY), NOW) == said


@pytest.mark.parametrize(
    ("days", "said"),
    [
        (-0.5, "EXPIRED 12 h ago"), (-1.0, "EXPIRED 1 day ago"), (-3.5, "EXPIRED 3 days ago"),
        (-0.0001, "EXPIRED 8 s ago"), (0, "0 s left"), (0.5, "12 h left"), (1.5, "1 day left"),
        (40.9, "40 days left"),
    ],
)  # fmt: skip
def test_what_is_left_is_never_more_than_it_is_and_what_is_over_neither(days: float, said: str) -> None:
    assert left(NOW + days * DAY, NOW) == said


@pytest.mark.parametrize(
    ("whole", "days", "said"),
    [(400, 31, ""), (400, 29, "warn"), (400, 13, "bad"), (400, -1, "bad"), (47, 29, ""), (47, 11, "warn"),
     (47, 4, "bad"), (6, 5, "")],
)  # fmt: skip
def test_the_end_is_near_in_its_own_measure(whole: float, days: float, said: str) -> None:
    ends = NOW + days * DAY
    roll = Roll("ours", "sbc", "CN=sbc", ends, not_before=ends - whole * DAY)
    assert nearness(roll, NOW) == said


def test_day_is_utc() -> None:
    assert day(NOW) == "2026-05-01 10:06"
