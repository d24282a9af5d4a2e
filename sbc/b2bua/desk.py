"""The desk: what calls, and whoever works for them, ask of the engine.

It knows no call from within, so that whatever a call is made of can stand on it: it starts transactions and
connections, keeps the calls' next timers and the index of their dialogs, and holds what all calls share.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from sbc.b2bua.causes import explain
from sbc.b2bua.commands import Command, Connect, Note
from sbc.b2bua.dialogs import Dialogs
from sbc.b2bua.leg import Leg
from sbc.b2bua.login import Login
from sbc.b2bua.long_requests import DEAF, WithoutTcp, address_to, is_long, went_by_tcp
from sbc.b2bua.outcomes import Outcomes
from sbc.b2bua.peers import Peers, Towards, way_back
from sbc.b2bua.proofs import CHALLENGES, Given, Proofs
from sbc.b2bua.translate import Fields
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.flow import Flow
from sbc.ids import Ids
from sbc.policy.balance import Balancer
from sbc.policy.emergency import Reserves
from sbc.policy.limits import CallLimits
from sbc.policy.memory import Memory
from sbc.policy.overload import Load
from sbc.policy.rates import RateLimits
from sbc.policy.rule_limits import RuleLimits
from sbc.registrar.registrar import Registrar
from sbc.sip.cancel import build_cancel
from sbc.sip.dialog import Dialog
from sbc.sip.machine import Send
from sbc.sip.message import Request, Response, response_to
from sbc.sip.q850 import NORMAL
from sbc.sip.transactions import ClientTransaction, ServerTransaction, Transactions
from sbc.sip.uri import Uri, parse_name_addr

MOST_LATE: Final = 20
# How many numbers PRACK and UPDATE may have taken in an early dialog that is forgotten; gaps are allowed.
EARLY_REQUESTS: Final = 1000
# How often a peer may close the connection on which we owe it an answer, and be dialled for it.
MOST_LOST: Final = 10
Connected = Callable[["Flow | None", str, float, "list[Command]"], None]
Failed = Callable[[float, "list[Command]"], None]
Fitting = Callable[[Flow, float, "list[Command]"], None]


class Subject(Protocol):
    """Whom something is done for: a call."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def snapshot(self) -> Snapshot:
        """The configuration that it began with."""


class Awaiting(Protocol):
    """Whoever waits for a transaction: its ``user``."""

    @property
    def call(self) -> Subject | None:
        """The call that it works for, if any."""

    @property
    def leg(self) -> Leg | None:
        """The leg that its request went out on, if any."""

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """A response came, provisional or final."""

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """No response will come: ``timeout``, ``transport`` or ``unreachable``; or no ACK: ``no-ack``.

        ``lost``: the connection closed on which a request came that is not answered, or not acknowledged.
        """


