"""What a reload costs those who speak meanwhile: how late a timer comes that carries media, in milliseconds.

A greenlet wakes every 2 ms and sends what 200 calls would send in that time. Beside it a configuration of
many rules and 500 trunks is built, once on a quiet hub for comparison.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import gevent

from bench.report import Row
from bench.rules import write
from sbc.config.load import build_snapshot
from sbc.config.snapshot import SnapshotStore
from sbc.reload import build_beside_calls

TRUNKS = 500
_PERIOD, _PACKETS = 0.002, 20


class Listener:
    """Hears how late each wake-up comes."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self._ends = socket.socketpair()
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        here, there = self._ends
        while True:
            due = time.perf_counter() + _PERIOD
            gevent.sleep(_PERIOD)
            for _ in range(_PACKETS):
                here.send(bytes(172))
                there.recv(200)
            self.late.append((time.perf_counter() - due) * 1000)

    def p99(self) -> float:
        """The 99th percentile of what was heard since the last time, in milliseconds."""
        late, self.late = sorted(self.late), []
        return late[int(len(late) * 0.99)]

    def close(self) -> None:
        """Hear nothing more."""
        self._greenlet.kill()
        for end in self._ends:
            end.close()


def reloads() -> list[Row]:
    """A row for 300, 3,000 and 10,000 rules."""
    return [row for rules in (300, 3_000, 10_000) for row in _reload(rules)]


def _reload(rules: int) -> list[Row]:
    with TemporaryDirectory(prefix="bench-") as root:
        write(Path(root), rules, TRUNKS)
        store = SnapshotStore(build_snapshot(root, time.time()))
        listener = Listener()
        gevent.sleep(1)
        quiet = listener.p99()
        store.swap(build_beside_calls(Path(root), time.time(), store.current))
        building = listener.p99()
        while store.let_go(200):
            gevent.sleep(0.02)
        releasing = listener.p99()
        listener.close()
    what = f"p99 of a timer's delay, {rules:,} rules and {TRUNKS} trunks"
    return [
        Row(f"{what}: nothing is built", "portcullis", (quiet,), "ms"),
        Row(f"{what}: while they are built", "portcullis", (building,), "ms"),
        Row(f"{what}: while the former ones are let go", "portcullis", (releasing,), "ms"),
    ]
