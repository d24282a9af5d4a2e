"""The entries of the blocklist: which addresses are refused, since when, until when, and why.

An entry ends by the monotonic clock, so that a wall clock which is set lengthens and shortens none; what is
written down for the next start has dates, and is cut to the longest time that an entry may have, should the
clock be another by then. Of IPv6 a /64 is one address (``sbc.policy.shares.source_of``).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Final

from sbc.policy.shares import source_of
from sbc.typed import fits

MOST: Final = 16384  # entries that were found; the oldest makes room
MOST_ADDED: Final = 16384  # entries of operators; beyond that none is taken
OPERATOR: Final = "operator"
TOTALS: Final = ""  # what the counts are kept under: no address


class Block:
    """One address that is refused; moments are monotonic.

    ``kind`` is what it was blocked for, ``operator`` where ``by`` says who did it; ``lasts`` is for how long,
    in seconds; ``refused`` counts what was turned away since.
    """

    __slots__ = ("by", "ends", "kind", "lasts", "note", "refused", "since", "source", "why")

    def __init__(
        self, source: str, kind: str, why: str, lasts: float, at: float, by: str = "", note: str = ""
    ) -> None:
        self.source = source
        self.kind = kind
        self.why = why
        self.lasts = lasts
        self.since = at
        self.ends = at + lasts
        self.by = by
        self.note = note
        self.refused = 0

    @property
    def found(self) -> bool:
        """Whether it came about by evidence, and not by an operator."""
        return self.kind != OPERATOR


class Blocks:
    """Every entry; ``counts`` has how many there ever were, by kind, ``refused`` what they turned away."""

    __slots__ = ("_added", "_changed", "_found", "_next", "counts", "refused")

    def __init__(self) -> None:
        self._found: OrderedDict[str, Block] = OrderedDict()
        self._added: dict[str, Block] = {}
        self._changed: dict[str, None] = {}
        self._next = float("inf")
        self.counts: dict[str, int] = {}
        self.refused = 0

    def __len__(self) -> int:
        return len(self._found) + len(self._added)

    @property
    def lifetime(self) -> int:
        """How many entries there ever were."""
        return sum(self.counts.values())

    def refuses(self, host: str, at: float) -> bool:
        """Whether ``host`` is turned away at ``at`` (monotonic); counts that."""
        if not self._found and not self._added:
            return False
        block = self.of(source_of(host))
        if block is None or block.ends <= at:
            return False
        block.refused += 1
        self.refused += 1
        return True

    def of(self, source: str) -> Block | None:
        """The entry of ``source``, an address as it counts; None for none."""
        return self._added.get(source) or self._found.get(source)

    def put(self, block: Block) -> bool:
        """Add an entry, in the place of an earlier one; False where operators have too many."""
        source = block.source
        if not block.found and len(self._added) >= MOST_ADDED and source not in self._added:
            return False
        former = self.lift(source)
        if former is not None:
            block.refused += former.refused
        self.counts[block.kind] = self.counts.get(block.kind, 0) + 1
        self._changed[TOTALS] = None
        self._keep(block)
        return True

    def _keep(self, block: Block) -> None:
        self._changed[block.source] = None
        if block.found:
            self._found[block.source] = block
            if len(self._found) > MOST:
                self._changed[self._found.popitem(last=False)[0]] = None
        else:
            self._added[block.source] = block
        self._next = min(self._next, block.ends)

    def lift(self, source: str) -> Block | None:
        """Take an entry out; None where there is none."""
        found = self._found.pop(source, None)
        taken = self._added.pop(source, None) or found
        if taken is not None:
            self._changed[source] = None
        return taken

    def ended(self, at: float) -> list[Block]:
        """Take out the entries whose time is over at ``at``."""
        if at < self._next:
            return []
        over = [each for each in self if each.ends <= at]
        for each in over:
            self.lift(each.source)
        self._next = min([each.ends for each in self], default=float("inf"))
        return over

    def cut(self, lasts: float, at: float) -> None:
        """Let no entry that was found last longer than ``lasts`` seconds from ``at``."""
        for each in self._found.values():
            if each.ends > at + lasts:
                each.ends = at + lasts
                self._changed[each.source] = None
            self._next = min(self._next, each.ends)

    def __iter__(self) -> Iterator[Block]:
        """Every entry, those of operators first."""
        return iter([*self._added.values(), *self._found.values()])

    # What survives a restart

    def rows(self, now: float, at: float) -> list[dict[str, Any]]:
        """Every entry with dates for moments, as JSON types; ``now`` (POSIX seconds) is the moment ``at``."""
        return [_row(each, now, at) for each in self if each.ends > at]

    def whole(self, now: float, at: float) -> dict[str, Any]:
        """All of it by address, and under "" the counts, as JSON types."""
        self._changed.update(dict.fromkeys([each.source for each in self]))
        self._changed[TOTALS] = None
        return self.changes(now, at)

    def changes(self, now: float, at: float) -> dict[str, Any]:
        """The same of what has changed since this was asked last; None for an entry that is gone."""
        changed, self._changed = self._changed, {}
        found: dict[str, Any] = {}
        for source in changed:
            block = self.of(source)
            found[source] = _row(block, now, at) if block is not None and block.ends > at else None
        if TOTALS in changed:
            found[TOTALS] = {"counts": dict(self.counts), "refused": self.refused}
        return found

    def restore(self, source: str, saved: Any, lasts: float, now: float, at: float) -> bool:
        """Take up one of what ``whole`` gave, False for what is over; ValueError where it is anything else.

        What was found lasts ``lasts`` seconds from now at most, an operator's entry as long as was said.
        """
        if source == TOTALS:
            if not fits(saved, dict[str, Any]) or type(saved.get("refused")) is not int:
                raise ValueError("these are no counts")
            if set(saved) != {"counts", "refused"} or not fits(saved["counts"], dict[str, int]):
                raise ValueError("these are no counts")
            self.counts, self.refused = dict(saved["counts"]), saved["refused"]
            return True
        if not _is_whole(saved) or saved["address"] != source or source_of(source) != source:
            raise ValueError("it is no entry of a blocklist")
        block = Block(
            source, saved["kind"], saved["why"], float(saved["lasts"]), at, saved["by"], saved["note"]
        )
        left = min(saved["until"] - now, block.lasts)
        block.since, block.refused = at + saved["since"] - now, saved["refused"]
        block.ends = at + (min(left, lasts) if block.found else left)
        if block.ends <= at or (not block.found and len(self._added) >= MOST_ADDED):
            return False
        self._keep(block)
        return True


def _row(each: Block, now: float, at: float) -> dict[str, Any]:
    return {
        "address": each.source, "kind": each.kind, "why": each.why, "since": now + each.since - at,
        "until": now + each.ends - at, "lasts": each.lasts, "by": each.by, "note": each.note,
        "refused": each.refused,
    }  # fmt: skip


def _is_whole(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() == _ROW.keys()
        and all([fits(row[name], kind) for name, kind in _ROW.items()])
    )


_ROW: Final[dict[str, Any]] = {
    "address": str, "kind": str, "why": str, "since": float, "until": float, "lasts": float, "by": str,
    "note": str, "refused": int,
}  # fmt: skip
