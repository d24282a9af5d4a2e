"""A call through the SBC of whose caller's packets some are lost on the way, as iptables counts them.

``python -m tests.interop.losing_media DIRECTORY PACKETS`` runs in a network namespace that it may spoil, and
prints the call's record, how many of the caller's packets came to iptables and how many it dropped, as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from sbc.demo.lab import SBC_NAME
from tests.edge.attacked import TO, attacked
from tests.peers.process import find
from tests.peers.waiting import until

LOSS = "0.08"


def run(directory: Path, packets: int) -> dict[str, Any]:
    """Talk until the caller has sent so many packets, of which soon some are lost."""
    subprocess.run([find("ip"), "link", "set", "lo", "up"], check=True)
    with attacked(directory) as sbc:
        call = sbc.office.call(sbc.office.dial(sbc.address, SBC_NAME), TO)
        assert call.wait_up(30), call.reason
        rule = [find("iptables"), "-A", "INPUT", "-p", "udp", "--sport", str(call.voice.address.port)]
        subprocess.run(rule, check=True)  # without a target: it counts
        drop = ["-m", "statistic", "--mode", "random", "--probability", LOSS, "-j", "DROP"]
        subprocess.run([*rule, *drop], check=True)
        until(lambda: call.voice.packets()[0], "the call", 300, holds=lambda count: count >= packets)
        call.hang_up()
        assert call.wait_over(30)
        (record,) = sbc.records(1)
    listed = subprocess.run([find("iptables"), "-L", "INPUT", "-nvx"], capture_output=True, check=True)
    rows = [line.split() for line in listed.stdout.decode().splitlines() if "udp" in line]
    seen, dropped = (int(row[0]) for row in rows)
    return {"record": record, "seen": seen, "dropped": dropped}


if __name__ == "__main__":
    print(json.dumps(run(Path(sys.argv[1]), int(sys.argv[2]))))
