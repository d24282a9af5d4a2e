"""One place that an INVITE is sent to: from a flow there to our INVITE, with media of its own.

What is the same for a peer of a trunk, which the hunt tries, and for a contact of a user, of whom several may
be tried at once (``volley``): the leg, the policies of its media, the offer, and the INVITE itself. What a
failure means is for whoever approaches to say.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from dsl.decision import Failure, Route
from sbc.b2bua.attempt import Attempt, timer_of
from sbc.b2bua.causes import understand
from sbc.b2bua.commands import Command, Note, OfferMedia
from sbc.b2bua.contacts import send_to
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.leg import Leg, callee_srtp, caller_srtp, leg_policy, local_address, network_of, undescribed
from sbc.b2bua.proofs import CREDENTIALS, repeat
from sbc.b2bua.session import lengthen
from sbc.b2bua.transfers import refer_on, replace_on
from sbc.b2bua.translate import Fields, invite, too_long
from sbc.base import Address, PeerError
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.media.early import early_offer
from sbc.media.policy import MediaPolicy
from sbc.policy.passports import sign_on
from sbc.registrar.binding import Binding
from sbc.sip.message import Request, Response

_NOWHERE: Final = Route(())


class Approach:
    """Our way to one place of ``route``: the ``leg`` there and the ``attempt`` that is under way.

    ``branch`` is which of several that are tried at once, 0 for one that is tried alone: it is then the
    callee of the call as soon as it has a leg. ``contact`` is set where the place is a user's.
    """

    __slots__ = (
        "_peer", "_trunk", "_turn", "attempt", "branch", "call", "contact", "edited", "invitation", "leg",
        "offered", "policy", "route",
    )  # fmt: skip

    def __init__(self, invitation: Invitation, branch: int = 0) -> None:
        self.invitation = invitation
        self.call = invitation.call
        self.branch = branch
        self.route = _NOWHERE
        self.edited = False  # whether ``here`` is another route
        self.contact: Binding | None = None
        self.leg: Leg | None = None
        self.attempt: Attempt | None = None
        self.offered: tuple[bytes, bytes] = b"", b""  # what the caller said, and what this one was told of it
        self._trunk = invitation.call.a.trunk  # whose the place is, as soon as there is one
        self._peer: Address | None = None  # which of the trunk's, where it is one
        self.policy: MediaPolicy | None = None  # of its media
        self._turn = 0  # counts the tries: what comes late of an earlier one is none of this one's

    # What becomes of it, which is for whoever approaches to say

    def refuse(self, status: int, phrase: str, at: float, out: list[Command], why: str) -> None:
        """The caller's INVITE cannot be sent there."""

    def refused(self, response: Response, at: float, out: list[Command]) -> None:
        """The peer gave a final response of 300 or above, and is not asked again."""

    def on_peer_failure(
        self, failure: Failure, reason: str, response: Response | None, at: float, out: list[Command]
    ) -> None:
        """The peer does not serve us now."""

    def on_hop_failure(self, kind: Failure, reason: str, at: float, out: list[Command]) -> None:
        """The peer did not answer as it should."""

    def leave(self, at: float, out: list[Command]) -> None:
        """What the attempt made is over, and what was asked in it; its transaction ends by itself."""

    def here(self) -> Route:
        """The route with what is edited for this place alone."""
        return self.route

    # Several at once

    def may_speak(self) -> bool:
        """Whether the caller may hear what this callee plays before its answer."""
        return True

    def on_answer(self, at: float, out: list[Command]) -> None:
        """It is the first of several to answer."""

    def on_adrift(self, at: float, out: list[Command]) -> None:
        """Its connection is gone, and only it can open another."""

    # The way there

    def approach(self, flow: Flow, at: float, out: list[Command]) -> None:
        """There is a flow to the peer: a leg and its media come next."""
        call, trunk = self.call, self._trunk
        listener = call.snapshot.settings.listeners[trunk.listener]
        leg = call.desk.leg_to(trunk, flow, local_address(listener, trunk, flow), self._peer)
        leg.call_id, leg.local_tag = call.desk.ids.call_id(), call.desk.ids.tag()
        call.desk.dialogs.call_ids.add(leg.call_id, call.id, leg.name, "b")
        self.leg = leg
        if self.contact is not None:
            leg.phone = self.contact.user, self.contact.instance
        rule, codecs = self.route.srtp, self.route.codecs
        here, there = call.a.standing.srtp, leg.standing.srtp
        if rule is not None:
            here, there = caller_srtp(here, rule), callee_srtp(there, rule)
        streams = call.snapshot.settings.caps.streams_per_call
        near, far = network_of(call.snapshot, call.a.trunk), network_of(call.snapshot, trunk)
        always = bool(call.reserve_of)
        ours = leg_policy(call.a, here, codecs, streams, near, always)
        self.policy = theirs = leg_policy(leg, there, codecs, streams, far, always)
        call.policies["a"] = ours
        if self.branch:
            call.trying = (*call.trying, leg)
        else:
            call.b, call.policies["b"] = leg, theirs
        offer = self.invitation.offer
        if not offer and self.offers_itself(trunk):
            leg.made = True
            offer, ours = early_offer(trunk.early_offer, call.a.flow.remote.host), undescribed(ours)
        if offer:
            again = call.has_media and not self.branch
            command = OfferMedia(call.id, "a", offer, ours, theirs, again, self.branch)
            call.ask_media(command, partial(self._invite, self._turn), out)
        else:
            self._invite(self._turn, b"", None, at, out)

    def offers_itself(self, trunk: Trunk) -> bool:
        """Whether we make an offer of our own to ``trunk`` where the caller makes none."""
        return bool(trunk.early_offer) and not self.invitation.requires_100rel

    def _invite(self, turn: int, sdp: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
        if turn != self._turn:
            return
        call, leg, desk = self.call, self.leg, self.call.desk
        assert leg is not None, "it was connected"
        if error is not None:
            call.media_refused("a", error, out)
            self.refuse(error.status, "", at, out, error.reason)
            return
        if self.branch:
            self.offered = call.offered
        route, branch, contact = self.route, desk.ids.branch(), self.contact
        if self.edited:
            route = self.here()
        named = leg.target if contact is None else Address(leg.host.strip("[]"), 0)
        try:
            request = invite(
                leg, self.invitation.request, route, named, branch, sdp, call.a, call.redirected[0]
            )
        except PeerError as refused:
            self.refuse(refused.status, "Privacy Not Available", at, out, refused.reason)
            return
        if call.referred[0]:
            refer_on(request, self.invitation.request, leg, leg.name == call.referred[1])
        if call.replacing[0] and not replace_on(request, leg, *call.replacing):
            self.refuse(403, "", at, out, "the rules lead elsewhere than to whom it is to join")
            return
        signed = "identity" in self.invitation.request.headers.first
        why = sign_on(self.invitation.request, request) if signed else ""
        if why:
            out.append(Note("identity-dropped", call.id, {"trunk": leg.name, "reason": why}))
        home = desk.peers.homes.get(leg.name)
        if home is not None and home.peer == leg.peer:
            request.headers.extend([("Route", each) for each in home.routes])
        if contact is not None:
            _address_to(request, contact, self.branch)
        leg.ask_for_session(request)
        if leg.standing.early_media == "authorized" and "P-Early-Media" not in request.headers:
            request.headers.add("P-Early-Media", "supported")
        if too_long(request):
            self.refuse(513, "", at, out, "the INVITE is too long to be sent on")
            return
        self._send(leg, request, at, out)

    def _send(self, leg: Leg, request: Request, at: float, out: list[Command]) -> None:
        call, desk = self.call, self.call.desk
        self.attempt = attempt = Attempt(self, self.invitation, leg, self.branch)
        leg.inviting = True
        attempt.send(request, at, out)
        response, ring = "response", "ring"
        if self.branch:
            response, ring = timer_of(response, self.branch), timer_of(ring, self.branch)
        standing = leg.standing
        if not standing.patient or desk.peers.patience(leg.trunk, self._peer) is None:
            call.schedule(response, at + standing.response_timeout)
        call.schedule(ring, at + (self.route.ring or standing.ring_timeout))

    def on_refusal(self, response: Response, at: float, out: list[Command]) -> None:
        """The peer gave a final response of 300 or above; after 422 it is asked again."""
        was, cause = response.status, understand(response, self._trunk)
        if cause is not None:
            fields = {"trunk": self._trunk.trunk, "cause": cause, "was": was, "status": response.status}
            out.append(Note("cause-read", self.call.id, fields))
        if response.status == 422 and self.ask_for_longer(response, at, out):
            return
        if self.attempt is not None:
            self.attempt.count(str(was))
        self.refused(response, at, out)

    def ask_for_longer(self, response: Response, at: float, out: list[Command]) -> bool:
        """Send the INVITE again, for a session as long as the peer demands, if it says so (RFC 4028 7.3)."""
        call, attempt, leg = self.call, self.attempt, self.leg
        if attempt is None or leg is None or not lengthen(leg, attempt.invite, response):
            return False
        former, offerer = attempt.invite, call.offerer
        self.leave(at, out)
        call.offerer = offerer
        leg.cseq += 1
        leg.proof = ()
        request = repeat(former, leg.cseq, call.desk.ids.branch())
        for name in CREDENTIALS:
            request.headers.remove(name)
        request.headers.set("Session-Expires", str(leg.least))
        request.headers.set("Min-SE", str(leg.least))
        self._send(leg, request, at, out)
        call.schedule(timer_of("response", self.branch), at + leg.trunk.patience_with(leg.target))
        return True

    def on_timer(self, name: str, at: float, out: list[Command]) -> None:
        """``response``: the peer is silent. ``ring``: it rings, but nobody answers."""
        silent = self.attempt is None or not self.attempt.heard
        if self.attempt is not None:
            self.attempt.count("timeout")
            if silent:
                self.call.desk.gave_up_tcp(self.attempt.leg, self.attempt.invite, at)
        self.give_up(at, out)
        if silent:
            self.on_peer_failure("timeout", "no response in time", None, at, out)
        else:
            self.on_hop_failure("timeout", "no answer in time", at, out)

    def give_up(self, at: float, out: list[Command], why: Fields = ()) -> None:
        """Nobody waits for an answer any more: CANCEL what was sent, with its Reasons ``why``."""
        if self.attempt is not None:
            self.attempt.give_up(at, out, why)

    def let_go(self) -> None:
        """The call is up or over: no message of its setup is needed while the transactions live on."""
        if self.attempt is not None:
            self.attempt.let_go()
            self.attempt = None


def _address_to(request: Request, contact: Binding, branch: int) -> None:
    """Send an INVITE to a contact of a user.

    Of several at once none is asked for reliable provisional responses: the caller has one PRACK for each of
    its own, and would have to keep the offers of all of them apart.
    """
    send_to(request, contact)
    if branch:
        for name in ("Supported", "Require"):
            if name in request.headers:
                left = [tag for tag in request.headers.values(name) if tag.strip(" \t").lower() != "100rel"]
                request.headers.remove(name)
                if left:
                    request.headers.add(name, ", ".join(left))
