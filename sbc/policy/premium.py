"""The limits of a trunk for calls to numbers that cost: what its file says beside what rules do.

They are limits like those of rules, for every call of the trunk whose number a table has: the number that was
dialled, or one that the rules made of it.
"""

from __future__ import annotations

from collections.abc import Callable

from dsl.addresses import canonical_user
from dsl.decision import Edit, Limit, Route, SetPart
from dsl.facts import Facts


def payers_of(facts: Facts, referrer: str = "") -> tuple[str, ...]:
    """The callers of its trunk for whom a call counts.

    For a transfer that is who transfers, who has proved to be ``referrer`` or only said who it is: the party
    that is transferred may be anybody, and another one each time. So may the caller of what is redirected;
    that call counts for whom it was for as well.
    """
    if facts.redirected_from:
        return tuple(dict.fromkeys([facts.from_user, facts.redirected_from]))
    return (referrer or facts.referred_by or facts.auth_user or facts.from_user,)


class Premium:
    """The limits of one trunk; ``find`` gives the row of a number, None where the table has none.

    ``for_each`` caller they hold, or else for all calls of the trunk together.
    """

    __slots__ = ("_find", "_for_each", "_limits")

    def __init__(
        self, limits: tuple[Limit, ...], find: Callable[[str], object | None], for_each: bool
    ) -> None:
        self._limits = limits
        self._find = find
        self._for_each = for_each

    def of(self, route: Route, called: str, payers: tuple[str, ...]) -> tuple[Limit, ...]:
        """What a call to ``called``, as it was dialled, comes under on its way by ``route``.

        ``payers`` are the callers for whom it counts. What hooks made of the number is among the edits.
        """
        if not self._costs(route, called):
            return ()
        if not self._for_each:
            return self._limits
        return tuple([
            Limit(f"{each.key} {payer}", each.calls, 0, each.status, each.reason, each.window, each.name)
            for payer in payers
            for each in self._limits
        ])  # fmt: skip

    def _costs(self, route: Route, called: str) -> bool:
        if self._find(called) is not None or self._any(route.edits):
            return True
        return any([self._any(hop.edits) for hop in route.hops])

    def _any(self, edits: tuple[Edit, ...]) -> bool:
        for each in edits:
            if isinstance(each, SetPart) and each.part == "to.user":
                if self._find(canonical_user(each.value)) is not None:
                    return True
        return False
