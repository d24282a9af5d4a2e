"""Faults of our own that nobody asked for: no test passes that leaves one on stderr or in a journal.

Whoever starts an SBC says here where its journal is (``watch``), and ``tests/conftest.py`` looks at the end
of each test: at what has come to each journal and to the call records beside it, and at what the test's own
process has printed. A test that provokes a fault on purpose is marked ``provokes`` with the reason. Nothing
excuses a secret (``tests/peers/canaries.py``) in any of it, nor in what pages and commands say.
"""

from __future__ import annotations

import http.client
import subprocess
from pathlib import Path
from typing import IO, Any

from sbc.base import Address
from sbc.demo.process import OWN_TREE, SbcProcess
from sbc.observe.cdr import RECORDS
from tests.peers import preloaded
from tests.peers.canaries import leaked
from tests.peers.waiting import PATIENCE

# The last is what compiled code says of a value that its annotation does not allow.
SIGNS = ("Traceback", "internal-error", "object expected; got")
AROUND = 12  # lines shown after the first sign

# What each page of a running SBC is asked for at its end.
PAGES = ("/", "/metrics", "/trust", "/sip-tls/health")

_journals: dict[Path, int] = {}
_read: dict[Path, int] = {}  # so much of each file of records
_pages: list[str] = []  # what pages said that no page may say


class Sbc(SbcProcess):
    """``sbc run`` on a directory, as the demo starts it, with its journal watched."""

    def __init__(self, directory: Path, admin: Address) -> None:
        super().__init__(directory, admin)
        watch(self.log)

    def begin(self, words: list[str], out: IO[bytes]) -> subprocess.Popen[bytes]:
        """The same, of a copy where there are copies."""
        return preloaded.start(OWN_TREE, words, cwd=Path.cwd(), out=out) or super().begin(words, out)

    def wait_ready(self, seconds: float = 3 * PATIENCE) -> dict[str, Any]:
        """The same, with a busy machine in mind."""
        return super().wait_ready(seconds)

    def stop(self) -> int:
        """The same, after a look at its pages."""
        if self.ended() is None:
            _look_at_pages(self.admin)
        return super().stop()


def watch(journal: Path) -> None:
    """Have what is written to ``journal`` from now on looked at."""
    _journals.setdefault(journal, journal.stat().st_size if journal.exists() else 0)


def _look_at_pages(admin: Address) -> None:
    for path in PAGES:
        connection = http.client.HTTPConnection(admin.host, admin.port, timeout=2)
        try:
            connection.request("GET", path)
            said = connection.getresponse().read().decode(errors="replace")
        except (OSError, http.client.HTTPException):
            return  # it is busy, or no longer there: a test that looks at pages says so itself
        finally:
            connection.close()
        if secret := leaked(said):
            _pages.append(f"{path}:\n{secret}")


def in_journals() -> tuple[list[str], list[str]]:
    """What has come to the journals since the last time, each with its file: faults, and secrets."""
    faults: list[str] = []
    secrets = _pages.copy()
    _pages.clear()
    for journal in list(_journals):
        if not journal.exists():
            del _journals[journal]
            continue
        fresh = _fresh(journal)
        if fault := in_text(fresh):
            faults.append(f"{journal}:\n{fault}")
        for file, text in ((journal, fresh), *((each, _fresh(each)) for each in _records(journal))):
            if secret := leaked(text):
                secrets.append(f"{file}:\n{secret}")
    return faults, secrets


def _fresh(file: Path) -> str:
    """What was added since the last time; of one that is begun anew, which is shorter, all."""
    seen, size = _journals.get(file, _read.get(file, 0)), file.stat().st_size
    if size == seen:
        return ""
    (_journals if file in _journals else _read)[file] = size
    with file.open("rb") as opened:
        opened.seek(seen if size > seen else 0)
        return opened.read().decode(errors="replace")


def _records(journal: Path) -> list[Path]:
    """The call records of the SBC whose journal that is, in what the labs call its state."""
    found = [each for state in ("run", "state") for each in (journal.parent / state).glob(f"{RECORDS}*")]
    return [each for each in found if each.is_file()]


def in_text(text: str) -> str:
    """The first fault in what was printed, with what follows it; "" where there is none."""
    lines = text.splitlines()
    for at, line in enumerate(lines):
        if any(sign in line for sign in SIGNS):
            return "\n".join(lines[at : at + AROUND])
    return ""
