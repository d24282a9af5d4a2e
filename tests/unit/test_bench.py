"""The parts of the benchmarks that can be wrong without anybody noticing: arithmetic, bencode, steps."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core import invite_bytes, steps
from bench.measure import cpu_seconds, median, on_core, resident_bytes, sessions
from bench.ng import decode, encode
from bench.report import Row, table
from bench.servers import write_configuration
from sbc.config.load import build_snapshot
from tests.peers.lab import Lab
from tests.peers.waiting import until

VALUES = st.recursive(
    st.integers(-(2**40), 2**40) | st.binary(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=10,
)


@given(VALUES)
def test_bencode_reads_back_what_it_wrote(value: object) -> None:
    assert decode(encode(value)) == value  # type: ignore[arg-type]


def test_bencode_is_the_protocols_own() -> None:
    assert encode({"command": "ping", "flags": ["a", 7]}) == b"d7:command4:ping5:flagsl1:ai7eee"


def test_the_ratio_is_to_the_first_that_did_the_same_work() -> None:
    rows = [
        Row("call", "peer", (100.0, 300.0, 200.0), "us"),
        Row("call", "ours", (50.0,), "us"),
        Row("x", "ours", (1.0,), "us"),
        Row("call", "peer", (8.0,), "KiB"),
        Row("call", "ours", (16.0,), "KiB"),
    ]
    _, _, peer, ours, alone, _, memory = table(rows).splitlines()
    assert peer.split() == ["call", "peer", "200", "us", "100", "to", "300", "1.00"]
    assert ours.split()[-1] == "0.25"
    assert alone.split() == ["x", "ours", "1", "us", "1", "to", "1"]
    assert memory.split()[-1] == "2.00", "what is told in another unit is other work"


def test_a_median_is_robust() -> None:
    assert median([1.0, 2.0, 900.0]) == 2.0


@pytest.fixture
def spinners() -> Iterator[tuple[int, int]]:
    """Two sessions whose leaders wait for a child that spins."""
    code = "import os, time\nif os.fork(): os.wait()\nelse:\n while True: pass"
    both = [subprocess.Popen([sys.executable, "-c", code], start_new_session=True) for _ in range(2)]
    yield both[0].pid, both[1].pid
    for each in both:
        os.killpg(each.pid, signal.SIGKILL)
        each.wait()


def test_the_cpu_of_forked_processes_counts(spinners: tuple[int, int]) -> None:
    leader, _ = spinners
    before = cpu_seconds(leader)
    until(lambda: cpu_seconds(leader), holds=lambda spent: spent >= before + 0.2)
    assert resident_bytes(leader) > 1_000_000


def test_daemons_that_share_a_job_are_counted_together(spinners: tuple[int, int]) -> None:
    until(lambda: min(map(cpu_seconds, spinners)), holds=lambda spent: spent >= 0.1)
    for leader in spinners:
        os.killpg(leader, signal.SIGSTOP)
    until(lambda: [fields[0] for _, fields in sessions(spinners)], holds=lambda states: set(states) == {"T"})
    assert cpu_seconds(*spinners) == pytest.approx(sum(map(cpu_seconds, spinners)))
    assert resident_bytes(*spinners) == pytest.approx(sum(map(resident_bytes, spinners)), rel=0.2)


def test_the_affinity_is_given_back() -> None:
    before = os.sched_getaffinity(0)
    with on_core(min(before)):
        assert os.sched_getaffinity(0) == {min(before)}
    assert os.sched_getaffinity(0) == before


def test_every_step_of_the_table_runs() -> None:
    assert 700 < len(invite_bytes()) < 1000
    results = {name: step() for name, step in steps()}
    assert results["whole call through the engine, with its peers"] == 0, "no call is left"
    assert results["serialise"].startswith(b"INVITE sip:+12125550100@")  # type: ignore[attr-defined]
    assert b'From: "Alice" <sip:+12125550199@sbc.example.net>' in results["serialise"]  # type: ignore[operator]


def test_the_benchs_configuration_is_good(tmp_path: Path) -> None:
    write_configuration(tmp_path / "sbc", Lab(tmp_path / "tls").issue("server"), 5061, 5062)
    snapshot = build_snapshot(tmp_path / "sbc", time.time())
    assert set(snapshot.trunks) == {"caller", "callee"}
