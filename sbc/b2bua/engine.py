"""The engine: every message, timer and outcome enters here, and leaves as a list of commands.

It does no I/O and holds no lock: greenlets switch only at I/O, so each method below is atomic.
What it keeps is small: the transactions, the calls, the index of their dialogs, and who waits
for a connection.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

from dsl.decision import Decision
from sbc.b2bua.actions import Actions
from sbc.b2bua.attempt import Attempt
from sbc.b2bua.call import NOBODY, Awaiting, Call, Fork
from sbc.b2bua.commands import Command, Connect, Note
from sbc.b2bua.hooked import Invited
from sbc.b2bua.leg import Leg, Side, local_address
from sbc.b2bua.mirror import Mirror, screen
from sbc.b2bua.probe import Prober
from sbc.b2bua.screening import ACCEPT, Refusal, arrival, looped, refuse
from sbc.b2bua.setup import Setup
from sbc.b2bua.translate import ALLOW, CARRIED_EXTENSIONS
from sbc.base import PeerError
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
from sbc.sip.transactions import ACK2XX, ServerTransaction, Transaction, Transactions

Connected = Callable[["Flow | None", str, float, "list[Command]"], None]
DialogKey = tuple[str, str, str]


class Engine:
    """All calls of one process.

    Should our own code fail in the middle of a method, what it left so far comes out of the next
    one, the other calls' timers and failures are still told, and ``at`` names the call that it was
    working on where a message or a command does not.
    """

    __slots__ = (
        "_connect_keys", "_connecting", "_dialogs", "_out", "_reminders", "_untold", "actions", "at", "calls",
        "draining", "ids", "limits", "prober", "store", "transactions",
    )  # fmt: skip

    def __init__(self, store: SnapshotStore, ids: Ids) -> None:
        self.store = store
        self.ids = ids
        self.transactions = Transactions(ids)
        self.limits = CallLimits()
        self.actions = Actions(self, ids)
        self.prober = Prober(self)
        self.calls: dict[str, Call] = {}
        self.draining = False
        self.at = ""
        self._out: list[Command] = []
        self._untold: deque[tuple[Transaction, str]] = deque()
        self._dialogs: dict[DialogKey, tuple[Call, Fork, Side]] = {}
        self._connecting: dict[int, tuple[str, Connected]] = {}
        self._connect_keys = 0
        self._reminders: list[tuple[float, str]] = []

    def _take(self) -> list[Command]:
        """What the method that ends here leaves."""
        out, self._out = self._out, []
        return out

    # Messages

    def receive(self, flow: Flow, message: Message, now: float) -> list[Command]:
        """Take in one parsed message."""
        out = self._out
        try:
            validate(message)
            if isinstance(message, Request):
                self._on_request(flow, message, now, out)
            elif isinstance(message, Response):
                self._on_response(flow, message, now, out)
        except PeerError as error:
            self._on_bad_message(flow, message, error, out)
        return self._take()

    def malformed(self, flow: Flow, error: ParseError, now: float) -> list[Command]:
        """Answer what could not even be parsed, where enough of it can be read (RFC 3261 8.2, 21.4.1)."""
        out = self._out
        if error.message is not None:
            self._on_bad_message(flow, error.message, error, out)
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
            user.on_response(response, now, out)

    def _on_request(self, flow: Flow, request: Request, now: float, out: list[Command]) -> None:
        server = self.transactions.receive_request(flow, request, now, out)
        if server is None:
            return
        if server is ACK2XX:
            self._on_ack(flow, request, now, out)
            return
        try:
            self._serve(flow, server, request, now, out)
        except PeerError as error:
            out.append(Note("malformed", "", {"remote": str(flow.remote), "reason": error.reason}))
            self._refuse(server, Refusal(error.status, "" if error.status == 400 else error.reason), now, out)

    def _serve(
        self, flow: Flow, server: ServerTransaction, request: Request, now: float, out: list[Command]
    ) -> None:
        if flow.secure and not request.to_tag:
            out.append(Note("sips-arrival", request.call_id, arrival(flow, request)))
        refusal = refuse(request, server.merged, looped(request, self.transactions))
        if refusal is not None:
            self._refuse(server, refusal, now, out)
        elif request.method == "CANCEL":
            self._on_cancel(server, now, out)
        elif request.to_tag:
            self._within_dialog(flow, server, request, now, out)
        elif request.method == "INVITE":
            self._on_invite(flow, server, request, now, out)
        elif request.method == "OPTIONS":
            self._on_options(server, now, out)
        else:
            self._refuse(server, Refusal(481, "Call/Transaction Does Not Exist"), now, out)

    def _refuse(self, server: ServerTransaction, refusal: Refusal, now: float, out: list[Command]) -> None:
        response = self.respond_to(server, refusal.status, refusal.reason)
        for name, value in refusal.headers:
            response.headers.add(name, value)
        server.respond(response, now, out)

    def _on_options(self, server: ServerTransaction, now: float, out: list[Command]) -> None:
        """OPTIONS to us: what we can do (RFC 3261 11.2)."""
        response = self.respond_to(server, 503 if self.draining else 200, "")
        for name, value in (("Allow", ALLOW), ACCEPT, ("Supported", ", ".join(CARRIED_EXTENSIONS))):
            response.headers.add(name, value)
        server.respond(response, now, out)

    def _on_invite(
        self, flow: Flow, server: ServerTransaction, request: Request, now: float, out: list[Command]
    ) -> None:
        snapshot = self.store.current
        trunk = snapshot.trunks.get(flow.trunk or "")
        if request.contact is None:
            self._refuse(server, Refusal(400, "Missing Contact"), now, out)
            return
        if trunk is None:
            self._refuse(server, Refusal(403, "Forbidden"), now, out)
            return
        if self.draining:
            self._refuse(server, Refusal(503, "Service Unavailable"), now, out)
            return
        refusal = self.limits.admit(trunk, now)
        if refusal is not None:
            out.append(Note("call-refused", "", {"trunk": trunk.trunk, "reason": refusal}))
            self._refuse(server, Refusal(503, "Service Unavailable", (("Retry-After", "5"),)), now, out)
            return
        call = self._new_call(snapshot, trunk, flow, request, now)
        call.setup = server.user = Setup(call, server, request)
        call.setup.decide(now, out)

    def _new_call(self, snapshot: Snapshot, trunk: Trunk, flow: Flow, request: Request, now: float) -> Call:
        listener = snapshot.settings.listeners[trunk.listener]
        target = request.target
        scheme = "sips" if target.scheme == "sips" else "sip"
        leg = Leg("a", trunk, flow, local_address(listener, trunk, flow), scheme)
        leg.call_id = request.call_id
        leg.set_contact(target.user or "")
        leg.invited = True
        call = Call(self, self.ids.key(6).hex(), snapshot, leg, now)
        call.admitted.append(trunk)
        call.caller, call.called = request.from_.uri.user or "", target.user or ""
        self.calls[call.id] = call
        return call

    def _on_cancel(self, server: ServerTransaction, now: float, out: list[Command]) -> None:
        cancelled = server.cancels
        if cancelled is None:
            self._refuse(server, Refusal(481, "Call/Transaction Does Not Exist"), now, out)
            return
        server.respond(self.respond_to(server, 200, "OK"), now, out)
        if isinstance(cancelled.user, Setup | Mirror):
            cancelled.user.on_cancel(now, out)

    # Within dialogs

    def _find(self, flow: Flow, request: Request) -> tuple[Call, Fork, Side] | None:
        """The dialog of ``request``, if this peer is the one that it is with."""
        found = self._dialogs.get((request.call_id, request.to_tag or "", request.from_tag or ""))
        if found is None or found[0].leg(found[2]).trunk.trunk != flow.trunk:
            return None
        return found

    def _on_ack(self, flow: Flow, request: Request, now: float, out: list[Command]) -> None:
        found = self._find(flow, request)
        if found is not None:
            call, _, side = found
            answered = call.answered_invites.get((side, request.cseq.number))
            if answered is not None:
                answered.on_ack(request, now, out)

    def _within_dialog(
        self, flow: Flow, server: ServerTransaction, request: Request, now: float, out: list[Command]
    ) -> None:
        found = self._find(flow, request)
        if found is None:
            self._refuse(server, Refusal(481, "Call/Transaction Does Not Exist"), now, out)
            return
        call, fork, side = found
        try:
            fork.dialog(side).check_cseq(request)
        except PeerError as error:
            self._refuse(server, Refusal(error.status, error.reason), now, out)
            return
        call.leg(side).flow = flow
        if request.method == "BYE":
            server.respond(self.respond_to(server, 200, "OK"), now, out)
            call.on_bye(side, now, out)
        elif request.method == "OPTIONS":
            self._on_options(server, now, out)
        else:
            self._mirror(call, fork, side, server, request, now, out)

    def _mirror(
        self, call: Call, fork: Fork, side: Side, server: ServerTransaction, request: Request,
        now: float, out: list[Command],
    ) -> None:  # fmt: skip
        busy = screen(call, fork, side, request)
        if busy is not None:
            headers = (("Retry-After", "5"),) if busy[0] == 500 else ()
            self._refuse(server, Refusal(*busy, headers), now, out)
            return
        mirror = Mirror(call, fork, side, server, request)
        server.user = mirror
        mirror.start(now, out)

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

    def drop_call(self, call_id: str, reason: str, now: float) -> list[Command]:
        """Give back what a call holds and send nothing: for one that cannot even be ended."""
        out = self._out
        call = self.calls.pop(call_id, None)
        if call is not None:
            call.end(reason, "us", now, out, 500)
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

    def connect(self, call: Call, trunk: Trunk, then: Connected, out: list[Command]) -> None:
        """Ask for a flow to ``trunk`` and go on with ``then``."""
        self.ask_connection(call.id, trunk, call.snapshot, then, out)

    def ask_connection(
        self, call_id: str, trunk: Trunk, snapshot: Snapshot, then: Connected, out: list[Command]
    ) -> None:
        """The same for whoever has no call."""
        self._connect_keys += 1
        self._connecting[self._connect_keys] = (call_id, then)
        out.append(Connect(self._connect_keys, trunk, snapshot, call_id))

    def send(
        self, call: Call, leg: Leg, request: Request, user: Awaiting, now: float, out: list[Command]
    ) -> None:
        """Start a transaction on ``leg``, over a new connection where the old one is gone."""
        if leg.flow.alive:
            self.transactions.start(leg.flow, request, now, out, user)
            return

        def then(flow: Flow | None, reason: str, now: float, out: list[Command]) -> None:
            if flow is None:
                user.on_failure("unreachable", now, out)
            else:
                leg.flow = flow
                self.transactions.start(flow, request, now, out, user)

        self.connect(call, leg.trunk, then, out)

    def send_cancel(self, leg: Leg, invite: Request, now: float, out: list[Command]) -> None:
        """CANCEL ``invite`` on ``leg``."""
        if leg.flow.alive:
            self.transactions.start(leg.flow, build_cancel(invite), now, out, NOBODY)

    def refuse_late_answer(
        self, call: Call, attempt: Attempt, response: Response, now: float, out: list[Command]
    ) -> None:
        """A 2xx that nobody wants any more: ACK, then BYE (RFC 3261 13.2.2.4)."""
        leg, invite = attempt.leg, attempt.invite
        if response.contact is None:
            # It can only be told where the INVITE found it.
            response.headers.set("Contact", f"<{invite.uri}>")
        dialog = Dialog.as_uac(invite, response)
        via, cseq = leg.via(self.transactions.new_branch()), invite.cseq.number
        out.append(Send(leg.flow, dialog.request("ACK", via=via, contact=leg.contact, cseq=cseq)))
        via = leg.via(self.transactions.new_branch())
        self.send(call, leg, dialog.request("BYE", via=via, contact=leg.contact), NOBODY, now, out)

    def register(self, fork: Fork, call: Call) -> None:
        """From now on requests within the dialogs of ``fork`` are for ``call``."""
        for side in ("a", "b"):
            dialog = fork.dialog(side)
            self._dialogs[dialog.call_id, dialog.local_tag, dialog.remote_tag] = (call, fork, side)

    def unregister(self, fork: Fork) -> None:
        """The dialogs of ``fork`` are over."""
        for dialog in (fork.a, fork.b):
            self._dialogs.pop((dialog.call_id, dialog.local_tag, dialog.remote_tag), None)

    def release_last(self, call: Call) -> None:
        """The hop that a call tried last no longer counts against its trunk's limits."""
        if len(call.admitted) > 1:
            self.limits.release(call.admitted.pop())

    def forget(self, call: Call) -> None:
        """A call is over."""
        self.calls.pop(call.id, None)
        for trunk in call.admitted:
            self.limits.release(trunk)
        call.admitted.clear()
        if call.limits:
            self.actions.release(call)
