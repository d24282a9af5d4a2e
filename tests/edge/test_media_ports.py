"""Pairs that stay open between calls: how long they rest, what comes meanwhile, and when they are closed."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import gevent
import pytest

from sbc.base import LocalError
from sbc.media.ports import PortPool
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


def test_a_pair_stays_open_and_serves_again_after_a_rest(bench: Bench) -> None:
    first = bench.ports.take()
    bench.ports.give(first)
    assert (first, len(bench.ports), len(bench.pool)) == (FIRST, 3, 2) and bound(FIRST) and bound(FIRST + 1)
    bench.now += 1.9
    second = bench.ports.take()
    assert second == FIRST + 2
    bench.now += 0.2
    assert bench.ports.take() == FIRST
    bench.ports.give(first)
    bench.ports.give(second)


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
    bench.now += 3
    assert bench.ports.take() == port
    after = bench.leg(port)
    gevent.sleep(0.03)
    assert before.refused is None and after.refused is None
    send(port)
    until_equal(lambda: after.refused, {"not agreed": 1})
    bench.ports.give(port)


def test_pairs_that_no_call_needs_are_closed(bench: Bench) -> None:
    port = bench.ports.take()
    bench.ports.give(port)
    bench.ports.trim(bench.now + 19)
    assert bound(port)
    bench.ports.trim(bench.now + 21)
    assert not bound(port) and not bound(port + 1) and len(bench.pool) == 3


def test_a_clock_that_was_set_back_keeps_nothing_open_for_long(bench: Bench) -> None:
    port = bench.ports.take()
    bench.ports.give(port)
    bench.ports.trim(bench.now - 3600)
    assert not bound(port)


def test_a_pair_without_its_rtcp_socket_is_closed(bench: Bench) -> None:
    port = bench.ports.take()
    bench.ports.retire(port + 1)
    bench.ports.give(port)
    assert not bound(port) and len(bench.pool) == 3


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
