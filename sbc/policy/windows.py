"""The hours and days of a zone, as limits count them: from when to when, in POSIX seconds.

A day is from midnight to midnight by the clock on the wall, so on two days of the year it has 23 or 25 hours;
an hour that the clock shows twice is two hours.
"""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo

from dsl.decision import Window

_HOUR = 3600.0


def bounds(now: float, window: Window) -> tuple[float, float]:
    """When the window that ``now`` is in began, and when it ends; no calendar goes further than year 9999."""
    try:
        here = datetime.fromtimestamp(now, window.zone)
        if window.per == "hour":
            begun = now - (here.minute * 60 + here.second + here.microsecond / 1e6)
            return begun, begun + _HOUR
        begun = _midnight(here, window.zone)
        ends = _midnight(here + timedelta(days=1), window.zone)
    except (ValueError, OverflowError, OSError):
        return now, now + _HOUR
    return begun, ends if ends > now else now + 1.0


def _midnight(day: datetime, zone: tzinfo | None) -> float:
    """The first moment of the day that ``day`` is on, also where the clock skips midnight."""
    return datetime(day.year, day.month, day.day, tzinfo=zone).timestamp()
