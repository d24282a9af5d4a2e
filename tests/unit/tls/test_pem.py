"""What is really in a file that is no PEM certificate or key, and the command that makes one of it."""

from __future__ import annotations

import subprocess
import warnings
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    pkcs7,
    pkcs12,
)
from cryptography.x509.oid import NameOID

from sbc.config.model import Identity, TrustAnchor
from sbc.demo.pki import LabAuthority, key_bytes
from sbc.tls.material.anchors import load_anchor
from sbc.tls.material.identity import load_identity
from sbc.tls.material.problems import Problem
from sbc.tls.material.public_roots import is_public
from tests.unit.tls.certs import DAY, GOOD, NOW, OTHER, der, weak_leaf

LEAF = GOOD.issue(dns=["sbc.example"])
KEY = load_pem_private_key(LEAF.key_pem, None)
CERTIFICATE = x509.load_pem_x509_certificate(LEAF.cert_pem)
REQUEST = (
    x509.CertificateSigningRequestBuilder()
    .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sbc.example")]))
    .sign(GOOD.key, hashes.SHA256())
)
P12 = pkcs12.serialize_key_and_certificates(
    b"sbc", KEY, CERTIFICATE, None, BestAvailableEncryption(b"secret")  # type: ignore[arg-type]
)  # fmt: skip
DAMAGED = LEAF.cert_pem[:200] + b"!!!!" + LEAF.cert_pem[200:]
SEALED = BestAvailableEncryption(b"secret")
PKCS8 = (PrivateFormat.PKCS8, NoEncryption())


def crl() -> bytes:
    builder = x509.CertificateRevocationListBuilder().issuer_name(GOOD.certificate.subject)
    now = x509.load_pem_x509_certificate(LEAF.cert_pem).not_valid_before_utc
    return builder.last_update(now).next_update(now.replace(year=now.year + 1)).sign(
        GOOD.key, hashes.SHA256()
    ).public_bytes(Encoding.PEM)  # fmt: skip


def bundle(encoding: Encoding) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pkcs7.serialize_certificates([CERTIFICATE], encoding)


def identity(directory: Path, chain: bytes, key: bytes, now: float = NOW) -> list[Problem]:
    (directory / "c.pem").write_bytes(chain)
    (directory / "k.pem").write_bytes(key)
    material, problems = load_identity("sbc", Identity(chain="c.pem", key="k.pem"), directory, now)
    assert (material is None) is any(each.fatal for each in problems)
    return problems


def trust(directory: Path, data: bytes, now: float = NOW) -> list[Problem]:
    (directory / "ca.pem").write_bytes(data)
    material, problems = load_anchor("peers", TrustAnchor(ca="ca.pem"), directory, now)
    assert (material is None) is any(each.fatal for each in problems)
    return problems


