"""The INVITE's way: from the caller, through the rules and hooks, to whoever answers.

One ``Setup`` lives as long as the caller's INVITE is unanswered. It tries the decision's hops
in turn, each as an ``Attempt``; an attempt that was given up still waits for its transaction
to end, because a callee may answer while our CANCEL is on its way (RFC 3261 9.1, 13.2.2.4):
such an answer is acknowledged and hung up.
"""

from __future__ import annotations

from typing import Final

from dsl.decision import Challenge, Decision, Edit, Failure, Redirect, Reject, Route
from dsl.facts import Facts
from sbc.b2bua.answered import AnsweredInvite
from sbc.b2bua.attempt import Attempt
from sbc.b2bua.call import AfterMedia, Call, Fork
from sbc.b2bua.commands import AnswerMedia, Command, Note, OfferMedia, RunHooks
from sbc.b2bua.hooked import Invited
from sbc.b2bua.leg import Leg, local_address
from sbc.b2bua.media_policy import callee_srtp, caller_srtp, effective_downgrade, leg_policy
from sbc.b2bua.translate import answer, carried_body, invite, redirect_contact, too_long
from sbc.base import PeerError
from sbc.config.hook_set import called_by
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.policy.downgrade import verdict
from sbc.sip.dialog import Dialog
from sbc.sip.message import Request, Response
from sbc.sip.transactions import SPENT, ServerTransaction

_NOWHERE: Final = Route(())
_REASONS: Final = {"timeout": (408, "Request Timeout"), "unreachable": (503, "Service Unavailable")}


