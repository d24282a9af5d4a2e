"""The transaction layer: from messages to transactions, retransmissions absorbed (RFC 3261 17).

The layer sends nothing itself; it appends ``Send`` to the caller's list. It is told the time, and
says through ``next_deadline`` when it wants to be told again. What has ended is in no table and in
nobody's heap: a transaction lives exactly as long as its machine or its user needs it.

A server INVITE is answered 100 at once, because a B2BUA always has something slower to do first.
What a peer makes us remember is bounded: where it leaves ``UNACKNOWLEDGED`` refused INVITEs without an
ACK, its next ones are refused without a transaction. And no step does more than ``SLICE`` transactions'
work: what is left of a connection that closed, or of timers due together, is for the next, at once.

The ACK of a 2xx is a message of the dialog, not of the INVITE's transaction; the layer stops
repeating the 2xx when it sees one, and hands it to the user as ``ACK2XX``.
"""

from __future__ import annotations

from collections import deque
from enum import Enum
from hashlib import blake2b
from typing import Any, Final, Literal

from sbc.base import LocalError
from sbc.flow import Flow
from sbc.sip.machine import (
    SPENT,
    ClientTransaction,
    Send,
    ServerTransaction,
    TimerQueue,
    Transaction,
    response_class,
)
from sbc.sip.matching import Key, client_key, fix_via, request_key, same_peer, server_key
from sbc.sip.message import Request, Response, response_to
from sbc.sip.transaction import ACCEPTED, ACKNOWLEDGED, LOST, PROCEEDING, TRYING

__all__ = [
    "ACK2XX",
    "REFUSED",
    "SPENT",
    "ClientTransaction",
    "Received",
    "ServerTransaction",
    "Transaction",
    "Transactions",
    "fix_via",
]


class Received(Enum):
    """What ``receive_request`` returns beside a transaction and None."""

    ACK2XX = "an ACK that belongs to a dialog"
    REFUSED = "an INVITE of a peer that leaves too many refusals without an ACK"


ACK2XX: Final = Received.ACK2XX
REFUSED: Final = Received.REFUSED

# How many answers are kept for one peer, each some KiB for 32 s (timer H, and J over UDP). A connection with
# 500 calls a second refused and a second's way there and back has as many.
UNACKNOWLEDGED: Final = 500
# How many transactions one step ends or wakes: some two milliseconds of work.
SLICE: Final = 100
RETRY_AFTER: Final = 5  # seconds
# Until the final answer, and for a 2xx until its ACK (RFC 3261 8.2.2.2, 13.3.1.4).
_IN_PROGRESS: Final = frozenset((TRYING, PROCEEDING, ACCEPTED))


