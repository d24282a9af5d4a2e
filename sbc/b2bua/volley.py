"""The contacts of one user: several rung at once, the others when these have refused (RFC 3261 16.6, 16.7).

Contacts that are preferred alike, by their q, are tried together, those that are preferred less come after
them; ``one by one`` nobody is tried beside another. A phone that has registered over several flows
(RFC 5626) is one: its other flows are tried where one has failed. Whose flow is gone, and cannot be reached
without it, is not tried at all, for nobody is dialled because a Contact says so.

Each has a branch: a leg, an INVITE, media and timers of its own. The first 2xx has the call, and all others
are cancelled; should they answer meanwhile, they get an ACK and a BYE. Until then the caller sees an early
dialog of each that rings, and hears what the first of them plays that plays anything. A refusal of 600 or
above ends it at once; else the best of what all have said is what the hop has failed with.

A contact that is tried alone is no branch but the callee of the call, like a trunk's peer: what only works
between two, such as reliable provisional responses, works for it.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Protocol

from dsl.decision import Failure, Route
from sbc.b2bua.approach import Approach
from sbc.b2bua.attempt import timer_of
from sbc.b2bua.bodies import crossing, lost
from sbc.b2bua.call import Call, admit
from sbc.b2bua.commands import Command, DropMedia, Note, TakeMedia
from sbc.b2bua.contacts import Failed, better, groups_of, is_reachable
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.leg import Leg
from sbc.b2bua.states import ENDED
from sbc.b2bua.translate import Fields
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.policy.downgrade import effective_downgrade, verdict
from sbc.registrar.binding import Binding
from sbc.sip.message import Response

#: Why those are cancelled who have not answered first (RFC 3326 2).
ELSEWHERE: Final[Fields] = (("Reason", 'SIP ;cause=200 ;text="Call completed elsewhere"'),)
#: How long whoever has rung may take to come back over another connection, in seconds.
ADRIFT: Final = 32.0


class Trying(Protocol):
    """Whoever wants a contact to answer: ``sbc.b2bua.hunt.Hunt``."""

    @property
    def invitation(self) -> Invitation:
        """The caller's INVITE."""

    @property
    def route(self) -> Route:
        """Where the rules have sent it."""

    def here(self) -> Route:
        """That with the edits of the hop."""

    def offers_itself(self, trunk: Trunk) -> bool:
        """Whether we make an offer of our own to ``trunk`` where the caller makes none."""

    def on_contacts_failed(
        self, failure: Failure, response: Response | None, at: float, out: list[Command]
    ) -> None:
        """None of the contacts takes the call; this is the best of what they said."""


