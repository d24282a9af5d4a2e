"""Certificates whose revocation matters before anybody has connected: our own, and the CAs that we trust.

Each comes as a pair, the certificate and that of its issuer, both DER.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.tls.material.certificate import UNREADABLE

Pair = tuple[bytes, bytes]


def own_pair(chain_pem: bytes, authorities: Iterable[bytes]) -> Pair | None:
    """A certificate of ours with its issuer, from its own chain or from what we trust; None for neither."""
    leaf, *rest = x509.load_pem_x509_certificates(chain_pem)
    if rest:
        return leaf.public_bytes(Encoding.DER), rest[0].public_bytes(Encoding.DER)
    return next(_issued(leaf, _read(authorities)), None)


def authority_pairs(authorities: Sequence[bytes]) -> Iterator[Pair]:
    """Every trusted CA that another trusted CA has issued: who they issue needs it not to be revoked."""
    read = _read(authorities)
    for certificate in read:
        if certificate.issuer != certificate.subject:
            yield from _issued(certificate, read)


def _read(ders: Iterable[bytes]) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(der) for der in dict.fromkeys(ders)]


def _issued(certificate: x509.Certificate, authorities: Iterable[x509.Certificate]) -> Iterator[Pair]:
    for issuer in authorities:
        if issuer.subject != certificate.issuer:
            continue
        try:
            certificate.verify_directly_issued_by(issuer)
        except (*UNREADABLE, InvalidSignature):
            continue
        yield certificate.public_bytes(Encoding.DER), issuer.public_bytes(Encoding.DER)
