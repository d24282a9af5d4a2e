"""A request within the dialog, carried from one leg to the other, and its responses back.

re-INVITE, UPDATE, PRACK and INFO all go this way; BYE does not wait for the other side and
ACK belongs to ``answered``. A body of SDP passes through the media's offer or answer on the
way; if the other side then refuses the offer, the media goes back to what was agreed.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from sbc.b2bua.answered import AnsweredInvite
from sbc.b2bua.bodies import (
    carried_body,
    crossing,
    location,
    lost,
    read_body,
    recording_tag,
    with_bodies,
)
from sbc.b2bua.call import AfterMedia, Call
from sbc.b2bua.commands import AnswerMedia, Command, OfferMedia
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.leg import Leg, Side, agreed_alone, other
from sbc.b2bua.life import clear
from sbc.b2bua.proofs import CHALLENGES, Given, proven
from sbc.b2bua.session import accept, accepted
from sbc.b2bua.states import ANSWERED, EARLY, LEFT
from sbc.b2bua.transfers import (
    TRANSFER_METHODS,
    event_across,
    notify_across,
    refer_across,
    refer_crossed,
    refer_sub,
)
from sbc.b2bua.translate import Fields, answer, carried, extensions, joined
from sbc.base import PeerError
from sbc.media.early import both_ways
from sbc.sip.message import Request, Response
from sbc.sip.transactions import ServerTransaction

# What a refusal is to the other side: a challenge, and the length of a session, are between its peer and us.
_PASSED_AS: Final = {401: 403, 407: 403, 422: 500}
# Whose body is SDP, and perhaps more.
_DIVIDED: Final = frozenset(("INVITE", "UPDATE", "PRACK"))
_RACK = re.compile(r"[0-9]+[ \t]+[0-9]+[ \t]+[A-Za-z]+").fullmatch


def screen(call: Call, fork: Fork, side: Side, request: Request) -> tuple[int, str] | None:
    """Status and reason that refuse ``request`` now: glare and unfinished business, else None."""
    method, near = request.method, call.leg(side)
    if call.linked is not None and (call.state in EARLY or call.state == ANSWERED):
        # Who is transferred is not of this call yet, and knows nothing of its dialogs.
        return 491, "Request Pending"
    if call.state == LEFT:
        ended = fork.dialog(side).state == "ended"
        return (481, "Call/Transaction Does Not Exist") if ended else (491, "Request Pending")
    if method in _DIVIDED and near.standing.bodies and _demands(request, near, call.leg(other(side))):
        return 415, "Unsupported Media Type"
    if method == "PRACK":
        return None if _RACK(request.headers.get("RAck") or "") else (400, "Bad RAck")
    if method == "REFER":
        return (405, "Method Not Allowed") if near.standing.transfers == "refuse" else None
    if method != "INVITE" and not (method == "UPDATE" and request.body):
        return None
    if (method == "INVITE" and near.invited) or call.offerer == side:
        # The peer's own earlier request or offer is unanswered (RFC 3261 14.2, RFC 3311 5.2).
        return 500, "Server Internal Error"
    if call.offerer is not None or near.refreshing or call.leg(other(side)).refreshing:
        return 491, "Request Pending"
    if method == "INVITE" and (near.inviting or call.state == ANSWERED or call.fork is not fork):
        return 491, "Request Pending"
    return None


def _demands(request: Request, near: Leg, far: Leg) -> bool:
    """Whether ``request`` has a part that its sender requires, and the other side's trunk does not carry."""
    left = lost(read_body(request).parts, crossing(near.trunk, far.trunk))
    return any(part.required for part in left)


