"""One address shuts nobody out, and whoever is refused for its address is told of, whoever else is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from gevent import socket

from sbc.b2bua.located import Located
from sbc.base import Address
from sbc.config.snapshot import SnapshotStore
from sbc.net.system.store import Store
from sbc.net.transport.blocking import Blocking
from tests.edge.tls_lab import Lab, client_context, try_options
from tests.peers.waiting import until, until_equal

ATTACKER, SECOND, PEER, WRONG = "127.0.0.2", "127.0.0.3", "127.0.9.1", "127.0.9.7"


@pytest.fixture
def lab(lab: Lab) -> Lab:
    lab.trunk("office", {"names": ("office.example",)}, sources=(ATTACKER, SECOND))
    lab.trunk("carrier", {"names": ("carrier.example",)}, sources=(PEER,))
    return lab


def refused(lab: Lab, source: str, listener: str = "tls") -> bool:
    """Whether a connection from ``source`` is reset."""
    try:
        with socket.create_connection(lab.address(listener), 5, (source, 0)) as sock:
            sock.sendall(b"\x16\x03")
            return bool(sock.recv(1) == b"")
    except ConnectionError:
        return True
    except TimeoutError:
        return False


@contextmanager
def silent(lab: Lab, source: str, count: int, listener: str = "tls") -> Iterator[list[Any]]:
    """So many connections from ``source`` that say nothing."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection(lab.address(listener), 5, (source, 0)))
            for _ in range(count)
        ]


def stats(lab: Lab, listener: str = "tls") -> Any:
    return lab.listeners.tally.of(listener, "inbound")


def serves(lab: Lab, name: str, source: str) -> bool:
    context = client_context(lab, lab.ca.issue(dns=[f"{name}.example"]))
    return try_options(lab.address(), context, source=source) is None


def test_silent_connections_of_one_address_shut_nobody_out(lab: Lab) -> None:
    lab.start()
    with silent(lab, ATTACKER, 210):
        until_equal(lambda: stats(lab).accepted, 210)
        assert (stats(lab).in_flight, stats(lab).refused, stats(lab).crowded) == (20, 190, 190)
        assert serves(lab, "carrier", PEER) and serves(lab, "office", SECOND)
    (line,) = lab.recorder.refused
    assert (line[0], line[1].host) == ("tls", ATTACKER)
    assert "20 handshakes are in flight from 127.0.0.2" in line[2]
    until_equal(lambda: stats(lab).in_flight, 0)
    assert serves(lab, "office", ATTACKER), "what was given back may be taken"


def test_silent_connections_of_a_whole_network_leave_the_other_trunk_its_share(lab: Lab) -> None:
    lab.trunk("office", {"names": ("office.example",)}, sources=("127.1.0.0/16",))
    lab.start()
    with ExitStack() as stack:
        for number in range(12):
            stack.enter_context(silent(lab, f"127.1.0.{number + 1}", 20))
        until_equal(lambda: stats(lab).accepted, 240)
        assert stats(lab).in_flight == 101
        assert serves(lab, "carrier", PEER)
        assert "office" in lab.recorder.refused[0][2] and "handshakes_in_flight" in lab.recorder.refused[0][2]


def test_open_connections_of_one_address_are_so_many_as_the_operator_says(lab: Lab) -> None:
    lab.settings["caps"] = {"connections_per_source": 3}
    lab.listener("tcp", "tcp")
    lab.trunk("plain", listener="tcp", sources=(ATTACKER,))
    lab.trunk("other", listener="tcp", sources=(PEER,))
    lab.start()
    with silent(lab, ATTACKER, 3, "tcp"):
        until_equal(lambda: len(lab.recorder.opened), 3)
        assert refused(lab, ATTACKER, "tcp")
        assert "caps.connections_per_source" in lab.recorder.refused[0][2]
        with silent(lab, PEER, 1, "tcp"):
            until_equal(lambda: len(lab.recorder.opened), 4)
        lab.settings["caps"] = {"connections_per_source": 4}
        lab.reload()
        with silent(lab, ATTACKER, 1, "tcp"):
            until_equal(lambda: len(lab.recorder.opened), 5)
    until_equal(lambda: stats(lab, "tcp").open, 0)


