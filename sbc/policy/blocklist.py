"""The blocklist: whom evidence makes us refuse at accept, and who is never refused (rows S4, S10).

Nobody is blocked by mistake who matters: not the machine itself, private networks and the local link
(``exempt``), and not a host that a trunk names singly, among its ``sources`` or ``peers``: its certificate
may just have expired, and an hour without it would make that worse. Such a one is told of, with its trunk,
once in the time that it would have been blocked for. Whoever is of a network of a trunk counts. A load
balancer is never blocked either, for it stands for all that it passes on.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from sbc.policy.blocks import OPERATOR, Block, Blocks
from sbc.policy.exempt import exempt
from sbc.policy.shares import source_of
from sbc.policy.suspicion import Kind, Suspicions, Terms

_MOST_SPARED: Final = 1024
# This machine has one address of that /64, and nobody else has another.
_OWN: Final = source_of("::1")

# Who names a source, an address as it counts, singly, such as ``trunk carrier``; "" for nobody.
Named = Callable[[str], str]


class Spared(NamedTuple):
    """A source that would be blocked for ``why`` if ``by``, a trunk say, did not name it."""

    source: str
    by: str
    why: str


def never_blocked(source: str) -> bool:
    """Whether ``source``, an address as it counts, is or holds one that is exempt."""
    return source == _OWN or exempt(source.partition("/")[0])


class Blocklist:
    """One for the process; ``terms`` is None where nobody is blocked. Moments are monotonic."""

    __slots__ = ("_named", "_spared", "blocks", "suspicions", "terms")

    def __init__(self, terms: Terms | None, named: Named) -> None:
        self.terms = terms
        self.blocks = Blocks()
        self.suspicions = Suspicions()
        self._named = named
        self._spared: OrderedDict[str, float] = OrderedDict()

    def note(self, host: str, kind: Kind, at: float, user: str = "", why: str = "") -> Block | Spared | None:
        """Count one piece of evidence against ``host``; what comes of it where it is too much by now.

        ``user`` is whose password was tried; ``why`` is what makes a ``scanner`` one.
        """
        terms, source = self.terms, source_of(host)
        if terms is None or never_blocked(source):
            return None
        known = self.blocks.of(source)
        if (known is not None and known.ends > at) or self._spared.get(source, at) > at:
            return None
        if kind != "scanner":
            why = self.suspicions.note(source, kind, user, terms, at)
        if not why:
            return None
        self.suspicions.forget(source)
        by = self._named(source)
        if by:
            self._spare(source, at + terms.lasts)
            return Spared(source, by, why)
        block = Block(source, kind, why, terms.lasts, at)
        self.blocks.put(block)
        return block

    def _spare(self, source: str, until: float) -> None:
        self._spared.pop(source, None)
        self._spared[source] = until
        if len(self._spared) > _MOST_SPARED:
            self._spared.popitem(last=False)

    def add(self, source: str, lasts: float, at: float, by: str, note: str) -> Block | None:
        """Block ``source``, an address as it counts: an operator says so; None where there is no room."""
        block = Block(source, OPERATOR, f"by {by}", lasts, at, by, note)
        return block if self.blocks.put(block) else None

    def apply(self, terms: Terms | None, at: float) -> list[Block]:
        """Other terms hold: the entries that are none any more."""
        self.terms = terms
        if terms is None:
            self.suspicions, over = Suspicions(), [*self.blocks]
            for each in over:
                self.blocks.lift(each.source)
            return over
        self.blocks.cut(terms.lasts, at)
        return self.lift_named()

    def lift_named(self) -> list[Block]:
        """Take out the entries of sources that somebody names by now."""
        named = [each for each in self.blocks if self._named(each.source)]
        for each in named:
            self.blocks.lift(each.source)
        return named
