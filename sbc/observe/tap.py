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
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

from dsl.decision import Decision
from sbc.b2bua.call_ids import CallIds
from sbc.b2bua.commands import Decided, Note
from sbc.flow import Flow, Path
from sbc.observe.faults import place_of
from sbc.sip.message import Message
from sbc.sip.parse import ParseError

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

    __slots__ = ("_call_ids", "_fault", "followers")

    def __init__(self, call_ids: CallIds, fault: Callable[[str], object]) -> None:
        self.followers: tuple[Follower, ...] = ()
        self._call_ids = call_ids
        self._fault = fault

    def follow(self, follower: Follower) -> None:
        """Tell ``follower`` from now on."""
        self.followers = (*self.followers, follower)

    def leave(self, follower: Follower) -> None:
        """Tell ``follower`` nothing more; harmless twice."""
        self.followers = tuple([each for each in self.followers if each is not follower])

    # What the driver tells

    def heard(self, flow: Flow, message: Message, at: float, now: float) -> None:
        """``message`` came on ``flow``."""
        octets = message.take_octets()
        if octets:
            self._message(flow, message, octets, False, at, now)

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
        call, trunk, side = self._call_ids.of(call_id) or _NO_CALL
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
        """The core noted something."""
        for each in self.followers:
            try:
                each.noted(note, now)
            except Exception as error:
                self._failed(each, error)

    def _failed(self, follower: Follower, error: Exception) -> None:
        self.leave(follower)
        self._fault(place_of(error))
