"""A request outside of any call on its way across: MESSAGE (RFC 3428), NOTIFY of waiting messages (RFC 3842).

It makes no dialog and no call. Only rules that name ``method`` are asked about it, and only a trunk that
lists its method may send it or is sent it. It goes to hop after hop and peer after peer as a call does, but
for what a call alone has: media, ringing, hooks. To the phones of a user go copies of it
(``sbc.b2bua.copies``). Where a peer was silent to the end of its transaction, that
of the sender is over too: nobody else is asked then, and nobody is told by a 408 (RFC 4320 4.1).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dsl.decision import Challenge, Failure, Limit, Redirect, Registered, Reject, Route
from sbc.b2bua.commands import Command, Note, Spent
from sbc.b2bua.contacts import Failed, absence, contacts_of, send_to
from sbc.b2bua.copies import Copies
from sbc.b2bua.desk import Desk, Subject
from sbc.b2bua.facts import facts_of
from sbc.b2bua.leg import Leg, local_address
from sbc.b2bua.proofs import CHALLENGES, Given
from sbc.b2bua.translate import (
    address,
    carried,
    is_secure,
    parts_after,
    redirect_contact,
    too_long,
)
from sbc.base import Address, PeerError
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.policy.downgrade import Judgement, effective_downgrade, verdict
from sbc.policy.rule_limits import has_windows
from sbc.registrar.binding import Binding
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response
from sbc.sip.transactions import SPENT, ServerTransaction

METHODS: Final = ("MESSAGE", "NOTIFY")
#: The one event that a server tells of unasked (RFC 3842 3.1, RFC 6665 4.1).
WAITING: Final = "message-summary"

_NOWHERE: Final = Route(())
_REASONS: Final = {
    "unreachable": (503, "Service Unavailable"),
    "405": (405, "Method Not Allowed"),
    "480": (480, "Temporarily Unavailable"),
    "404": (404, "Not Found"),
}
# What goes with the body, and says how long it is worth anything (RFC 3428 5, 7; RFC 3842 3.4).
_ITS_OWN: Final = (
    "Content-Type", "Content-Disposition", "Content-ID", "Content-Language", "Expires", "Date", "Event",
    "Subscription-State",
)  # fmt: skip


class Page:
    """One such request; the user of both its transactions, until it has been answered."""

    __slots__ = (
        "_copies", "_downgraded", "_given", "_hop", "_limits", "_peer", "_peers", "_route", "_sent",
        "_server", "_tried", "a", "call", "desk", "id", "leg", "request", "snapshot",
    )  # fmt: skip

    def __init__(
        self, desk: Desk, snapshot: Snapshot, a: Leg, server: ServerTransaction, request: Request
    ) -> None:
        self.id = ""
        self.call: Subject | None = None
        self.leg: Leg | None = None
        self.snapshot = snapshot
        self.a = a
        self.request = request
        self.desk = desk
        self._server: ServerTransaction | None = server
        self._route = _NOWHERE
        self._hop = -1
        self._peer: Address | None = None
        self._peers: tuple[Address, ...] = ()
        self._tried = 0  # counts the tries: what comes late of an earlier one is none of this one's
        self._sent = SPENT
        self._given = Given()
        self._limits: tuple[Limit, ...] = ()
        self._downgraded = False
        self._copies: Copies | None = None  # where the hop is a user

    def start(self, at: float, out: list[Command]) -> None:
        """Ask the rules, and do what they say."""
        desk, snapshot, a, stale = self.desk, self.snapshot, self.a, False
        login, realms = a.login, snapshot.rules.realms
        if realms and not login[0]:
            name, realm, stale = desk.login.user(self.request, snapshot.logins, realms, at)
            login = (name, realm)
        facts = facts_of(
            self.request, a.flow, a.trunk.tenant, desk.date(at), desk.count, login, a.believed, a.trunk.trunk,
            desk.registrar.registered,
        )  # fmt: skip
        decision = snapshot.rules.decide(facts)
        if isinstance(decision, Route):
            self._take(decision, at, out)
        elif isinstance(decision, Reject):
            self._refuse(decision.status, decision.reason, at, out, decision.rule)
        elif isinstance(decision, Redirect):
            self._redirect(decision, at, out)
        else:
            self._challenge(decision, stale, at, out)

    def _take(self, route: Route, at: float, out: list[Command]) -> None:
        desk, self._route = self.desk, route
        if route.hooks:  # it may be what keeps fraud out, and it knows calls alone
            self._refuse(500, "", at, out, f"hook {route.hooks[0]} is for calls: {route.rule}")
            return
        refused = desk.rule_limits.admit(route.limits, at, desk.date(at)) if route.limits else None
        if refused is not None:
            self._refuse(refused.status, refused.reason, at, out, f"limit of {refused.text}: {route.rule}")
            return
        self._limits = route.limits
        if has_windows(route.limits):
            out.append(Spent())
        if any([hop.group is not None for hop in route.hops]):
            self._route = replace(route, hops=desk.balancer.expand(route.hops))
        self._try(0, at, out)

    def _challenge(self, decision: Challenge, stale: bool, at: float, out: list[Command]) -> None:
        if self._server is not None:
            response = self.desk.respond_to(self._server, 407, "Proxy Authentication Required")
            self.desk.login.challenge(response, decision.realm, self.snapshot.logins, stale, at)
            self._finish(response, at, out, decision.rule)

    def _redirect(self, decision: Redirect, at: float, out: list[Command]) -> None:
        policy = decision.downgrade or "warn"
        contacts: list[str] = []
        for target in decision.targets:
            contact = redirect_contact(target)
            if contact is None:
                self._refuse(500, "", at, out, f"a redirect target is not a SIP URI: {decision.rule}")
                return
            if verdict(self.a.flow.secure, is_secure(target), policy).outcome != "forbid":
                contacts.append(contact)
        if not contacts:
            self._refuse(480, "", at, out, f"downgrade is forbidden: {decision.rule}")
        elif self._server is not None:
            response = self.desk.respond_to(self._server, 302, "Moved Temporarily")
            response.headers.extend([("Contact", each) for each in contacts])
            self._finish(response, at, out, decision.rule)

    # Hop after hop

    @property
    def _trunk(self) -> Trunk:
        return self.snapshot.trunks[self._route.hops[self._hop].trunk]

    def _try(self, index: int, at: float, out: list[Command]) -> None:
        self._hop, self._peer = index, None
        if self._route.hops[index].registered:
            self._try_contacts(self._route.hops[index].registered, at, out)
            return
        trunk, peers = self._trunk, self.desk.peers
        self._downgraded = self._judged(trunk).downgraded
        status, why = self.objection(trunk)
        if status:
            self._hop_failed("unreachable" if status == 480 else status, None, why, at, out)
            return
        self._peers = peers.fit(trunk, at)
        if not self._peers:
            reason = peers.why_none(trunk, at) or "it has no peers"
            self._hop_failed("unreachable", None, f"{trunk.trunk}: {reason}", at, out)
            return
        self._try_peer(trunk, at, out)

    def _judged(self, trunk: Trunk) -> Judgement:
        secure = self.snapshot.settings.listeners[trunk.listener].transport == "tls"
        policy = effective_downgrade(trunk.sips, self._route.downgrade)
        return verdict(self.a.flow.secure, secure, policy)

    def objection(self, trunk: Trunk) -> tuple[int, str]:
        """With which status ``trunk`` fails before anybody there is asked, and why; 0 where it does not."""
        if self.request.method not in trunk.methods:
            return 405, f"methods of {trunk.trunk} have no {self.request.method}"
        if self._judged(trunk).outcome == "forbid":
            return 480, f"downgrade to {trunk.trunk} is forbidden"
        off = self.desk.store.current.disabled.get(trunk.trunk)
        return (0, "") if off is None else (480, f"{trunk.trunk} is disabled: {off}")

    def _try_contacts(self, how: Registered, at: float, out: list[Command]) -> None:
        """The hop is where a user is registered, if it is."""
        user = parts_after(self.request, self._route.at(self._hop).edits)["to.user"]
        contacts = contacts_of(self.desk, user, self.a, self.request, at)
        if not contacts:
            status, reason = absence(self.snapshot, user)
            self._hop_failed(status, None, reason, at, out)
            return
        self._copies = copies = Copies(self, contacts, how)
        copies.begin(at, out)

    def on_taken(self, leg: Leg, response: Response, at: float, out: list[Command]) -> None:
        """A phone of the user has it."""
        self.leg, self._downgraded = leg, self._judged(leg.trunk).downgraded
        self._pass_back(response, response.status, response.reason, at, out)

    def on_nobody(self, best: Failed, reason: str, at: float, out: list[Command]) -> None:
        """No phone of the user takes it."""
        self.leg, self._copies = best.leg, None
        if best.failure == "timeout":
            self._refuse(504, "Server Time-out", at, out, reason)
        else:
            self._hop_failed(best.failure, best.response, reason, at, out)

    def _try_peer(self, trunk: Trunk, at: float, out: list[Command]) -> None:
        peer, self._peers = self._peers[0], self._peers[1:]
        self._peer = peer
        self._tried += 1
        turn = self._tried

        def connected(flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
            if turn != self._tried or self._server is None:
                return
            if flow is None:
                self._peer_failed("unreachable", None, reason, at, out)
            else:
                self._send(flow, peer, at, out)

        self.desk.connect("", trunk, ((peer,), ()), self.snapshot, connected, out)

    def _send(self, flow: Flow, peer: Address, at: float, out: list[Command]) -> None:
        try:
            leg, request = self.written(self._trunk, flow, None, peer)
        except PeerError as refused:
            phrase = "" if refused.status == 513 else "Privacy Not Available"
            self._refuse(refused.status, phrase, at, out, refused.reason)
            return
        self.leg, self._sent, self._given = leg, request, Given()
        self._start(leg, request, at, out)

    def written(
        self, trunk: Trunk, flow: Flow, contact: Binding | None, peer: Address | None = None
    ) -> tuple[Leg, Request]:
        """What is sent to ``peer`` of ``trunk`` or to a user's ``contact``, and its leg; PeerError."""
        desk = self.desk
        listener = self.snapshot.settings.listeners[trunk.listener]
        leg = desk.leg_to(trunk, flow, local_address(listener, trunk, flow), peer)
        leg.call_id, leg.local_tag = desk.ids.call_id(), desk.ids.tag()
        named = leg.target if contact is None else Address(leg.host.strip("[]"), 0)
        request = paged(leg, self.request, self._route.at(self._hop), named, desk.ids.branch(), self.a)
        home = desk.peers.homes.get(trunk.trunk)
        if contact is not None:
            send_to(request, contact)
        elif home is not None and home.peer == leg.peer:
            request.headers.extend([("Route", each) for each in home.routes])
        if too_long(request):
            raise PeerError("it is too long to be sent on", 513)
        return leg, request

    def _start(self, leg: Leg, request: Request, at: float, out: list[Command]) -> None:
        turn = self._tried

        def fitting(flow: Flow, at: float, out: list[Command]) -> None:
            if turn == self._tried:
                self.desk.transactions.start(flow, request, at, out, self)

        self.desk.with_room(self, leg, request, fitting, at, out)

    # What comes of it

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """The peer answered: a challenge of the trunk's realm is met, a 503 leads to the next peer."""
        status, leg = response.status, self.leg
        if status < 200 or leg is None or response.via.branch != self._sent.via.branch:
            return
        if status in CHALLENGES:
            number = self._sent.cseq.number + 1
            again = self.desk.proofs.again(
                leg.name, self._sent, response, self._given, number, out
            )  # fmt: skip
            if again is not None:
                self._sent = again
                self._start(leg, again, at, out)
                return
        if status == 503 and self._peer is not None:
            self.desk.peers.refused(leg.trunk, self._peer, response, at)
            self._peer_failed(503, response, f"503 {response.reason}", at, out)
        elif status >= 300:
            self._hop_failed(status, response, f"{status} {response.reason}", at, out)
        else:
            self._pass_back(response, status, response.reason, at, out)

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """No answer comes; or ``lost``: the sender's connection closed, its answer has to go elsewhere."""
        server = self._server
        if server is None:
            return
        if kind == "lost":
            self.desk.answer_elsewhere(self, self.a, server, self._on_lost, at, out)
        elif kind == "timeout":
            if self._peer is not None:
                self.desk.peers.unreached(self._trunk, self._peer, "no answer in time", at)
            self._refuse(504, "Server Time-out", at, out, "no answer in time")
        else:
            self._peer_failed("unreachable", None, "its connection closed", at, out)

    def _on_lost(self, at: float, out: list[Command]) -> None:
        """Nobody is there any more who wants the answer; whoever was asked is not asked again."""
        self._refuse(503, "", at, out, "its sender's connection closed")

    def _peer_failed(
        self, failure: Failure, response: Response | None, reason: str, at: float, out: list[Command]
    ) -> None:
        trunk = self._trunk
        if response is None and self._peer is not None:
            self.desk.peers.unreached(trunk, self._peer, reason, at)
        if self._peers:
            self.leg = None
            self._try_peer(trunk, at, out)
        else:
            self._hop_failed(failure, response, reason, at, out)

    def _hop_failed(
        self, failure: Failure, response: Response | None, reason: str, at: float, out: list[Command]
    ) -> None:
        later = self._route.next_hop(self._hop, failure)
        if later is not None:
            self.leg = None
            self._try(later, at, out)
        elif response is None:
            other = (failure, "") if isinstance(failure, int) else (503, "Service Unavailable")
            status, phrase = _REASONS.get(str(failure), other)
            self._refuse(status, phrase, at, out, reason)
        elif response.status in CHALLENGES:  # it was for us
            self._refuse(403, "", at, out, reason)
        elif response.status < 400 or response.status == 408:
            self._refuse(480, "", at, out, reason)
        else:
            self._pass_back(response, response.status, response.reason, at, out)

    def _pass_back(self, response: Response, status: int, phrase: str, at: float, out: list[Command]) -> None:
        if self._server is None or self.leg is None:
            return
        base = self.desk.respond_to(self._server, status, phrase)
        base.headers.extend(carried(response, self.leg, self.a))
        self._finish(base, at, out, "")

    def _refuse(self, status: int, phrase: str, at: float, out: list[Command], why: str) -> None:
        if self._server is not None:
            self._finish(self.desk.respond_to(self._server, status, phrase), at, out, why)

    def _finish(self, response: Response, at: float, out: list[Command], why: str) -> None:
        """Answer it, give back what it held, and tell of it; what is in it is nobody's business."""
        server = self._server
        if server is None:
            return
        self._server = server.user = None
        self._tried += 1
        if self._copies is not None:
            self._copies.stop()
            self._copies = None
        if self._limits:
            self.desk.rule_limits.release(self._limits, "", at, self.desk.date(at))
            self._limits = ()
        request = self.request
        hop = self._route.hops[self._hop] if self._hop >= 0 else None
        to = "-" if hop is None else "registered" if hop.registered else hop.trunk
        fields = {
            "method": request.method, "trunk": self.a.name, "to_trunk": to,
            "from": request.from_.uri.party.user, "to": request.target.party.user, "status": response.status,
            "rule": self._route.rule or None, "reason": why or None,
            "downgraded": "yes" if self._downgraded and response.status < 300 else None,
            "call_id": request.call_id,
        }  # fmt: skip
        out.append(Note("message", "", fields))
        server.respond(response, at, out)


def paged(leg: Leg, request: Request, route: Route, named: Address, branch: str, a: Leg) -> Request:
    """The request for the other leg (RFC 3261 8.1.1); PeerError 500 where its privacy cannot be had.

    A NOTIFY has a Contact (RFC 6665 4.1.2.2), a MESSAGE has none (RFC 3428 4).
    """
    uri, crossing = address(leg, request, route, named, a)
    fields = leg.opening(request, branch)
    if request.method == "NOTIFY":
        fields.append(("Contact", leg.contact))
    own = [(name, request.headers.get(name)) for name in _ITS_OWN]
    fields += [(name, value) for name, value in own if value is not None]
    return Request(request.method, uri, Headers(fields + crossing), request.body)
