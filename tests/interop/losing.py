"""Calls from SIPp to SIPp through the SBC, over a network that loses one UDP datagram of ten.

``python -m tests.interop.losing DIRECTORY CALLS`` runs in a network namespace that it may spoil, and prints
what became of the calls, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sbc.demo.process import whole_lines
from tests.interop.rig import SBC, Far, Rig
from tests.peers.asking import ask
from tests.peers.ports import free_port
from tests.peers.process import find
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.waiting import until

RATE = 25.0
# Within it a 2xx is repeated five times: SIPp takes one that comes later for the answer to its BYE.
HOLD = 16000
LOSS = "0.1"
THERE = "127.0.0.5"
_DROP = ["-m", "statistic", "--mode", "random", "--probability", LOSS, "-j", "DROP"]


def run(directory: Path, calls: int) -> dict[str, Any]:
    """Make ``calls``; what SIPp counted, the records, and what is left in the SBC when all are over."""
    subprocess.run([find("ip"), "link", "set", "lo", "up"], check=True)
    rig = Rig(directory, pairs=2000)
    there = Sipp(
        "there", directory / "there", SippSettings("callee_lossy", address=THERE, patient=True, linger=4000)
    )
    settings = SippSettings(
        "caller", port=free_port(), remote_port=rig.udp, calls=calls, rate=RATE, hold=HOLD, patient=True,
        seconds=180,
    )  # fmt: skip
    here = Sipp("here", directory / "here", settings)
    ports = [rig.udp, there.port, here.port]
    near, far = Far("here", here.port, SBC, "udp", "off"), Far("there", there.port, THERE, "udp", "off")
    with rig.running(near, far, there):
        for port in ports:
            drop = [find("iptables"), "-A", "INPUT", "-p", "udp", "--dport", str(port), *_DROP]
            subprocess.run(drop, check=True)
        with here:
            counts = here.finish(200)
        control = rig.root / "sbc" / "run" / "sbc.sock"

        def left() -> dict[str, int]:
            status = ask(control, "status")
            taken = sum(each["pairs"] - each["free"] for each in status["networks"])
            return {"calls": len(status["calls"]), "ports": taken, "transactions": status["transactions"]}

        over = until(left, "all is over", 90, holds=lambda found: not any(found.values()))
        records = whole_lines(rig.root / "sbc" / "run" / "calls.jsonl").splitlines()
        lost = subprocess.run([find("iptables"), "-L", "INPUT", "-nvx"], capture_output=True, check=True)
    return {
        "caller": asdict(counts), "callee": asdict(there.counts()), "left": over,
        "records": [json.loads(each) for each in records], "lost": _dropped(lost.stdout.decode()),
    }  # fmt: skip


def _dropped(listing: str) -> int:
    """How many packets the rules of ``iptables -L -nvx`` have dropped."""
    rules = [line.split() for line in listing.splitlines() if " DROP " in line]
    return sum(int(each[0]) for each in rules)


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]))))
