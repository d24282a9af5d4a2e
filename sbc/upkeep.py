"""Memory is given back: the busy hour's after its last call, a replaced configuration's after a while.

Calls free their objects by reference count; the collector only has to find the odd cycle, and what there is
when we start is never looked through. What many connections leave (OpenSSL knows no arenas) is given back
when most are gone, also while others call.
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
# So many connections at once leave something: it is given back when half of them have been gone for a while.
MANY = 50
GONE = 10.0  # seconds
_malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc alone has it


class Upkeep:
    """One for the process; ``connections`` says how many are open."""

    def __init__(self, engine: Engine, store: SnapshotStore, connections: Callable[[], int]) -> None:
        self._engine = engine
        self._store = store
        self._connections = connections
        self._most = 0  # connections since memory was given back
        self._gone_at = math.inf
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
            self._trim(0)
        self._tidied = quiet
        self._look_at_connections(at)

    def _look_at_connections(self, at: float) -> None:
        """Give back what connections have left, once most of them have been gone for a while."""
        count = self._connections()
        if count > self._most / 2:
            self._most = max(count, self._most)
            self._gone_at = math.inf
        elif self._most >= MANY and self._gone_at == math.inf:
            self._gone_at = at + GONE
        elif at >= self._gone_at:
            self._trim(count)

    def _trim(self, connections: int) -> None:
        self._most, self._gone_at = connections, math.inf
        if _malloc_trim is not None:
            _malloc_trim(0)
