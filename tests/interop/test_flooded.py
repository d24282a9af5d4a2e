"""SIPp floods an SBC with one method after the other, by every way in; a trusted trunk calls meanwhile.

The ways in are the listeners of phones, open to all, and those of trunks: over TLS as a peer that is known,
over UDP as one that only its address admits. The trusted are two PJSIPs on mutual TLS. A flood goes on until
their call is over and so many messages were sent; caps are the defaults.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop.pair import HIGH, LOW, Pair
from tests.interop.rig import Far, Rig
from tests.peers.asking import ask
from tests.peers.call_records import calls_in
from tests.peers.needs import needs
from tests.peers.ports import free_ports
from tests.peers.sipp import Sipp, SippSettings
from tests.peers.stunnel import Stunnel, Tunnel, out
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.waits]

METHODS = (
    "INVITE", "REGISTER", "OPTIONS", "MESSAGE", "SUBSCRIBE", "NOTIFY", "REFER", "BYE", "ACK", "CANCEL",
    "PRACK", "UPDATE", "INFO", "PUBLISH", "XYZZY",
)  # fmt: skip
WAYS = ("phones-udp", "phones-tcp", "phones-tls", "trunk-udp", "trunk-tls")
COUNT = 400
RATE = 400  # a second, as far as the machine has time for it
FLOODER = "127.0.0.66"
#: What a flood may leave in the journal of warnings: a line a minute for each cap, five of what is malformed.
LINES = 12
# On a busy machine a process may stand still for seconds: that is no overload of ours.
MORE = "registrar: {realm: phones.example, users: phones}\noverload: {lag: 60s}\n"
HELD = 5000  # transactions: what is answered may have to be answered again for half a minute


@dataclass(frozen=True, slots=True)
class Public(Far):
    """A trunk of phones, open to all."""

    def trunk(self) -> str:
        tls = "tls: {mode: server, server_identity: sbc}\n" if self.name == "phones-tls" else ""
        head = f"trunk: {self.name}\nlistener: {self.name}\n{tls}"
        return f"{head}phones: true\nsources: [127.0.0.0/8]\nsrtp: 'off'\n"


class Flood(Sipp):
    """A SIPp that nobody listens to."""

    def sent(self) -> int:
        """How many messages it has sent, as far as it has said so."""
        rows = self.statistics.exists() and self.statistics.read_text().count("\n") > 1
        return self.counts().created if rows else 0


class Flooded:
    """The SBC between the trusted, and a way in for each flood."""

    def __init__(self, root: Path) -> None:
        self.udp, self.tcp, self.tls = free_ports(3)
        listeners = "".join(
            f"  phones-{kind}: {{{{bind: 127.0.0.1:{port}, transport: {kind}}}}}\n"
            for kind, port in (("udp", self.udp), ("tcp", self.tcp), ("tls", self.tls))
        )
        self.rig = Rig(
            root, listeners=listeners, more=MORE,
            others=(
                *[Public(name, 0) for name in WAYS[:3]],
                Far("trunk-udp", 5060, FLOODER, "udp", "off"), Far("trunk-tls", 5061, "127.0.0.1"),
            ),
        )  # fmt: skip
        (root / "sbc").mkdir()
        users = root / "sbc" / "phones"
        users.write_text(f"alice:phones.example:{'0' * 64}\n")
        users.chmod(0o600)
        self.alice = self.rig.pjsip("alice", "127.0.0.2", HIGH, answer=0)
        self.bob = self.rig.pjsip("bob", "127.0.0.3", LOW, answer=0)
        self.pair = Pair(self.rig, self.alice, self.bob)
        self.tunnels = Stunnel("stunnel", root / "stunnel", self._tunnels())
        self.number = 0

    def _tunnels(self) -> list[Tunnel]:
        lab = self.rig.lab
        own = lab.issue("trunk-tls")
        return [
            out("phones-tls", self.tls, own, lab.ca()),
            out("trunk-tls", self.rig.tls, own, lab.ca()),
        ]

    def flood(self, way: str, method: str) -> Flood:
        """A SIPp that sends ``method`` without end."""
        self.number += 1
        kind = way.rpartition("-")[2]
        tunnels = {each.name: each.accept for each in self.tunnels.tunnels}
        ports = {"phones-udp": self.udp, "phones-tcp": self.tcp, "trunk-udp": self.rig.udp, **tunnels}
        settings = SippSettings(
            "flood", "udp" if kind == "udp" else "tcp", remote_port=ports[way], method=method, rate=RATE,
            calls=1 << 30, says=kind, seconds=600, address=FLOODER,
        )  # fmt: skip
        return Flood(f"flood{self.number}", self.rig.root / "floods", settings)

    def status(self) -> Any:
        """What ``sbc status --json`` says."""
        return ask(self.rig.root / "sbc" / "run" / "sbc.sock", "status")

    def trusted(self) -> list[dict[str, Any]]:
        """The records of the calls of the trusted."""
        return [each for each in calls_in(self.rig.root / "sbc") if each["a"]["trunk"] == "alice"]

    def warned(self) -> list[str]:
        """Everything in the journal that is more than a note."""
        return [line for line in self.rig.log() if " INF " not in line]


@pytest.fixture(scope="module")
def flooded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flooded]:
    needs("pjsua2", "sipp", "stunnel4")
    made = Flooded(tmp_path_factory.mktemp("flooded"))
    callers = Far("alice", made.alice.port, "127.0.0.2"), Far("bob", made.bob.port, "127.0.0.3")
    made.rig.warned = ".*"
    with made.rig.running(*callers, made.alice, made.bob, made.tunnels):
        yield made
        nothing = {"calls": 0, "transactions": 0}
        until(
            lambda: {"calls": len(made.status()["calls"]), "transactions": made.status()["transactions"]},
            "nothing is kept", 90, holds=lambda held: held == nothing,
        )  # fmt: skip


# Every way in with every method; each method by one of them is enough for a short run.
CELLS = [
    pytest.param(way, method, marks=[] if number % len(WAYS) == at else [pytest.mark.long])
    for at, way in enumerate(WAYS)
    for number, method in enumerate(METHODS)
]


@pytest.mark.parametrize(("way", "method"), CELLS)
def test_while_a_flood_goes_on_the_trusted_call(flooded: Flooded, way: str, method: str) -> None:
    lines, calls, pair = len(flooded.warned()), len(flooded.trusted()), flooded.pair
    with flooded.flood(way, method) as flood:
        until(flood.sent, f"{method} is sent", fail=flood.failed)
        call, there = pair.connect()
        during = flood.sent()
        flooded.alice.hangup(call)
        flooded.alice.expect_state(call, "DISCONNECTED")
        flooded.bob.expect_state(there, "DISCONNECTED")
        records = until(flooded.trusted, "its record", holds=lambda found: len(found) > calls)
        assert [(each["status"], each["ended_by"]) for each in records[calls:]] == [(200, "caller")]
        until(flood.sent, "it goes on", holds=lambda sent: sent > max(during, COUNT), fail=flood.failed)
        status = flooded.status()
    assert status["transactions"] < HELD and len(status["calls"]) == 0
    assert not [each for each in status["caps"] if each["trunk"] in ("alice", "bob")]
    told = flooded.warned()[lines:]
    assert len(told) <= LINES, "\n".join(told)
    assert not [line for line in told if re.search(r"trunk=(alice|bob)\b", line)], "\n".join(told)
