"""UDP and TCP on real sockets: admission by address, framing, queues, reload."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from sbc.base import Address, LocalError
from sbc.net.tls.contexts import Contexts
from sbc.net.transport import dialer
from sbc.net.transport.dial import DialFailed
from sbc.net.transport.listener import Listeners
from sbc.observe.traffic import Tally
from tests.edge.tls_lab import OPTIONS, Lab
from tests.peers.ports import free_port
from tests.peers.waiting import until, until_equal

OK = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.recorder.answer = OK
    yield made
    made.close()


def start(lab: Lab, transport: str, sources: tuple[str, ...] = ("127.0.0.1",), **options: Any) -> None:
    lab.listener("edge", transport, **options)
    lab.trunk("acme", listener="edge", sources=sources)
    lab.start()


def udp_client() -> Any:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(2)
    return sock


def test_udp_message_and_answer(lab: Lab) -> None:
    start(lab, "udp")
    peer = udp_client()
    for _ in range(3):
        peer.sendto(OPTIONS, lab.address("edge"))
        assert peer.recv(2000) == OK
    flows = {flow.id for flow, _ in lab.recorder.messages}
    assert len(flows) == 1, "one peer is one flow"
    flow = lab.recorder.messages[0][0]
    assert (flow.trunk, flow.transport, flow.remote.port) == ("acme", "udp", peer.getsockname()[1])
    assert not flow.reliable
    peer.close()


@pytest.mark.parametrize("rport", ["", ";rport"])
def test_udp_answers_go_to_the_port_in_via_and_with_rport_to_the_source(lab: Lab, rport: str) -> None:
    """RFC 3261 18.2.2, RFC 3581 4: who sends from a port of the moment listens at the one that it names."""
    start(lab, "udp")
    sender, listening = udp_client(), udp_client()
    via = f"SIP/2.0/UDP 127.0.0.1:{listening.getsockname()[1]}{rport}".encode()
    request = OPTIONS.replace(b"SIP/2.0/TLS peer.example", via)
    for _ in range(2):
        sender.sendto(request, lab.address("edge"))
        assert (sender if rport else listening).recv(2000) == OK
    (flow,) = {flow for flow, _ in lab.recorder.messages}
    assert (flow.trunk, flow.remote.port) == ("acme", (sender if rport else listening).getsockname()[1])
    for each in (sender, listening):
        each.close()


def test_udp_without_a_port_in_via_it_is_5060(lab: Lab) -> None:
    start(lab, "udp")
    sender = udp_client()
    sender.sendto(OPTIONS.replace(b"/TLS peer.example", b"/UDP peer.example"), lab.address("edge"))
    until(lambda: lab.recorder.messages)
    assert lab.recorder.messages[0][0].remote == Address("127.0.0.1", 5060)
    sender.close()


def test_udp_from_a_stranger_is_dropped_before_parsing(lab: Lab) -> None:
    start(lab, "udp", sources=("192.0.2.1",))
    peer = udp_client()
    for data in (OPTIONS, b"\xff" * 500, OPTIONS):
        peer.sendto(data, lab.address("edge"))
    until_equal(lambda: lab.listeners.tally.of("edge", "inbound").refused, 3)
    assert lab.recorder.heard_nothing
    peer.close()


def test_udp_keepalives_are_ignored_and_rubbish_is_malformed(lab: Lab) -> None:
    start(lab, "udp")
    peer = udp_client()
    for data in (b"\r\n\r\n", b"\x00\x00\x00\x00", b"\r\n", b"\r\n\x00", b"\x00", b"", b"rubbish"):
        peer.sendto(data, lab.address("edge"))
    until(lambda: lab.recorder.malformed)
    assert lab.listeners.tally.of("edge", "inbound").received == 7
    assert len(lab.recorder.malformed) == 1 and not lab.recorder.messages
    peer.close()


def test_udp_dialling_sends_from_the_listening_port(lab: Lab) -> None:
    lab.listener("edge", "udp")
    lab.start()
    peer = udp_client()
    trunk = lab.trunk("acme", listener="edge", peers=(f"127.0.0.1:{peer.getsockname()[1]}",))
    snapshot = lab.reload()
    flow = lab.dialer.lookup(trunk, snapshot)
    assert flow is not None and lab.dialer.connect(trunk, snapshot) is flow
    flow.channel.send(OPTIONS)
    data, source = peer.recvfrom(2000)
    assert (data, source) == (OPTIONS, lab.address("edge"))
    peer.sendto(OK, source)
    until(lambda: lab.recorder.messages)
    assert lab.recorder.messages[0][0] is flow
    peer.close()


def test_udp_dialling_a_shared_address_takes_nothing_from_its_owner(lab: Lab) -> None:
    start(lab, "udp")
    peer = udp_client()
    other = lab.trunk(
        "zeta", listener="edge", sources=("192.0.2.1",), peers=(f"127.0.0.1:{peer.getsockname()[1]}",)
    )
    snapshot = lab.reload()
    dialled = lab.dialer.connect(other, snapshot)
    assert dialled.trunk == "zeta" and lab.dialer.connect(other, snapshot) is dialled
    peer.sendto(OPTIONS, lab.address("edge"))
    until(lambda: lab.recorder.messages)
    assert lab.recorder.messages[0][0].trunk == "acme"
    peer.close()


def test_udp_whom_two_trunks_have_dialled_is_heard_when_the_first_of_them_is_gone(lab: Lab) -> None:
    """Nobody's `sources` name it: it is heard because we called it, for whichever trunk."""
    lab.listener("edge", "udp")
    lab.start()
    peer = udp_client()
    there = f"127.0.0.1:{peer.getsockname()[1]}"
    trunks = [lab.trunk(name, listener="edge", sources=(), peers=(there,)) for name in ("acme", "bolt")]
    snapshot = lab.reload()
    flows = [lab.dialer.connect(each, snapshot) for each in trunks]
    del lab.trunks["acme"]
    lab.reload()
    peer.sendto(OPTIONS, lab.address("edge"))
    until(lambda: lab.recorder.messages)
    assert lab.recorder.messages[0][0] is flows[1] and not flows[0].alive
    peer.close()


