"""What the releases before kept in files of their own, as entries of today's shelves.

Until November 2026 each had ``NAME.json``, written whole, and who is registered was in ``registrations.db``.
Such a file is taken over wherever one lies, and goes once its entries are on the disk
(``sbc.net.system.store``). One that cannot be read is put aside.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from base64 import b64decode
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from sbc.net.system.database import ASIDE, remove

Entries = Mapping[str, Any]


@dataclass(slots=True)
class Found:
    """The entries of the file at ``path``, and why that could not be read."""

    path: Path
    entries: Entries = field(default_factory=dict)
    problem: str = ""

    def remove(self) -> None:
        """It is taken over."""
        remove((self.path,))


def find_former(directory: Path, shelf: str) -> Found:
    """What a release before has left of ``shelf``; a file that is no good is put aside. It blocks."""
    path = directory / (_BINDINGS_FILE if shelf == _BINDINGS else f"{shelf}.json")
    if path.is_fifo():  # which would be waited for
        return Found(path)
    try:
        return Found(path, former(path, shelf))
    except FileNotFoundError:
        return Found(path)
    except OSError as error:
        return Found(path, problem=f"{path} cannot be read: {error.strerror}; let this user read it")
    except _WRONG as error:
        aside = path.with_suffix(ASIDE)
        with contextlib.suppress(OSError):
            path.replace(aside)
        why = f"{path} cannot be read ({type(error).__name__}): begun anew, put aside as {aside.name}"
        return Found(path, problem=why)


_WRONG: Final = (sqlite3.Error, AttributeError, LookupError, TypeError, ValueError, RecursionError)


def former(path: Path, shelf: str) -> Entries:
    """The entries in the file of ``shelf`` at ``path``. OSError, sqlite3.Error, ValueError and its like."""
    if shelf == _BINDINGS:
        return _bindings(path)
    saved = json.loads(path.read_bytes())
    return _ENTRIES[shelf](saved) if shelf in _ENTRIES else {}


# Each shelf


def _as_it_is(saved: dict[str, Any]) -> Entries:
    return dict(saved.items())


def _acme(saved: dict[str, Any]) -> Entries:
    parts = (("account", "accounts"), ("failed", "failed"), ("unbound", "unbound"))
    return {f"{part} {name}": each for part, of in parts for name, each in saved.get(of, {}).items()}


def _blocklist(saved: dict[str, Any]) -> Entries:
    blocked = {row["address"]: row for row in saved["blocked"]}
    return {**blocked, "": {"counts": saved["counts"], "refused": saved["refused"]}}


def _ledger(saved: dict[str, Any]) -> Entries:
    found: dict[str, Any] = {}
    for trunk, known in saved.items():
        for direction, side in known["sides"].items():
            found[f"side {direction} {trunk}"] = {"trunk": trunk, "direction": direction, **side}
        for each in known["shown"]:
            leaf = hashlib.sha256(b64decode(each["chain"][0], validate=True)).hexdigest()
            found[f"shown {each['direction']} {leaf} {trunk}"] = {"trunk": trunk, **each}
    return found


def _optional(saved: dict[str, Any]) -> Entries:
    found: dict[str, Any] = {}
    for trunk, known in saved.items():
        found[f"since {trunk}"] = {"trunk": trunk, "since": known["since"]}
        for source, each in known["sources"].items():
            found[f"source {source} {trunk}"] = {"trunk": trunk, "source": source, **each}
    return found


def _revocation(saved: list[dict[str, Any]]) -> Entries:
    return {str(number): dict(each) for number, each in enumerate(saved)}


def _rotation(saved: dict[str, Any]) -> Entries:
    return {
        f"{part} {section} {name}": entry
        for part in ("entries", "retired")
        for section, name, entry in saved[part]
    }


_ENTRIES: Final[dict[str, Callable[[Any], Entries]]] = {
    "acme": _acme,
    "alerts": _as_it_is,
    "blocklist": _blocklist,
    "disabled-trunks": _as_it_is,
    "expiry": _as_it_is,
    "ledger": _ledger,
    "limits": _as_it_is,
    "optional": _optional,
    "remembered": _as_it_is,
    "revocation": _revocation,
    "rotation": _rotation,
}

_BINDINGS: Final = "bindings"
#: Every shelf that a release before had a file of.
SHELVES: Final = (*_ENTRIES, _BINDINGS)
_BINDINGS_FILE: Final = "registrations.db"
_PATH: Final = 10  # the column that is JSON


def _bindings(path: Path) -> Entries:
    """By user, as ``sbc.net.system.bindings`` keeps them: its rows were the same, column by column."""
    path.stat()
    found: dict[str, list[Any]] = {}
    with contextlib.closing(sqlite3.connect(path)) as db:
        for row in db.execute("select * from bindings"):
            values = list(row)
            values[_PATH] = json.loads(values[_PATH])
            found.setdefault(str(row[0]), []).append(values)
    return found
