"""The reserve of emergency calls: what each trunk may have of them beside all its limits.

A call within it is refused by no limit of ours and asked for no password. One beyond it is a call like any
other, so that a flood of emergency calls is stopped where a flood of calls is.
"""

from __future__ import annotations

from typing import Final, Literal, Protocol

from sbc.policy.limits import Usage
from sbc.policy.rates import depth

#: What a request is: no emergency call, one beyond the reserve of its trunk, or one within it.
Urgency = Literal["", "beyond", "within"]
BEYOND: Final = "beyond"
WITHIN: Final = "within"


class HasReserve(Protocol):
    """How much there is for each trunk."""

    @property
    def calls(self) -> int:
        """Calls at once."""

    @property
    def cps(self) -> float:
        """New calls a second."""


class Reserves:
    """The emergency calls of every trunk that hold a place, counted; one for the life of the process."""

    __slots__ = ("_usage",)

    def __init__(self) -> None:
        self._usage: dict[str, Usage] = {}

    def has_room(self, trunk: str, most: HasReserve, now: float) -> bool:
        """Whether one more call of ``trunk`` is within the reserve; ``now`` is in seconds."""
        usage = self._usage.get(trunk)
        if usage is None:
            usage = self._usage[trunk] = Usage(depth(most.cps), now)
        return usage.fill(most.cps, now) and usage.calls < most.calls

    def take_turn(self, trunk: str) -> None:
        """One came for which there was room: whatever becomes of it, it counts in its second."""
        self._usage[trunk].tokens -= 1.0

    def hold(self, trunk: str, now: float) -> None:
        """It is a call, and holds a place until it is released."""
        usage = self._usage.get(trunk)
        if usage is None:
            usage = self._usage[trunk] = Usage(0.0, now)
        usage.calls += 1

    def release(self, trunk: str) -> None:
        """A call that held a place has ended."""
        usage = self._usage.get(trunk)
        if usage is not None and usage.calls > 0:
            usage.calls -= 1

    def calls(self, trunk: str) -> int:
        """How many places calls of ``trunk`` hold."""
        usage = self._usage.get(trunk)
        return usage.calls if usage is not None else 0
