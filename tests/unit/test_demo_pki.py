"""The lab's certificates: valid where they should be, replaced when they must be, keys closed to others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from sbc.demo.pki import Issued, KeyKind, LabAuthority, write_lab

NOW = 1_800_000_000.0
DAY = 86400.0
FILES = [
    "carrier-ca.pem",
    "carrier.key",
    "carrier.pem",
    "lab-ca.pem",
    "office.key",
    "office.pem",
    "rogue.key",
    "rogue.pem",
    "sbc.key",
    "sbc.pem",
]


def leaf(issued: Issued) -> x509.Certificate:
    return x509.load_pem_x509_certificate(issued.cert_pem)


def verify(anchor: bytes, chain: bytes, name: str, now: float = NOW) -> None:
    """Path validation as a client does it; VerificationError."""
    first, *others = x509.load_pem_x509_certificates(chain)
    builder = PolicyBuilder().store(Store([x509.load_pem_x509_certificate(anchor)]))
    verifier = builder.time(datetime.fromtimestamp(now, UTC)).build_server_verifier(x509.DNSName(name))
    verifier.verify(first, others)


def test_the_lab_is_complete_and_its_chains_verify(tmp_path: Path) -> None:
    written = write_lab(tmp_path, NOW)
    tls = tmp_path / "tls"
    assert sorted(path.name for path in written) == FILES
    assert sorted(path.name for path in tls.iterdir()) == FILES
    for stem, ca in [("sbc", "lab"), ("office", "lab"), ("carrier", "carrier")]:
        anchor = (tls / f"{ca}-ca.pem").read_bytes()
        verify(anchor, (tls / f"{stem}.pem").read_bytes(), f"{stem}.lab.example")


def test_the_rogue_bears_the_carriers_name_and_nobody_trusts_it(tmp_path: Path) -> None:
    write_lab(tmp_path, NOW)
    tls = tmp_path / "tls"
    for anchor in ("carrier-ca.pem", "lab-ca.pem"):
        with pytest.raises(VerificationError):
            verify((tls / anchor).read_bytes(), (tls / "rogue.pem").read_bytes(), "carrier.lab.example")


def test_only_the_owner_reads_the_keys_and_they_fit(tmp_path: Path) -> None:
    write_lab(tmp_path, NOW)
    keys = list((tmp_path / "tls").glob("*.key"))
    assert {path.stem for path in keys} >= {"sbc", "office", "carrier", "rogue"}
    for path in keys:
        assert path.stat().st_mode & 0o777 == 0o600
        private = load_pem_private_key(path.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(path.with_suffix(".pem").read_bytes())
        assert private.public_key() == certificate.public_key()


def test_what_is_good_is_kept(tmp_path: Path) -> None:
    write_lab(tmp_path, NOW)
    before = {path: path.read_bytes() for path in (tmp_path / "tls").iterdir()}
    assert write_lab(tmp_path, NOW + 300 * DAY) == []
    assert {path: path.read_bytes() for path in (tmp_path / "tls").iterdir()} == before


@pytest.mark.parametrize("now", [NOW + 364.5 * DAY, NOW - DAY])
def test_what_expires_within_a_day_or_is_not_yet_valid_is_made_anew(tmp_path: Path, now: float) -> None:
    write_lab(tmp_path, NOW)
    assert len(write_lab(tmp_path, now)) == len(FILES)
    tls = tmp_path / "tls"
    verify((tls / "lab-ca.pem").read_bytes(), (tls / "sbc.pem").read_bytes(), "sbc.lab.example", now)


@pytest.mark.parametrize("damage", ["missing", "garbage"])
def test_one_damaged_file_renews_its_authority_alone(tmp_path: Path, damage: str) -> None:
    write_lab(tmp_path, NOW)
    victim = tmp_path / "tls" / "office.pem"
    victim.unlink() if damage == "missing" else victim.write_bytes(b"garbage")
    renewed = sorted(path.name for path in write_lab(tmp_path, NOW))
    assert renewed == ["lab-ca.pem", "office.key", "office.pem", "sbc.key", "sbc.pem"]


@pytest.mark.parametrize(("kind", "expected"), [("ec", ec.EllipticCurvePublicKey), ("rsa", rsa.RSAPublicKey)])
def test_keys_are_of_the_kind_asked_for(kind: KeyKind, expected: type) -> None:
    authority = LabAuthority("A", key=kind, now=NOW)
    issued = authority.issue(dns=["a.example"], key=kind)
    assert isinstance(leaf(issued).public_key(), expected)
    verify(authority.cert_pem, issued.chain_pem, "a.example")


def test_an_intermediate_is_part_of_the_chain() -> None:
    root = LabAuthority("root", now=NOW)
    middle = LabAuthority("middle", issuer=root, now=NOW)
    issued = middle.issue(dns=["a.example"])
    verify(root.cert_pem, issued.chain_pem, "a.example")
    with pytest.raises(VerificationError):
        verify(root.cert_pem, issued.cert_pem, "a.example")


def test_names_purposes_and_dates_are_as_asked() -> None:
    yesterday = datetime.fromtimestamp(NOW, UTC) - timedelta(days=1)
    issued = LabAuthority("A", now=NOW).issue(
        uris=["sip:a.example"],
        ips=["192.0.2.1"],
        eku=("server",),
        not_before=NOW - 9 * DAY,
        not_after=yesterday,
        cn="x",
    )
    certificate = leaf(issued)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["sip:a.example"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.1"]
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert certificate.not_valid_after_utc == yesterday
    assert certificate.subject.rfc4514_string() == "CN=x"


def test_extensions_can_be_left_out() -> None:
    extensions = leaf(LabAuthority("A", now=NOW).issue(eku=())).extensions
    kinds = {type(each.value) for each in extensions}
    assert not kinds & {x509.SubjectAlternativeName, x509.ExtendedKeyUsage}


def test_a_key_is_not_in_the_repr() -> None:
    issued = LabAuthority("A", now=NOW).issue(dns=["a.example"])
    assert b"PRIVATE" in issued.key_pem
    assert "PRIVATE" not in repr(issued)
