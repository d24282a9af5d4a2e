"""How many calls a trunk may hold, and how fast it may start them.

Concurrent calls are a count; calls a second are a token bucket that holds one second's worth,
so a burst up to the rate passes and the average never exceeds it. A refusal takes no token: a
peer that keeps knocking at a full trunk is not punished twice. The limits are read from the
trunk that is passed in, so those of a reloaded configuration hold from the next call on while
the counts of running calls carry over.
"""

from __future__ import annotations

from typing import Protocol


class HasBounds(Protocol):
    """Upper bounds; None is no bound."""

    @property
    def calls(self) -> int | None:
        """Concurrent calls."""

    @property
    def cps(self) -> float | None:
        """New calls a second."""

    @property
    def messages(self) -> float | None:
        """Requests outside of calls a second."""


class HasLimits(Protocol):
    """What this module needs of a trunk: its name and its limits."""

    @property
    def trunk(self) -> str:
        """The trunk's name."""

    @property
    def limits(self) -> HasBounds:
        """Its bounds."""


class _Usage:
    __slots__ = ("calls", "filled_at", "tokens")

    def __init__(self, tokens: float, now: float) -> None:
        self.calls = 0
        self.tokens = tokens
        self.filled_at = now


class CallLimits:
    """The calls of every trunk, counted; one for the life of the process."""

    __slots__ = ("_messages", "_usage")

    def __init__(self) -> None:
        self._usage: dict[str, _Usage] = {}
        self._messages: dict[str, _Usage] = {}

    def admit(self, trunk: HasLimits, now: float, always: bool = False) -> str | None:
        """Count one more call of ``trunk``, or say in words why it is refused; ``now`` is in seconds.

        ``always``: no limit is asked, for it is an emergency call.
        """
        limits = trunk.limits
        usage = self._usage.get(trunk.trunk)
        if usage is None:
            usage = self._usage[trunk.trunk] = _Usage(_depth(limits.cps), now)
        if always:
            usage.calls += 1
            return None
        if limits.calls is not None and usage.calls >= limits.calls:
            return f"trunk {trunk.trunk} has {usage.calls} calls and its limit is {limits.calls}"
        if limits.cps is not None and not _take(usage, limits.cps, now):
            return f"trunk {trunk.trunk} is over its limit of {limits.cps:g} calls a second"
        usage.calls += 1
        return None

    def admit_message(self, trunk: HasLimits, now: float) -> str | None:
        """Let one more request outside of calls pass, or say in words why ``trunk`` may send none now."""
        most = trunk.limits.messages
        if most is None:
            return None
        usage = self._messages.get(trunk.trunk)
        if usage is None:
            usage = self._messages[trunk.trunk] = _Usage(_depth(most), now)
        if _take(usage, most, now):
            return None
        return f"trunk {trunk.trunk} is over its limit of {most:g} messages a second"

    def resume(self, trunk: HasLimits) -> None:
        """A call that was just released goes on as another: it counts again, and no limit is asked."""
        usage = self._usage.get(trunk.trunk)
        if usage is not None:
            usage.calls += 1

    def release(self, trunk: HasLimits) -> None:
        """One call of ``trunk`` has ended; every admitted call is released exactly once."""
        usage = self._usage.get(trunk.trunk)
        if usage is not None and usage.calls > 0:
            usage.calls -= 1

    def calls(self, trunk: str) -> int:
        """The calls that the trunk of this name holds now."""
        usage = self._usage.get(trunk)
        return usage.calls if usage is not None else 0


def _depth(cps: float | None) -> float:
    """A bucket holds one second's worth, but a whole token where the rate is under one a second."""
    return max(1.0, cps) if cps else 0.0


def _take(usage: _Usage, cps: float, now: float) -> bool:
    elapsed = max(0.0, now - usage.filled_at)
    usage.tokens = min(_depth(cps), usage.tokens + elapsed * cps)
    usage.filled_at = now
    if usage.tokens < 1.0:
        return False
    usage.tokens -= 1.0
    return True