def test_udp_withdrawn_source_closes_the_flow(lab: Lab) -> None:
    start(lab, "udp")
    peer = udp_client()
    peer.sendto(OPTIONS, lab.address("edge"))
    peer.recv(2000)
    lab.trunk("acme", listener="edge", sources=("192.0.2.1",))
    lab.reload()
    flow, reason = lab.recorder.closed[0]
    assert not flow.alive and "no longer admitted" in reason
    peer.sendto(OPTIONS, lab.address("edge"))
    until_equal(lambda: lab.listeners.tally.of("edge", "inbound").refused, 1)
    assert len(lab.recorder.messages) == 1
    peer.close()


def test_tcp_messages_ping_and_close(lab: Lab) -> None:
    start(lab, "tcp")
    with socket.create_connection(lab.address("edge")) as peer:
        peer.sendall(OPTIONS + b"\r\n\r\n" + OPTIONS[:50])
        until_equal(lambda: len(lab.recorder.messages), 1)
        peer.sendall(OPTIONS[50:])
        until_equal(lambda: len(lab.recorder.messages), 2)
        received = b""
        while len(received) < 2 * len(OK) + 2:
            received += peer.recv(2000)
        assert received == OK + b"\r\n" + OK, "a ping is answered with CRLF (RFC 5626 4.4.1)"
    until(lambda: lab.recorder.closed)
    flow, reason = lab.recorder.closed[0]
    assert reason == "closed by the peer" and not flow.alive
    assert lab.listeners.flows == []