class Mirror:
    """One request on its way across."""

    __slots__ = (
        "answered", "call", "cancelled", "client_request", "countered", "fork", "given", "heard", "made",
        "offered", "open", "request", "server", "side", "why", "withheld",
    )  # fmt: skip

    def __init__(
        self, call: Call, fork: Fork, side: Side, server: ServerTransaction, request: Request
    ) -> None:
        self.call = call
        self.fork = fork
        self.side: Side = side
        self.server = server
        self.request = request
        self.offered = self.made = False
        # What a provisional response to an INVITE without an offer has held.
        self.countered: Literal["", "a preview", "an offer"] = ""
        self.open = 0  # which of the call's offers was made in it
        self.withheld = b""  # the answer to an offer of ours that came before the 2xx (RFC 3262 5)
        self.heard = self.cancelled = False
        self.why: Fields = ()
        self.client_request: Request | None = None
        self.given: Given | None = None
        self.answered: AnsweredInvite | None = None

    @property
    def leg(self) -> Leg:
        """The far side's."""
        return self.call.leg(other(self.side))

    def start(self, at: float, out: list[Command]) -> None:
        """Carry the request over; refuse it if its offer cannot be carried."""
        call, side, request = self.call, self.side, self.request
        call.mirrors.append(self)
        if request.method == "INVITE":
            call.leg(side).invited = call.leg(other(side)).inviting = True
            call.offered_early = None
        if request.method in ("INVITE", "UPDATE"):
            self.fork.dialog(side).refresh(request)
        sdp = carried_body(request) if request.method != "INFO" else b""
        if not sdp and request.method == "INVITE" and self.leg.trunk.early_offer:
            sdp = both_ways(call.heard(side))
            self.made = bool(sdp)
        if not sdp:
            call.after_media(self._forward, at, out)
            return
        if request.method == "PRACK" and call.offered_early is self.fork:
            self._answer_early(sdp, out)
            return
        self.offered = True
        self.fork.renewed = call.state in EARLY
        ours, theirs = call.policies[side], call.policies[other(side)]
        call.ask_media(OfferMedia(call.id, side, sdp, ours, theirs), self._forward, out)

    def _answer_early(self, answer: bytes, out: list[Command]) -> None:
        """PRACK answers an offer of the far side; where that answer may not be used the offer stays open."""
        call = self.call

        def answered(sdp: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
            if error is None:
                call.offered_early = None
                if call.state in EARLY:
                    self.fork.accepted = answer
            else:
                call.offerer = other(self.side)
            self._forward(sdp, error, at, out)

        call.ask_media(AnswerMedia(call.id, self.side, answer), answered, out)

    def _forward(self, sdp: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
        call, far = self.call, other(self.side)
        if error is not None:
            call.media_refused(self.side, error, out)
            self._finish(call.desk.respond_to(self.server, error.status, ""), at, out)
            return
        if self.offered:
            self.open = call.offers
        if self.cancelled:
            self._finish(call.desk.respond_to(self.server, 487, "Request Terminated"), at, out)
            return
        outgoing = call.request(self.fork, far, self.request.method)
        if self.request.method == "INVITE":
            call.leg(far).cseq, call.leg(far).proof = outgoing.cseq.number, ()
        try:
            self._copy(outgoing, sdp)
        except PeerError as refused:
            reason = "" if refused.status == 400 else refused.reason
            self._finish(call.desk.respond_to(self.server, refused.status, reason), at, out)
            return
        self.client_request = outgoing
        call.send(self.fork, far, outgoing, self, at, out)

    def _copy(self, outgoing: Request, sdp: bytes) -> None:
        request, headers = self.request, outgoing.headers
        near, far = self.call.leg(self.side), self.call.leg(other(self.side))
        headers.extend(carried(request, near, far))
        for name in ("Supported", "Require"):
            tags = joined(extensions(request, name), recording_tag(request, name, near.trunk, far.trunk))
            if tags:
                headers.add(name, tags)
        if request.method in ("INVITE", "UPDATE") and self.call.fork is self.fork:
            far.ask_for_session(outgoing)
        if request.method == "PRACK":
            headers.add("RAck", self._rack())
        if request.method == "INFO" and request.body:
            for name in ("Content-Type", "Info-Package"):
                value = request.headers.get(name)
                if value is not None:
                    headers.add(name, value)
            outgoing.body = request.body
            return
        if request.method in TRANSFER_METHODS:
            self._copy_transfer(outgoing)
            return
        headers.extend(location(request, near.trunk, far.trunk))
        with_bodies(outgoing, request, sdp, near.trunk, far.trunk)

    def _copy_transfer(self, outgoing: Request) -> None:
        """What a REFER or its NOTIFY says, written for the far side; PeerError where that cannot be."""
        call, request = self.call, self.request
        if request.method == "REFER":
            outgoing.headers.extend(refer_across(request, call.desk.dialogs, self.leg))
            self._refer_crosses(outgoing.cseq.number)
            return
        event = event_across(call.refers, self.side, request)
        if event is None:
            raise PeerError("Subscription Does Not Exist", 481)
        fields, outgoing.body = notify_across(request, event)
        outgoing.headers.extend(fields)

    def _refer_crosses(self, number: int) -> None:
        call = self.call
        call.refers = refer_crossed(call.refers, self.side, self.request.cseq.number, number)

    def _rack(self) -> str:
        """RSeq numbers are carried unchanged; the CSeq in RAck is that of our INVITE (RFC 3262 7.2)."""
        rseq, _, _ = (self.request.headers.get("RAck") or "").partition(" ")
        return f"{rseq} {self.call.leg(other(self.side)).cseq} INVITE"

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """The far side answered: bring it back."""
        if not self.heard:
            self.heard = True
            if self.cancelled and response.status < 200:
                self._send_cancel(at, out)
        if response.status == 100:
            return
        if self.answered is not None:
            self.answered.repeat_ack(at, out)
            return
        if self not in self.call.mirrors:
            # Answered already, by a failure, for want of usable media or because the call ended.
            if self.request.method == "INVITE" and 200 <= response.status < 300:
                self._acknowledge(at, out)
            return
        if response.status >= 300:
            if response.status not in CHALLENGES or not self._prove(response, at, out):
                self._refused(response, at, out)
            return
        if self.request.method in ("INVITE", "UPDATE"):
            self.fork.dialog(other(self.side)).refresh(response)
        self._back(response, at, out)

    def _prove(self, response: Response, at: float, out: list[Command]) -> bool:
        """Answer a challenge to a re-INVITE; those to the other methods are ``sbc.b2bua.desk.Again``'s."""
        request, call, far = self.client_request, self.call, other(self.side)
        if request is None or request.method != "INVITE" or self.cancelled:
            return False
        leg, dialog = call.leg(far), self.fork.dialog(far)
        given = self.given = self.given or Given()
        again = call.desk.proofs.within(leg.name, dialog, request, response, given, out)
        if again is None:
            return False
        leg.cseq = dialog.local_cseq
        leg.proof = proven(again)
        self.client_request, self.heard = again, False
        call.send(self.fork, far, again, self, at, out)
        return True

    def on_invalid(self, response: Response, error: PeerError, at: float, out: list[Command]) -> None:
        """What remains of a 2xx to a re-INVITE that was not as it should be: ACK, and the call ends."""
        if self.answered is not None or self not in self.call.mirrors:
            self.on_response(response, at, out)
            return
        self._acknowledge(at, out)
        self._finish(self.call.desk.respond_to(self.server, 502, "Bad Gateway"), at, out)
        clear(self.call, error.reason, at, out)

    def _back(self, response: Response, at: float, out: list[Command]) -> None:
        call, far = self.call, other(self.side)
        try:
            sdp = carried_body(response)
        except PeerError as error:
            self._unusable(response, error, at, out)
            return

        def then(sdp: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
            self._answer(response, sdp, error, at, out)

        if self.countered == "an offer" and call.offered_early is None:
            sdp = b""  # PRACK has answered it: what is said after that is none (RFC 3261 13.2.1, RFC 6337 2)
        if self.made:
            sdp = sdp or self.withheld
            if response.status < 200:
                self.withheld, sdp = sdp, b""
        if not sdp or self.request.method == "INFO":
            call.after_media(then, at, out)
        elif self.made:
            self._offer_back(sdp, then, out)
        elif self.offered:
            if call.state in EARLY:
                self.fork.settled = self.side, carried_body(self.request), sdp
            call.ask_media(AnswerMedia(call.id, far, sdp), then, out)
        else:
            ours, theirs = call.policies[far], call.policies[self.side]
            call.ask_media(OfferMedia(call.id, far, sdp, ours, theirs), then, out)
            if response.status < 200:
                self._counter(response)

    def _counter(self, response: Response) -> None:
        """The far side has made the offer early: PRACK answers it where it is reliable (RFC 3262 5)."""
        if "RSeq" in response.headers:
            self.countered, self.call.offered_early = "an offer", self.fork
        else:
            self.countered, self.call.offerer = "a preview", None

    def _offer_back(self, sdp: bytes, then: AfterMedia, out: list[Command]) -> None:
        """What the far side has answered to our own offer is offered to the near one; its ACK answers."""
        call, far = self.call, other(self.side)

        def settled(_: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
            if error is not None:
                then(b"", error, at, out)
                return
            theirs = agreed_alone(call.policies[self.side], sdp)
            call.ask_media(OfferMedia(call.id, far, sdp, call.policies[far], theirs), then, out)

        call.ask_media(AnswerMedia(call.id, far, sdp), settled, out)

    def _answer(
        self, response: Response, sdp: bytes, error: PeerError | None, at: float, out: list[Command]
    ) -> None:
        call, near, far = self.call, self.call.leg(self.side), self.call.leg(other(self.side))
        if error is not None:
            self._unusable(response, error, at, out)
            return
        if self.countered and sdp and response.status < 200:
            self.open = call.offers
        base = call.desk.respond_to(self.server, response.status, response.reason)
        final = answer(base, response, near, far, sdp)
        if self.request.method == "REFER" and response.status < 300:
            self._refer_crosses(response.cseq.number)
            final.headers.extend(refer_sub(response))
        assert self.client_request is not None, "a response implies the request"
        if response.status >= 200 and self.request.method in ("INVITE", "UPDATE"):
            self._begin_sessions(response, final, at)
        if self.request.method != "INVITE" or response.status < 200:
            self._finish(final, at, out)
            return
        near.invited = far.inviting = False
        if (self.offered and not self.made) or (not sdp and (self.made or self.countered)):
            call.offerer = None  # answered, or it will not be
        if self.made and not sdp:
            self._roll_back(out)
        far_cseq = self.client_request.cseq.number
        by_far = bool(sdp) and (self.made or not self.offered)
        self.answered = AnsweredInvite(call, self.fork, self.side, far_cseq, by_far, self.made)
        call.mirrors.remove(self)
        self.answered.start(self.server, final, at, out)

    def _begin_sessions(self, response: Response, final: Response, at: float) -> None:
        """Each leg's session begins anew, on its own terms; in an early dialog there is none yet."""
        call, side = self.call, self.side
        if call.fork is self.fork and self.client_request is not None:
            accepted(call, other(side), self.client_request, response, at)
            accept(call, side, self.request, final, at)

    def _unusable(self, response: Response, error: PeerError, at: float, out: list[Command]) -> None:
        """The far side accepted with an answer that we must not use: the call ends (row M3)."""
        far = other(self.side)
        self.call.media_refused(far, error, out)
        if response.status < 200:
            self._withdraw(at, out)
        elif self.request.method == "INVITE":
            self._acknowledge(at, out)
        status = 503 if error.status == 503 else 488
        self._finish(self.call.desk.respond_to(self.server, status, ""), at, out)
        clear(self.call, error.reason, at, out)

    def _acknowledge(self, at: float, out: list[Command]) -> None:
        """A 2xx that is of no use gets its ACK all the same, and again when it is repeated."""
        assert self.client_request is not None, "a response implies the request"
        far = other(self.side)
        ack = self.call.ack(self.fork, far, self.client_request.cseq.number)
        self.call.desk.send_ack(self.call, self.leg, self.fork.dialog(far), ack, at, out)

    def _refused(self, response: Response, at: float, out: list[Command]) -> None:
        self._roll_back(out)
        status = _PASSED_AS.get(response.status, response.status)
        base = self.call.desk.respond_to(self.server, status, response.reason)
        near, far = self.call.leg(self.side), self.call.leg(other(self.side))
        self._finish(answer(base, response, near, far, b""), at, out)
        # Nothing waits for this PRACK (RFC 3262 3), or wants the NOTIFY (RFC 5057 5.1); that says nothing
        # about the dialog.
        nothing_waits = self.request.method in ("PRACK", "NOTIFY") and response.status == 481
        if response.status in (408, 481) and not nothing_waits:
            # The far dialog is over; it is told as well, for it may be only we who are not known there
            # any more (RFC 3261 12.2.1.2).
            self._lose(f"{response.status} within the dialog", at, out)

    def _lose(self, why: str, at: float, out: list[Command]) -> None:
        """Its dialog is over, and so is the call, unless other callees ring on in dialogs of their own."""
        if self.call.state not in EARLY or len(self.call.forks) < 2:
            clear(self.call, why, at, out)

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """The far side never answered: 408 (timeout) or 503; or the near side is gone (``lost``)."""
        call = self.call
        if self not in call.mirrors or kind == "adrift":
            return
        if kind == "lost":
            call.desk.answer_elsewhere(call, call.leg(self.side), self.server, self._on_lost, at, out)
            return
        self._give_up(kind, at, out)

    def _on_lost(self, at: float, out: list[Command]) -> None:
        """No answer reaches the near side any more."""
        if self in self.call.mirrors:
            self._give_up("lost", at, out)

    def _roll_back(self, out: list[Command]) -> None:
        """Nothing comes of what either side has offered in it: all stays as it was (RFC 3261 14.1).

        An offer that crossed it, in PRACK, is not of it.
        """
        if self.open and self.open == self.call.offers:
            self.call.roll_back(out)

    def _give_up(self, kind: str, at: float, out: list[Command]) -> None:
        self._roll_back(out)
        status, reason = (408, "Request Timeout") if kind == "timeout" else (503, "Service Unavailable")
        self._finish(self.call.desk.respond_to(self.server, status, reason), at, out)
        self._withdraw(at, out)
        if kind == "timeout":
            self._lose("the peer no longer answers within the dialog", at, out)

    def on_cancel(self, why: Fields, at: float, out: list[Command]) -> None:
        """The near side gave its re-INVITE up; the far side's 487 will end it."""
        if self.answered is None and not self.cancelled:
            self.cancelled, self.why = True, why
            if self.heard:
                self._send_cancel(at, out)

    def abandon(self, at: float, out: list[Command]) -> None:
        """The call or its dialog is over: answer the near side; no INVITE stays pending (RFC 3261 15.1.2)."""
        self._finish(self.call.desk.respond_to(self.server, 487, "Request Terminated"), at, out)
        self._withdraw(at, out)

    def outlives(self, side: Side) -> bool:
        """It ends with its dialogs."""
        return False

    def _withdraw(self, at: float, out: list[Command]) -> None:
        if self.request.method == "INVITE" and self.client_request is not None:
            self.on_cancel((), at, out)

    def _send_cancel(self, at: float, out: list[Command]) -> None:
        # Not before the far side was heard (RFC 3261 9.1).
        assert self.client_request is not None, "responses imply the request"
        self.call.desk.send_cancel(self.call, self.leg, self.client_request, at, out, self.why)

    def _finish(self, response: Response, at: float, out: list[Command]) -> None:
        if self.request.method == "INVITE" and response.status >= 200:
            self.call.leg(self.side).invited = False
            self.call.leg(other(self.side)).inviting = False
        if response.status >= 200:
            self.call.mirrors.remove(self)
            self.server.user = None
            if self.offered or self.countered:
                self.call.offerer = None
            if self.countered:
                self.call.offered_early = None
        self.server.respond(response, at, out)
