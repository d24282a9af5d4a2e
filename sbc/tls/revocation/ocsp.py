"""OCSP answers (RFC 6960): what to ask, and whether an answer proves anything about a certificate.

An answer counts where it names this certificate (one for another is a replay), is signed by the CA
itself or by a responder whose certificate this CA issued for that purpose, and is fresh. There is
no nonce: answers are kept and stapled, which a nonce forbids (RFC 5019 4), and of two answers the
newer one stands, so that an old one cannot take its place.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from sbc.tls.material.certificate import UNREADABLE
from sbc.tls.material.extensions import extensions_of
from sbc.tls.material.problems import day
from sbc.tls.material.strength import weakness
from sbc.tls.revocation.der import key_bits, pss_of_answer
from sbc.tls.revocation.finding import CLOCK_TOLERANCE, Unusable
from sbc.tls.revocation.issuer import Issuer, extension, signed_by
from sbc.tls.revocation.link import Link

MAX_ANSWER = 65536
# How long an answer that does not say is taken for fresh (RFC 6960 4.2.2.1: newer ones are always there).
UNSTATED = 3600.0
_RESPONDER = "look at the responder; its operator is the CA's"
_STATES: dict[ocsp.OCSPCertStatus, Literal["good", "revoked", "unknown"]] = {
    ocsp.OCSPCertStatus.GOOD: "good",
    ocsp.OCSPCertStatus.REVOKED: "revoked",
    ocsp.OCSPCertStatus.UNKNOWN: "unknown",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One verified answer about one certificate; times are POSIX seconds."""

    state: Literal["good", "revoked", "unknown"]
    this_update: float
    next_update: float
    der: bytes = field(repr=False)

    def fresh(self, now: float) -> bool:
        """Whether the answer still holds at ``now``."""
        return now <= self.next_update + CLOCK_TOLERANCE


def question(link: Link) -> bytes:
    """The DER of the request for a link's certificate."""
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        link.certificate, link.issuer.certificate, hashes.SHA1()
    )
    return builder.build().public_bytes(Encoding.DER)


def read_answer(data: bytes, link: Link, now: float, revoked: Callable[[int], bool]) -> Answer:
    """The answer in ``data`` about the link's certificate; Unusable.

    ``revoked`` says of a serial number whether a list of the CA has it: a responder's own
    certificate may be revoked too, unless it says that nobody need ask.
    """
    if len(data) > MAX_ANSWER:
        raise Unusable(f"the OCSP answer is over {MAX_ANSWER} bytes", _RESPONDER)
    try:
        response = ocsp.load_der_ocsp_response(data)
        if response.response_status != ocsp.OCSPResponseStatus.SUCCESSFUL:
            name = response.response_status.name.lower().replace("_", " ")
            raise Unusable(f"the OCSP responder answers: {name}", _RESPONDER)
        one = _about(response, link)
        _refuse_critical(response)
        _verify(response, link.issuer, now, revoked)
        begins, ends = one.this_update_utc, one.next_update_utc
        state = _STATES[one.certificate_status]
    except UNREADABLE:
        raise Unusable("this is no OCSP answer", "correct the address of the responder") from None
    start = begins.timestamp()
    end = ends.timestamp() if ends is not None else start + UNSTATED
    if start > now + CLOCK_TOLERANCE:
        raise Unusable(f"the OCSP answer is from the future ({day(start)})", "compare the clocks")
    return Answer(state, start, end, data)


def _about(response: ocsp.OCSPResponse, link: Link) -> ocsp.OCSPSingleResponse:
    """What an answer says last of the certificate; of two words of one time, that it is revoked."""
    found = [
        one for one in response.responses if one.serial_number == link.serial and _names(one, link.issuer)
    ]
    if not found:
        reason = "the OCSP answer is about another certificate: a replay, or a broken responder"
        raise Unusable(reason, _RESPONDER)
    revoked = ocsp.OCSPCertStatus.REVOKED
    return max(found, key=lambda one: (one.this_update_utc, one.certificate_status == revoked))


