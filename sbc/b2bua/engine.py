"""The engine: every message, timer and outcome enters here, and leaves as a list of commands.

It does no I/O and holds no lock: greenlets switch only at I/O, so each method below is atomic.
What it keeps is small: the transactions, the calls, and who waits for a connection. Requests are
for the reception (``sbc.b2bua.reception``).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

from dsl.decision import Decision
from sbc.b2bua.actions import Actions
from sbc.b2bua.attempt import Attempt
from sbc.b2bua.call import NOBODY, Awaiting, Call
from sbc.b2bua.commands import Command, Connect, Note
from sbc.b2bua.hooked import Invited
from sbc.b2bua.leg import Leg
from sbc.b2bua.mirror import Mirror
from sbc.b2bua.peers import Peers, Towards
from sbc.b2bua.probe import Prober
from sbc.b2bua.reception import Reception
from sbc.b2bua.translate import Fields
from sbc.b2bua.wreck import Wreck
from sbc.base import Address, PeerError
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.flow import Flow
from sbc.hookapi.results import HangUp
from sbc.ids import Ids
from sbc.policy.limits import CallLimits
from sbc.sip.cancel import build_cancel
from sbc.sip.dialog import Dialog
from sbc.sip.message import Message, Request, Response, response_to
from sbc.sip.outgoing import Send
from sbc.sip.parse import ParseError, validate
from sbc.sip.transactions import ServerTransaction, Transaction, Transactions
from sbc.sip.validate import essentials

MOST_LATE: Final = 20
# How many numbers PRACK and UPDATE may have taken in an early dialog that is forgotten; gaps are allowed.
EARLY_REQUESTS: Final = 1000
Connected = Callable[["Flow | None", str, float, "list[Command]"], None]


class Engine:
    """All calls of one process.

    Should our own code fail in the middle of a method, what it left so far comes out of the next
    one, and the other calls' timers and failures are still told. ``at`` names the call that it was
    working on, ``serving`` is what became of the request that came last, and ``wreck`` clears up.

    Times are of the monotonic clock, whose jumps nobody has to fear. ``epoch`` is what the wall clock shows
    when that is at 0; whoever runs the engine keeps it right, for rules, hooks and records, which want dates.
    """

    __slots__ = (
        "_connect_keys", "_connecting", "_out", "_reminders", "_untold", "actions", "at", "calls",
        "draining", "epoch", "ids", "limits", "peers", "prober", "reception", "serving", "store",
        "transactions",
    )  # fmt: skip

    def __init__(self, store: SnapshotStore, ids: Ids) -> None:
        self.store = store
        self.ids = ids
        self.transactions = Transactions(ids)
        self.limits = CallLimits()
        self.reception = Reception(self)
        self.actions = Actions(self, ids)
        self.peers = Peers()
        self.prober = Prober(self)
        self.calls: dict[str, Call] = {}
        self.draining = False
        self.at = ""
        self.epoch = 0.0
        self.serving: ServerTransaction | None = None
        self._out: list[Command] = []
        self._untold: deque[tuple[Transaction, str]] = deque()
        self._connecting: dict[int, tuple[str, Connected]] = {}
        self._connect_keys = 0
        self._reminders: list[tuple[float, str]] = []

    def date(self, at: float) -> float:
        """POSIX seconds of the moment ``at``, by the wall clock as it goes now."""
        return self.epoch + at

    def _take(self) -> list[Command]:
        """What the method that ends here leaves."""
        out, self._out = self._out, []
        return out

    # Messages

    def receive(self, flow: Flow, message: Message, now: float) -> list[Command]:
        """Take in one parsed message."""
        out, self.serving = self._out, None
        try:
            validate(message)
        except PeerError as error:
            self._on_bad_message(flow, message, error, out)
            if isinstance(message, Response):
                self._on_invalid(flow, message, error, now, out)
            return self._take()
        try:
            if isinstance(message, Request):
                self.reception.request(flow, message, now, out)
            elif isinstance(message, Response):
                self._on_response(flow, message, now, out)
        except PeerError as error:
            self._on_bad_message(flow, message, error, out)
        return self._take()

    def malformed(self, flow: Flow, error: ParseError, now: float) -> list[Command]:
        """Answer what could not even be parsed, where enough of it can be read (RFC 3261 8.2, 21.4.1)."""
        out, message = self._out, error.message
        if message is not None:
            self._on_bad_message(flow, message, error, out)
            if isinstance(message, Response) and not error.fatal:
                self._on_invalid(flow, message, error, now, out)
        else:
            out.append(Note("malformed", "", {"remote": str(flow.remote), "reason": error.reason}))
        return self._take()

    def _on_bad_message(self, flow: Flow, message: Message, error: PeerError, out: list[Command]) -> None:
        out.append(Note("malformed", "", {"remote": str(flow.remote), "reason": error.reason}))
        answerable = getattr(error, "answerable", True)
        if not answerable or not isinstance(message, Request) or message.method == "ACK":
            return
        out.append(Send(flow, response_to(message, error.status, error.reason, self.ids.tag())))

    def _on_response(self, flow: Flow, response: Response, now: float, out: list[Command]) -> None:
        client = self.transactions.receive_response(flow, response, now, out)
        if client is not None:
            user: Awaiting = client.user
            call = user.call
            if call is not None:
                self.at = call.id
            user.on_response(response, now, out)

    def _on_invalid(
        self, flow: Flow, response: Response, error: PeerError, now: float, out: list[Command]
    ) -> None:
        """A final answer to an INVITE that is not as it should be still wants its ACK (RFC 3261 17.1.1.3).

        A refusal is one all the same. What a 2xx says is not believed: it is hung up (13.2.2.4).
        """
        reduced = essentials(response) if response.status >= 200 else None
        if reduced is None or reduced.cseq.method != "INVITE":
            return
        client = self.transactions.receive_response(flow, reduced, now, out)
        if client is None:
            return
        user: Awaiting = client.user
        if user.call is not None:
            self.at = user.call.id
        if reduced.status < 300 and isinstance(user, Attempt | Mirror):
            user.on_invalid(reduced, error, now, out)
        else:
            user.on_response(reduced, now, out)

    # Outcomes of commands

    def connected(self, key: int, flow: Flow, now: float) -> list[Command]:
        """The flow that ``Connect(key)`` asked for is there."""
        return self._go_on(key, flow, "", now)

    def connect_failed(self, key: int, reason: str, now: float) -> list[Command]:
        """No peer of the trunk that ``Connect(key)`` named could be reached."""
        return self._go_on(key, None, reason, now)

    def _go_on(self, key: int, flow: Flow | None, reason: str, now: float) -> list[Command]:
        out = self._out
        self.at, then = self._connecting.pop(key, ("", None))
        if then is not None:
            then(flow, reason, now, out)
        return self._take()

    def media_ready(self, call_id: str, sdp: bytes, error: PeerError | None, now: float) -> list[Command]:
        """The oldest media request of a call was answered with ``sdp``, or refused."""
        out, self.at = self._out, call_id
        call = self.calls.get(call_id)
        if call is not None:
            call.media_ready(sdp, error, now, out)
        return self._take()

    def hooks_done(
        self, call_id: str, result: Invited | Decision | HangUp | None, failed: str, now: float
    ) -> list[Command]:
        """Hooks of one point have run for a call; ``failed`` is ``file:line`` of one that rejects it."""
        out, self.at = self._out, call_id
        call = self.calls.get(call_id)
        if call is not None:
            call.on_hooks(result, failed, now, out)
        return self._take()

    def media_idle(self, call_id: str, now: float) -> list[Command]:
        """Nothing was heard on a call's media for the configured time."""
        out, self.at = self._out, call_id
        call = self.calls.get(call_id)
        if call is not None and call.state == "up":
            call.clear("no media from either side", now, out)
        return self._take()

    def flow_closed(self, flow: Flow, now: float) -> list[Command]:
        """A connection is gone: what waited for an answer on it will get none."""
        out = self._out
        flow.alive, self.at = False, ""
        self._untold += self.transactions.flow_closed(flow, now, out)
        self._tell(now, out)
        return self._take()

    def end_call(self, call_id: str, reason: str, now: float) -> list[Command]:
        """End a call from our side, in whatever state it is."""
        out, self.at = self._out, call_id
        call = self.calls.get(call_id)
        if call is not None:
            self._end(call, reason, now, out)
        return self._take()

    def wreck(self, call_id: str, flow: Flow | None = None, message: Message | None = None) -> Wreck:
        """Our own code failed, for a call or on ``message`` from ``flow``: what ``clear_up`` has to do."""
        call = self.calls.pop(call_id, None)
        if call is None and message is not None and flow is not None:
            call = self.call_of(flow, message)
            if call is not None:
                del self.calls[call.id]
        return Wreck(self, call, flow, message)

    def call_of(self, flow: Flow, message: Message) -> Call | None:
        """The call that a message on ``flow`` is about, found the long way; none for what begins one."""
        if isinstance(message, Request) and message.method == "INVITE" and not message.to_tag:
            return None
        call_id = message.headers.get("Call-ID")
        for call in self.calls.values():
            for leg in (call.a, call.b):
                if leg is not None and leg.call_id == call_id and leg.trunk.trunk == flow.trunk:
                    return call
        return None

    def clear_up(self, wreck: Wreck, now: float) -> list[Command]:
        """Take the steps of ``wreck``; where one fails, to be called again for the rest."""
        wreck.go_on(now, self._out)
        return self._take()

    def _end(self, call: Call, reason: str, now: float, out: list[Command]) -> None:
        if call.state in ("answered", "up"):
            call.clear(reason, now, out)
        elif call.setup is not None:
            call.setup.abandon(503, "Service Unavailable", reason, now, out)

    # Time

    def probe(self, now: float) -> list[Command]:
        """Probe the trunks that are due; to be called about every second."""
        self.prober.tick(self.store.current, now, self._out)
        return self._take()

    @property
    def next_deadline(self) -> float | None:
        """When ``tick`` is wanted next (POSIX seconds), or None."""
        if self._untold:
            return 0.0
        due = self.transactions.next_deadline
        if self._reminders and (due is None or self._reminders[0][0] < due):
            return self._reminders[0][0]
        return due

    def tick(self, now: float) -> list[Command]:
        """Fire every timer that is due."""
        out = self._out
        self.at = ""
        self._untold += self.transactions.tick(now, out)
        self._tell(now, out)
        while self._reminders and self._reminders[0][0] <= now:
            deadline, call_id = heappop(self._reminders)
            call = self.calls.get(call_id)
            if call is not None and call.reminded_at == deadline:
                self.at = call_id
                call.on_reminder(now, out)
        return self._take()

    def _tell(self, now: float, out: list[Command]) -> None:
        while self._untold:
            transaction, kind = self._untold.popleft()
            user: Awaiting | None = transaction.user
            if user is not None:
                self.at = user.call.id if user.call is not None else ""
                user.on_failure(kind, now, out)

    def remind(self, deadline: float, call_id: str) -> None:
        """Look at a call's timers at ``deadline``."""
        heappush(self._reminders, (deadline, call_id))

    # What calls ask of the engine

    def respond_to(self, server: ServerTransaction, status: int, reason: str, tag: str = "") -> Response:
        """A response to the request of ``server``; it gets a To tag where it has none yet."""
        request = server.request
        if not tag and status > 100 and not request.to_tag:
            tag = self.ids.tag()
        return response_to(request, status, reason, tag)

    def connect(self, call: Call, trunk: Trunk, peer: Address, then: Connected, out: list[Command]) -> None:
        """Ask for a flow to ``peer`` of ``trunk`` and go on with ``then``."""
        self.ask_connection(call.id, trunk, ((peer,), ()), call.snapshot, then, out)

    def ask_connection(
        self, call_id: str, trunk: Trunk, to: Towards, snapshot: Snapshot, then: Connected, out: list[Command]
    ) -> None:
        """The same for whoever has no call, or more than one peer in mind."""
        self._connect_keys += 1
        self._connecting[self._connect_keys] = (call_id, then)
        out.append(Connect(self._connect_keys, trunk, snapshot, call_id, *to))

    def send(
        self, call: Call, leg: Leg, dialog: Dialog, request: Request, user: Awaiting, now: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        """Start a transaction on ``leg``, over a new connection to its peer where the old one is gone."""
        if leg.flow.alive:
            self.transactions.start(leg.flow, request, now, out, user)
            return

        def then(flow: Flow | None, reason: str, now: float, out: list[Command]) -> None:
            if flow is None:
                user.on_failure("unreachable", now, out)
            else:
                leg.flow = flow
                self.transactions.start(flow, request, now, out, user)

        to = self.peers.within(leg.trunk, leg.peer, dialog.next_hop, leg.flow.remote, now)
        self.ask_connection(call.id, leg.trunk, to, call.snapshot, then, out)

    def send_cancel(
        self, leg: Leg, invite: Request, now: float, out: list[Command], why: Fields = ()
    ) -> None:
        """CANCEL ``invite`` on ``leg``; ``why`` are the Reasons of whoever gave it up."""
        if leg.flow.alive:
            cancel = build_cancel(invite)
            cancel.headers.extend(why)
            self.transactions.start(leg.flow, cancel, now, out, NOBODY)

    def refuse_late_answer(
        self, call: Call, leg: Leg, invite: Request, response: Response, now: float, out: list[Command]
    ) -> None:
        """A 2xx that nobody wants any more: ACK each time, and BYE once, if it made a dialog (13.2.2.4).

        Of a callee that answers under ever new tags no more than ``MOST_LATE`` are heard.
        """
        tag = response.to_tag
        first = not invite.to_tag and tag not in leg.late
        if first and len(leg.late) >= MOST_LATE:
            return
        if response.contact is None:
            # It can only be told where the INVITE found it.
            response.headers.set("Contact", f"<{invite.uri}>")
        dialog = Dialog.as_uac(invite, response)
        dialog.local_cseq += EARLY_REQUESTS
        via, cseq = leg.via(self.transactions.new_branch()), invite.cseq.number
        out.append(Send(leg.flow, dialog.request("ACK", via=via, contact=leg.contact, cseq=cseq)))
        if first:
            leg.late += (tag,)
            via = leg.via(self.transactions.new_branch())
            bye = dialog.request("BYE", via=via, contact=leg.contact)
            self.send(call, leg, dialog, bye, NOBODY, now, out)

    def release_last(self, call: Call) -> None:
        """The hop that a call tried last no longer counts against its trunk's limits."""
        if len(call.admitted) > 1:
            self.limits.release(call.admitted[-1])
            call.admitted.pop()

    def forget(self, call: Call) -> None:
        """A call is over and holds nothing any more."""
        while call.admitted:
            self.limits.release(call.admitted[-1])
            call.admitted.pop()
        if call.limits:
            self.actions.release(call)
        self.calls.pop(call.id, None)
