from __future__ import annotations

import hashlib

import pytest
from cryptography import x509

from sbc.base import PeerError
from sbc.tls.groups import normal_group
from sbc.tls.material.certificate import CertificateCache, read_certificate, thumbprint_of
from tests.unit.tls.certs import GOOD, anchor, der, leaf


def test_the_facts_of_a_leaf() -> None:
    made = leaf(dns=["a.example", "b.example"], uris=["sip:a.example"], ips=["192.0.2.1", "2001:db8::1"])
    who = made.identity
    assert who.sans == (
        "dns:a.example",
        "dns:b.example",
        "uri:sip:a.example",
        "ip:192.0.2.1",
        "ip:2001:db8::1",
    )
    assert (who.subject, who.issuer, who.verified) == ("CN=a.example", "CN=good CA", False)
    assert made.server_auth and made.client_auth and not made.is_ca and not made.self_issued
    assert made.verified.verified and made.verified.thumbprint == who.thumbprint


@pytest.mark.parametrize(
    ("eku", "server", "client"),
    [(("server",), True, False), (("client",), False, True), ((), True, True)],
)
def test_no_extended_key_usage_allows_every_purpose(eku: tuple[str, ...], server: bool, client: bool) -> None:
    made = leaf(eku=eku)
    assert (made.server_auth, made.client_auth) == (server, client)


def test_a_ca_is_known_as_one() -> None:
    root = anchor(GOOD).facts[0]
    assert root.is_ca and root.self_issued and root.identity.sans == ()


@pytest.mark.parametrize("data", [b"", b"rubbish", b"0" * 70000])
def test_what_is_no_certificate_is_the_peers_error(data: bytes) -> None:
    with pytest.raises(PeerError):
        read_certificate(data)


def test_every_truncation_and_many_bit_flips_raise_only_peer_errors() -> None:
    whole = der(GOOD.issue(dns=["a.example"]).cert_pem)
    for index in range(0, len(whole), 3):
        flipped = bytearray(whole)
        flipped[index] ^= 0x15
        for data in (whole[:index], bytes(flipped)):
            try:
                read_certificate(data)
            except PeerError:
                pass


def test_the_cache_reads_once() -> None:
    cache = CertificateCache()
    data = der(GOOD.issue(dns=["a.example"]).cert_pem)
    assert cache.read(data) is cache.read(bytes(data))
    assert thumbprint_of(data) == hashlib.sha256(data).hexdigest()


def test_strangers_with_huge_certificates_do_not_fill_the_memory() -> None:
    cache = CertificateCache()
    stuffing = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), bytes(60_000))
    huge = der(GOOD.issue(dns=["a.example"], extensions=[stuffing]).cert_pem)
    for number in range(200):
        cache.read(huge[:-2] + number.to_bytes(2, "big"))
    assert 0 < len(cache) * len(huge) <= 6 << 20
    small = der(GOOD.issue(dns=["b.example"]).cert_pem)
    assert cache.read(small) is cache.read(small)


def test_groups_have_one_spelling() -> None:
    spellings = ["secp256r1", "prime256v1", "x25519", "X25519MLKEM768", "x25519mlkem768", "SecP256r1MLKEM768"]
    assert [normal_group(each) for each in spellings] == [
        "P-256", "P-256", "X25519", "X25519MLKEM768", "X25519MLKEM768", "SecP256r1MLKEM768",
    ]  # fmt: skip


def test_a_chain_is_kept_once() -> None:
    cache = CertificateCache()
    one = cache.keep([b"leaf", b"root"], ("a", "b"))
    assert one == (b"leaf", b"root")
    assert cache.keep([b"leaf", b"root"], ("a", "b")) is one


def test_long_chains_do_not_fill_the_memory() -> None:
    """Above another's certificate, which he has seen, somebody may show whatever he likes."""
    cache = CertificateCache()
    usual = [b"leaf", b"root"]
    kept = cache.keep(usual, ("leaf", "root"))
    for number in range(50):
        long = [number.to_bytes(4, "big") + bytes(100_000)]
        last = cache.keep(long, (str(number),))
        assert cache.keep(usual, ("leaf", "root")) is kept, "it is used again and again"
    assert cache.keep(long, (str(number),)) is last
    for number in range(1000):
        cache.keep([number.to_bytes(4, "big") + bytes(100_000)], ("more", str(number)))
    assert cache.keep([bytes(1)], (str(49),)) is not last and cache.keep([b"leaf", b"root"], ("leaf", "root"))
