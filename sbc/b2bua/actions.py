"""What the actions of rules keep between calls: counts under limits, turns in groups, nonces of challenges.

A call whose rule uses none of them costs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from dsl.decision import Challenge, Edit, Limit, Route
from dsl.facts import Facts
from sbc.b2bua.facts import facts_of
from sbc.b2bua.leg import Leg
from sbc.b2bua.login import Login
from sbc.config.snapshot import Snapshot
from sbc.config.users import Users
from sbc.ids import Ids
from sbc.policy.balance import Balancer
from sbc.policy.rule_limits import RuleLimits
from sbc.sip.message import Request, Response


class Actions:
    """One for the life of the process; ``calls`` counts those of a trunk, or of all for an empty name."""

    __slots__ = ("_balancer", "_calls", "_limits", "_login")

    def __init__(self, ids: Ids, calls: Callable[[str], int]) -> None:
        self._balancer = Balancer()
        self._limits = RuleLimits()
        self._login = Login(ids)
        self._calls = calls

    def facts(
        self, request: Request, a: Leg, snapshot: Snapshot, now: float, at: float
    ) -> tuple[Facts, bool]:
        """What the rules may ask of a new call, and whether its password was good once (a stale nonce).

        A password is judged only where a rule asks for one. ``now`` is the date of ``at``.
        """
        login, stale = ("", ""), False
        if snapshot.rules.realms:
            name, realm, stale = self._login.user(request, snapshot.logins, snapshot.rules.realms, at)
            login = (name, realm)
        of = a.trunk
        return facts_of(request, a.flow, of.tenant, now, self._calls, login, of.trunk), stale

    def redirected_facts(self, request: Request, by: Leg, called: str, now: float) -> Facts:
        """What the rules may ask of a call that the callee on ``by`` redirected: it is one of that trunk.

        Nobody has proved a password for it. ``called`` is whom it was for.
        """
        facts = facts_of(request, by.flow, by.trunk.tenant, now, self._calls)
        return replace(facts, trunk=by.trunk.trunk, listener=by.trunk.listener, redirected_from=called)

    def challenge(
        self, response: Response, decision: Challenge, users: Users, stale: bool, at: float
    ) -> Response:
        """Complete ``response``, a 407, for the realm of ``decision``."""
        return self._login.challenge(response, decision, users, stale, at)

    def prepare(self, route: Route, edits: tuple[Edit, ...]) -> Route:
        """The route with groups spread out to trunks, and after ``edits`` that came before the rules."""
        if edits:
            route = replace(route, edits=edits + route.edits)
        if any([hop.group is not None for hop in route.hops]):
            route = replace(route, hops=self._balancer.expand(route.hops))
        return route

    def admit(self, limits: tuple[Limit, ...], at: float) -> Limit | None:
        """Count a call under the limits of its rules; returns the one that refuses it."""
        return self._limits.admit(limits, at)

    def resume(self, limits: tuple[Limit, ...], at: float) -> None:
        """A call that was just released goes on as another, which counts under ``limits``."""
        self._limits.resume(limits, at)

    def release(self, limits: tuple[Limit, ...]) -> None:
        """A call that was admitted under ``limits`` is over."""
        self._limits.release(limits)
