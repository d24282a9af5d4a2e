"""Listeners that a reload adds, removes, renames and moves, on real sockets."""

from __future__ import annotations

import socket as plain_socket
from typing import Any

import gevent
import pytest
from gevent import socket

from sbc.base import LocalError
from sbc.flow import Flow
from tests.edge.tls_lab import OK, OPTIONS, Lab
from tests.peers.ports import free_port
from tests.peers.waiting import until


def start(lab: Lab, transport: str, **options: Any) -> None:
    lab.listener("edge", transport, **options)
    lab.trunk("acme", listener="edge")
    lab.start()


def test_a_reload_keeps_sockets_adds_and_removes(lab: Lab) -> None:
    lab.listener("gone", "tcp")
    start(lab, "tcp")
    kept, gone = lab.address("edge"), lab.address("gone")
    peer = socket.create_connection(kept)
    peer.sendall(OPTIONS)
    assert peer.recv(2000) == OK
    del lab.settings["listeners"]["gone"]
    lab.listener("fresh", "udp")
    lab.reload()
    assert lab.address("edge") == kept and lab.address("fresh")[1]
    peer.sendall(OPTIONS)
    assert peer.recv(2000) == OK, "an unchanged listener keeps its connections"
    with pytest.raises(OSError):
        socket.create_connection(gone, 0.5)
    peer.close()


def test_a_removed_port_refuses_as_soon_as_the_reload_is_over(lab: Lab) -> None:
    lab.listener("gone", "tcp")
    start(lab, "tcp")
    gone = lab.address("gone")
    gevent.sleep(0)  # somebody waits on it now
    del lab.settings["listeners"]["gone"]
    lab.reload()
    with pytest.raises(ConnectionRefusedError):
        plain_socket.create_connection(gone, 0.5)  # which gives gevent no turn in between


def heard_on(transport: str, port: int) -> bytes:
    """The answer to one OPTIONS."""
    kind = socket.SOCK_DGRAM if transport == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, kind) as peer:
        peer.settimeout(2)
        peer.connect(("127.0.0.1", port))
        peer.sendall(OPTIONS)
        return bytes(peer.recv(2000))


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_listener_is_renamed_or_moved_to_an_overlapping_address(
    lab: Lab, transport: str, host: str
) -> None:
    port = free_port()
    start(lab, transport, bind=f"127.0.0.1:{port}")
    assert heard_on(transport, port) == OK
    del lab.settings["listeners"]["edge"]
    lab.listener("front", transport, bind=f"{host}:{port}")
    lab.trunk("acme", listener="front")
    lab.reload()
    gevent.sleep(0)  # a datagram may find the old socket until then
    assert lab.address("front") == (host, port)
    assert [heard_on(transport, port) for _ in range(3)] == [OK] * 3
    assert {flow.listener for flow, _ in lab.recorder.messages[1:]} == {"front"}


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_move_that_fails_leaves_the_old_listener_in_place(lab: Lab, transport: str) -> None:
    port = free_port()
    start(lab, transport, bind=f"127.0.0.1:{port}")
    with plain_socket.create_server(("127.0.0.1", 0)) as other:
        lab.listener("front", transport, bind=f"0.0.0.0:{port}")
        lab.listener("taken", "tcp", bind=f"127.0.0.1:{other.getsockname()[1]}")
        del lab.settings["listeners"]["edge"]
        with pytest.raises(LocalError, match="listener taken: cannot bind"):
            lab.reload()
    assert [heard_on(transport, port) for _ in range(3)] == [OK] * 3


def test_a_udp_port_that_moved_is_shared_with_nobody(lab: Lab) -> None:
    port = free_port()
    start(lab, "udp", bind=f"127.0.0.1:{port}")
    lab.listener("front", "udp", bind=f"0.0.0.0:{port}")
    del lab.settings["listeners"]["edge"]
    lab.trunk("acme", listener="front")
    lab.reload()
    with plain_socket.socket(plain_socket.AF_INET, plain_socket.SOCK_DGRAM) as thief:
        thief.setsockopt(plain_socket.SOL_SOCKET, plain_socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError):
            thief.bind(("127.0.0.1", port))


