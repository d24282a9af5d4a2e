"""The reception: what becomes of each request of a peer.

One that begins a call makes one; one within a dialog goes to the call whose dialog it is, if it comes
from the trunk that the dialog is with; the others are answered here.
"""

from __future__ import annotations

from typing import Final

from dsl.addresses import escape_user
from sbc.b2bua.bodies import Part, lost, read_body
from sbc.b2bua.call import Call, admit_caller, inherit
from sbc.b2bua.commands import Command, Note
from sbc.b2bua.customers import Unfit, customer_of, speaks_for, told_of
from sbc.b2bua.desk import Desk
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.gate import Gate, call_over_cap
from sbc.b2bua.in_force import InForce
from sbc.b2bua.invitation import Invitation
from sbc.b2bua.leg import DEFAULT_PORT, Leg, Side, local_address
from sbc.b2bua.life import on_bye
from sbc.b2bua.mirror import Mirror, screen
from sbc.b2bua.page import METHODS as PAGED
from sbc.b2bua.page import Page
from sbc.b2bua.phones import Phones
from sbc.b2bua.referral import Referral, refuse_refer, ruling_on_transfer
from sbc.b2bua.registering import Registering
from sbc.b2bua.screening import (
    FORBIDDEN,
    GOING,
    Refusal,
    allowed,
    looped,
    malformed_note,
    refuse,
    refuse_invite,
    ruling,
    transfers,
)
from sbc.b2bua.session import objection, refreshed
from sbc.b2bua.setup import Setup
from sbc.b2bua.takeover import may_replace, replaced_by, told_to_replace
from sbc.b2bua.told import turned_away
from sbc.b2bua.transfers import parse_replaces, target_dialog
from sbc.b2bua.translate import ACCEPT, EXTENSIONS, OF_TRANSFERS, reasons
from sbc.b2bua.whose import Whose
from sbc.base import PeerError
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.policy.acl import Rule, why
from sbc.policy.bodies import media_types
from sbc.policy.emergency import BEYOND, WITHIN, Urgency
from sbc.sip.dialog import Dialog
from sbc.sip.grammar import find_param
from sbc.sip.matching import same_party
from sbc.sip.message import Request
from sbc.sip.transactions import ACK2XX, ServerTransaction

_OFFERING: Final = ("INVITE", "UPDATE", "PRACK")


