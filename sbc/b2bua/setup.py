"""The INVITE's way: from the caller, through the rules and hooks, to where it is sent.

One ``Setup`` lives until the caller's INVITE is answered, and the answer acknowledged. Its ``Hunt`` tries one
peer after the other, each as an ``Attempt``.

Where a callee's 3xx is followed, the call is over, and the same INVITE goes on as another one: a call of the
trunk that redirected it, with all that belongs to a call (rules, hooks, limits, a record). The places that
were named are tried in their order, as long as one is refused and the caller may still be asked for another;
how many there may be, and that none comes twice, is counted over the whole of the INVITE.
"""

from __future__ import annotations

from dataclasses import replace

from dsl.decision import Challenge, Decision, Edit, Redirect, Reject, Route
from dsl.facts import Facts
from dsl.question import Question
from dsl.services import Answer
from sbc.b2bua.call import Call
from sbc.b2bua.commands import Ask, Command, Decided, Invited, Note, RunHooks, Spent
from sbc.b2bua.facts import facts_of
from sbc.b2bua.hunt import Hunt
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.joining import JOIN, Joining
from sbc.b2bua.leg import Leg, Side
from sbc.b2bua.life import fire
from sbc.b2bua.redirects import (
    MOST_FOLLOWED,
    Redirection,
    Target,
    barred,
    exposed,
    masked,
    place_of,
    targets_of,
)
from sbc.b2bua.states import ENDED, ROUTING, Ending
from sbc.b2bua.takeover import Takeover
from sbc.b2bua.transfers import Referrer, still_demanding
from sbc.b2bua.translate import answer, is_secure, redirect_contact
from sbc.config.hook_set import called_by
from sbc.policy.downgrade import effective_downgrade, verdict
from sbc.policy.premium import payers_of
from sbc.policy.rule_limits import has_windows, without_windows
from sbc.sip.message import Request, Response
from sbc.sip.transactions import ServerTransaction
from sbc.sip.uri import Uri