WRONG = [
    (b"", "empty", "PEM"),
    (b" \n", "empty", "PEM"),
    (DAMAGED, "damaged", "-noout -text"),
    (REQUEST.public_bytes(Encoding.PEM), "certificate request", "issues"),
    (crl(), "revocation list", "crl:"),
    (bundle(Encoding.PEM), "PKCS#7", "openssl pkcs7 -in c.pem -print_certs"),
    (bundle(Encoding.DER), "PKCS#7", "openssl pkcs7 -inform der -in c.pem"),
    (P12, "PKCS#12", "openssl pkcs12 -in c.pem"),
    (KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), "public key", "pin:"),
    (b"\x7fELF\x02\x01" + bytes(64), "no certificate can be read", "openssl x509 -in c.pem"),
    (b"<html>404 Not Found</html>", "no certificate can be read", "openssl x509 -in c.pem"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message", "hint"), WRONG)
def test_what_stands_where_certificates_belong(tmp_path: Path, data: bytes, message: str, hint: str) -> None:
    for problems, path in (
        (identity(tmp_path, data, LEAF.key_pem), "c.pem"),
        (trust(tmp_path, data), "ca.pem"),
    ):
        (told,) = problems
        assert told.fatal and told.path == path
        assert message in told.message and hint.replace("c.pem", path) in told.hint


@pytest.mark.parametrize(
    ("data", "message", "hint"),
    [
        (b"", "empty", "PEM"),
        (LEAF.cert_pem, "a certificate where the key belongs", "swap"),
        (KEY.private_bytes(Encoding.DER, *PKCS8), "DER", "openssl pkey -inform der -in k.pem"),
        (P12, "PKCS#12", "openssl pkcs12 -in k.pem -nocerts"),
        (REQUEST.public_bytes(Encoding.PEM), "certificate request", "the key of the certificate"),
        (
            KEY.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
            "an OpenSSH key", "the key of the certificate",
        ),
        (
            KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")),
            "encrypted", "passphrase_file",
        ),
        (
            KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, SEALED),
            "encrypted", "passphrase_file",
        ),
        (LEAF.key_pem.replace(b"M", b"*", 3), "no PEM private key", "openssl pkey -in k.pem"),
    ],
)  # fmt: skip
def test_what_stands_where_the_key_belongs(tmp_path: Path, data: bytes, message: str, hint: str) -> None:
    (told,) = identity(tmp_path, LEAF.chain_pem, data)
    assert told.fatal and told.path == "k.pem" and message in told.message and hint in told.hint
    assert "PRIVATE" not in str(told)


def test_key_and_chain_in_one_file_are_fine_for_an_identity(tmp_path: Path) -> None:
    both = LEAF.key_pem + LEAF.chain_pem
    assert [each for each in identity(tmp_path, both, both) if each.fatal] == []


def test_der_is_read_where_certificates_belong(tmp_path: Path) -> None:
    assert trust(tmp_path, der(GOOD.cert_pem)) == []
    assert [each.message for each in identity(tmp_path, der(LEAF.cert_pem), LEAF.key_pem)] == [
        "the chain has no intermediate: CN=good CA issued the leaf"
    ]


def test_a_bundle_with_repetitions_and_text_around_is_read(tmp_path: Path) -> None:
    text = (
        b"# our peers\r\n" + GOOD.cert_pem.replace(b"\n", b"\r\n") + b"\n\n" + OTHER.cert_pem + GOOD.cert_pem
    )
    (told,) = trust(tmp_path, text)
    assert not told.fatal and told.message == "CN=good CA is in the file more than once"


def test_a_file_that_others_may_not_read_or_that_is_huge(tmp_path: Path) -> None:
    with (tmp_path / "ca.pem").open("wb") as file:
        file.truncate(17 << 20)
    material, (told,) = load_anchor("peers", TrustAnchor(ca="ca.pem"), tmp_path, NOW)
    assert material is None and "16 MiB" in told.message
    (tmp_path / "dir.pem").mkdir()
    assert load_anchor("peers", TrustAnchor(ca="dir.pem"), tmp_path, NOW)[0] is None


@pytest.mark.parametrize(
    ("weak", "message"),
    [("-sha1", "signed with SHA1"), ("rsa:1024", "1024 bits")],
)
def test_what_openssl_will_refuse_in_the_handshake_is_said_at_load(
    tmp_path: Path, weak: str, message: str
) -> None:
    leaf = weak_leaf(LabAuthority("fresh"), tmp_path, weak)
    now = x509.load_pem_x509_certificate(leaf.cert_pem).not_valid_before_utc.timestamp() + 60
    told = [each for each in identity(tmp_path, leaf.chain_pem, leaf.key_pem, now) if each.fatal]
    assert len(told) == 1 and message in told[0].message and "P-256" in told[0].hint


