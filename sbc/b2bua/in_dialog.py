"""What comes within the dialogs of calls: whose it is, whether it may come now, and who takes it on.

A request goes to the call whose dialog it is in, if it comes from the trunk that the dialog is with. Phones
of one trunk are strangers to one another: a phone has to come from where it was, or to be the user's whose
call it is, by its registration on this connection or by its password (RFC 3261 22).
"""

from __future__ import annotations

from sbc.b2bua.call import Call
from sbc.b2bua.commands import Command
from sbc.b2bua.customers import speaks_for
from sbc.b2bua.desk import Desk
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.leg import Leg, Side
from sbc.b2bua.life import on_bye
from sbc.b2bua.mirror import Mirror, screen
from sbc.b2bua.phones import Phones
from sbc.b2bua.referral import Referral, refuse_refer, ruling_on_transfer
from sbc.b2bua.screening import FORBIDDEN, Refusal, answer_options, bars, refuse_with
from sbc.b2bua.session import objection, refreshed
from sbc.b2bua.transfers import target_dialog
from sbc.base import PeerError
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.sip.dialog import Dialog
from sbc.sip.matching import same_party
from sbc.sip.message import Request
from sbc.sip.transactions import ServerTransaction


class InDialog:
    """One for the engine, whose ``calls`` they are."""

    __slots__ = ("_calls", "_desk", "_phones")

    def __init__(self, desk: Desk, calls: dict[str, Call], phones: Phones) -> None:
        self._desk = desk
        self._calls = calls
        self._phones = phones

    def find(self, flow: Flow, request: Request, at: float) -> tuple[Call, Fork, Side] | None:
        """The dialog of ``request``, if this peer is the one that it is with."""
        found = self._named(request)
        if found is None:
            return None
        call, fork, side = found
        leg = call.leg_in(fork, side)
        name = leg.name
        ours = name == flow.trunk
        if not ours and same_party(leg.flow, flow):
            # A connection filed under another trunk says no more of this one's calls than its address does.
            ours = name == leg.flow.trunk or leg.flow.remote.host == flow.remote.host
        if not ours:
            ours = speaks_for(self._desk.store.current, flow, name)
        if ours and flow.strangers and leg.flow.remote.host != flow.remote.host:
            ours = _user_of(leg) in self._desk.registrar.users_on(flow, self._desk.date(at))
        return found if ours else None

    def _named(self, request: Request) -> tuple[Call, Fork, Side] | None:
        """The dialog that ``request`` names, whoever has sent it."""
        found = self._desk.dialogs.find(request)
        call = self._calls.get(found[0]) if found is not None else None
        return (call, found[1], found[2]) if found is not None and call is not None else None

    def _proved(
        self, flow: Flow, server: ServerTransaction, request: Request, at: float, out: list[Command]
    ) -> tuple[Call, Fork, Side] | None:
        """The dialog of a phone that comes from elsewhere and proves a password; None: it was answered."""
        snapshot, found = self._desk.store.current, self._named(request)
        settings = snapshot.settings.registrar
        leg = found[0].leg_in(found[1], found[2]) if found is not None else None
        user = _user_of(leg) if leg is not None else ""
        if leg is not None and leg.name != flow.trunk and not speaks_for(snapshot, flow, leg.name):
            user = ""
        if flow.strangers and user and settings is not None:
            proved = self._phones.proves(server, snapshot, settings, 407, at, out)
            if not proved:
                return None
            if proved == user and not self._phones.unfit(flow, snapshot, settings, user):
                return found
        self._phones.turn_away(server, Refusal(481, "Call/Transaction Does Not Exist"), at, out)
        return None

    def on_ack(self, flow: Flow, request: Request, at: float, out: list[Command]) -> None:
        """An ACK of a 2xx, which is no transaction of its own (RFC 3261 13.2.2.4)."""
        found = self.find(flow, request, at)
        if found is not None:
            call, _, side = found
            self._desk.working_on = call.id
            answered = call.answered_invites.get((side, request.cseq.number))
            if answered is not None:
                answered.on_ack(request, at, out)

    def receive(
        self, flow: Flow, server: ServerTransaction, request: Request, at: float, out: list[Command]
    ) -> None:
        """Take in a request that names a dialog; 481 where this peer has none of that name."""
        found = self.find(flow, request, at) or self._proved(flow, server, request, at, out)
        if found is None:
            return
        call, fork, side = found
        self._desk.working_on = call.id
        try:
            fork.dialog(side).check_cseq(request)
        except PeerError as error:
            refuse_with(self._desk, server, Refusal(error.status, error.reason), at, out)
            return
        if call.trying and (side == "b" or request.method not in ("BYE", "OPTIONS")):
            # Nobody is the callee yet: what concerns a session or a dialog waits until somebody is.
            refuse_with(self._desk, server, Refusal(491, "Request Pending"), at, out)
            return
        call.leg(side).flow = flow
        if request.method == "BYE":
            on_bye(call, side, request, at, out)  # before it is answered the call has its record
            server.respond(self._desk.respond_to(server, 200, "OK"), at, out)
        elif request.method == "OPTIONS":
            answer_options(self._desk, server, call.leg(side).trunk, at, out)
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
                refuse_with(self._desk, server, Refusal(*unfit), at, out)
                return
            if refreshed(call, fork, side, server, request, at, out):
                return
        busy = screen(call, fork, side, request)
        if busy is not None:
            headers = (("Retry-After", "5"),) if busy[0] == 500 else ()
            refuse_with(self._desk, server, Refusal(*busy, headers), at, out)
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
            refuse_with(self._desk, server, refusal, at, out)
        elif rule is not None and bars(self._desk, server.flow, request, call.leg(side).trunk, rule, at, out):
            self._phones.turn_away(server, FORBIDDEN, at, out)
        else:
            Referral(call, fork, side, request, told_in).start(server, request, at, out)

    def refer_outside(
        self, server: ServerTransaction, request: Request, whose: Trunk | None, user: str, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        """A REFER outside of a dialog is about the one that it names, of the same trunk (RFC 4538).

        Among phones it is about one of the same ``user``, who has proved a password.
        """
        named = target_dialog(request)
        found = self._desk.dialogs.of(*named) if named is not None else None
        call = self._calls.get(found[0]) if found is not None else None
        if found is None or call is None:
            status = (403, "Forbidden") if named is None else (481, "Call/Transaction Does Not Exist")
            refuse_with(self._desk, server, Refusal(*status), at, out)
            return
        _, fork, side = found
        trunk = call.leg(side).trunk
        another = trunk.phones and _user_of(call.leg(side)) != user
        if another or whose is None or trunk.trunk != whose.trunk or trunk.transfers != "perform":
            refuse_with(self._desk, server, FORBIDDEN, at, out)
            return
        self._desk.working_on = call.id
        told_in = Dialog.as_uas(request, self._desk.ids.tag())
        self._refer(call, fork, side, server, request, at, out, told_in)


def _user_of(leg: Leg) -> str:
    """Whose phone is at the other end, "" for none: who was rung there, or has proved a password."""
    return leg.phone[0] or leg.login[0]
