"""The limits of a trunk for calls to numbers that cost: what its file says beside what rules do.

They are limits like those of rules, for every call of the trunk whose number a table has: the number that was
dialled, or one that the rules made of it.
"""

from __future__ import annotations

from collections.abc import Callable

from dsl.decision import Edit, Limit, Route, SetPart


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

    def of(self, route: Route, called: str, caller: str) -> tuple[Limit, ...]:
        """What a call to ``called``, as it was dialled, comes under on its way by ``route``."""
        if not self._costs(route, called):
            return ()
        if not self._for_each:
            return self._limits
        return tuple([
            Limit(f"{each.key} {caller}", each.calls, 0, each.status, each.reason, each.window, each.name)
            for each in self._limits
        ])  # fmt: skip

    def _costs(self, route: Route, called: str) -> bool:
        if self._find(called) is not None or self._any(route.edits):
            return True
        return any([self._any(hop.edits) for hop in route.hops])

    def _any(self, edits: tuple[Edit, ...]) -> bool:
        for each in edits:
            if isinstance(each, SetPart) and each.part == "to.user" and self._find(each.value) is not None:
                return True
        return False
