"""A left-out intermediate is told from an unknown CA, wherever there is a way to know."""

from __future__ import annotations

from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.demo.pki import LabAuthority
from sbc.tls.diagnosis import classify
from sbc.tls.evidence import Evidence, NoIssuer
from sbc.tls.material.anchors import AnchorMaterial
from sbc.tls.material.certificate import CertificateCache
from sbc.tls.material.missing import no_issuer
from tests.unit.tls.certs import GOOD, NOW, OTHER, anchor, der

MIDDLE = LabAuthority("middle CA", issuer=GOOD, now=NOW)
LOWER = LabAuthority("lower CA", issuer=MIDDLE, now=NOW)


def authority_der(authority: LabAuthority) -> bytes:
    return authority.certificate.public_bytes(Encoding.DER)


def trusted(authority: LabAuthority, **options: Any) -> AnchorMaterial:
    return anchor(authority, subjects=(f"CN={authority.name}",), **options)


def ders(authority: LabAuthority) -> tuple[bytes, ...]:
    return (der(authority.issue(dns=["peer.example"]).cert_pem),)


def knowing(*authorities: LabAuthority) -> CertificateCache:
    cache = CertificateCache()
    for each in authorities:
        cache.learn(authority_der(each))
    return cache


def test_an_intermediate_seen_elsewhere_is_missing() -> None:
    assert no_issuer(ders(MIDDLE), [trusted(GOOD)], knowing(MIDDLE)) == NoIssuer("CN=middle CA", True)


def test_over_two_steps_too() -> None:
    assert no_issuer(ders(LOWER), [trusted(GOOD)], knowing(LOWER, MIDDLE)) == NoIssuer("CN=lower CA", True)
    assert no_issuer(ders(LOWER), [trusted(GOOD)], knowing(LOWER)) == NoIssuer("CN=lower CA", False)


def test_one_that_leads_elsewhere_is_an_unknown_ca() -> None:
    assert no_issuer(ders(MIDDLE), [trusted(OTHER)], knowing(MIDDLE)) == NoIssuer("CN=middle CA", False)


def test_nobody_ever_saw_it() -> None:
    assert no_issuer(ders(MIDDLE), [trusted(GOOD)], knowing()) == NoIssuer("CN=middle CA", False)


def test_a_loop_of_issuers_ends() -> None:
    cache = knowing(OTHER)
    for name, issuer in (("a", "b"), ("b", "a")):
        made = LabAuthority(name, issuer=LabAuthority(issuer, now=NOW), now=NOW)
        cache.learn(authority_der(made))
    leaf = ders(LabAuthority("a", now=NOW))
    assert no_issuer(leaf, [trusted(GOOD)], cache) == NoIssuer("CN=a", False)


def test_a_ca_of_the_same_name_and_another_key_is_said() -> None:
    renewed = LabAuthority(GOOD.name, now=NOW)
    assert no_issuer(ders(renewed), [trusted(GOOD)], knowing()) == NoIssuer("CN=good CA", False, "good CA")


def test_a_pointer_to_the_issuer_counts_where_a_public_ca_is_trusted() -> None:
    pointing = (_pointing(MIDDLE),)
    public = trusted(OTHER, public=True)
    place = "http://ca.example/middle.der"
    assert no_issuer(pointing, [public], knowing()) == NoIssuer("CN=middle CA", True, place=place)
    assert no_issuer(pointing, [trusted(OTHER)], knowing()) == NoIssuer("CN=middle CA", place=place)
    assert no_issuer(ders(MIDDLE), [public], knowing()) == NoIssuer("CN=middle CA", False)


def test_nothing_is_said_of_what_cannot_be_read() -> None:
    assert no_issuer((), [trusted(GOOD)], knowing()) is None
    assert no_issuer((b"junk",), [trusted(GOOD)], knowing()) is None


def test_the_classes_and_what_to_do() -> None:
    def classified(lacking: NoIssuer) -> tuple[str, str, str]:
        failure = classify(
            Evidence("inbound", verify_code=20, trunks=("acme",), who="CN=p", no_issuer=lacking)
        )
        return failure.kind, failure.detail, failure.remedy

    kind, detail, remedy = classified(NoIssuer("CN=middle CA", True))
    assert kind == "missing-intermediate"
    assert "CN=middle CA" in detail and "append its intermediates" in remedy
    kind, detail, remedy = classified(NoIssuer("CN=good CA", False, "their-ca"))
    assert kind == "unknown-ca"
    assert "their-ca has another key" in detail and "renewed" in remedy
    kind, detail, remedy = classified(NoIssuer("CN=x"))
    assert (kind, detail) == ("unknown-ca", "CN=p was issued by CN=x, which is outside the trust of acme")
    assert "truststore" in remedy


def _pointing(authority: LabAuthority) -> bytes:
    """A leaf whose authority information access tells where its issuer's certificate lies."""
    old = x509.load_pem_x509_certificate(authority.issue(dns=["peer.example"]).cert_pem)
    builder = x509.CertificateBuilder(
        issuer_name=old.issuer, subject_name=old.subject, public_key=old.public_key(),
        serial_number=old.serial_number, not_valid_before=old.not_valid_before_utc,
        not_valid_after=old.not_valid_after_utc, extensions=list(old.extensions),
    )  # fmt: skip
    where = x509.UniformResourceIdentifier("http://ca.example/middle.der")
    access = x509.AccessDescription(x509.oid.AuthorityInformationAccessOID.CA_ISSUERS, where)
    made = builder.add_extension(x509.AuthorityInformationAccess([access]), critical=False)
    return made.sign(authority.key, hashes.SHA256()).public_bytes(Encoding.DER)
