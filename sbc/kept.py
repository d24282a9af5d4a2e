"""What a running SBC keeps over a restart of what it has seen and decided: a shelf of the store each.

What has a home of its own in ``sbc.net`` or ``sbc.admin`` (the blocklist, revocation, ACME, rotations,
switches, the calendar of expiry) asks for its shelf there. These know neither a store nor a clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sbc.b2bua.engine import Engine
from sbc.config.snapshot import SnapshotStore
from sbc.net.system.bindings import BindingStore
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store, Take
from sbc.observe.recorder import Recorder

LEDGER: Final = "ledger"
#: What every handshake changes is written at most so often, in seconds: a chain is a few kilobytes.
LEDGER_EVERY: Final = 10.0


def keep_observed(store: Store, recorder: Recorder, snapshots: SnapshotStore) -> None:
    """What handshakes showed, of the trunks that there are."""

    def of_ours(restore: Callable[[str, Any], object]) -> Take:
        def take(key: str, saved: Any) -> bool:
            if isinstance(saved, dict) and saved.get("trunk") not in snapshots.current.trunks:
                return False
            restore(key, saved)
            return True

        return take

    ledger, optional = recorder.ledger, recorder.optional
    store.shelf(LEDGER, of_ours(ledger.restore), ledger.whole, ledger.changes, every=LEDGER_EVERY)
    store.shelf("optional", of_ours(optional.restore), optional.whole, optional.changes, every=LEDGER_EVERY)


def keep_decided(store: Store, engine: Engine, clock: Clock) -> BindingStore:
    """Who is registered, what is spent of limits, and what rules had remembered.

    What calls count by is kept ahead of the commit: before anybody hears of what it counts.
    """
    now, at = clock.now(), clock.monotonic()
    spent, memory, registrar = engine.rule_limits.allowances, engine.memory, engine.registrar
    bindings = BindingStore(store, now, lambda: registrar)
    registrar.restore(bindings.found)
    store.shelf(
        "limits", lambda key, row: spent.restore(key, row, at, now), spent.whole, spent.changes, ahead=True
    )
    store.shelf(
        "remembered", lambda text, until: memory.restore(text, until, now), memory.whole, memory.changes,
        ahead=True,
    )  # fmt: skip
    return bindings