WITHIN = OPTIONS.replace(b"To: <sip:sbc.example>", b"To: <sip:sbc.example>;tag=ours")


def udp_peer() -> Any:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(2)
    return sock


def bindable(port: int) -> bool:
    with plain_socket.socket(plain_socket.AF_INET, plain_socket.SOCK_DGRAM) as other:
        try:
            other.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def in_a_call(lab: Lab, peer: socket.socket, port: int) -> Flow:
    """The flow of ``peer`` at the listener on ``port``, with a call on it that would be lost."""
    peer.sendto(OPTIONS, ("127.0.0.1", port))
    assert peer.recv(2000) == OK
    flow = lab.recorder.messages[0][0]
    lab.recorder.busy_flows.add(flow.id)
    return flow


@pytest.mark.slow
def test_a_udp_socket_that_moved_serves_its_calls_and_no_new_ones_until_they_end(lab: Lab) -> None:
    old, new = free_port(), free_port()
    start(lab, "udp", bind=f"127.0.0.1:{old}")
    with udp_peer() as peer:
        flow = in_a_call(lab, peer, old)
        lab.listener("edge", "udp", bind=f"127.0.0.1:{new}")
        lab.reload()
        assert lab.address("edge")[1] == new and heard_on("udp", new) == OK
        peer.sendto(OPTIONS, ("127.0.0.1", old))
        peer.sendto(WITHIN, ("127.0.0.1", old))
        data, source = peer.recvfrom(2000)
        assert (data, source[1]) == (OK, old)
        assert lab.recorder.messages[-1][1].to_tag == "ours", "the one that began something was not heard"
        flow.channel.send(OPTIONS)
        assert peer.recvfrom(2000) == (OPTIONS, ("127.0.0.1", old)), (
            "what we send comes from where it came from"
        )
        lab.reload()
        assert flow.alive and not bindable(old)
        lab.recorder.busy_flows.clear()
        until(lambda: bindable(old))


def test_a_listener_may_return_to_the_port_that_its_calls_are_still_on(lab: Lab) -> None:
    old, new = free_port(), free_port()
    start(lab, "udp", bind=f"127.0.0.1:{old}")
    with udp_peer() as peer:
        flow = in_a_call(lab, peer, old)
        for port in (new, old):
            lab.listener("edge", "udp", bind=f"127.0.0.1:{port}")
            lab.reload()
        peer.sendto(WITHIN, ("127.0.0.1", old))
        assert peer.recv(2000) == OK
        assert lab.recorder.messages[-1][0] is flow
        assert heard_on("udp", old) == OK, "and it takes new ones again"


@pytest.mark.parametrize("bind", ["127.0.0.1", "0.0.0.0", "[::]"])
def test_a_successor_on_the_port_takes_the_calls_and_every_datagram(lab: Lab, bind: str) -> None:
    port = free_port()
    start(lab, "udp", bind=f"127.0.0.1:{port}")
    with udp_peer() as peer:
        peer.sendto(OPTIONS, ("127.0.0.1", port))
        assert peer.recv(2000) == OK
        flow = lab.recorder.messages[0][0]
        del lab.settings["listeners"]["edge"]
        lab.listener("front", "udp", bind=f"{bind}:{port}")
        lab.trunk("acme", listener="front")
        for _ in range(5):
            peer.sendto(WITHIN, ("127.0.0.1", port))  # which wait in the old socket
        lab.reload()
        for _ in range(5):
            peer.sendto(WITHIN, ("127.0.0.1", port))
        assert [peer.recv(2000) for _ in range(10)] == [OK] * 10
        assert {each.id for each, _ in lab.recorder.messages} == {flow.id} and flow.listener == "front"
        flow.channel.send(OPTIONS)
        assert peer.recvfrom(2000) == (OPTIONS, ("127.0.0.1", port))


def test_calls_of_a_trunk_that_was_removed_are_not_kept(lab: Lab) -> None:
    old, new = free_port(), free_port()
    start(lab, "udp", bind=f"127.0.0.1:{old}")
    with udp_peer() as peer:
        flow = in_a_call(lab, peer, old)
        lab.listener("edge", "udp", bind=f"127.0.0.1:{new}")
        lab.trunks.clear()
        lab.reload()
        assert not flow.alive
