"""Certificate revocation lists (RFC 5280 5): read and verified once, then a set of serial numbers.

A list proves nothing unless the CA that issued the certificate signed it with the key that
signed the certificate and may sign lists, and unless everything critical in it is understood.
Delta and indirect lists are refused with that reason: no trunk is worth a second path through the rules.
A list that is out of date still proves what is on it: whoever was revoked stays so.
"""

from __future__ import annotations

import hashlib
from base64 import b64decode
from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from cryptography import x509

from sbc.tls.material.certificate import UNREADABLE
from sbc.tls.material.problems import day
from sbc.tls.revocation.der import Cut, cut_list, entries
from sbc.tls.revocation.finding import CLOCK_TOLERANCE, Unusable
from sbc.tls.revocation.issuer import Issuer, extension, signed_by

_BEGIN, _END = b"-----BEGIN X509 CRL-----", b"-----END X509 CRL-----"
_ANEW = "let the CA publish it anew"
_OF_THIS_CA = "give the list of the CA that issued the certificates"
_UNDERSTOOD = (
    x509.AuthorityKeyIdentifier, x509.CRLNumber, x509.IssuingDistributionPoint, x509.IssuerAlternativeName,
    x509.AuthorityInformationAccess, x509.FreshestCRL,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RevocationList:
    """One verified list: whose, of which certificates, and who is on it; times are POSIX seconds.

    ``points`` are the distribution points that it is for, () for all; ``only`` are the
    certificates that it covers; ``digest`` is the SHA-256 of its DER.
    """

    issuer: str
    issuer_name: str
    serials: Set[int] = field(repr=False)
    this_update: float
    next_update: float
    points: tuple[str, ...] = ()
    only: str = ""
    digest: str = ""

    def fresh(self, now: float) -> bool:
        """Whether the list still says who is not on it, at ``now``."""
        return now <= self.next_update + CLOCK_TOLERANCE

    def covers(self, is_ca: bool, points: Sequence[str]) -> bool:
        """Whether a certificate is one that this list is about (RFC 5280 6.3.3 b)."""
        if self.only and self.only != ("ca" if is_ca else "user"):
            return False
        return not self.points or any(each in points for each in self.points)


def split_pem(data: bytes) -> list[bytes]:
    """Every list of a file, as DER: PEM with any number of them, or one in DER; Unusable."""
    if _BEGIN not in data:
        _refuse_other(data)
        return [data]
    lists = []
    for part in data.split(_BEGIN)[1:]:
        body, end, _ = part.partition(_END)
        if not end:
            raise Unusable("the PEM of the revocation list has no end", "copy the whole file")
        try:
            lists.append(b64decode(b"".join(body.split()), validate=True))
        except ValueError:
            raise Unusable("the PEM of the revocation list is damaged", "copy the file again") from None
    return lists


def _refuse_other(data: bytes) -> None:
    start = data.lstrip()[:2048].lower()
    if not data:
        raise Unusable("the revocation list is empty", _ANEW)
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")):
        raise Unusable("this is a web page, not a revocation list", "correct the address of the list")
    if b"-----BEGIN" in data[:65536]:
        raise Unusable("this PEM is no revocation list", "give the CA's CRL, not its certificate or key")


def read_list(data: bytes, issuers: Sequence[Issuer], now: float) -> RevocationList:
    """The list in ``data`` (DER), verified by the one of ``issuers`` that issued it; Unusable."""
    cut = cut_list(data)
    try:
        head = x509.load_der_x509_crl(cut.head)
        issuer = _signer(head, cut, issuers)
        points, only = _scope(head.extensions)
    except UNREADABLE as error:
        raise Unusable(f"the revocation list cannot be read ({type(error).__name__})", _ANEW) from None
    begins = head.last_update_utc.timestamp()
    if begins > now + CLOCK_TOLERANCE:
        reason = f"the revocation list is from the future ({day(begins)})"
        raise Unusable(reason, "compare the clocks", begins - CLOCK_TOLERANCE)
    if head.next_update_utc is None:
        raise Unusable("the revocation list does not say until when it holds (no nextUpdate)", _ANEW)
    ends = head.next_update_utc.timestamp()
    digest = hashlib.sha256(data).hexdigest()
    return RevocationList(issuer.id, issuer.subject, _serials(cut), begins, ends, points, only, digest)


def _signer(head: x509.CertificateRevocationList, cut: Cut, issuers: Sequence[Issuer]) -> Issuer:
    """Who signed it: a CA may have several keys under one name, and a list need not say by which it is."""
    name = head.issuer.public_bytes()
    named = [each for each in issuers if each.name == name]
    if not named:
        who = " or ".join(each.subject for each in issuers)
        reason = f"the revocation list was issued by {head.issuer.rfc4514_string()}, not by {who}"
        raise Unusable(reason, _OF_THIS_CA)
    identifier = extension(head.extensions, x509.AuthorityKeyIdentifier)
    wanted = identifier.key_identifier if identifier is not None else None
    refused = Unusable(f"the revocation list is signed with another key of {named[0].subject}", _OF_THIS_CA)
    for each in named:
        if wanted is None or each.key_identifier is None or each.key_identifier == wanted:
            try:
                _verify(head, cut, each)
            except Unusable as error:
                refused = error
                continue
            return each
    raise refused


def _verify(head: x509.CertificateRevocationList, cut: Cut, issuer: Issuer) -> None:
    if not issuer.signs_lists:
        reason = f"{issuer.subject} may not sign revocation lists (its keyUsage has no cRLSign)"
        raise Unusable(reason, "let the CA correct its certificate, or use OCSP")
    digest, parameters = head.signature_hash_algorithm, head.signature_algorithm_parameters
    if not signed_by(issuer.certificate.public_key(), cut.signed, head.signature, digest, parameters):
        reason = f"the revocation list is not signed by {issuer.subject}, or with SHA-1 or MD5"
        raise Unusable(reason, _OF_THIS_CA)


def _scope(extensions: x509.Extensions) -> tuple[tuple[str, ...], str]:
    for each in extensions:
        if isinstance(each.value, x509.DeltaCRLIndicator):
            raise Unusable("this is a delta list", "give the address of the complete list")
        if each.critical and not isinstance(each.value, _UNDERSTOOD):
            what = f"a critical extension that is not understood ({each.oid.dotted_string})"
            raise Unusable(f"the revocation list has {what}", "use OCSP for this CA, or a list without it")
    point = extension(extensions, x509.IssuingDistributionPoint)
    if point is None:
        return (), ""
    if point.indirect_crl:
        raise Unusable("this is an indirect list (of several CAs)", "give the list of the CA alone")
    if point.only_some_reasons or point.only_contains_attribute_certs:
        raise Unusable("the revocation list covers some reasons or kinds only", "give the complete list")
    only = "ca" if point.only_contains_ca_certs else "user" if point.only_contains_user_certs else ""
    if point.full_name is None:
        if point.relative_name is not None:
            raise Unusable("the list's distribution point has a relative name", "use OCSP for this CA")
        return (), only
    points = tuple(name.value for name in point.full_name if isinstance(name, x509.UniformResourceIdentifier))
    if not points:
        raise Unusable("the list's distribution point has no address", "use OCSP for this CA")
    return points, only


def _serials(cut: Cut) -> Set[int]:
    # Filled one by one: making a set of a hundred thousand at once would hold up every other thread.
    serials: set[int] = set()
    for serial, critical in entries(cut):
        if critical:
            reason = "an entry of the revocation list has a critical extension, as indirect lists have"
            raise Unusable(reason, "give the list of the CA alone")
        serials.add(serial)
    return serials
