"""What the record says of a lossy leg, beside what iptables has dropped of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sbc.media.mos import mos
from tests.peers.needs import needs
from tests.peers.process import find

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
PACKETS = 500  # ten seconds


def test_the_loss_is_what_iptables_has_dropped(tmp_path: Path) -> None:
    needs("unshare", "ip", "iptables")
    if os.geteuid() != 0:
        pytest.skip("A NETWORK THAT LOSES NEEDS ROOT: it is made of a namespace and iptables")
    command = [find("unshare"), "--net", sys.executable, "-m", "tests.interop.losing_media"]
    made = subprocess.run(
        [*command, str(tmp_path), str(PACKETS)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr[-4000:]
    told = json.loads(made.stdout.splitlines()[-1])
    near, far = (told["record"][side]["media"] for side in ("a", "b"))
    assert told["seen"] >= PACKETS - 100 and told["dropped"] > 10
    assert near["quality"]["loss"] == pytest.approx(told["dropped"] / told["seen"], abs=0.01)
    assert near["lost"] == pytest.approx(told["dropped"], abs=5)  # at the end nothing shows what is missing
    assert near["quality"]["mos"] == pytest.approx(mos("PCMA", near["quality"]["loss"], 0.03), abs=0.05)
    assert far["quality"]["loss"] < 0.01 and far["quality"]["mos"] > 4.2