def test_a_key_that_tls_cannot_sign_with(tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256K1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")])
    pem = (
        x509.CertificateBuilder().subject_name(name).issuer_name(GOOD.certificate.subject)
        .public_key(key.public_key()).serial_number(1)
        .not_valid_before(GOOD.certificate.not_valid_before_utc)
        .not_valid_after(GOOD.certificate.not_valid_after_utc)
        .sign(GOOD.key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )  # fmt: skip
    told = [each for each in identity(tmp_path, pem, key_bytes(key)) if each.fatal]
    assert [each.message for each in told] == ["the key is on secp256k1, which TLS 1.3 does not know"]


def test_an_expired_issuer_in_our_chain_is_said(tmp_path: Path) -> None:
    young = LabAuthority("middle", issuer=GOOD, now=NOW)
    leaf = young.issue(dns=["sbc.example"], not_after=NOW + 5000 * DAY)
    told = identity(tmp_path, leaf.chain_pem, leaf.key_pem, NOW + 4000 * DAY)
    assert [(each.fatal, "CN=middle, an issuer" in each.message) for each in told] == [(False, True)]


def test_an_old_roots_own_signature_is_not_looked_at(tmp_path: Path) -> None:
    made = subprocess.run(
        ["openssl", "req", "-x509", "-new", "-noenc", "-newkey", "rsa:2048", "-keyout", "/dev/null", "-sha1",
         "-subj", "/CN=old root", "-addext", "basicConstraints=critical,CA:TRUE", "-days", "3650"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    now = x509.load_pem_x509_certificate(made).not_valid_before_utc.timestamp() + DAY
    assert [each for each in trust(tmp_path, made, now) if each.fatal] == []


def test_a_dsa_authority_is_refused(tmp_path: Path) -> None:
    numbers = dsa.DSAParameterNumbers(p=1 << 2047 | 1, q=1 << 255 | 1, g=2)
    key = dsa.DSAPublicNumbers(4, numbers).public_key()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old")])
    pem = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key)
        .serial_number(1).not_valid_before(GOOD.certificate.not_valid_before_utc)
        .not_valid_after(GOOD.certificate.not_valid_after_utc)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(GOOD.key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )  # fmt: skip
    (told,) = trust(tmp_path, pem)
    assert told.fatal and "DSA" in told.message


def test_a_pinned_list_of_leaves(tmp_path: Path) -> None:
    other = OTHER.issue(dns=["b.example"])
    for name, issued in (("a.pem", LEAF), ("b.pem", other)):
        (tmp_path / name).write_bytes(issued.cert_pem)
    entry = TrustAnchor.model_validate({"leaf": ["a.pem", "b.pem"]})
    material, problems = load_anchor("peers", entry, tmp_path, NOW)
    assert material is not None and problems == [] and len(material.thumbprints) == 2


class TestPublicRoots:
    ROOTS = Path(__import__("certifi").where()).read_bytes().split(b"-----END CERTIFICATE-----\n")

    def root(self, name: str) -> bytes:
        for block in self.ROOTS:
            if f'Label: "{name}"'.encode() in block:
                return block[block.index(b"-----BEGIN") :] + b"-----END CERTIFICATE-----\n"
        raise AssertionError(f"{name} is in the list no more: choose another")

    def test_a_well_known_root_is_public_whatever_the_entry_says(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_bytes(self.root("DigiCert Global Root G2"))
        material, problems = load_anchor("peers", TrustAnchor(ca="ca.pem"), tmp_path, NOW)
        assert material is not None and material.public and problems == []

    def test_a_private_one_is_not(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").write_bytes(GOOD.cert_pem)
        material, _ = load_anchor("peers", TrustAnchor(ca="ca.pem"), tmp_path, NOW)
        assert material is not None and not material.public

    def test_one_of_the_same_name_with_another_key_is_not(self) -> None:
        real = x509.load_pem_x509_certificate(self.root("DigiCert Global Root G2"))
        subject = real.subject
        forged = (
            x509.CertificateBuilder().subject_name(subject).issuer_name(subject)
            .public_key(GOOD.key.public_key()).serial_number(1)
            .not_valid_before(real.not_valid_before_utc).not_valid_after(real.not_valid_after_utc)
            .sign(GOOD.key, hashes.SHA256())
        )  # fmt: skip
        assert is_public(real) and not is_public(forged)
