"""What only the whole edge can tell of a failed handshake: a left-out intermediate, and the chain shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from gevent.server import StreamServer

from sbc.demo.pki import Issued, LabAuthority
from sbc.net.transport.dial import DialFailed
from sbc.tls.events import HandshakeFailed
from tests.edge.tls_lab import (
    Lab,
    alert_seen,
    client_context,
    server_context,
    serving,
    try_options,
)
from tests.peers.waiting import until, until_equal
from tests.unit.tls.certs import der

ANSWER = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"
both_versions = pytest.mark.parametrize("version", ["1.2", "1.3"])


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.listener("tls")
    made.trunk("acme", {})
    made.recorder.answer = ANSWER
    yield made
    made.close()


def halved(issued: Issued) -> Issued:
    """The leaf alone, as whoever forgot the chain file sends it."""
    return Issued(issued.cert_pem, issued.cert_pem, issued.key_pem)


def failed(lab: Lab) -> HandshakeFailed:
    until(lambda: lab.recorder.failures)
    return lab.recorder.failures[-1]


@both_versions
def test_an_intermediate_of_our_own_chain_is_missed_by_name(lab: Lab, version: str) -> None:
    middle = LabAuthority("middle CA", issuer=lab.ca)
    lab.identity("sbc", middle.issue(dns=["sbc.example", "localhost"]))
    lab.start()
    peer = halved(middle.issue(dns=["acme.example"]))
    error = try_options(lab.address(), client_context(lab, peer, version))
    assert alert_seen(error) == 48
    event = failed(lab)
    assert event.failure.kind == "missing-intermediate"
    assert "CN=middle CA" in event.failure.detail and "append" in event.failure.remedy
    assert event.chain == (der(peer.cert_pem),)


def test_an_intermediate_that_a_peer_has_shown_is_known_from_then_on(lab: Lab) -> None:
    middle = LabAuthority("middle CA", issuer=lab.ca)
    whole = middle.issue(dns=["acme.example"])
    lab.start()
    try_options(lab.address(), client_context(lab, halved(whole)))
    assert failed(lab).failure.kind == "unknown-ca", "nobody can know yet"
    assert try_options(lab.address(), client_context(lab, whole)) is None
    try_options(lab.address(), client_context(lab, halved(whole)))
    until_equal(lambda: len(lab.recorder.failures), 2)
    assert failed(lab).failure.kind == "missing-intermediate"


@both_versions
def test_a_dialled_peer_too(lab: Lab, version: str) -> None:
    middle = LabAuthority("middle CA", issuer=lab.ca)
    lab.identity("sbc", middle.issue(dns=["sbc.example", "localhost"]))
    lab.start()
    with serving(server_context(lab, halved(middle.issue(dns=["localhost"])), version)) as server:
        trunk = lab.trunk("acme", {}, peers=(f"localhost:{server.port}",))
        with pytest.raises(DialFailed):
            lab.dialer.connect(trunk, lab.reload())
    assert failed(lab).failure.kind == "missing-intermediate"


def test_a_trunk_with_a_pin_beside_its_ca_is_told_too(lab: Lab) -> None:
    middle = LabAuthority("middle CA", issuer=lab.ca)
    lab.identity("sbc", middle.issue(dns=["sbc.example", "localhost"]))
    lab.anchor_file("pin", pin="sha256/" + "0" * 64)
    lab.trunk("acme", {"trust": ("good", "pin")})
    lab.start()
    try_options(lab.address(), client_context(lab, halved(middle.issue(dns=["acme.example"]))))
    assert failed(lab).failure.kind == "missing-intermediate"


def test_a_ca_of_the_same_name_is_named(lab: Lab) -> None:
    lab.start()
    impostor = LabAuthority(lab.ca.name)
    try_options(lab.address(), client_context(lab, impostor.issue(dns=["acme.example"])))
    failure = failed(lab).failure
    assert failure.kind == "unknown-ca"
    assert "trust good has another key" in failure.detail


def test_a_chain_refused_for_its_name_is_kept_whole(lab: Lab) -> None:
    lab.trunk("acme", {"names": ("acme.example",)})
    lab.start()
    other = LabAuthority("middle CA", issuer=lab.ca).issue(dns=["evil.example"])
    try_options(lab.address(), client_context(lab, other))
    event = failed(lab)
    assert event.failure.kind == "name-mismatch"
    assert event.chain[0] == der(other.cert_pem) and len(event.chain) >= 2


@pytest.mark.parametrize(
    "says", [b"SIP/2.0 400 Bad Request\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail\r\n"]
)
def test_a_dialled_peer_that_answers_in_the_clear(lab: Lab, says: bytes) -> None:
    lab.start()
    server = StreamServer(
        ("127.0.0.1", 0), lambda sock, _peer: (sock.recv(1), sock.sendall(says), sock.recv(4096))
    )
    server.start()
    trunk = lab.trunk("acme", {}, peers=(f"localhost:{server.server_port}",))
    with pytest.raises(DialFailed):
        lab.dialer.connect(trunk, lab.reload())
    server.stop()
    assert failed(lab).failure.kind == "not-tls"
