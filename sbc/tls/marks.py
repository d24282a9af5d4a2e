"""When the end of a certificate is near: the marks, in days and in parts of its whole life.

Ninety days are long for a certificate of two years and the whole life of one that an ACME directory issues.
So each mark is the later of the two: so many days before the end, or so great a part of the life.
"""

from __future__ import annotations

from typing import Literal

DAY = 86400.0
Mark = Literal["notice", "reminder", "warning", "incident"]
# The nearest first: days, and the part of the whole life.
_MARKS: dict[Mark, tuple[float, float]] = {
    "incident": (14.0, 1 / 10), "warning": (30.0, 1 / 4), "reminder": (60.0, 1 / 2), "notice": (90.0, 3 / 4),
}  # fmt: skip


def before_end(mark: Mark, begins: float, ends: float) -> float:
    """How many seconds before its end a certificate that lasts from ``begins`` to ``ends`` passes a mark."""
    days, part = _MARKS[mark]
    return min(days * DAY, part * max(0.0, ends - begins))


def mark_passed(begins: float, ends: float, now: float) -> Mark | None:
    """The last mark that was passed at ``now``; None for none. POSIX seconds."""
    return next((mark for mark in _MARKS if ends - now < before_end(mark, begins, ends)), None)
