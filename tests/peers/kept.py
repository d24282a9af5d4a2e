"""What an SBC has written down to outlive it, read and spoilt from outside."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sbc.net.system.database import FILE, look_in
from sbc.net.system.store import Store, entries


def kept(state: Path, shelf: str) -> dict[str, Any]:
    """What is on a shelf in the state directory, at this moment."""
    return entries(look_in(state / FILE, shelf))


def keep(state: Path, shelf: str, values: Mapping[str, Any]) -> None:
    """Write down these entries, in the place of a running SBC."""
    state.mkdir(exist_ok=True)
    store = Store(state, print)
    store.shelf(shelf, lambda key, value: True, lambda: values).changed()
    store.close()


def spoil(state: Path, statement: str) -> int:
    """Change the file of an SBC that does not run, by SQL; how many entries."""
    with closing(sqlite3.connect(state / FILE)) as db:
        count = db.execute(statement).rowcount
        db.commit()
    return count
