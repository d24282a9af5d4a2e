"""When a peer is dialled anew: its name is looked up again, its connection has died without a word."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gevent import socket

from sbc.base import Address
from sbc.net.dns import names
from sbc.net.system import sockets
from sbc.net.transport import dialer
from tests.edge.test_names import Zone
from tests.edge.tls_lab import OPTIONS, Lab
from tests.edge.wire import vanish
from tests.peers.waiting import until, until_equal


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    yield made
    made.close()


def test_udp_a_name_is_looked_up_now_and_then_and_not_for_every_call(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Address] = []

    def look_up(target: Address) -> list[Address]:
        asked.append(target)
        return [Address("127.0.0.1", target.port)]

    monkeypatch.setattr(dialer, "resolve", look_up)
    lab.listener("edge", "udp")
    trunk = lab.trunk("acme", listener="edge", peers=("carrier.example:5060",))
    lab.start()
    snapshot, later = lab.snapshot(), 0.0
    lab.clock.monotonic = lambda: 1000.0 + later
    flow = lab.dialer.connect(trunk, snapshot)
    for _ in range(5):
        later += dialer.RESOLVE_AGAIN
        assert lab.dialer.lookup(trunk, snapshot) is None
        assert lab.dialer.connect(trunk, snapshot) is flow
        assert lab.dialer.lookup(trunk, snapshot) is flow
    assert len(asked) == 6


@pytest.mark.slow
def test_a_connection_whose_other_end_vanished_is_given_up_and_dialled_anew(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a FIN, a RST or a pong: its host has no power, or a firewall has forgotten the connection."""
    monkeypatch.setattr(sockets, "UNACKNOWLEDGED", 1.0)
    lab.listener("edge", "tcp")
    lab.trunk("acme", listener="edge", sources=("127.0.0.1",))
    with socket.create_server(("127.0.0.1", 0)) as server:
        trunk = lab.trunk("globex", listener="edge", peers=(f"127.0.0.1:{server.getsockname()[1]}",))
        lab.start()
        snapshot = lab.snapshot()
        dialled = lab.dialer.connect(trunk, snapshot)
        peer, caller = server.accept()[0], socket.create_connection(lab.address("edge"))
        caller.sendall(OPTIONS)
        until(lambda: lab.recorder.messages)
        accepted = lab.recorder.messages[0][0]
        for each in (peer, caller):
            vanish(each)
        for flow in (dialled, accepted):
            flow.channel.send(OPTIONS)
        until(lambda: len(lab.recorder.closed) == 2)
        assert not dialled.alive and not accepted.alive
        assert all("timed out" in reason for _, reason in lab.recorder.closed)
        again = lab.dialer.connect(trunk, snapshot)
        assert again is not dialled and again.alive
        peer.close()
        caller.close()


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_on_what_was_dialled_to_a_peer_that_has_left_its_trunk_nothing_begins(
    lab: Lab, transport: str
) -> None:
    """Else it could call in the trunk's name for as long as it likes: our keepalives hold the way open."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.2", 0)) as two:
        stays, leaves = (f"{host}:{port}" for host, port in (one.getsockname(), two.getsockname()))
        lab.listener("edge", transport)
        trunk = lab.trunk("acme", listener="edge", sources=(), peers=(stays, leaves))
        lab.start()
        kept, left = (lab.dialer.connect(trunk, lab.snapshot(), (peer,)) for peer in trunk.peers)
        lab.recorder.busy_flows.add(left.id)  # it has a call
        lab.trunk("acme", listener="edge", sources=(), peers=(stays,))
        lab.reload()
        assert (kept.former, left.former) == (False, True)
        assert kept.alive and left.alive, "its calls go on to their end"
        for sources, peers in ((("127.0.0.2",), (stays,)), ((), (stays, leaves))):
            lab.trunk("acme", listener="edge", sources=sources, peers=peers)
            lab.reload()
            assert not left.former, "it is back"
            lab.trunk("acme", listener="edge", sources=(), peers=(stays,))
            lab.reload()
            assert left.former
        lab.recorder.busy_flows.clear()
        if transport == "tcp":
            until(lambda: lab.recorder.closed)
            assert lab.recorder.closed[0] == (left, "its peer is none of trunk acme's any more")
        assert kept.alive


@pytest.mark.slow
def test_a_connection_to_a_server_that_dns_names_no_more_is_left(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A domain whose addresses change all day would hold a connection to each that it ever had."""
    monkeypatch.setattr(names, "_FORMER", 1)
    zone = Zone()
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.2", 0)):
        port = server.getsockname()[1]
        service = f"_sip._tcp.carrier.example. 300 SRV 1 1 {port} a.example."
        lab.listener("edge", "tcp")
        trunk = lab.trunk("acme", listener="edge", sources=(), peers=("carrier.example",))
        lab.start()
        lab.dialer._names = zone.names
        for host in ("127.0.0.1", "127.0.0.2", "127.0.0.3"):
            zone.records = (service, f"a.example. 300 A {host}")
            zone.names.apply(lab.snapshot())
            zone.asks_again()
            until_equal(lambda: [each[2] for each in zone.taught[-1:]], [[f"{host}:{port}"]])
            if host == "127.0.0.1":
                flow = lab.dialer.connect(trunk, lab.snapshot(), (Address(host, port),))
            elif host == "127.0.0.2":
                lab.reload()
                assert flow.alive and not flow.former, "calls may still be there"
        until(lambda: lab.recorder.closed)
        assert lab.recorder.closed[0] == (flow, "carrier.example has it no more, says DNS")
    zone.names.close()
    zone.server.close()