class Setup:
    """What becomes of the caller's INVITE."""

    __slots__ = (
        "asked",
        "call",
        "edits",
        "hunt",
        "invitation",
        "payer",
        "payers",
        "redirection",
        "referrer",
        "stale",
        "takes",
    )

    def __init__(
        self, call: Call, server: ServerTransaction, request: Request, redirection: Redirection | None = None,
        referrer: Referrer | None = None, takes: tuple[Call, Side] | None = None,
    ) -> None:  # fmt: skip
        self.call = call
        self.redirection = redirection
        self.referrer = referrer
        # Whom it replaces, and where: nobody is hunted for then.
        self.takes = takes
        self.invitation = Invitation(call, server, request)
        self.hunt = Hunt(self.invitation)
        self.payer = ""  # the trunk of what may cost, where anybody asks
        self.payers: tuple[str, ...] = ()  # and each who pays for it there
        self.stale = False  # the caller's credentials were good once
        self.edits: tuple[Edit, ...] = ()  # what hooks changed before the rules
        self.asked: tuple[Question, Facts] | None = None  # the rules wait for a service

    def decide(self, at: float, out: list[Command]) -> None:
        """Ask the rules, and the hooks before and after them where there are any."""
        call, desk, hooks = self.call, self.call.desk, self.call.snapshot.hooks
        a, realms, login = call.a, call.snapshot.rules.realms, call.a.login
        if self.redirection is not None or self.referrer is not None:
            facts = self._facts_of_another(at)
        else:
            if realms and not login[0]:  # a password is judged only where a rule asks for one
                name, realm, self.stale = desk.login.user(
                    self.invitation.request, call.snapshot.logins, realms, at
                )
                login = (name, realm)
            facts = facts_of(
                self.invitation.request, a.flow, a.standing.tenant, desk.date(at), desk.count, login,
                a.believed, a.name, desk.registrar.registered,
            )  # fmt: skip
        if call.emergency:
            facts = replace(facts, emergency=True, unchallenged=bool(call.reserve_of))
        if call.snapshot.rules.remembers:
            memory, now = desk.memory, facts.now
            facts = replace(facts, remembered=lambda text: memory.knows(text, now))
        call.asserted = facts.asserted_user
        if call.snapshot.premium:
            proved = self.referrer.by.login[0] if self.referrer is not None else ""
            self.payer, self.payers = facts.trunk, payers_of(facts, proved)
        if hooks.answer or hooks.end or hooks.media:
            call.facts = facts
        if hooks.invite:
            out.append(RunHooks(call.id, call.snapshot, hooks.invite, facts))
        else:
            self._go_on(call.snapshot.rules.begin(facts), facts, at, out)

    def _facts_of_another(self, at: float) -> Facts:
        """What rules may ask of a call that somebody redirected, or for which somebody transfers the caller.

        It is one of that trunk, and nobody has proved a password for it.
        """
        call, desk, request, from_ = self.call, self.call.desk, self.invitation.request, self.redirection
        by = from_.by if from_ is not None else self.referrer.by if self.referrer is not None else call.a
        believed = call.a.believed  # who calls is still the word of the caller's side
        facts = facts_of(
            request, by.flow, by.trunk.tenant, desk.date(at), desk.count, believed=believed,
            registered=desk.registrar.registered,
        )  # fmt: skip
        called = from_.called if from_ is not None else ""
        return replace(
            facts, trunk=by.name, listener=by.trunk.listener, redirected_from=called,
            referred_by=call.referred[0],
        )  # fmt: skip

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
            self._go_on(self.call.snapshot.rules.begin(result.facts), result.facts, at, out)

    def on_answer(self, answer: Answer | None, at: float, out: list[Command]) -> None:
        """A service that a rule asked has answered, or never will: the rules go on from there."""
        call = self.call
        if self.asked is None or call.state != ROUTING:
            return
        question, facts = self.asked
        self.asked = None
        if answer is not None:
            call.answers = {**(call.answers or {}), question.service.name: answer.said}
        self._go_on(call.snapshot.rules.go_on(question, answer), facts, at, out)

    def _go_on(self, decision: Decision | Question, facts: Facts, at: float, out: list[Command]) -> None:
        """The rules have spoken, or a service is to be asked first."""
        call = self.call
        if isinstance(decision, Question):
            self.asked = decision, facts
            out.append(Ask(call.id, call.snapshot.lookups[decision.service.name], decision.sent, facts.trunk))
            return
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
        call = self.call
        if not fire(call, "decision", at, out):
            return
        call.rule = decision.rule
        out.append(Decided(call.id, call.a.name, decision))
        if decision.tags and decision.tags != call.tags:
            call.tags = tuple(dict.fromkeys(call.tags + decision.tags))
        if isinstance(decision, Reject):
            self.invitation.refuse(decision.status, decision.reason, at, out, "rejected by rule")
        elif isinstance(decision, Redirect):
            self._redirect(decision, at, out)
        elif isinstance(decision, Challenge):
            self._challenge(decision, at, out)
        else:
            self._send_on(decision, at, out)

    def _send_on(self, route: Route, at: float, out: list[Command]) -> None:
        """Begin the hunt, if the limits of the rules let it, with groups spread out to trunks."""
        call, desk = self.call, self.call.desk
        if self.edits:
            route = replace(route, edits=self.edits + route.edits)
        premium = call.snapshot.premium.get(self.payer)
        if premium is not None:
            dialled = self.invitation.request.target.party.user
            route = replace(route, limits=route.limits + premium.of(route, dialled, self.payers))
        if self.redirection is not None:
            route = _still_demanding(route, self.redirection)
        elif self.referrer is not None:
            route = still_demanding(route, *self.referrer.demands)
        held = call.demands if self.takes is None else self.takes[0].demands
        if any(held):
            route = still_demanding(route, *held)
        call.demands = route.srtp == "required", route.downgrade == "forbid", route.record, route.tone
        if call.emergency:  # it spends nobody's allowance, nor that of who transferred a party of it
            call.limits = without_windows(call.limits)
            if route.limits:  # and has its place of a reserve
                route = replace(route, limits=() if call.reserve_of else without_windows(route.limits))
        if route.limits:
            refused = desk.rule_limits.admit(route.limits, at, desk.date(at))
            if refused is not None:
                why = f"limit of {refused.text}: {refused.key}"
                self.invitation.refuse(refused.status, refused.reason, at, out, why)
                return
            call.limits += route.limits
            if has_windows(route.limits):
                out.append(Spent())
        if any([hop.group is not None for hop in route.hops]):
            route = replace(route, hops=desk.balancer.expand(route.hops))
        self.invitation.route, call.longest = route, route.longest or 0
        if self.takes is not None:
            Takeover(self.invitation, *self.takes).begin(route, at, out)
        else:
            self.hunt.route = route
            self.hunt.try_hop(0, at, out)

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
            if way.downgraded and way.outcome != "forbid":
                invitation.note_downgrade(way, "", out)
        response = call.desk.respond_to(invitation.server, 302, "Moved Temporarily")
        for contact in allowed:
            response.headers.add("Contact", contact or "")
        invitation.finish(response, at, out, Ending("redirected by rule"))

    def _challenge(self, decision: Challenge, at: float, out: list[Command]) -> None:
        call, desk = self.call, self.call.desk
        if self.redirection is not None or self.referrer is not None:
            kind = "redirected" if self.redirection is not None else "referred"
            self.invitation.refuse(403, "", at, out, f"a {kind} call cannot be asked for a password")
            return
        response = desk.respond_to(self.invitation.server, 407, "Proxy Authentication Required")
        desk.login.challenge(response, decision.realm, call.snapshot.logins, self.stale, at)
        self.invitation.finish(response, at, out, Ending("asked for a password"))

    # A callee's redirects

    def redirected(self, response: Response, at: float, out: list[Command]) -> None:
        """The callee of the last hop named other places: refuse them, pass them on, or follow them."""
        call, by, route = self.call, self.call.b, self.hunt.route
        assert by is not None, "somebody responded"
        policy = route.redirects or by.trunk.redirects
        targets = targets_of(response)
        if policy == "follow":
            fresh = self._fresh(targets, by, at, out)
            if fresh:
                ending = Ending(f"{response.status} {response.reason}", "callee", response.status)
                self._hand_over(self._redirection(fresh, by), len(call.admitted), ending, at, out)
                return
        elif policy != "refuse":
            if by.trunk.redirects == "expose":
                downgrade = effective_downgrade(by.trunk.sips, route.downgrade)
                contacts = exposed(targets, call.a.flow.secure, downgrade)
            else:
                contacts = masked(targets, call.a)
            if contacts:
                self._pass_on(response, contacts, at, out)
                return
        self.invitation.pass_failure(response, at, out)

    def _pass_on(self, response: Response, contacts: list[str], at: float, out: list[Command]) -> None:
        call, invitation = self.call, self.invitation
        tag = call.desk.ids.tag()
        base = call.desk.respond_to(invitation.server, response.status, response.reason, tag)
        for contact in contacts:
            base.headers.add("Contact", contact)
        final = answer(base, response, call.a, call.b, b"")
        invitation.finish(final, at, out, Ending(f"{response.status} {response.reason}", "callee"))

    def _fresh(self, targets: list[Target], by: Leg, at: float, out: list[Command]) -> list[Uri]:
        """Those of ``targets`` where the caller's INVITE has not been yet, as many as it may go on to."""
        call, from_ = self.call, self.redirection
        seen = {place_of(self.invitation.request.target)}
        room = MOST_FOLLOWED
        if from_ is not None:
            seen |= from_.seen
            room -= from_.followed
        acl, caller = call.desk.store.current.acl, self.invitation.request.from_.uri.party
        fresh: list[Uri] = []
        for target in targets:
            place = place_of(target.uri)
            reason = (
                "the call was there" if place in seen else "" if len(fresh) < room else "too many redirects"
            )
            seen.add(place)
            if not reason and acl.rules and not call.emergency:
                reason = barred(acl, by, target.uri, caller, call.desk.date(at))
            if not reason:
                fresh.append(target.uri)
                continue
            fields = {"trunk": call.tried[0], "to": target.uri.party.user, "reason": reason}
            out.append(Note("redirect-ignored", call.id, fields))
        return fresh

    def _redirection(self, fresh: list[Uri], by: Leg) -> Redirection:
        """To the first of ``fresh``, and failing that to the others, and those that were named before."""
        call, from_ = self.call, self.redirection
        seen = frozenset(place_of(each) for each in (self.invitation.request.target, *fresh))
        if from_ is None:
            return Redirection(by, call.called, tuple(fresh), seen, 1, self.hunt.route, call.limits)
        route = _still_demanding(self.hunt.route, from_)
        return Redirection(
            by, call.called, tuple(fresh), seen | from_.seen, from_.followed + 1, route, call.limits
        )

    def goes_on(self, ending: Ending, at: float, out: list[Command]) -> bool:
        """Whether the call, instead of its end, is tried at the next place that the callee has named."""
        from_ = self.redirection
        if from_ is None or len(from_.targets) < 2 or from_.followed >= MOST_FOLLOWED or ending.status >= 600:
            return False
        if ending.status < 400 or self.call.state == ENDED:
            return False
        later = from_._replace(targets=from_.targets[1:], followed=from_.followed + 1)
        self._hand_over(later, self.call.held, ending, at, out)
        return True

    def _hand_over(self, to: Redirection, held: int, ending: Ending, at: float, out: list[Command]) -> None:
        """End the call, and go on with the caller's INVITE as another call, to the first target of ``to``.

        The caller's trunk has the new call, and the one that redirected it has caused it: it counts for both,
        which are the first ``held`` of those that the old one counts for.
        """
        old, desk, server = self.call, self.call.desk, self.invitation.server
        target, said = to.targets[0], self.invitation.request
        call = Call(desk, desk.ids.key(6).hex(), old.snapshot, old.a, at)
        call.caller, call.called = old.caller, target.party.user
        call.redirected = to.called, to.by.name
        call.referred, call.replacing, call.until = old.referred, old.replacing, old.until
        if old.linked is not None:
            call.linked, old.linked.linked, old.linked = old.linked, call, None
        call.setup = setup = Setup(call, server, Request("INVITE", str(target), said.headers, said.body), to)
        call.emergency, reserved = old.emergency, bool(old.reserve_of)
        counting = old.admitted[:held]
        fields = {"trunk": to.by.name, "from": to.called, "to": call.called, "as": call.id}
        out.append(Note("redirect-followed", old.id, fields))
        fire(old, "redirected", at, out, ending)
        server.user = setup.invitation
        desk.adopt(call)
        for trunk in counting:
            desk.limits.resume(trunk)
            call.admitted.append(trunk)
        call.held = held
        if reserved:
            call.reserve(at)
        desk.rule_limits.resume(to.limits, at)
        call.limits = to.limits
        setup.decide(at, out)

    def on_timer(self, name: str, at: float, out: list[Command]) -> None:
        """A timer of the hunt's is due, or of a re-INVITE that shall connect one who was referred."""
        if name != JOIN:
            self.hunt.on_timer(name, at, out)
            return
        for each in self.call.mirrors:
            if isinstance(each, Joining):
                each.again(at, out)
                break

    def withdraw(self, ending: Ending, at: float, out: list[Command]) -> None:
        """Nobody wants an answer any more: CANCEL what was sent, and tell the caller."""
        self.hunt.give_up(at, out, ending.reasons)
        self.invitation.end(ending, at, out)

    def let_go(self) -> None:
        """The call is up or over: no message of its setup is needed while the transactions live on."""
        self.invitation.let_go()
        self.hunt.let_go()


def _still_demanding(route: Route, from_: Redirection) -> Route:
    """``route``, no laxer than the one that the redirected call took, and counting under no limit twice."""
    held = {limit.key for limit in from_.limits if not limit.seconds}
    limits = tuple([each for each in route.limits if each.seconds or each.key not in held])
    former = from_.route
    bounds = [each.longest for each in (route, former) if each.longest is not None]
    return still_demanding(
        replace(route, limits=limits, longest=min(bounds, default=None)),
        former.srtp == "required",
        former.downgrade == "forbid",
        former.record,
        former.tone,
    )