class Volley:
    """Those contacts of a user that are under way, and those that are still to be tried."""

    __slots__ = ("_best", "_count", "_groups", "_last", "_speaker", "_starting", "branches", "call", "hunt")

    def __init__(
        self, hunt: Trying, contacts: list[Binding], one_by_one: bool, at: float, out: list[Command]
    ) -> None:
        self.hunt = hunt
        self.call: Call = hunt.invitation.call
        self.branches: list[Branch] = []
        self._best: Failed | None = None
        self._count = 0  # how many have failed
        self._last = 0  # the branch that was begun last
        self._speaker: Branch | None = None
        self._starting = False
        objections: dict[str, Failure] = {}
        usable: list[Binding] = []
        for each in contacts:
            trunk = self.call.snapshot.trunks.get(each.trunk)
            if trunk is None or not trunk.phones or not is_reachable(each):
                continue
            if each.trunk not in objections:
                objections[each.trunk] = why = self._objection(trunk, at, out)
                if why:
                    self._best = better(self._best, Failed(why, None, None))
            if not objections[each.trunk]:
                usable.append(each)
        self._groups = groups_of(usable, one_by_one)

    def _objection(self, trunk: Trunk, at: float, out: list[Command]) -> Failure:
        """As what the contacts of a trunk fail that cannot be tried at all, 0 where they can."""
        call, invitation = self.call, self.hunt.invitation
        failure, reason = 0, ""
        judged, off = None, call.desk.store.current.disabled.get(trunk.trunk)
        if call.a.flow.secure and call.snapshot.settings.listeners[trunk.listener].transport != "tls":
            judged = verdict(True, False, effective_downgrade(trunk.sips, self.hunt.route.downgrade))
        if off is not None:
            failure, reason = 480, f"it is disabled: {off}"
        elif judged is not None and judged.outcome == "forbid":
            failure, reason = 480, "the caller came over TLS, and it may not go on without"
        elif any([each.required for each in lost(invitation.parts, crossing(call.a.trunk, trunk))]):
            failure, reason = 415, f"it takes no part that {call.a.name} requires: see bodies of both"
        elif trunk.delayed_offer == "refuse" and not invitation.offer and not self.hunt.offers_itself(trunk):
            failure, reason = (
                488,
                "the caller makes no offer, and it takes no call without one (delayed_offer)",
            )
        else:
            refused = admit(call, trunk, at, bool(call.reserve_of))
            failure, reason = 503, refused.why if refused is not None else ""
        if reason:
            out.append(Note("hop-refused", call.id, {"trunk": trunk.trunk, "reason": reason}))
            return failure
        if judged is not None:
            invitation.note_downgrade(judged, trunk.trunk, out)
        return 0

    def begin(self, at: float, out: list[Command]) -> None:
        """Try the contacts of the highest q, and where all of a group have failed those of the next."""
        while not self.branches and self._groups:
            group = self._groups.pop(0)
            self._starting = True
            for targets in group:
                self._last += 1
                self.branches.append(Branch(self, self._last if len(group) > 1 else 0, targets))
            for each in tuple(self.branches):
                if each in self.branches:  # a 6xx may have come meanwhile
                    each.start(at, out)
            self._starting = False
        if self.branches:
            return
        best = self._best
        if best is None:
            self.hunt.on_contacts_failed(480, None, at, out)
            return
        self.call.b = best.leg
        response = best.response
        if response is not None and response.status == 503 and self._count > 1:
            # The caller is not to take us for busy because one of several is (RFC 3261 16.7 6).
            response.status, response.reason = 500, "Server Internal Error"
        self.hunt.on_contacts_failed(best.failure, response, at, out)

    def failed(self, branch: Branch, failed: Failed, reason: str, at: float, out: list[Command]) -> None:
        """Nothing comes of one contact: the best of what all have said is what the caller hears."""
        branch.quit(at, out)
        if branch in self.branches:
            self.branches.remove(branch)
        if self._speaker is branch:
            self._speaker = None
        self._count += 1
        contact = branch.contact
        if contact is not None:
            fields = {
                "trunk": contact.trunk, "peer": str(contact.remote), "kind": failed.failure, "reason": reason
            }  # fmt: skip
            out.append(Note("peer-failed", self.call.id, fields))
        self._best = better(self._best, failed)
        if failed.status >= 600:
            self._stop((("Reason", f"SIP ;cause={failed.status}"),), at, out)
        if not self.branches and not self._starting:
            self.begin(at, out)

    def won(self, winner: Branch, leg: Leg, at: float, out: list[Command]) -> None:
        """The first of several has answered: it is the callee of the call, and all others are cancelled."""
        call, number = self.call, winner.branch
        self.branches.remove(winner)
        self._stop(ELSEWHERE, at, out)
        self.branches.append(winner)
        call.b, call.tried, call.offered = leg, (leg.name, None), winner.offered
        call.trying = ()
        if winner.policy is not None:
            call.policies["b"] = winner.policy
        if call.has_media:
            out.append(TakeMedia(call.id, number))
        winner.alone()
        bounds = call.snapshot.tenant_bounds.get(leg.trunk.tenant or "")
        kept = (leg.name, bounds.trunk if bounds is not None else "")
        for each in call.admitted[call.held :]:
            if each.trunk not in kept:
                call.desk.limits.release(each)
                call.admitted.remove(each)

    def may_speak(self, branch: Branch) -> bool:
        """Whether it is the first that plays something before its answer."""
        if self._speaker is None:
            self._speaker = branch
        return self._speaker is branch

    def on_timer(self, name: str, at: float, out: list[Command]) -> None:
        """The time of one of them is over."""
        kind, _, number = name.partition(" ")
        for each in self.branches:
            if each.branch == int(number or "0"):
                each.on_timer(kind, at, out)
                break

    def give_up(self, at: float, out: list[Command], why: Fields) -> None:
        """Nobody waits for an answer any more."""
        self._stop(why, at, out)

    def let_go(self) -> None:
        """The call is up or over."""
        for each in self.branches:
            each.let_go()

    def _stop(self, why: Fields, at: float, out: list[Command]) -> None:
        self._groups.clear()
        stopped, self.branches = self.branches, []
        for each in stopped:
            each.stop(why, at, out)