class Reception:
    """One for the engine."""

    __slots__ = ("_calls", "_desk", "_in_force", "gate", "phones", "registering")

    def __init__(self, desk: Desk, calls: dict[str, Call]) -> None:
        self.gate = Gate(desk)
        self.phones = Phones(desk)
        self.registering = Registering(desk, self.phones)
        self._desk = desk
        self._calls = calls
        self._in_force = InForce(desk.store.current)

    def request(self, flow: Flow, request: Request, at: float, out: list[Command]) -> None:
        """Take in one valid request."""
        if request.method != "INVITE" or request.to_tag:
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
        """Take it in; whose it is, None where it was known before, and whether it is to hear nothing."""
        snapshot, in_force = self._desk.store.current, self._in_force
        if in_force.of() is not snapshot:
            in_force = self._in_force = InForce(snapshot)
        own = in_force.trunks.get(flow.trunk or "")
        if own is None or not in_force.discerning:
            whose = Whose(own, None, "")
        else:
            whose = self._whose(snapshot, own, flow, request, at)
        if in_force.barring and not whose.urgency:
            whose.rule = ruling(snapshot, flow, whose.trunk, request, self._desk.date(at))
            if whose.rule is not None and whose.rule.silent:
                self._bar(flow, request, whose, whose.rule, at, out)
                return whose.name, True
        if own is not None and own.phones and not whose.urgency:
            if self.phones.turns_away(flow, request, at, out):
                return whose.name, True
        within, trunk = whose.urgency == WITHIN, whose.trunk
        if not within and self.gate.refuses(flow, request, trunk, in_force, at, out):
            return whose.name, True
        # Who has proved nothing is not told 100 over UDP: it repeats its INVITE until it hears a challenge.
        trying = within or flow.reliable or trunk is None or not trunk.phones or bool(request.to_tag)
        server = self._desk.transactions.receive_request(flow, request, at, out, within, trying)
        if server is None:
            return None, False
        if server is ACK2XX:
            self._on_ack(flow, request, at, out)
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
            self._turn_away(server, Refusal(error.status, reason), at, out)
        return whose.name, False

    def _whose(self, snapshot: Snapshot, own: Trunk, flow: Flow, request: Request, at: float) -> Whose:
        """Where ``own``, the connection's trunk, shares its address, or there are emergency numbers."""
        trunk, unfit = own, None
        if own.trunk in snapshot.customers:
            trunk, unfit = self._customer(snapshot, flow, own, request)
        urgency = self._urgency(snapshot, trunk, request, at)
        return Whose(trunk, None if urgency else unfit, urgency)

    def _customer(
        self, snapshot: Snapshot, flow: Flow, own: Trunk, request: Request
    ) -> tuple[Trunk, Unfit | None]:
        """Whose a request is where others have the address of ``own`` too; in a dialog it is the dialog's."""
        if request.to_tag:
            found = self._find(flow, request)
            return (found[0].leg_in(found[1], found[2]).trunk if found is not None else own), None
        name = customer_of(snapshot, flow, own, request)
        return (own, name) if isinstance(name, Unfit) else (snapshot.trunks[name], None)

    def _urgency(self, snapshot: Snapshot, trunk: Trunk, request: Request, at: float) -> Urgency:
        """Whether an emergency call comes, and whether the reserve of its trunk has room for it."""
        emergency = snapshot.settings.emergency
        if emergency is None or request.method != "INVITE" or request.to_tag:
            return ""
        if not emergency.means(request.target.party):
            return ""
        return WITHIN if self._desk.reserves.has_room(trunk.trunk, emergency.reserve, at) else BEYOND

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
        if whose.rule is not None and self._bar(flow, request, whose, whose.rule, at, out):
            self._turn_away(server, FORBIDDEN, at, out)
            return
        trunk = whose.trunk
        ours, back = self._desk.ids.branch_head, False
        if request.method == "INVITE" and any([ours in each for each in request.headers.get_all("via")]):
            back = looped(flow, request, self._desk.transactions)
        refusal = refuse(request, server.merged, back, trunk, flow.reliable)
        if refusal is None and request.method in _OFFERING and request.body and not request.is_sdp:
            parts = read_body(request).parts
            if parts:
                self._tell_of_parts(
                    trunk, request, lost(parts, media_types(trunk.bodies if trunk else ())), out
                )
        if refusal is not None:
            self._turn_away(server, refusal, at, out)
        elif request.method == "CANCEL":
            self._on_cancel(server, at, out)
        elif within:
            self._within_dialog(flow, server, request, at, out)
        elif whose.unfit is not None and request.method != "OPTIONS":
            out.append(told_of(whose.unfit, flow))
            self._refuse(server, whose.unfit.refusal, at, out)
        elif trunk is not None and trunk.trunk in self._desk.store.current.disabled:
            self._refuse_disabled(flow, server, trunk.trunk, at, out)
        elif trunk is not None and trunk.phones and not self._proved(flow, server, trunk, whose, at, out):
            pass  # it was asked for a password, or it was REGISTER
        elif request.method == "INVITE":
            self._on_invite(flow, server, request, whose, at, out)
        elif request.method == "OPTIONS":
            self._on_options(server, trunk, at, out)
        elif request.method == "REFER":
            self._refer_outside(server, request, trunk, at, out)
        elif request.method in PAGED:
            self._on_page(flow, server, request, whose, at, out)
        else:
            self._refuse(server, Refusal(481, "Call/Transaction Does Not Exist"), at, out)

    def _bar(
        self, flow: Flow, request: Request, whose: Whose, rule: Rule, at: float, out: list[Command]
    ) -> bool:
        """Whether the rule that decides on a request denies it; it is counted, and told of."""
        self._desk.store.current.acl.decided(rule, self._desk.date(at))
        if rule.allow:
            return False
        fields = {
            "trunk": whose.trunk.trunk if whose.trunk is not None else flow.trunk, "remote": str(flow.remote),
            "method": request.method, "reason": why(rule),
        }  # fmt: skip
        out.append(Note("call-refused", "", fields))
        return True

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

    def _refuse(self, server: ServerTransaction, refusal: Refusal, at: float, out: list[Command]) -> None:
        response = self._desk.respond_to(server, refusal.status, refusal.reason)
        for name, value in refusal.headers:
            response.headers.add(name, value)
        server.respond(response, at, out)

    def _turn_away(self, server: ServerTransaction, refusal: Refusal, at: float, out: list[Command]) -> None:
        """Refuse what anybody may have sent, on a trunk with phones without keeping anything."""
        self._refuse(server, refusal, at, out)
        if not server.request.to_tag or self._desk.dialogs.find(server.request) is None:
            self.phones.forget_stranger(server, at)

    def _refuse_disabled(
        self, flow: Flow, server: ServerTransaction, trunk: str, at: float, out: list[Command]
    ) -> None:
        """Nothing begins on a trunk that is disabled; what has begun goes on to its end."""
        if server.request.method not in ("OPTIONS", "REGISTER"):  # which come again and again
            why = f"it is disabled: {self._desk.store.current.disabled[trunk]}"
            out.append(Note("call-refused", "", {"trunk": trunk, "remote": str(flow.remote), "reason": why}))
        self._turn_away(server, Refusal(503, "Service Unavailable"), at, out)

    def _on_options(
        self, server: ServerTransaction, trunk: Trunk | None, at: float, out: list[Command]
    ) -> None:
        """OPTIONS to us: what we can do (RFC 3261 11.2)."""
        response = self._desk.respond_to(server, GOING.status if self._desk.draining else 200, "")
        if self._desk.draining:
            response.headers.extend(GOING.headers)
        known = [*EXTENSIONS, *OF_TRANSFERS] if transfers(trunk) else EXTENSIONS
        for name, value in (("Allow", allowed(trunk)), ACCEPT, ("Supported", ", ".join(known))):
            response.headers.add(name, value)
        server.respond(response, at, out)
        if not server.request.to_tag:
            self.phones.forget_stranger(server, at)

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
            self._refuse(server, Refusal(503, "Service Unavailable", (("Retry-After", "5"),)), at, out)
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
        unfit = refuse_invite(request, trunk, urgency, self._desk.draining)
        if unfit is not None or trunk is None:
            self._refuse(server, unfit or FORBIDDEN, at, out)
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
            self._refuse(server, call_over_cap(call, refusal, bool(urgency), flow, out), at, out)
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
            self._refuse(server, Refusal(*refusal), at, out)
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
            self._turn_away(server, Refusal(481, "Call/Transaction Does Not Exist"), at, out)
            return
        user = cancelled.user
        if isinstance(user, Invitation | Mirror):
            self._desk.working_on = user.call.id
        server.respond(self._desk.respond_to(server, 200, "OK"), at, out)
        if isinstance(user, Invitation | Mirror):
            user.on_cancel(reasons(server.request), at, out)

    def _find(self, flow: Flow, request: Request) -> tuple[Call, Fork, Side] | None:
        """The dialog of ``request``, if this peer is the one that it is with."""
        found = self._desk.dialogs.find(request)
        call = self._calls.get(found[0]) if found is not None else None
        if found is None or call is None:
            return None
        _, fork, side = found
        leg = call.leg_in(fork, side)
        name = leg.name
        ours = name == flow.trunk
        if not ours and same_party(leg.flow, flow):
            # A connection filed under another trunk says no more of this one's calls than its address does.
            ours = name == leg.flow.trunk or leg.flow.remote.host == flow.remote.host
        if not ours:
            ours = speaks_for(self._desk.store.current, flow, name)
        return (call, fork, side) if ours else None

    def _on_ack(self, flow: Flow, request: Request, at: float, out: list[Command]) -> None:
        found = self._find(flow, request)
        if found is not None:
            call, _, side = found
            self._desk.working_on = call.id
            answered = call.answered_invites.get((side, request.cseq.number))
            if answered is not None:
                answered.on_ack(request, at, out)

    def _within_dialog(
        self, flow: Flow, server: ServerTransaction, request: Request, at: float, out: list[Command]
    ) -> None:
        found = self._find(flow, request)
        if found is None:
            self._turn_away(server, Refusal(481, "Call/Transaction Does Not Exist"), at, out)
            return
        call, fork, side = found
        self._desk.working_on = call.id
        try:
            fork.dialog(side).check_cseq(request)
        except PeerError as error:
            self._refuse(server, Refusal(error.status, error.reason), at, out)
            return
        if call.trying and (side == "b" or request.method not in ("BYE", "OPTIONS")):
            # Nobody is the callee yet: what concerns a session or a dialog waits until somebody is.
            self._refuse(server, Refusal(491, "Request Pending"), at, out)
            return
        call.leg(side).flow = flow
        if request.method == "BYE":
            server.respond(self._desk.respond_to(server, 200, "OK"), at, out)
            on_bye(call, side, request, at, out)
        elif request.method == "OPTIONS":
            self._on_options(server, call.leg(side).trunk, at, out)
        else:
            self._mirror(call, fork, side, server, request, at, out)

    def _mirror(
        self, call: Call, fork: Fork, side: Side, server: ServerTransaction, request: Request,
        at: float, out: list[Command],
    ) -> None:  # fmt: skip
        if request.method == "REFER" and call.leg(side).standing.transfers == "perform":
            self._refer(call, fork, side, server, request, at, out)
            return
        if request.method in ("INVITE", "UPDATE"):
            unfit = objection(call.leg(side).trunk, request)
            if unfit is not None:
                self._refuse(server, Refusal(*unfit), at, out)
                return
            if refreshed(call, fork, side, server, request, at, out):
                return
        busy = screen(call, fork, side, request)
        if busy is not None:
            headers = (("Retry-After", "5"),) if busy[0] == 500 else ()
            self._refuse(server, Refusal(*busy, headers), at, out)
            return
        mirror = Mirror(call, fork, side, server, request)
        server.user = mirror
        mirror.start(at, out)

    def _refer(
        self, call: Call, fork: Fork, side: Side, server: ServerTransaction, request: Request,
        at: float, out: list[Command], told_in: Dialog | None = None,
    ) -> None:  # fmt: skip
        refusal = refuse_refer(call, fork, side, request, at)
        rule = ruling_on_transfer(call, fork, side, request, at) if refusal is None else None
        if refusal is not None:
            self._refuse(server, refusal, at, out)
        elif rule is not None and self._bar(
            server.flow, request, Whose(call.leg(side).trunk, None, ""), rule, at, out
        ):
            self._turn_away(server, FORBIDDEN, at, out)
        else:
            Referral(call, fork, side, request, told_in).start(server, request, at, out)

    def _refer_outside(
        self, server: ServerTransaction, request: Request, whose: Trunk | None, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        """A REFER outside of a dialog is about the one that it names, of the same trunk (RFC 4538)."""
        named = target_dialog(request)
        found = self._desk.dialogs.of(*named) if named is not None else None
        call = self._calls.get(found[0]) if found is not None else None
        if found is None or call is None:
            status = (403, "Forbidden") if named is None else (481, "Call/Transaction Does Not Exist")
            self._refuse(server, Refusal(*status), at, out)
            return
        _, fork, side = found
        trunk = call.leg(side).trunk
        if whose is None or trunk.trunk != whose.trunk or trunk.transfers != "perform":
            self._refuse(server, FORBIDDEN, at, out)
            return
        self._desk.working_on = call.id
        told_in = Dialog.as_uas(request, self._desk.ids.tag())
        self._refer(call, fork, side, server, request, at, out, told_in)
