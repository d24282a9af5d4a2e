"""The tap: whoever wants to know of every SIP message that comes or goes is told here, and only here.

The driver tells of a message that came when the engine has taken it in (so that an INVITE has its call by
now), before anything that it leads to is sent; and of one that goes when it has been written. So followers
hear everything in the order in which it happened. Where nobody follows, a message pays one ``if``.

A follower (``Follower``) is called in the middle of a call's turn. It must not wait and must be quick: it
keeps what it is told, within a bound of its own, and something else does the work. One that raises is let go,
and the call goes on. What it may keep is ``Seen``, which is frozen in all but name and holds no connection;
the octets in it are whole and unmasked, so nothing that leaves the process may have them as they are
(``sbc.observe.trace.masking``).

    sbc.driver.tap.follow(follower)      # and leave(follower)

One follower is always there: ``Rings`` keep the last messages of every trunk, for whoever asks afterwards
what happened. A ring holds so many messages of its trunk, with what the rules decided about its calls between
them. It is bounded in octets too, and so are all rings together: the more trunks have one, the less each may
hold.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from dsl.decision import Decision
from sbc.b2bua.call_ids import CallIds
from sbc.b2bua.commands import Decided, Note
from sbc.flow import Flow, Path
from sbc.observe.faults import place_of
from sbc.sip.message import Message
from sbc.sip.parse import ParseError

# Octets that one ring may hold, and all together: two hundred messages have some 200 KiB.
OF_ONE: Final = 1 << 20
OF_ALL: Final = 64 << 20
# What a message takes beside its octets.
OVERHEAD: Final = 250

_NO_CALL: Final = ("", "", "")


class Seen:
    """One SIP message that came (``sent`` is False) or went, as its octets.

    ``at`` is monotonic, ``now`` POSIX seconds. ``path`` is the flow: transport, addresses, what TLS proved.
    ``call`` is our name of the call, ``side`` the leg's ("a" is the caller's), both "" for what is of no call
    (REGISTER, OPTIONS, MESSAGE, what is refused at once). ``trunk`` is the leg's; without a call the flow's.
    ``call_id`` is the message's own. ``malformed`` says what is wrong with what is no SIP message.
    """

    __slots__ = ("at", "call", "call_id", "malformed", "now", "octets", "path", "sent", "side", "trunk")

    def __init__(
        self, at: float, now: float, sent: bool, path: Path, octets: bytes, call_id: str = "", call: str = "",
        side: str = "", trunk: str = "", malformed: str = "",
    ) -> None:  # fmt: skip
        self.at = at
        self.now = now
        self.sent = sent
        self.path = path
        self.octets = octets
        self.call_id = call_id
        self.call = call
        self.side = side
        self.trunk = trunk or path.trunk
        self.malformed = malformed


class Ruling:
    """The rules decided about ``call``, which came from ``trunk``; times as in ``Seen``."""

    __slots__ = ("at", "call", "decision", "now", "trunk")

    def __init__(self, at: float, now: float, call: str, trunk: str, decision: Decision) -> None:
        self.at = at
        self.now = now
        self.call = call
        self.trunk = trunk
        self.decision = decision


Event = Seen | Ruling


class Follower(Protocol):
    """Who is told; each must return at once."""

    def seen(self, seen: Seen) -> None:
        """A message came or went."""

    def decided(self, ruling: Ruling) -> None:
        """The rules decided about a call."""

    def noted(self, note: Note, now: float) -> None:
        """Something else happened that the journal is told, most of it of a call."""


class Tap:
    """Where the driver tells and ``followers`` hear; ``fault`` is told of one that failed."""

    __slots__ = ("_call_ids", "_fault", "followers", "listeners")

    def __init__(self, call_ids: CallIds, fault: Callable[[str], object]) -> None:
        self.followers: tuple[Follower | Rings, ...] = ()
        self.listeners: tuple[Follower, ...] = ()  # those of them that are told more than the messages
        self._call_ids = call_ids
        self._fault = fault

    def follow(self, follower: Follower | Rings) -> None:
        """Tell ``follower`` from now on."""
        self._tell_all((*self.followers, follower))

    def leave(self, follower: Follower | Rings) -> None:
        """Tell ``follower`` nothing more; harmless twice."""
        self._tell_all(tuple([each for each in self.followers if each is not follower]))

    def _tell_all(self, followers: tuple[Follower | Rings, ...]) -> None:
        self.followers = followers
        self.listeners = tuple([each for each in followers if not isinstance(each, Rings)])

    # What the driver tells

    def heard(self, flow: Flow, message: Message, at: float, now: float) -> None:
        """``message`` came on ``flow``."""
        head = message.head
        if head:
            message.head = b""  # it is not kept for as long as the message is
            self._message(flow, message, head + b"\r\n" + message.body, False, at, now)

    def sent(self, flow: Flow, message: Message, octets: bytes, at: float, now: float) -> None:
        """``message`` went out on ``flow`` as ``octets``."""
        self._message(flow, message, octets, True, at, now)

    def malformed(self, flow: Flow, error: ParseError, at: float, now: float) -> None:
        """What came on ``flow`` is no SIP message, or none that could be read."""
        self._tell(Seen(at, now, False, flow.path, error.octets, malformed=error.reason))

    def _message(
        self, flow: Flow, message: Message, octets: bytes, sent: bool, at: float, now: float
    ) -> None:
        call_id = message.headers.first.get("call-id", "")
        call, trunk, side = self._call_ids.found.get(call_id) or _NO_CALL
        self._tell(Seen(at, now, sent, flow.path, octets, call_id, call, side, trunk))

    def _tell(self, seen: Seen) -> None:
        for each in self.followers:
            try:
                each.seen(seen)
            except Exception as error:
                self._failed(each, error)

    def decided(self, command: Decided, at: float, now: float) -> None:
        """The rules decided about a call."""
        ruling = Ruling(at, now, command.call, command.trunk, command.decision)
        for each in self.followers:
            try:
                each.decided(ruling)
            except Exception as error:
                self._failed(each, error)

    def noted(self, note: Note, now: float) -> None:
        """The core noted something; worth calling where there are ``listeners``."""
        for each in self.listeners:
            try:
                each.noted(note, now)
            except Exception as error:
                self._failed(each, error)

    def _failed(self, follower: Follower | Rings, error: Exception) -> None:
        self.leave(follower)
        self._fault(place_of(error))


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
    """The follower that keeps the last ``most`` messages of each trunk; with 0 it keeps none."""

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
