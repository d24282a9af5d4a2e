"""The reception: what becomes of each request of a peer.

One that begins a call makes one; one within a dialog goes to the call whose dialog it is
(``sbc.b2bua.in_dialog``); the others are answered here.
"""

from __future__ import annotations

from typing import Final

from dsl.addresses import escape_user
from sbc.b2bua.bodies import Part, lost, read_body
from sbc.b2bua.call import Call, admit_caller, inherit
from sbc.b2bua.commands import Command, Note
from sbc.b2bua.customers import Unfit, customer_of, told_of
from sbc.b2bua.desk import Desk
from sbc.b2bua.gate import Gate, call_over_cap
from sbc.b2bua.in_dialog import InDialog
from sbc.b2bua.in_force import InForce
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.leg import DEFAULT_PORT, NO_LOGIN, Leg, Side, local_address
from sbc.b2bua.mirror import Mirror
from sbc.b2bua.page import METHODS as PAGED
from sbc.b2bua.page import Page
from sbc.b2bua.phones import Phones
from sbc.b2bua.registering import Registering
from sbc.b2bua.screening import (
    FORBIDDEN,
    GOING,
    Refusal,
    answer_options,
    bars,
    looped,
    malformed_note,
    refuse,
    refuse_with,
    ruling,
)
from sbc.b2bua.session import objection
from sbc.b2bua.setup import Setup
from sbc.b2bua.takeover import may_replace, replaced_by, told_to_replace
from sbc.b2bua.told import turned_away
from sbc.b2bua.transfers import parse_replaces
from sbc.b2bua.translate import reasons
from sbc.base import PeerError
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.policy.acl import Rule
from sbc.policy.bodies import media_types
from sbc.policy.emergency import BEYOND, WITHIN, Urgency
from sbc.sip.grammar import find_param
from sbc.sip.message import Request
from sbc.sip.transactions import ACK2XX, ServerTransaction

_OFFERING: Final = ("INVITE", "UPDATE", "PRACK")


class Whose:
    """Which trunk a request is of, if any, or why it is nobody's; and how urgent it is.

    The trunk of what is nobody's, and of what is urgent and would be, is that of its connection. ``rule`` is
    the one of the access list that decides on it, if any.
    """

    __slots__ = ("login", "rule", "trunk", "unfit", "urgency")

    def __init__(self, trunk: Trunk | None, unfit: Unfit | None, urgency: Urgency) -> None:
        self.login = NO_LOGIN
        self.rule: Rule | None = None
        self.trunk = trunk
        self.unfit = unfit
        self.urgency = urgency

    @property
    def name(self) -> str:
        """The name of the trunk, "" for none."""
        return self.trunk.trunk if self.trunk is not None else ""


