"""One certificate beside the one that issued it: what revocation is asked about, and where."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from sbc.base import PeerError
from sbc.tls.material.certificate import UNREADABLE, thumbprint_of
from sbc.tls.material.extensions import extensions_of
from sbc.tls.material.reading import load
from sbc.tls.revocation.issuer import Issuer, extension

_SOURCES = 4  # of each kind: a certificate that names more names them to keep us busy
_LONGEST_URL = 2048


@dataclass(frozen=True, slots=True)
class Link:
    """A certificate and its issuer; ``lists`` and ``responders`` are the http addresses that it names.

    ``points`` are all its distribution points, whatever the scheme: a list may be for some only.
    """

    key: str
    subject: str
    serial: int
    is_ca: bool
    must_staple: bool
    points: tuple[str, ...]
    lists: tuple[str, ...]
    responders: tuple[str, ...]
    issuer: Issuer = field(repr=False)
    certificate: x509.Certificate = field(compare=False, repr=False)


def read_link(der: bytes, issuer: Issuer) -> Link:
    """The link of a certificate (DER) to its issuer; PeerError where an extension is malformed."""
    try:
        certificate = load(der)
        found = extensions_of(certificate)
        basic, features = extension(found, x509.BasicConstraints), extension(found, x509.TLSFeature)
        points = _points(extension(found, x509.CRLDistributionPoints))
        return Link(
            f"{thumbprint_of(der)}/{issuer.id}", certificate.subject.rfc4514_string(),
            certificate.serial_number, basic is not None and basic.ca,
            features is not None and x509.TLSFeatureType.status_request in features,
            points, _http(points), _http(_responders(found)), issuer, certificate,
        )  # fmt: skip
    except UNREADABLE as error:
        raise PeerError(f"the certificate cannot be read: {type(error).__name__}") from None


def _points(found: x509.CRLDistributionPoints | None) -> tuple[str, ...]:
    # Points for some reasons only, or with a list of another CA, are of lists that are refused anyway.
    return tuple(
        name.value
        for point in found or ()
        if not point.reasons and not point.crl_issuer
        for name in point.full_name or ()
        if isinstance(name, x509.UniformResourceIdentifier)
    )


def _responders(found: x509.Extensions) -> tuple[str, ...]:
    access = extension(found, x509.AuthorityInformationAccess)
    return tuple(
        each.access_location.value
        for each in access or ()
        if each.access_method == AuthorityInformationAccessOID.OCSP
        and isinstance(each.access_location, x509.UniformResourceIdentifier)
    )


def _http(urls: Sequence[str]) -> tuple[str, ...]:
    return tuple(url for url in urls if url.lower().startswith("http://") and len(url) <= _LONGEST_URL)[
        :_SOURCES
    ]
