"""An INVITE with Replaces that we carry out: its caller takes the place of a side of another call (RFC 3891).

It is a call like any other, for rules, hooks and limits; but nobody is hunted for. The other side of that
call, which stays, gets a re-INVITE with the caller's offer (``Joining``). Once it has taken that, its dialog
is of the new call, and the side that is replaced is hung up. Until then, and where it refuses, the other call
goes on.

The calls are ``rival`` to each other meanwhile: one that ends first lets the other know, and a fault in one
of them ends both.
"""

from __future__ import annotations

from typing import Literal

from dsl.decision import Hop, Route
from sbc.b2bua.answered import AnsweredInvite
from sbc.b2bua.bodies import carried_body
from sbc.b2bua.call import Call, carry_on, count, talk
from sbc.b2bua.commands import AnswerMedia, Command, Note, OfferMedia
from sbc.b2bua.desk import Desk
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.joining import Joining
from sbc.b2bua.leg import Leg, Side, callee_srtp, caller_srtp, leg_policy, network_of, other
from sbc.b2bua.life import clear, fire
from sbc.b2bua.session import accept, accepted, may_be_transferred
from sbc.b2bua.states import ENDED, LEFT, UP, Ending
from sbc.b2bua.told import let_hear
from sbc.b2bua.transfers import Replaces, as_seen_by, find_replaced, introduction
from sbc.b2bua.translate import answer, parts_after
from sbc.base import PeerError
from sbc.policy.downgrade import effective_downgrade, verdict
from sbc.sip.dialog import Dialog
from sbc.sip.message import Response


def replaced_by(desk: Desk, named: Replaces) -> tuple[Call, Side] | None:
    """The call that has the dialog, and the side that is to be replaced there; None: it is none of ours."""
    found = find_replaced(desk.dialogs, named)
    call = desk.find(found.call_id) if found is not None else None
    return (call, found.side) if found is not None and isinstance(call, Call) else None


def may_replace(held: Call, side: Side, named: Replaces, secure: bool) -> tuple[int, str]:
    """Status and reason by which a dialog may not be replaced; 0 where it may (RFC 3891 3).

    ``secure``: who takes its place is on TLS, as the rules of the call may have promised the one who stays.
    """
    if held.leg(side).trunk.transfers == "refuse":
        return 403, "Forbidden"
    if held.state != UP:
        return (603, "Decline") if held.state == LEFT else (481, "Call/Transaction Does Not Exist")
    if named.early_only:
        return 486, "Busy Here"
    if held.linked is not None or held.rival is not None:
        return 491, "Request Pending"
    if held.demands[1] and held.a.flow.secure and not secure:
        return 480, "Temporarily Unavailable"
    return 0, ""


def told_to_replace(held: Call, side: Side) -> tuple[str, str]:
    """How the side that stays is told of the dialog that is to be replaced, and on which trunk it is."""
    assert held.fork is not None, "it is up"
    stays = other(side)
    return str(as_seen_by(held.fork.dialog(stays))), held.leg(stays).trunk.trunk


