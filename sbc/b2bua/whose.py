"""Whose a request is, for the reception."""

from __future__ import annotations

from sbc.b2bua.customers import Unfit
from sbc.b2bua.leg import NO_LOGIN
from sbc.config.model import Trunk
from sbc.policy.acl import Rule
from sbc.policy.emergency import Urgency


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
