"""A ClientHello, read to explain: every cut of a real one, several records, and octets that are none."""

from __future__ import annotations

import ssl

import pytest

from sbc.tls.client_hello import TLS12, TLS13, ClientHello, read_client_hello


def hello(most: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> bytes:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = most
    context.set_ciphers("ECDHE-RSA-AES128-GCM-SHA256")
    context.set_ecdh_curve("secp384r1")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="sbc.example")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


def test_what_a_client_offers() -> None:
    read = read_client_hello(hello())
    assert read is not None
    assert read.offers(TLS13) and read.offers(TLS12) and read.best == "TLS 1.3"
    assert 0xC02F in read.ciphers and 0x1301 in read.ciphers
    assert read.groups == ("P-384",)
    assert read.signatures is not None and 0x0403 in read.signatures


def test_a_client_without_versions_offers_what_its_legacy_version_says() -> None:
    read = read_client_hello(hello(ssl.TLSVersion.TLSv1_2))
    assert read is not None and read.versions is None
    assert read.offers(TLS12) and not read.offers(TLS13) and read.best == "TLS 1.2"


def test_a_hello_in_many_records() -> None:
    message = hello()[5:]
    pieces = [message[at : at + 50] for at in range(0, len(message), 50)]
    split = b"".join(b"\x16\x03\x01" + len(each).to_bytes(2, "big") + each for each in pieces)
    whole = read_client_hello(split)
    assert whole is not None and whole.groups == ("P-384",)


def test_what_is_cut_short_anywhere_or_is_something_else_is_none() -> None:
    data = hello()
    assert all(read_client_hello(data[:end]) is None for end in range(len(data)))
    assert read_client_hello(b"OPTIONS sip:a SIP/2.0\r\n\r\n") is None
    assert read_client_hello(b"\x15\x03\x01\x00\x02\x02\x28") is None


def test_lengths_that_lie_raise_nothing() -> None:
    data = bytearray(hello())
    for at in range(5, len(data)):
        broken = bytes(data[:at] + b"\xff" + data[at + 1 :])
        assert isinstance(read_client_hello(broken), ClientHello | None)


def test_values_that_nobody_has_are_left_out() -> None:
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x04\x0a\x0a\x13\x01" + b"\x01\x00"
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    read = read_client_hello(b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message)
    assert read == ClientHello(TLS12, (0x1301,))
