"""One INVITE of ours to one peer: what its responses and its end mean to the call that is set up.

What may go back to the caller goes from here: provisional responses, each fork with a dialog of its own, and
the first 2xx, with their SDP. A refusal, silence and a lost connection are the hunt's affair. An attempt that
was given up still waits for its transaction to end, because a callee may answer while our CANCEL is on its
way (RFC 3261 9.1, 13.2.2.4): such an answer is acknowledged and hung up.
"""

from __future__ import annotations

from typing import Final, Protocol

from dsl.decision import Failure
from sbc.b2bua.answered import AnsweredInvite
from sbc.b2bua.bodies import carried_body
from sbc.b2bua.call import AfterMedia, Call, talk
from sbc.b2bua.commands import AnswerMedia, Command, OfferMedia
from sbc.b2bua.desk import NOBODY
from sbc.b2bua.dialogs import Exchange, Fork
from sbc.b2bua.forks import (
    agree_again,
    agreed_early,
    changed_early,
    changes_elsewhere,
    changes_itself,
    close_others,
    holds,
)
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.leg import Leg, agreed_alone
from sbc.b2bua.life import fire
from sbc.b2bua.proofs import CHALLENGES, Given, proven, repeat
from sbc.b2bua.session import accept, accepted, forget_descriptions, may_be_transferred
from sbc.b2bua.told import let_hear
from sbc.b2bua.transfers import introduction
from sbc.b2bua.translate import Fields, answer, extensions
from sbc.base import PeerError
from sbc.flow import Flow
from sbc.sip.dialog import Dialog
from sbc.sip.grammar import decimal
from sbc.sip.message import Request, Response
from sbc.sip.transactions import SPENT, ClientTransaction

#: Early dialogs that a call may have: of a callee that rings under ever new tags no more are shown.
MOST_FORKS: Final = 100


class Hunting(Protocol):
    """Whoever tries another peer where this one fails: ``sbc.b2bua.hunt.Hunt``."""

    def on_refusal(self, response: Response, at: float, out: list[Command]) -> None:
        """The peer gave a final response of 300 or above."""

    def on_peer_failure(
        self, failure: Failure, reason: str, response: Response | None, at: float, out: list[Command]
    ) -> None:
        """The peer does not serve us now."""

    def on_hop_failure(self, kind: Failure, reason: str, at: float, out: list[Command]) -> None:
        """The peer did not answer as it should."""

    def may_speak(self) -> bool:
        """Whether the caller may hear what this callee, one of several, plays before its answer."""

    def on_answer(self, at: float, out: list[Command]) -> None:
        """It is the first of several to answer."""

    def on_adrift(self, at: float, out: list[Command]) -> None:
        """Its connection is gone, and only it can open another."""


