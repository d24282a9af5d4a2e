"""A good handshake is told once, with what the peer sent and what its CertificateRequest named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.demo.pki import Issued, LabAuthority
from sbc.flow import Flow
from sbc.tls.events import Handshake
from tests.edge.tls_lab import OPTIONS, Lab, client_context, server_context, serving, try_options
from tests.edge.tls_pair import Door, Pair
from tests.peers.waiting import until

ANSWER = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
both_versions = pytest.mark.parametrize("version", ["1.2", "1.3"])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.listener("tls")
    made.recorder.answer = ANSWER
    yield made
    made.close()


def ders(issued: Issued) -> tuple[bytes, ...]:
    return tuple(
        each.public_bytes(Encoding.DER) for each in x509.load_pem_x509_certificates(issued.chain_pem)
    )


def told(lab: Lab) -> Handshake:
    until(lambda: lab.recorder.handshakes)
    (event,) = lab.recorder.handshakes
    return event


@both_versions
def test_inbound_tells_what_the_peer_sent_and_who_vouched(lab: Lab, version: str) -> None:
    lab.trunk("acme", {})
    lab.start()
    peer = LabAuthority("middle CA", issuer=lab.ca).issue(dns=["acme.example"])
    assert try_options(lab.address(), client_context(lab, peer, version)) is None
    event = told(lab)
    assert (event.direction, event.listener, event.trunk, event.anchor) == ("inbound", "tls", "acme", "good")
    assert event.chain == ders(peer) and len(event.chain) == 2, "the intermediate too, and not our root"
    assert event.peer_cas is None
    assert event.facts.version == f"TLSv{version}"
    assert event.remote.host == "127.0.0.1"
    (flow,) = lab.recorder.opened
    assert event.facts is flow.tls


@both_versions
def test_inbound_without_a_certificate_is_told_too(lab: Lab, version: str) -> None:
    lab.trunk("acme", {"mode": "optional"})
    door = Door(lab)
    assert door.enters(None, version) == "acme"
    assert (door.event.chain, door.event.anchor) == ((), None)


def test_a_refused_peer_is_no_handshake(lab: Lab) -> None:
    lab.trunk("acme", {})
    lab.start()
    other = lab.other_ca.issue(dns=["acme.example"])
    assert try_options(lab.address(), client_context(lab, other)) is not None
    until(lambda: lab.recorder.failures)
    assert not lab.recorder.handshakes


def dial(lab: Lab, port: int) -> Flow:
    lab.start()
    return lab.dialer.connect(lab.trunk("acme", {}, peers=(f"localhost:{port}",)), lab.reload())


@both_versions
@pytest.mark.parametrize("asks", [False, True])
def test_outbound_tells_whether_the_peer_asked(lab: Lab, version: str, asks: bool) -> None:
    peer = lab.ca.issue(dns=["localhost"])
    lab.trunk("acme", {}, peers=("localhost:5061",))
    door = Door(lab)
    door.dial("acme", server_context(lab, peer, version, demand=lab.ca if asks else None)).drive()
    event = door.ours.told()
    assert (event.direction, event.trunk, event.anchor) == ("outbound", "acme", "good")
    assert event.chain[0] == ders(peer)[0]
    assert event.peer_cas == (() if asks else None), "this peer asks, and names nobody"


def test_outbound_tells_which_cas_the_peer_names(lab: Lab) -> None:
    """The peer is our own listener, whose CertificateRequest names what its trunks trust."""
    lab.anchor("other", lab.other_ca)
    lab.trunk("acme", {"trust": ("good", "other")}, peers=("localhost:5061",))
    door = Door(lab)
    theirs, ours = door.inbound(), door.outbound("acme")
    Pair(ours, theirs).drive()
    assert theirs.trunk == "acme"
    event = ours.told()
    assert event.peer_cas is not None and sorted(event.peer_cas) == ["CN=good CA", "CN=other CA"]


def test_over_tls_1_3_it_is_told_with_the_first_data(lab: Lab) -> None:
    with serving(server_context(lab, lab.ca.issue(dns=["localhost"]), "1.3")) as server:
        server.says = ANSWER
        flow = dial(lab, server.port)
        gevent.sleep(0.05)
        assert lab.recorder.opened and not lab.recorder.handshakes, "the peer may still refuse us"
        flow.channel.send(OPTIONS)
        told(lab)
        flow.channel.send(OPTIONS)
        until(lambda: len(lab.recorder.messages) > 1)
        told(lab)


def test_a_late_rejection_is_no_handshake(lab: Lab) -> None:
    context = server_context(lab, lab.ca.issue(dns=["localhost"]), "1.3", demand=lab.other_ca)
    with serving(context) as server:
        flow = dial(lab, server.port)
        flow.channel.send(OPTIONS)
        until(lambda: lab.recorder.failures)
    assert not lab.recorder.handshakes
