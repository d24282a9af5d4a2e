"""A listener on every address of the machine tells each peer the one that it is reached from."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from gevent import socket

from sbc.base import Address
from sbc.demo.lab import HOST, SBC_NAME
from sbc.sip.message import Message, Request, Response, serialize
from tests.edge.attacked import Attacked
from tests.edge.raw_sip import Datagrams
from tests.edge.tls_lab import OK, OPTIONS, Lab
from tests.peers.asking import ask
from tests.peers.waiting import until

CASES = [
    ("0.0.0.0", "127.0.0.1", "127.0.0.1"),
    ("0.0.0.0", "127.0.0.2", "127.0.0.1"),
    ("[::]", "127.0.0.1", "127.0.0.1"),
    ("[::]", "::1", "::1"),
]


@pytest.mark.parametrize(("bind", "peer", "shown"), CASES)
def test_a_udp_flow_has_the_address_that_the_peer_is_reached_from(
    lab: Lab, bind: str, peer: str, shown: str
) -> None:
    lab.listener("edge", "udp", bind=f"{bind}:0")
    family = socket.AF_INET6 if ":" in peer else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.bind((peer, 0))
        port = client.getsockname()[1]
        literal = f"[{peer}]" if ":" in peer else peer
        trunk = lab.trunk("acme", listener="edge", sources=(peer,), peers=(f"{literal}:{port}",))
        lab.start()
        client.sendto(OPTIONS, (shown, lab.address("edge")[1]))
        answer, source = client.recvfrom(2000)
        assert answer == OK
        arrived, _ = lab.recorder.messages[0]
        dialled = lab.dialer.connect(trunk, lab.snapshot())
        dialled.channel.send(OPTIONS)
        assert client.recv(2000) == OPTIONS
    for flow in (arrived, dialled):
        assert flow.local == Address(shown, lab.address("edge")[1])
        assert flow.remote == Address(peer, port)
    assert arrived.local.host == source[0].removeprefix("::ffff:"), "what the peer sees is what it is told"


@pytest.fixture
def everywhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attacked]:
    """An SBC whose listeners are on 0.0.0.0 and advertise nothing."""
    attacked = Attacked(tmp_path_factory.mktemp("ev"), srtp="accept")
    path = attacked.directory / "sbc.yaml"
    listeners, media, rest = path.read_text().partition("media:")
    path.write_text(listeners.replace(f"bind: {HOST}", "bind: 0.0.0.0") + media + rest)
    assert ask(attacked.directory / "run" / "sbc.sock", "reload")["changed"]
    yield attacked
    attacked.unharmed()
    assert attacked.close() == 0


def invite(peer: Datagrams) -> bytes:
    """An INVITE without an offer: what is shown is looked at, not the media."""
    branch, here = os.urandom(8).hex(), f"{HOST}:{peer.port}"
    return (
        f"INVITE sip:+12125550100@{SBC_NAME} SIP/2.0\r\nVia: SIP/2.0/UDP {here};branch=z9hG4bK{branch}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:plain@plain.example>;tag={branch}\r\n"
        f"To: <sip:+12125550100@{SBC_NAME}>\r\nCall-ID: {branch}\r\nCSeq: 1 INVITE\r\n"
        f"Contact: <sip:plain@{here}>\r\nContent-Length: 0\r\n\r\n"
    ).encode()


@pytest.mark.slow
def test_no_message_of_a_call_shows_every_address(everywhere: Attacked) -> None:
    peer = Datagrams(Address(HOST, everywhere.udp))
    try:
        peer.send(invite(peer))

        def ringing() -> list[Response]:
            return [each for each in peer.heard if isinstance(each, Response) and each.status > 100]

        until(ringing)
        contact = ringing()[0].contact
        assert contact is not None and (contact.uri.host, contact.uri.port) == (HOST, everywhere.udp)
        there: list[Message] = [each.message for each in everywhere.carrier.record]
        sent = next(each for each in there if isinstance(each, Request) and each.method == "INVITE")
        assert sent.contact is not None
        for host in (sent.via.host, sent.contact.uri.host, sent.from_.uri.host):
            assert host == HOST
        shown = b"".join(serialize(each) for each in [*there, *peer.heard])
        assert b"0.0.0.0" not in shown
        status = ask(everywhere.directory / "run" / "sbc.sock", "status")
        assert all(each["shown"].endswith("(every address)") for each in status["listeners"])
    finally:
        peer.close()
