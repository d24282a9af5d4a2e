"""Certificates that others take, in real handshakes: nobody is refused for how his is written."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from ssl import DER_cert_to_PEM_cert, PEM_cert_to_DER_cert

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from sbc.config.model import TrustAnchor
from sbc.demo.pki import Issued, LabAuthority, key_bytes, new_key
from sbc.tls.material.anchors import load_anchor
from sbc.tls.material.certificate import thumbprint_of
from sbc.tls.revocation.issuer import read_issuer
from sbc.tls.revocation.link import read_link
from sbc.tls.tlv import elements, sequence, tagged, within
from tests.edge.tls_lab import Lab
from tests.edge.tls_pair import Door
from tests.unit.tls.certs import der
from tests.unit.tls.revoking import der_of, list_points, must_staple

BASIC, FEATURE, POLICIES = "2.5.29.19", "1.3.6.1.5.5.7.1.24", "2.5.29.32"
NO_CA = (BASIC, "3000")
ODD = {
    "no CA, spelled out": [(BASIC, "3003010100")],
    "no CA, with a path length": [(BASIC, "3003020100")],
    "an unknown TLS feature": [NO_CA, (FEATURE, "3003020163")],
    "a policy with an unknown qualifier": [NO_CA, (POLICIES, "3010300e06032a03043007300506022a031a00")],
    "timestamps that are none": [NO_CA, ("1.3.6.1.4.1.11129.2.4.2", "0403000178")],
}
NAMES = "300b8209" + b"localhost".hex()
# Names that are no host's beside one: an x400Address (RFC 5280 4.2.1.6).
MORE_NAMES = "300da300" + NAMES[4:]
odd = pytest.mark.parametrize("kind", ODD)


def certified(
    authority: LabAuthority, extensions: list[tuple[str, str]], names: str = NAMES, subject: str = "peer"
) -> Issued:
    """A certificate with these extensions, as they are written."""
    now, key = datetime.now(UTC), new_key("ec")
    builder = x509.CertificateBuilder(
        issuer_name=authority.certificate.subject, public_key=key.public_key(), serial_number=77,
        subject_name=x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]),
        not_valid_before=now - timedelta(days=1), not_valid_after=now + timedelta(days=90),
    )  # fmt: skip
    for oid, value in (*extensions, ("2.5.29.17", names)):
        each = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), bytes.fromhex(value))
        builder = builder.add_extension(each, critical=False)
    pem = builder.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return Issued(pem, pem, key_bytes(key))


@odd
@pytest.mark.parametrize("names", [NAMES, MORE_NAMES], ids=["names", "names of no host"])
def test_a_peer_may_have_it_whoever_dials(lab: Lab, kind: str, names: str) -> None:
    lab.trunk("a", {"names": ("localhost",)}, peers=("localhost:5061",))
    door = Door(lab)
    issued = certified(lab.ca, ODD[kind], names)
    assert door.enters(issued) == "a"
    assert door.reaches("a", issued) == "a"


@odd
def test_a_stranger_that_has_it_is_told_as_any_other(lab: Lab, kind: str) -> None:
    lab.trunk("a", {})
    door = Door(lab)
    assert door.enters(certified(lab.other_ca, ODD[kind])) is None
    failure = door.ours.failure().failure
    assert failure.kind == "unknown-ca" and "CN=peer was issued by CN=other CA" in failure.detail


def test_what_it_says_beside_counts_all_the_same(lab: Lab) -> None:
    """Nothing that bears on whether it is accepted is passed over with what cannot be read."""
    lab.trunk("a", {"client_eku": "allow-server-auth"})
    door, feature = Door(lab), ODD["an unknown TLS feature"]
    assert door.enters(certified(lab.ca, [*feature, ("2.5.29.37", "300a06082b06010505070303")])) is None
    assert door.reason == "wrong-purpose"
    assert door.enters(certified(lab.ca, [*feature[1:], (BASIC, "30030101ff")])) is None
    assert door.reason == "wrong-purpose", "a CA's is no peer's"
    assert door.enters(certified(lab.ca, [*feature, ("2.5.29.30", "3000")])) is None
    assert door.reason in ("bad-certificate", "wrong-purpose")
    assert door.enters(certified(lab.ca, feature, names="30058703aabbcc")) is None
    assert door.reason == "bad-certificate", "an address of three octets"


def test_what_is_asked_of_its_revocation_is_read(tmp_path: Path) -> None:
    authority = LabAuthority("its CA")
    points, staple = list_points("http://lists.example/a"), must_staple()
    known = [(each.oid.dotted_string, each.public_bytes().hex()) for each in (points, staple)]
    feature = known[1][1].replace("3003", "3006", 1) + "020163"
    issued = certified(authority, [NO_CA, known[0], (FEATURE, feature)])
    link = read_link(der(issued.cert_pem), read_issuer(der_of(authority)))
    assert link.must_staple and link.lists == ("http://lists.example/a",) and not link.is_ca


# Common names in strings that may not hold them (RFC 5280 4.1.2.4), as CAs have made them.
NAMES_OF_OLD = {
    "PrintableString": b"\x13\x06sip_gw",
    "PrintableString with a star": b"\x13\x0d*.old.example",
    "TeletexString in Latin-1": b"\x14\x06M\xfcller",
}


def respelled(authority: LabAuthority, value: bytes) -> Issued:
    """A good certificate whose common name is written so."""
    good = certified(authority, [NO_CA], subject="x" * (len(value) - 2))
    signed, algorithm, _ = elements(within(der(good.cert_pem)))
    old = b"\x0c" + bytes([len(value) - 2]) + b"x" * (len(value) - 2)
    assert signed.count(old) == 1 and isinstance(authority.key, ec.EllipticCurvePrivateKey)
    signed = signed.replace(old, value)
    signature = authority.key.sign(signed, ec.ECDSA(hashes.SHA256()))
    whole = sequence(signed + algorithm + tagged(0x03, b"\0" + signature))
    pem = DER_cert_to_PEM_cert(whole).encode()
    return Issued(pem, pem, good.key_pem)


@pytest.mark.parametrize("value", NAMES_OF_OLD.values(), ids=NAMES_OF_OLD)
def test_a_peer_may_be_called_as_others_let_it(lab: Lab, value: bytes) -> None:
    lab.trunk("a", {"names": ("localhost",)}, peers=("localhost:5061",))
    door, issued = Door(lab), respelled(lab.ca, value)
    assert door.enters(issued) == "a"
    assert door.event.facts.peer is not None
    assert door.event.facts.peer.subject.endswith(value[2:].decode("latin-1").replace("*", r"\*")[-5:])
    assert door.event.facts.peer.thumbprint == thumbprint_of(PEM_cert_to_DER_cert(issued.cert_pem.decode()))
    assert door.reaches("a", issued) == "a"
    assert door.enters(respelled(lab.other_ca, value)) is None and door.reason == "unknown-ca"


@pytest.mark.parametrize("value", NAMES_OF_OLD.values(), ids=NAMES_OF_OLD)
def test_of_ours_and_of_those_we_trust_it_is_said(tmp_path: Path, value: bytes) -> None:
    """Not that it is damaged: copying it again would not help."""
    (tmp_path / "it.pem").write_bytes(respelled(LabAuthority("it"), value).cert_pem)
    loaded, problems = load_anchor("it", TrustAnchor(leaf=("it.pem",)), tmp_path, time.time())
    assert loaded is None
    assert "spelled" in problems[0].message and "UTF8String" in problems[0].hint


def test_a_ca_may_have_it_too(tmp_path: Path) -> None:
    root = certified(LabAuthority("root"), [(BASIC, "30030101ff"), (FEATURE, "3003020163")], subject="a CA")
    (tmp_path / "ca.pem").write_bytes(root.cert_pem)
    loaded, problems = load_anchor("it", TrustAnchor(ca="ca.pem"), tmp_path, time.time())
    assert loaded is not None and problems == []


@pytest.mark.parametrize(
    "eku", [[], [("2.5.29.37", "300a06082b06010505070301")]], ids=["no EKU", "serverAuth"]
)
def test_a_key_that_may_not_sign_is_told_so_and_no_leniency_helps(
    lab: Lab, eku: list[tuple[str, str]]
) -> None:
    """RFC 8446 4.4.2.2: digitalSignature has to be there where a key usage is, whatever `client_eku` says."""
    issued = certified(lab.ca, [NO_CA, ("2.5.29.15", "03020520"), *eku])  # keyEncipherment alone
    for leniency in ("require", "allow-server-auth"):
        lab.trunk("a", {"client_eku": leniency})
        door = Door(lab)
        assert door.enters(issued) is None
        failure = door.ours.failure().failure
        assert failure.kind == "wrong-purpose" and "key usage has no digitalSignature" in failure.detail
        assert failure.remedy == "let its owner get one whose key usage has digitalSignature"
    good = certified(lab.ca, [NO_CA, ("2.5.29.15", "03020780"), *eku])
    assert door.enters(good) == "a"
