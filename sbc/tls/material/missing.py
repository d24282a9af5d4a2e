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
from sbc.tls.evidence import NoIssuer, Pinned
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.material.certificate import UNREADABLE, CertificateCache
from sbc.tls.material.extensions import extensions_of
from sbc.tls.material.problems import day
from sbc.tls.material.reading import load

_LONGEST = 200


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
    issuer, place = last.identity.issuer, _place_of_issuer(chain[-1])
    authorities = [each for each in anchors if each.kind == "ca"]
    pinned = () if authorities else tuple(map(_pinned, anchors))
    same = next((each.name for each in authorities if issuer in each.subjects), "")
    if last.self_issued or same:
        alone = last.self_issued and len(chain) == 1
        return NoIssuer(issuer, False, same, place, alone and not same, pinned)
    subjects = {subject for each in authorities for subject in each.subjects}
    public = bool(place) and any(each.public for each in authorities)
    sendable = public or cache.issuers.lead_to(issuer, subjects)
    return NoIssuer(issuer, sendable, place=place, pinned=pinned)


def _pinned(anchor: AnchorMaterial) -> Pinned:
    if anchor.kind == "pin":
        return Pinned(anchor.name, "pin", tuple(sorted(anchor.pins)))
    held = (f"{each.identity.label} until {day(each.identity.not_after)}" for each in anchor.facts)
    return Pinned(anchor.name, "leaf", tuple(held))


def _place_of_issuer(der: bytes) -> str:
    """Where the issuer's certificate can be had, says the one that it issued; "" for nowhere."""
    try:
        found = extensions_of(load(der))
        access = found.get_extension_for_class(x509.AuthorityInformationAccess)
    except (x509.ExtensionNotFound, *UNREADABLE):
        return ""
    for each in access.value:
        if each.access_method == AuthorityInformationAccessOID.CA_ISSUERS:
            return str(each.access_location.value)[:_LONGEST]
    return ""
