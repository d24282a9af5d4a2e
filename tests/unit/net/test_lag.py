"""How late the loop comes round is what is told: a greenlet that keeps it to itself shows."""

from __future__ import annotations

import time

import gevent

from sbc.net.system.lag import watch_lag
from sbc.policy.overload import LOOK_EVERY
from tests.peers.waiting import until

HELD = 0.5


def test_whoever_holds_the_loop_makes_it_late() -> None:
    told: list[float] = []
    watching = gevent.spawn(watch_lag, told.append)
    until(lambda: told)
    before = len(told)
    time.sleep(HELD)  # nobody else runs meanwhile
    until(lambda: len(told) > before)
    watching.kill()
    assert told[before] >= HELD - LOOK_EVERY and min(told) >= 0.0
