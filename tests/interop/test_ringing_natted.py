"""PJSIP phones behind a masquerading router, over TLS and over UDP: called on the way that they opened."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.natted import ROUTER
from tests.peers.needs import needs
from tests.peers.process import find

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.waits]

ROOT = Path(__file__).resolve().parents[2]


def test_a_phone_with_a_private_address_is_called_and_both_sides_are_heard(tmp_path: Path) -> None:
    needs("pjsua2", "unshare", "nsenter", "ip", "iptables")
    if os.geteuid() != 0:
        pytest.skip("A HOME BEHIND A ROUTER NEEDS ROOT: it is made of namespaces and iptables")
    command = [find("unshare"), "--net", sys.executable, "-m", "tests.interop.natted", str(tmp_path)]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-4000:]
    told = json.loads(made.stdout.splitlines()[-1])
    assert told["bob"] == [True, True] and told["carol"] == [True, True]
    assert told["remotes"] == [ROUTER, ROUTER] and told["media"] == [ROUTER, ROUTER]
