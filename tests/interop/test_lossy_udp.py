"""Five hundred calls over UDP of which one datagram of ten is lost on each stretch and in each direction."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.peers.needs import needs
from tests.peers.process import find

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.waits]

ROOT = Path(__file__).resolve().parents[2]
CALLS = 500


def test_every_call_comes_about_and_ends(tmp_path: Path) -> None:
    needs("sipp", "unshare", "ip", "iptables")
    if os.geteuid() != 0:
        pytest.skip("A NETWORK THAT LOSES NEEDS ROOT: it is made of a namespace and iptables")
    command = [
        find("unshare"),
        "--net",
        sys.executable,
        "-m",
        "tests.interop.losing",
        str(tmp_path),
        str(CALLS),
    ]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-4000:]
    told = json.loads(made.stdout.splitlines()[-1])
    assert (told["caller"]["successful"], told["caller"]["failed"]) == (CALLS, 0)
    assert told["callee"]["failed"] == 0
    assert [each["status"] for each in told["records"]] == [200] * CALLS
    assert {each["ended_by"] for each in told["records"]} == {"caller"}
    assert told["lost"] > CALLS  # of the dozen datagrams of each call
    assert told["left"] == {"calls": 0, "ports": 0, "transactions": 0}
