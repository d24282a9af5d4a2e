"""The time of a call in a zone, as the language asks for it: minutes, days and dates are numbers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, tzinfo
from functools import lru_cache
from typing import Any

NOT_A_NUMBER = float("nan")


@lru_cache(maxsize=64)
def _local(minute: int, zone: tzinfo | None) -> datetime | None:
    """Zones change their offset at whole minutes, so one conversion serves all calls of a minute."""
    try:
        return datetime.fromtimestamp(minute * 60, zone)
    except (ValueError, OverflowError, OSError):
        return None


_PICK: dict[str, Callable[[datetime], int]] = {
    "time": lambda moment: moment.hour * 60 + moment.minute,
    "day": lambda moment: moment.isoweekday(),
    "date": lambda moment: moment.year * 10000 + moment.month * 100 + moment.day,
    "time.hour": lambda moment: moment.hour,
    "time.minute": lambda moment: moment.minute,
    "time.weekday": lambda moment: moment.isoweekday(),
}
CLOCK_FACTS = frozenset(_PICK)


def reader(name: str, zone: tzinfo | None) -> Callable[[float], Any]:
    """What reads the fact ``name`` from POSIX seconds; not a number for a time that no calendar has."""
    pick = _PICK[name]

    def read(now: float) -> Any:
        try:
            moment = _local(int(now // 60), zone)
        except (ValueError, OverflowError):
            return NOT_A_NUMBER
        return NOT_A_NUMBER if moment is None else pick(moment)

    return read
