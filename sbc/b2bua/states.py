"""The life of a call as a table: what an event does in each state (RFC 3261 9, 13, 15).

A row reads: in this state, on this event, go to that state and do these things, in this order. An event
for which a state has no row changes nothing, and ``complete`` writes that down, so that the table is total.

States: ``routing``, rules and hooks are asked; ``trying``, a callee is sought; ``ringing``, one has been
heard; ``answered``, its 2xx is with the caller; ``up``, the caller's ACK has come; ``left``, whoever
referred the other side to somebody has hung up, and that one is not connected yet; ``ended``.

Events:

- ``decision``: rules and hooks have spoken.
- ``provisional``, ``answer``: a callee's 1xx above 100, or its 2xx, may go to the caller.
- ``ack``: the caller's ACK for the 2xx has been carried across.
- ``refused``: the caller was given any other final response.
- ``redirected``: the callee named another place, and the caller's INVITE goes on as another call.
- ``cancel``: the caller's CANCEL; it has no effect once there was a final response (9.2).
- ``lost``: the caller's connection closed before there was an answer, and no other can be had that one could
  reach it on; a 2xx that came meanwhile has reached nobody.
- ``bye``: either side hung up. In an early dialog that ends the INVITE (15); afterwards it is passed on. One
  before the caller's ACK is too, and what we clear then gets its BYE at once, although 15 has a callee wait
  for the ACK: a call that is over holds nothing, and the 2xx is repeated until it comes.
- ``leave``: the side that has referred the other one hung up, and the other waits (RFC 3515).
- ``moved``: the side that was referred has another call now, and this one ends for the other.
- ``idle``: no media is heard, which proves something only when the call is up.
- ``clear``: the call ends from our side: an operator, a hook, no ACK, media that must not be used, a far side
  that no longer answers.

Actions: ``go on``, the event is to be carried out by whoever fired it; ``withdraw``, CANCEL what was sent and
give the caller a final response; ``confirm``, the setup is over; ``end near``, the dialog with whoever said
BYE is over; ``bye ...``, hang up on a side; ``release``, give everything back, and write the record.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from sbc.b2bua.leg import Side
from sbc.b2bua.translate import Fields
from sbc.sip.message import Request
from sbc.sip.transaction import complete

Party = Literal["caller", "callee", "us"]
State = Literal["routing", "trying", "ringing", "answered", "up", "left", "ended"]
Event = Literal[
    "decision",
    "provisional",
    "answer",
    "ack",
    "refused",
    "redirected",
    "cancel",
    "lost",
    "bye",
    "leave",
    "moved",
    "idle",
    "clear",
]
Row = tuple[State, tuple[str, ...]]

ROUTING: Final = "routing"
TRYING: Final = "trying"
RINGING: Final = "ringing"
ANSWERED: Final = "answered"
UP: Final = "up"
LEFT: Final = "left"
ENDED: Final = "ended"
EARLY: Final[tuple[State, ...]] = (ROUTING, TRYING, RINGING)

_WITHDRAWN: Final[Row] = (ENDED, ("withdraw", "release"))
_HUNG_UP: Final[Row] = (ENDED, ("end near", "bye far", "release"))
_CLEARED: Final[Row] = (ENDED, ("bye a", "bye b", "release"))

CALL: Final[Mapping[tuple[State, Event], Row]] = complete(
    {
        (ROUTING, "decision"): (TRYING, ("go on",)),
        (ROUTING, "refused"): (ENDED, ("release",)),
        (ROUTING, "cancel"): _WITHDRAWN,
        (ROUTING, "lost"): _WITHDRAWN,
        (ROUTING, "bye"): _WITHDRAWN,
        (ROUTING, "clear"): _WITHDRAWN,
        (TRYING, "provisional"): (RINGING, ("go on",)),
        (TRYING, "answer"): (ANSWERED, ("go on",)),
        (TRYING, "refused"): (ENDED, ("release",)),
        (TRYING, "redirected"): (ENDED, ("release",)),
        (TRYING, "cancel"): _WITHDRAWN,
        (TRYING, "lost"): _WITHDRAWN,
        (TRYING, "bye"): _WITHDRAWN,
        (TRYING, "clear"): _WITHDRAWN,
        (RINGING, "provisional"): (RINGING, ("go on",)),
        (RINGING, "answer"): (ANSWERED, ("go on",)),
        (RINGING, "refused"): (ENDED, ("release",)),
        (RINGING, "redirected"): (ENDED, ("release",)),
        (RINGING, "cancel"): _WITHDRAWN,
        (RINGING, "lost"): _WITHDRAWN,
        (RINGING, "bye"): _WITHDRAWN,
        (RINGING, "clear"): _WITHDRAWN,
        (ANSWERED, "ack"): (UP, ("confirm",)),
        (ANSWERED, "lost"): _CLEARED,
        (ANSWERED, "bye"): _HUNG_UP,
        (ANSWERED, "clear"): _CLEARED,
        (UP, "bye"): _HUNG_UP,
        (UP, "leave"): (LEFT, ("end near",)),
        (UP, "moved"): (ENDED, ("bye far", "release")),
        (UP, "idle"): _CLEARED,
        (UP, "clear"): _CLEARED,
        (LEFT, "bye"): _HUNG_UP,
        (LEFT, "moved"): (ENDED, ("release",)),
        (LEFT, "clear"): _CLEARED,
    }
)


@dataclass(slots=True, init=False)
class Ending:
    """How a call comes to its end: ``why`` and ``by`` whom, for its record.

    ``status`` and ``phrase`` are of the final response that the caller still gets, or has got; ``reasons``
    cross with a CANCEL, ``bye`` is the request of the ``side`` that hung up.
    """

    why: str
    by: Party
    status: int
    phrase: str
    reasons: Fields
    side: Side
    bye: Request | None

    def __init__(
        self, why: str, by: Party = "us", status: int = 480, phrase: str = "", reasons: Fields = (),
        side: Side = "a", bye: Request | None = None,
    ) -> None:  # fmt: skip
        self.why = why
        self.by = by
        self.status = status
        self.phrase = phrase
        self.reasons = reasons
        self.side = side
        self.bye = bye