class Desk:
    """What all calls of one process share; the engine is one.

    ``draining``: we are about to stop, and no call begins but an emergency call; what runs goes on as ever.
    ``leaving``: we stop now, and nobody is dialled for what a closing connection leaves.
    ``working_on`` names the call that has its turn, ``serving`` is what became of the request that came last.

    Times are of the monotonic clock, whose jumps nobody has to fear. ``epoch`` is what the wall clock shows
    when that is at 0; whoever runs the engine keeps it right, for rules, hooks and records, which want dates.
    """

    __slots__ = (
        "_calls", "_connect_keys", "_connecting", "_without_tcp", "balancer", "dialogs", "draining",
        "epoch", "ids", "leaving", "limits", "load", "login", "memory", "outcomes", "peers", "proofs",
        "rates", "registrar", "reminders", "reserves", "rule_limits", "serving", "store", "transactions",
        "working_on",
    )  # fmt: skip

    def __init__(self, store: SnapshotStore, ids: Ids, calls: dict[str, Any]) -> None:
        self.store = store
        self.ids = ids
        self.transactions = Transactions()
        self.limits = CallLimits()
        self.rates = RateLimits()
        self.load = Load()
        self.reserves = Reserves()
        self.peers = Peers()
        self.outcomes = Outcomes()
        self.proofs = Proofs(store, ids)
        self._without_tcp = WithoutTcp()
        self.dialogs = Dialogs(calls)
        # What the actions of rules keep between calls: turns in groups, counts under limits, nonces.
        self.balancer = Balancer()
        self.rule_limits = RuleLimits()
        self.memory = Memory()
        self.login = Login(ids)
        self.registrar = Registrar()
        self.draining = False
        self.leaving = False
        self.working_on = ""
        self.epoch = 0.0
        self.serving: ServerTransaction | None = None
        self._calls = calls  # the engine's own: here they are counted, and taken out
        self._connecting: dict[int, tuple[str, Connected]] = {}
        self._connect_keys = 0
        self.reminders: list[tuple[float, str]] = []

    def date(self, at: float) -> float:
        """POSIX seconds of the moment ``at``, by the wall clock as it goes now."""
        return self.epoch + at

    def count(self, trunk: str) -> int:
        """How many calls a trunk has now; of all trunks for an empty name. One that is set up counts."""
        return self.limits.calls(trunk) if trunk else len(self._calls)

    def find(self, call_id: str) -> Subject | None:
        """The call of this name, if it has not ended."""
        found: Subject | None = self._calls.get(call_id)
        return found

    def adopt(self, call: Subject) -> None:
        """A call begins in the middle of another, and has its turn."""
        self._calls[call.id] = call
        self.working_on = call.id

    def forget(self, call_id: str) -> None:
        """A call is over and holds nothing any more."""
        self._calls.pop(call_id, None)

    def leg_to(self, trunk: Trunk, flow: Flow, sent_by: str, peer: Address | None) -> Leg:
        """Our side towards ``peer`` of ``trunk``, by the name that the configuration has for that."""
        if peer is not None and not peer.port:  # a domain that was not known yet: it was found by the way
            return Leg("b", trunk, flow, sent_by, trunk.scheme, flow.remote, peer)
        name = self.peers.located.name_of(trunk, peer) if peer is not None and trunk.domains else None
        return Leg("b", trunk, flow, sent_by, trunk.scheme, peer, name)

    # Messages

    def respond_to(self, server: ServerTransaction, status: int, reason: str, tag: str = "") -> Response:
        """A response to the request of ``server``; it gets a To tag where it has none yet."""
        request = server.request
        if not tag and status > 100 and not request.to_tag:
            tag = self.ids.tag()
        return response_to(request, status, reason, tag)

    def connect(
        self, call_id: str, trunk: Trunk, to: Towards, snapshot: Snapshot, then: Connected, out: list[Command]
    ) -> None:
        """Ask for a flow to a peer of ``trunk`` and go on with ``then``; no name where it is for no call."""
        self._connect_keys += 1
        self._connecting[self._connect_keys] = (call_id, then)
        out.append(Connect(self._connect_keys, trunk, snapshot, call_id, *to))

    def with_room(
        self, call: Subject, leg: Leg, request: Request, then: Fitting, at: float, out: list[Command]
    ) -> None:
        """Go on with the flow that ``request`` fits: that of ``leg``, which lives, or TCP beside its UDP."""
        flow = leg.flow
        if flow.reliable or not is_long(leg.trunk, request) or self._without_tcp.has(flow.remote, at):
            if not flow.secure:
                address_to(flow, request)
            then(flow, at, out)
            return

        def connected(stream: Flow | None, reason: str, at: float, out: list[Command]) -> None:
            if stream is None:
                self._without_tcp.add(flow.remote, at)
                fields = {"trunk": leg.name, "peer": str(leg.target), "reason": reason}
                out.append(Note("no-tcp", call.id, fields))
            address_to(stream or flow, request)
            then(stream or flow, at, out)

        self._connect_keys += 1
        self._connecting[self._connect_keys] = (call.id, connected)
        to = (flow.remote,)
        out.append(Connect(self._connect_keys, leg.trunk, call.snapshot, call.id, to, stream=True))

    def gave_up_tcp(self, leg: Leg, request: Request, at: float) -> bool:
        """Whether ``request``, of which nothing was heard, went by TCP: the next will not, for hours."""
        if not went_by_tcp(leg.flow, request):
            return False
        self._without_tcp.add(leg.flow.remote, at, DEAF)
        return True

    def reach(
        self, call: Subject, leg: Leg, to: Towards, then: Connected, at: float, out: list[Command]
    ) -> None:
        """Go on with the flow of ``leg``, or where that is gone with a new one, which is then the leg's.

        A leg asks for one at a time, and whoever wants one meanwhile shares what comes of it; where nothing
        does, each asks for itself.
        """
        if leg.flow.alive:
            then(leg.flow, "", at, out)
            return
        leg.waiting.append((to, then))
        if len(leg.waiting) > 1:
            return

        def reached(flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
            waiting, leg.waiting = leg.waiting, []
            if leg.flow.alive:  # the peer has come back by itself
                flow = leg.flow
            if flow is not None:
                leg.flow = flow
                for _, each in waiting:
                    each(flow, "", at, out)
                return
            for place, each in waiting[1:]:
                self.reach(call, leg, place, each, at, out)
            then(None, reason, at, out)

        self.connect(call.id, leg.trunk, to, call.snapshot, reached, out)

    def send(
        self, call: Subject, leg: Leg, dialog: Dialog, request: Request, user: Awaiting, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        """Start a transaction on ``leg``, over a new connection to its peer where the old one is gone."""
        if request.method != "INVITE":
            user = Again(self, call, leg, dialog.next_hop, request, user, dialog)
        self.start(call, leg, dialog.next_hop, request, user, at, out)

    def start(
        self, call: Subject, leg: Leg, hop: Uri | None, request: Request, user: Awaiting, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        """Start a transaction towards ``hop``, or the peer of ``leg`` that was dialled for its INVITE."""
        if leg.flow.alive and leg.flow.secure:
            self.transactions.start(leg.flow, request, at, out, user)
            return

        def fitting(flow: Flow, at: float, out: list[Command]) -> None:
            self.transactions.start(flow, request, at, out, user)

        if leg.flow.alive:
            self.with_room(call, leg, request, fitting, at, out)
            return

        def then(flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
            if flow is None:
                user.on_failure("unreachable", at, out)
            else:
                self.transactions.start(flow, request, at, out, user)

        self.reach(call, leg, self._towards(leg, hop, at), then, at, out)

    def _towards(self, leg: Leg, hop: Uri | None, at: float) -> Towards:
        former = leg.flow.remote
        if leg.trunk.phones:
            leg.flow = self._flow_of_phone(leg, hop, at) or leg.flow
            if hop is None:
                return (), ()
        if hop is not None:
            return self.peers.within(leg.trunk, leg.peer, hop, former, at)
        assert leg.peer is not None, "without a hop the leg's peer is meant"
        return (leg.peer,), (Address(former.host, leg.peer.port),)

    def _flow_of_phone(self, leg: Leg, hop: Uri | None, at: float) -> Flow | None:
        """The connection on which a phone has registered again, where that of its call is gone.

        It is known by its instance, or by its Contact.
        """
        user, instance = leg.phone if leg.phone[0] else (leg.login[0], "")
        for each in self.registrar.contacts(user, self.date(at)):
            if each.flow is None or not each.flow.alive or each.trunk != leg.name:
                continue
            there = each.contact
            if instance:
                if each.instance == instance:
                    return each.flow
            elif hop is not None and (there.user, there.host, there.port) == (hop.user, hop.host, hop.port):
                return each.flow
        return None

    def send_ack(
        self, call: Subject, leg: Leg, dialog: Dialog, ack: Request, at: float, out: list[Command]
    ) -> None:
        """Send the ACK of a 2xx, over a new connection where the old one is gone (RFC 3261 13.2.2.4)."""
        for name, value in leg.proof:
            ack.headers.set(name, value)
        if leg.flow.alive:
            out.append(Send(leg.flow, ack))
            return

        def then(flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
            if flow is not None:
                out.append(Send(flow, ack))

        self.reach(call, leg, self._towards(leg, dialog.next_hop, at), then, at, out)

    def send_cancel(
        self, call: Subject, leg: Leg, invite: Request, at: float, out: list[Command], why: Fields = ()
    ) -> None:
        """CANCEL ``invite`` on ``leg``; ``why`` are the Reasons of whoever gave it up."""
        cancel = build_cancel(invite)
        cancel.headers.extend(why)
        explain(cancel.headers, leg.trunk, NORMAL)
        self.transactions.cancelled(invite.via.branch, at, out)
        sent = self.transactions.sent(invite)
        if sent is not None and sent.flow.alive and sent.flow.reliable and not leg.flow.reliable:
            self.transactions.start(sent.flow, cancel, at, out, NOBODY)
            return
        hop = None
        if leg.peer is None:
            routes = invite.headers.values("Route")
            hop = parse_name_addr(routes[0]).uri if routes else invite.target
        self.start(call, leg, hop, cancel, Again(self, call, leg, hop, cancel, NOBODY), at, out)

    def seek(
        self, call: Subject, leg: Leg, client: ClientTransaction, failed: Failed, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        """The connection of an INVITE that was heard of is gone: ask whether its peer is still there.

        Its answer may come over any connection (RFC 3261 18.1.1). A server that died gives none, and then a
        caller need not wait until it has rung long enough: ``failed`` is called. Who can only come to us is
        waited for.
        """

        def then(flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
            if client.flow.alive:
                pass  # it has said something over another
            elif flow is None:
                failed(at, out)
            else:
                self.transactions.move(client, flow, at, out)

        if leg.peer is not None and not self.leaving:
            self._redial(call, leg, self._towards(leg, None, at), then, failed, at, out)

    def answer_elsewhere(
        self, call: Subject, leg: Leg, server: ServerTransaction, failed: Failed, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        """The connection on which the request of ``server`` came is gone: its answer goes over another.

        That is one by which the peer has come back, or one that we open (RFC 3261 18.2.2), at once and not
        when there is an answer: a caller that is gone for good need not be rung for. ``failed`` is called
        where there is none.
        """

        def then(flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
            if server.flow.alive:
                pass  # the peer has repeated its request, or cancelled it, elsewhere
            elif flow is None:
                failed(at, out)
            else:
                self.transactions.move(server, flow, at, out)

        trunk = self.store.current.trunks.get(leg.name)
        to = way_back(trunk, server.request.via, server.flow) if trunk is not None else None
        if leg.flow.alive:
            then(leg.flow, "", at, out)
        elif self.leaving or to is None:
            failed(at, out)
        else:
            self._redial(call, leg, to, then, failed, at, out)

    def _redial(
        self, call: Subject, leg: Leg, to: Towards, then: Connected, failed: Failed, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        """Ask for a new connection for ``leg``, so often and no oftener, whatever its peer does with them."""
        if not leg.flow.alive and not leg.waiting:
            if leg.lost >= MOST_LOST:
                failed(at, out)
                return
            leg.lost += 1
        self.reach(call, leg, to, then, at, out)

    def refuse_late_answer(
        self, call: Subject, leg: Leg, invite: Request, response: Response, at: float, out: list[Command]
    ) -> None:
        """A 2xx that nobody wants any more: ACK each time, and BYE once, if it made a dialog (13.2.2.4).

        Of a callee that answers under ever new tags no more than ``MOST_LATE`` are heard.
        """
        tag = response.to_tag
        first = not invite.to_tag and tag not in leg.late
        if first and len(leg.late) >= MOST_LATE:
            return
        if response.contact is None:
            # It can only be told where the INVITE found it.
            response.headers.set("Contact", f"<{invite.uri}>")
        dialog = Dialog.as_uac(invite, response)
        dialog.local_cseq += EARLY_REQUESTS
        via, cseq = leg.via(self.ids.branch()), invite.cseq.number
        ack = dialog.request("ACK", via=via, contact=leg.contact, cseq=cseq)
        self.send_ack(call, leg, dialog, ack, at, out)
        if first:
            leg.late += (tag,)
            via = leg.via(self.ids.branch())
            bye = dialog.request("BYE", via=via, contact=leg.contact)
            self.send(call, leg, dialog, bye, NOBODY, at, out)


class Again:
    """Waits for the response to any request but INVITE for ``user``; repeats it where its connection closes.

    Once, over a new one and with the same branch: it may never have been read, and whoever has read it
    answers again (RFC 3261 17.2.2). One of a ``dialog`` is repeated with credentials where it is challenged.
    """

    __slots__ = ("_about", "_desk", "_dialog", "_given", "_hop", "_repeated", "_request", "_user", "leg")

    def __init__(
        self, desk: Desk, about: Subject, leg: Leg, hop: Uri | None, request: Request, user: Awaiting,
        dialog: Dialog | None = None,
    ) -> None:  # fmt: skip
        self.leg: Leg | None = leg
        self._dialog = dialog
        self._given: Given | None = None
        self._desk = desk
        self._about = about
        self._hop = hop
        self._request = request
        self._user = user
        self._repeated = False

    @property
    def call(self) -> Subject | None:
        """The call that its user works for, if any."""
        return self._user.call

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """The user's, but for a challenge that is answered (RFC 3261 22.2)."""
        if response.status not in CHALLENGES or not self._prove(response, at, out):
            self._user.on_response(response, at, out)

    def _prove(self, response: Response, at: float, out: list[Command]) -> bool:
        dialog, leg = self._dialog, self.leg
        if dialog is None or leg is None:
            return False
        given = self._given = self._given or Given()
        again = self._desk.proofs.within(leg.name, dialog, self._request, response, given, out)
        if again is None:
            return False
        self._request = again
        self._desk.start(self._about, leg, self._hop, again, self, at, out)
        return True

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """The user's, but for the first connection that closes."""
        if kind != "transport" or self._repeated or self._desk.leaving or self.leg is None:
            self._user.on_failure(kind, at, out)
            return
        self._repeated = True
        self._desk.gave_up_tcp(self.leg, self._request, at)
        self._desk.start(self._about, self.leg, self._hop, self._request, self, at, out)


class _Nobody:
    """Waits for responses that change nothing, such as those to our BYE."""

    call = None
    leg = None

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """Nothing to do."""

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """Nothing to do."""


NOBODY: Final = _Nobody()
