"""Ports for tests: two processes never have the same, however often they ask."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

import pytest

from tests.peers.ports import free_port
from tests.peers.product import ROOT

ASK = """
import json, sys
from tests.peers import ports
print(json.dumps([[ports.free_port(101) for _ in range(10)], bool(ports._locks)]), flush=True)
sys.stdin.read()
"""


def test_no_port_is_had_by_two_processes() -> None:
    others = [
        subprocess.Popen([sys.executable, "-c", ASK], cwd=ROOT, stdin=-1, stdout=-1, text=True)
        for _ in range(2)
    ]
    blocks = [free_port(101) for _ in range(10)]
    try:
        for each in others:
            assert each.stdout is not None
            found, alone = json.loads(each.stdout.readline())
            if not alone:
                pytest.skip("other tests on this machine have all the zones")
            blocks += found
    finally:
        for each in others:
            each.communicate()
    blocks.sort()
    assert len(blocks) == 30
    assert all(after - before >= 101 for before, after in itertools.pairwise(blocks))
