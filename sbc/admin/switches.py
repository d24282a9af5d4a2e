"""Trunks that an operator switches off and on while the SBC runs: ``sbc trunks disable`` and ``enable``.

What is switched off stays so over restarts and reloads, until it is switched on again. A file that says
``enabled: false`` is stronger than either.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sbc.base import LocalError
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.config.switched import STATE
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.observe.times import day

Amend = Callable[[Callable[[Snapshot], Snapshot]], None]
Say = Callable[[str, str, dict[str, Any]], object]


class Switches:
    """Which trunks are off, with why; ``amend`` puts what is made of the snapshot in force, in its place."""

    def __init__(self, snapshots: SnapshotStore, saved: Store, clock: Clock, say: Say, amend: Amend) -> None:
        self._snapshots = snapshots
        self._clock = clock
        self._say = say
        self._amend = amend
        self._off: dict[str, str] = {}
        self._shelf = saved.shelf(STATE, self._take, lambda: self._off)

    def _take(self, trunk: str, why: Any) -> None:
        if not isinstance(why, str):
            raise ValueError("it is no reason")
        self._off[trunk] = why

    def adopt(self, fresh: Snapshot) -> Snapshot:
        """A snapshot just built, without the trunks that are off."""
        return fresh.switching_off(self._off)

    def take_back(self) -> None:
        """The snapshot adopted last does not come into force: nothing depends on it."""

    def disable(self, trunk: str, by: str = "") -> dict[str, Any]:
        """Switch ``trunk`` off: its calls go on to their end, and none begins; LocalError if unknown."""
        self._known(trunk)
        why = f"by {by or 'an operator'} on {day(self._clock.now())} UTC (sbc trunks disable)"
        return self._switch({**self._off, trunk: self._off.get(trunk, why)}, trunk, "disable", by)

    def enable(self, trunk: str, by: str = "") -> dict[str, Any]:
        """Switch ``trunk`` on again; LocalError where its file has it off."""
        found = self._known(trunk)
        if not found.enabled:
            why = self._snapshots.current.disabled[trunk]
            raise LocalError(f"trunk {trunk} stays disabled: {why}; change it there")
        return self._switch(
            {name: why for name, why in self._off.items() if name != trunk}, trunk, "enable", by
        )

    def _known(self, trunk: str) -> Any:
        trunks = self._snapshots.current.trunks
        if trunk not in trunks:
            raise LocalError(f"there is no trunk {trunk!r}; there are {', '.join(trunks)}")
        return trunks[trunk]

    def _switch(self, off: dict[str, str], trunk: str, act: str, by: str) -> dict[str, Any]:
        changed = (trunk in off) is not (trunk in self._off)
        if changed:
            former, self._off = self._off, off
            try:
                self._amend(self.adopt)
            except LocalError:
                self._off = former
                raise
            self._shelf.changed()
            self._shelf.wait()
            self._say("INF", "[operator]", {"act": f"trunks {act}", "trunk": trunk, "by": by or None})
        why = self._snapshots.current.disabled.get(trunk, "")
        return {"trunk": trunk, "enabled": not why, "changed": changed, "why": why}