class Setup:
    """The caller's INVITE and what becomes of it."""

    __slots__ = ("attempt", "call", "edits", "hop", "offer", "request", "route", "server")

    def __init__(self, call: Call, server: ServerTransaction, request: Request) -> None:
        self.call = call
        self.server = server
        self.request = request
        self.offer = carried_body(request)
        self.route = _NOWHERE
        self.edits: tuple[Edit, ...] = ()  # what hooks changed before the rules
        self.hop = -1
        self.attempt: Attempt | None = None

    # The decision

    def decide(self, now: float, out: list[Command]) -> None:
        """Ask the rules, and the hooks before and after them where there are any."""
        call = self.call
        hooks = call.snapshot.hooks
        facts = call.engine.actions.facts(call, self.request, now)
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
            self._reject(decision.status, decision.reason, now, out, "rejected by rule")
        elif isinstance(decision, Redirect):
            self._redirect(decision, now, out)
        elif isinstance(decision, Challenge):
            response = call.engine.respond_to(self.server, 407, "Proxy Authentication Required")
            response = call.engine.actions.challenge(call, response, decision, now)
            self._finish(response, now, out, "asked for a password")
        else:
            self._begin(decision, now, out)

    def _redirect(self, decision: Redirect, now: float, out: list[Command]) -> None:
        """Name other places, if each of the targets, which may be made of what a peer sent, is one."""
        call = self.call
        contacts = [redirect_contact(target) for target in decision.targets]
        if None in contacts:
            why = "a redirect target is not a SIP URI"
            out.append(Note("redirect-refused", call.id, {"rule": decision.rule, "reason": why}))
            self._reject(500, "Server Internal Error", now, out, f"{why}: {decision.rule}")
            return
        response = call.engine.respond_to(self.server, 302, "Moved Temporarily")
        for contact in contacts:
            response.headers.add("Contact", contact or "")
        self._finish(response, now, out, "redirected by rule")

    def _begin(self, route: Route, now: float, out: list[Command]) -> None:
        """Send the call on its way, if the limits of its rules let it."""
        call = self.call
        refused = call.engine.actions.admit(call, route.limits, now) if route.limits else None
        if refused is not None:
            self._reject(refused.status, refused.reason, now, out, f"limit of {refused.calls} calls")
            return
        call.state = "trying"
        self.route = call.engine.actions.prepare(route, self.edits)
        self._try(0, now, out)

    def on_hook_failure(self, place: str, now: float, out: list[Command]) -> None:
        """A hook failed: the call is rejected, closed rather than open."""
        if self.call.state == "routing":
            self._reject(500, "Server Internal Error", now, out, f"hook failed: {place}")

    # One hop after the other

    def _try(self, index: int, now: float, out: list[Command]) -> None:
        call = self.call
        self.hop = index
        trunk = call.snapshot.trunks[self.route.hops[index].trunk]
        if self._refuse_downgrade(trunk, now, out):
            return
        if call.engine.prober.is_down(trunk.trunk):
            reason = call.engine.prober.health[trunk.trunk].reason
            out.append(Note("hop-refused", call.id, {"trunk": trunk.trunk, "reason": f"down: {reason}"}))
            self._hop_failed("unreachable", None, now, out)
            return
        refusal = call.engine.limits.admit(trunk, now)
        if refusal is not None:
            out.append(Note("hop-refused", call.id, {"trunk": trunk.trunk, "reason": refusal}))
            self._hop_failed(503, None, now, out)
            return
        call.admitted.append(trunk)

        def then(flow: Flow | None, reason: str, now: float, out: list[Command]) -> None:
            if call.state == "ended":
                return
            if flow is None:
                self.on_hop_failure("unreachable", reason, now, out)
            else:
                self._connected(trunk, flow, now, out)

        call.engine.connect(call, trunk, then, out)

    def _refuse_downgrade(self, trunk: Trunk, now: float, out: list[Command]) -> bool:
        """Apply the SIPS downgrade policy to a hop (row S8, RFC 5630): True where it may not be taken."""
        call = self.call
        secure_out = call.snapshot.settings.listeners[trunk.listener].transport == "tls"
        policy = effective_downgrade(trunk.sips, self.route.downgrade)
        judged = verdict(call.a.flow.secure, secure_out, policy)
        if judged.outcome != "forbid":
            if judged.outcome == "warn" and not call.downgraded:
                out.append(Note("sips-downgrade", call.id, self._downgrade_note(trunk)))
            call.downgraded = call.downgraded or judged.downgraded
            return False
        later = self.route.next_hop(self.hop, "unreachable")
        if later is not None:
            self._try(later, now, out)
            return True
        host = call.a.sent_by.rpartition(":")[0]
        response = call.engine.respond_to(self.server, judged.status, "Temporarily Unavailable")
        response.headers.add("Warning", judged.warning.format(agent=host))
        self._finish(response, now, out, f"downgrade to {trunk.trunk} is forbidden")
        return True

    def _downgrade_note(self, trunk: Trunk) -> dict[str, object]:
        return {
            "call_id": self.request.call_id, "trunk_in": self.call.a.trunk.trunk,
            "trunk_out": trunk.trunk, "from": self.call.caller, "to": self.call.called,
        }  # fmt: skip

    def _connected(self, trunk: Trunk, flow: Flow, now: float, out: list[Command]) -> None:
        call = self.call
        listener = call.snapshot.settings.listeners[trunk.listener]
        leg = Leg("b", trunk, flow, local_address(listener, trunk, flow), trunk.scheme)
        leg.call_id, leg.local_tag = call.engine.ids.call_id(), call.engine.ids.tag()
        call.b = leg
        rule, codecs = self.route.srtp, self.route.codecs
        call.policies["a"] = ours = leg_policy(call.a, caller_srtp(call.a.trunk.srtp, rule), codecs)
        call.policies["b"] = theirs = leg_policy(leg, callee_srtp(trunk.srtp, rule), codecs)
        if self.offer:
            command = OfferMedia(call.id, "a", self.offer, ours, theirs, restart=call.has_media)
            call.ask_media(command, self._invite, out)
        else:
            self._invite(b"", None, now, out)

    def _invite(self, sdp: bytes, error: PeerError | None, now: float, out: list[Command]) -> None:
        call, leg = self.call, self.call.b
        if call.state == "ended" or leg is None:
            return
        if error is not None:
            out.append(Note("media-refused", call.id, {"side": "a", "reason": error.reason}))
            self._reject(error.status, "", now, out, error.reason)
            return
        engine, target = call.engine, leg.flow.reuse.target if leg.flow.reuse else leg.flow.remote
        branch = engine.transactions.new_branch()
        request = invite(leg, self.request, self.route, target, branch, sdp, call.a.flow.trusted)
        if too_long(request):
            self._reject(513, "", now, out, "the INVITE is too long to be sent on")
            return
        self.attempt = attempt = Attempt(self, leg)
        leg.inviting = True
        attempt.invite = request
        attempt.client = engine.transactions.start(leg.flow, request, now, out, attempt)
        call.schedule("response", now + leg.trunk.response_timeout)
        call.schedule("ring", now + (self.route.ring or leg.trunk.ring_timeout))

    # Responses

    def on_response(self, attempt: Attempt, response: Response, now: float, out: list[Command]) -> None:
        """The hop that we are trying said something else than 100."""
        if response.status >= 300:
            self._hop_failed(response.status, response, now, out)
            return
        if attempt.answered is not None:
            self._answered_again(attempt, response, now, out)
            return
        call = self.call
        fork = self._fork_of(attempt, response)
        sdp = b"" if fork.renewed else carried_body(response)
        if response.status >= 200:
            call.keep_only(fork)
            call.cancel_timer("ring")
            call.cancel_timer("response")
            attempt.leg.inviting = False
        else:
            call.state = "ringing"

        def then(sdp: bytes, error: PeerError | None, now: float, out: list[Command]) -> None:
            self._pass_back(attempt, fork, response, sdp, error, now, out)

        self._take_sdp(response, sdp, then, now, out)

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
            call.engine.refuse_late_answer(call, attempt.leg, attempt.invite, response, now, out)

    def _fork_of(self, attempt: Attempt, response: Response) -> Fork:
        """The pair of dialogs that ``response`` belongs to, made where it is the first of its tag."""
        call, tag = self.call, response.to_tag or ""
        fork = call.forks.get(tag)
        if fork is None:
            own = Dialog.as_uas(self.request, call.engine.ids.tag())
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
        base = call.engine.respond_to(self.server, response.status, response.reason, fork.a.local_tag)
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
            call.engine.refuse_late_answer(call, attempt.leg, attempt.invite, response, now, out)
        else:
            attempt.give_up(now, out)
        self._reject(488, "Not Acceptable Here", now, out, error.reason)

    def let_go(self) -> None:
        """The call is up or over: no message of its setup is needed while the transactions live on."""
        self.request, self.offer = SPENT, b""
        if self.attempt is not None:
            self.attempt.let_go()
            self.attempt = None

    # Failure

    def on_hop_failure(self, kind: Failure, reason: str, now: float, out: list[Command]) -> None:
        """The hop did not answer in time, or could not be reached."""
        call = self.call
        trunk = self.route.hops[self.hop].trunk
        out.append(Note("hop-failed", call.id, {"trunk": trunk, "kind": kind, "reason": reason}))
        self._hop_failed(kind, None, now, out)

    def on_timer(self, name: str, now: float, out: list[Command]) -> None:
        """``response``: the hop is silent. ``ring``: it rings, but nobody answers."""
        if self.attempt is not None:
            self.attempt.give_up(now, out)
        self.on_hop_failure("timeout", f"no {'answer' if name == 'ring' else 'response'} in time", now, out)

    def _hop_failed(
        self, failure: Failure, response: Response | None, now: float, out: list[Command]
    ) -> None:
        call = self.call
        call.cancel_timer("ring")
        call.cancel_timer("response")
        call.drop_forks()
        if self.attempt is not None:
            self.attempt.given_up, self.attempt.client = True, None
            self.attempt = None
        call.engine.release_last(call)
        later = self.route.next_hop(self.hop, failure)
        if later is not None:
            out.append(Note("failover", call.id, {"to": self.route.hops[later].trunk, "on": failure}))
            self._try(later, now, out)
        elif response is None:
            status, reason = _REASONS.get(str(failure), (503, "Service Unavailable"))
            self._reject(status, reason, now, out, f"last hop failed: {failure}")
        else:
            self._pass_failure(response, now, out)

    def _pass_failure(self, response: Response, now: float, out: list[Command]) -> None:
        """The callee's final failure, as the caller may see it.

        A challenge is for us, not for the caller; a redirect names places of the far side.
        """
        call, status = self.call, response.status
        if status in (401, 407):
            self._reject(403, "Forbidden", now, out, f"{status} from the callee's side")
        elif status < 400:
            self._reject(480, "Temporarily Unavailable", now, out, f"{status} from the callee's side")
        else:
            base = call.engine.respond_to(self.server, status, response.reason, call.engine.ids.tag())
            final = answer(base, response, call.a, call.b.flow.trusted if call.b else False, b"")
            self._finish(final, now, out, f"{status} {response.reason}", by="callee")

    def on_cancel(self, now: float, out: list[Command]) -> None:
        """The caller gave up."""
        if self.call.state in ("answered", "up", "ended"):
            return
        if self.attempt is not None:
            self.attempt.give_up(now, out)
        response = self.call.engine.respond_to(self.server, 487, "Request Terminated")
        self._finish(response, now, out, "cancelled", by="caller")

    def on_failure(self, kind: str, now: float, out: list[Command]) -> None:
        """The caller's connection closed before there was an answer: nobody could be told of one."""
        if kind == "transport" and self.call.state not in ("answered", "up", "ended"):
            self.abandon(503, "Service Unavailable", "the caller's connection closed", now, out)

    def abandon(self, status: int, reason: str, why: str, now: float, out: list[Command]) -> None:
        """Give the call up from our side before it was answered."""
        if self.attempt is not None:
            self.attempt.give_up(now, out)
        self._reject(status, reason, now, out, why)

    def _reject(self, status: int, reason: str, now: float, out: list[Command], why: str) -> None:
        self._finish(self.call.engine.respond_to(self.server, status, reason), now, out, why)

    def _finish(self, response: Response, now: float, out: list[Command], why: str, by: str = "us") -> None:
        self.server.respond(response, now, out)
        self.server.user = None
        self.call.end(why, by, now, out, response.status)
