"""CPU per call with mutual TLS on both sides: seven messages in, eight out; media is set up, none flows.

Two of Kamailio's jobs stand beside Portcullis's one. As a bare proxy it passes messages on; no media, no
record, nothing hidden. "The same job" is what an SBC does: see `bench.same_job`. Each as Debian starts it,
and with the memory manager that suits it best. The runs of Portcullis are the same in both rows.

The server has a core to itself and the load another. Runs are interleaved, server A, server B,
A, B, so that a change of the machine's mood falls on both. The first calls of each run, which
include the TLS handshakes and open each media port, are not measured: an SBC has both behind it soon.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.chain import Caller, Load, chain
from bench.measure import cpu_seconds
from bench.report import Row
from bench.servers import CALLS, SERVERS, Server
from tests.peers.process import PeerProcess

OURS = "portcullis"
PEERS = {
    "call, mutual TLS twice, beside a bare proxy": ("kamailio", "kamailio, tlsf"),
    "the same job, mutual TLS twice": ("kamailio+rtpengine", "kamailio+rtpengine, tlsf"),
}


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
        warm_up(caller, rate, seconds)
        return run(server, caller, rate, seconds)


def warm_up(caller: Caller, rate: float, seconds: float) -> None:
    """The first calls, of which none counts."""
    with caller.calls(Load(20, 20)) as warm:
        warm.finish()
    with caller.calls(Load(min(CALLS, int(rate * seconds)), min(200, rate))) as warm:
        warm.finish(seconds + 60)


def run(server: PeerProcess, caller: Caller, rate: float, seconds: float) -> Run:
    """What ``rate`` calls a second cost ``server`` for so long."""
    load = Load(int(rate * seconds), rate)
    cpu, began = cpu_seconds(*server.leaders), time.monotonic()
    with caller.calls(load) as sipp:
        counts = sipp.finish(seconds + 60)
    spent, took = cpu_seconds(*server.leaders) - cpu, time.monotonic() - began
    failed = load.calls - counts.successful
    return Run(spent / max(1, counts.successful), failed, counts.created / took, spent / took)


def signalling(
    rate: float = 200, seconds: float = 20, runs: int = 3, beside: Mapping[str, Sequence[str]] = PEERS
) -> list[Row]:
    """Interleave ``runs`` runs of Portcullis and the peers, by their job, at ``rate`` calls a second."""
    done: dict[str, list[Run]] = {name: [] for name in (*itertools.chain(*beside.values()), OURS)}
    for _ in range(runs):
        for name, results in done.items():
            results.append(measure(SERVERS[name], rate, seconds))
    return [
        _row(f"{job}, {rate:g}/s", name, done[name])
        for job, peers in beside.items()
        for name in (*peers, OURS)
    ]


def _row(work: str, name: str, runs: list[Run]) -> Row:
    failed, core = sum(run.failed for run in runs), max(run.core for run in runs)
    reached = min(run.reached for run in runs)
    costs = tuple(run.per_call * 1e6 for run in runs)
    note = f"{failed} failed; {core:.0%} of a core; {reached:.0f}/s reached"
    return Row(work, name, costs, "us CPU", note)