def test_an_accepted_connection_sends_at_once_and_probes_a_peer_that_vanished(lab: Lab) -> None:
    start(lab, "tcp")
    peer = socket.create_connection(lab.address("edge"), 2)
    until(lambda: lab.recorder.opened)
    sock = lab.recorder.opened[0].channel.sock
    assert lab.recorder.opened[0].local == lab.address("edge")
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    peer.close()


def test_tcp_from_a_stranger_is_reset(lab: Lab) -> None:
    start(lab, "tcp", sources=("192.0.2.1",))
    with pytest.raises(OSError) as reset, socket.create_connection(lab.address("edge")) as peer:
        peer.sendall(OPTIONS)
        peer.recv(1)
        peer.recv(1)
    assert reset.value.errno in (errno.ECONNRESET, errno.EPIPE)
    assert lab.recorder.refused[0][2] == "no trunk admits this address"
    assert lab.recorder.heard_nothing


def test_a_fatal_framing_error_closes_after_the_answer(lab: Lab) -> None:
    start(lab, "tcp")
    with socket.create_connection(lab.address("edge")) as peer:
        peer.sendall(OPTIONS.replace(b"Content-Length: 0", b"Content-Length: -1") + b"more" * 10000)
        received = b""
        while data := peer.recv(2000):
            received += data
    assert received.startswith(b"SIP/2.0 400")
    assert lab.recorder.malformed[0][1].fatal
    assert not lab.recorder.messages
    until(lambda: lab.recorder.closed)
    assert lab.recorder.closed[0][1].startswith("malformed stream: ")


@pytest.mark.slow
def test_a_connection_that_is_closed_while_its_peer_is_silent_says_why(lab: Lab) -> None:
    start(lab, "tcp")
    with socket.create_connection(lab.address("edge")) as peer:
        peer.sendall(OPTIONS)
        until(lambda: lab.recorder.messages)
        lab.recorder.opened[0].channel.close("nobody wants it")
        peer.sendall(OPTIONS)
        until(lambda: lab.recorder.closed)
    assert lab.recorder.closed[0][1] == "nobody wants it"
    assert len(lab.recorder.messages) == 1, "nothing is believed that came after"


def test_the_connection_limit_resets_what_is_over_it(lab: Lab) -> None:
    start(lab, "tcp", connections=1)
    first = socket.create_connection(lab.address("edge"))
    until(lambda: lab.recorder.opened)
    with pytest.raises(OSError), socket.create_connection(lab.address("edge")) as second:
        second.sendall(OPTIONS)
        second.recv(1)
        second.recv(1)
    assert "1 connections are open" in lab.recorder.refused[0][2]
    first.close()
    until(lambda: lab.recorder.closed)
    with socket.create_connection(lab.address("edge")) as third:
        third.sendall(OPTIONS)
        assert third.recv(2000) == OK


class Blocklist:
    def blocked(self, host: str) -> bool:
        return host == "127.0.0.1"

    def named(self, source: str) -> str:
        return ""


def test_a_blocked_address_is_reset_at_accept(lab: Lab) -> None:
    lab.listener("edge", "tcp")
    lab.trunk("acme", listener="edge")
    snapshot = lab.snapshot()
    gated = Listeners(snapshot, Contexts(snapshot), lab.recorder, lab.clock, Tally(), Blocklist())
    gated.start()
    with pytest.raises(OSError), socket.create_connection(gated.address("edge")) as peer:
        peer.sendall(OPTIONS)
        peer.recv(1)
        peer.recv(1)
    assert lab.recorder.heard_nothing and lab.recorder.refused == [], "it was told when it was blocked"
    gated.close()


