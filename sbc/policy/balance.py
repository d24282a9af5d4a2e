"""Whose turn it is in a group of trunks: smooth weighted round robin.

Each trunk gains its weight with every call, and the one that has most gets the call and pays the sum of all
weights for it. So 3 to 1 gives a a b a, never a a a b; equal weights take turns. The others follow in the
order of what they have, for the case that the first one fails.
"""

from __future__ import annotations

from dataclasses import replace

from dsl.decision import DEFAULT_FAILURES, Group, Hop


class Balancer:
    """The turns of every group, by its name; one for the life of the process."""

    __slots__ = ("_standing",)

    def __init__(self) -> None:
        self._standing: dict[str, dict[str, int]] = {}

    def order(self, group: Group) -> list[str]:
        """The trunks of ``group``, first whose turn it is; the next call will find another order."""
        former = self._standing.get(group.name, {})
        standing = {name: former.get(name, 0) + weight for name, weight in group.members}
        self._standing[group.name] = standing
        order = sorted(standing, key=standing.__getitem__, reverse=True)
        standing[order[0]] -= sum(weight for _, weight in group.members)
        return order

    def expand(self, hops: tuple[Hop, ...]) -> tuple[Hop, ...]:
        """``hops`` with each group as the hops to its trunks; within a group a failure leads to the next."""
        found: list[Hop] = []
        for hop in hops:
            if hop.group is None:
                found.append(hop)
                continue
            on = hop.on or DEFAULT_FAILURES
            names = self.order(hop.group)
            found.append(replace(hop, trunk=names[0], group=None))
            found += [Hop(name, on, None, hop.edits) for name in names[1:]]
        return tuple(found)
