"""CPU per call with mutual TLS on both sides: seven messages in, eight out, no media.

The server has a core to itself and the load another. Runs are interleaved, server A, server B,
A, B, so that a change of the machine's mood falls on both. The first calls of each run, which
include the TLS handshakes, are not measured.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.chain import Load, chain
from bench.measure import cpu_seconds
from bench.report import Row
from bench.servers import SERVERS, Server


@dataclass(frozen=True, slots=True)
class Run:
    """One run: CPU seconds of the server a call, failed calls, calls a second, part of one core used."""

    per_call: float
    failed: int
    reached: float
    core: float


def measure(make: Server, rate: float, seconds: float) -> Run:
    """Run the load once against a fresh server."""
    with TemporaryDirectory(prefix="bench-") as root, chain(Path(root), make) as (server, caller):
        with caller.calls(Load(20, 20)) as warm:
            warm.finish()
        load = Load(int(rate * seconds), rate)
        cpu, began = cpu_seconds(server.pid), time.monotonic()
        with caller.calls(load) as sipp:
            counts = sipp.finish(seconds + 60)
        spent, took = cpu_seconds(server.pid) - cpu, time.monotonic() - began
    failed = load.calls - counts.successful
    return Run(spent / max(1, counts.successful), failed, counts.created / took, spent / took)


def signalling(who: Sequence[str], rate: float = 200, seconds: float = 20, runs: int = 3) -> list[Row]:
    """Interleave ``runs`` runs of each server at ``rate`` calls a second."""
    done: dict[str, list[Run]] = {name: [] for name in who}
    for _ in range(runs):
        for name in who:
            done[name].append(measure(SERVERS[name], rate, seconds))
    return [_row(name, rate, results) for name, results in done.items()]


def _row(name: str, rate: float, runs: list[Run]) -> Row:
    failed, core = sum(run.failed for run in runs), max(run.core for run in runs)
    reached = min(run.reached for run in runs)
    costs = tuple(run.per_call * 1e6 for run in runs)
    note = f"{failed} failed; {core:.0%} of a core; {reached:.0f}/s reached"
    return Row(f"call, mutual TLS twice, {rate:g}/s", name, costs, "us CPU", note)
