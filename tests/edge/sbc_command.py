"""The command ``sbc`` as an operator runs it: a process, its exit status, what it printed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gevent
from gevent import subprocess

from tests.peers.canaries import leaked
from tests.peers.faults import in_text
from tests.peers.product import command

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Outcome:
    """How one command ended."""

    status: int
    out: str
    err: str

    def refused_in_one_line(self) -> str:
        """The one line on standard error that says why nothing happened; never a traceback."""
        assert self.status == 1, self
        (line,) = self.err.splitlines()
        assert line.startswith("sbc: "), line
        return line


def sbc(directory: Path | str, *words: str, seconds: float = 30) -> Outcome:
    """Run ``sbc WORDS -c DIRECTORY`` to its end; other greenlets go on meanwhile."""
    argv = command(*words, "-c", str(directory))
    process = subprocess.Popen(
        argv, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        with gevent.Timeout(seconds):
            out, err = process.communicate()
    finally:
        if process.poll() is None:
            process.kill()
    outcome = Outcome(process.returncode, out.decode(), err.decode())
    assert not (fault := in_text(outcome.out + outcome.err)), fault
    if words[0] != "user" and "--secrets" not in words:  # a line of a users file, and what is asked for
        assert not (secret := leaked(outcome.out + outcome.err)), secret
    return outcome
