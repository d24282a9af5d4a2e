"""Pairs that stay open between calls: how long they rest, what comes meanwhile, and when they are closed."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import gevent
import pytest

from sbc.base import LocalError
from sbc.media.places import PortPool
from sbc.media.relay import Leg, pair
from sbc.net.media.ports import BoundPorts
from sbc.net.media.sockets import Poller
from tests.peers.ports import free_port
from tests.peers.waiting import until_equal
from tests.unit.media.kit import rtp

HOST = "127.0.0.1"
FIRST = (free_port(7) + 1) & ~1  # the three pairs of this process


class Bench:
    """Three pairs, the time, and a leg to serve."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.poller = Poller()
        self.pool = PortPool(f"{FIRST}-{FIRST + 5}")
        self.ports = BoundPorts(HOST, self.pool, self.poller, lambda: self.now)

    def leg(self, port: int) -> Leg:
        leg = pair()[0]
        self.ports.serve(port, leg.port_rtp)
        return leg


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.ports.close()
    made.poller.close()
    assert len(made.pool) == 3


def bound(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((HOST, port))
        except OSError:
            return True
    return False


def send(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(rtp(1), (HOST, port))


def test_the_pair_that_is_unused_longest_serves_and_stays_open_until_then(bench: Bench) -> None:
    first = bench.ports.take()
    bench.ports.give(first)
    assert first == FIRST and len(bench.ports) == len(bench.pool) == 3 and bound(FIRST) and bound(FIRST + 1)
    bench.now += 3600
    assert [bench.ports.take() for _ in range(3)] == [FIRST + 2, FIRST + 4, FIRST]
    for port in (FIRST + 2, FIRST + 4, FIRST):
        bench.ports.give(port)


def test_sources_of_the_former_call_are_told_to_the_next_within_their_rest(bench: Bench) -> None:
    gateway, phone = ("127.0.0.7", 4000), ("127.0.0.7", 4002)
    port = bench.ports.take()
    others = [bench.ports.take(), bench.ports.take()]
    leg = bench.leg(port)
    leg.port_rtp.aim(gateway, False)
    leg.port_rtp.latch(phone, bench.now)
    leg.silence()
    bench.ports.give(port)
    bench.now += 15
    assert bench.ports.take() == port
    next_one = bench.leg(port)
    assert next_one.port_rtp.former == dict.fromkeys((gateway, phone), (None, bench.now + 15))
    for each in (port, *others):
        bench.ports.give(each)


def test_without_a_rested_or_a_closed_pair_the_longest_resting_serves(bench: Bench) -> None:
    pairs = [bench.ports.take() for _ in range(3)]
    with pytest.raises(LocalError, match="in use"):
        bench.ports.take()
    for port in (FIRST + 2, FIRST + 4, FIRST):
        bench.ports.give(port)
    assert [bench.ports.take() for _ in range(3)] == [FIRST + 2, FIRST + 4, FIRST]
    for port in pairs:
        bench.ports.give(port)


def test_what_comes_while_a_pair_rests_reaches_nobody(bench: Bench) -> None:
    port = bench.ports.take()
    before = bench.leg(port)
    bench.ports.give(port)
    assert before.port_rtp.channel is None
    send(port)
    gevent.sleep(0.03)
    others = [bench.ports.take(), bench.ports.take()]
    assert bench.ports.take() == port
    after = bench.leg(port)
    gevent.sleep(0.03)
    assert before.refused is None and after.refused is None
    send(port)
    until_equal(lambda: after.refused, {"not agreed": 1})
    for each in (port, *others):
        bench.ports.give(each)


def test_pairs_that_no_call_needs_are_closed(bench: Bench) -> None:
    port = bench.ports.take()
    bench.ports.give(port)
    bench.ports.trim(bench.now + 59)
    assert bound(port)
    bench.ports.trim(bench.now + 61)
    assert not bound(port) and not bound(port + 1) and len(bench.pool) == 3


def test_a_clock_that_was_set_back_keeps_nothing_open_for_long(bench: Bench) -> None:
    port = bench.ports.take()
    bench.ports.give(port)
    bench.ports.trim(bench.now - 3600)
    assert not bound(port)


def test_a_pair_whose_rtcp_was_multiplexed_is_made_whole_again(bench: Bench) -> None:
    port = bench.ports.take()
    bench.ports.retire(port + 1)
    bench.ports.give(port)
    assert bound(port) and not bound(port + 1)
    others = [bench.ports.take(), bench.ports.take()]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as held:
        held.bind((HOST, port + 1))
        with pytest.raises(LocalError, match="others hold"):
            bench.ports.take()
    assert bench.ports.take() == port and bound(port) and bound(port + 1)
    for each in (port, *others):
        bench.ports.give(each)


def test_a_port_of_ours_is_known_by_its_address(bench: Bench) -> None:
    port = bench.ports.take()
    leg = bench.leg(port)
    assert bench.ports.find((HOST, port)) is leg.port_rtp and leg.port_rtp.ours == bench.ports.find
    assert bench.ports.find(("127.0.0.9", port)) is None and bench.ports.find((HOST, port + 9)) is None
    bench.ports.give(port)
    assert bench.ports.find((HOST, port)) is None
    everywhere = BoundPorts("0.0.0.0", bench.pool, bench.poller, lambda: bench.now, "203.0.113.9")
    port = everywhere.take()
    leg = pair()[0]
    everywhere.serve(port, leg.port_rtp)
    for host, own in (("127.0.0.9", True), ("203.0.113.9", True), ("203.0.113.10", False)):
        assert (everywhere.find((host, port)) is leg.port_rtp) is own
    everywhere.give(port)
    everywhere.close()


def test_only_so_many_pairs_rest(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sbc.net.media.ports._RESTING", 1)
    ports = BoundPorts(HOST, bench.pool, bench.poller, lambda: bench.now)
    pairs = [ports.take(), ports.take()]
    for port in pairs:
        ports.give(port)
    assert [bound(port) for port in pairs] == [True, False]
    ports.close()


def test_files_that_cannot_be_opened_leave_the_resting_pairs_to_serve(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = bench.ports.take()
    bench.ports.give(port)

    def full(*_: object) -> None:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr("sbc.net.media.ports._socket.socket", full)
    assert bench.ports.take() == port
    with pytest.raises(LocalError, match="Too many open files"):
        bench.ports.take()
    bench.ports.give(port)