class Takeover:
    """One call's caller on its way to the ``stays`` side of another call, ``held``."""

    __slots__ = ("_joining", "_offers", "call", "held", "invitation", "stays")

    def __init__(self, invitation: Invitation, held: Call, replaced: Side) -> None:
        self.invitation = invitation
        self.call = invitation.call
        self.held = held
        self.stays: Side = other(replaced)
        self._joining: Joining | None = None
        self._offers = False  # whoever stays makes the offer

    def begin(self, route: Route, at: float, out: list[Command]) -> None:
        """The rules let the call go its way, which has to be that of whoever stays."""
        call, held, leg = self.call, self.held, self.held.leg(self.stays)
        call.tried = leg.name, leg.peer
        if not any([self._leads_to(hop, route, leg, at) for hop in route.hops]):
            self.invitation.refuse(403, "", at, out, "the rules lead elsewhere than to whom it is to join")
            return
        if held.state != UP or held.rival is not None or held.linked is not None:
            self.invitation.refuse(481, "", at, out, "the call that it is to join has changed")
            return
        policy = effective_downgrade(leg.trunk.sips, route.downgrade)
        judged = verdict(call.a.flow.secure, leg.flow.secure, policy)
        if judged.outcome == "forbid":
            self.invitation.forbid_downgrade(judged, leg.name, at, out)
            return
        self.invitation.note_downgrade(judged, leg.name, out)
        self._offer(route, at, out)

    def _leads_to(self, hop: Hop, route: Route, leg: Leg, at: float) -> bool:
        """Whether a hop of the rules goes to whoever stays."""
        if not hop.registered:
            return hop.trunk == leg.name
        desk = self.call.desk
        user = parts_after(self.invitation.request, (*route.edits, *hop.edits))["to.user"]
        return any([each.remote == leg.flow.remote for each in desk.registrar.contacts(user, desk.date(at))])

    def _offer(self, route: Route, at: float, out: list[Command]) -> None:
        call, held, leg = self.call, self.held, self.held.leg(self.stays)
        held.mirrors.append(self)
        call.mirrors.append(self)
        held.rival, call.rival = call, held
        call.b = leg
        streams, rule, codecs = call.snapshot.settings.caps.streams_per_call, route.srtp, route.codecs
        near, far = network_of(call.snapshot, call.a.trunk), network_of(call.snapshot, leg.trunk)
        ours = leg_policy(call.a, caller_srtp(call.a.trunk.srtp, rule), codecs, streams, near)
        theirs = leg_policy(leg, callee_srtp(leg.trunk.srtp, rule), codecs, streams, far)
        call.policies["a"], call.policies["b"] = ours, theirs
        offer = self.invitation.offer
        self._offers = not offer
        if offer:
            call.ask_media(OfferMedia(call.id, "a", offer, ours, theirs), self._invite, out)
        else:
            self._invite(b"", None, at, out)

    def _invite(self, sdp: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
        if error is not None:
            self.call.media_refused("a", error, out)
            self._fail(error.status, error.reason, at, out)
            return
        self._joining = Joining(self.call, self.held, self.stays, sdp, self, False)
        self._joining.start(at, out)

    def on_joined(self, response: Response, at: float, out: list[Command]) -> None:
        """Whoever stays took the offer, or made one."""
        call = self.call

        def then(sdp: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
            self._answer(response, sdp, error, at, out)

        try:
            sdp = carried_body(response)
        except PeerError as error:
            then(b"", error, at, out)
            return
        if not sdp:
            then(b"", PeerError("the 2xx holds no description", 488), at, out)
        elif self._offers:
            ours, theirs = call.policies["b"], call.policies["a"]
            call.ask_media(OfferMedia(call.id, "b", sdp, ours, theirs), then, out)
        else:
            call.ask_media(AnswerMedia(call.id, "b", sdp), then, out)

    def _answer(
        self, response: Response, sdp: bytes, error: PeerError | None, at: float, out: list[Command]
    ) -> None:
        """Its media is in order, and the caller is answered; else the re-INVITE has spoilt the other call."""
        call, invitation, joining = self.call, self.invitation, self._joining
        assert joining is not None and joining.request is not None, "it was joined"
        if error is not None:
            joining.send_ack(b"", at, out)
            call.media_refused("b", error, out)
            invitation.refuse(error.status, "", at, out, error.reason)
            return
        if not fire(call, "answer", at, out):
            return
        invitation.heard(at)
        invitation.accepted(200)
        talk(call, invitation.route, at)
        fork = self._move(joining, at, out)
        base = call.desk.respond_to(invitation.server, 200, "OK", fork.a.local_tag)
        final = answer(base, response, call.a, joining.leg, sdp)
        fork.a.confirm()
        accepted(call, "b", joining.request, response, at)
        accept(call, "a", invitation.request, final, at)
        call.a.invited = False
        if may_be_transferred(call):
            call.introduced = introduction(invitation.request)
        answered = AnsweredInvite(call, fork, "a", joining.request.cseq.number, self._offers)
        joining.answered = answered
        answered.start(invitation.server, final, at, out)
        let_hear(call, out)

    def _move(self, joining: Joining, at: float, out: list[Command]) -> Fork:
        """Whoever stays is of the new call from now on, and the other one ends for whom it replaces."""
        call, held, desk = self.call, self.held, self.call.desk
        assert held.fork is not None, "it is up"
        call.mirrors.clear()  # of it and of us
        held.mirrors.remove(self)
        desk.dialogs.unregister(held.fork)
        held.forks.clear()
        fork = Fork(Dialog.as_uas(self.invitation.request, desk.ids.tag()), joining.dialog)
        call.add_fork(joining.dialog.remote_tag, fork)
        call.keep_only(fork)
        count(call, joining.leg.trunk)
        carry_on(call, held, other(self.stays), at)
        out.append(Note("replaced", held.id, {"by": call.caller, "as": call.id}))
        by: Literal["caller", "callee"] = "caller" if self.stays == "b" else "callee"
        fire(held, "moved", at, out, Ending("replaced", by, side=self.stays))
        self._part()
        desk.working_on = call.id
        return fork

    def on_refused(self, status: int, at: float, out: list[Command]) -> None:
        """Whoever stays does not take the caller; it may be gone."""
        self._fail(status, f"{status} of whom it was to join", at, out)
        if status in (408, 481):
            clear(self.held, f"{status} within the dialog", at, out)

    def _fail(self, status: int, why: str, at: float, out: list[Command]) -> None:
        self._let_go()
        self.invitation.refuse(status, "", at, out, why)
        self._part()

    def on_over(self, at: float, out: list[Command]) -> None:
        """The caller's call is over; so are we."""

    def abandon(self, at: float, out: list[Command]) -> None:
        """One of the two calls ended: the other one first, and there is nobody to join, or the caller's."""
        self._let_go()
        if self.held.state == ENDED:
            self.invitation.refuse(480, "", at, out, "the call that it was to join has ended")
        self._part()

    def _let_go(self) -> None:
        for call in (self.call, self.held):
            if self in call.mirrors:
                call.mirrors.remove(self)

    def outlives(self, side: Side) -> bool:
        """It ends with the call that it is about."""
        return False

    def _part(self) -> None:
        """It is decided: the calls know nothing of each other any more, and we let go of what knows us."""
        self.call.rival = self.held.rival = self._joining = None
