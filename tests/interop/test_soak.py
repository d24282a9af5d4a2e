"""Endurance, mutual TLS on both sides: reloads under load fail no call, thousands of calls leave nothing.

A minute of what `make soak` does for hours is here too.

SIPp calls through stunnel, Portcullis and stunnel to SIPp, as in the benchmarks.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bench.chain import Caller, Load, chain
from bench.servers import portcullis
from bench.soak import soak
from sbc.config.load import build_snapshot
from tests.peers import product
from tests.peers.asking import ask
from tests.peers.needs import needs
from tests.peers.portcullis import ROOT
from tests.peers.waiting import until, until_equal

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.waits]


@dataclass(frozen=True)
class Rig:
    """A running SBC between two SIPps."""

    pid: int
    directory: Path
    caller: Caller

    def status(self) -> dict[str, Any]:
        """The status as `sbc status --json` has it."""
        found: dict[str, Any] = ask(self.directory / "run" / "sbc.sock", "status")
        return found

    def version(self) -> str:
        """The version of the configuration in force."""
        return str(self.status()["version"])

    def command(self, name: str) -> int:
        """Run one command of ``sbc`` and return its exit status."""
        argv = product.command(name, "-c", str(self.directory))
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(argv, env=environment, capture_output=True, timeout=20).returncode


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    needs("sipp", "stunnel4", "taskset")
    with chain(tmp_path, portcullis) as (server, caller):
        yield Rig(server.pid, tmp_path / "server", caller)


# Reloads under load

EXTRA = "routes.d/20-more.yaml"
_GOOD = "rules:\n  - name: more {number}\n    when: false\n    then: reject 403\n"
_BROKEN = ("rules:\n  - name: broken\n    when: trunk ==\n    then: reject 403\n", "rules: [", "\x00")


def _reload(rig: Rig, number: int) -> None:
    """Reload once, each time by another way; every fifth time the file is broken, which changes nothing."""
    path = rig.directory / EXTRA
    before = rig.version()
    if number % 5 == 4:
        path.write_text(_BROKEN[number // 5 % len(_BROKEN)])
        assert rig.command("reload") == 1
        os.kill(rig.pid, signal.SIGHUP)
        time.sleep(0.5)
        assert rig.version() == before
        return
    path.write_text(_GOOD.format(number=number))
    wanted = build_snapshot(rig.directory, time.time()).version
    assert wanted != before
    if number % 5 == 1:
        os.kill(rig.pid, signal.SIGHUP)
    elif number % 5 == 2:
        assert rig.command("reload") == 0
        assert rig.version() == wanted
    until_equal(rig.version, wanted, "the new version is in force")


@pytest.mark.parametrize("reloads", [8, pytest.param(20, marks=pytest.mark.long)])
def test_reloads_under_load_fail_no_call(rig: Rig, reloads: int) -> None:
    calls = 150 * reloads
    with rig.caller.calls(Load(calls, 50, hold=1000)) as sipp:
        began = time.monotonic()
        for number in range(reloads):
            time.sleep(max(0.0, began + 1 + number * 2.9 - time.monotonic()))
            _reload(rig, number)
        counts = sipp.finish(60)
    assert (counts.successful, counts.failed) == (calls, 0)
    assert rig.status()["counters"]["calls"] == calls
    assert not [kind for kind in dict(rig.status()["counters"]["events"]) if "error" in kind]


# What calls leave behind


@dataclass(frozen=True)
class Residue:
    """What a process holds when no call is up: resident KiB, free media ports, open descriptors."""

    memory: int
    ports: int
    descriptors: int


def _quiet(rig: Rig) -> bool:
    status = rig.status()
    return not status["calls"] and not status["transactions"]


def _residue(rig: Rig) -> Residue:
    """Wait until the last transaction of the last call has ended (64*T1 after its 2xx), then look."""
    until(lambda: _quiet(rig), "no call and no transaction", seconds=90)

    def descriptors() -> int:
        return len(list(Path(f"/proc/{rig.pid}/fd").iterdir()))

    until(lambda: descriptors() < 100, "media ports that have rested for a minute are closed", seconds=120)
    time.sleep(2.5)  # it tidies up once a second
    lines = Path(f"/proc/{rig.pid}/status").read_text().splitlines()
    (resident,) = (int(line.split()[1]) for line in lines if line.startswith("VmRSS"))
    held = descriptors()  # before its status is asked for: that is a connection more, for a moment
    return Residue(resident, rig.status()["free_media_ports"], held)


# Both halves have the same peak, for the heap of a process keeps the shape of its busiest moment: a call's
# transactions live on for 32 s, so 5,000 calls at 200/s are all in memory at once, and free pages between
# what the interpreter still uses do not go back to the system. What is left to grow is what calls leave
# behind: one forgotten Call with its legs and dialogs is 2 KiB and more, a leak of every call is 10 MiB.
GROWTH = 4 << 10  # KiB


@pytest.mark.parametrize("calls", [600, pytest.param(5000, marks=pytest.mark.long)])
def test_the_second_half_of_the_calls_leaves_what_the_first_left(rig: Rig, calls: int) -> None:
    left = []
    for _ in range(2):
        with rig.caller.calls(Load(calls, 200)) as sipp:
            counts = sipp.finish(calls / 200 + 60)
        assert (counts.successful, counts.failed) == (calls, 0)
        left.append(_residue(rig))
    early, late = left
    assert late.ports == early.ports
    assert late.descriptors == early.descriptors
    assert late.memory - early.memory < GROWTH, f"{early.memory} KiB became {late.memory} KiB"


# All that a day brings


@pytest.mark.parametrize("seconds", [75.0, pytest.param(1800.0, marks=pytest.mark.long)])
def test_nothing_grows_under_calls_registrations_reloads_and_scans(tmp_path: Path, seconds: float) -> None:
    needs("sipp", "stunnel4", "taskset")
    told, well, held = soak(tmp_path, seconds)
    assert well, told
    # What was to disturb it did.
    assert held.reloads >= seconds / 10 and held.number >= seconds / 2
    assert {"memory", "descriptors", "greenlets", "ports in use"} <= {each.name for each in held.trends()}