def _names(one: ocsp.OCSPSingleResponse, issuer: Issuer) -> bool:
    digest = one.hash_algorithm.name
    if digest not in ("sha1", "sha256", "sha384", "sha512"):
        return False
    name, key = hashlib.new(digest, issuer.name), hashlib.new(digest, issuer.key_bits)
    return one.issuer_name_hash == name.digest() and one.issuer_key_hash == key.digest()


def _refuse_critical(response: ocsp.OCSPResponse) -> None:
    found = [*response.extensions]
    if len(list(response.responses)) == 1:
        found += response.single_extensions
    if any(each.critical for each in found):
        raise Unusable("the OCSP answer has a critical extension that is not understood", _RESPONDER)


def _verify(response: ocsp.OCSPResponse, issuer: Issuer, now: float, revoked: Callable[[int], bool]) -> None:
    certificate = _signer(response, issuer, now, revoked)
    key, data = certificate.public_key(), response.tbs_response_bytes
    if not signed_by(key, data, response.signature, *_scheme(response)):
        who = certificate.subject.rfc4514_string()
        raise Unusable(f"the OCSP answer is not signed by {who}, or with SHA-1 or MD5", _RESPONDER)


def _scheme(response: ocsp.OCSPResponse) -> tuple[hashes.HashAlgorithm | None, object]:
    """The digest of an answer's signature, and how it is padded where that is not said by the key."""
    try:
        return response.signature_hash_algorithm, None
    except UnsupportedAlgorithm:
        pass
    try:
        known = x509.load_der_x509_crl(pss_of_answer(response.public_bytes(Encoding.DER)))
    except IndexError:
        raise ValueError("an answer that is cut short") from None
    return known.signature_hash_algorithm, known.signature_algorithm_parameters


def _signer(
    response: ocsp.OCSPResponse, issuer: Issuer, now: float, revoked: Callable[[int], bool]
) -> x509.Certificate:
    if _signs_as(response, issuer.certificate):
        return issuer.certificate
    why = f"neither by {issuer.subject} nor by its responder"
    for certificate in response.certificates:
        if _signs_as(response, certificate):
            reason = _no_delegate(certificate, issuer, now, revoked)
            if reason is None:
                return certificate
            # Its former certificate, of the same name, may be beside the one that it signs with.
            why = f"by {certificate.subject.rfc4514_string()}, {reason}"
    raise Unusable(f"the OCSP answer is signed {why}", _RESPONDER)


def _signs_as(response: ocsp.OCSPResponse, certificate: x509.Certificate) -> bool:
    if response.responder_name is not None:
        return response.responder_name == certificate.subject
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return response.responder_key_hash == hashlib.sha1(key_bits(spki)).digest()


def _no_delegate(
    certificate: x509.Certificate, issuer: Issuer, now: float, revoked: Callable[[int], bool]
) -> str | None:
    """Why a certificate does not make its holder the CA's responder (RFC 6960 4.2.2.2), if it does not."""
    try:
        certificate.verify_directly_issued_by(issuer.certificate)
    except (InvalidSignature, ValueError, TypeError):
        return f"whose certificate {issuer.subject} did not issue"
    if (weak := weakness(certificate)) is not None:
        return f"whose certificate {weak.text}"
    found = extensions_of(certificate)
    purposes, usage = extension(found, x509.ExtendedKeyUsage), extension(found, x509.KeyUsage)
    if purposes is None or ExtendedKeyUsageOID.OCSP_SIGNING not in purposes:
        return "whose certificate is not for OCSP (no OCSPSigning)"
    if usage is not None and not usage.digital_signature:
        return "whose certificate may not sign (keyUsage)"
    begins, ends = certificate.not_valid_before_utc.timestamp(), certificate.not_valid_after_utc.timestamp()
    if not begins - CLOCK_TOLERANCE <= now <= ends + CLOCK_TOLERANCE:
        return f"whose certificate is valid from {day(begins)} to {day(ends)} only"
    if extension(found, x509.OCSPNoCheck) is None and revoked(certificate.serial_number):
        return "whose certificate is revoked"
    return None
