"""Records of a running SBC: a killed process loses none, and a flood of what is refused is counted in few."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import gevent
import pytest

from sbc.base import Address
from sbc.demo.lab import HOST
from sbc.demo.process import whole_lines
from tests.edge.attacked import Attacked, attacked
from tests.edge.raw_sip import Datagrams
from tests.edge.sbc_command import sbc
from tests.edge.test_exports import call_and_hang_up
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

INVITE = (
    "INVITE sip:+1212{number:07d}@sbc SIP/2.0\r\nVia: SIP/2.0/UDP {host};branch=z9hG4bKf{number}\r\n"
    "From: <sip:flood@x>;tag={number}\r\nTo: <sip:a@sbc>\r\nCall-ID: f{number}@x\r\nCSeq: 1 INVITE\r\n"
    "Contact: <sip:flood@{host}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)


def test_a_process_that_is_killed_loses_no_record(tmp_path: Path) -> None:
    running = Attacked(tmp_path)
    try:
        for _ in range(5):
            call_and_hang_up(running)
        gevent.sleep(0.3)  # a record that is older is in the file
        os.kill(running.sbc.pid, signal.SIGKILL)
        until(lambda: running.sbc.ended() is not None)
        text = (tmp_path / "run" / "calls.jsonl").read_text()
        assert text.endswith("\n") and len(running.records()) == 5
        assert all(each["status"] == 200 for each in running.records())
    finally:
        running.close()


def refused(directory: Path) -> list[dict[str, Any]]:
    """The records of what began no call."""
    lines = whole_lines(directory / "run" / "calls.jsonl").splitlines()
    return [each for each in map(json.loads, lines) if each["refused"]]


def test_what_a_flood_has_refused_is_counted_and_a_few_are_told_singly(tmp_path: Path) -> None:
    with attacked(tmp_path) as running:
        trunk = tmp_path / "trunks.d" / "plain.yaml"
        trunk.write_text(trunk.read_text() + "limits: {rates: {invite: 1/s}}\n")
        assert sbc(tmp_path, "reload").status == 0
        flood, sent = Datagrams(Address(HOST, running.udp)), 300
        for number in range(sent):
            flood.send(INVITE.format(number=number, host=HOST).encode())
            if not number % 50:
                gevent.sleep(0.01)
        until(lambda: [each for each in refused(tmp_path) if each["refused"] > 1], "what is counted")
        flood.close()
    records = refused(tmp_path)
    singly = [each for each in records if each["refused"] == 1]
    assert len(singly) < sent / 2 and len(records) - len(singly) >= 1
    # Over UDP not every one is answered.
    assert {each["status"] for each in records} <= {503, 0}
    assert all((each["a"]["trunk"], each["call"], each["b"]) == ("plain", "", None) for each in records)
    # One has come to the rules, and been routed; every other one is somewhere in the counts.
    routed = [each for each in running.records() if each["a"]["trunk"] == "plain"]
    assert len(routed) >= 1 and sum(each["refused"] for each in records) + len(routed) == sent