class Transactions:
    """All transactions of one engine, on all flows."""

    __slots__ = (
        "_clients", "_closing", "_finished", "_flows", "_live", "_number", "_requests", "_servers",
        "_told", "queue",
    )  # fmt: skip

    def __init__(self) -> None:
        self._number = 0
        self._live: dict[int, Transaction] = {}
        self._servers: dict[Key, ServerTransaction] = {}
        self._clients: dict[Key, ClientTransaction] = {}
        self._requests: dict[Key, ServerTransaction] = {}
        self._flows: dict[Flow, dict[int, Transaction]] = {}
        self.queue: TimerQueue[Transaction] = TimerQueue(self._live)
        self._told: list[tuple[Transaction, str]] = []
        self._closing: deque[tuple[Transaction, Flow]] = deque()
        self._finished: dict[Key, int] = {}

    def __len__(self) -> int:
        return len(self._live)

    def knows(self, flow: Flow, request: Request) -> bool:
        """Whether a request is the repetition of one whose transaction lives."""
        return server_key(request, flow, request.method) in self._servers

    def receive_request(
        self, flow: Flow, request: Request, at: float, out: list[Any], always: bool = False,
        trying: bool = True,
    ) -> ServerTransaction | Received | None:  # fmt: skip
        """Take in a validated request; return its new transaction, or None where it was absorbed.

        ``always``: however many refusals its peer has left without an ACK. ``trying``: an INVITE is answered
        100 at once; else it is for the caller to do, and until then the INVITE is repeated (17.1.1.2).

        ``ACK2XX`` means that ``request`` is an ACK for which there is no transaction: that of a
        2xx, or a stray one; it is for the dialog that it names. ``REFUSED`` is answered already.
        """
        method = request.method
        if method == "ACK":
            return self._receive_ack(flow, request, at, out)
        key = server_key(request, flow, method)
        known = self._servers.get(key)
        if known is not None:
            if not self._follow(known, flow, at, out):
                known.fire("request", None, at, out)
            return None
        if (
            self._finished
            and method == "INVITE"
            and not always
            and self._finished.get(_counter(flow, method), 0) >= UNACKNOWLEDGED
        ):
            out.append(refuse_stateless(flow, request, RETRY_AFTER))
            return REFUSED
        transaction = self._serve(flow, key, request)
        if method == "CANCEL":
            cancelled = transaction.cancels = self._servers.get(server_key(request, flow, "INVITE"))
            if cancelled is not None:
                self._follow(cancelled, flow, at, out)
        fix_via(request, flow.remote)
        if trying and method == "INVITE":
            transaction.respond(response_to(request, 100), at, out)
        return transaction

    def receive_response(
        self, flow: Flow, response: Response, at: float, out: list[Any]
    ) -> ClientTransaction | None:
        """Take in a response; return its transaction where the user is to see it, else None.

        Provisional responses come up each time, and so does every 2xx to an INVITE, also from
        another branch of a fork (RFC 6026 8.4). A final refusal of an INVITE is acknowledged here.
        """
        transaction = self._clients.get(client_key(response))
        if transaction is None or not same_peer(transaction.flow, flow):
            return None
        self._follow(transaction, flow, at, out)
        if not transaction.fire(response_class(response.status), response, at, out):
            return None
        transaction.last_response = response
        return transaction

    def start(
        self, flow: Flow, request: Request, at: float, out: list[Any], user: Any = None
    ) -> ClientTransaction:
        """Send ``request``, whose top Via has a new branch, and return its transaction.

        A CANCEL has the branch of its INVITE, which then ends after 64*T1 without a final response.
        """
        branch = request.via.branch
        key = (branch, request.method)
        if key in self._clients:
            raise LocalError(
                f"branch {branch} was used for two {request.method} requests: take a new one for each"
            )
        self._number += 1
        transaction = ClientTransaction(self, self._number, key, flow, request, user)
        self._clients[key] = transaction
        self._hold(transaction)
        transaction.fire("start", None, at, out)
        if request.method == "CANCEL":
            self.cancelled(branch, at, out)
        return transaction

    def cancelled(self, branch: str, at: float, out: list[Any]) -> None:
        """The INVITE that we sent with ``branch`` is given up, whether its CANCEL can be sent or not."""
        invite = self._clients.get((branch, "INVITE"))
        if invite is not None:
            invite.fire("cancelled", None, at, out)

    def move(self, transaction: Transaction, flow: Flow, at: float, out: list[Any]) -> None:
        """Go on over another flow of the same peer; what a server said last is said there again."""
        if transaction.number in self._live:
            self._drop(transaction)
            transaction.flow = flow
            self._hold(transaction)
            if isinstance(transaction, ServerTransaction):
                transaction.fire("moved", None, at, out)

    def forget(self, transaction: ServerTransaction) -> None:
        """Keep no answer to who has proved nothing: a retransmission is answered anew (RFC 3261 8.2.7)."""
        self.ended(transaction)

    def live(self) -> list[Transaction]:
        """Every transaction that has not ended."""
        return list(self._live.values())

    def client_of(self, response: Response) -> ClientTransaction | None:
        """The transaction of the request that ``response`` answers, if it lives."""
        return self._clients.get(client_key(response))

    def sent(self, invite: Request) -> ClientTransaction | None:
        """The transaction of an INVITE of ours, if it lives."""
        return self._clients.get((invite.via.branch, "INVITE"))

    def user_of(self, branch: str) -> Any:
        """Return the user of the INVITE that we sent with ``branch``, while its transaction lives; else None.

        A received request whose Via names such a branch has come back to us (RFC 3261 16.3).
        """
        transaction = self._clients.get((branch, "INVITE"))
        return None if transaction is None else transaction.user

    def tick(self, at: float, out: list[Any]) -> list[tuple[Transaction, str]]:
        """Fire what is due; return the events for the users.

        ``timeout``: a client transaction got no (final) answer, or its timer C fired. ``no-ack``: the final
        response to an INVITE was never acknowledged; after a 2xx the user sends BYE (RFC 3261 13.3.1.4).
        Where more is due than one step does, ``next_deadline`` is not after ``at``.
        """
        self._end_closing(at, out)
        for _ in range(SLICE):
            transaction = self.queue.pop_due(at)
            if transaction is None:
                break
            transaction.fire_due(at, out)
        return self._take_told()

    def flow_closed(self, flow: Flow, at: float, out: list[Any]) -> list[tuple[Transaction, str]]:
        """Tell every transaction of ``flow``; return the events for the users.

        ``transport``: there will be no answer. ``lost``: a server's may go over another flow (``move``).
        ``adrift``: that to an INVITE that was heard of may come over another.
        What one step does not end is for the next ``tick``, which ``next_deadline`` then wants at once.
        """
        self._closing.extend((each, flow) for each in self._flows.get(flow, {}).values())
        self._end_closing(at, out)
        return self._take_told()

    def unfinished(self, flow: Flow) -> bool:
        """True while a transaction on ``flow`` still has something to send or to wait for there.

        An INVITE whose 2xx has been acknowledged only remembers, to absorb what is repeated.
        """
        return any(not _remembers(each) for each in self._flows.get(flow, {}).values())

    def unfinished_flows(self) -> list[Flow]:
        """Every flow that is ``unfinished``."""
        return [flow for flow in self._flows if self.unfinished(flow)]

    @property
    def next_deadline(self) -> float | None:
        """When ``tick`` is wanted next (monotonic seconds), or None."""
        return 0.0 if self._closing else self.queue.next_deadline()

    def tell(self, transaction: Transaction, event: str) -> None:
        """Keep ``event`` until the running ``tick`` or ``flow_closed`` returns it; for the machines."""
        self._told.append((transaction, event))

    def finished(self, transaction: ServerTransaction, response: Response, at: float) -> None:
        """Count what is kept only to be repeated; for the machines alone.

        Of the other methods only what no dialog waits for is counted; beyond the bound it is forgotten, and
        a retransmission is answered anew.
        """
        method = transaction.method
        if method != "INVITE" and transaction.request.to.tag and response.status < 300:
            return
        key = _counter(transaction.flow, method)
        count = self._finished.get(key, 0)
        if method != "INVITE" and count >= UNACKNOWLEDGED:
            transaction.fire("J", None, at, [])
            return
        self._finished[key] = count + 1
        transaction.counted = key

    def ended(self, transaction: Transaction) -> None:
        """Take ``transaction`` out of every table; for the machines alone, and harmless twice."""
        if self._live.pop(transaction.number, None) is None:
            return
        self._drop(transaction)
        if not isinstance(transaction, ServerTransaction):
            del self._clients[transaction.key]
            return
        del self._servers[transaction.key]
        self._uncount(transaction)
        if transaction.request_key is not None:
            del self._requests[transaction.request_key]

    def _serve(self, flow: Flow, key: Key, request: Request) -> ServerTransaction:
        self._number += 1
        transaction = ServerTransaction(self, self._number, key, flow, request)
        self._servers[key] = transaction
        self._hold(transaction)
        initial = not request.to.tag
        if initial or request.method == "INVITE":
            same = request_key(request, flow, request.method)
            first = self._requests.get(same)
            if first is not None and first.state in _IN_PROGRESS:
                transaction.merged = initial
            else:
                if first is not None:
                    first.request_key = None
                self._requests[same] = transaction
                transaction.request_key = same
        return transaction

    def _receive_ack(
        self, flow: Flow, ack: Request, at: float, out: list[Any]
    ) -> Literal[Received.ACK2XX] | None:
        invite = self._servers.get(server_key(ack, flow, "INVITE"))
        if invite is None:
            invite = self._requests.get(request_key(ack, flow, "INVITE"))
        elif invite.state not in (ACCEPTED, ACKNOWLEDGED):
            invite.fire("ack", None, at, out)
            self._uncount(invite)
            return None
        if invite is not None and invite.last_response and invite.last_response.to.tag == ack.to.tag:
            invite.acknowledged(at, out)
        return ACK2XX

    def _hold(self, transaction: Transaction) -> None:
        self._live[transaction.number] = transaction
        held = self._flows.get(transaction.flow)
        if held is None:
            held = self._flows[transaction.flow] = {}
        held[transaction.number] = transaction

    def _drop(self, transaction: Transaction) -> None:
        held = self._flows[transaction.flow]
        del held[transaction.number]
        if not held:
            del self._flows[transaction.flow]

    def _follow(self, transaction: Transaction, flow: Flow, at: float, out: list[Any]) -> bool:
        """The peer goes on over ``flow``: go with it where the former is gone (RFC 3261 18.1.1)."""
        if flow is transaction.flow or transaction.flow.alive:
            return False
        self.move(transaction, flow, at, out)
        return True

    def _end_closing(self, at: float, out: list[Any]) -> None:
        closing = self._closing
        for _ in range(min(SLICE, len(closing))):
            transaction, flow = closing.popleft()
            if transaction.flow is flow:
                transaction.fire("transport", None, at, out)

    def _uncount(self, transaction: ServerTransaction) -> None:
        key = transaction.counted
        if key is None:
            return
        transaction.counted = None
        left = self._finished[key] - 1
        if left:
            self._finished[key] = left
        else:
            del self._finished[key]

    def _take_told(self) -> list[tuple[Transaction, str]]:
        told, self._told = self._told, []
        return told


def _counter(flow: Flow, method: str) -> Key:
    """Whose answers are counted together: those of one connection, or of one address over UDP."""
    return (method == "INVITE", flow if flow.reliable else flow.remote.host)


def refuse_stateless(flow: Flow, request: Request, wait: int) -> Send:
    """503 and ``wait`` seconds to come again, without a transaction: the same To tag each time (8.2.7)."""
    key = repr(server_key(request, flow, request.method))
    tag = blake2b(key.encode("utf-8", "replace"), digest_size=6)
    fix_via(request, flow.remote)
    refusal = response_to(request, 503, "", tag.hexdigest())
    refusal.headers.add("Retry-After", str(wait))
    return Send(flow, refusal)


def _remembers(transaction: Transaction) -> bool:
    # A user that has dealt with a 2xx lets go of it; a server's is kept until its ACK has come.
    state = transaction.state
    return state == ACKNOWLEDGED or state == LOST or (state == ACCEPTED and transaction.last_response is None)
