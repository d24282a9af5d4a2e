"""How many calls a trunk may hold, and how fast it may start them; and the trunks of a tenant together.

Concurrent calls are a count; calls a second are a token bucket that holds one second's worth,
so a burst up to the rate passes and the average never exceeds it. A refusal takes no token: a
peer that keeps knocking at a full trunk is not punished twice. The limits are read from the
trunk that is passed in, so those of a reloaded configuration hold from the next call on while
the counts of running calls carry over. A call counts once for its tenant, however many of its legs are on
trunks of that tenant.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol


class HasBounds(Protocol):
    """Upper bounds; None is no bound."""

    @property
    def calls(self) -> int | None:
        """Concurrent calls."""

    @property
    def cps(self) -> float | None:
        """New calls a second."""


class HasLimits(Protocol):
    """What this module needs of a trunk: its name and its limits."""

    @property
    def trunk(self) -> str:
        """The trunk's name."""

    @property
    def limits(self) -> HasBounds:
        """Its bounds."""


class TenantBounds(NamedTuple):
    """The limits of all trunks of one tenant together."""

    tenant: str
    limits: HasBounds

    @property
    def trunk(self) -> str:
        """What its calls are counted under; no trunk has such a name."""
        return f"tenant {self.tenant}"


class _Usage:
    __slots__ = ("calls", "filled_at", "tokens")

    def __init__(self, tokens: float, now: float) -> None:
        self.calls = 0
        self.tokens = tokens
        self.filled_at = now

    def count(self, limits: HasBounds) -> None:
        """One more call, which nothing refuses."""
        self.calls += 1
        if limits.cps is not None:
            self.tokens -= 1.0


class CallLimits:
    """The calls of every trunk and tenant, counted; one for the life of the process."""

    __slots__ = ("_usage",)

    def __init__(self) -> None:
        self._usage: dict[str, _Usage] = {}

    def admit(self, trunk: HasLimits, now: float, tenant: HasLimits | None = None) -> str | None:
        """Count one more call of ``trunk``, or say in words why it is refused; ``now`` is in seconds.

        It counts for ``tenant`` as well, where one is given; who refuses it, neither counts it.
        """
        usage = self._of(trunk, now)
        refusal = _refusal(usage, trunk, f"trunk {trunk.trunk}", now)
        if refusal is not None:
            return refusal
        if tenant is not None:
            shared = self._of(tenant, now)
            refusal = _refusal(shared, tenant, tenant.trunk, now)
            if refusal is not None:
                return refusal
            shared.count(tenant.limits)
        usage.count(trunk.limits)
        return None

    def _of(self, each: HasLimits, now: float) -> _Usage:
        usage = self._usage.get(each.trunk)
        if usage is None:
            usage = self._usage[each.trunk] = _Usage(_depth(each.limits.cps), now)
        return usage

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


def _refusal(usage: _Usage, each: HasLimits, who: str, now: float) -> str | None:
    """Why one more call of ``each`` is too much at ``now``; nothing is counted yet."""
    limits = each.limits
    if limits.calls is not None and usage.calls >= limits.calls:
        return f"{who} has {usage.calls} calls and its limit is {limits.calls}"
    cps = limits.cps
    if cps is None:
        return None
    elapsed = max(0.0, now - usage.filled_at)
    usage.tokens = min(_depth(cps), usage.tokens + elapsed * cps)
    usage.filled_at = now
    return None if usage.tokens >= 1.0 else f"{who} is over its limit of {cps:g} calls a second"