def test_a_send_never_waits_and_a_peer_that_does_not_read_is_dropped(lab: Lab) -> None:
    start(lab, "tcp")
    lab.recorder.answer = b""
    with socket.create_connection(lab.address("edge")) as peer:
        peer.sendall(OPTIONS)
        until(lambda: lab.recorder.messages)
        flow = lab.recorder.messages[0][0]
        switched: list[int] = []
        gevent.spawn(switched.append, 1)
        for _ in range(400):
            flow.channel.send(b"y" * 65536)
        assert not switched, "send() let another greenlet run"
        assert not flow.alive
        until(lambda: lab.recorder.closed)
        assert "too slowly" in lab.recorder.closed[0][1]


def test_what_the_kernel_does_not_take_at_once_is_queued_in_order(lab: Lab) -> None:
    start(lab, "tcp")
    lab.recorder.answer = b""
    with socket.create_connection(lab.address("edge")) as peer:
        peer.sendall(OPTIONS)
        until(lambda: lab.recorder.messages)
        flow = lab.recorder.messages[0][0]
        expected = b""
        while not flow.channel._queue:
            expected += (piece := bytes([len(expected) // 65536 % 256]) * 65536)
            flow.channel.send(piece)
        flow.channel.send(b"the end")
        flow.channel.close("done")
        flow.channel.send(b"after the end")
        received = bytearray()
        while data := peer.recv(1 << 20):
            received += data
        assert bytes(received) == expected + b"the end"


class _Writes:
    """A socket that keeps what is written to it, and how it was cut."""

    def __init__(self) -> None:
        self.written: list[bytes] = []

    def send(self, data: bytes) -> int:
        self.written.append(data)
        return len(data)


def test_what_one_turn_sends_is_one_write_and_nothing_waits_longer(lab: Lab) -> None:
    start(lab, "tcp")
    lab.recorder.answer = b""
    with socket.create_connection(lab.address("edge")) as peer:
        peer.sendall(OPTIONS)
        until(lambda: lab.recorder.messages)
        channel = lab.recorder.messages[0][0].channel
        raw, channel._raw = channel._raw, (writes := _Writes())
        for piece in (b"one", b"two", b"three"):
            channel.send(piece)
        assert writes.written == [], "the turn is not over"
        gevent.sleep(0)
        assert writes.written == [b"onetwothree"]
        channel.send(b"x" * 10_000)
        channel.send(b"y" * 10_000)
        assert writes.written[1:] == [b"x" * 10_000 + b"y" * 10_000], "a record's worth does not wait"
        channel.send(b"the end")
        channel._raw = raw
        channel.abort("withdrawn")
        gevent.sleep(0)
        assert peer.recv(100) == b"", "what waited for the end of the turn is lost with the connection"


def test_tcp_is_dialled_reused_and_told_when_it_ends(lab: Lab) -> None:
    lab.listener("edge", "tcp")
    lab.start()
    server = socket.create_server(("127.0.0.1", 0))
    trunk = lab.trunk("acme", listener="edge", peers=(f"127.0.0.1:{server.getsockname()[1]}",))
    snapshot = lab.reload()
    assert lab.dialer.lookup(trunk, snapshot) is None
    flow = lab.dialer.connect(trunk, snapshot)
    assert lab.dialer.lookup(trunk, snapshot) is flow
    assert lab.dialer.connect(trunk, snapshot) is flow
    accepted, _ = server.accept()
    flow.channel.send(OPTIONS)
    gevent.sleep(0)  # what was sent goes out when the turn ends, and this peer blocks the loop
    assert accepted.recv(2000) == OPTIONS
    accepted.close()
    until(lambda: lab.recorder.closed)
    assert lab.dialer.lookup(trunk, snapshot) is None
    server.close()
    with pytest.raises(DialFailed):
        lab.dialer.connect(trunk, snapshot)
    with pytest.raises(DialFailed, match="no peers"):
        lab.dialer.connect(lab.trunk("globex", listener="edge"), lab.reload())


def test_a_name_that_does_not_resolve_is_a_failed_dial(lab: Lab) -> None:
    lab.listener("edge", "tcp")
    lab.start()
    trunk = lab.trunk("acme", listener="edge", peers=("no-such-host.invalid:5060",))
    with pytest.raises(DialFailed, match=r"no-such-host\.invalid"):
        lab.dialer.connect(trunk, lab.reload())


def test_a_port_in_use_says_what_where_and_what_to_do(lab: Lab) -> None:
    holder = socket.create_server(("127.0.0.1", 0))
    lab.listener("edge", "tcp", bind=f"127.0.0.1:{holder.getsockname()[1]}")
    with pytest.raises(LocalError) as error:
        lab.start()
    text = str(error.value)
    assert "listener edge" in text and "in use" in text and "ss -lntup" in text
    del lab.listeners
    holder.close()


def test_a_reload_that_cannot_bind_changes_nothing(lab: Lab) -> None:
    start(lab, "tcp")
    before = lab.address("edge")
    holder = socket.create_server(("127.0.0.1", 0))
    lab.listener("another", "udp")
    lab.listener("taken", "tcp", bind=f"127.0.0.1:{holder.getsockname()[1]}")
    with pytest.raises(LocalError):
        lab.reload()
    assert lab.listeners.endpoint("another") is lab.listeners.endpoint("taken") is None
    with socket.create_connection(before) as peer:
        peer.sendall(OPTIONS)
        assert peer.recv(2000) == OK
    holder.close()


def test_a_peer_that_sends_without_end_does_not_starve_the_others(lab: Lab) -> None:
    start(lab, "tcp")
    lab.recorder.answer = b""
    flood, quiet = (socket.create_connection(lab.address("edge")) for _ in range(2))
    writer = gevent.spawn(flood.sendall, OPTIONS * 20000)
    quiet.sendall(OPTIONS)
    until_equal(lambda: len({flow.id for flow, _ in lab.recorder.messages}), 2)
    heard = [flow.id for flow, _ in lab.recorder.messages]
    (other,) = {*heard} - {max(heard, key=heard.count)}
    assert heard.index(other) < 20000, "heard before the last of the flood"
    writer.kill()
    flood.close()
    quiet.close()


def test_a_udp_peer_of_the_other_address_family_is_a_failed_dial_and_the_next_one_is_taken(lab: Lab) -> None:
    lab.listener("edge", "udp", bind="[::1]:0")
    trunk = lab.trunk("acme", listener="edge", peers=("127.0.0.1:5060", "[::1]:5060"))
    lab.start()
    snapshot = lab.snapshot()
    first, second = trunk.peers
    assert lab.dialer.lookup(trunk, snapshot, (first,)) is None
    with pytest.raises(DialFailed, match="address family"):
        lab.dialer.connect(trunk, snapshot, (first,))
    assert lab.dialer.connect(trunk, snapshot).remote == second


def test_of_a_names_servers_the_one_that_is_meant_is_dialled(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name has two addresses, and a dialog is with the second."""
    lab.listener("edge", "tcp")
    port = free_port()  # one that is free at both, and that no connection takes meanwhile
    with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.2", port)):
        both = [Address("127.0.0.1", port), Address("127.0.0.2", port)]
        monkeypatch.setattr(dialer, "resolve", lambda target: both)
        trunk = lab.trunk("acme", listener="edge", peers=(f"servers.example:{port}",))
        lab.start()
        snapshot = lab.snapshot()
        usual = lab.dialer.connect(trunk, snapshot)
        assert usual.remote == both[0]
        meant = lab.dialer.connect(trunk, snapshot, trunk.peers, (both[1],))
        assert meant.remote == both[1]
        assert lab.dialer.lookup(trunk, snapshot, trunk.peers, (both[0],)) is usual
        assert lab.dialer.lookup(trunk, snapshot, trunk.peers, (Address("127.0.0.2", 0),)) is meant
        unknown = lab.dialer.connect(trunk, snapshot, trunk.peers, (Address("192.0.2.1", 5061),))
        assert unknown in (usual, meant), "one that is none of theirs changes nothing"
