"""Revocation lists and OCSP answers for the tests, made as a CA makes them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from sbc.demo.pki import Issued, LabAuthority
from sbc.tls.revocation.issuer import read_issuer
from sbc.tls.revocation.link import Link, read_link
from sbc.tls.tlv import element, sequence

HOUR = 3600.0
Critical = tuple[x509.ExtensionType, bool]


def moment(when: float) -> datetime:
    """POSIX seconds as the library takes them."""
    return datetime.fromtimestamp(when, UTC)


def certificate_of(issued: Issued | LabAuthority) -> x509.Certificate:
    """The certificate itself."""
    return x509.load_pem_x509_certificate(issued.cert_pem)


def der_of(issued: Issued | LabAuthority) -> bytes:
    """The certificate as DER."""
    return certificate_of(issued).public_bytes(Encoding.DER)


def link_of(issued: Issued | LabAuthority, authority: LabAuthority) -> Link:
    """A certificate beside its issuer."""
    return read_link(der_of(issued), read_issuer(der_of(authority)))


def list_points(*urls: str) -> x509.CRLDistributionPoints:
    """The extension that names where lists are."""
    return x509.CRLDistributionPoints(
        [x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in urls]
    )


def responder_at(url: str) -> x509.AuthorityInformationAccess:
    """The extension that names the OCSP responder."""
    where = x509.UniformResourceIdentifier(url)
    return x509.AuthorityInformationAccess(
        [x509.AccessDescription(AuthorityInformationAccessOID.OCSP, where)]
    )


def must_staple() -> x509.TLSFeature:
    """The extension that promises a stapled answer."""
    return x509.TLSFeature([x509.TLSFeatureType.status_request])


def revocation_list(
    authority: LabAuthority, now: float, revoked: Iterable[Issued | int] = (), *,
    begins: float = -HOUR, ends: float = 24 * HOUR, extensions: Sequence[Critical] = (),
    entry: Sequence[Critical] = (), signer: LabAuthority | None = None,
) -> bytes:  # fmt: skip
    """A list in DER; ``begins`` and ``ends`` are seconds from ``now``, ``signer`` another's key."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(moment(now + begins))
        .next_update(moment(now + ends))
    )
    for each in revoked:
        serial = each if isinstance(each, int) else certificate_of(each).serial_number
        one = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment(now + begins))
        for value, critical in entry:
            one = one.add_extension(value, critical)
        builder = builder.add_revoked_certificate(one.build())
    for value, critical in extensions:
        builder = builder.add_extension(value, critical)
    return builder.sign((signer or authority).key, hashes.SHA256()).public_bytes(Encoding.DER)


def pem_of_list(der: bytes) -> bytes:
    """The same list in PEM."""
    return x509.load_der_x509_crl(der).public_bytes(Encoding.PEM)


class Delegate:
    """A responder with a certificate of its own, issued by a CA."""

    def __init__(
        self, authority: LabAuthority, now: float, *, purpose: bool = True, no_check: bool = True,
        ends: float = 24 * HOUR, key: rsa.RSAPrivateKey | None = None,
    ) -> None:  # fmt: skip
        self.key = key or ec.generate_private_key(ec.SECP256R1())
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the responder")]))
            .issuer_name(authority.certificate.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment(now - 48 * HOUR))
            .not_valid_after(moment(now + ends))
        )
        if purpose:
            usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
            builder = builder.add_extension(usage, critical=False)
        if no_check:
            builder = builder.add_extension(x509.OCSPNoCheck(), critical=False)
        self.certificate = builder.sign(authority.key, hashes.SHA256())


def ocsp_answer(
    issued: Issued | LabAuthority, authority: LabAuthority, now: float, state: str = "good", *,
    begins: float = -HOUR, ends: float | None = 24 * HOUR, signer: LabAuthority | Delegate | None = None,
    by_key: bool = False, extension: Critical | None = None, beside: Sequence[Delegate] = (),
) -> bytes:  # fmt: skip
    """An answer in DER; ``state`` is good, revoked or unknown, ``signer`` the CA unless given.

    The certificates of those ``beside`` stand before the signer's.
    """
    signer = signer or authority
    gone = state == "revoked"
    builder = ocsp.OCSPResponseBuilder().add_response(
        certificate_of(issued),
        authority.certificate,
        hashes.SHA1(),
        ocsp.OCSPCertStatus[state.upper()],
        moment(now + begins),
        moment(now + ends) if ends is not None else None,
        moment(now + begins) if gone else None,
        x509.ReasonFlags.key_compromise if gone else None,
    )
    how = ocsp.OCSPResponderEncoding.HASH if by_key else ocsp.OCSPResponderEncoding.NAME
    builder = builder.responder_id(how, signer.certificate)
    if isinstance(signer, Delegate):
        builder = builder.certificates([each.certificate for each in (*beside, signer)])
    if extension is not None:
        builder = builder.add_extension(*extension)
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def ocsp_answers(authority: LabAuthority, *answers: bytes) -> bytes:
    """One answer of the CA's own that says what each of ``answers``, of its own, says (RFC 6960 4.2.1)."""
    read = [_elements(ocsp.load_der_ocsp_response(each).tbs_response_bytes) for each in answers]
    responder, produced, _ = read[0]
    said = sequence(b"".join(one for _, _, responses in read for one in _elements(responses)))
    signed = sequence(responder + produced + said)
    assert isinstance(authority.key, ec.EllipticCurvePrivateKey)
    signature = authority.key.sign(signed, ec.ECDSA(hashes.SHA256()))
    algorithm = sequence(bytes.fromhex("06082a8648ce3d040302"))
    basic = sequence(signed + algorithm + _tagged(0x03, b"\0" + signature))
    kind = bytes.fromhex("06092b0601050507300101")
    return sequence(b"\x0a\x01\x00" + _tagged(0xA0, sequence(kind + _tagged(0x04, basic))))


def _elements(data: bytes) -> list[bytes]:
    _, at, end = element(data, 0, len(data))
    found = []
    while at < end:
        _, _, after = element(data, at, end)
        found.append(data[at:after])
        at = after
    return found


def _tagged(tag: int, content: bytes) -> bytes:
    return bytes((tag,)) + sequence(content)[1:]
