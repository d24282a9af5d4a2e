"""The engine: every message, timer and outcome enters here, and leaves as a list of commands.

It does no I/O and holds no lock: greenlets switch only at I/O, so each method below is atomic.
What it keeps is small: the transactions, the calls, and who waits for a connection. Requests are
for the reception (``sbc.b2bua.reception``).
"""

from __future__ import annotations

from collections import deque
from heapq import heappop

from dsl.decision import Decision
from dsl.services import Answer
from sbc.b2bua.attempt import Attempt
from sbc.b2bua.call import Call
from sbc.b2bua.causes import because
from sbc.b2bua.commands import Command, Invited, Note, Suspect
from sbc.b2bua.desk import Awaiting, Desk
from sbc.b2bua.life import clear, fire
from sbc.b2bua.mirror import Mirror
from sbc.b2bua.probe import Prober
from sbc.b2bua.quiet import on_quiet
from sbc.b2bua.reception import Reception
from sbc.b2bua.refresh import on_timer
from sbc.b2bua.registrations import Registrations
from sbc.b2bua.screening import malformed_note
from sbc.b2bua.states import ENDED, Ending
from sbc.b2bua.wreck import Wreck
from sbc.base import PeerError
from sbc.config.entrances import came_wrongly, dialled_wrongly, entrances
from sbc.config.snapshot import SnapshotStore
from sbc.flow import Flow
from sbc.hookapi.results import HangUp
from sbc.ids import Ids
from sbc.media.silence import Quiet
from sbc.protocols import Spoken
from sbc.sip.machine import Send
from sbc.sip.message import Message, Request, Response, response_to
from sbc.sip.parse import ParseError, essentials, validate
from sbc.sip.transactions import Transaction