class Attempt:
    """One INVITE of ours to one peer; it is its transaction's user.

    It holds its transaction only until it is decided: the two would keep each other alive. ``branch`` is
    which of several it is that are tried at once, 0 for one that is tried alone or has answered.
    """

    __slots__ = (
        "acknowledged", "answered", "begun", "branch", "call", "client", "counted", "given", "given_up",
        "heard", "hunt", "invitation", "invite", "leg", "rang", "why",
    )  # fmt: skip

    def __init__(self, hunt: Hunting, invitation: Invitation, leg: Leg, branch: int = 0) -> None:
        self.hunt = hunt
        self.branch = branch
        self.invitation = invitation
        self.call: Call = invitation.call
        self.leg = leg
        self.client: ClientTransaction | None = None
        self.invite = SPENT
        self.heard = False
        self.given_up = False
        self.acknowledged = False  # with PRACK, what the caller cannot acknowledge
        self.why: Fields = ()
        self.given: Given | None = None
        self.answered: AnsweredInvite | None = None
        self.begun = 0.0  # when the first INVITE was sent
        self.rang = self.counted = False  # counted among the outcomes of the trunk: the delay, the end

    def count(self, code: str) -> None:
        """The try has come to ``code``, which is counted once, whatever follows."""
        if not self.counted:
            self.counted = True
            self.call.desk.outcomes.of(self.leg.name, "outbound").count(code)

    def _count_delay(self, at: float) -> None:
        """The callee is heard for the first time; how long that took is counted once."""
        if not self.rang:
            self.rang = True
            self.call.desk.outcomes.of(self.leg.name, "outbound").delays.observe(at - self.begun)

    def send(self, invite: Request, at: float, out: list[Command]) -> None:
        """Send our INVITE, the first or another one of this attempt."""
        self.invite, self.heard = invite, False
        self.begun = self.begun or at
        flow = self.leg.flow
        if flow.secure:
            self.client = self.call.desk.transactions.start(flow, invite, at, out, self)
            return

        def fitting(flow: Flow, at: float, out: list[Command]) -> None:
            if not self.given_up:
                self.client = self.call.desk.transactions.start(flow, invite, at, out, self)

        self.call.desk.with_room(self.call, self.leg, invite, fitting, at, out)

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """Any response to our INVITE."""
        call, leg = self.call, self.leg
        if response.status < 200 and not self.heard:
            self.heard = True
            if self.given_up:
                self._send_cancel(at, out)
            else:
                call.cancel_timer(timer_of("response", self.branch))
                if leg.peer is not None:
                    call.desk.peers.reached(leg.trunk, leg.peer)
        if self.given_up:
            if 200 <= response.status < 300:
                self._refuse(response, at, out)
            return
        try:
            if response.status >= 300:
                if response.status not in CHALLENGES or not self._prove(response, at, out):
                    self.hunt.on_refusal(response, at, out)
            elif self.answered is not None:
                self._answered_again(self.answered, response, at, out)
            elif response.status > 100:
                self._take(response, at, out)
        except PeerError as error:
            self.count("unusable")
            if response.status >= 200:
                self._refuse(response, at, out)
            else:
                self.give_up(at, out)
            self.hunt.on_hop_failure(502, error.reason, at, out)

    def _prove(self, response: Response, at: float, out: list[Command]) -> bool:
        """Answer a challenge of the trunk's realm: the INVITE again, with credentials (RFC 3261 22.2)."""
        desk, leg = self.call.desk, self.leg
        given = self.given = self.given or Given()
        again = desk.proofs.again(leg.name, self.invite, response, given, leg.cseq + 1, out)
        if again is None:
            return False
        leg.cseq += 1
        leg.proof = proven(again)
        self.call.schedule(timer_of("response", self.branch), at + leg.trunk.patience_with(leg.target))
        self.send(again, at, out)
        return True

    def _answered_again(
        self, answered: AnsweredInvite, response: Response, at: float, out: list[Command]
    ) -> None:
        """A 2xx after the first: the same fork repeats itself, another one comes too late."""
        fork = self.call.fork
        if response.status < 200:
            return
        if fork is not None and response.to_tag == fork.b.remote_tag:
            answered.repeat_ack(at, out)
        else:
            self._refuse(response, at, out)

    def _take(self, response: Response, at: float, out: list[Command]) -> None:
        """A callee is heard, or the first of them answers."""
        call = self.call
        if len(call.forks) >= MOST_FORKS and response.status < 200 and self._key(response) not in call.forks:
            return
        self._count_delay(at)
        fork = self._fork_of(response)
        sdp = _described(fork, response)
        again: Exchange | None = None
        changed, closed = changed_early(call), False
        if changed and response.status < 200 and sdp and changes_elsewhere(call, fork):
            if "rseq" in response.headers.first:
                return  # it comes again (RFC 3262 3)
            sdp = fork.withhold(response, sdp)
        if response.status < 200 and "rseq" in response.headers.first and not self._caller_knows_100rel():
            if not self._acknowledge(fork, response, bool(sdp), at, out):
                return
        if response.status < 200 and sdp and self._is_untimely(fork, sdp):
            return
        if not fork.renewed:
            sdp = self._early_media(fork, response, sdp)
        if response.status >= 200:
            if self.branch:
                self.hunt.on_answer(at, out)
            again = None if sdp else agreed_early(call, fork, self.invitation.offer)
            if call.mirrors:
                closed = close_others(call, fork, at, out)
            call.keep_only(fork)
            call.cancel_timer("ring")
            call.cancel_timer("response")
            self.leg.inviting = False
        else:
            fork.early = sdp or fork.early

        def then(sdp: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
            self._pass_back(fork, response, b"" if again else sdp, error, at, out)

        if again is not None and (changed or again[0] == "b"):
            if changes_itself(call, fork) or (holds(call, again) and not closed):
                call.after_media(then, at, out)
            else:
                agree_again(call, again, then, out)
        elif changed and sdp and self.invitation.offer:
            agree_again(call, ("a", self.invitation.offer, sdp), then, out)
            call.offerer = "a" if response.status < 200 and "RSeq" not in response.headers else None
        else:
            self._take_sdp(fork, response, sdp or (again[2] if again is not None else b""), then, at, out)

    def _early_media(self, fork: Fork, response: Response, sdp: bytes) -> bytes:
        """The SDP of ``response`` that counts now: not every caller hears what a callee plays before its 2xx.

        With ``authorized`` those of them do whose callee asks for it, by P-Early-Media (RFC 5009 8). One who
        was referred is connected with the answer, and hears whoever referred it until then.
        """
        policy = "ringing" if self.invitation.call.referred[0] else self.leg.standing.early_media
        if self.branch and (
            not self.invitation.offer or fork.withheld or (sdp and not self.hunt.may_speak())
        ):
            return fork.withhold(response, sdp)
        if self.leg.made or (policy == "ringing" and self.invitation.offer):
            return fork.withhold(response, sdp)
        if policy != "authorized" or not self.invitation.offer:
            return sdp
        return fork.authorize(response, sdp)

    def _caller_knows_100rel(self) -> bool:
        request = self.invitation.request
        if self.branch:
            return False  # it was not asked for either
        return not self.leg.made and any(extensions(request, name) for name in ("Supported", "Require"))

    def _acknowledge(
        self, fork: Fork, response: Response, has_sdp: bool, at: float, out: list[Command]
    ) -> bool:
        """Send PRACK for a caller that cannot, and make ``response`` an ordinary one (RFC 3262 4).

        False where it is repeated, or another has to come first. An offer in it is the caller's to answer.
        """
        if has_sdp and not self.invitation.offer and not self.leg.made:
            return not self.branch
        rseq = decimal(response.headers.get("RSeq") or "")
        if rseq is not None and extensions(response, "Require"):
            if fork.rseq and rseq != fork.rseq + 1:
                return False
            fork.rseq, self.acknowledged = rseq, True
            desk, leg = self.call.desk, self.leg
            via = leg.via(desk.ids.branch())
            prack = fork.b.request("PRACK", via=via, contact=leg.contact)
            prack.headers.add("RAck", f"{rseq} {leg.cseq} INVITE")
            desk.send(self.call, leg, fork.b, prack, NOBODY, at, out)
        response.headers.remove("RSeq")
        response.headers.remove("Require")
        return True

    def _is_untimely(self, fork: Fork, offer: bytes) -> bool:
        """Tell whether an offer in a provisional response has been answered, or another's has yet to be.

        The caller answers one at a time; what has no PRACK comes again (RFC 3262 3).
        """
        pending = self.call.offered_early
        return (bool(fork.accepted) and offer == fork.early) or (pending is not None and pending is not fork)

    def _key(self, response: Response) -> str:
        """By what the call knows the fork of ``response``: two of several callees may choose one tag."""
        tag = response.to_tag or ""
        return f"{self.branch} {tag}" if self.branch else tag

    def _fork_of(self, response: Response) -> Fork:
        """The pair of dialogs that ``response`` belongs to, made where it is the first of its tag."""
        call, tag = self.call, self._key(response)
        fork = call.forks.get(tag)
        if fork is None:
            own = Dialog.as_uas(self.invitation.request, call.desk.ids.tag())
            fork = Fork(own, Dialog.as_uac(self.invite, response), self.leg if self.branch else None)
            call.add_fork(tag, fork)
        elif response.status >= 200:
            fork.b.confirm(response)
        return fork

    def _take_sdp(
        self, fork: Fork, response: Response, sdp: bytes, then: AfterMedia, at: float, out: list[Command]
    ) -> None:
        """SDP in a response answers the caller's offer, or is the callee's own (RFC 3264, 6337).

        In an unreliable provisional response it is a preview: the INVITE's offer stays open.
        """
        call = self.call
        if self.leg.made and response.status >= 200:
            self._offer_back(sdp, then, at, out)
            return
        preview = response.status < 200 and "RSeq" not in response.headers
        if not sdp:
            call.after_media(then, at, out)
        elif self.invitation.offer:
            call.ask_media(AnswerMedia(call.id, "b", sdp, self.branch), then, out)
            call.offerer = "a" if preview else None
        else:
            call.offered_early = None if preview or response.status >= 200 else fork
            command = OfferMedia(call.id, "b", sdp, call.policies["b"], call.policies["a"])
            call.ask_media(command, then, out)
            call.offerer = None if preview else "b"

    def _offer_back(self, sdp: bytes, then: AfterMedia, at: float, out: list[Command]) -> None:
        """What the callee has answered to our own offer is offered to the caller, whose ACK answers it.

        Only the codec that the callee has chosen: it is not told what of several the caller would take.
        """
        call = self.call
        if not sdp:
            then(b"", PeerError("the callee has not answered our offer", 488), at, out)
            return

        def settled(_: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
            if error is not None:
                then(b"", error, at, out)
                return
            theirs = agreed_alone(call.policies["a"], sdp)
            call.ask_media(OfferMedia(call.id, "b", sdp, call.policies["b"], theirs), then, out)

        call.ask_media(AnswerMedia(call.id, "b", sdp), settled, out)

    def _pass_back(
        self, fork: Fork, response: Response, sdp: bytes, error: PeerError | None, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        call, invitation = self.call, self.invitation
        if error is not None:
            self._unusable(response, error, at, out)
            return
        provisional = response.status < 200
        if not fire(call, "provisional" if provisional else "answer", at, out):
            return
        if not call.heard_at:
            invitation.heard(at)
        if self.acknowledged and not provisional and not sdp and invitation.offer:
            sdp = call.described("a")  # what the callee gave reliably was no answer to the caller yet
        base = call.desk.respond_to(invitation.server, response.status, response.reason, fork.a.local_tag)
        final = answer(base, response, call.a, self.leg, sdp)
        if provisional:
            if not self.branch or not invitation.requires_100rel:
                invitation.server.respond(final, at, out)
            return
        fork.a.confirm()
        self.count(str(response.status))
        invitation.accepted(response.status)
        accepted(call, "b", self.invite, response, at)
        accept(call, "a", invitation.request, final, at)
        if not forget_descriptions(call) and may_be_transferred(call):
            call.introduced = introduction(invitation.request)
        talk(call, invitation.route, at)
        call.a.invited = False
        # Without SDP in the 2xx all was agreed in reliable provisional responses (RFC 3262 5).
        offered_by_far = bool(sdp) and not invitation.offer
        call.offerer = "b" if offered_by_far else None
        self.answered = AnsweredInvite(call, fork, "a", self.leg.cseq, offered_by_far, self.leg.made)
        self.answered.start(invitation.server, final, at, out)
        let_hear(call, out)

    def _unusable(self, response: Response, error: PeerError, at: float, out: list[Command]) -> None:
        """The callee's media must not be used: nothing falls back to the clear, the call ends (row M3).

        One of several that has not answered yet fails alone.
        """
        self.call.media_refused("b", error, out)
        self.count("unusable")
        if self.branch:
            self.give_up(at, out)
            self.hunt.on_hop_failure(488, error.reason, at, out)
            return
        if response.status >= 200:
            self.given_up = True
            self._refuse(response, at, out)
        else:
            self.give_up(at, out)
        self.invitation.refuse(503 if error.status == 503 else 488, "", at, out, error.reason)

    def on_invalid(self, response: Response, error: PeerError, at: float, out: list[Command]) -> None:
        """What remains of a 2xx that was not as it should be: ACK and BYE, and the hop has failed."""
        if self.given_up or self.answered is not None:
            self.on_response(response, at, out)
        else:
            self.count("unusable")
            self._refuse(response, at, out)
            self.hunt.on_hop_failure(502, error.reason, at, out)

    def _refuse(self, response: Response, at: float, out: list[Command]) -> None:
        self.call.desk.refuse_late_answer(self.call, self.leg, self.invite, response, at, out)

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """No final response will come; where it rang, there is a phone to be told (RFC 3261 16.8)."""
        if self.given_up:
            return
        if kind == "adrift":
            if self.leg.peer is None:
                self.hunt.on_adrift(at, out)
            elif self.client is not None:
                self.call.desk.seek(self.call, self.leg, self.client, self._on_gone, at, out)
        elif kind == "timeout" and self.heard:
            self.count(kind)
            self.give_up(at, out)
            self.hunt.on_hop_failure("timeout", "no answer in time", at, out)
        elif self.heard or not self._by_datagram(kind, at, out):
            failure: Failure = "timeout" if kind == "timeout" else "unreachable"
            self.hunt.on_peer_failure(failure, kind, None, at, out)

    def _by_datagram(self, kind: str, at: float, out: list[Command]) -> bool:
        """Nothing came of a connection beside UDP: True where its INVITE is sent as a datagram instead."""
        desk = self.call.desk
        if not desk.gave_up_tcp(self.leg, self.invite, at) or kind != "transport":
            return False
        self.send(repeat(self.invite, self.leg.cseq, desk.ids.branch()), at, out)
        return True

    def _on_gone(self, at: float, out: list[Command]) -> None:
        """The connection has closed, and nobody is there any more."""
        if not self.given_up and self.answered is None:
            self.hunt.on_peer_failure("unreachable", "it closed its connection and is gone", None, at, out)

    def give_up(self, at: float, out: list[Command], why: Fields = ()) -> None:
        """Send CANCEL, at once or as soon as the callee has been heard (RFC 3261 9.1)."""
        if self.given_up:
            return
        self.count("cancelled")
        self.given_up, self.client, self.why = True, None, why
        if self.heard:
            self._send_cancel(at, out)

    def _send_cancel(self, at: float, out: list[Command]) -> None:
        self.call.desk.send_cancel(self.call, self.leg, self.invite, at, out, self.why)

    def let_go(self) -> None:
        """The call is up: of our INVITE the headers stay, for a fork that answers late (RFC 6026 8.4)."""
        if self.client is not None:
            self.client.last_response = None
            self.client = None
        self.invite.body = b""


def _described(fork: Fork, response: Response) -> bytes:
    """The SDP of ``response`` that is an offer or an answer.

    What repeats one after all was agreed, with PRACK or anew, is neither (RFC 3261 13.2.1, RFC 6337 2).
    """
    if fork.renewed or (fork.accepted and "rseq" not in response.headers.first):
        return b""
    return carried_body(response)


def timer_of(name: str, branch: int) -> str:
    """The call's timer ``name`` for one of several callees that are tried at once, 0 where there is one."""
    return f"{name} {branch}" if branch else name
