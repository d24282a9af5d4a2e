"""Memory is given back: the busy hour's after its last call, a replaced configuration's after a while.

Calls free their objects by reference count; the collector only has to find the odd cycle, and what there is
when we start is never looked through. What connections leave (OpenSSL knows no arenas) is given back when
many are gone, also while others call.
"""

from __future__ import annotations

import ctypes
import gc
import math
from collections.abc import Callable

from sbc.b2bua.engine import Engine
from sbc.config.snapshot import SnapshotStore
from sbc.sip.grammar import forget_recent

# With its default threshold the collector would look through every live call a hundred times a second.
COLLECT_AFTER = 50_000
# When the calls and transactions (RFC 3261 17: 32 s) of a replaced configuration are mostly over.
OUTLIVED = 40.0
# So many connections that are gone have left something. It is given back when for ``QUIET`` seconds hardly
# any more have gone, ``FEW`` in one, and no oftener than ``OFTEN``: it takes some milliseconds.
MANY = 50
FEW = 5
QUIET = 25.0
OFTEN = 60.0
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it


class Upkeep:
    """One for the process; ``gone`` says how many connections are, since the start."""

    def __init__(self, engine: Engine, store: SnapshotStore, gone: Callable[[], int]) -> None:
        self._engine = engine
        self._store = store
        self._gone = gone
        self._last = self._given = 0  # how many were when we looked last, and when memory was given back
        self._busy_at = -math.inf
        self._given_at = -math.inf
        self._tidied = True
        self._tidy_at = math.inf

    def start(self) -> None:
        """All is assembled: nothing of it is garbage."""
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER, 20, 20)

    def replaced(self, at: float) -> None:
        """A configuration was replaced at ``at`` (monotonic)."""
        self._tidy_at = min(self._tidy_at, at + OUTLIVED)

    def tick(self, at: float) -> None:
        """Tidy up where it is time: called once a second.

        A full collection also empties the interpreter's free lists, which pin its arenas; on an SBC that is
        never quiet, what a configuration leaves (OpenSSL's above all) would stay as holes in the heap.
        """
        quiet = not self._engine.calls and not len(self._engine.transactions)
        if (quiet and not self._tidied) or at >= self._tidy_at:
            self._tidy_at = math.inf
            forget_recent()
            if self._store.replaced:
                gc.unfreeze()  # hooks make cycles: only where something stays is all of it looked through
            gc.collect()
            gc.freeze()
            self._trim(at)
        self._tidied = quiet
        self._look_at_connections(at)

    def _look_at_connections(self, at: float) -> None:
        """Give back what connections have left, once hardly any more go."""
        before, self._last = self._last, self._gone()
        if self._last - before > FEW:
            self._busy_at = at
        elif self._last - self._given >= MANY and at >= max(self._busy_at + QUIET, self._given_at + OFTEN):
            self._trim(at)

    def _trim(self, at: float) -> None:
        self._given, self._given_at = self._last, at
        if _malloc_trim is not None:
            _malloc_trim(0)