@pytest.fixture
def acquainted(lab: Lab) -> Lab:
    """``PEER`` is named singly and has places of its own; of ``ATTACKER`` trunks have the whole network."""
    lab.settings["caps"] = {
        "connections_per_source": 3, "connections_per_peer": 6, "handshakes_per_source": 2,
        "handshakes_per_peer": 4,
    }  # fmt: skip
    lab.listener("tcp", "tcp", connections=20)
    lab.trunk("office", {"names": ("office.example",)}, sources=("127.0.0.0/30",))
    lab.trunk("plain", listener="tcp", sources=("127.0.9.0/24",), peers=(f"{PEER}:5060",))
    lab.trunk("other", listener="tcp", sources=("127.0.0.0/30",))
    store = SnapshotStore(lab.snapshot())
    saved = Store(lab.directory / "state", lambda text: None)
    lab.gate = Blocking(store, saved, lab.clock, lambda *said: None, Located(), lambda source: None)
    lab.start()
    return lab


def crowd(lab: Lab, source: str, listener: str, count: int) -> int:
    """How many of so many connections of ``source`` are not reset; all of them are gone afterwards."""
    before, had = stats(lab, listener).accepted, stats(lab, listener).crowded
    with silent(lab, source, count, listener):
        until_equal(lambda: stats(lab, listener).accepted, before + count)
        found: int = count - (stats(lab, listener).crowded - had)
    until_equal(lambda: (stats(lab, listener).open, stats(lab, listener).in_flight), (0, 0))
    return found


def test_a_host_that_a_trunk_names_singly_has_more_connections_and_a_last_one(acquainted: Lab) -> None:
    """A carrier that opens a connection for each call."""
    assert crowd(acquainted, PEER, "tcp", 20) == 6
    assert crowd(acquainted, ATTACKER, "tcp", 20) == 3
    assert crowd(acquainted, "127.0.9.2", "tcp", 20) == 3, "a network names nobody"
    (line,) = [each for each in acquainted.recorder.refused if each[1].host == PEER]
    assert "6 connections are open from 127.0.9.1, which trunk carrier names" in line[2]
    assert "raise caps.connections_per_peer" in line[2]


def test_it_has_more_handshakes_under_way_too(acquainted: Lab) -> None:
    assert crowd(acquainted, PEER, "tls", 20) == 4
    assert crowd(acquainted, ATTACKER, "tls", 20) == 2
    assert serves(acquainted, "carrier", PEER)


def test_what_every_address_has_is_the_least_that_a_named_one_has(acquainted: Lab) -> None:
    acquainted.settings["caps"] = {"connections_per_source": 8, "connections_per_peer": 6}
    acquainted.reload()
    assert crowd(acquainted, PEER, "tcp", 20) == 8


def test_however_many_hosts_a_trunk_names_something_is_left_to_others(acquainted: Lab) -> None:
    acquainted.settings["caps"] = {"connections_per_peer": 1000}
    acquainted.reload()
    assert crowd(acquainted, PEER, "tcp", 40) == 11, "as many as are left beside"


def test_a_wrong_source_is_told_of_beside_a_scanner_and_its_remedy_helps(lab: Lab) -> None:
    lab.start()
    for _ in range(30):
        assert refused(lab, "127.88.0.1")
    assert refused(lab, WRONG) and refused(lab, WRONG)
    lines = {address.host: reason for _, address, reason in lab.recorder.refused}
    assert len(lab.recorder.refused) == 2, "one line for each address"
    assert (stats(lab).refused, stats(lab).crowded) == (32, 0)
    assert lines["127.88.0.1"] == "no trunk admits this address"
    assert "near 127.0.9.1, which trunk carrier admits" in lines[WRONG]
    assert f"add {WRONG} to the trunk's `sources`" in lines[WRONG]
    lab.trunk("carrier", {"names": ("carrier.example",)}, sources=(PEER, WRONG))
    lab.reload()
    assert serves(lab, "carrier", WRONG)


def test_over_udp_a_wrong_source_is_told_of_as_well(lab: Lab) -> None:
    lab.listener("udp", "udp")
    lab.trunk("plain", listener="udp", sources=(PEER,))
    lab.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((WRONG, 0))
        for _ in range(5):
            sock.sendto(b"anything", lab.address("udp"))
        until_equal(lambda: stats(lab, "udp").refused, 5)
        (line,) = lab.recorder.refused
        assert line[:2] == ("udp", Address(WRONG, sock.getsockname()[1]))
    assert "near 127.0.9.1, which trunk plain admits" in line[2]
    until(lambda: lab.recorder.heard_nothing)
