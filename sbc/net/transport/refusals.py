"""Refusals at accept, reported without letting a flood of them flood the log."""

from __future__ import annotations

from sbc.base import Address
from sbc.net.handler import Handler
from sbc.net.system.clock import Clock

INTERVAL = 5.0


class Refusals:
    """Reports each kind of refusal of one listener at most once in five seconds, with a count."""

    __slots__ = ("_clock", "_handler", "_last", "_listener", "_silent")

    def __init__(self, listener: str, handler: Handler, clock: Clock) -> None:
        self._listener = listener
        self._handler = handler
        self._clock = clock
        self._last: dict[str, float] = {}
        self._silent: dict[str, int] = {}

    def note(self, address: Address, reason: str) -> None:
        """Report one refusal unless the same reason was reported just now."""
        now = self._clock.monotonic()
        last = self._last.get(reason)
        if last is not None and now - last < INTERVAL:
            self._silent[reason] = self._silent.get(reason, 0) + 1
            return
        self._last[reason] = now
        silent = self._silent.pop(reason, 0)
        text = f"{reason} ({silent} more since the last report)" if silent else reason
        self._handler.on_refused(self._listener, address, text)
