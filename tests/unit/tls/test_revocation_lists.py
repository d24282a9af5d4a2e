"""Revocation lists: which prove something, and why the others are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.demo.pki import LabAuthority
from sbc.tls.revocation.finding import Unusable
from sbc.tls.revocation.issuer import Issuer, read_issuer
from sbc.tls.revocation.lists import RevocationList, read_list, split_pem
from tests.unit.tls.certs import GOOD, NOW, OTHER
from tests.unit.tls.revoking import HOUR, der_of, pem_of_list, revocation_list

ISSUER = read_issuer(der_of(GOOD))
GONE = GOOD.issue(dns=["gone.example"])
URL = "http://ca.example/one.crl"


def read(data: bytes, *issuers: Issuer, now: float = NOW) -> RevocationList:
    return read_list(data, issuers or (ISSUER,), now)


def why(data: bytes, *issuers: Issuer) -> str:
    with pytest.raises(Unusable) as refused:
        read(data, *issuers)
    return str(refused.value)


def point(**options: object) -> tuple[x509.IssuingDistributionPoint, bool]:
    given = {
        "full_name": None, "relative_name": None, "only_contains_user_certs": False,
        "only_contains_ca_certs": False, "only_some_reasons": None, "indirect_crl": False,
        "only_contains_attribute_certs": False, **options,
    }  # fmt: skip
    return x509.IssuingDistributionPoint(**given), True  # type: ignore[arg-type]


def test_a_list_is_a_set_of_serials_with_its_times() -> None:
    found = read(revocation_list(GOOD, NOW, [GONE, 7, 1 << 158]))
    assert {7, 1 << 158, x509.load_pem_x509_certificate(GONE.cert_pem).serial_number} == found.serials
    assert (found.this_update, found.next_update) == (NOW - HOUR, NOW + 24 * HOUR)
    assert (found.issuer, found.issuer_name) == (ISSUER.id, "CN=good CA")


def test_an_empty_list_revokes_nobody() -> None:
    assert read(revocation_list(GOOD, NOW)).serials == frozenset()
    with_extensions = revocation_list(GOOD, NOW, extensions=[(x509.CRLNumber(5), False)])
    assert read(with_extensions).serials == frozenset()


@pytest.mark.parametrize("key", ["ec", "rsa"])
def test_either_kind_of_key_signs(key: str) -> None:
    authority = LabAuthority("a CA", key, now=NOW)  # type: ignore[arg-type]
    found = read(revocation_list(authority, NOW, [9]), read_issuer(der_of(authority)))
    assert found.serials == {9}


def test_the_times_are_held_against_now_with_a_tolerance() -> None:
    found = read(revocation_list(GOOD, NOW))
    assert found.fresh(NOW + 24 * HOUR + 59)
    assert not found.fresh(NOW + 24 * HOUR + 61)
    assert read(revocation_list(GOOD, NOW, begins=30)).fresh(NOW)
    assert "from the future" in why(revocation_list(GOOD, NOW, begins=120))


OTHER_KEY = x509.AuthorityKeyIdentifier.from_issuer_public_key(OTHER.key.public_key())
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
OF_ANOTHER = x509.CertificateIssuer([x509.DirectoryName(OTHER.certificate.subject)])
SOME_REASONS = frozenset([x509.ReasonFlags.key_compromise])


def listed(*extensions: tuple[x509.ExtensionType, bool]) -> bytes:
    return revocation_list(GOOD, NOW, [7], extensions=extensions)


REFUSED: dict[str, tuple[bytes, str]] = {
    "another CA": (
        revocation_list(OTHER, NOW),
        "issued by CN=other CA, not by CN=good CA; give the list of the CA that issued the certificates",
    ),
    "forged": (revocation_list(GOOD, NOW, signer=OTHER), "is not signed by CN=good CA"),
    "another key of the CA": (listed((OTHER_KEY, False)), "another key of CN=good CA"),
    "delta": (listed((x509.DeltaCRLIndicator(1), True)), "delta list"),
    "indirect": (listed(point(indirect_crl=True)), "an indirect list"),
    "some reasons": (listed(point(only_some_reasons=SOME_REASONS)), "some reasons"),
    "for a directory entry": (
        listed(point(full_name=[x509.DirectoryName(GOOD.certificate.subject)])),
        "has no address",
    ),
    "unknown critical": (listed((UNKNOWN, True)), "critical extension that is not understood (1.2.3.4)"),
    "entry of another CA": (
        revocation_list(GOOD, NOW, [7], entry=[(OF_ANOTHER, True)]),
        "an entry of the revocation list has a critical extension",
    ),
    "a certificate": (der_of(GOOD), "this is no revocation list"),
    "nonsense": (b"nonsense", "this is no revocation list"),
    "cut off": (listed()[:-20], "this is no revocation list"),
    "with more behind it": (listed() + b"more", "this is no revocation list"),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=list(REFUSED))
def test_what_proves_nothing_is_refused_with_the_reason(case: tuple[bytes, str]) -> None:
    data, expected = case
    assert expected in why(data)


def test_every_cut_of_a_list_is_refused_and_none_breaks_the_reader() -> None:
    whole = revocation_list(GOOD, NOW, [7, 8, 9])
    for length in range(len(whole)):
        with pytest.raises(Unusable):
            read(whole[:length])


def test_a_flipped_bit_anywhere_says_nothing_else() -> None:
    # Where the signature counts its unused bits one may change and the list stand; what it says never does.
    whole = revocation_list(GOOD, NOW, [7, 8, 9])
    for at in range(len(whole)):
        try:
            found = read(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        except Unusable:
            continue
        assert replace(found, digest="") == replace(read(whole), digest=""), at


def test_a_ca_with_a_former_and_a_present_key_signs_with_either() -> None:
    # One name and two keys, as when a root is made anew; what `openssl ca -gencrl` makes names no key.
    former, present = (LabAuthority("a CA", now=NOW) for _ in range(2))
    issuers = [read_issuer(der_of(each)) for each in (former, present)]
    for index, authority in enumerate((former, present)):
        found = read(revocation_list(authority, NOW, [9]), *issuers)
        assert (found.serials, found.issuer) == ({9}, issuers[index].id)
    assert "is not signed by" in why(revocation_list(LabAuthority("a CA", now=NOW), NOW), *issuers)


def test_a_ca_that_may_not_sign_lists_signs_none() -> None:
    class Restricted(LabAuthority):
        def _certify_itself(self) -> x509.Certificate:
            whole = super()._certify_itself()
            builder = self._signed_by_us(
                self.name, self.key, whole.not_valid_before_utc, whole.not_valid_after_utc
            )
            usage = dict.fromkeys(
                ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
                 "key_agreement", "crl_sign", "encipher_only", "decipher_only"), False,
            )  # fmt: skip
            builder = builder.add_extension(x509.KeyUsage(key_cert_sign=True, **usage), critical=True)
            return builder.sign(self.key, whole.signature_hash_algorithm)  # type: ignore[arg-type]

    authority = Restricted("no lists CA", now=NOW)
    assert "has no cRLSign" in why(revocation_list(authority, NOW), read_issuer(der_of(authority)))


def test_a_list_is_for_the_certificates_that_it_says() -> None:
    whole = read(revocation_list(GOOD, NOW))
    assert whole.covers(False, ()) and whole.covers(True, ())
    of_users = read(revocation_list(GOOD, NOW, extensions=[point(only_contains_user_certs=True)]))
    assert of_users.covers(False, ()) and not of_users.covers(True, ())
    name = [x509.UniformResourceIdentifier(URL)]
    shard = read(revocation_list(GOOD, NOW, extensions=[point(full_name=name)]))
    assert shard.covers(False, (URL,)) and not shard.covers(False, ()) and shard.points == (URL,)


def test_a_file_may_hold_several_lists_in_pem_or_one_in_der() -> None:
    one, two = revocation_list(GOOD, NOW, [1]), revocation_list(OTHER, NOW, [2])
    assert split_pem(one) == [one]
    assert split_pem(b"comment\n" + pem_of_list(one) + pem_of_list(two)) == [one, two]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "is empty"),
        (b"<!DOCTYPE html><html>404", "this is a web page, not a revocation list"),
        (GOOD.certificate.public_bytes(Encoding.PEM), "not its certificate or key"),
        (b"-----BEGIN X509 CRL-----\nAAAA", "has no end"),
        (b"-----BEGIN X509 CRL-----\n*\n-----END X509 CRL-----", "damaged"),
    ],
)
def test_a_file_that_is_no_list_is_named_for_what_it_is(data: bytes, expected: str) -> None:
    with pytest.raises(Unusable, match=expected):
        split_pem(data)


def test_certificates_of_one_name_and_key_are_one_issuer() -> None:
    again = read_issuer(der_of(GOOD))
    assert again.id == ISSUER.id
    assert read_issuer(der_of(OTHER)).id != ISSUER.id
