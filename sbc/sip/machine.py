"""One running transaction: a table's rows turned into calls.

``fire`` is the whole interpreter: look up the row, take its state, do its actions, and either end
or enter the earliest timer in the queue. The action names of the tables become functions once,
when this file is imported. Nothing here knows how messages find their transaction.

Every live transaction has at most one valid entry in the queue of deadlines: the earliest of its
timers. An entry is a deadline and a number, never the transaction, so a transaction that has ended
is free at once although its entry stays in the heap until its time. Stopping a timer does not touch
the heap: when the entry comes up, the transaction is asked what its earliest timer is now.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from heapq import heappop, heappush
from typing import Any, Final, Generic, Protocol, TypeVar

from sbc.flow import Flow
from sbc.sip.cancel import build_ack
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response
from sbc.sip.timers import (
    CEILINGS,
    DURATIONS,
    NEVER,
    T1,
    T2,
    UNRELIABLE_ONLY,
    ZERO_IF_RELIABLE,
)
from sbc.sip.transaction import (
    CALLING,
    COMPLETED,
    INVITE_CLIENT,
    INVITE_SERVER,
    NON_INVITE_CLIENT,
    NON_INVITE_SERVER,
    PROCEEDING,
    TERMINATED,
    TRYING,
    State,
    Table,
)

SPENT: Final = Request("SPENT", "sip:spent.invalid", Headers())
"""Stands in ``transaction.request`` once that has been let go of (an INVITE that was acknowledged)."""


class Send:
    """A command: serialise ``message`` and write it to ``flow``; the one that the SIP layers leave behind."""

    __slots__ = ("flow", "message")

    def __init__(self, flow: Flow, message: Message) -> None:
        self.flow = flow
        self.message = message

    def __repr__(self) -> str:
        return f"Send(flow={self.flow!r}, message={self.message!r})"


def response_class(status: int) -> str:
    """Return the input that a response of ``status`` is to a machine."""
    return "1xx" if status < 200 else "2xx" if status < 300 else "final"


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


class Owner(Protocol):
    """What a transaction asks of the layer that holds it; its earliest timer is entered in ``queue``."""

    queue: TimerQueue[Transaction]

    def ended(self, transaction: Transaction) -> None:
        """Take ``transaction`` out of every table."""

    def tell(self, transaction: Transaction, event: str) -> None:
        """Keep ``event`` for the user."""

    def finished(self, transaction: ServerTransaction, response: Response, at: float) -> None:
        """A server transaction was answered finally and lives on, to repeat that answer."""


Action = Callable[["Transaction", "Response | None", float, list[Any]], None]
Compiled = dict[State, dict[str, tuple[State, tuple[Action, ...], bool]]]


class Transaction:
    """What the four machines have in common.

    ``user`` is the user's own and never looked at; ``timers`` maps the name of each running timer
    to its deadline (monotonic seconds); ``queued`` and ``number`` belong to the timer queue.
    """

    __slots__ = (
        "_interval", "_owner", "_table", "flow", "key", "last_response", "method", "number",
        "queued", "request", "state", "timers", "user",
    )  # fmt: skip

    def __init__(
        self, owner: Owner, number: int, key: tuple[Any, ...], flow: Flow, request: Request,
        table: Compiled, state: State, user: Any,
    ) -> None:  # fmt: skip
        self._owner = owner
        self.number = number
        self.key = key
        self.flow = flow
        self.request = request
        self.method: str = request.method
        self.last_response: Response | None = None
        self.state: State = state
        self.timers: dict[str, float] = {}
        self.queued = NEVER
        self.user = user
        self._table = table
        self._interval = T1

    def fire(self, event: str, message: Response | None, at: float, out: list[Any]) -> bool:
        """Feed one input to the machine; return True where it passes ``message`` up."""
        self.state, actions, passes_up = self._table[self.state][event]
        for action in actions:
            action(self, message, at, out)
        if self.state == TERMINATED:
            self.timers.clear()
            self._owner.ended(self)
        elif self.timers:
            self._owner.queue.schedule(self)
        return passes_up

    def fire_due(self, at: float, out: list[Any]) -> None:
        """Fire every timer whose deadline is not after ``at``, the earliest first."""
        timers = self.timers
        while timers:
            name = min(timers, key=timers.__getitem__)
            if timers[name] > at:
                break
            del timers[name]
            self.fire(name, None, at, out)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.method} {self.state} on flow {self.flow.id}>"


class ServerTransaction(Transaction):
    """A request that came in.

    ``counted`` is where the layer counts it while it only repeats its answer, None where it does not.
    ``cancels`` is the INVITE that this CANCEL matches, if any. ``merged`` is true where another
    copy of the request, come on another way, is being served: answer 482 (RFC 3261 8.2.2.2).
    """

    __slots__ = ("cancels", "counted", "merged", "request_key")

    def __init__(self, owner: Owner, number: int, key: tuple[Any, ...], flow: Flow, request: Request) -> None:
        if request.method == "INVITE":
            super().__init__(owner, number, key, flow, request, _INVITE_SERVER, PROCEEDING, None)
        else:
            super().__init__(owner, number, key, flow, request, _NON_INVITE_SERVER, TRYING, None)
        self.cancels: ServerTransaction | None = None
        self.counted: tuple[Any, ...] | None = None
        self.merged = False
        self.request_key: tuple[Any, ...] | None = None

    def respond(self, response: Response, at: float, out: list[Any]) -> None:
        """Send ``response``, and again as the machine wants; ignored after a final response."""
        before = self.state
        self.fire(response_class(response.status), response, at, out)
        if self.state == COMPLETED != before:
            self._owner.finished(self, response, at)

    def acknowledged(self, at: float, out: list[Any]) -> None:
        """The ACK of the 2xx has come: stop repeating it. The layer sees to it for the same peer."""
        self.fire("ack2xx", None, at, out)


class ClientTransaction(Transaction):
    """A request that we sent."""

    __slots__ = ()

    def __init__(
        self, owner: Owner, number: int, key: tuple[Any, ...], flow: Flow, request: Request, user: Any
    ) -> None:
        if request.method == "INVITE":
            super().__init__(owner, number, key, flow, request, _INVITE_CLIENT, CALLING, user)
        else:
            super().__init__(owner, number, key, flow, request, _NON_INVITE_CLIENT, TRYING, user)


def _send_request(tx: Transaction, _: Response | None, at: float, out: list[Any]) -> None:
    out.append(Send(tx.flow, tx.request))


def _send_response(tx: Transaction, _: Response | None, at: float, out: list[Any]) -> None:
    if tx.last_response is not None:
        out.append(Send(tx.flow, tx.last_response))


def _send_ack(tx: Transaction, message: Response | None, at: float, out: list[Any]) -> None:
    assert message is not None
    out.append(Send(tx.flow, build_ack(tx.request, message)))


def _keep_response(tx: Transaction, message: Response | None, at: float, out: list[Any]) -> None:
    tx.last_response = message


def _drop_request(tx: Transaction, _: Response | None, at: float, out: list[Any]) -> None:
    tx.request = SPENT


def _drop_response(tx: Transaction, _: Response | None, at: float, out: list[Any]) -> None:
    tx.last_response = None


def _stop_all(tx: Transaction, _: Response | None, at: float, out: list[Any]) -> None:
    tx.timers.clear()


def _start(name: str) -> Action:
    seconds = DURATIONS[name]
    unreliable_only = name in UNRELIABLE_ONLY
    zero_if_reliable = name in ZERO_IF_RELIABLE

    def start(tx: Transaction, _: Response | None, at: float, out: list[Any]) -> None:
        if not tx.flow.reliable or not (unreliable_only or zero_if_reliable):
            tx.timers[name] = at + seconds
        elif zero_if_reliable and tx.flow.alive:
            tx.fire(name, None, at, out)
        elif zero_if_reliable:
            tx.timers[name] = at + seconds  # the answer may have to go over another flow

    return start


def _again(name: str) -> Action:
    ceiling = CEILINGS[name]

    def again(tx: Transaction, _: Response | None, at: float, out: list[Any]) -> None:
        tx._interval = min(2 * tx._interval, ceiling)
        tx.timers[name] = at + tx._interval

    return again


def _slow(name: str) -> Action:
    def slow(tx: Transaction, _: Response | None, at: float, out: list[Any]) -> None:
        tx.timers[name] = at + T2

    return slow


def _stop(name: str) -> Action:
    def stop(tx: Transaction, _: Response | None, at: float, out: list[Any]) -> None:
        tx.timers.pop(name, None)

    return stop


def _tell(event: str) -> Action:
    def tell(tx: Transaction, _: Response | None, at: float, out: list[Any]) -> None:
        tx._owner.tell(tx, event)

    return tell


_PLAIN: Final[dict[str, Action]] = {
    "send request": _send_request,
    "send response": _send_response,
    "send ack": _send_ack,
    "keep response": _keep_response,
    "drop request": _drop_request,
    "drop response": _drop_response,
    "stop all": _stop_all,
}
_NAMED: Final[dict[str, Callable[[str], Action]]] = {
    "start": _start,
    "again": _again,
    "slow": _slow,
    "stop": _stop,
    "tell": _tell,
}


def _action(name: str) -> Action:
    if name in _PLAIN:
        return _PLAIN[name]
    verb, _, argument = name.partition(" ")
    return _NAMED[verb](argument)


def _compile(table: Table) -> Compiled:
    compiled: Compiled = {}
    for (state, event), (after, names) in table.items():
        actions = tuple([_action(name) for name in names if name != "pass up"])
        compiled.setdefault(state, {})[event] = (after, actions, "pass up" in names)
    return compiled


_INVITE_CLIENT: Final = _compile(INVITE_CLIENT)
_NON_INVITE_CLIENT: Final = _compile(NON_INVITE_CLIENT)
_INVITE_SERVER: Final = _compile(INVITE_SERVER)
_NON_INVITE_SERVER: Final = _compile(NON_INVITE_SERVER)
