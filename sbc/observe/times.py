"""Times as a person says them; the arguments are POSIX seconds."""

from __future__ import annotations

from datetime import UTC, datetime

from sbc.tls.marks import DAY

_UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def span(seconds: float) -> str:
    """A length of time in its two largest units, such as ``1 h 5 min``."""
    rest = max(0, int(seconds))
    parts: list[str] = []
    for size, unit in _UNITS:
        count, rest = divmod(rest, size)
        if count or parts:
            parts.append(f"{count} {unit}")
        if len(parts) == 2:
            break
    return " ".join(parts) or "0 s"


def ago(then: float, now: float) -> str:
    """How long ago ``then`` was, in its largest unit."""
    rest = max(0, int(now - then))
    for size, unit in _UNITS:
        if rest >= size:
            return f"{rest // size} {unit} ago"
    return "just now"


def left(ends: float, now: float) -> str:
    """What is left of a certificate that ends at ``ends``, or how long it has been over."""
    if now > ends:
        return f"EXPIRED {_whole(now - ends)} ago"
    return f"{_whole(ends - now)} left"


def _whole(seconds: float) -> str:
    """Whole days, or less than one in its largest unit."""
    days = int(seconds // DAY)
    if days:
        return f"{days} day{'s' if days > 1 else ''}"
    return next((f"{int(seconds // size)} {unit}" for size, unit in _UNITS if seconds >= size), "0 s")


def day(moment: float) -> str:
    """The date of ``moment`` in UTC, and the time to the minute."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M")


def time_of_day(moment: float) -> str:
    """The time of ``moment`` in UTC, to the second."""
    return datetime.fromtimestamp(moment, UTC).strftime("%H:%M:%S")
