"""The four transaction machines as tables: RFC 3261 17.1.1, 17.1.2, 17.2.1, 17.2.2, with RFC 6026.

A row reads: in this state, on this input, go to that state and do these things, in this order.
The rows are the arrows of the RFCs' figures; an input for which a state has no arrow changes
nothing, and ``complete`` writes that down, so that the tables that run are total.

Inputs are what comes from the wire (``request``: a retransmission; ``ack``; a response by its
class), what the user passes down (``start``; a response by its class), the name of a timer that
fired, ``transport``: the flow is gone, and ``moved``: a server goes on over another. Responses have
three classes: ``1xx``, ``2xx`` and ``final`` (3xx to 6xx).

What is not in the figures:

- The 2xx to an INVITE is retransmitted here (timer ``repeat``), although RFC 3261 13.3.1.4 gives
  that to the user above: it needs the same clock and queue. It goes on over reliable flows too,
  because a later hop may be unreliable. To know when to stop, Accepted is split in two: once the
  ACK has come the state is Acknowledged, which only absorbs until timer L.
- A flow that closes ends only what cannot go on over another of the same peer. A client INVITE that has
  been heard of waits for a response there (RFC 3261 18.1.1), and Accepted for an ACK or a repeated 2xx; a
  server that has no final answer yet, or no ACK for its 2xx, tells its user (``lost``), who may find
  another (18.2.2), or gives the answer all the same, to nobody.
  That INVITE's user is told too (``adrift``), for a server that has died will say no more.
- An INVITE of which nothing was heard when its flow closed is over for its user, but it may have been read:
  for 64*T1 it is Lost, so that who rings all the same is heard, to be cancelled, and who answers, to be
  acknowledged and hung up (13.2.2.4). A refusal gets its ACK and changes nothing.
- Timer C of a proxy (16.6, 16.8) runs only while such an INVITE waits: how long a call may ring is the
  trunk's policy, and the user then cancels. When it fires the user cancels too.
- ``cancelled``: a CANCEL was sent for this INVITE; where no final response comes within 64*T1
  (timer ``abandon``) the transaction ends (RFC 3261 9.1).
- ``drop``: messages that nobody needs any more are let go of while the state lives on.

Over a reliable flow timers A, E and G are not started and D, I, J and K are zero while it lives: the
machine goes straight on to Terminated, which is why their ``start`` comes last in its row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeVar

State = Literal[
    "Calling", "Trying", "Proceeding", "Lost", "Accepted", "Acknowledged", "Completed", "Confirmed",
    "Terminated",
]  # fmt: skip
S = TypeVar("S", bound=str)
E = TypeVar("E", bound=str)
Row = tuple[State, tuple[str, ...]]
Table = Mapping[tuple[State, str], Row]

CALLING: Final = "Calling"
TRYING: Final = "Trying"
PROCEEDING: Final = "Proceeding"
LOST: Final = "Lost"
ACCEPTED: Final = "Accepted"
ACKNOWLEDGED: Final = "Acknowledged"
COMPLETED: Final = "Completed"
CONFIRMED: Final = "Confirmed"
TERMINATED: Final = "Terminated"


def complete(
    arrows: Mapping[tuple[S, E], tuple[S, tuple[str, ...]]],
) -> dict[tuple[S, E], tuple[S, tuple[str, ...]]]:
    """Return ``arrows`` with a row that does nothing for each state and input that has no arrow."""
    states = {state for state, _ in arrows} | {state for state, _ in arrows.values()}
    inputs = {event for _, event in arrows}
    idle: dict[tuple[S, E], tuple[S, tuple[str, ...]]] = {
        (state, event): (state, ()) for state in states for event in inputs
    }
    return {**idle, **arrows}


# RFC 3261 17.1.1, figure 5; RFC 6026 8.4
INVITE_CLIENT: Final[Table] = complete(
    {
        (CALLING, "start"): (CALLING, ("send request", "start A", "start B")),
        (CALLING, "A"): (CALLING, ("send request", "again A")),
        (CALLING, "B"): (TERMINATED, ("tell timeout",)),
        (CALLING, "1xx"): (PROCEEDING, ("stop A", "stop B", "pass up")),
        (CALLING, "2xx"): (ACCEPTED, ("stop all", "start M", "pass up")),
        (CALLING, "final"): (COMPLETED, ("stop all", "send ack", "pass up", "start D")),
        (CALLING, "cancelled"): (CALLING, ("start abandon",)),
        (CALLING, "abandon"): (TERMINATED, ("tell timeout",)),
        (CALLING, "transport"): (LOST, ("stop all", "start abandon", "tell transport")),
        (LOST, "1xx"): (LOST, ("pass up",)),
        (LOST, "2xx"): (ACCEPTED, ("stop all", "start M", "pass up")),
        (LOST, "final"): (COMPLETED, ("stop all", "send ack", "start D")),
        (LOST, "abandon"): (TERMINATED, ()),
        (PROCEEDING, "1xx"): (PROCEEDING, ("stop C", "pass up")),
        (PROCEEDING, "2xx"): (ACCEPTED, ("stop all", "start M", "pass up")),
        (PROCEEDING, "final"): (COMPLETED, ("stop all", "send ack", "pass up", "start D")),
        (PROCEEDING, "cancelled"): (PROCEEDING, ("start abandon",)),
        (PROCEEDING, "abandon"): (TERMINATED, ("tell timeout",)),
        (PROCEEDING, "transport"): (PROCEEDING, ("start C", "tell adrift")),
        (PROCEEDING, "C"): (PROCEEDING, ("start abandon", "tell timeout")),
        (ACCEPTED, "2xx"): (ACCEPTED, ("pass up",)),
        (ACCEPTED, "M"): (TERMINATED, ()),
        (COMPLETED, "final"): (COMPLETED, ("send ack",)),
        (COMPLETED, "D"): (TERMINATED, ()),
        (COMPLETED, "transport"): (TERMINATED, ()),
    }
)

# RFC 3261 17.1.2, figure 6
NON_INVITE_CLIENT: Final[Table] = complete(
    {
        (TRYING, "start"): (TRYING, ("send request", "start E", "start F")),
        (TRYING, "E"): (TRYING, ("send request", "again E")),
        (TRYING, "F"): (TERMINATED, ("tell timeout",)),
        (TRYING, "1xx"): (PROCEEDING, ("pass up",)),
        (TRYING, "2xx"): (COMPLETED, ("stop all", "pass up", "start K")),
        (TRYING, "final"): (COMPLETED, ("stop all", "pass up", "start K")),
        (TRYING, "transport"): (TERMINATED, ("tell transport",)),
        (PROCEEDING, "E"): (PROCEEDING, ("send request", "slow E")),
        (PROCEEDING, "F"): (TERMINATED, ("tell timeout",)),
        (PROCEEDING, "1xx"): (PROCEEDING, ("pass up",)),
        (PROCEEDING, "2xx"): (COMPLETED, ("stop all", "pass up", "start K")),
        (PROCEEDING, "final"): (COMPLETED, ("stop all", "pass up", "start K")),
        (PROCEEDING, "transport"): (TERMINATED, ("tell transport",)),
        (COMPLETED, "K"): (TERMINATED, ()),
        (COMPLETED, "transport"): (TERMINATED, ()),
    }
)

# RFC 3261 17.2.1, figure 7; RFC 6026 7.1 and 8.7
INVITE_SERVER: Final[Table] = complete(
    {
        (PROCEEDING, "request"): (PROCEEDING, ("send response",)),
        (PROCEEDING, "1xx"): (PROCEEDING, ("keep response", "send response")),
        (PROCEEDING, "2xx"): (ACCEPTED, ("keep response", "send response", "start repeat", "start L")),
        (PROCEEDING, "final"): (COMPLETED, ("keep response", "send response", "start G", "start H")),
        (PROCEEDING, "transport"): (PROCEEDING, ("tell lost",)),
        (PROCEEDING, "moved"): (PROCEEDING, ("send response",)),
        (ACCEPTED, "2xx"): (ACCEPTED, ("keep response", "send response")),
        (ACCEPTED, "repeat"): (ACCEPTED, ("send response", "again repeat")),
        (ACCEPTED, "ack2xx"): (ACKNOWLEDGED, ("stop repeat", "drop request", "drop response")),
        (ACCEPTED, "L"): (TERMINATED, ("tell no-ack",)),
        (ACCEPTED, "transport"): (ACCEPTED, ("stop repeat", "tell lost")),
        (ACCEPTED, "moved"): (ACCEPTED, ("send response", "start repeat")),
        (ACKNOWLEDGED, "L"): (TERMINATED, ()),
        (ACKNOWLEDGED, "transport"): (TERMINATED, ()),
        (COMPLETED, "request"): (COMPLETED, ("send response",)),
        (COMPLETED, "G"): (COMPLETED, ("send response", "again G")),
        (COMPLETED, "H"): (TERMINATED, ("tell no-ack",)),
        (COMPLETED, "ack"): (CONFIRMED, ("stop all", "drop request", "drop response", "start I")),
        (COMPLETED, "transport"): (TERMINATED, ("tell transport",)),
        (COMPLETED, "moved"): (COMPLETED, ("send response",)),
        (CONFIRMED, "I"): (TERMINATED, ()),
        (CONFIRMED, "transport"): (TERMINATED, ()),
    }
)

# RFC 3261 17.2.2, figure 8
NON_INVITE_SERVER: Final[Table] = complete(
    {
        (TRYING, "1xx"): (PROCEEDING, ("keep response", "send response")),
        (TRYING, "2xx"): (COMPLETED, ("keep response", "send response", "start J")),
        (TRYING, "final"): (COMPLETED, ("keep response", "send response", "start J")),
        (TRYING, "transport"): (TRYING, ("tell lost",)),
        (PROCEEDING, "request"): (PROCEEDING, ("send response",)),
        (PROCEEDING, "1xx"): (PROCEEDING, ("keep response", "send response")),
        (PROCEEDING, "2xx"): (COMPLETED, ("keep response", "send response", "start J")),
        (PROCEEDING, "final"): (COMPLETED, ("keep response", "send response", "start J")),
        (PROCEEDING, "transport"): (PROCEEDING, ("tell lost",)),
        (PROCEEDING, "moved"): (PROCEEDING, ("send response",)),
        (COMPLETED, "request"): (COMPLETED, ("send response",)),
        (COMPLETED, "J"): (TERMINATED, ()),
        (COMPLETED, "transport"): (TERMINATED, ()),
        (COMPLETED, "moved"): (COMPLETED, ("send response", "start J")),
    }
)
