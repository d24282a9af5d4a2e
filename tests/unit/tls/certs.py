"""Certificates and trust for the unit tests, without files or sockets."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.demo.pki import Issued, LabAuthority, key_bytes
from sbc.tls.match import Admission, Presented, TrunkTrust
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.material.certificate import Certificate, read_certificate

NOW = 1_800_000_000.0
DAY = 86400.0
GOOD = LabAuthority("good CA", now=NOW)
OTHER = LabAuthority("other CA", now=NOW)


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def anchor(authority: LabAuthority, **options: Any) -> AnchorMaterial:
    data = authority.certificate.public_bytes(Encoding.DER)
    return AnchorMaterial(authority.name, "ca", (data,), (read_certificate(data),), **options)


def leaf(authority: LabAuthority = GOOD, **options: Any) -> Certificate:
    options.setdefault("dns", ["peer.example"])
    return read_certificate(der(authority.issue(**options).cert_pem))


def presented(certificate: Certificate, authority: LabAuthority = GOOD, **options: Any) -> Presented:
    root = read_certificate(authority.certificate.public_bytes(Encoding.DER))
    chain = (certificate.identity.thumbprint, root.identity.thumbprint)
    return Presented(certificate, chain, "TLSv1.3", options.pop("group", "X25519"), **options)


def trunk(name: str = "acme", **options: Any) -> TrunkTrust:
    options.setdefault("anchors", (anchor(GOOD),))
    options.setdefault("mode", "required")
    return TrunkTrust(name, options.pop("tenant", None), **options)


def admission(candidates: Iterable[TrunkTrust], **options: Any) -> Admission:
    return Admission(tuple(candidates), "sbc", **options)


# Keys that the lab does not make, as ``openssl req -newkey`` is told.
P384 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-384")
P521 = ("ec", "-pkeyopt", "ec_paramgen_curve:P-521")
PSS = ("rsa-pss", "-pkeyopt", "rsa_keygen_bits:2048")
PSS_SHA256 = (
    *PSS, "-pkeyopt", "rsa_pss_keygen_md:sha256", "-pkeyopt", "rsa_pss_keygen_mgf1_md:sha256",
    "-pkeyopt", "rsa_pss_keygen_saltlen:32",
)  # fmt: skip


def weak_leaf(authority: LabAuthority, directory: Path, weak: str) -> Issued:
    """A leaf with ``-sha1`` or a key like ``rsa:1024``: only the openssl program still makes them."""
    digest, kind = (weak, "rsa:2048") if weak.startswith("-") else ("-sha256", weak)
    return openssl_leaf(authority, directory, (kind,), "DNS:weak.example", digest)


def openssl_leaf(
    authority: LabAuthority, directory: Path, key: tuple[str, ...], names: str, digest: str = "-sha256"
) -> Issued:
    """A leaf from the openssl program; ``names`` are such as ``DNS:a.example,IP:192.0.2.1``."""
    signer = directory / "signer.pem"
    signer.write_bytes(authority.cert_pem + key_bytes(authority.key))
    made = subprocess.run(
        ["openssl", "req", "-x509", "-new", "-noenc", "-newkey", *key, "-keyout", "-", digest, "-days", "30",
         "-subj", "/CN=" + names.partition(",")[0].partition(":")[2], "-CA", str(signer),
         "-CAkey", str(signer), "-addext", "basicConstraints=critical,CA:FALSE",
         "-addext", f"subjectAltName={names}"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    at = made.index(b"-----BEGIN CERTIFICATE-----")
    return Issued(made[at:], made[at:], made[:at])