class Reception:
    """One for the engine."""

    __slots__ = ("_calls", "_desk", "_in_force", "gate", "in_dialog", "phones", "registering")

    def __init__(self, desk: Desk, calls: dict[str, Call]) -> None:
        self.gate = Gate(desk)
        self.phones = Phones(desk)
        self.registering = Registering(desk, self.phones)
        self.in_dialog = InDialog(desk, calls, self.phones)
        self._desk = desk
        self._calls = calls
        self._in_force = InForce(desk.store.current)

    def request(self, flow: Flow, request: Request, at: float, out: list[Command]) -> None:
        """Take in one valid request."""
        if request.method != "INVITE" or request.to.tag:
            self._take_in(flow, request, at, out)
            return
        begun = len(out)
        trunk, unanswered = self._take_in(flow, request, at, out)
        if trunk is not None:
            told = turned_away(flow, request, trunk, out[begun:], unanswered, self._desk.date(at))
            if told is not None:
                out.append(told)

    def _take_in(
        self, flow: Flow, request: Request, at: float, out: list[Command]
    ) -> tuple[str | None, bool]:
        """Take it in; whose it is, and whether it is to hear nothing.

        None where it was known before, or began a call.
        """
        snapshot, in_force = self._desk.store.current, self._in_force
        if in_force.of() is not snapshot:
            in_force = self._in_force = InForce(snapshot)
        own = in_force.trunks.get(flow.trunk or "")
        flow.strangers = flow.strangers or (own is not None and own.phones)
        whose = Whose(own, None, "")
        if own is not None and in_force.discerning:
            whose = _whose_is(self._desk, self.in_dialog, snapshot, own, flow, request, at)
        if in_force.barring and not whose.urgency:
            whose.rule = ruling(snapshot, flow, whose.trunk, request, self._desk.date(at))
            if whose.rule is not None and whose.rule.silent:
                bars(self._desk, flow, request, whose.trunk, whose.rule, at, out)
                return whose.name, True
        if own is not None and own.phones and not whose.urgency:
            if self.phones.turns_away(flow, request, at, out):
                return whose.name, True
        within, trunk = whose.urgency == WITHIN, whose.trunk
        overloaded = self._desk.load.since is not None or len(self._desk.transactions) >= in_force.most
        if (overloaded or in_force.rated or (trunk is not None and trunk.phones)) and not within:
            if self.gate.refuses(flow, request, trunk, in_force, overloaded, at, out):
                return whose.name, True
        # Who has proved nothing is not told 100 over UDP: it repeats its INVITE until it hears a challenge.
        trying = within or flow.reliable or trunk is None or not trunk.phones or bool(request.to.tag)
        server = self._desk.transactions.receive_request(flow, request, at, out, within, trying)
        if server is None or server is ACK2XX:
            if server is ACK2XX:
                self.in_dialog.on_ack(flow, request, at, out)
            return None, False
        if not isinstance(server, ServerTransaction):
            fields = {"remote": str(flow.remote), "reason": "too many refusals were not acknowledged"}
            out.append(Note("call-refused", "", fields))
            return whose.name, True
        self._desk.serving = server
        if within and whose.trunk is not None:
            self._desk.reserves.take_turn(whose.trunk.trunk)
        try:
            self._serve(flow, server, request, whose, at, out)
        except PeerError as error:
            out.append(malformed_note(flow, error.reason))
            reason = "" if error.status == 400 else error.reason
            self.phones.turn_away(server, Refusal(error.status, reason), at, out)
        # A call that has begun tells of itself.
        return whose.name if server.user is None else None, False

    def _serve(
        self, flow: Flow, server: ServerTransaction, request: Request, whose: Whose, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        within = bool(request.to.tag)
        if flow.secure and not within:
            fields: dict[str, object] = {  # one line in the log for each SIPS request (row S6)
                "method": request.method, "from": request.from_.uri, "to": request.uri,
                "remote": flow.remote, "local": flow.local,
            }  # fmt: skip
            out.append(Note("sips-arrival", request.call_id, fields))
            if not flow.alias and not flow.outbound and find_param(request.via.params, "alias") is not None:
                flow.alias = request.via.port or DEFAULT_PORT["tls"]
        if whose.rule is not None and bars(self._desk, flow, request, whose.trunk, whose.rule, at, out):
            self.phones.turn_away(server, FORBIDDEN, at, out)
            return
        trunk = whose.trunk
        ours, back = self._desk.ids.branch_head, False
        if request.method == "INVITE" and any([ours in each for each in request.headers.get_all("via")]):
            back = looped(flow, request, self._desk.transactions)
        refusal = refuse(request, server.merged, back, trunk, flow.reliable)
        if refusal is None and request.method in _OFFERING and request.body and not request.is_sdp:
            parts = read_body(request).parts
            if parts:
                left = lost(parts, media_types(trunk.bodies if trunk else ()))
                self._tell_of_parts(trunk, request, left, out)
        if refusal is not None:
            self.phones.turn_away(server, refusal, at, out)
        elif request.method == "CANCEL":
            self._on_cancel(server, at, out)
        elif within:
            self.in_dialog.receive(flow, server, request, at, out)
        elif whose.unfit is not None and request.method != "OPTIONS":
            out.append(told_of(whose.unfit, flow))
            refuse_with(self._desk, server, whose.unfit.refusal, at, out)
        elif trunk is not None and (flow.former or trunk.trunk in self._desk.store.current.disabled):
            self._refuse_at_all(flow, server, trunk.trunk, at, out)
        elif trunk is not None and trunk.phones and not self._proved(flow, server, trunk, whose, at, out):
            pass  # it was asked for a password, or it was REGISTER
        elif request.method == "INVITE":
            self._on_invite(flow, server, request, whose, at, out)
        elif request.method == "OPTIONS":
            answer_options(self._desk, server, trunk, at, out)
            self.phones.forget_stranger(server, at)
        elif request.method == "REFER":
            self.in_dialog.refer_outside(server, request, trunk, whose.login[0], at, out)
        elif request.method in PAGED:
            self._on_page(flow, server, request, whose, at, out)
        else:
            refuse_with(self._desk, server, Refusal(481, "Call/Transaction Does Not Exist"), at, out)

    def _proved(
        self, flow: Flow, server: ServerTransaction, trunk: Trunk, whose: Whose, at: float, out: list[Command]
    ) -> bool:
        """Whether a phone has proved who it is; an emergency call need not, nor who asks what we can do."""
        if server.method == "REGISTER":
            self.registering.receive(flow, server, trunk, at, out)
            return False
        if not whose.urgency and server.method != "OPTIONS":
            login = self.phones.login(flow, server, trunk, at, out)
            if login is None:
                return False
            whose.login = login
        if server.method == "INVITE" and server.last_response is None:
            server.respond(self._desk.respond_to(server, 100, ""), at, out)
        return True

    def _tell_of_parts(
        self, trunk: Trunk | None, request: Request, left: list[Part], out: list[Command]
    ) -> None:
        if left:
            types = ",".join([part.type for part in left])
            named = trunk.trunk if trunk is not None else None
            fields = {"trunk": named, "call_id": request.call_id, "types": types}
            out.append(Note("parts-dropped", "", fields))

    def _refuse_at_all(
        self, flow: Flow, server: ServerTransaction, trunk: str, at: float, out: list[Command]
    ) -> None:
        """Nothing begins on a trunk that is disabled, or from a peer that has left it; what has goes on."""
        if server.request.method not in ("OPTIONS", "REGISTER"):  # which come again and again
            off = self._desk.store.current.disabled.get(trunk)
            why = f"it is disabled: {off}" if off is not None else f"{flow.remote} is no peer of it any more"
            out.append(Note("call-refused", "", {"trunk": trunk, "remote": str(flow.remote), "reason": why}))
        self.phones.turn_away(server, Refusal(503, "Service Unavailable"), at, out)

    def _on_page(
        self, flow: Flow, server: ServerTransaction, request: Request, whose: Whose, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        """A request outside of any call, of a trunk that may send it."""
        snapshot, trunk = self._desk.store.current, whose.trunk
        assert trunk is not None, "it lists the method"
        if self._desk.draining:
            fields = {"trunk": trunk.trunk, "remote": str(flow.remote), "reason": "the SBC is about to stop"}
            out.append(Note("call-refused", "", fields))
            refuse_with(
                self._desk, server, Refusal(503, "Service Unavailable", (("Retry-After", "5"),)), at, out
            )
            return
        leg = self._leg(snapshot, trunk, flow, request)
        leg.login = whose.login
        server.user = page = Page(self._desk, snapshot, leg, server, request)
        page.start(at, out)

    def _leg(self, snapshot: Snapshot, trunk: Trunk, flow: Flow, request: Request) -> Leg:
        """The leg of whoever begins something with ``request``."""
        target = request.target
        user = escape_user(target.party.user) if target.scheme != "urn" else ""
        sent_by = local_address(snapshot.settings.listeners[trunk.listener], trunk, flow)
        leg = Leg("a", trunk, flow, sent_by, "sips" if target.scheme == "sips" else "sip")
        leg.call_id = request.call_id
        leg.contact = leg.address_of(user)
        return leg

    def _on_invite(
        self, flow: Flow, server: ServerTransaction, request: Request, whose: Whose, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        snapshot, trunk, urgency = self._desk.store.current, whose.trunk, whose.urgency
        unfit = _refuse_invite(request, trunk, urgency, self._desk.draining)
        if unfit is not None or trunk is None:
            refuse_with(self._desk, server, unfit or FORBIDDEN, at, out)
            return
        takes = None
        if "replaces" in request.headers.first and trunk.transfers != "refuse":
            takes = self._replaced(server, request, at, out)
            if takes is None:
                return
        # Whole before it counts anywhere: what fails half-made has then nothing to give back.
        leg = self._leg(snapshot, trunk, flow, request)
        leg.invited, leg.login = True, whose.login
        call = Call(self._desk, self._desk.ids.key(6).hex(), snapshot, leg, at)
        call.caller, call.called = request.from_.uri.party.user, request.target.party.user
        if takes is not None:
            inherit(call, *takes)
            if trunk.transfers == "pass":
                call.replacing, takes = told_to_replace(*takes), None
        setup = Setup(call, server, request, takes=takes)
        caller = call.a.login[0] or call.caller
        refusal = admit_caller(call, trunk, caller, at, urgency == WITHIN)
        if refusal is not None:
            refuse_with(self._desk, server, call_over_cap(call, refusal, bool(urgency), flow, out), at, out)
            return
        call.held = len(call.admitted)
        call.setup, server.user = setup, setup.invitation
        self._calls[call.id] = call
        self._desk.working_on = call.id
        if urgency:
            self._mark(call, urgency, at, out)
        setup.decide(at, out)

    def _replaced(
        self, server: ServerTransaction, request: Request, at: float, out: list[Command]
    ) -> tuple[Call, Side] | None:
        """The call and its side that an INVITE is to replace; None where it is refused (RFC 3891 3)."""
        named = parse_replaces(request.headers.get("Replaces") or "")
        found = replaced_by(self._desk, named)
        refusal = (
            (481, "Call/Transaction Does Not Exist")
            if found is None
            else may_replace(*found, named, server.flow.secure)
        )
        if refusal[0]:
            refuse_with(self._desk, server, Refusal(*refusal), at, out)
            return None
        return found

    def _mark(self, call: Call, urgency: Urgency, at: float, out: list[Command]) -> None:
        """It is an emergency call: say so, and where it is within the reserve let it hold a place there."""
        call.emergency = True
        if urgency == WITHIN:
            call.reserve(at)
        fields = {"trunk": call.a.name, "from": call.caller, "to": call.called, "reserve": urgency}
        out.append(Note("emergency", call.id, fields))

    def _on_cancel(self, server: ServerTransaction, at: float, out: list[Command]) -> None:
        cancelled = server.cancels
        if cancelled is None:
            self.phones.turn_away(server, Refusal(481, "Call/Transaction Does Not Exist"), at, out)
            return
        user = cancelled.user
        if isinstance(user, Invitation | Mirror):
            self._desk.working_on = user.call.id
        server.respond(self._desk.respond_to(server, 200, "OK"), at, out)
        if isinstance(user, Invitation | Mirror):
            user.on_cancel(reasons(server.request), at, out)


def _whose_is(
    desk: Desk, within: InDialog, snapshot: Snapshot, own: Trunk, flow: Flow, request: Request, at: float
) -> Whose:
    """Whose a request is where others have the address of its trunk ``own`` too, or there are emergencies."""
    trunk: Trunk = own
    unfit: Unfit | None = None
    if own.trunk in snapshot.customers:
        if request.to_tag:  # what is in a dialog is the dialog's
            found = within.find(flow, request, at)
            trunk = found[0].leg_in(found[1], found[2]).trunk if found is not None else own
        else:
            name = customer_of(snapshot, flow, own, request)
            if isinstance(name, Unfit):
                unfit = name
            else:
                trunk = snapshot.trunks[name]
    urgency = _urgency(desk, snapshot, trunk, request, at)
    return Whose(trunk, None if urgency else unfit, urgency)


def _urgency(desk: Desk, snapshot: Snapshot, trunk: Trunk, request: Request, at: float) -> Urgency:
    """Whether an emergency call comes, and whether the reserve of its trunk has room for it."""
    emergency = snapshot.settings.emergency
    if emergency is None or request.method != "INVITE" or request.to_tag:
        return ""
    if not emergency.means(request.target.party):
        return ""
    return WITHIN if desk.reserves.has_room(trunk.trunk, emergency.reserve, at) else BEYOND


def _refuse_invite(request: Request, trunk: Trunk | None, urgency: Urgency, draining: bool) -> Refusal | None:
    """Why an INVITE begins no call, whatever the rules say; None where it may."""
    if request.contact is None:
        return Refusal(400, "Missing Contact")
    if trunk is None:
        return FORBIDDEN
    if request.target.scheme == "urn" and not urgency:
        return Refusal(416, "Unsupported URI Scheme")
    if draining and urgency != WITHIN:
        return GOING
    first = request.headers.first
    if "session-expires" in first or "min-se" in first or "require" in first:
        unfit = objection(trunk, request)
        return Refusal(*unfit) if unfit is not None else None
    return None
