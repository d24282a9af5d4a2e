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


def weak_leaf(authority: LabAuthority, directory: Path, weak: str) -> Issued:
    """A leaf with ``-sha1`` or a key like ``rsa:1024``: only the openssl program still makes them."""
    digest, kind = (weak, "rsa:2048") if weak.startswith("-") else ("-sha256", weak)
    signer = directory / "signer.pem"
    signer.write_bytes(authority.cert_pem + key_bytes(authority.key))
    made = subprocess.run(
        ["openssl", "req", "-x509", "-new", "-noenc", "-newkey", kind, "-keyout", "-", digest, "-days", "30",
         "-subj", "/CN=weak.example", "-CA", str(signer), "-CAkey", str(signer),
         "-addext", "basicConstraints=critical,CA:FALSE", "-addext", "subjectAltName=DNS:weak.example"],
        check=True, capture_output=True,
    ).stdout  # fmt: skip
    at = made.index(b"-----BEGIN CERTIFICATE-----")
    return Issued(made[at:], made[at:], made[:at])
