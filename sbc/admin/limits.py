"""What is spent of the allowances that limits give, as an operator asks for it: ``sbc limits``."""

from __future__ import annotations

from typing import Any

from sbc.b2bua.engine import Engine
from sbc.base import LocalError
from sbc.net.system.clock import Clock
from sbc.policy.allowances import SpentView

#: So many are told, those that are nearest to their end; and so many on the page.
MOST_TOLD = 1000
MOST_SHOWN = 20


def near(engine: Engine, clock: Clock) -> tuple[SpentView, ...]:
    """The allowances that are nearly spent, the nearest first."""
    return tuple(engine.rule_limits.allowances.near(clock.monotonic(), clock.now())[:MOST_SHOWN])


def spent(engine: Engine, clock: Clock) -> tuple[SpentView, ...]:
    """All that anything is spent of, the nearest to its end first."""
    return tuple(engine.rule_limits.allowances.views(clock.monotonic(), clock.now(), MOST_TOLD))


def reset(engine: Engine, clock: Clock, key: str) -> dict[str, Any]:
    """Let the allowance of ``key`` be unspent; LocalError where nothing is spent of such a one."""
    if not engine.rule_limits.allowances.reset(key, clock.monotonic(), clock.now()):
        raise LocalError(f"nothing is spent of {key!r}; `sbc limits` shows what is, with its key in quotes")
    return {"key": key}
