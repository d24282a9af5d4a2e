"""Memory is given back: the busy hour's after its last call, a replaced configuration's after a while.

Calls free their objects by reference count; the collector only has to find the odd cycle, and what there is
when we start is never looked through.
"""

from __future__ import annotations

import ctypes
import gc
import math

from sbc.b2bua.engine import Engine
from sbc.config.snapshot import SnapshotStore
from sbc.sip.grammar import forget_recent

# With its default threshold the collector would look through every live call a hundred times a second.
COLLECT_AFTER = 50_000
# When the calls and transactions (RFC 3261 17: 32 s) of a replaced configuration are mostly over.
OUTLIVED = 40.0
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it


class Upkeep:
    """One for the process."""

    def __init__(self, engine: Engine, store: SnapshotStore) -> None:
        self._engine = engine
        self._store = store
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
            if _malloc_trim is not None:
                _malloc_trim(0)
        self._tidied = quiet
