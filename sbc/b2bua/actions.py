"""What the actions of rules keep between calls: counts under limits, turns in groups, nonces of challenges.

A call whose rule uses none of them costs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from dsl.decision import Challenge, Edit, Limit, Route
from dsl.facts import Facts
from sbc.b2bua.facts import facts_of
from sbc.b2bua.login import Login
from sbc.ids import Ids
from sbc.policy.balance import Balancer
from sbc.policy.rule_limits import RuleLimits
from sbc.sip.message import Request, Response

if TYPE_CHECKING:
    from sbc.b2bua.call import Call
    from sbc.b2bua.engine import Engine


class Actions:
    """One for the life of the process."""

    __slots__ = ("_balancer", "_calls", "_limits", "_login")

    def __init__(self, engine: Engine, ids: Ids) -> None:
        self._balancer = Balancer()
        self._limits = RuleLimits()
        self._login = Login(ids)
        self._calls = _counter(engine)

    def facts(self, call: Call, request: Request, now: float) -> Facts:
        """What the rules may ask of a new call; a password is judged only where a rule asks for one."""
        snapshot, login = call.snapshot, ("", "")
        if snapshot.rules.realms:
            name, realm, call.stale = self._login.user(request, snapshot.logins, snapshot.rules.realms, now)
            login = (name, realm)
        return facts_of(request, call.a.flow, call.a.trunk.tenant, call.engine.date(now), self._calls, login)

    def challenge(self, call: Call, response: Response, decision: Challenge, now: float) -> Response:
        """Complete ``response``, a 407, for the realm of ``decision``."""
        return self._login.challenge(response, decision, call.snapshot.logins, call.stale, now)

    def prepare(self, route: Route, edits: tuple[Edit, ...]) -> Route:
        """The route with groups spread out to trunks, and after ``edits`` that came before the rules."""
        if edits:
            route = replace(route, edits=edits + route.edits)
        if any([hop.group is not None for hop in route.hops]):
            route = replace(route, hops=self._balancer.expand(route.hops))
        return route

    def admit(self, call: Call, limits: tuple[Limit, ...], now: float) -> Limit | None:
        """Count a call under the limits of its rules; returns the one that refuses it."""
        refused = self._limits.admit(limits, now)
        if refused is None:
            call.limits = limits
        return refused

    def release(self, call: Call) -> None:
        """A call is over."""
        self._limits.release(call.limits)
        call.limits = ()


def _counter(engine: Engine) -> Callable[[str], int]:
    """How many calls a trunk has now; of all trunks for an empty name. The call that asks is among them."""
    return lambda trunk: engine.limits.calls(trunk) if trunk else len(engine.calls)
