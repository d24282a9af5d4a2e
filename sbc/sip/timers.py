"""The timer values of RFC 3261 (table 4 of its annex A) and RFC 6026, and the queue of deadlines.

Every live transaction has at most one valid entry in the queue: the earliest of its timers. An
entry is a deadline and a number, never the transaction, so a transaction that has ended is free
at once although its entry stays in the heap until its time. Stopping a timer does not touch the
heap: when the entry comes up, the transaction is asked what its earliest timer is now.
"""

from __future__ import annotations

from collections.abc import Mapping
from heapq import heappop, heappush
from typing import Final, Generic, Protocol, TypeVar

T1: Final = 0.5  # seconds: estimate of the round trip
T2: Final = 4.0  # seconds: longest interval between retransmissions of a non-INVITE request or a response
T4: Final = 5.0  # seconds: how long a message stays in the network
GIVE_UP: Final = 64 * T1

NEVER: Final = float("inf")

# Seconds until each timer fires for the first time.
DURATIONS: Final[dict[str, float]] = {
    "A": T1,
    "B": GIVE_UP,
    "C": 181.0,  # more than three minutes (RFC 3261 16.6)
    "D": 32.0,
    "E": T1,
    "F": GIVE_UP,
    "G": T1,
    "H": GIVE_UP,
    "I": T4,
    "J": GIVE_UP,
    "K": T4,
    "L": GIVE_UP,
    "M": GIVE_UP,
    "repeat": T1,
    "abandon": GIVE_UP,
}
CEILINGS: Final[dict[str, float]] = {"A": NEVER, "E": T2, "G": T2, "repeat": T2}
UNRELIABLE_ONLY: Final = frozenset("AEG")  # a reliable transport retransmits by itself
ZERO_IF_RELIABLE: Final = frozenset("DIJK")  # and nothing comes twice that would have to be absorbed


class Timed(Protocol):
    """What the queue needs of a transaction: its number, its timers, its place in the queue."""

    number: int
    timers: dict[str, float]
    queued: float


Item = TypeVar("Item", bound=Timed)


def _earliest(timers: dict[str, float]) -> float:
    earliest = NEVER
    for deadline in timers.values():
        if deadline < earliest:
            earliest = deadline
    return earliest


class TimerQueue(Generic[Item]):
    """The earliest deadline of each item of ``live`` (by number), in a heap with lazy deletion."""

    __slots__ = ("_heap", "_live")

    def __init__(self, live: Mapping[int, Item]) -> None:
        self._live = live
        self._heap: list[tuple[float, int]] = []

    def schedule(self, item: Item) -> None:
        """Enter ``item`` when its earliest timer is before the entry that it already has."""
        due = _earliest(item.timers)
        if due < item.queued:
            item.queued = due
            heappush(self._heap, (due, item.number))

    def next_deadline(self) -> float | None:
        """Return the earliest deadline (monotonic seconds), or None where nothing is waiting."""
        heap = self._heap
        while heap:
            due, number = heap[0]
            item = self._live.get(number)
            if item is not None and item.queued == due:
                if _earliest(item.timers) <= due:
                    return due
                item.queued = NEVER
                heappop(heap)
                self.schedule(item)
            else:
                heappop(heap)
        return None

    def pop_due(self, at: float) -> Item | None:
        """Take out the next item that has a timer due at ``at``; None when there is none."""
        due = self.next_deadline()
        if due is None or due > at:
            return None
        item = self._live[heappop(self._heap)[1]]
        item.queued = NEVER
        return item

    def __len__(self) -> int:
        return len(self._heap)
