"""How late the loop comes round: what whoever waits for anything waits for."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

from sbc.policy.overload import LOOK_EVERY


def watch_lag(tell: Callable[[float], object]) -> None:
    """Tell every tenth of a second by how many seconds this greenlet was woken too late; never returns."""
    while True:
        due = time.monotonic() + LOOK_EVERY
        gevent.sleep(LOOK_EVERY)
        tell(max(0.0, time.monotonic() - due))
