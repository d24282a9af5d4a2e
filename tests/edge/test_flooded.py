"""One authenticated peer floods a whole SBC with all that it can say: what is counted, told and kept of it.

How long others take meanwhile is measured by ``python -m bench floods``.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bench.flooder import KINDS
from bench.order import Order
from sbc.demo.lab import SBC_NAME
from sbc.flow import BURST
from tests.edge.attacked import ROOT, TO, Attacked, attacked
from tests.peers.asking import ask
from tests.peers.process import PeerProcess
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

SOURCE = "127.0.0.2"
RATE = 500
ARRIVAL = re.compile(r"^(\S+Z) INF \[sips-arrival\] .*method=OPTIONS .*remote=127\.0\.0\.2:", re.MULTILINE)
FLOODS = [kind for kind in KINDS if kind != "keepalives"]


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Attacked]:
    with attacked(tmp_path) as made:
        with (tmp_path / "sbc.yaml").open("a") as file:
            file.write(f"caps: {{messages_per_flow: {RATE}/s}}\n")
        assert ask(tmp_path / "run" / "sbc.sock", "reload")["changed"]
        yield made


@contextmanager
def flooding(running: Attacked, kind: str) -> Iterator[PeerProcess]:
    """The carrier floods, from an address of its own, until its messages have had to wait for a while."""
    tls = running.directory / "tls"
    order = Order(
        kind, running.ports.sips, SOURCE, cert=str(tls / "carrier.pem"), key=str(tls / "carrier.key"),
        ca=str(tls / "lab-ca.pem"), name=SBC_NAME,
    )  # fmt: skip
    argv = ["env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "bench.flooder", order.words()]
    before = held(running)
    with PeerProcess("flooder", running.directory, argv) as flooder:
        until(lambda: held(running) > before + RATE // 2, kind, fail=flooder.failed)
        yield flooder


def status(running: Attacked) -> Any:
    return ask(running.directory / "run" / "sbc.sock", "status")


def resident(running: Attacked) -> int:
    """The memory of the process, in KiB."""
    lines = Path(f"/proc/{running.sbc.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


def held(running: Attacked) -> int:
    (tls,) = (each for each in status(running)["listeners"] if each["name"] == "tls")
    return int(tls["inbound"]["held"])


def call(running: Attacked) -> None:
    """The office reaches the carrier, and hangs up."""
    made = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
    assert made.wait_up(30), made.reason
    made.hang_up()
    assert made.wait_over(30)
    made.link.close()


def test_floods_of_every_kind_are_bounded_told_and_forgotten(running: Attacked) -> None:
    memory: list[int] = []
    while len(memory) < 2 or memory[-1] > 1.05 * memory[-2]:
        assert len(memory) < 4, f"each time more is kept than the last: {memory} KiB"
        for kind in FLOODS:
            with flooding(running, kind):
                call(running)
        memory.append(resident(running))

    assert most_in_a_second(running.log()) <= RATE * (1 + 2 * BURST)
    line, *more = running.lines("[flood]")
    assert line["trunk"] == "carrier" and line["peer"].startswith(f"{SOURCE}:")
    assert f"over {RATE} messages a second (caps.messages_per_flow)" in line["reason"]
    assert len(more) < len(FLOODS), "one line a minute, not one a flood"
    with flooding(running, "bad Via"):  # however few were read before, of a burst that waits as a whole
        until(lambda: dict(status(running)["counters"]["events"])["malformed"] > RATE, "malformed messages")
    told = [each for each in running.lines("[malformed]") if each["remote"].startswith(SOURCE)]
    assert 0 < len(told) < RATE // 10, "five lines a minute"


def most_in_a_second(log: str) -> int:
    """The most OPTIONS of the flooder that were taken within one second, by the journal's own time."""
    times = [datetime.fromisoformat(found[1]).timestamp() for found in ARRIVAL.finditer(log)]
    assert len(times) > RATE // 2
    first = most = 0
    for last, moment in enumerate(times):
        while moment - times[first] > 1.0:
            first += 1
        most = max(most, last - first + 1)
    return most
