"""What a failed handshake tells of a chain: what was left out, who has the same name, and the chain shown."""

from __future__ import annotations

import pytest
from gevent.server import StreamServer

from sbc.demo.pki import Issued, LabAuthority
from sbc.net.doctor.examine import Examiner
from sbc.tls.events import HandshakeFailed
from tests.edge.tls_lab import Lab, alert_seen
from tests.edge.tls_pair import Clear, Door, Pair
from tests.unit.tls.certs import der

both_versions = pytest.mark.parametrize("version", ["1.2", "1.3"])


@pytest.fixture
def lab(lab: Lab) -> Lab:
    lab.trunk("acme", {}, peers=("localhost:5061",))
    return lab


def halved(issued: Issued) -> Issued:
    """The leaf alone, as whoever forgot the chain file sends it."""
    return Issued(issued.cert_pem, issued.cert_pem, issued.key_pem)


def failed(door: Door, peer: Issued, version: str | None = None) -> HandshakeFailed:
    assert door.enters(peer, version) is None
    return door.ours.failure()


@both_versions
def test_an_intermediate_of_our_own_chain_is_missed_by_name(lab: Lab, version: str) -> None:
    middle = LabAuthority("middle CA", issuer=lab.ca)
    lab.identity("sbc", middle.issue(dns=["sbc.example", "localhost"]))
    door = Door(lab)
    peer = halved(middle.issue(dns=["acme.example"]))
    event = failed(door, peer, version)
    assert alert_seen(door.theirs.error) == 48
    assert event.failure.kind == "missing-intermediate"
    assert "CN=middle CA" in event.failure.detail and "append" in event.failure.remedy
    assert event.chain == (der(peer.cert_pem),)


def test_an_intermediate_that_a_peer_has_shown_is_known_from_then_on(lab: Lab) -> None:
    middle = LabAuthority("middle CA", issuer=lab.ca)
    whole = middle.issue(dns=["acme.example"])
    door = Door(lab)
    assert failed(door, halved(whole)).failure.kind == "unknown-ca", "nobody can know yet"
    assert door.enters(whole) == "acme"
    assert failed(door, halved(whole)).failure.kind == "missing-intermediate"


@both_versions
def test_a_dialled_peer_too(lab: Lab, version: str) -> None:
    middle = LabAuthority("middle CA", issuer=lab.ca)
    lab.identity("sbc", middle.issue(dns=["sbc.example", "localhost"]))
    door = Door(lab)
    assert door.reaches("acme", halved(middle.issue(dns=["localhost"])), version) is None
    assert door.reason == "missing-intermediate"


def test_a_trunk_with_a_pin_beside_its_ca_is_told_too(lab: Lab) -> None:
    middle = LabAuthority("middle CA", issuer=lab.ca)
    lab.identity("sbc", middle.issue(dns=["sbc.example", "localhost"]))
    lab.anchor_file("pin", pin="sha256/" + "0" * 64)
    lab.trunk("acme", {"trust": ("good", "pin")})
    door = Door(lab)
    peer = halved(middle.issue(dns=["acme.example"]))
    assert failed(door, peer).failure.kind == "missing-intermediate"


def test_a_ca_of_the_same_name_is_named(lab: Lab) -> None:
    door = Door(lab)
    impostor = LabAuthority(lab.ca.name)
    failure = failed(door, impostor.issue(dns=["acme.example"])).failure
    assert failure.kind == "unknown-ca"
    assert "trust good has another key" in failure.detail


def test_a_chain_refused_for_its_name_is_kept_whole(lab: Lab) -> None:
    lab.trunk("acme", {"names": ("acme.example",)})
    door = Door(lab)
    other = LabAuthority("middle CA", issuer=lab.ca).issue(dns=["evil.example"])
    event = failed(door, other)
    assert event.failure.kind == "name-mismatch"
    assert event.chain[0] == der(other.cert_pem) and len(event.chain) >= 2


@pytest.mark.parametrize(
    "says", [b"SIP/2.0 400 Bad Request\r\n\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"220 mail\r\n"]
)
def test_a_dialled_peer_that_answers_in_the_clear(lab: Lab, says: bytes) -> None:
    door = Door(lab)
    ours = door.outbound("acme")
    Pair(ours, Clear(says)).drive()
    assert ours.failure().failure.kind == "not-tls"


def test_the_doctor_does_not_send_you_to_the_doctor(lab: Lab) -> None:
    """A peer that hangs up is told with what to do about it; without a configuration there is no trunk."""
    deaf = StreamServer(("127.0.0.1", 0), lambda sock, _peer: sock.close())
    deaf.start()
    trunk = lab.trunk("acme", {}, peers=(f"127.0.0.1:{deaf.server_port}",))
    (visit,) = Examiner(lab.snapshot(), trunk, lab.clock).examine(trunk.peers[0]).visits
    deaf.stop(timeout=0.1)
    assert visit.failure is not None and visit.failure.kind == "reset-by-peer"
    assert "else correct `peers`" in visit.failure.remedy and "sbc doctor" not in visit.failure.remedy
