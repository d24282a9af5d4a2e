"""Is this CA one that anybody can get a certificate from: Mozilla's list, as certifi has it.

Compared by public key, so that a root that was signed again, or by another root, is still known; and
an intermediate that a listed root signed is as public as the root. What an operator adds to the
machine's own store is not asked: a company's CA there is still a private one.
"""

from __future__ import annotations

import re
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import certifi
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sbc.tls.material.certificate import UNREADABLE

_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]++-----END CERTIFICATE-----")


def is_public(certificate: x509.Certificate) -> bool:
    """True for a well-known public root, any certificate over its key, or what it issued directly."""
    if _spki(certificate) in _keys():
        return True
    return any(
        _issued(certificate, root) for root in _by_subject().get(certificate.issuer.public_bytes(), ())
    )


def _issued(certificate: x509.Certificate, root: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(root)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


@cache
def _roots() -> tuple[x509.Certificate, ...]:
    """Those that can be read: one root with an odd serial number must not hide the others."""
    roots = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in _BLOCK.findall(Path(certifi.where()).read_bytes()):
            with suppress(*UNREADABLE):
                roots.append(x509.load_pem_x509_certificate(block))
    return tuple(roots)


@cache
def _keys() -> frozenset[bytes]:
    return frozenset(map(_spki, _roots()))


@cache
def _by_subject() -> dict[bytes, list[x509.Certificate]]:
    found: dict[bytes, list[x509.Certificate]] = {}
    for root in _roots():
        found.setdefault(root.subject.public_bytes(), []).append(root)
    return found


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
