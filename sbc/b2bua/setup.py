"""The INVITE's way: from the caller, through the rules and hooks, to where it is sent.

One ``Setup`` lives until the caller's INVITE is answered, and the answer acknowledged. Its ``Hunt`` tries one
peer after the other, each as an ``Attempt``.
"""

from __future__ import annotations

from dsl.decision import Challenge, Decision, Edit, Redirect, Reject, Route
from dsl.facts import Facts
from sbc.b2bua.call import Call
from sbc.b2bua.commands import Command, Invited, Note, RunHooks
from sbc.b2bua.hunt import Hunt
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.life import fire
from sbc.b2bua.states import Ending
from sbc.b2bua.translate import is_secure, redirect_contact
from sbc.config.hook_set import called_by
from sbc.policy.downgrade import verdict
from sbc.sip.message import Request
from sbc.sip.transactions import ServerTransaction


class Setup:
    """What becomes of the caller's INVITE."""

    __slots__ = ("call", "edits", "hunt", "invitation", "stale")

    def __init__(self, call: Call, server: ServerTransaction, request: Request) -> None:
        self.call = call
        self.invitation = Invitation(call, server, request)
        self.hunt = Hunt(self.invitation)
        self.stale = False  # the caller's credentials were good once
        self.edits: tuple[Edit, ...] = ()  # what hooks changed before the rules

    def decide(self, at: float, out: list[Command]) -> None:
        """Ask the rules, and the hooks before and after them where there are any."""
        call, desk = self.call, self.call.desk
        hooks, request = call.snapshot.hooks, self.invitation.request
        facts, self.stale = desk.actions.facts(request, call.a, call.snapshot, desk.date(at), at)
        if hooks.answer or hooks.end:
            call.facts = facts
        if hooks.invite:
            out.append(RunHooks(call.id, call.snapshot, hooks.invite, facts))
        else:
            self._ask_rules(facts, at, out)

    def on_hooks(self, result: Invited | Decision, at: float, out: list[Command]) -> None:
        """The hooks before the rules have spoken, or those after them."""
        if not isinstance(result, Invited):
            self.on_decision(result, at, out)
            return
        if self.call.facts is not None:
            self.call.facts = result.facts
        self.edits = result.edits
        self.call.tags = result.facts.tags
        if result.decision is not None:
            self.on_decision(result.decision, at, out)
        else:
            self._ask_rules(result.facts, at, out)

    def _ask_rules(self, facts: Facts, at: float, out: list[Command]) -> None:
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
            self.on_decision(decision, at, out)

    def on_decision(self, decision: Decision, at: float, out: list[Command]) -> None:
        """Rules and hooks have spoken: end the call here, or send it on its way if its limits let it."""
        call, actions = self.call, self.call.desk.actions
        if not fire(call, "decision", at, out):
            return
        call.rule = decision.rule
        if decision.tags and decision.tags != call.tags:
            call.tags = tuple(dict.fromkeys(call.tags + decision.tags))
        if isinstance(decision, Reject):
            self.invitation.refuse(decision.status, decision.reason, at, out, "rejected by rule")
        elif isinstance(decision, Redirect):
            self._redirect(decision, at, out)
        elif isinstance(decision, Challenge):
            self._challenge(decision, at, out)
        elif (refused := actions.admit(decision.limits, at) if decision.limits else None) is not None:
            why = f"limit of {refused.calls} calls"
            self.invitation.refuse(refused.status, refused.reason, at, out, why)
        else:
            call.limits = decision.limits
            self.hunt.begin(actions.prepare(decision, self.edits), at, out)

    def _redirect(self, decision: Redirect, at: float, out: list[Command]) -> None:
        """Name other places, if each of the targets, which may be made of what a peer sent, is one."""
        call, invitation = self.call, self.invitation
        contacts = [redirect_contact(target) for target in decision.targets]
        if None in contacts:
            why = "a redirect target is not a SIP URI"
            out.append(Note("redirect-refused", call.id, {"rule": decision.rule, "reason": why}))
            invitation.refuse(500, "Server Internal Error", at, out, f"{why}: {decision.rule}")
            return
        policy = decision.downgrade or "warn"
        judged = [verdict(call.a.flow.secure, is_secure(target), policy) for target in decision.targets]
        allowed = [each for each, way in zip(contacts, judged, strict=True) if way.outcome != "forbid"]
        if not allowed:
            invitation.forbid_downgrade(judged[0], "what it is redirected to", at, out)
            return
        for way in judged:
            if way.outcome != "forbid":
                invitation.note_downgrade(way, "", out)
        response = call.desk.respond_to(invitation.server, 302, "Moved Temporarily")
        for contact in allowed:
            response.headers.add("Contact", contact or "")
        invitation.finish(response, at, out, Ending("redirected by rule"))

    def _challenge(self, decision: Challenge, at: float, out: list[Command]) -> None:
        call, desk = self.call, self.call.desk
        response = desk.respond_to(self.invitation.server, 407, "Proxy Authentication Required")
        desk.actions.challenge(response, decision, call.snapshot.logins, self.stale, at)
        self.invitation.finish(response, at, out, Ending("asked for a password"))

    def on_timer(self, name: str, at: float, out: list[Command]) -> None:
        """A timer of the hunt's is due."""
        self.hunt.on_timer(name, at, out)

    def withdraw(self, ending: Ending, at: float, out: list[Command]) -> None:
        """Nobody wants an answer any more: CANCEL what was sent, and tell the caller."""
        self.hunt.give_up(at, out, ending.reasons)
        self.invitation.end(ending, at, out)

    def let_go(self) -> None:
        """The call is up or over: no message of its setup is needed while the transactions live on."""
        self.invitation.let_go()
        self.hunt.let_go()
