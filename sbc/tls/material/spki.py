"""A certificate's own SubjectPublicKeyInfo (RFC 5280 4.1.2.7), as its octets are.

The library that reads certificates writes the key out anew, and of an RSASSA-PSS key (RFC 4055 1.2) it
makes a plain RSA one. Both matter: a pin hashes what the certificate has (RFC 7469 2.4), and OpenSSL takes
a key for a certificate's only where both name the same algorithm.
"""

from __future__ import annotations

from base64 import encodebytes

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import PublicKeyAlgorithmOID

from sbc.tls.tlv import element, sequence

_VERSION = 0xA0


def spki_of(certificate: x509.Certificate) -> bytes:
    """The SubjectPublicKeyInfo of a certificate, DER."""
    data = certificate.tbs_certificate_bytes
    _, at, end = element(data, 0, len(data))
    # A version, which the oldest certificates lack; then serial, algorithm, issuer, validity, subject.
    for _ in range(6 if data[at] == _VERSION else 5):
        at = element(data, at, end)[2]
    return data[at : element(data, at, end)[2]]


def private_key_pem(key: PrivateKeyTypes, certificate: x509.Certificate) -> bytes:
    """The key unencrypted, as PKCS #8 in PEM, under the algorithm that its certificate names."""
    if certificate.public_key_algorithm_oid != PublicKeyAlgorithmOID.RSASSA_PSS:
        return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    _, start, end = element(der, 0, len(der))
    _, _, version = element(der, start, end)
    _, _, algorithm = element(der, version, end)
    whole = sequence(der[start:version] + _algorithm(spki_of(certificate)) + der[algorithm:end])
    first, last = (b"-----%s PRIVATE KEY-----\n" % each for each in (b"BEGIN", b"END"))
    return first + encodebytes(whole) + last


def _algorithm(spki: bytes) -> bytes:
    _, start, end = element(spki, 0, len(spki))
    return spki[start : element(spki, start, end)[2]]
