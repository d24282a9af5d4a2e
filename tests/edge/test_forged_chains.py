"""Chains that lead in circles, shown by whoever answers at a peer's address: no trusted key is needed."""

from __future__ import annotations

import time
from pathlib import Path
from ssl import DER_cert_to_PEM_cert
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.demo.pki import Issued, LabAuthority
from sbc.net.tls.context import build_context
from sbc.net.tls.verify import Search, verify
from sbc.tls.material.certificate import read_certificate
from sbc.tls.material.paths import MAX_PATHS
from tests.edge.rotation_lab import running
from tests.edge.sbc_command import sbc
from tests.edge.test_trust_models import issue_ca
from tests.edge.test_verify import blocks
from tests.edge.tls_lab import Lab
from tests.edge.tls_pair import Door
from tests.peers.waiting import until


def forged(trusted: str) -> Issued:
    """A leaf by A, and beside it A by B, A by B, B by A and B by one with only the name of ``trusted``."""
    a, b, forger = LabAuthority("A"), LabAuthority("B"), LabAuthority(trusted)
    ring = [("A", b, a.key), ("A", b, a.key), ("B", a, b.key), ("B", forger, b.key)]
    sent = [issue_ca(name, issuer, key=key)[0].public_bytes(Encoding.PEM) for name, issuer, key in ring]
    leaf = a.issue(dns=["first.example"], ips=["127.0.0.1"])
    return Issued(leaf.cert_pem, leaf.cert_pem + b"".join(sent), leaf.key_pem)


@pytest.mark.slow
def test_a_ring_of_issuers_is_refused_and_stops_nobody(tmp_path: Path) -> None:
    """The SBC is a process of its own: where it stands still the test goes on, and ends it."""
    with running(tmp_path) as lab:
        assert lab.sbc.stop() == 0
        lab.first.certificate = forged("first CA")
        lab.start()
        until(lambda: len(lab.journal("[tls-refused]")) > 1, "it is dialled, refused, and dialled again")
        with lab.second.call_in(lab.address):
            pass  # everybody else is served meanwhile
        told = sbc(lab.directory, "doctor", "first")
        assert told.status == 13 and "signature failure" in told.out, told


def test_the_ring_is_verified_a_few_times(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it is only rehearsed."""
    lab.trunk("a", {}, peers=("first.example:5061",))
    made = count(monkeypatch)
    admission = Door(lab).contexts.table.outbound("a", "first.example")
    assert admission is not None
    said = verify(admission, blocks(forged("good CA").chain_pem), time.time())
    assert said.trunk is None and said.failure is not None
    assert len(made) <= 1 + MAX_PATHS


def test_of_many_trunks_under_one_root_only_the_named_one_is_verified(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of them filed an intermediate, at which every chain ends; the others look above it."""
    middle, door = crowd(lab, named=True)
    made = count(monkeypatch)
    assert door.enters(middle.issue(dns=["t31.example"])) == "t31"
    assert len(made) == 1
    assert door.enters(middle.issue(dns=["stranger.example"])) is None
    assert len(made) == 1


@pytest.mark.parametrize("copies", [1, 20], ids=["one entry for all", "an entry for every other trunk"])
def test_what_is_above_is_verified_once_for_all_trunks_under_one_root(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, copies: int
) -> None:
    """However many there are, by whatever names they filed it, and whichever of them is the one."""
    middle, door = crowd(lab, named=False, copies=copies)
    lab.trunk("t99", {"names": ("peer.example",)})
    door.reload()
    made = count(monkeypatch)
    assert door.enters(middle.issue(dns=["peer.example"])) == "t99", "the one that names it comes first"
    assert door.enters(middle.issue(dns=["another.example"])) == "t00"
    assert len(made) == 2


@pytest.mark.slow
def test_of_many_roots_with_one_name_a_few_are_tried(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    middle, door = crowd(lab, named=True)
    for number in range(40):
        lab.anchor(f"twin{number}", LabAuthority("good CA"))
        lab.trunk(f"s{number:02}", {"trust": (f"twin{number}",)})
    door.reload()
    made = count(monkeypatch)
    assert door.enters(middle.issue(dns=["stranger.example"])) is None
    assert len(made) == Search.MOST


def crowd(lab: Lab, named: bool, copies: int = 0) -> tuple[LabAuthority, Door]:
    """Forty trunks that trust a root, and one that trusts the intermediate below it alone."""
    middle = LabAuthority("middle", issuer=lab.ca)
    lab.anchor("middle", middle)
    for number in range(copies):
        lab.anchor(f"good{number}", lab.ca)
    lab.trunk("by-middle", {"trust": ("middle",), "names": ("middle.example",)})
    for number in range(40):
        trust = f"good{number % copies}" if copies else "good"
        names = (f"t{number:02}.example",) if named else ()
        lab.trunk(f"t{number:02}", {"trust": (trust,), "names": names})
    return middle, Door(lab)


def count(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The admissions that are verified without a peer from now on, one for each time."""
    made: list[Any] = []

    def counting(admission: Any, identity: Any) -> Any:
        made.append(admission)
        assert len(made) <= 100, "it goes on and on"
        return build_context(admission, identity)

    monkeypatch.setattr("sbc.net.tls.verify.build_context", counting)
    return made


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_what_a_stranger_signed_himself_is_not_verified_for_the_sake_of_anothers_pin(
    lab: Lab, version: str
) -> None:
    """Who has not the key that is pinned is of an unknown CA, and that is all there is to find out."""
    root = LabAuthority("root")
    middle = LabAuthority("middle", issuer=LabAuthority("root"))
    pinned, stranger = (middle.issue(dns=["peer.example"]) for _ in range(2))
    altered = bytearray(blocks(stranger.cert_pem)[0])
    altered[-8:] = bytes(8)
    forged = Issued(DER_cert_to_PEM_cert(bytes(altered)).encode(), b"", stranger.key_pem)
    lab.anchor_file("key", pin=(read_certificate(blocks(pinned.cert_pem)[0]).identity.pin,))
    lab.trunk("a", {"trust": ("good", "key")})
    door = Door(lab)
    for each, trunk in ((pinned, "a"), (forged, None)):
        # The signature of his certificate is wrong, and in both chains that of its issuer's.
        sent = Issued(each.cert_pem, each.cert_pem + middle.cert_pem + root.cert_pem, each.key_pem)
        assert door.enters(sent, version) == trunk
    assert door.reason == "unknown-ca"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_beside_a_pin_too_the_other_ways_through_what_a_server_sends_are_tried(
    lab: Lab, version: str
) -> None:
    middle = LabAuthority("middle", issuer=LabAuthority("another root"))
    crossed, _ = issue_ca("middle", lab.ca, key=middle.key)
    leaf = middle.issue(dns=["localhost"])
    sent = Issued(leaf.cert_pem, leaf.chain_pem + crossed.public_bytes(Encoding.PEM), leaf.key_pem)
    lab.anchor_file("key", pin=("sha256/" + "00" * 32,))
    lab.trunk("a", {"trust": ("good",)}, peers=("localhost:5061",))
    lab.trunk("b", {"trust": ("good", "key")}, peers=("localhost:5061",))
    door = Door(lab)
    assert [door.reaches(trunk, sent, version) for trunk in ("a", "b")] == ["a", "b"]
