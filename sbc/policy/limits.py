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


class HasAllBounds(HasBounds, Protocol):
    """Those of a trunk."""

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


class HasAllLimits(Protocol):
    """The same, of a trunk alone."""

    @property
    def trunk(self) -> str:
        """The trunk's name."""

    @property
    def limits(self) -> HasAllBounds:
        """Its bounds."""


class TenantBounds(NamedTuple):
    """The limits of all trunks of one tenant together."""

    tenant: str
    limits: HasBounds

    @property
    def trunk(self) -> str:
        """What its calls are counted under; no trunk has such a name."""
        return f"tenant {self.tenant}"


class Usage:
    """Calls that are held, and a bucket of tokens for new ones."""

    __slots__ = ("calls", "filled_at", "tokens")

    def __init__(self, tokens: float, now: float) -> None:
        self.calls = 0
        self.tokens = tokens
        self.filled_at = now


class CallLimits:
    """The calls of every trunk and tenant, counted; one for the life of the process."""

    __slots__ = ("_messages", "_usage")

    def __init__(self) -> None:
        self._usage: dict[str, Usage] = {}
        self._messages: dict[str, Usage] = {}

    def admit(
        self, trunk: HasLimits, now: float, always: bool = False, tenant: TenantBounds | None = None
    ) -> str | None:
        """Count one more call of ``trunk``, or say in words why it is refused; ``now`` is in seconds.

        It counts for ``tenant`` as well, where one is given; who refuses it, neither counts it.
        ``always``: no limit is asked, for it is an emergency call.
        """
        name, limits = trunk.trunk, trunk.limits
        usage, cps, shared = self._usage.get(name) or self._begun(trunk, now), limits.cps, None
        if tenant is not None:
            shared = self._usage.get(tenant.trunk) or self._begun(tenant, now)
        if not always:
            refusal = None
            if cps is not None or limits.calls is not None:
                refusal = _refusal(usage, limits, f"trunk {name}", now)
            if refusal is None and tenant is not None and shared is not None:
                refusal = _refusal(shared, tenant.limits, tenant.trunk, now)
            if refusal is not None:
                return refusal
            if cps is not None:
                usage.tokens -= 1.0
            if tenant is not None and shared is not None and tenant.limits.cps is not None:
                shared.tokens -= 1.0
        usage.calls += 1
        if shared is not None:
            shared.calls += 1
        return None

    def _begun(self, each: HasLimits, now: float) -> Usage:
        usage = self._usage[each.trunk] = Usage(depth(each.limits.cps), now)
        return usage

    def admit_message(self, trunk: HasAllLimits, now: float) -> str | None:
        """Let one more request outside of calls pass, or say in words why ``trunk`` may send none now."""
        most = trunk.limits.messages
        if most is None:
            return None
        usage = self._messages.get(trunk.trunk)
        if usage is None:
            usage = self._messages[trunk.trunk] = Usage(depth(most), now)
        if not fill(usage, most, now):
            return f"trunk {trunk.trunk} is over its limit of {most:g} messages a second"
        usage.tokens -= 1.0
        return None

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


def depth(cps: float | None) -> float:
    """A bucket holds one second's worth, but a whole token where the rate is under one a second."""
    return max(1.0, cps) if cps else 0.0


def _refusal(usage: Usage, limits: HasBounds, who: str, now: float) -> str | None:
    """Why one more call is too much at ``now``; nothing is counted yet."""
    if limits.calls is not None and usage.calls >= limits.calls:
        return f"{who} has {usage.calls} calls and its limit is {limits.calls}"
    if limits.cps is None or fill(usage, limits.cps, now):
        return None
    return f"{who} is over its limit of {limits.cps:g} calls a second"


def fill(usage: Usage, rate: float, now: float) -> bool:
    """Add the tokens of the time that has passed; whether there is one."""
    elapsed = max(0.0, now - usage.filled_at)
    usage.tokens = min(depth(rate), usage.tokens + elapsed * rate)
    usage.filled_at = now
    return usage.tokens >= 1.0
