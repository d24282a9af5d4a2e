"""Hop after hop of a decision, and at each hop peer after peer of its trunk, until one takes the call.

A trunk's peers are one server to whoever wrote the rule: a 503, a connection that cannot be had or
breaks, and silence lead to the trunk's next peer (RFC 3263 4.3, RFC 3261 16.7, 21.5.4), and only the
last peer's failure is the hop's. Where each of them rests or is down, the hop fails at once. A peer that
rings and is not answered was reached: what becomes of the call then is the rule's affair. The hop is
counted against its trunk's limits once. Each attempt has a leg, a branch and a media offer of its own.
"""

from __future__ import annotations

from functools import partial
from typing import Final

from dsl.decision import Failure, Route
from sbc.b2bua.attempt import Attempt
from sbc.b2bua.bodies import crossing, lost
from sbc.b2bua.call import admit, release
from sbc.b2bua.causes import understand
from sbc.b2bua.commands import Command, Note, OfferMedia
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.leg import Leg, callee_srtp, caller_srtp, leg_policy, local_address, network_of, undescribed
from sbc.b2bua.proofs import CREDENTIALS, repeat
from sbc.b2bua.session import lengthen
from sbc.b2bua.states import ENDED
from sbc.b2bua.transfers import refer_on, replace_on
from sbc.b2bua.translate import Fields, invite, too_long
from sbc.base import Address, PeerError
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.media.early import early_offer
from sbc.policy.bodies import media_types
from sbc.policy.downgrade import effective_downgrade, verdict
from sbc.policy.passports import sign_on
from sbc.sip.message import Request, Response

_NOWHERE: Final = Route(())
_REASONS: Final = {
    "timeout": (408, "Request Timeout"),
    "unreachable": (503, "Service Unavailable"),
    "488": (488, "Not Acceptable Here"),
    "502": (502, "Bad Gateway"),
    "415": (415, "Unsupported Media Type"),
}


