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

from dsl.decision import Failure, Registered, Route
from sbc.b2bua.approach import Approach
from sbc.b2bua.bodies import crossing, lost
from sbc.b2bua.call import admit, release
from sbc.b2bua.commands import Command, Note
from sbc.b2bua.contacts import absence, contacts_of
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.states import ENDED
from sbc.b2bua.translate import Fields, parts_after
from sbc.b2bua.volley import Volley
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.policy.bodies import media_types
from sbc.policy.downgrade import effective_downgrade, verdict
from sbc.sip.message import Response

_REASONS: Final = {
    "timeout": (408, "Request Timeout"),
    "unreachable": (503, "Service Unavailable"),
    "488": (488, "Not Acceptable Here"),
    "502": (502, "Bad Gateway"),
    "415": (415, "Unsupported Media Type"),
    "404": (404, "Not Found"),
    "480": (480, "Temporarily Unavailable"),
}


class Hunt(Approach):
    """Where a call is tried now, ``attempt`` at a peer of ``hop``, and where it may still go."""

    __slots__ = ("_peers", "_volley", "hop")

    def __init__(self, invitation: Invitation) -> None:
        super().__init__(invitation)
        self.hop = -1
        self._peers: tuple[Address, ...] = ()  # those not tried yet
        self._volley: Volley | None = None  # the contacts of a user, where the hop is one

    def try_hop(self, index: int, at: float, out: list[Command]) -> None:
        """Try a hop of ``route``, and where it fails those that are for such a failure."""
        call, desk = self.call, self.call.desk
        self.hop, self._peer, self.edited = index, None, bool(self.route.hops[index].edits)
        if self.route.hops[index].registered:
            self._try_contacts(self.route.hops[index].registered, at, out)
            return
        name = self.route.hops[index].trunk
        self._trunk = trunk = call.snapshot.trunks[name]
        call.tried = name, None
        off = desk.store.current.disabled.get(name)
        if off is not None:
            fields = {"trunk": name, "reason": f"it is disabled: {off}"}
            out.append(Note("hop-refused", call.id, fields))
            self._hop_failed("unreachable", None, at, out)
            return
        if call.a.flow.secure and call.snapshot.settings.listeners[trunk.listener].transport != "tls":
            if self._refuse_downgrade(trunk, at, out):
                return
        if self.invitation.parts and self._refuse_parts(trunk, at, out):
            return
        if not self.invitation.offer and trunk.delayed_offer == "refuse" and not self.offers_itself(trunk):
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
            out.append(Note("hop-refused", call.id, {"trunk": trunk.trunk, "reason": refusal.why}))
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
        call.tried = call.tried[0], peer
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
        if turn != self._turn or self.call.state == ENDED:
            return
        if flow is None:
            self.on_peer_failure("unreachable", reason, None, at, out)
        else:
            self.approach(flow, at, out)

    # Failure

    def here(self) -> Route:
        """The route with the edits of the hop."""
        return self.route.at(self.hop)

    def refuse(self, status: int, phrase: str, at: float, out: list[Command], why: str) -> None:
        """The caller's INVITE cannot be sent there, nor anywhere else."""
        self.invitation.refuse(status, phrase, at, out, why)

    def refused(self, response: Response, at: float, out: list[Command]) -> None:
        """The peer refused: with 503 for itself alone, with any other status for the hop."""
        if response.status == 503:
            self.on_peer_failure(503, f"503 {response.reason}", response, at, out)
        else:
            self._hop_failed(response.status, response, at, out)

    def on_peer_failure(
        self, failure: Failure, reason: str, response: Response | None, at: float, out: list[Command]
    ) -> None:
        """The peer does not serve us now; the trunk's next one may, and without one the hop has failed."""
        call, trunk, peer = self.call, self._trunk, self._peer
        assert peer is not None, "a peer fails only when it was tried"
        self._count(str(failure))
        if response is None:
            call.desk.peers.unreached(trunk, peer, reason, at)
        elif seconds := call.desk.peers.refused(trunk, peer, response, at):
            rest = {"trunk": trunk.trunk, "peer": str(peer), "seconds": f"{seconds:.0f}", "reason": reason}
            out.append(Note("peer-rests", call.id, rest))
        if self._peers:
            fields = {"trunk": trunk.trunk, "peer": str(peer), "kind": failure, "reason": reason}
            out.append(Note("peer-failed", call.id, fields))
            self.leave(at, out)
            fields = {"to": trunk.trunk, "peer": str(self._peers[0]), "on": failure}
            out.append(Note("failover", call.id, fields))
            self._try_peer(trunk, at, out)
        elif response is not None:
            self._hop_failed(failure, response, at, out)
        else:
            self.on_hop_failure(failure, reason, at, out)

    def _count(self, failure: str) -> None:
        """Count how the try has ended; a peer that nothing could be sent to has been tried, too."""
        if self.attempt is not None:
            self.attempt.count(failure)
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
        self.leave(at, out)
        later = self.route.next_hop(self.hop, failure)
        if later is None and response is not None and response.status < 400 and call.setup is not None:
            call.setup.redirected(response, at, out)
            return
        release(call, call.held)  # the hop no longer counts against its trunk's limits
        if later is not None:
            to = self.route.hops[later]
            fields = {"to": "registered" if to.registered else to.trunk, "on": failure}
            out.append(Note("failover", call.id, fields))
            self.try_hop(later, at, out)
        elif response is None:
            other = (failure, "") if isinstance(failure, int) else (503, "Service Unavailable")
            status, reason = _REASONS.get(str(failure), other)
            self.invitation.refuse(status, reason, at, out, f"last hop failed: {failure}")
        else:
            self.invitation.pass_failure(response, at, out)

    def leave(self, at: float, out: list[Command]) -> None:
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

    # The contacts of a user

    def _try_contacts(self, how: Registered, at: float, out: list[Command]) -> None:
        """The hop is where a user is registered, if it is."""
        call = self.call
        user = parts_after(self.invitation.request, self.here().edits)["to.user"]
        call.tried, call.b = ("", None), None
        contacts = contacts_of(call.desk, user, call.a, self.invitation.request, at)
        if not contacts:
            failure, reason = absence(call.snapshot, user)
            out.append(Note("hop-refused", call.id, {"trunk": "registered", "reason": reason}))
            self._hop_failed(failure, None, at, out)
            return
        self._volley = volley = Volley(self, contacts, how == "one by one", at, out)
        volley.begin(at, out)

    def on_contacts_failed(
        self, failure: Failure, response: Response | None, at: float, out: list[Command]
    ) -> None:
        """None of the contacts takes the call; this is the best of what they said."""
        self._volley = None
        self._hop_failed(failure, response, at, out)

    def on_timer(self, name: str, at: float, out: list[Command]) -> None:
        """The time of a peer is over, or of one of the contacts."""
        if self._volley is not None:
            self._volley.on_timer(name, at, out)
        else:
            super().on_timer(name, at, out)

    def give_up(self, at: float, out: list[Command], why: Fields = ()) -> None:
        """Nobody waits for an answer any more: CANCEL what was sent, with its Reasons ``why``."""
        if self._volley is not None:
            self._volley.give_up(at, out, why)
            self._volley = None
        else:
            super().give_up(at, out, why)

    def let_go(self) -> None:
        """The call is up or over: no message of its setup is needed while the transactions live on."""
        if self._volley is not None:
            self._volley.let_go()
            self._volley = None
        super().let_go()
