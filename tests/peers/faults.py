"""Faults of our own that nobody asked for: no test passes that leaves one on stderr or in a journal.

Whoever starts an SBC says here where its journal is (``watch``), and ``tests/conftest.py`` looks at the end
of each test: at what has come to each journal, and at what the test's own process has printed. A test that
provokes a fault on purpose is marked ``provokes`` with the reason.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sbc.base import Address
from sbc.demo.process import SbcProcess
from tests.peers.waiting import PATIENCE

# The last is what compiled code says of a value that its annotation does not allow.
SIGNS = ("Traceback", "internal-error", "object expected; got")
AROUND = 12  # lines shown after the first sign

_journals: dict[Path, int] = {}


class Sbc(SbcProcess):
    """``sbc run`` on a directory, as the demo starts it, with its journal watched."""

    def __init__(self, directory: Path, admin: Address) -> None:
        super().__init__(directory, admin)
        watch(self.log)

    def wait_ready(self, seconds: float = 3 * PATIENCE) -> dict[str, Any]:
        """The same, with a busy machine in mind."""
        return super().wait_ready(seconds)


def watch(journal: Path) -> None:
    """Have what is written to ``journal`` from now on looked at."""
    _journals.setdefault(journal, journal.stat().st_size if journal.exists() else 0)


def in_journals() -> list[str]:
    """The faults that have come to the journals since the last time, each with its file."""
    found = []
    for journal, seen in list(_journals.items()):
        if not journal.exists():
            del _journals[journal]
            continue
        data = journal.read_bytes()
        # A journal that is begun anew is shorter than what was seen of it.
        fresh = data[seen:] if len(data) >= seen else data
        _journals[journal] = len(data)
        if fault := in_text(fresh.decode(errors="replace")):
            found.append(f"{journal}:\n{fault}")
    return found


def in_text(text: str) -> str:
    """The first fault in what was printed, with what follows it; "" where there is none."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if any(sign in line for sign in SIGNS):
            return "\n".join(lines[at : at + AROUND])
    return ""
