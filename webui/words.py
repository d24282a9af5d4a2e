"""How long a certificate still holds, as a person says it."""

from __future__ import annotations

from sbc.observe.health import Ending, days_left
from sbc.observe.trust import Roll

_NEARNESS = {"warning": "warn", "incident": "bad", "expired": "bad"}


def expiry(certificate: Ending, now: float) -> str:
    """``expired``, ``under a day`` or ``N days`` at ``now`` (POSIX seconds)."""
    days = days_left(certificate, now)
    if days < 0:
        return "expired"
    return {0: "under a day", 1: "1 day"}.get(days, f"{days} days")


def nearness(roll: Roll, now: float) -> str:
    """``warn`` or ``bad`` where the end is near, "" where it is not."""
    return _NEARNESS.get(roll.mark(now), "")
