"""Whose a request is, and how urgent it is: for the reception."""

from __future__ import annotations

from sbc.b2bua.customers import Unfit, customer_of
from sbc.b2bua.desk import Desk
from sbc.b2bua.in_dialog import InDialog
from sbc.b2bua.leg import NO_LOGIN
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.policy.acl import Rule
from sbc.policy.emergency import BEYOND, WITHIN, Urgency
from sbc.sip.message import Request


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


def whose_is(
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
