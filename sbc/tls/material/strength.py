"""What OpenSSL will refuse in a handshake for its weakness, said when it is loaded.

Our contexts run at security level 2: a key needs 112 bits of strength (RSA 2048, 224 bits of curve)
and a signature a digest that still holds. A peer would be refused with no more than "too weak".
"""

from __future__ import annotations

from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import PublicKeyAlgorithmOID

from sbc.tls.groups import normal_group

_WEAK_DIGESTS = ("md5", "sha1")


@dataclass(frozen=True, slots=True)
class Weakness:
    """Why a certificate is too weak; ``of_key`` where it is its key and not its signature."""

    text: str
    of_key: bool


def weakness(certificate: x509.Certificate) -> Weakness | None:
    """What is too weak in a certificate, or None."""
    key = certificate.public_key()
    if isinstance(key, dsa.DSAPublicKey):
        return Weakness("has a DSA key, which is no longer a signature to trust (FIPS 186-5)", True)
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < 2048:
        return Weakness(f"has an RSA key of {key.key_size} bits; 2048 is the least", True)
    if isinstance(key, ec.EllipticCurvePublicKey) and key.key_size < 224:
        return Weakness(f"has a key on {key.curve.name}; P-256 is the usual least", True)
    try:
        digest = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return Weakness("is signed with an algorithm that is not known", False)
    if digest is not None and digest.name in _WEAK_DIGESTS:
        return Weakness(f"is signed with {digest.name.upper()}, which can be forged", False)
    return None


def key_of(certificate: x509.Certificate) -> str:
    """What kind of key a certificate has: ``RSA``, ``RSASSA-PSS``, ``Ed25519``, or its curve (``P-256``)."""
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        pss = certificate.public_key_algorithm_oid == PublicKeyAlgorithmOID.RSASSA_PSS
        return "RSASSA-PSS" if pss else "RSA"
    if isinstance(key, ec.EllipticCurvePublicKey):
        name = normal_group(key.curve.name)
        return name if name.startswith("P-") else key.curve.name
    kinds = (
        (ed25519.Ed25519PublicKey, "Ed25519"),
        (ed448.Ed448PublicKey, "Ed448"),
        (dsa.DSAPublicKey, "DSA"),
    )
    return next((name for kind, name in kinds if isinstance(key, kind)), "another kind")
