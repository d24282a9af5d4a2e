"""What a hook costs everybody: the time in which nothing else ran, and the memory that it keeps.

One greenlet runs at a time. A hook that computes for 200 ms stays within its limit and still delays
every other call by as much; one that keeps what it is told makes the process grow until it is
killed. Neither can be prevented from outside, so both are named, seldom enough not to fill the journal.

Time and memory are a hook's own where it never waited: then the event loop has not gone round
between its begin and its end, and nobody else can have used either. Of a run that waited, nothing
is counted. Memory is what the kernel holds for the process; a hook that takes from what others have
just freed is found later, so the figure is too small rather than too large.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from time import monotonic
from typing import NamedTuple

import gevent

from sbc.config.hook_set import Hook

HELD = 0.05
GROWN = 64 << 20
AGAIN = 60.0

Told = Callable[[str, dict[str, object]], object]


class _Moment(NamedTuple):
    loop: float
    at: float
    memory: int


class HookCosts:
    """Measures every run of every hook; ``memory`` gives the process' bytes."""

    def __init__(self, memory: Callable[[], int] | None = None) -> None:
        self._memory = memory or _Resident().bytes
        self._grown: dict[str, int] = {}
        self._told_at: dict[str, int] = {}
        self._slow_at: dict[str, float] = {}

    def begin(self) -> _Moment:
        """What is known before a hook runs."""
        return _Moment(gevent.get_hub().loop.now(), monotonic(), self._memory())

    def end(self, hook: Hook, before: _Moment, told: Told) -> None:
        """The hook has returned: tell if it held everything up for long, or has kept much by now."""
        if gevent.get_hub().loop.now() != before.loop:
            return
        now = monotonic()
        held = now - before.at
        if held >= HELD and now - self._slow_at.get(hook.path, -AGAIN) >= AGAIN:
            self._slow_at[hook.path] = now
            told("hook-slow", {**_named(hook), "held_everything_ms": round(held * 1000)})
        self._keep_account(hook, self._memory() - before.memory, told)

    def _keep_account(self, hook: Hook, growth: int, told: Told) -> None:
        if not growth:
            return
        path = hook.path
        grown = self._grown[path] = max(0, self._grown.get(path, 0) + growth)
        if grown >= self._told_at.get(path, GROWN):
            self._told_at[path] = 2 * grown
            told("hook-grows", {**_named(hook), "kept_mib": grown >> 20})


def _named(hook: Hook) -> dict[str, object]:
    return {"file": hook.path, "line": hook.line, "hook": hook.point}


class _Resident:
    """The resident memory of this process, as the kernel counts it; 0 where there is no /proc."""

    def __init__(self) -> None:
        self._page = os.sysconf("SC_PAGE_SIZE")
        self._file: int | None = None

    def bytes(self) -> int:
        """Bytes of memory that the process holds now."""
        if self._file is None:  # not before: a process that was forked since would look at its parent
            try:
                self._file = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                self._file = -1
        if self._file < 0:
            return 0
        return int(os.pread(self._file, 128, 0).split()[1]) * self._page
