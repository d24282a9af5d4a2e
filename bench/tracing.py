"""What it costs to keep the last messages, and to show all of them live: CPU of the server for a call.

One server carries calls over mutual TLS, as in `bench.signalling`, for a while as it is and for a while
with a `sbc trace` that shows all of it to nobody and has the load's core; and so on in turn. What the ring
takes of a call is less than two runs differ by, so it is counted in memory: what it costs to tell it of a
message, for as many as a call has.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.chain import chain
from bench.core import core
from bench.measure import LOAD_CORE, median
from bench.report import Row
from bench.servers import portcullis
from bench.signalling import Run, run, warm_up
from tests.peers.process import PeerProcess
from tests.peers.product import command

RATE = 50.0
MESSAGES = 15  # of a call, on both its sides


@contextmanager
def _followed(server: PeerProcess, directory: Path) -> Iterator[None]:
    """A reader of all that ``server`` has; the journal says when it has begun."""
    argv = [*command(), "trace", "-c", str(server.directory)]
    begun = server.log.read_bytes().count(b"event=begun")
    with PeerProcess("trace", directory, argv, cpu=LOAD_CORE):
        server.wait_until(lambda: server.log.read_bytes().count(b"event=begun") > begun, 30, "it is traced")
        yield


def tracing(seconds: float = 20, runs: int = 3, rate: float = RATE) -> list[Row]:
    """``runs`` turns, each without a trace and with one, at ``rate`` calls a second."""
    bare: list[Run] = []
    traced: list[Run] = []
    with TemporaryDirectory(prefix="bench-") as name, chain(Path(name), portcullis) as (server, caller):
        warm_up(caller, rate, seconds)
        for turn in range(runs):
            bare.append(run(server, caller, rate, seconds))
            with _followed(server, Path(name, f"trace{turn}")):
                traced.append(run(server, caller, rate, seconds))
    told = [MESSAGES * row.costs[0] for row in core() if row.work.startswith("tell the rings")]
    part = told[0] / (median([each.per_call for each in bare]) * 1e6)
    more = median([after.per_call / before.per_call for before, after in zip(bare, traced, strict=True)]) - 1
    return [
        _row(f"a call, {rate:g}/s", "a ring of 200", bare, ""),
        _row(f"a call, {rate:g}/s", "and a trace", traced, f"; turn by turn {more:+.1%}"),
        Row("the ring's part of a call", "in memory", tuple(told), "us CPU", f"{part:.1%} of it"),
    ]


def _row(work: str, who: str, runs: list[Run], more: str) -> Row:
    costs = tuple(each.per_call * 1e6 for each in runs)
    return Row(work, who, costs, "us CPU", f"{sum(each.failed for each in runs)} failed{more}")
