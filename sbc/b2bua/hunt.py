"""Hop after hop of a decision, and at each hop peer after peer of its trunk, until one takes the call.

A trunk's peers are one server to whoever wrote the rule: a 503, a connection that cannot be had or
breaks, and silence lead to the trunk's next peer (RFC 3263 4.3, RFC 3261 16.7, 21.5.4), and only the
last peer's failure is the hop's. A peer that rings and is not answered was reached: what becomes of
the call then is the rule's affair. The hop is counted against its trunk's limits once. Each
attempt has a leg, a branch and a media offer of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dsl.decision import Failure, Route
from sbc.b2bua.attempt import Attempt
from sbc.b2bua.call import Call
from sbc.b2bua.commands import Command, Note, OfferMedia
from sbc.b2bua.leg import Leg, local_address
from sbc.b2bua.media_policy import callee_srtp, caller_srtp, effective_downgrade, leg_policy
from sbc.b2bua.translate import Fields, invite, too_long
from sbc.base import Address, PeerError
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.policy.downgrade import verdict
from sbc.sip.message import Response

if TYPE_CHECKING:
    from sbc.b2bua.setup import Setup

_NOWHERE: Final = Route(())
_REASONS: Final = {
    "timeout": (408, "Request Timeout"),
    "unreachable": (503, "Service Unavailable"),
    "502": (502, "Bad Gateway"),
}


class Hunt:
    """Where a call is tried now, ``attempt`` at a peer of ``hop``, and where it may still go."""

    __slots__ = ("_peer", "_peers", "attempt", "call", "hop", "route")

    def __init__(self, call: Call) -> None:
        self.call = call
        self.route = _NOWHERE
        self.hop = -1
        self.attempt: Attempt | None = None
        self._peer: Address | None = None
        self._peers: tuple[Address, ...] = ()  # those not tried yet

    @property
    def _setup(self) -> Setup:
        setup = self.call.setup
        assert setup is not None, "it is hunted only while the call is set up"
        return setup

    @property
    def _trunk(self) -> Trunk:
        return self.call.snapshot.trunks[self.route.hops[self.hop].trunk]

    def begin(self, route: Route, now: float, out: list[Command]) -> None:
        """Try the first hop of ``route``."""
        self.route = route
        self._try(0, now, out)

    def _try(self, index: int, now: float, out: list[Command]) -> None:
        call, engine = self.call, self.call.engine
        self.hop, self._peer = index, None
        trunk = self._trunk
        if self._refuse_downgrade(trunk, now, out):
            return
        if engine.peers.is_down(trunk):
            reason = f"down: {engine.peers.why_down(trunk)}"
            out.append(Note("hop-refused", call.id, {"trunk": trunk.trunk, "reason": reason}))
            self._hop_failed("unreachable", None, now, out)
            return
        refusal = engine.limits.admit(trunk, now)
        if refusal is not None:
            out.append(Note("hop-refused", call.id, {"trunk": trunk.trunk, "reason": refusal}))
            self._hop_failed(503, None, now, out)
            return
        call.admitted.append(trunk)
        self._peers = engine.peers.order(trunk, now)
        if self._peers:
            self._try_peer(trunk, now, out)
        else:
            self.on_hop_failure("unreachable", f"trunk {trunk.trunk} has no peers", now, out)

    def _try_peer(self, trunk: Trunk, now: float, out: list[Command]) -> None:
        call, peer = self.call, self._peers[0]
        self._peer, self._peers = peer, self._peers[1:]

        def then(flow: Flow | None, reason: str, now: float, out: list[Command]) -> None:
            if call.state == "ended":
                return
            if flow is None:
                self.on_peer_failure("unreachable", reason, None, now, out)
            else:
                self._connected(trunk, peer, flow, now, out)

        call.engine.connect(call, trunk, peer, then, out)

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
        response = call.engine.respond_to(self._setup.server, judged.status, "Temporarily Unavailable")
        response.headers.add("Warning", judged.warning.format(agent=host))
        self._setup.finish(response, now, out, f"downgrade to {trunk.trunk} is forbidden")
        return True

    def _downgrade_note(self, trunk: Trunk) -> dict[str, object]:
        return {
            "call_id": self._setup.request.call_id, "trunk_in": self.call.a.trunk.trunk,
            "trunk_out": trunk.trunk, "from": self.call.caller, "to": self.call.called,
        }  # fmt: skip

    def _connected(self, trunk: Trunk, peer: Address, flow: Flow, now: float, out: list[Command]) -> None:
        call = self.call
        listener = call.snapshot.settings.listeners[trunk.listener]
        leg = Leg("b", trunk, flow, local_address(listener, trunk, flow), trunk.scheme, peer)
        leg.call_id, leg.local_tag = call.engine.ids.call_id(), call.engine.ids.tag()
        call.b = leg
        rule, codecs = self.route.srtp, self.route.codecs
        streams = call.snapshot.settings.caps.streams_per_call
        call.policies["a"] = ours = leg_policy(call.a, caller_srtp(call.a.trunk.srtp, rule), codecs, streams)
        call.policies["b"] = theirs = leg_policy(leg, callee_srtp(trunk.srtp, rule), codecs, streams)
        offer = self._setup.offer
        if offer:
            command = OfferMedia(call.id, "a", offer, ours, theirs, restart=call.has_media)
            call.ask_media(command, self._invite, out)
        else:
            self._invite(b"", None, now, out)

    def _invite(self, sdp: bytes, error: PeerError | None, now: float, out: list[Command]) -> None:
        call, leg = self.call, self.call.b
        if call.state == "ended" or leg is None:
            return
        setup, engine = self._setup, call.engine
        if error is not None:
            out.append(Note("media-refused", call.id, {"side": "a", "reason": error.reason}))
            setup.reject(error.status, "", now, out, error.reason)
            return
        branch = engine.transactions.new_branch()
        try:
            request = invite(leg, setup.request, self.route, leg.target, branch, sdp, call.a.flow.trusted)
        except PeerError as refused:
            setup.reject(refused.status, "Privacy Not Available", now, out, refused.reason)
            return
        if too_long(request):
            setup.reject(513, "", now, out, "the INVITE is too long to be sent on")
            return
        self.attempt = attempt = Attempt(setup, leg)
        leg.inviting = True
        attempt.invite = request
        attempt.client = engine.transactions.start(leg.flow, request, now, out, attempt)
        call.schedule("response", now + leg.trunk.response_timeout)
        call.schedule("ring", now + (self.route.ring or leg.trunk.ring_timeout))

    # Failure

    def on_refusal(self, response: Response, now: float, out: list[Command]) -> None:
        """The peer refused: with 503 for itself alone, with any other status for the hop."""
        if response.status == 503:
            self.on_peer_failure(503, f"503 {response.reason}", response, now, out)
        else:
            self._hop_failed(response.status, response, now, out)

    def on_timer(self, name: str, now: float, out: list[Command]) -> None:
        """``response``: the peer is silent. ``ring``: it rings, but nobody answers."""
        silent = self.attempt is None or not self.attempt.heard
        self.give_up(now, out)
        if silent:
            self.on_peer_failure("timeout", "no response in time", None, now, out)
        else:
            self.on_hop_failure("timeout", "no answer in time", now, out)

    def on_peer_failure(
        self, failure: Failure, reason: str, response: Response | None, now: float, out: list[Command]
    ) -> None:
        """The peer does not serve us now; the trunk's next one may, and without one the hop has failed."""
        call, trunk, peer = self.call, self._trunk, self._peer
        assert peer is not None, "a peer fails only when it was tried"
        if failure != 503:
            call.engine.peers.unreached(trunk, peer, now)
        if self._peers:
            fields = {"trunk": trunk.trunk, "peer": str(peer), "kind": failure, "reason": reason}
            out.append(Note("peer-failed", call.id, fields))
            self._leave()
            fields = {"to": trunk.trunk, "peer": str(self._peers[0]), "on": failure}
            out.append(Note("failover", call.id, fields))
            self._try_peer(trunk, now, out)
        elif response is not None:
            self._hop_failed(failure, response, now, out)
        else:
            self.on_hop_failure(failure, reason, now, out)

    def on_hop_failure(self, kind: Failure, reason: str, now: float, out: list[Command]) -> None:
        """The hop could not be reached, did not answer in time, or not as it should."""
        fields = {"trunk": self._trunk.trunk, "kind": kind, "reason": reason}
        if self._peer is not None:
            fields["peer"] = str(self._peer)
        out.append(Note("hop-failed", self.call.id, fields))
        self._hop_failed(kind, None, now, out)

    def _hop_failed(
        self, failure: Failure, response: Response | None, now: float, out: list[Command]
    ) -> None:
        call = self.call
        self._leave()
        call.engine.release_last(call)
        later = self.route.next_hop(self.hop, failure)
        if later is not None:
            out.append(Note("failover", call.id, {"to": self.route.hops[later].trunk, "on": failure}))
            self._try(later, now, out)
        elif response is None:
            status, reason = _REASONS.get(str(failure), (503, "Service Unavailable"))
            self._setup.reject(status, reason, now, out, f"last hop failed: {failure}")
        else:
            self._setup.pass_failure(response, now, out)

    def _leave(self) -> None:
        """What the attempt made is over; its transaction may still end by itself."""
        call = self.call
        call.cancel_timer("ring")
        call.cancel_timer("response")
        call.drop_forks()
        call.offered_early, call.offerer = False, None
        if self.attempt is not None:
            self.attempt.given_up, self.attempt.client = True, None
            self.attempt = None

    def give_up(self, now: float, out: list[Command], why: Fields = ()) -> None:
        """Nobody waits for an answer any more: CANCEL what was sent, with its Reasons ``why``."""
        if self.attempt is not None:
            self.attempt.give_up(now, out, why)

    def let_go(self) -> None:
        """The call is up or over: no message of its setup is needed while the transactions live on."""
        if self.attempt is not None:
            self.attempt.let_go()
            self.attempt = None
