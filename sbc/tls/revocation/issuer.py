"""Who signs lists and answers: a CA's name and key, and whether a signature is by that key."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from sbc.base import PeerError
from sbc.tls.material.certificate import UNREADABLE
from sbc.tls.material.extensions import extensions_of
from sbc.tls.revocation.der import key_bits

_WEAK = ("md5", "sha1")
E = TypeVar("E", bound=x509.ExtensionType)


@dataclass(frozen=True, slots=True)
class Issuer:
    """A CA as the signer of lists and answers; ``id`` is that of its name and key, whatever certificate."""

    id: str
    certificate: x509.Certificate = field(compare=False, repr=False)
    subject: str
    name: bytes = field(repr=False)
    key_bits: bytes = field(repr=False)
    key_identifier: bytes | None = field(repr=False)
    signs_lists: bool


def read_issuer(der: bytes) -> Issuer:
    """The issuer that a CA certificate (DER) describes; PeerError where it cannot be read."""
    try:
        certificate = x509.load_der_x509_certificate(der)
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        name = certificate.subject.public_bytes()
        found = extensions_of(certificate)
        usage, identifier = extension(found, x509.KeyUsage), extension(found, x509.SubjectKeyIdentifier)
        return Issuer(
            hashlib.sha256(name + spki).hexdigest(), certificate, certificate.subject.rfc4514_string(), name,
            key_bits(spki), identifier.digest if identifier is not None else None,
            usage is None or usage.crl_sign,
        )  # fmt: skip
    except UNREADABLE as error:
        raise PeerError(f"the CA certificate cannot be read: {type(error).__name__}") from None


def extension(found: x509.Extensions, kind: type[E]) -> E | None:
    """The extension of that kind, None where there is none."""
    try:
        return found.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def signed_by(
    key: object, data: bytes, signature: bytes, digest: hashes.HashAlgorithm | None, pss: object = None
) -> bool:
    """Whether ``signature`` over ``data`` is by ``key``; False too for MD5, SHA-1 and unknown kinds of key.

    The digest is taken first, by a routine that lets other threads run meanwhile: a list may be long.
    """
    try:
        if isinstance(key, (ed25519.Ed25519PublicKey, ed448.Ed448PublicKey)):
            key.verify(signature, data)
            return True
        if digest is None or digest.name in _WEAK:
            return False
        hashed, done = hashlib.new(digest.name.replace("-", "_"), data).digest(), Prehashed(digest)
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, hashed, ec.ECDSA(done))
        elif isinstance(key, rsa.RSAPublicKey):
            scheme = pss if isinstance(pss, padding.PSS) else padding.PKCS1v15()
            key.verify(signature, hashed, scheme, done)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True