class Engine(Desk):
    """All calls of one process.

    Should our own code fail in the middle of a method, what it left so far comes out of the next
    one, and the other calls' timers and failures are still told. ``working_on`` names the call that
    it was at, and ``wreck`` clears up.
    """

    __slots__ = ("_out", "_untold", "calls", "prober", "reception", "registrations")

    def __init__(self, store: SnapshotStore, ids: Ids) -> None:
        calls: dict[str, Call] = {}
        super().__init__(store, ids, calls)
        self.calls = calls
        self.reception = Reception(self, calls)
        self.prober = Prober(self)
        self.registrations = Registrations(self)
        self._out: list[Command] = []
        self._untold: deque[tuple[Transaction, str]] = deque()

    def _take(self) -> list[Command]:
        """What the method that ends here leaves."""
        out, self._out = self._out, []
        return out

    # Messages

    def receive(self, flow: Flow, message: Message, at: float) -> list[Command]:
        """Take in one parsed message."""
        out, self.serving = self._out, None
        try:
            validate(message)
        except PeerError as error:
            self._on_bad_message(flow, message, error, out)
            if isinstance(message, Response):
                self._on_invalid(flow, message, error, at, out)
            return self._take()
        try:
            if isinstance(message, Request):
                self.reception.request(flow, message, at, out)
            elif isinstance(message, Response):
                self._on_response(flow, message, at, out)
        except PeerError as error:
            self._on_bad_message(flow, message, error, out)
        return self._take()

    def malformed(self, flow: Flow, error: ParseError, at: float) -> list[Command]:
        """Answer what could not even be parsed, where enough of it can be read (RFC 3261 8.2, 21.4.1)."""
        out, message = self._out, error.message
        if message is not None:
            self._on_bad_message(flow, message, error, out)
            if isinstance(message, Response) and not error.fatal:
                self._on_invalid(flow, message, error, at, out)
        else:
            more = self._wrong_port(flow, error.protocol) if error.protocol else {}
            out.append(malformed_note(flow, error.reason, **more))
            self._suspect(flow, out)
        return self._take()

    def _suspect(self, flow: Flow, out: list[Command]) -> None:
        """Where anybody may come, who is no phone is a scanner; a datagram says nothing of its sender."""
        trunk = self.store.current.trunks.get(flow.trunk or "")
        if trunk is not None and trunk.phones and flow.reliable:
            out.append(Suspect(flow, "malformed"))

    def _wrong_port(self, flow: Flow, spoken: Spoken) -> dict[str, str]:
        """Whose connection speaks another protocol than SIP, and what is to be done about it."""
        ports = entrances(self.store.current.settings)
        remedy = dialled_wrongly(spoken, ports) if flow.outbound else came_wrongly(spoken, ports)
        return {"trunk": flow.trunk or "-", "listener": flow.listener, "remedy": remedy}

    def _on_bad_message(self, flow: Flow, message: Message, error: PeerError, out: list[Command]) -> None:
        out.append(malformed_note(flow, error.reason))
        self._suspect(flow, out)
        answerable = getattr(error, "answerable", True)
        if not answerable or not isinstance(message, Request) or message.method == "ACK":
            return
        out.append(Send(flow, response_to(message, error.status, error.reason, self.ids.tag())))

    def _on_response(self, flow: Flow, response: Response, at: float, out: list[Command]) -> None:
        client = self.transactions.receive_response(flow, response, at, out)
        if client is not None:
            user: Awaiting = client.user
            call = user.call
            if call is not None:
                self.working_on = call.id
            _follow(user, flow)
            user.on_response(response, at, out)

    def _on_invalid(
        self, flow: Flow, response: Response, error: PeerError, at: float, out: list[Command]
    ) -> None:
        """A final answer to an INVITE that is not as it should be still wants its ACK (RFC 3261 17.1.1.3).

        A refusal is one all the same. What a 2xx says is not believed: it is hung up (13.2.2.4). Whoever
        answers a probe is there, however it says so.
        """
        reduced = essentials(response) if response.status >= 200 else None
        if reduced is None or reduced.cseq.method not in ("INVITE", "OPTIONS"):
            return
        client = self.transactions.receive_response(flow, reduced, at, out)
        if client is None:
            return
        user: Awaiting = client.user
        if user.call is not None:
            self.working_on = user.call.id
        _follow(user, flow)
        if reduced.status < 300 and isinstance(user, Attempt | Mirror):
            user.on_invalid(reduced, error, at, out)
        else:
            user.on_response(reduced, at, out)

    # Outcomes of commands

    def connect_failed(self, key: int, reason: str, at: float) -> list[Command]:
        """No peer of the trunk that ``Connect(key)`` named could be reached."""
        return self.connected(key, None, at, reason)

    def connected(self, key: int, flow: Flow | None, at: float, reason: str = "") -> list[Command]:
        """The flow that ``Connect(key)`` asked for is there, or cannot be had for ``reason``."""
        out = self._out
        self.working_on, then = self._connecting.pop(key, ("", None))
        if then is not None:
            then(flow, reason, at, out)
        return self._take()

    def media_ready(self, call_id: str, sdp: bytes, error: PeerError | None, at: float) -> list[Command]:
        """The oldest media request of a call was answered with ``sdp``, or refused."""
        out, self.working_on = self._out, call_id
        call = self.calls.get(call_id)
        if call is not None:
            call.media_ready(sdp, error, at, out)
        return self._take()

    def hooks_done(
        self, call_id: str, result: Invited | Decision | HangUp | None, failed: str, at: float
    ) -> list[Command]:
        """Hooks of one point have run for a call; ``failed`` is ``file:line`` of one that rejects it."""
        out, self.working_on = self._out, call_id
        call = self.calls.get(call_id)
        if call is None:
            pass
        elif failed:
            fire(call, "clear", at, out, Ending(f"hook failed: {failed}", status=500))
        elif isinstance(result, HangUp):
            clear(call, result.reason, at, out)
        elif call.setup is not None and result is not None:
            call.setup.on_hooks(result, at, out)
        return self._take()

    def looked_up(self, call_id: str, answer: Answer | None, at: float) -> list[Command]:
        """A service has answered about a call, or, None, it has not and never will."""
        out, self.working_on = self._out, call_id
        call = self.calls.get(call_id)
        if call is not None and call.setup is not None:
            call.setup.on_answer(answer, at, out)
        return self._take()

    def register_asked(self, key: int, refused: str, failed: str, at: float) -> list[Command]:
        """Hooks were asked about a REGISTER: why they refuse it, ``file:line`` of one that failed."""
        self.reception.registering.on_asked(key, refused, failed, at, self._out)
        return self._take()

    def bindings_kept(self, key: int, at: float) -> list[Command]:
        """What ``KeepBindings(key)`` has said is written down, or it was said why not."""
        self.reception.registering.on_kept(key, at, self._out)
        return self._take()

    def media_idle(self, call_id: str, at: float) -> list[Command]:
        """Nothing was heard on a call's media for the configured time."""
        out, self.working_on = self._out, call_id
        call = self.calls.get(call_id)
        if call is not None:
            fire(call, "idle", at, out, Ending("no media from either side"))
        return self._take()

    def media_quiet(self, quiet: Quiet, at: float) -> list[Command]:
        """A side of a call is not heard."""
        out, self.working_on = self._out, quiet.call
        call = self.calls.get(quiet.call)
        if call is not None:
            on_quiet(call, quiet, at, out)
        return self._take()

    def media_fax(self, call_id: str, begun: bool, at: float) -> list[Command]:
        """The media of a call is a fax now, or is none any more."""
        out, self.working_on = self._out, call_id
        call = self.calls.get(call_id)
        if call is not None:
            call.fax = True
            fields = {"from": call.a.name, "to": call.b.name if call.b is not None else "-"}
            out.append(Note("fax-begun" if begun else "fax-over", call_id, fields))
        return self._take()

    def flow_closed(self, flow: Flow, at: float) -> list[Command]:
        """A connection is gone, and what cannot go on over another is over."""
        out = self._out
        flow.alive, self.working_on = False, ""
        self.registrar.flow_closed(flow)
        self._untold += self.transactions.flow_closed(flow, at, out)
        self._tell(at, out)
        return self._take()

    def end_call(self, call_id: str, reason: str, at: float) -> list[Command]:
        """End a call from our side, in whatever state it is; both sides are told why (RFC 3326)."""
        out, self.working_on = self._out, call_id
        call = self.calls.get(call_id)
        if call is not None:
            fire(call, "clear", at, out, Ending(reason, status=503, reasons=because(503, reason)))
        return self._take()

    def end_by_operator(self, call_id: str, by: str, at: float) -> list[Command]:
        """End a call because an operator, ``by``, says so; both sides are told that much (RFC 3326)."""
        out, self.working_on = self._out, call_id
        call = self.calls.get(call_id)
        if call is not None:
            why = f"ended by {by or 'an operator'} (sbc calls end)"
            fire(call, "clear", at, out, Ending(why, reasons=because(480, "Ended by the operator")))
        return self._take()

    def wreck(self, call_id: str, flow: Flow | None = None, message: Message | None = None) -> Wreck:
        """Our own code failed, for a call or on ``message`` from ``flow``: what ``clear_up`` has to do."""
        call = self.calls.pop(call_id, None)
        if call is None and message is not None and flow is not None:
            call = self.call_of(flow, message)
            if call is not None:
                del self.calls[call.id]
        # One call may end another, and the fault have struck in that one: what is over is known no more.
        halfway = [each for each in self.calls.values() if each.state == ENDED]
        return Wreck(self, call, flow, message, halfway)

    def call_of(self, flow: Flow, message: Message) -> Call | None:
        """The call that a message on ``flow`` is about, found the long way; none for what begins one."""
        if isinstance(message, Request) and message.method == "INVITE" and not message.to_tag:
            return None
        call_id = message.headers.get("Call-ID")
        for call in self.calls.values():
            for leg in (call.a, call.b, *call.trying):
                if leg is None or leg.call_id != call_id:
                    continue
                if flow.trunk in (leg.name, leg.flow.trunk):
                    return call
        return None

    def clear_up(self, wreck: Wreck, at: float) -> list[Command]:
        """Take the steps of ``wreck``; where one fails, to be called again for the rest."""
        wreck.go_on(at, self._out)
        return self._take()

    # Time

    def look(self, lag: float, at: float) -> list[Command]:
        """The loop came round ``lag`` seconds late: whether we keep up; every ``LOOK_EVERY`` seconds."""
        load, held, bounds = self.load, len(self.transactions), self.store.current.settings.overload
        since = load.since
        if load.look(lag, bounds.lag, held >= bounds.transactions, at):
            fields: dict[str, object] = {"lag": f"{load.worst:.3f}", "transactions": held}
            if since is not None:
                fields["seconds"] = round(at - since, 1)
            self._out.append(Note("overload-begun" if since is None else "overload-over", "", fields))
        return self._take()

    def probe(self, at: float) -> list[Command]:
        """Probe the trunks that are due, and register; to be called about every second."""
        self.prober.tick(self.store.current, at, self._out)
        self.registrations.tick(at, self._out)
        self.reception.registering.tick(at, self._out)
        self._count_minutes(at)
        return self._take()

    def _count_minutes(self, at: float) -> None:
        """Tell of allowances that are nearly spent, and end the calls whose hard limit is reached."""
        allowances, out = self.rule_limits.allowances, self._out
        for spent, calls in allowances.tick(at, self.date(at)):
            ending = Ending(f"limit of {spent.text()}: {spent.key}", reasons=because(480, "Limit reached"))
            for each in calls:
                self.working_on = each
                call = self.calls.get(each)
                if call is not None:
                    fire(call, "clear", at, out, ending)
        for told in allowances.take_told():
            fields = {
                "limit": told.name or "-", "allowance": told.key, "allowed": told.text,
                "spent": f"{told.share * 100:.0f}%",
            }  # fmt: skip
            out.append(Note(f"fraud-{told.what}", "", fields))
        self.working_on = ""

    def follow(self, at: float) -> list[Command]:
        """Another snapshot is in force: the trunks and the phones that it lacks are registered no longer."""
        self.registrations.follow(at, self._out)
        self.reception.registering.follow(at, self._out)
        return self._take()

    def unregister(self, at: float) -> list[Command]:
        """We stop: no trunk is registered any longer."""
        self.registrations.leave(at, self._out)
        return self._take()

    @property
    def next_deadline(self) -> float | None:
        """When ``tick`` is wanted next (monotonic seconds), or None."""
        if self._untold:
            return 0.0
        due = self.transactions.next_deadline
        if self.reminders and (due is None or self.reminders[0][0] < due):
            return self.reminders[0][0]
        return due

    def tick(self, at: float) -> list[Command]:
        """Fire every timer that is due."""
        out = self._out
        self.working_on = ""
        self._untold += self.transactions.tick(at, out)
        self._tell(at, out)
        while self.reminders and self.reminders[0][0] <= at:
            deadline, call_id = heappop(self.reminders)
            call = self.calls.get(call_id)
            if call is not None and call.reminded_at == deadline:
                self.working_on = call_id
                call.on_reminder(at, on_timer, out)
        return self._take()

    def _tell(self, at: float, out: list[Command]) -> None:
        while self._untold:
            transaction, kind = self._untold.popleft()
            user: Awaiting | None = transaction.user
            if user is not None:
                self.working_on = user.call.id if user.call is not None else ""
                user.on_failure(kind, at, out)


def _follow(user: Awaiting, flow: Flow) -> None:
    """A peer that answers on another connection, since the one that it was asked on is gone, has that now."""
    leg = user.leg
    if leg is not None and not leg.flow.alive:
        leg.flow = flow
