"""What is left to do when our own code has failed: everybody is answered, everything is given back.

A fault may come in the middle of anything, so nothing that a call believes of itself is trusted here, and
no method of it is asked: what still has to be said is read off the transactions and the dialogs. Whoever
waits for a final answer gets one; an INVITE of ours is cancelled, and its 2xx, come already or coming,
acknowledged and hung up; a confirmed dialog gets a BYE; ports, limits and dialogs are returned. Each of
these is a step of its own: where one fails too, ``go_on`` is called again and takes the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from sbc.b2bua.answered import AnsweredInvite
from sbc.b2bua.attempt import Attempt
from sbc.b2bua.call import Call, forget
from sbc.b2bua.commands import Command, DeleteMedia, Note
from sbc.b2bua.desk import NOBODY, Desk
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.joining import Joining
from sbc.b2bua.leg import Leg, Side, other
from sbc.b2bua.mirror import Mirror
from sbc.b2bua.refresh import Refresh
from sbc.b2bua.states import ENDED, Ending
from sbc.b2bua.told import emergency_failed, end_of, hung_up, record_of, run
from sbc.flow import Flow
from sbc.sip.machine import Send
from sbc.sip.message import Message, Request, Response, response_to
from sbc.sip.transaction import ACCEPTED, CALLING, LOST, PROCEEDING, TRYING
from sbc.sip.transactions import ClientTransaction, ServerTransaction

REASON = "internal error"
_Step = Callable[[Any, float, list[Command]], None]


class Wreck:
    """One fault: ``call`` is the one that it happened in, ``message`` what had just come on ``flow``.

    ``halfway``: calls that were just being ended, which may have been on behalf of ``call``.
    """

    __slots__ = ("_desk", "_steps", "call", "flow", "message", "serving")

    def __init__(
        self, desk: Desk, call: Call | None, flow: Flow | None, message: Message | None, halfway: list[Call]
    ) -> None:
        self._desk = desk
        self.call = call
        self.flow = flow
        self.message = message
        self.serving = desk.serving
        self._steps: deque[tuple[_Step, Any]] = deque()
        if isinstance(message, Request):
            self._steps.append((self._refuse_message, message))
        if call is not None:
            self._steps.append((self._survey, call))
        elif isinstance(message, Response):
            self._steps.append((self._disown, message))
        for each in halfway:
            self._steps.append((self._survey, each))

    def go_on(self, at: float, out: list[Command]) -> None:
        """Take every step that has not been tried yet."""
        while self._steps:
            step, about = self._steps.popleft()
            step(about, at, out)

    # Who waits for an answer

    def _refuse_message(self, request: Request, at: float, out: list[Command]) -> None:
        if self.serving is not None:
            self._refuse(self.serving, at, out)
        elif request.method != "ACK" and self.flow is not None:
            out.append(Send(self.flow, response_to(request, 500, "", self._desk.ids.tag())))

    def _refuse(self, server: ServerTransaction, at: float, out: list[Command]) -> None:
        if server.state not in (PROCEEDING, TRYING):
            return
        request = server.request
        begins = server.method == "INVITE" and not request.to_tag
        # A caller may have another way to whom it calls; within a dialog there is none.
        server.respond(self._desk.respond_to(server, 503 if begins else 500, ""), at, out)
        server.user = None
        if begins and self.call is not None:
            for fork in _forks(self.call):
                fork.a.end()

    def _disown(self, response: Response, at: float, out: list[Command]) -> None:
        """A response to what a call that is over had asked."""
        client = self._desk.transactions.client_of(response)
        if client is not None and client.method == "INVITE":
            self._withdraw(client, at, out)

    # A call

    def _survey(self, call: Call, at: float, out: list[Command]) -> None:
        for akin in (call.linked, call.rival):  # what one of them holds the other may have
            if akin is not None:
                self._steps.append((self._survey, akin))
                akin.linked = None if akin.linked is call else akin.linked
                akin.rival = None if akin.rival is call else akin.rival
        call.linked = call.rival = None
        for each in self._desk.transactions.live():
            if each.user is None or each.user.call is not call:
                continue
            if isinstance(each, ServerTransaction):
                self._steps.append((self._refuse, each))
            elif isinstance(each, ClientTransaction) and each.method == "INVITE":
                self._steps.append((self._withdraw, each))
        for answered in call.answered_invites.values():
            self._steps.append((self._acknowledge, answered))
        for fork in _forks(call):
            self._steps.append((self._hang_up_a, (call, fork)))
            self._steps.append((self._hang_up_b, (call, fork)))
            self._steps.append((self._unregister, fork))
        for step in (self._let_go, self._give_back_media, self._forget, self._forget, self._tell):
            self._steps.append((step, call))

    def _withdraw(self, client: ClientTransaction, at: float, out: list[Command]) -> None:
        user = client.user
        if not isinstance(user, Attempt | Mirror | Refresh | Joining):
            return
        if not isinstance(user, Refresh | Joining) and user.answered is not None:
            self._acknowledge(user.answered, at, out)
            return
        if isinstance(user, Attempt | Joining):
            leg: Leg | None = user.leg
        else:
            leg = _leg(user.call, other(user.side) if isinstance(user, Mirror) else user.side)
        if leg is None:
            return
        leftover = Leftover(user.call, leg, client.request)
        if client.state == ACCEPTED:
            client.user = leftover
            if client.last_response is not None:
                leftover.on_response(client.last_response, at, out)
        elif client.state in (CALLING, PROCEEDING, LOST):
            client.user = leftover
            leftover.cancelled = client.state != LOST and "abandon" in client.timers
            if client.state == PROCEEDING:
                leftover.cancel(at, out)

    def _acknowledge(self, answered: AnsweredInvite, at: float, out: list[Command]) -> None:
        side = other(answered.side)
        leg = _leg(answered.call, side)
        if leg is None:
            return
        if answered.ack is None:
            via = leg.via(self._desk.ids.branch())
            dialog = answered.fork.dialog(side)
            answered.ack = dialog.request("ACK", via=via, contact=leg.contact, cseq=answered.far_cseq)
        dialog = answered.fork.dialog(side)  # once more, it may be, which does no harm
        self._desk.send_ack(answered.call, leg, dialog, answered.ack, at, out)

    def _hang_up_a(self, about: tuple[Call, Fork], at: float, out: list[Command]) -> None:
        self._hang_up(*about, "a", at, out)

    def _hang_up_b(self, about: tuple[Call, Fork], at: float, out: list[Command]) -> None:
        self._hang_up(*about, "b", at, out)

    def _hang_up(self, call: Call, fork: Fork, side: Side, at: float, out: list[Command]) -> None:
        dialog, leg = fork.dialog(side), _leg(call, side)
        if leg is None or dialog.state != "confirmed":
            return
        via = leg.via(self._desk.ids.branch())
        request = dialog.request("BYE", via=via, contact=leg.contact)
        dialog.end()
        self._desk.send(call, leg, dialog, request, NOBODY, at, out)

    # What the call held

    def _unregister(self, fork: Fork, at: float, out: list[Command]) -> None:
        self._desk.dialogs.unregister(fork)

    def _let_go(self, call: Call, at: float, out: list[Command]) -> None:
        call.state, call.setup = ENDED, None
        call.forks.clear()
        call.timers.clear()
        call.media_waits.clear()
        call.mirrors.clear()
        call.answered_invites.clear()

    def _give_back_media(self, call: Call, at: float, out: list[Command]) -> None:
        if call.has_media:
            call.has_media = False
            out.append(DeleteMedia(call.id))

    def _forget(self, call: Call, at: float, out: list[Command]) -> None:
        forget(call, at)

    def _tell(self, call: Call, at: float, out: list[Command]) -> None:
        if call.recorded:
            return
        call.recorded = True
        hung_up(call, at)
        ending = Ending(REASON, status=503)
        out.append(Note("call-ended", call.id, record_of(call, ending, at)))
        if call.emergency:
            emergency_failed(call, ending, out)
        hooks = call.snapshot.hooks.end
        if hooks:
            run(call, hooks, end_of(call, ending, at), out)


class Leftover:
    """Waits for what an INVITE of ours still brings, after its call is over."""

    __slots__ = ("call", "cancelled", "invite", "leg")

    def __init__(self, call: Call, leg: Leg, invite: Request) -> None:
        self.call = call
        self.leg = leg
        self.invite = invite
        self.cancelled = False

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """The callee rings: CANCEL. It has answered: ACK, and BYE where nobody has said it yet."""
        call, leg = self.call, self.leg
        if response.status < 200:
            self.cancel(at, out)
        elif response.status < 300:
            call.desk.refuse_late_answer(call, leg, self.invite, response, at, out)
            for fork in _forks(call):
                if not self.invite.to_tag and fork.b.remote_tag == response.to_tag:
                    fork.b.end()

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """No answer came: nobody is left to be told."""

    def cancel(self, at: float, out: list[Command]) -> None:
        """Send CANCEL, once."""
        if not self.cancelled:
            self.cancelled = True
            self.call.desk.send_cancel(self.call, self.leg, self.invite, at, out)


def _forks(call: Call) -> list[Fork]:
    """Every pair of dialogs that the call has."""
    forks = list(call.forks.values())
    if call.fork is not None and call.fork not in forks:
        forks.append(call.fork)
    return forks


def _leg(call: Call, side: Side) -> Leg | None:
    return call.a if side == "a" else call.b
