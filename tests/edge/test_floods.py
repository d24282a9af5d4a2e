"""Who says more than its allowance waits, alone, and is told of; what it says is bounded in every way.

How much is taken in a time is shown in tests/unit/policy/test_allowances.py, with the time as a literal. Here
it is the order: whoever floods has most of it before it still when all others have been served.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from gevent import socket

from sbc.net.transport.connection import BARREN, READ_SIZE
from tests.edge.rounds import Flood, flood, rounds
from tests.edge.tls_lab import OK, OPTIONS, Lab, client_context, try_options
from tests.peers.waiting import until, until_equal

WITHOUT_END = 1 << 30
FLOODER = "127.0.0.2"
RATE = 200  # a second; fifty of them at once


@pytest.fixture
def lab(lab: Lab) -> Lab:
    lab.settings["caps"] = {"messages_per_flow": f"{RATE}/s"}
    lab.listener("tcp", "tcp")
    lab.listener("udp", "udp")
    lab.trunk("plain", listener="tcp", sources=(FLOODER,))
    lab.trunk("calm", listener="tcp", sources=("127.0.0.1",))
    lab.trunk("datagrams", listener="udp", sources=(FLOODER, "127.0.0.3"))
    lab.trunk("a", {})
    lab.start()
    return lab


def said(lab: Lab, trunk: str) -> int:
    """How many messages of ``trunk`` were handed over."""
    return sum(flow.trunk == trunk for flow, _ in lab.recorder.messages)


@contextmanager
def flooding(lab: Lab, directory: Path, first: bytes = b"") -> Iterator[Flood]:
    with flood(
        directory, lab.address("tcp"), first, OPTIONS * 1000, WITHOUT_END, FLOODER
    ) as attacker:  # fmt: skip
        until(lambda: lab.recorder.floods)
        yield attacker


def held(lab: Lab, listener: str) -> int:
    return lab.listeners.tally.of(listener, "inbound").held


def ask(lab: Lab, source: str = "127.0.0.1") -> None:
    """Somebody has an OPTIONS answered over TCP."""
    with socket.create_connection(lab.address("tcp"), 5, (source, 0)) as sock:
        sock.settimeout(20)
        sock.sendall(OPTIONS)
        assert sock.recv(4096) == OK


def test_a_flood_over_its_allowance_waits_and_nobody_else(lab: Lab, tmp_path: Path) -> None:
    lab.recorder.answer = OK
    with flooding(lab, tmp_path) as attacker:
        before = said(lab, "plain")
        for _ in range(20):
            ask(lab)
        assert try_options(lab.address(), client_context(lab, lab.ca.issue(dns=["peer.example"]))) is None
        # A thousand would have fitted into one read of it.
        assert said(lab, "plain") - before < 1000 and attacker.going_on
        assert (said(lab, "calm"), said(lab, "a")) == (20, 1)
    assert held(lab, "tcp") > 0
    assert {flow.trunk for flow in lab.recorder.floods} == {"plain"}


def test_a_flood_is_taken_in_small_pieces(lab: Lab, tmp_path: Path) -> None:
    lab.recorder.answer = b""
    with flooding(lab, tmp_path), rounds(lambda: len(lab.recorder.messages)) as looked:
        begun = looked.count
        until(lambda: looked.count > begun + 200)
    assert looked.most <= 4


def test_a_second_connection_of_a_flooder_brings_no_second_allowance(lab: Lab, tmp_path: Path) -> None:
    with flooding(lab, tmp_path):
        with socket.create_connection(lab.address("tcp"), 5, (FLOODER, 0)) as sock:
            until(lambda: len({flow.id for flow in lab.recorder.opened}) == 2)
            first, second = lab.recorder.opened
            assert first.allowance is second.allowance
            sock.sendall(OPTIONS)
            until(lambda: any(flow is second for flow, _ in lab.recorder.messages), "it has its turn")


@pytest.mark.slow
def test_however_many_connections_flood_they_look_no_more_often_and_all_have_a_turn(lab: Lab) -> None:
    socks = [socket.create_connection(lab.address("tcp"), 5, (FLOODER, 0)) for _ in range(4)]
    for sock in socks:
        sock.sendall(OPTIONS * 400)
    until(lambda: len(lab.recorder.opened) == 4)
    allowance = lab.recorder.opened[0].allowance
    until(lambda: allowance.waiting == 4, "all of them wait")
    before = {flow.id: count_of(lab, flow.id) for flow in lab.recorder.opened}
    until(lambda: all(count_of(lab, flow) > count for flow, count in before.items()), "each has a turn")
    for flow in lab.recorder.opened:
        flow.channel.abort("enough")
    until_equal(lambda: (len(lab.recorder.closed), allowance.waiting), (4, 0))
    for sock in socks:
        sock.close()


def count_of(lab: Lab, flow: int) -> int:
    return sum(each.id == flow for each, _ in lab.recorder.messages)


def test_octet_by_octet_is_no_way_around_it(lab: Lab) -> None:
    with socket.create_connection(lab.address("tcp"), 5, (FLOODER, 0)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        until(lambda: lab.recorder.opened)
        (flow,) = lab.recorder.opened
        left = flow.allowance.left
        for octet in OPTIONS[:20]:
            sock.sendall(bytes([octet]))
            until_equal(lambda left=left: flow.allowance.left, left - 1)  # type: ignore[misc]
            left -= 1


@pytest.mark.slow
def test_a_connection_that_waits_is_closed_all_the_same(lab: Lab, tmp_path: Path) -> None:
    with flooding(lab, tmp_path):
        lab.recorder.opened[0].channel.close("enough")
        until(lambda: lab.recorder.closed)
        count = said(lab, "plain")
        ask(lab)
        assert said(lab, "plain") == count
    assert lab.recorder.closed[0][1] == "enough"


def datagrams(lab: Lab, source: str) -> Any:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((source, 0))
    sock.settimeout(5)
    sock.connect(lab.address("udp"))
    return sock


@pytest.mark.slow
def test_datagrams_over_the_allowance_are_dropped_unread_and_counted(lab: Lab) -> None:
    lab.recorder.answer = OK
    stats = lab.listeners.tally.of("udp", "inbound")
    request = OPTIONS.replace(b"SIP/2.0/TLS peer.example", b"SIP/2.0/UDP peer.example;rport")
    with (
        datagrams(lab, FLOODER) as attacker,
        datagrams(lab, FLOODER) as port,
        datagrams(lab, "127.0.0.3") as peer,
    ):
        for count in range(0, 3000, 50):
            for sock in (attacker, port):
                for _ in range(25):
                    sock.send(b"rubbish")
            until_equal(lambda count=count: stats.received, count + 50)  # type: ignore[misc]
        assert len(lab.recorder.malformed) + stats.held == 3000
        assert stats.held > 0
        peer.send(request)
        assert peer.recv(4096) == OK
    assert {flow.remote.host for flow in lab.recorder.floods} == {FLOODER}


def test_a_reload_changes_what_is_allowed(lab: Lab) -> None:
    with socket.create_connection(lab.address("tcp"), 5, (FLOODER, 0)):
        until(lambda: lab.recorder.opened)
        lab.settings["caps"] = {"messages_per_flow": "5000/s"}
        lab.reload()
        assert lab.recorder.opened[0].allowance.rate == 5000


def test_pings_of_one_read_are_answered_together(lab: Lab) -> None:
    with socket.create_connection(lab.address("tcp")) as sock:
        sock.sendall(b"\r\n\r\n" * 50 + OPTIONS)
        until(lambda: lab.recorder.messages)
        lab.recorder.opened[0].channel.close("done")
        received = b""
        while data := sock.recv(4096):
            received += data
    assert received == b"\r\n" + OK


def test_pings_without_end_cost_a_read_and_the_connection(lab: Lab) -> None:
    with socket.create_connection(lab.address("tcp")) as sock:
        sock.sendall(b"\r\n\r\n" * (READ_SIZE // 4))
        until(lambda: lab.recorder.opened and not lab.recorder.opened[0].alive)
    until(lambda: lab.recorder.closed)
    assert lab.recorder.closed[0][1] == f"over {BARREN} keepalives or malformed messages within seconds"