class Hunt:
    """Where a call is tried now, ``attempt`` at a peer of ``hop``, and where it may still go."""

    __slots__ = ("_peer", "_peers", "_trunk", "_turn", "attempt", "call", "hop", "invitation", "route")

    def __init__(self, invitation: Invitation) -> None:
        self.invitation = invitation
        self.call = invitation.call
        self.route = _NOWHERE
        self.hop = -1
        self.attempt: Attempt | None = None
        self._trunk = invitation.call.a.trunk  # of the hop, as soon as there is one
        self._peer: Address | None = None
        self._peers: tuple[Address, ...] = ()  # those not tried yet
        self._turn = 0  # counts the tries: what comes late of an earlier one is none of this one's

    def try_hop(self, index: int, at: float, out: list[Command]) -> None:
        """Try a hop of ``route``, and where it fails those that are for such a failure."""
        call, desk = self.call, self.call.desk
        self._trunk = trunk = call.snapshot.trunks[self.route.hops[index].trunk]
        self.hop, self._peer = index, None
        call.tried = trunk.trunk, None
        off = desk.store.current.disabled.get(trunk.trunk)
        if off is not None:
            fields = {"trunk": trunk.trunk, "reason": f"it is disabled: {off}"}
            out.append(Note("hop-refused", call.id, fields))
            self._hop_failed("unreachable", None, at, out)
            return
        if call.a.flow.secure and call.snapshot.settings.listeners[trunk.listener].transport != "tls":
            if self._refuse_downgrade(trunk, at, out):
                return
        if self.invitation.parts and self._refuse_parts(trunk, at, out):
            return
        if trunk.delayed_offer == "refuse" and not self.invitation.offer and not self._offers_itself(trunk):
            reason = "the caller makes no offer, and the trunk takes no call without one (delayed_offer)"
            self.on_hop_failure(488, reason, at, out)
            return
        if desk.peers.is_down(trunk) and not call.emergency:
            reason = f"down: {desk.peers.why_down(trunk)}"
            out.append(Note("hop-refused", call.id, {"trunk": trunk.trunk, "reason": reason}))
            self._hop_failed("unreachable", None, at, out)
            return
        self._peers = desk.peers.order(trunk, at) or (trunk.peers if call.emergency else ())
        if not self._peers:
            self._nobody_to_try(trunk, at, out)
            return
        refusal = admit(call, trunk, at, bool(call.reserve_of))
        if refusal is not None:
            out.append(Note("hop-refused", call.id, {"trunk": trunk.trunk, "reason": refusal}))
            self._hop_failed(503, None, at, out)
            return
        self._try_peer(trunk, at, out)

    def _refuse_parts(self, trunk: Trunk, at: float, out: list[Command]) -> bool:
        """Tell which parts of the body stay behind at this hop; True where the caller requires one."""
        call, parts, near = self.call, self.invitation.parts, self.call.a.trunk
        left = lost(parts, crossing(near, trunk))
        needed = [part.type for part in left if part.required]
        if needed:
            reason = (
                f"it takes no {needed[0]} from {near.trunk}, which is required: see bodies of both trunks"
            )
            out.append(Note("hop-refused", call.id, {"trunk": trunk.trunk, "reason": reason}))
            self._hop_failed(415, None, at, out)
            return True
        told = [part.type for part in left if part.type in media_types(near.bodies)]
        if told:  # of the others it was told when they came
            fields = {"trunk": trunk.trunk, "call_id": call.a.call_id, "types": ",".join(told)}
            out.append(Note("parts-dropped", call.id, fields))
        return False

    def _offers_itself(self, trunk: Trunk) -> bool:
        return bool(trunk.early_offer) and not self.invitation.requires_100rel

    def _nobody_to_try(self, trunk: Trunk, at: float, out: list[Command]) -> None:
        """The trunk has no peers, or each of them rests or is down: the next hop's turn, without a delay."""
        peers = self.call.desk.peers
        if not peers.located.members(trunk):
            reason = f"trunk {trunk.trunk} has no peers"
            why = peers.why_none(trunk, at)
            self.on_hop_failure("unreachable", f"{reason}: {why}" if why else reason, at, out)
            return
        reason = f"no peer takes calls: {peers.why_none(trunk, at)}"
        out.append(Note("hop-refused", self.call.id, {"trunk": trunk.trunk, "reason": reason}))
        self._hop_failed(503, None, at, out)

    def _try_peer(self, trunk: Trunk, at: float, out: list[Command]) -> None:
        call, peer = self.call, self._peers[0]
        self._peer, self._peers = peer, self._peers[1:]
        self._turn += 1
        call.tried = trunk.trunk, peer
        patience = call.desk.peers.patience(trunk, peer) if trunk.patience else None
        if patience is not None:
            call.schedule("response", at + patience)
        then = partial(self._connected, self._turn)
        call.desk.connect(call.id, trunk, ((peer,), ()), call.snapshot, then, out)

    def _refuse_downgrade(self, trunk: Trunk, at: float, out: list[Command]) -> bool:
        """Whether a secure caller may not go on to a hop without TLS (row S8, RFC 5630)."""
        judged = verdict(True, False, effective_downgrade(trunk.sips, self.route.downgrade))
        if judged.outcome != "forbid":
            self.invitation.note_downgrade(judged, trunk.trunk, out)
            return False
        later = self.route.next_hop(self.hop, "unreachable")
        if later is not None:
            self.try_hop(later, at, out)
            return True
        self.invitation.forbid_downgrade(judged, trunk.trunk, at, out)
        return True

    def _connected(self, turn: int, flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
        """There is a flow to the peer, or none for ``reason``: a leg and its media come next."""
        call, trunk = self.call, self._trunk
        if turn != self._turn or call.state == ENDED:
            return
        if flow is None:
            self.on_peer_failure("unreachable", reason, None, at, out)
            return
        listener = call.snapshot.settings.listeners[trunk.listener]
        leg = call.desk.leg_to(trunk, flow, local_address(listener, trunk, flow), self._peer)
        leg.call_id, leg.local_tag = call.desk.ids.call_id(), call.desk.ids.tag()
        call.b = leg
        rule, codecs = self.route.srtp, self.route.codecs
        here, there = call.a.trunk.srtp, trunk.srtp
        if rule is not None:
            here, there = caller_srtp(here, rule), callee_srtp(there, rule)
        streams = call.snapshot.settings.caps.streams_per_call
        near, far = network_of(call.snapshot, call.a.trunk), network_of(call.snapshot, trunk)
        always = bool(call.reserve_of)
        ours = leg_policy(call.a, here, codecs, streams, near, always)
        theirs = leg_policy(leg, there, codecs, streams, far, always)
        call.policies["a"], call.policies["b"] = ours, theirs
        offer = self.invitation.offer
        if not offer and self._offers_itself(trunk):
            leg.made = True
            offer, ours = early_offer(trunk.early_offer, call.a.flow.remote.host), undescribed(ours)
        if offer:
            command = OfferMedia(call.id, "a", offer, ours, theirs, restart=call.has_media)
            call.ask_media(command, partial(self._invite, turn), out)
        else:
            self._invite(turn, b"", None, at, out)

    def _invite(self, turn: int, sdp: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
        if turn != self._turn:
            return
        call, leg, desk = self.call, self.call.b, self.call.desk
        assert leg is not None, "it was connected"
        if error is not None:
            call.media_refused("a", error, out)
            self.invitation.refuse(error.status, "", at, out, error.reason)
            return
        branch = desk.ids.branch()
        try:
            request = invite(
                leg,
                self.invitation.request,
                self.route.at(self.hop),
                leg.target,
                branch,
                sdp,
                call.a,
                call.redirected[0],
            )
        except PeerError as refused:
            self.invitation.refuse(refused.status, "Privacy Not Available", at, out, refused.reason)
            return
        if call.referred[0]:
            refer_on(request, self.invitation.request, leg, leg.trunk.trunk == call.referred[1])
        if call.replacing[0] and not replace_on(request, leg, *call.replacing):
            self.invitation.refuse(403, "", at, out, "the rules lead elsewhere than to whom it is to join")
            return
        signed = "identity" in self.invitation.request.headers.first
        why = sign_on(self.invitation.request, request) if signed else ""
        if why:
            out.append(Note("identity-dropped", call.id, {"trunk": leg.trunk.trunk, "reason": why}))
        home = desk.peers.homes.get(leg.trunk.trunk)
        if home is not None and home.peer == leg.peer:
            request.headers.extend([("Route", each) for each in home.routes])
        if leg.trunk.session_timer is not None:
            leg.ask_for_session(request)
        if leg.trunk.early_media == "authorized" and "P-Early-Media" not in request.headers:
            request.headers.add("P-Early-Media", "supported")
        if too_long(request):
            self.invitation.refuse(513, "", at, out, "the INVITE is too long to be sent on")
            return
        self._send(leg, request, at, out)

    def _send(self, leg: Leg, request: Request, at: float, out: list[Command]) -> None:
        call, desk = self.call, self.call.desk
        self.attempt = attempt = Attempt(self, self.invitation, leg)
        leg.inviting = True
        attempt.send(request, at, out)
        if not leg.trunk.patience or desk.peers.patience(leg.trunk, self._peer) is None:
            call.schedule("response", at + leg.trunk.response_timeout)
        call.schedule("ring", at + (self.route.ring or leg.trunk.ring_timeout))

    # Failure

    def on_refusal(self, response: Response, at: float, out: list[Command]) -> None:
        """The peer refused: with 503 for itself alone, with any other status for the hop.

        After 422 it is asked again.
        """
        was, cause = response.status, understand(response, self._trunk)
        if cause is not None:
            fields = {"trunk": self._trunk.trunk, "cause": cause, "was": was, "status": response.status}
            out.append(Note("cause-read", self.call.id, fields))
        if response.status == 422 and self._ask_for_longer(response, at, out):
            return
        if self.attempt is not None:
            self.attempt.settle(str(was))
        if response.status == 503:
            self.on_peer_failure(503, f"503 {response.reason}", response, at, out)
        else:
            self._hop_failed(response.status, response, at, out)

    def _ask_for_longer(self, response: Response, at: float, out: list[Command]) -> bool:
        """Send the INVITE again, for a session as long as the peer demands, if it says so (RFC 4028 7.3)."""
        call, attempt, leg = self.call, self.attempt, self.call.b
        if attempt is None or leg is None or not lengthen(leg, attempt.invite, response):
            return False
        former, offerer = attempt.invite, call.offerer
        self._leave(at, out)
        call.offerer = offerer
        leg.cseq += 1
        leg.proof = ()
        request = repeat(former, leg.cseq, call.desk.ids.branch())
        for name in CREDENTIALS:
            request.headers.remove(name)
        request.headers.set("Session-Expires", str(leg.least))
        request.headers.set("Min-SE", str(leg.least))
        self._send(leg, request, at, out)
        call.schedule("response", at + leg.trunk.patience_with(leg.target))
        return True

    def on_timer(self, name: str, at: float, out: list[Command]) -> None:
        """``response``: the peer is silent. ``ring``: it rings, but nobody answers."""
        silent = self.attempt is None or not self.attempt.heard
        if self.attempt is not None:
            self.attempt.settle("timeout")
            if silent:
                self.call.desk.gave_up_tcp(self.attempt.leg, self.attempt.invite, at)
        self.give_up(at, out)
        if silent:
            self.on_peer_failure("timeout", "no response in time", None, at, out)
        else:
            self.on_hop_failure("timeout", "no answer in time", at, out)

    def on_peer_failure(
        self, failure: Failure, reason: str, response: Response | None, at: float, out: list[Command]
    ) -> None:
        """The peer does not serve us now; the trunk's next one may, and without one the hop has failed."""
        call, trunk, peer = self.call, self._trunk, self._peer
        assert peer is not None, "a peer fails only when it was tried"
        self._settle(str(failure))
        if response is None:
            call.desk.peers.unreached(trunk, peer, reason, at)
        elif seconds := call.desk.peers.refused(trunk, peer, response, at):
            rest = {"trunk": trunk.trunk, "peer": str(peer), "seconds": f"{seconds:.0f}", "reason": reason}
            out.append(Note("peer-rests", call.id, rest))
        if self._peers:
            fields = {"trunk": trunk.trunk, "peer": str(peer), "kind": failure, "reason": reason}
            out.append(Note("peer-failed", call.id, fields))
            self._leave(at, out)
            fields = {"to": trunk.trunk, "peer": str(self._peers[0]), "on": failure}
            out.append(Note("failover", call.id, fields))
            self._try_peer(trunk, at, out)
        elif response is not None:
            self._hop_failed(failure, response, at, out)
        else:
            self.on_hop_failure(failure, reason, at, out)

    def _settle(self, failure: str) -> None:
        """Count how the try has ended; a peer that nothing could be sent to has been tried, too."""
        if self.attempt is not None:
            self.attempt.settle(failure)
        else:
            self.call.desk.outcomes.of(self._trunk.trunk, "outbound").count(failure)

    def on_hop_failure(self, kind: Failure, reason: str, at: float, out: list[Command]) -> None:
        """The hop could not be reached, did not answer in time, or not as it should."""
        fields = {"trunk": self._trunk.trunk, "kind": kind, "reason": reason}
        if self._peer is not None:
            fields["peer"] = str(self._peer)
        out.append(Note("hop-failed", self.call.id, fields))
        self._hop_failed(kind, None, at, out)

    def _hop_failed(self, failure: Failure, response: Response | None, at: float, out: list[Command]) -> None:
        call = self.call
        self._leave(at, out)
        later = self.route.next_hop(self.hop, failure)
        if later is None and response is not None and response.status < 400 and call.setup is not None:
            call.setup.redirected(response, at, out)
            return
        release(call, call.held)  # the hop no longer counts against its trunk's limits
        if later is not None:
            out.append(Note("failover", call.id, {"to": self.route.hops[later].trunk, "on": failure}))
            self.try_hop(later, at, out)
        elif response is None:
            status, reason = _REASONS.get(str(failure), (503, "Service Unavailable"))
            self.invitation.refuse(status, reason, at, out, f"last hop failed: {failure}")
        else:
            self.invitation.pass_failure(response, at, out)

    def _leave(self, at: float, out: list[Command]) -> None:
        """What the attempt made is over, and what was asked in it; its transaction ends by itself."""
        call = self.call
        while call.mirrors:
            call.mirrors[-1].abandon(at, out)
        call.cancel_timer("ring")
        call.cancel_timer("response")
        call.drop_forks()
        call.offered_early = call.offerer = None
        if self.attempt is not None:
            self.attempt.given_up, self.attempt.client = True, None
            self.attempt = None

    def give_up(self, at: float, out: list[Command], why: Fields = ()) -> None:
        """Nobody waits for an answer any more: CANCEL what was sent, with its Reasons ``why``."""
        if self.attempt is not None:
            self.attempt.give_up(at, out, why)

    def let_go(self) -> None:
        """The call is up or over: no message of its setup is needed while the transactions live on."""
        if self.attempt is not None:
            self.attempt.let_go()
            self.attempt = None
