"""What one reader of a trace is shown: chosen as it happens, kept within a bound until it has been read.

A reader may be slow, stopped or dead, and no message waits for it: what there is no room for is counted, and
told as so many that were missed. A call that touches the chosen trunk is shown on both of its sides from then
on; one call is shown with the calls that it goes on as (a redirect, a transfer).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Final

from sbc.b2bua.commands import Note
from sbc.observe.journal import CALL_ENDED
from sbc.observe.tap import Event, Ruling, Seen
from sbc.observe.text import words
from sbc.observe.trace.frames import Encoder, lost
from sbc.observe.trace.telling import ruled

# What waits for a reader, in events and in octets of their messages.
WAITING: Final = 5000
WAITING_OCTETS: Final = 4 << 20
# Octets of messages after which a piece is long enough.
TOGETHER: Final = 1 << 16
# Calls whose both sides are shown because one of them is of the chosen trunk.
CALLS: Final = 5000
# Decisions about calls that have not come to the chosen trunk yet.
RULINGS: Final = 500
# Of how a call ended, which is told with all that its record has.
_OF_THE_END: Final = ("status", "reason", "by")
# What carries a Call-ID in the place of our name of a call; the message itself is beside it.
_OF_ARRIVALS: Final = "sips-arrival"


class View:
    """A follower of the tap for one reader; ``frames`` takes out what waits.

    ``trunk`` and ``call`` choose, "" all. After ``most`` messages (0: none is too many) it is ``over``, and
    says why. ``shown`` are the messages it took, ``missed`` those it lost.
    """

    __slots__ = (
        "_calls", "_encoder", "_live", "_missed", "_most", "_octets", "_of", "_rulings", "_trunk", "_waiting",
        "missed", "over", "shown",
    )  # fmt: skip

    def __init__(self, encoder: Encoder, trunk: str = "", call: str = "", most: int = 0) -> None:
        self._encoder = encoder
        self._trunk = trunk
        self._of: set[str] = {call} if call else set()
        self._live = set(self._of)
        self._most = most
        self._calls: OrderedDict[str, None] = OrderedDict()
        self._rulings: OrderedDict[str, Ruling] = OrderedDict()
        self._waiting: deque[Event | tuple[Note, float]] = deque()
        self._octets = 0
        self._missed = 0  # since the reader was told of it last
        self.missed = self.shown = 0
        self.over = ""

    def replay(self, events: Iterable[Event]) -> None:
        """Show what happened before, the last ``most`` of it, and nothing after it."""
        for event in events:
            if isinstance(event, Ruling):
                self.decided(event)
            elif self._chosen(event):
                self._show(event)
        while self._most and self.shown > self._most:
            first = self._waiting.popleft()
            if isinstance(first, Seen):
                self._octets -= len(first.octets)
                self.shown -= 1
        self.over = "these were the last messages"

    @property
    def ended(self) -> bool:
        """Whether the one call that is shown is over: what is still to come are answers."""
        return bool(self._of) and not self._live

    @property
    def idle(self) -> bool:
        """Whether nothing waits for the reader."""
        return not self._waiting and not self._missed

    # What happens

    def seen(self, seen: Seen) -> None:
        """Show a message, if it is chosen and there is room."""
        if self.over or not self._chosen(seen):
            return
        if len(self._waiting) >= WAITING or self._octets + len(seen.octets) > WAITING_OCTETS:
            self._missed += 1
            self.missed += 1
            return
        self._show(seen)
        if self._most and self.shown >= self._most:
            self.over = f"that was as many as were asked for: {self._most}"

    def _show(self, seen: Seen) -> None:
        self._waiting.append(seen)
        self._octets += len(seen.octets)
        self.shown += 1

    def _chosen(self, seen: Seen) -> bool:
        if self._of:
            return seen.call in self._of
        if not self._trunk:
            return True
        if seen.trunk != self._trunk:
            return seen.call in self._calls
        if seen.call and seen.call not in self._calls:
            self._calls[seen.call] = None
            if len(self._calls) > CALLS:
                self._calls.popitem(last=False)
            ruling = self._rulings.pop(seen.call, None)
            if ruling is not None:
                self._remark(ruling, True)
        return True

    def decided(self, ruling: Ruling) -> None:
        """Show what the rules decided about a call that is shown."""
        chosen = ruling.call in self._of if self._of else self._trunk in ("", ruling.trunk)
        if not chosen and not self._of:  # the call may still come to the chosen trunk
            self._rulings[ruling.call] = ruling
            if len(self._rulings) > RULINGS:
                self._rulings.popitem(last=False)
        self._remark(ruling, chosen)

    def noted(self, note: Note, now: float) -> None:
        """Show what else happened in a call that is shown, or without a call at a chosen trunk."""
        call = note.call
        if self._of:
            chosen = call in self._of
            if chosen:
                self._follow(note)
        elif self._trunk:
            chosen = call in self._calls if call else note.fields.get("trunk") == self._trunk
        else:
            chosen = True
        self._remark((note, now), chosen and note.event != _OF_ARRIVALS)

    def _follow(self, note: Note) -> None:
        """Follow the one call that is shown to where it goes on, and to its end."""
        if "as" in note.fields:
            self._of.add(str(note.fields["as"]))
            self._live.add(str(note.fields["as"]))
        if note.event == CALL_ENDED:
            self._live.discard(note.call)

    def _remark(self, event: Ruling | tuple[Note, float], chosen: bool) -> None:
        if chosen and not self.over and len(self._waiting) < WAITING:
            self._waiting.append(event)

    # What is read

    def frames(self, most: int) -> bytes:
        """The frames of the oldest ``most`` events, of fewer where they are long, and what was missed."""
        waiting = self._waiting
        found: list[bytes] = []
        octets = 0
        while waiting and len(found) < most and octets < TOGETHER:
            event = waiting.popleft()
            if isinstance(event, Seen):
                octets += len(event.octets)
                self._octets -= len(event.octets)
                found.append(self._encoder.message(event))
            elif isinstance(event, Ruling):
                found.append(self._encoder.remark("D", event.now, event.call, ruled(event.decision)))
            else:
                note, now = event
                found.append(self._encoder.remark("N", now, note.call, _noted(note)))
        if not waiting and self._missed:
            found.append(lost(self._missed))
            self._missed = 0
        return b"".join(found)


def _noted(note: Note) -> str:
    fields = note.fields
    if note.event == CALL_ENDED:
        fields = {name: fields[name] for name in _OF_THE_END if fields.get(name)}
    return note.event + words(fields)
