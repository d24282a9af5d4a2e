"""Resident memory per established call: many calls held at once, less the idle server."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.chain import Load, chain
from bench.measure import resident_bytes
from bench.report import Row
from bench.servers import SERVERS, Server


def memory(who: Sequence[str] = ("kamailio", "portcullis"), calls: int = 1000, hold: float = 60) -> list[Row]:
    """Hold ``calls`` calls for ``hold`` seconds through each server, once."""
    rows = []
    for name in who:
        grown, failed = measure(SERVERS[name], calls, hold)
        note = f"{failed} failed"
        rows.append(Row(f"{calls} calls held {hold:g} s", name, (grown / calls / 1024,), "KiB/call", note))
    return rows


def measure(make: Server, calls: int, hold: float) -> tuple[int, int]:
    """Bytes that the server grew by at its peak, and how many calls failed.

    A server may give back what the first calls have taken only when these begin: it grows from there.
    """
    rate = max(50.0, calls / hold * 2)
    with TemporaryDirectory(prefix="bench-") as root, chain(Path(root), make) as (server, caller):
        with caller.calls(Load(20, 20)) as warm:
            warm.finish()
        idle, grown = resident_bytes(*server.leaders), 0
        with caller.calls(Load(calls, rate, int(hold * 1000))) as sipp:
            limit = time.monotonic() + calls / rate + hold
            while time.monotonic() < limit:
                time.sleep(0.5)
                now = resident_bytes(*server.leaders)
                idle = min(idle, now)
                grown = max(grown, now - idle)
            counts = sipp.finish(60)
    return grown, calls - counts.successful
