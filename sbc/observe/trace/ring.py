"""The last messages of every trunk, kept for whoever asks afterwards what happened.

A ring holds so many messages of its trunk, with what the rules decided about its calls between them. It is
bounded in octets too, and so are all rings together: the more trunks have one, the less each may hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final

from sbc.b2bua.commands import Note
from sbc.observe.tap import Ruling, Seen

Event = Seen | Ruling

# Octets that one ring may hold, and all together: two hundred messages have some 200 KiB.
OF_ONE: Final = 1 << 20
OF_ALL: Final = 64 << 20
# What a message takes beside its octets.
OVERHEAD: Final = 250


class _Ring:
    __slots__ = ("events", "messages", "octets")

    def __init__(self) -> None:
        self.events: deque[Event] = deque()
        self.messages = 0
        self.octets = 0

    def shrink(self, messages: int, octets: int) -> None:
        events, shrunk = self.events, False
        while events and (
            self.messages > messages
            or self.octets > octets
            or (shrunk and isinstance(events[0], Ruling))  # about a message that is gone
        ):
            event, shrunk = events.popleft(), True
            if isinstance(event, Seen):
                self.messages -= 1
                self.octets -= len(event.octets)
            self.octets -= OVERHEAD


class Rings:
    """A follower of the tap that keeps the last ``most`` messages of each trunk; with 0 it keeps none."""

    __slots__ = ("_each", "_most", "_rings")

    def __init__(self, most: int = 0) -> None:
        self._most = most
        self._rings: dict[str, _Ring] = {}
        self._each = OF_ONE

    def keep(self, most: int, trunks: Iterable[str]) -> None:
        """From now on keep the last ``most`` messages of each trunk, and those of ``trunks`` alone."""
        self._most = most
        known = set(trunks)
        for name in list(self._rings):
            if not most or name not in known:
                del self._rings[name]
        self._share()

    def seen(self, seen: Seen) -> None:
        """Keep a message, and let go of the oldest of its trunk for it."""
        ring = self._rings.get(seen.trunk) or self._new(seen.trunk)
        ring.events.append(seen)
        ring.messages += 1
        ring.octets += len(seen.octets) + OVERHEAD
        if ring.messages > self._most or ring.octets > self._each:
            ring.shrink(self._most, self._each)

    def decided(self, ruling: Ruling) -> None:
        """Keep it between the messages of the caller's trunk."""
        ring = self._rings.get(ruling.trunk)
        if ring is not None:
            ring.events.append(ruling)
            ring.octets += OVERHEAD
            if ring.octets > self._each:
                ring.shrink(self._most, self._each)

    def noted(self, note: Note, now: float) -> None:
        """The journal has it."""

    def last(self) -> list[Event]:
        """What is kept of all trunks, in the order in which it happened."""
        events = [event for ring in self._rings.values() for event in ring.events]
        return sorted(events, key=lambda event: event.at)

    @property
    def octets(self) -> int:
        """What all of it takes, about."""
        return sum(ring.octets for ring in self._rings.values())

    def _new(self, trunk: str) -> _Ring:
        ring = self._rings[trunk] = _Ring()
        self._share()
        return ring

    def _share(self) -> None:
        self._each = min(OF_ONE, OF_ALL // max(1, len(self._rings)))
        for ring in self._rings.values():
            ring.shrink(self._most, self._each)