class Branch(Approach):
    """One contact of a user: ``targets`` are the flows of one phone, the best first."""

    __slots__ = ("_targets", "_volley")

    def __init__(self, volley: Volley, number: int, targets: list[Binding]) -> None:
        super().__init__(volley.hunt.invitation, number)
        self.route = volley.hunt.here()
        self._volley = volley
        self._targets = targets

    def start(self, at: float, out: list[Command]) -> None:
        """Try the next of its flows."""
        call = self.call
        self.contact = contact = self._targets.pop(0)
        self._trunk = call.snapshot.trunks[contact.trunk]
        self._turn += 1
        call.tried = contact.trunk, None
        if contact.flow is not None and contact.flow.alive:
            self.approach(contact.flow, at, out)
        else:  # datagrams need no connection, only a listener
            then = partial(self._connected, self._turn)
            call.desk.connect(call.id, self._trunk, ((contact.remote,), ()), call.snapshot, then, out)

    def _connected(self, turn: int, flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
        if turn != self._turn or self.call.state == ENDED:
            return
        if flow is None:
            self.on_peer_failure("unreachable", reason, None, at, out)
        else:
            self.approach(flow, at, out)

    def on_answer(self, at: float, out: list[Command]) -> None:
        """It is the first of several to answer."""
        assert self.leg is not None, "it was sent an INVITE"
        self._volley.won(self, self.leg, at, out)

    def alone(self) -> None:
        """It is no longer one of several."""
        self._cancel_timers()
        self.branch = 0
        if self.attempt is not None:
            self.attempt.branch = 0

    def may_speak(self) -> bool:
        """Whether the caller hears what it plays before its answer."""
        return self._volley.may_speak(self)

    # Failure

    def refuse(self, status: int, phrase: str, at: float, out: list[Command], why: str) -> None:
        """The caller's INVITE cannot be sent there: SRTP is demanded, and it has no TLS, say."""
        self._volley.failed(self, Failed(status, None, self.leg), why, at, out)

    def refused(self, response: Response, at: float, out: list[Command]) -> None:
        """It refused; after 430 it is asked by another of its flows (RFC 5626 5.3)."""
        if response.status == 430:
            self.on_peer_failure(480, "its flow has failed", response, at, out)
            return
        reason = f"{response.status} {response.reason}"
        self._volley.failed(self, Failed(response.status, response, self.leg), reason, at, out)

    def on_peer_failure(
        self, failure: Failure, reason: str, response: Response | None, at: float, out: list[Command]
    ) -> None:
        """It cannot be reached by this flow, but perhaps by another of the same phone."""
        if self.attempt is not None:
            self.attempt.count(str(failure))
        self._targets = [each for each in self._targets if is_reachable(each)]
        if self._targets:
            self.quit(at, out)
            self.start(at, out)
        else:
            self.on_hop_failure(480 if failure == "unreachable" else failure, reason, at, out)

    def on_hop_failure(self, kind: Failure, reason: str, at: float, out: list[Command]) -> None:
        """It did not answer in time, or not as it should."""
        self._volley.failed(self, Failed(kind, None, self.leg), reason, at, out)

    def on_adrift(self, at: float, out: list[Command]) -> None:
        """It has rung, and its connection is gone; it may come back by another (RFC 3261 18.1.1)."""
        self.call.schedule(timer_of("adrift", self.branch), at + ADRIFT)

    def on_timer(self, name: str, at: float, out: list[Command]) -> None:
        """Its time is over, or that in which it may have come back."""
        if name != "adrift":
            super().on_timer(name, at, out)
        elif self.leg is not None and not self.leg.flow.alive:
            self.give_up(at, out)
            self.on_peer_failure("unreachable", "it closed its connection and is gone", None, at, out)

    # Its end

    def leave(self, at: float, out: list[Command]) -> None:
        """What the attempt made is over, and what was asked in it; its transaction ends by itself."""
        call, leg = self.call, self.leg
        self._cancel_timers()
        if not self.branch:
            while call.mirrors:
                call.mirrors[-1].abandon(at, out)
            call.drop_forks()
            call.offered_early = call.offerer = None
        elif leg is not None:
            call.drop_forks_of(leg)
        if self.attempt is not None:
            self.attempt.given_up, self.attempt.client = True, None
            self.attempt = None

    def quit(self, at: float, out: list[Command]) -> None:
        """Nothing comes of it here: it has no leg and no media any more."""
        call, leg = self.call, self.leg
        self._turn += 1
        self.leave(at, out)
        if not self.branch or leg is None:
            return
        call.trying = tuple([each for each in call.trying if each is not leg])
        self.leg = None
        if call.has_media:
            out.append(DropMedia(call.id, self.branch))

    def stop(self, why: Fields, at: float, out: list[Command]) -> None:
        """Somebody else has answered, or nobody wants an answer any more: CANCEL."""
        attempt = self.attempt
        self.give_up(at, out, why)
        self.quit(at, out)
        if attempt is not None:
            attempt.let_go()

    def _cancel_timers(self) -> None:
        for name in ("ring", "response", "adrift"):
            self.call.cancel_timer(timer_of(name, self.branch))
