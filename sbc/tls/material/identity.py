"""One entry of the keystore, loaded: the chain that we present and the key that proves it.

Everything an operator can mis-file is found here, at load, and named with what to do (row
T5): a swapped chain and key, a key of another certificate, a leaf without intermediates.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from sbc.base import PeerError
from sbc.tls.groups import normal_group
from sbc.tls.marks import DAY, mark_passed
from sbc.tls.material.certificate import read_certificate
from sbc.tls.material.pem import explain_key, has_key, read_certificates
from sbc.tls.material.problems import Problem, day, read_pem_file
from sbc.tls.material.spki import private_key_pem
from sbc.tls.material.strength import weakness

# RFC 8446 4.2.3: what a certificate of ours can sign a handshake with.
_CURVES = ("secp256r1", "secp384r1", "secp521r1")


class IdentityFiles(Protocol):
    """What the configuration says of an identity; ``config.model.Identity`` is one."""

    @property
    def chain(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def passphrase_file(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class IdentityMaterial:
    """A loaded identity: leaf first in ``chain_pem``, the key unencrypted in memory; times POSIX seconds.

    ``curve`` is that of its key as ``groups`` spells it, "" where the key is on none.
    """

    name: str
    chain_pem: bytes
    key_pem: bytes = field(repr=False)
    subject: str
    issuer: str
    sans: tuple[str, ...]
    not_before: float
    not_after: float
    thumbprint: str
    pin: str
    curve: str = ""


def load_identity(
    name: str, config: IdentityFiles, directory: Path, now: float, roots: Collection[str] = ()
) -> tuple[IdentityMaterial | None, list[Problem]]:
    """Load one keystore entry; what is mis-filed comes back as problems, fatal ones without material.

    ``roots`` are subjects of CAs that peers are known to have, so that a leaf straight under
    one of them misses no intermediate.
    """
    chain, problems = _read_chain(config.chain, directory)
    key, key_problems = _read_key(config, directory)
    problems += key_problems
    if not chain or key is None:
        return None, problems
    ours = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    chain = _leaf_first(chain, ours)
    if _spki(chain[0]) != ours:
        message = f"the key is not the key of {config.chain} ({chain[0].subject.rfc4514_string()})"
        hint = "put the key that the certificate was requested with here, or request a new certificate"
        return None, [*problems, Problem(config.key, message, hint)]
    try:
        facts = read_certificate(chain[0].public_bytes(Encoding.DER))
    except PeerError as error:
        return None, [*problems, Problem(config.chain, error.reason, "replace the certificate")]
    who = facts.identity
    if facts.is_ca:
        hint = "present a leaf that this CA issues; the CA itself belongs into the peers' truststores"
        problems.append(Problem(config.chain, f"{who.subject} is a CA certificate in the keystore", hint))
    problems += _check_links(config.chain, chain, roots)
    problems += _check_strength(config.chain, chain)
    problems += _check_usable(config.chain, chain, now)
    problems += _check_time(config.chain, who.subject, who.not_before, who.not_after, now)
    if any(each.fatal for each in problems):
        return None, problems
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in chain)
    key_pem = private_key_pem(key, chain[0])
    return (
        IdentityMaterial(
            name, pem, key_pem, who.label, who.issuer, who.sans,
            who.not_before, who.not_after, who.thumbprint, who.pin,
            normal_group(key.curve.name) if isinstance(key, ec.EllipticCurvePrivateKey) else "",
        ),
        problems,
    )  # fmt: skip


def _read_chain(path: str, directory: Path) -> tuple[list[x509.Certificate], list[Problem]]:
    chain, problems = read_certificates(path, directory)
    if chain or not any(each.fatal for each in problems):
        return chain, problems
    data, _ = read_pem_file(path, directory)
    if data is not None and has_key(data):
        message, hint = "this is a private key where the certificate chain belongs", "swap `chain` and `key`"
        problems = [Problem(path, message, hint)]
    return [], problems


def _read_key(config: IdentityFiles, directory: Path) -> tuple[PrivateKeyTypes | None, list[Problem]]:
    data, problems = read_pem_file(config.key, directory)
    if data is None:
        return None, problems
    passphrase = None
    if config.passphrase_file is not None:
        secret, problems = read_pem_file(config.passphrase_file, directory)
        if secret is None:
            return None, problems
        passphrase = secret.strip()
    return _parse_key(config.key, data, passphrase)


def _parse_key(
    path: str, data: bytes, passphrase: bytes | None
) -> tuple[PrivateKeyTypes | None, list[Problem]]:
    if b"ENCRYPTED" in data and passphrase is None:
        return None, [
            Problem(path, "the key is encrypted", "give `passphrase_file`, or decrypt it: openssl pkey")
        ]
    try:
        # A passphrase for a key that is not encrypted is an error to the library, not to us.
        return load_pem_private_key(data, passphrase if b"ENCRYPTED" in data else None), []
    except (ValueError, TypeError, UnsupportedAlgorithm):
        pass
    # The library's own text could quote the input; it is not repeated.
    if passphrase is not None and b"ENCRYPTED" in data:
        return None, [Problem(path, "the key does not open", "check the passphrase in `passphrase_file`")]
    return None, [Problem(path, *explain_key(data, path))]


def _leaf_first(chain: list[x509.Certificate], ours: bytes) -> list[x509.Certificate]:
    for index, certificate in enumerate(chain):
        if _spki(certificate) == ours:
            return [certificate, *chain[:index], *chain[index + 1 :]]
    return chain


def _spki(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _check_links(path: str, chain: list[x509.Certificate], roots: Collection[str]) -> list[Problem]:
    for lower, upper in pairwise(chain):
        try:
            lower.verify_directly_issued_by(upper)
        except (ValueError, TypeError, InvalidSignature):
            message = f"{lower.subject.rfc4514_string()} is not signed by the certificate that follows it"
            return [Problem(path, message, "order the file: leaf, its issuer, that one's issuer")]
    leaf, last = chain[0], chain[-1]
    issuer = last.issuer.rfc4514_string()
    if len(chain) == 1 and leaf.subject != leaf.issuer and issuer not in roots:
        message = f"the chain has no intermediate: {issuer} issued the leaf"
        hint = "append the issuer's certificate, unless it is a root that every peer has"
        return [Problem(path, message, hint, fatal=False)]
    return []


def _check_strength(path: str, chain: list[x509.Certificate]) -> list[Problem]:
    problems = []
    for each in chain:
        weak = weakness(each)
        # A self-signed certificate proves nothing by its signature, so nobody looks at it.
        if weak is not None and (weak.of_key or each.subject != each.issuer):
            message = f"{each.subject.rfc4514_string()} {weak.text}"
            problems.append(Problem(path, message, "TLS refuses it; request one with RSA 2048 or P-256"))
    return problems


def _check_usable(path: str, chain: list[x509.Certificate], now: float) -> list[Problem]:
    problems = []
    key = chain[0].public_key()
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name not in _CURVES:
        message = f"the key is on {key.curve.name}, which TLS 1.3 does not know"
        problems.append(Problem(path, message, "request a certificate with P-256 or RSA 2048"))
    for each in chain[1:]:
        ends = each.not_valid_after_utc.timestamp()
        if ends < now:
            message = f"{each.subject.rfc4514_string()}, an issuer in the chain, expired on {day(ends)}"
            hint = "replace it by the CA's current one; most peers refuse the chain as it is"
            problems.append(Problem(path, message, hint, fatal=False))
    return problems


def _check_time(path: str, subject: str, begins: float, ends: float, now: float) -> list[Problem]:
    if ends < now:
        message = f"{subject} expired on {day(ends)}"
        return [Problem(path, message, "renew it; peers refuse it as it is", dated=ends)]
    if begins > now:
        message = f"{subject} is not valid before {day(begins)}"
        return [Problem(path, message, "check this machine's clock, or wait", dated=begins)]
    if mark_passed(begins, ends, now) == "incident":
        days = int((ends - now) // DAY) + 1
        message = f"{subject} expires on {day(ends)}, in under {days} day{'s' if days > 1 else ''}"
        return [Problem(path, message, "renew it now", fatal=False)]
    return []
