"""How many calls a trunk may hold, and how fast it may start them; and the trunks of a tenant together.

Concurrent calls are a count; calls a second are a token bucket that holds one second's worth,
so a burst up to the rate passes and the average never exceeds it. A refusal takes no token: a
peer that keeps knocking at a full trunk is not punished twice. The limits are read from the
trunk that is passed in, so those of a reloaded configuration hold from the next call on while
the counts of running calls carry over. A call counts once for its tenant, however many of its legs are on
trunks of that tenant.
"""

from __future__ import annotations

from typing import Final, NamedTuple, Protocol

from sbc.policy.rates import Bucket, depth

#: The limit of one caller, as a refusal names it.
PER_CALLER: Final = "limits.calls_per_caller"


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


class HasSharedBounds(HasBounds, Protocol):
    """Those of a tenant."""

    @property
    def calls_per_caller(self) -> int | None:
        """Concurrent calls of one caller."""


class TenantBounds(NamedTuple):
    """The limits of all trunks of one tenant together."""

    tenant: str
    limits: HasSharedBounds

    @property
    def trunk(self) -> str:
        """What its calls are counted under; no trunk has such a name."""
        return f"tenant {self.tenant}"


class CallerBounds(NamedTuple):
    """How many calls one caller of a trunk or tenant, ``whose``, may have at once."""

    caller: str
    whose: str
    calls: int

    @property
    def trunk(self) -> str:
        """What its calls are counted under; no trunk has such a name."""
        return f"caller {self.caller} of {self.whose}"

    @property
    def limits(self) -> HasBounds:
        """Its bounds."""
        return self

    @property
    def cps(self) -> float | None:
        """It has none of these."""
        return None


class Usage(Bucket):
    """Calls that are held, and a bucket of tokens for new ones."""

    __slots__ = ("calls",)

    def __init__(self, tokens: float, now: float) -> None:
        super().__init__(tokens, now)
        self.calls = 0


class Refused(NamedTuple):
    """A call is one too many: the key of the configuration that says so, and why in words."""

    cap: str
    why: str


class CallLimits:
    """The calls of every trunk and tenant, counted; one for the life of the process."""

    __slots__ = ("_usage",)

    def __init__(self) -> None:
        self._usage: dict[str, Usage] = {}

    def admit(
        self, trunk: HasLimits, now: float, always: bool = False, tenant: TenantBounds | None = None
    ) -> Refused | None:
        """Count one more call of ``trunk``, or say why it is refused; ``now`` is in seconds.

        It counts for ``tenant`` as well, where one is given; who refuses it, neither counts it.
        ``always``: no limit is asked, for it is an emergency call.
        """
        usage, limits = self._usage.get(trunk.trunk) or self._begun(trunk, now), trunk.limits
        shared = None
        if tenant is not None:
            shared = self._usage.get(tenant.trunk) or self._begun(tenant, now)
        if not always:
            refusal = None
            if limits.calls is not None or limits.cps is not None:
                refusal = _refusal(usage, limits, "", f"trunk {trunk.trunk}", now)
            if refusal is None and tenant is not None and shared is not None:
                refusal = _refusal(shared, tenant.limits, "tenant.", tenant.trunk, now)
            if refusal is not None:
                return refusal
            if limits.cps is not None:
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

    def admit_caller(self, caller: CallerBounds, now: float) -> Refused | None:
        """Count one more call of ``caller``, or say why it is refused: it has as many as it may have."""
        usage = self._usage.get(caller.trunk)
        if usage is None:
            usage = self._begun(caller, now)
        elif usage.calls >= caller.calls:
            kind = "tenant." if caller.whose.startswith("tenant ") else ""
            why = f"{caller.trunk} has {usage.calls} calls and its limit is {caller.calls}"
            return Refused(f"{kind}{PER_CALLER}", why)
        usage.calls += 1
        return None

    def resume(self, trunk: HasLimits) -> None:
        """A call that was just released goes on as another: it counts again, and no limit is asked."""
        usage = self._usage.get(trunk.trunk)
        if usage is None:
            usage = self._begun(trunk, 0.0)
        usage.calls += 1

    def release(self, trunk: HasLimits) -> None:
        """One call of ``trunk`` has ended; every admitted call is released exactly once."""
        usage = self._usage.get(trunk.trunk)
        if usage is None or usage.calls <= 0:
            return
        usage.calls -= 1
        if not usage.calls and isinstance(trunk, CallerBounds):
            del self._usage[trunk.trunk]  # there is no end of callers

    def __len__(self) -> int:
        return len(self._usage)

    def calls(self, trunk: str) -> int:
        """The calls that the trunk of this name holds now."""
        usage = self._usage.get(trunk)
        return usage.calls if usage is not None else 0


def _refusal(usage: Usage, limits: HasBounds, kind: str, who: str, now: float) -> Refused | None:
    """Why one more call is too much at ``now``; nothing is counted yet."""
    if limits.calls is not None and usage.calls >= limits.calls:
        return Refused(
            f"{kind}limits.calls", f"{who} has {usage.calls} calls and its limit is {limits.calls}"
        )
    if limits.cps is None or usage.fill(limits.cps, now):
        return None
    return Refused(f"{kind}limits.cps", f"{who} is over its limit of {limits.cps:g} calls a second")
