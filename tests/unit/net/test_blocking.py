"""Whom a running SBC spares from its blocklist: hosts that trunks and listeners name, and what DNS gives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sbc.b2bua.located import Located
from sbc.base import Address, LocalError
from sbc.config.model import Settings, Trunk
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.dns.search import Target
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.net.transport.blocking import OURS, Blocking, policy
from sbc.net.transport.named import singly_named
from sbc.policy.shares import source_of
from sbc.tls.events import HandshakeFailed
from sbc.tls.failure import Direction, Failure
from tests.playbook.stage import snapshot as staged

SETTINGS: dict[str, Any] = {
    "listeners": {
        "edge": {
            "bind": "192.0.2.1:5061",
            "transport": "tls",
            "proxy_protocol": ["203.0.113.5", "198.18.0.0/24"],
        },
    },
}
TRUNKS: list[dict[str, Any]] = [
    {"trunk": "one", "listener": "edge", "sources": ["198.51.100.7", "198.51.100.64/26", "2001:db8:1:2::7"]},
    {"trunk": "two", "listener": "edge", "peers": ["198.51.100.8:5061", "sip.carrier.example:5061"]},
    {"trunk": "three", "listener": "edge", "peers": ["carrier.example"]},
]


def configured(**settings: Any) -> Snapshot:
    trunks = {each["trunk"]: Trunk.model_validate(each) for each in TRUNKS}
    rules = staged().rules
    return Snapshot("1", Path("."), Settings.model_validate({**SETTINGS, **settings}), trunks, rules)


class Rig:
    """A blocklist with a clock that stands where it is set."""

    def __init__(self, directory: Path, **settings: Any) -> None:
        self.at, self.day = 1000.0, 1_795_000_000.0
        self.clock = Clock()
        self.clock.monotonic, self.clock.now = lambda: self.at, lambda: self.day
        self._said: list[dict[str, Any]] = []
        self.closed: list[str] = []
        self.located = Located()
        self.store = SnapshotStore(configured(**settings))
        self.saved = Store(directory, lambda text: self._said.append({"state": text}))
        self.blocking = Blocking(
            self.store, self.saved, self.clock, self.say, self.located, self.closed.append
        )

    def say(self, level: str, tag: str, fields: dict[str, Any]) -> None:
        self._said.append({"level": level, **fields})

    @property
    def said(self) -> list[dict[str, Any]]:
        """Every line; they come when what they tell of is on the disk."""
        self.saved.wait()
        return self._said

    def fails(
        self, host: str, times: int = 16, kind: Any = "not-tls", direction: Direction = "inbound"
    ) -> bool:
        """So many failed handshakes; whether it is blocked then."""
        failure = Failure(kind, "", "")
        for _ in range(times):
            self.blocking.handshake_failed(
                HandshakeFailed(direction, "edge", ("one",), Address(host, 4000), "", failure, self.day)
            )
        return self.blocking.blocked(host)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


@pytest.mark.parametrize(
    ("host", "by"),
    [
        ("198.51.100.7", "trunk one"), ("2001:db8:1:2::99", "trunk one"), ("198.51.100.8", "trunk two"),
        ("203.0.113.5", "listener edge"), ("198.18.0.77", "listener edge"),
    ],
)  # fmt: skip
def test_who_is_named_is_told_of_once_and_never_blocked(rig: Rig, host: str, by: str) -> None:
    assert not rig.fails(host, 100)
    (said,) = rig.said
    assert rig.blocking.named(source_of(host)) == by
    assert (said["event"], said["by"], said["level"]) == ("spared", by, "WRN") and rig.closed == []
    with pytest.raises(LocalError, match=f"{by} names"):
        rig.blocking.add(host)


@pytest.mark.parametrize("host", ["198.51.100.65", "2001:db8:1:3::7", "198.18.1.1"])
def test_who_is_of_a_network_is_blocked_and_its_connections_are_closed(rig: Rig, host: str) -> None:
    assert rig.fails(host) and len(rig.closed) == 1 and not rig.blocking.named(source_of(host))
    assert rig.said[0]["event"] == "blocked"


def test_a_server_that_dns_names_is_spared_and_comes_back_where_it_was_blocked(rig: Rig) -> None:
    server = Address("203.0.113.60", 5061)
    assert rig.fails(server.host)
    rig.located.learn("three", Address("carrier.example", 0), (Target("sip.carrier.example", server, 0, 0),))
    rig.at += 10
    rig.blocking.tick(rig.at)
    assert not rig.blocking.blocked(server.host)
    assert rig.said[-1]["event"] == "unblocked" and rig.said[-1]["why"] == "trunk three names it"
    assert not rig.fails(server.host, 100)


@pytest.mark.parametrize("kind", sorted(OURS))
def test_what_may_be_our_fault_speaks_against_nobody(rig: Rig, kind: str) -> None:
    assert not rig.fails("203.0.113.66", 100, kind) and rig.said == []


def test_nor_does_what_was_under_way_when_we_stood_still(rig: Rig) -> None:
    """A machine that was paused: whoever shook hands then is out of time, or gone, and did nothing wrong."""
    office, scanner = "203.0.113.66", "203.0.113.67"
    rig.blocking.beat()
    rig.at += 20
    assert not rig.fails(office, 100), "before anybody else has run"
    rig.blocking.beat()
    rig.at += 10
    rig.blocking.beat()
    assert not rig.fails(office, 100, "timeout"), "it began just before"
    for _ in range(100):
        rig.at += 0.2
        rig.blocking.beat()
    assert rig.said == [] and rig.fails(scanner)


def test_a_loop_that_is_late_with_much_to_do_lets_no_scanner_off(rig: Rig) -> None:
    for _ in range(10):
        rig.blocking.beat()
        rig.at += 1.5
    assert rig.fails("203.0.113.66")


def test_nor_does_what_we_dialled(rig: Rig) -> None:
    assert not rig.fails("203.0.113.66", 100, direction="outbound")


def test_a_wall_clock_that_is_set_changes_nothing(rig: Rig) -> None:
    assert rig.fails("203.0.113.66")
    rig.day -= 86400 * 365
    rig.at += 3599
    assert rig.blocking.blocked("203.0.113.66")
    (row,) = rig.blocking.table()["blocked"]
    assert row["until"] == pytest.approx(rig.day + 1)
    rig.at += 1
    rig.blocking.tick(rig.at)
    assert not rig.blocking.blocked("203.0.113.66") and rig.said[-1]["event"] == "unblocked"


def test_a_million_failures_are_few_lines(rig: Rig) -> None:
    for number in range(500):
        rig.fails(f"203.0.{number >> 8}.{number & 255}")
    assert len(rig.said) == 60 and rig.blocking.view().now == 500


def test_names_are_no_hosts() -> None:
    assert "sip.carrier.example" not in str(singly_named(configured()))


def test_the_policy_is_a_sentence(tmp_path: Path) -> None:
    words = {"failures": 3, "within": "90s", "for": "1d"}
    settings = configured(blocklist=words).settings.blocklist
    assert policy(settings) == (
        "more than 3 failed TLS handshakes of one address within 90s: refused at accept for 24h; private,"
        " loopback and link-local addresses never"
    )
    assert policy(None) == "off" == Rig(tmp_path, blocklist=False).blocking.view().policy
