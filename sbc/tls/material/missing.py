"""A peer that leaves its intermediates out, told from one whose CA nobody here knows.

To OpenSSL both are "unable to get local issuer certificate", yet the first is mended by the peer
in its chain file and the second by us in the truststore, or not at all. What tells them apart is
knowing the intermediate: from our own chains and truststore, or from another peer that sent
it. Where it is not known, a certificate that points to its issuer's (RFC 5280 4.2.2.1), on a trunk
that trusts a public CA, is one too: those never issue from the root.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID

from sbc.base import PeerError
from sbc.tls.diagnosis import NoIssuer
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.material.certificate import UNREADABLE
from sbc.tls.material.certificate_cache import CertificateCache


def no_issuer(
    chain: Sequence[bytes], anchors: Collection[AnchorMaterial], cache: CertificateCache
) -> NoIssuer | None:
    """What can be said of the issuer that ``chain`` (DER, leaf first, as far as it was built) lacks.

    ``anchors`` are what the possible trunks trust. None where the last certificate cannot be read.
    """
    try:
        last = cache.read(chain[-1])
    except (PeerError, IndexError):
        return None
    issuer = last.identity.issuer
    authorities = [each for each in anchors if each.kind == "ca"]
    same = next((each.name for each in authorities if issuer in each.subjects), "")
    if last.self_issued or same:
        return NoIssuer(issuer, False, same)
    subjects = {subject for each in authorities for subject in each.subjects}
    public = any(each.public for each in authorities) and _points_to_issuer(chain[-1])
    return NoIssuer(issuer, public or cache.issuers.lead_to(issuer, subjects))


def _points_to_issuer(der: bytes) -> bool:
    try:
        access = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(
            x509.AuthorityInformationAccess
        )
    except (x509.ExtensionNotFound, *UNREADABLE):
        return False
    return any(each.access_method == AuthorityInformationAccessOID.CA_ISSUERS for each in access.value)
