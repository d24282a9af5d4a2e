"""Connections made under what has been replaced since are closed, between transactions.

A connection that shows an old certificate is good: the peer accepted it and we accepted the peer. It
serves no new dialog of ours, and goes when nothing would be lost with it: no transaction is under
way, nothing has been heard for a moment, no call depends on it that could not be continued on
another. SIP has no way to say "the next request elsewhere, please", so a request that the peer sends
at the very moment of the closing is lost; hence the moment of silence. A peer that is never
silent is closed after a minute, in the gap between two transactions.
"""

from __future__ import annotations

from dataclasses import dataclass

import gevent

from sbc.flow import Flow
from sbc.net.handler import Handler
from sbc.net.system.clock import Clock
from sbc.net.transport import sweep

POLL = 0.1
QUIET = 0.5
PATIENCE = 60.0


@dataclass(slots=True)
class _Leaving:
    flow: Flow
    reason: str
    since: float


class Recycler:
    """The flows that are to go, ``leaving`` by their numbers; one greenlet, which lives as long as any."""

    def __init__(self, handler: Handler, clock: Clock) -> None:
        self._handler = handler
        self._clock = clock
        self.leaving: dict[int, _Leaving] = {}
        self._greenlet: gevent.Greenlet | None = None

    def __len__(self) -> int:
        return len(self.leaving)

    def add(self, flow: Flow, reason: str) -> None:
        """Close ``flow`` as soon as nothing is lost with it; ``reason`` is what its end is told as."""
        self.leaving.setdefault(flow.id, _Leaving(flow, reason, self._clock.monotonic()))
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def spare(self, flow: Flow) -> None:
        """``flow`` may stay after all."""
        self.leaving.pop(flow.id, None)

    def close(self) -> None:
        """Forget all of them."""
        self.leaving.clear()

    def _run(self) -> None:
        try:
            while self.leaving:
                gevent.sleep(POLL)
                now = self._clock.monotonic()
                for each in list(self.leaving.values()):
                    self._look(each, now)
        finally:
            self._greenlet = None

    def _look(self, each: _Leaving, now: float) -> None:
        flow = each.flow
        if flow.alive:
            sweep.note_heard(flow.channel, now)
            silent = now - flow.channel.last_heard >= QUIET or now - each.since >= PATIENCE
            if not silent or self._handler.busy(flow):
                return
            flow.channel.close(each.reason)
        self.leaving.pop(flow.id, None)
