"""A UDP listener on all addresses of a machine: who wrote to one of them is answered from it (RFC 3581 4)."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

import pytest
from gevent import socket

from sbc.base import Address
from tests.edge.tls_lab import OPTIONS, Lab
from tests.peers.ports import free_port
from tests.peers.waiting import until_equal

OK = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
OURS, OTHER = "127.0.0.5", "127.0.0.6"


@pytest.fixture(params=["0.0.0.0", "[::]"])
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.recorder.answer = OK
    made.listener("edge", "udp", bind=f"{request.param}:{free_port()}")
    made.trunk("acme", listener="edge", sources=("127.0.0.1",))
    made.start()
    yield made
    made.close()


def at(lab: Lab, host: str) -> tuple[str, int]:
    return host, lab.address("edge")[1]


@pytest.fixture
def peer() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(30)
        yield sock


def test_the_answer_comes_from_where_the_request_went(lab: Lab, peer: socket.socket) -> None:
    for host in (OURS, OTHER, OURS, "127.0.0.1"):
        peer.sendto(OPTIONS, at(lab, host))
        assert peer.recvfrom(2000) == (OK, at(lab, host))
    flows = [flow for flow, _ in lab.recorder.messages]
    assert [flow.local.host for flow in flows] == [OURS, OTHER, OURS, "127.0.0.1"], (
        "and Via and Contact say so"
    )
    assert flows[0] is flows[2], "what is repeated is known again"


def test_what_we_begin_leaves_as_ever_and_what_the_peer_began_goes_on(lab: Lab, peer: socket.socket) -> None:
    peer.sendto(OPTIONS, at(lab, OURS))
    assert peer.recvfrom(2000)[1] == at(lab, OURS)
    called = lab.trunk("acme", listener="edge", peers=(f"127.0.0.1:{peer.getsockname()[1]}",))
    flow = lab.dialer.connect(called, lab.reload())
    flow.channel.send(b"we call")
    assert flow.local == Address("127.0.0.1", lab.address("edge")[1])
    assert peer.recvfrom(2000) == (b"we call", at(lab, "127.0.0.1"))
    ((former, _),) = lab.recorder.messages
    former.channel.send(b"still")
    assert peer.recvfrom(2000) == (b"still", at(lab, OURS))
    peer.sendto(OPTIONS, at(lab, OURS))
    until_equal(lambda: len(lab.recorder.messages), 2)
    assert lab.recorder.messages[1][0] is former
    assert peer.recvfrom(2000)[1] == at(lab, OURS)


def test_an_address_that_the_machine_has_no_more_is_told_to_nobody(
    lab: Lab, peer: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = lab.trunk("acme", listener="edge", peers=(f"127.0.0.1:{peer.getsockname()[1]}",))
    snapshot, own = lab.reload(), OURS
    monkeypatch.setattr("sbc.net.transport.udp.own_address", lambda peer: own)
    former = lab.dialer.connect(called, snapshot)
    own, later = OTHER, lab.clock.monotonic() + 3600.0
    lab.clock.monotonic = lambda: later
    flow = lab.dialer.connect(called, snapshot)
    assert (former.local.host, flow.local.host) == (OURS, OTHER)

    def out_of_descriptors(peer: object) -> str:
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr("sbc.net.transport.udp.own_address", out_of_descriptors)
    later += 3600.0
    assert lab.dialer.connect(called, snapshot) is flow, "what is known will do"


def test_a_move_to_another_listener_changes_no_address(lab: Lab, peer: socket.socket) -> None:
    for host in (OURS, OTHER):
        peer.sendto(OPTIONS, at(lab, host))
        assert peer.recvfrom(2000)[1] == at(lab, host)
    port = lab.address("edge")[1]
    del lab.settings["listeners"]["edge"]
    lab.listener("moved", "udp", bind=f"[::]:{port}")
    lab.trunk("acme", listener="moved")
    lab.reload()
    for host in (OURS, OTHER):
        peer.sendto(OPTIONS, (host, port))
        assert peer.recvfrom(2000)[1] == (host, port)
    flows = [flow for flow, _ in lab.recorder.messages]
    assert flows[:2] == flows[2:] and [flow.local.host for flow in flows[:2]] == [OURS, OTHER]
