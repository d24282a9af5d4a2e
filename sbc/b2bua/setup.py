"""The INVITE's way: from the caller, through the rules and hooks, to whoever answers.

One ``Setup`` lives as long as the caller's INVITE is unanswered. Its ``Hunt`` tries one peer after
the other, each as an ``Attempt``; an attempt that was given up still waits for its transaction
to end, because a callee may answer while our CANCEL is on its way (RFC 3261 9.1, 13.2.2.4):
such an answer is acknowledged and hung up.
"""

from __future__ import annotations

from dsl.decision import Challenge, Decision, Edit, Redirect, Reject, Route
from dsl.facts import Facts
from sbc.b2bua.answered import AnsweredInvite
from sbc.b2bua.attempt import Attempt
from sbc.b2bua.call import AfterMedia, Call
from sbc.b2bua.commands import AnswerMedia, Command, Note, OfferMedia, RunHooks
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.hooked import Invited
from sbc.b2bua.hunt import Hunt
from sbc.b2bua.translate import Fields, answer, carried_body, redirect_contact
from sbc.base import PeerError
from sbc.config.hook_set import called_by
from sbc.sip.dialog import Dialog
from sbc.sip.message import Request, Response
from sbc.sip.transactions import SPENT, ServerTransaction


class Setup:
    """The caller's INVITE and what becomes of it."""

    __slots__ = ("call", "edits", "hunt", "offer", "request", "server", "stale")

    def __init__(self, call: Call, server: ServerTransaction, request: Request) -> None:
        self.call = call
        self.server = server
        self.request = request
        self.offer = carried_body(request)
        self.hunt = Hunt(call)
        self.stale = False  # the caller's credentials were good once
        self.edits: tuple[Edit, ...] = ()  # what hooks changed before the rules

    # The decision

    def decide(self, now: float, out: list[Command]) -> None:
        """Ask the rules, and the hooks before and after them where there are any."""
        call = self.call
        hooks = call.snapshot.hooks
        desk = call.desk
        facts, self.stale = desk.actions.facts(self.request, call.a, call.snapshot, desk.date(now), now)
        if hooks.answer or hooks.end:
            call.facts = facts
        if hooks.invite:
            out.append(RunHooks(call.id, call.snapshot, hooks.invite, facts))
        else:
            self._ask_rules(facts, now, out)

    def on_invited(self, invited: Invited, now: float, out: list[Command]) -> None:
        """The hooks before the rules have spoken."""
        if self.call.facts is not None:
            self.call.facts = invited.facts
        self.edits = invited.edits
        self.call.tags = invited.facts.tags
        if invited.decision is not None:
            self.on_decision(invited.decision, now, out)
        else:
            self._ask_rules(invited.facts, now, out)

    def _ask_rules(self, facts: Facts, now: float, out: list[Command]) -> None:
        call = self.call
        decision = call.snapshot.rules.decide(facts)
        call.tags = facts.tags + decision.tags
        if isinstance(decision, Route):
            call.named_hooks = decision.hooks
        hooks = call.snapshot.hooks.route
        # Whoever has to prove a password first is not decided about yet.
        chosen = called_by(hooks, call.named_hooks) if hooks and not isinstance(decision, Challenge) else ()
        if chosen:
            out.append(RunHooks(call.id, call.snapshot, chosen, facts, decision))
        else:
            self.on_decision(decision, now, out)

    def on_decision(self, decision: Decision, now: float, out: list[Command]) -> None:
        """Rules and hooks have spoken."""
        call = self.call
        if call.state != "routing":
            return
        call.rule = decision.rule
        if decision.tags and decision.tags != call.tags:
            call.tags = tuple(dict.fromkeys(call.tags + decision.tags))
        if isinstance(decision, Reject):
            self.reject(decision.status, decision.reason, now, out, "rejected by rule")
        elif isinstance(decision, Redirect):
            self._redirect(decision, now, out)
        elif isinstance(decision, Challenge):
            response = call.desk.respond_to(self.server, 407, "Proxy Authentication Required")
            response = call.desk.actions.challenge(response, decision, call.snapshot.logins, self.stale, now)
            self.finish(response, now, out, "asked for a password")
        else:
            self._begin(decision, now, out)

    def _redirect(self, decision: Redirect, now: float, out: list[Command]) -> None:
        """Name other places, if each of the targets, which may be made of what a peer sent, is one."""
        call = self.call
        contacts = [redirect_contact(target) for target in decision.targets]
        if None in contacts:
            why = "a redirect target is not a SIP URI"
            out.append(Note("redirect-refused", call.id, {"rule": decision.rule, "reason": why}))
            self.reject(500, "Server Internal Error", now, out, f"{why}: {decision.rule}")
            return
        response = call.desk.respond_to(self.server, 302, "Moved Temporarily")
        for contact in contacts:
            response.headers.add("Contact", contact or "")
        self.finish(response, now, out, "redirected by rule")

    def _begin(self, route: Route, now: float, out: list[Command]) -> None:
        """Send the call on its way, if the limits of its rules let it."""
        call = self.call
        refused = call.desk.actions.admit(route.limits, now) if route.limits else None
        if refused is not None:
            self.reject(refused.status, refused.reason, now, out, f"limit of {refused.calls} calls")
            return
        call.limits = route.limits
        call.state = "trying"
        self.hunt.begin(call.desk.actions.prepare(route, self.edits), now, out)

    def on_hook_failure(self, place: str, now: float, out: list[Command]) -> None:
        """A hook failed: the call is rejected, closed rather than open."""
        if self.call.state == "routing":
            self.reject(500, "Server Internal Error", now, out, f"hook failed: {place}")

    # Responses

    def on_response(self, attempt: Attempt, response: Response, now: float, out: list[Command]) -> None:
        """The peer that we are trying said something else than 100."""
        if response.status >= 300:
            self.hunt.on_refusal(response, now, out)
            return
        if attempt.answered is not None:
            self._answered_again(attempt, response, now, out)
            return
        call = self.call
        fork = self._fork_of(attempt, response)
        sdp = b"" if fork.renewed else carried_body(response)
        again = b""
        if response.status >= 200:
            again = b"" if sdp else call.early_answer(fork)
            call.keep_only(fork)
            call.cancel_timer("ring")
            call.cancel_timer("response")
            attempt.leg.inviting = False
        else:
            call.state = "ringing"
            fork.early = sdp or fork.early

        def then(sdp: bytes, error: PeerError | None, now: float, out: list[Command]) -> None:
            self._pass_back(attempt, fork, response, b"" if again else sdp, error, now, out)

        self._take_sdp(response, sdp or again, then, now, out)

    def _take_sdp(
        self, response: Response, sdp: bytes, then: AfterMedia, now: float, out: list[Command]
    ) -> None:
        """SDP in a response answers the caller's offer, or is the callee's own (RFC 3264, 6337).

        In an unreliable provisional response it is a preview: the INVITE's offer stays open.
        """
        call = self.call
        preview = response.status < 200 and "RSeq" not in response.headers
        if not sdp:
            call.after_media(then, now, out)
        elif self.offer:
            call.ask_media(AnswerMedia(call.id, "b", sdp), then, out)
            call.offerer = "a" if preview else None
        else:
            call.offered_early = response.status < 200 and not preview
            command = OfferMedia(call.id, "b", sdp, call.policies["b"], call.policies["a"])
            call.ask_media(command, then, out)
            call.offerer = None if preview else "b"

    def _answered_again(self, attempt: Attempt, response: Response, now: float, out: list[Command]) -> None:
        """A 2xx after the first: the same fork repeats itself, another one comes too late."""
        call = self.call
        assert attempt.answered is not None, "asked only after an answer"
        if response.status < 200:
            return
        if call.fork is not None and response.to_tag == call.fork.b.remote_tag:
            attempt.answered.repeat_ack(out)
        else:
            call.desk.refuse_late_answer(call, attempt.leg, attempt.invite, response, now, out)

    def _fork_of(self, attempt: Attempt, response: Response) -> Fork:
        """The pair of dialogs that ``response`` belongs to, made where it is the first of its tag."""
        call, tag = self.call, response.to_tag or ""
        fork = call.forks.get(tag)
        if fork is None:
            own = Dialog.as_uas(self.request, call.desk.ids.tag())
            fork = Fork(own, Dialog.as_uac(attempt.invite, response))
            call.add_fork(tag, fork)
        elif response.status >= 200:
            fork.b.confirm(response)
        return fork

    def _pass_back(
        self, attempt: Attempt, fork: Fork, response: Response, sdp: bytes,
        error: PeerError | None, now: float, out: list[Command],
    ) -> None:  # fmt: skip
        call = self.call
        if call.state == "ended":
            return
        if error is not None:
            self._unusable_answer(attempt, fork, response, error, now, out)
            return
        base = call.desk.respond_to(self.server, response.status, response.reason, fork.a.local_tag)
        final = answer(base, response, call.a, attempt.leg.flow.trusted, sdp)
        if response.status < 200:
            self.server.respond(final, now, out)
            return
        fork.a.confirm()
        call.state, call.answered_at = "answered", now
        call.a.invited = False
        # Without SDP in the 2xx everything was settled in reliable provisional responses (RFC 3262 5).
        offered_by_far = bool(sdp) and not self.offer
        call.offerer = "b" if offered_by_far else None
        attempt.answered = AnsweredInvite(call, fork, "a", attempt.leg.cseq, offered_by_far)
        attempt.answered.start(self.server, final, now, out)

    def _unusable_answer(
        self,
        attempt: Attempt,
        fork: Fork,
        response: Response,
        error: PeerError,
        now: float,
        out: list[Command],
    ) -> None:
        """The callee's media must not be used: nothing falls back to the clear, the call ends (row M3)."""
        call = self.call
        out.append(Note("media-refused", call.id, {"side": "b", "reason": error.reason}))
        if response.status >= 200:
            attempt.given_up = True
            call.desk.refuse_late_answer(call, attempt.leg, attempt.invite, response, now, out)
        else:
            attempt.give_up(now, out)
        self.reject(488, "Not Acceptable Here", now, out, error.reason)

    def let_go(self) -> None:
        """The call is up or over: no message of its setup is needed while the transactions live on."""
        self.request, self.offer = SPENT, b""
        self.hunt.let_go()

    # Failure

    def on_timer(self, name: str, now: float, out: list[Command]) -> None:
        """A timer of the hunt's is due."""
        self.hunt.on_timer(name, now, out)

    def pass_failure(self, response: Response, now: float, out: list[Command]) -> None:
        """The callee's final failure, as the caller may see it.

        A challenge is for us, not for the caller; a redirect names places of the far side.
        """
        call, status = self.call, response.status
        if status in (401, 407):
            self.reject(403, "Forbidden", now, out, f"{status} from the callee's side")
        elif status < 400:
            self.reject(480, "Temporarily Unavailable", now, out, f"{status} from the callee's side")
        else:
            base = call.desk.respond_to(self.server, status, response.reason, call.desk.ids.tag())
            final = answer(base, response, call.a, call.b.flow.trusted if call.b else False, b"")
            self.finish(final, now, out, f"{status} {response.reason}", by="callee")

    def on_cancel(self, why: Fields, now: float, out: list[Command]) -> None:
        """The caller gave up; ``why`` are its Reasons, such as that another phone has answered."""
        if self.call.state in ("answered", "up", "ended"):
            return
        self.hunt.give_up(now, out, why)
        response = self.call.desk.respond_to(self.server, 487, "Request Terminated")
        self.finish(response, now, out, "cancelled", by="caller")

    def on_failure(self, kind: str, now: float, out: list[Command]) -> None:
        """The caller's connection closed before there was an answer: nobody could be told of one."""
        if kind == "transport" and self.call.state not in ("answered", "up", "ended"):
            self.abandon(503, "Service Unavailable", "the caller's connection closed", now, out)

    def abandon(
        self, status: int, reason: str, why: str, now: float, out: list[Command], reasons: Fields = ()
    ) -> None:
        """Give the call up from our side before it was answered."""
        self.hunt.give_up(now, out, reasons)
        self.reject(status, reason, now, out, why)

    def reject(self, status: int, reason: str, now: float, out: list[Command], why: str) -> None:
        """Refuse the call; ``why`` is for its record."""
        self.finish(self.call.desk.respond_to(self.server, status, reason), now, out, why)

    def finish(self, response: Response, now: float, out: list[Command], why: str, by: str = "us") -> None:
        """Give the caller this final refusal, or redirection; the call is over."""
        self.server.respond(response, now, out)
        self.server.user = None
        self.call.end(why, by, now, out, response.status)
