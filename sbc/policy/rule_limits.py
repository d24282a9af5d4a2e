"""The limits that rules set: so many calls at once, or in a time, for each caller, trunk or other key.

Those that are allowances of an hour or a day are kept in ``allowances``, and survive a restart; here is who
asks about all of them together.

Keys can be what a stranger writes into a From header, so what is kept of them is bounded: an entry that says
nothing any more is dropped, and beyond ``MOST_KEYS`` live ones a new key is refused rather than let through.
"""

from __future__ import annotations

from typing import Final

from dsl.decision import Limit
from sbc.policy.allowances import Allowances

MOST_KEYS = 100_000
_SWEEP = 1024
# Hooks may name limits as they like: of so many names refusals are counted.
_MOST_NAMES: Final = 1000


class _Usage:
    __slots__ = ("calls", "filled_at", "full_at", "tokens")

    def __init__(self, tokens: float, now: float) -> None:
        self.calls = 0
        self.tokens = tokens
        self.filled_at = now
        self.full_at = now


class RuleLimits:
    """The calls under every limit of every rule, counted; one for the life of the process."""

    __slots__ = ("_sweep_at", "_usage", "allowances", "refusals")

    def __init__(self) -> None:
        self._usage: dict[str, _Usage] = {}
        self._sweep_at = _SWEEP
        self.allowances = Allowances()
        self.refusals: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._usage)

    def admit(self, limits: tuple[Limit, ...], at: float, now: float) -> Limit | None:
        """Count one call under all of ``limits``, or under none and return the one that refuses it.

        ``at`` is monotonic, ``now`` the date of it.
        """
        for index, limit in enumerate(limits):
            if not (self._take(limit, at) if limit.window is None else self.allowances.take(limit, at, now)):
                for each in limits[:index]:
                    self._give_back(each)
                self._count_refusal(limit)
                return limit
        return None

    def resume(self, limits: tuple[Limit, ...], at: float) -> None:
        """A call that was just released goes on as another: it counts again, and no limit is asked."""
        for limit in limits:
            if not limit.seconds and limit.window is None:
                usage = self._usage.setdefault(limit.key, _Usage(float(limit.calls), at))
                usage.calls += 1

    def begin(self, limits: tuple[Limit, ...], call: str, at: float, now: float) -> None:
        """``call`` was answered: under those of ``limits`` that are of time it counts from now on."""
        for limit in limits:
            if limit.window is not None:
                self.allowances.begin(limit, call, at, now)

    def release(self, limits: tuple[Limit, ...], call: str, at: float, now: float) -> None:
        """``call``, which counted under ``limits``, has ended."""
        for limit in limits:
            if limit.window is not None:
                self.allowances.end(limit.key, call, at, now)
            elif not limit.seconds:
                self._release(limit.key)

    def _give_back(self, limit: Limit) -> None:
        """A call that was just counted never was one."""
        if limit.window is not None:
            self.allowances.give_back(limit)
        elif not limit.seconds:
            self._release(limit.key)
        elif limit.key in self._usage:
            self._usage[limit.key].tokens += 1.0

    def _release(self, key: str) -> None:
        usage = self._usage.get(key)
        if usage is not None:
            usage.calls -= 1
            if usage.calls <= 0:
                del self._usage[key]

    def _count_refusal(self, limit: Limit) -> None:
        name = limit.name
        if name not in self.refusals and len(self.refusals) >= _MOST_NAMES:
            name = ""
        self.refusals[name] = self.refusals.get(name, 0) + 1

    def _take(self, limit: Limit, now: float) -> bool:
        usage = self._usage.get(limit.key)
        if usage is None:
            if not self._room(now):
                return False
            usage = self._usage[limit.key] = _Usage(float(limit.calls), now)
        if not limit.seconds:
            if usage.calls >= limit.calls:
                self._drop_idle(limit.key, usage)
                return False
            usage.calls += 1
            return True
        rate = limit.calls / limit.seconds
        usage.tokens = min(float(limit.calls), usage.tokens + max(0.0, now - usage.filled_at) * rate)
        usage.filled_at = now
        if usage.tokens < 1.0:
            return False
        usage.tokens -= 1.0
        usage.full_at = now + (limit.calls - usage.tokens) / rate
        return True

    def _drop_idle(self, key: str, usage: _Usage) -> None:
        if usage.calls <= 0:  # a limit of no calls at all
            del self._usage[key]

    def _room(self, now: float) -> bool:
        """Make room for one more key: full buckets without calls say nothing."""
        if len(self._usage) >= self._sweep_at:
            idle = [key for key, usage in self._usage.items() if usage.calls <= 0 and usage.full_at <= now]
            for key in idle:
                del self._usage[key]
            self._sweep_at = max(_SWEEP, 2 * len(self._usage))
        return len(self._usage) < MOST_KEYS


def has_windows(limits: tuple[Limit, ...]) -> bool:
    """Whether any of them counts over an hour or a day, which may outlive us."""
    return any([each.window is not None for each in limits])


def without_windows(limits: tuple[Limit, ...]) -> tuple[Limit, ...]:
    """Those that count calls at once, or a rate."""
    return tuple([each for each in limits if each.window is None])
