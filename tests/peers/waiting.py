"""Waiting for what happens soon: a test looks again and again, here and nowhere else.

How long it may take is no promise of the product's, so no test compares elapsed time. The limit only says
when a test gives up, and it is generous: a busy machine may take ten times as long as a quiet one. Whether
something holds others up is shown by the order of what happens, not by how long it took.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

import gevent
import pytest

Seen = TypeVar("Seen")

PATIENCE = 30.0  # seconds; only a test that fails waits so long
SHOWN = 3000  # characters of what was seen last


def _fail(reason: str) -> NoReturn:
    pytest.fail(reason)


def until(
    look: Callable[[], Seen],
    what: str = "",
    seconds: float = PATIENCE,
    *,
    holds: Callable[[Seen], object] = bool,
    fail: Callable[[str], Any] = _fail,
) -> Seen:
    """What ``look`` returns, as soon as that is true, or as soon as ``holds`` says so of it.

    After ``seconds`` the test fails with ``what`` was waited for and what was seen last; or what ``fail``
    makes of that text is raised. Other greenlets go on meanwhile; where there are none, this simply sleeps.
    """
    __tracebackhide__ = True
    limit, pause = time.monotonic() + seconds, 0.002
    while True:
        over = time.monotonic() > limit  # asked before the last look, however long that takes
        seen = look()
        if holds(seen):
            return seen
        if over:
            raise fail(f"not within {seconds:g} s: {what or 'what must happen'}; seen last: {_shown(seen)}")
        gevent.sleep(pause)
        pause = min(2 * pause, 0.05)


def until_equal(look: Callable[[], Seen], wanted: object, what: str = "", seconds: float = PATIENCE) -> Seen:
    """The same, for a value that must become ``wanted``."""
    __tracebackhide__ = True
    return until(look, what or repr(wanted), seconds, holds=lambda seen: seen == wanted)


def until_said(read: Callable[[], str], words: str, seconds: float = PATIENCE) -> str:
    """The same, for a text in which ``words`` must come to stand; the whole text."""
    __tracebackhide__ = True
    return until(read, repr(words), seconds, holds=lambda text: words in text)


def until_freed(look: Callable[[], Seen], what: str) -> Seen:
    """The same, of what the collector frees: where another thread collects just then, ours does nothing."""
    __tracebackhide__ = True

    def collected() -> Seen:
        gc.collect()
        return look()

    return until(collected, what)


def _shown(seen: object) -> str:
    """A text as it is, the end of it; of all else what Python shows."""
    return f"\n{seen[-SHOWN:]}" if isinstance(seen, str) else repr(seen)[:SHOWN]
