"""Times as a person says them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.observe.times import ago, day, span
from tests.unit.observe.pictures import DAY, NOW, OWN
from webui.words import expiry


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


@pytest.mark.parametrize(("days", "said"), [(-1, "expired"), (0.5, "today"), (1.5, "1 day"), (40, "40 days")])
def test_expiry(days: float, said: str) -> None:
    assert expiry(replace(OWN, not_after=NOW + days * DAY), NOW) == said


def test_day_is_utc() -> None:
    assert day(NOW) == "2026-05-01 10:06"
