"""The SBC of the demo: a process of its own, started, asked for its health, read and stopped."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import IO, Any

import gevent

from sbc.base import Address, LocalError

# The SBC runs from the tree that this runs from, installed or not, wherever it is started.
OWN_TREE = Path(__file__).resolve().parents[2]
START_LIMIT = 20.0  # seconds
STOP_LIMIT, ASK_AGAIN = 8.0, 0.5
_WORD = re.compile(r'(?<![\w-])([\w-]++)=(?:"((?:[^"\\]|\\.)*)"|(\S+))')
_unescape = re.compile(r"\\(.)").sub


class SbcProcess:
    """``sbc run`` on a directory; its journal goes to ``sbc.log`` there."""

    def __init__(self, directory: Path, admin: Address) -> None:
        self.admin = admin
        self.log = directory / "sbc.log"
        self._records = directory / "run" / "calls.jsonl"
        with self.log.open("wb") as out:
            self._process = self.begin(["run", "-c", str(directory)], out)

    def begin(self, words: list[str], out: IO[bytes]) -> subprocess.Popen[bytes]:
        """Start ``sbc WORDS`` with its output in ``out``."""
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "sbc.cli", *words],
            env={**os.environ, "PYTHONPATH": str(OWN_TREE)},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ended(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def wait_ready(self, seconds: float = START_LIMIT) -> dict[str, Any]:
        """Its health, once every port listens; raises LocalError with its log where it never does."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self._process.poll() is None:
            health = self._health()
            if health and all(port["state"] == "listening" for port in health["ports"]):
                return health
            gevent.sleep(0.05)
        raise LocalError(f"the SBC did not start:\n{self.log.read_text(errors='replace')[-3000:]}")

    def find(self, tag: str, seconds: float = 3.0) -> dict[str, str]:
        """The words of the first line of the journal with ``tag``, waiting for it; {} where none came."""
        deadline = time.monotonic() + seconds
        while True:
            for line in whole_lines(self.log).splitlines():
                if tag in line:
                    return words(line)
            if time.monotonic() > deadline:
                return {}
            gevent.sleep(0.05)

    def call_record(self, seconds: float = 3.0) -> dict[str, Any]:
        """The first call record, waiting for it; {} where none came."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self._records.exists() and (lines := whole_lines(self._records).splitlines()):
                record: dict[str, Any] = json.loads(lines[0])
                return record
            gevent.sleep(0.05)
        return {}

    def stop(self) -> int:
        """Ask it to stop, again where it waits for its calls to end, insist if need be; its exit status."""
        deadline, ask_again = time.monotonic() + STOP_LIMIT, 0.0
        while self._process.poll() is None and time.monotonic() < deadline:
            if time.monotonic() >= ask_again:
                self._process.terminate()
                ask_again = time.monotonic() + ASK_AGAIN
            gevent.sleep(0.05)
        if self._process.poll() is None:
            self._process.kill()
        return self._process.wait()

    def _health(self) -> dict[str, Any] | None:
        connection = http.client.HTTPConnection(self.admin.host, self.admin.port, timeout=1)
        try:
            connection.request("GET", "/sip-tls/health")
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        except (OSError, http.client.HTTPException, ValueError):
            return None
        finally:
            connection.close()


def whole_lines(path: Path) -> str:
    """What a file has by now, but a line that is half written: who reads while another writes may see one."""
    text = path.read_text(errors="replace")
    return text[: text.rfind("\n") + 1]


def words(line: str) -> dict[str, str]:
    """The ``name=value`` words of a line of the journal."""
    return {name: plain or _unescape(r"\1", quoted) for name, quoted, plain in _WORD.findall(line)}
