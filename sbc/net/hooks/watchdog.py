"""Ending code that burns CPU and never yields.

``gevent.Timeout`` is raised by the hub, and the hub runs only when a greenlet yields: a hook in
an endless loop would stop every call in the process, the timeout with it. What still reaches
such code is a signal. While anything is watched, SIGALRM arrives every tenth of a second; its
handler runs inside whatever Python code the main thread is in. If that is a watched greenlet
past its deadline, ``OutOfTime`` is raised right there. If it is anything else, the watched
greenlets are waiting in the hub, and nothing needs to be done: their timeouts will fire.

Code that swallows ``OutOfTime`` with a bare ``except`` is raised at again, the second time with
line tracing on, which raises once more inside the handler that swallows. A single call into C
that never returns to Python cannot be ended by any signal.

Signals reach only the main thread; elsewhere nothing is watched.
"""

from __future__ import annotations

import signal
import sys
from time import monotonic
from types import FrameType
from typing import Any

from gevent import Greenlet, getcurrent

TICK = 0.1


class OutOfTime(BaseException):
    """Raised inside watched code that has burnt all its time."""


class Watchdog:
    """Watches greenlets of the main thread; the alarm ticks only while there are any."""

    def __init__(self) -> None:
        self._deadlines: dict[Greenlet, float] = {}
        self._raised: set[Greenlet] = set()
        self._former: Any = None

    def watch(self, target: Greenlet, seconds: float) -> None:
        """Raise OutOfTime in ``target`` when it still burns CPU after ``seconds``."""
        if not self._deadlines and not self._arm():
            return
        self._deadlines[target] = monotonic() + seconds
        first = signal.getitimer(signal.ITIMER_REAL)[0]
        if not 0.0 < first <= seconds:
            signal.setitimer(signal.ITIMER_REAL, seconds, TICK)

    def release(self, target: Greenlet) -> None:
        """Watch ``target`` no longer; the last one stops the alarm."""
        self._raised.discard(target)
        if self._deadlines.pop(target, None) is not None and not self._deadlines:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, self._former)

    def _arm(self) -> bool:
        try:
            self._former = signal.signal(signal.SIGALRM, self._tick) or signal.SIG_DFL
        except ValueError:  # not the main thread
            return False
        return True

    def _tick(self, number: int, frame: FrameType | None) -> None:
        current = getcurrent()
        deadline = self._deadlines.get(current)
        if deadline is None or monotonic() < deadline or _in_gevent(frame):
            return
        if current in self._raised:
            _trace_swallowing(frame)
        self._raised.add(current)
        raise OutOfTime


def _in_gevent(frame: FrameType | None) -> bool:
    """Whether gevent's own code runs, which must not be torn; the next tick tries again."""
    return frame is not None and str(frame.f_globals.get("__name__", "")).startswith("gevent")


def _trace_swallowing(frame: FrameType | None) -> None:
    sys.settrace(_raise_in_handler)
    while frame is not None:
        frame.f_trace = _raise_in_handler
        frame = frame.f_back


def _raise_in_handler(frame: FrameType, event: str, argument: object) -> Any:
    if event == "line" and isinstance(sys.exception(), OutOfTime):
        raise OutOfTime
    return _raise_in_handler
