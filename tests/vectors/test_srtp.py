"""SRTP against RFC 3711 appendix B and RFC 7714 section 16.

The vectors of the RFCs start from session keys or stop at them, so they check a small second
implementation of SRTP in this file, and that one checks ours packet by packet.
"""

from __future__ import annotations

import hashlib
import hmac
import struct

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from sbc.media.policy import SUITES
from sbc.media.sdes import KEY_LENGTHS, CryptoLine
from sbc.media.srtp import MAX_PACKET, MAX_SSRCS, Protector, SrtpError, Unprotector

MASTER = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE41390EC675AD498AFEEBB6960B3AABE6")
TAGS = {"AES_CM_128_HMAC_SHA1_80": 10, "AES_CM_128_HMAC_SHA1_32": 4}


def aes_cm(key: bytes, counter: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(data)


def derive(master: bytes, salt: bytes, label: int, size: int) -> bytes:
    """RFC 3711 4.3.1 and 4.3.3 with a key derivation rate of 0."""
    x = int.from_bytes(salt, "big") ^ (label << 48)
    return aes_cm(master, (x << 16).to_bytes(16, "big"), bytes(size))


def cm_packet(line: CryptoLine, packet: bytes, roc: int) -> bytes:
    """RFC 3711 4.1.1 and 4.2 for one RTP packet with a 12-byte header."""
    master, salt = line.key[:16], line.key[16:]
    key, auth = derive(master, salt, 0, 16), derive(master, salt, 1, 20)
    session_salt = int.from_bytes(derive(master, salt, 2, 14), "big")
    ssrc, index = int.from_bytes(packet[8:12], "big"), roc << 16 | int.from_bytes(packet[2:4], "big")
    counter = (session_salt << 16) ^ (ssrc << 64) ^ (index << 16)
    out = packet[:12] + aes_cm(key, counter.to_bytes(16, "big"), packet[12:])
    return out + hmac.digest(auth, out + struct.pack("!I", roc), hashlib.sha1)[: TAGS[line.suite]]


def gcm(key: bytes, salt: bytes, packet: bytes, roc: int) -> bytes:
    """RFC 7714 8.1 and 8.2 from a session key and salt."""
    plain_iv = b"\0\0" + packet[8:12] + struct.pack("!I", roc) + packet[2:4]
    iv = bytes(a ^ b for a, b in zip(plain_iv, salt, strict=True))
    return packet[:12] + AESGCM(key).encrypt(iv, packet[12:], packet[:12])


def gcm_packet(line: CryptoLine, packet: bytes, roc: int) -> bytes:
    size = 16 if "128" in line.suite else 32
    master, salt = line.key[:size], line.key[size:] + b"\0\0"  # RFC 7714 11: the salt is padded for the KDF
    return gcm(derive(master, salt, 0, size), derive(master, salt, 2, 12), packet, roc)


def reference(line: CryptoLine, packet: bytes, roc: int = 0) -> bytes:
    return (cm_packet if line.suite in TAGS else gcm_packet)(line, packet, roc)


def line_of(suite: str, mki: bytes = b"") -> CryptoLine:
    return CryptoLine(1, suite, bytes(range(7, 7 + KEY_LENGTHS[suite])), mki=mki)


def rtp(sequence: int, payload: bytes = b"\xab" * 160, ssrc: int = 0xCAFEBABE) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, sequence * 160, ssrc) + payload


def rtcp(ssrc: int = 0xCAFEBABE) -> bytes:
    return struct.pack("!BBHIQIII", 0x80, 200, 6, ssrc, 1, 2, 3, 4)


def refused(call: object, data: bytes) -> str:
    with pytest.raises(SrtpError) as caught:
        call(data)  # type: ignore[operator]
    return caught.value.reason


def test_rfc3711_b2_keystream() -> None:
    key = bytes.fromhex("2B7E151628AED2A6ABF7158809CF4F3C")
    stream = aes_cm(key, bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000"), bytes(48))
    assert stream.hex().upper() == (
        "E03EAD0935C95E80E166B16DD92B4EB4D23513162B02D0F72A43A2FE4A5F97AB41E95B3BB0A2E8DD477901E4FCA894C0"
    )


def test_rfc3711_b3_key_derivation() -> None:
    master, salt = MASTER[:16], MASTER[16:]
    assert derive(master, salt, 0, 16).hex().upper() == "C61E7A93744F39EE10734AFE3FF7A087"
    assert derive(master, salt, 2, 14).hex().upper() == "30CBBC08863D8C85D49DB34A9AE1"
    assert derive(master, salt, 1, 20).hex().upper() == "CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4"


def test_rfc7714_16_1_1_gcm_packet() -> None:
    packet = bytes.fromhex("8040f17b8041f8d35501a0b2") + b"Gallia est omnis divisa in partes tres"
    assert gcm(bytes(range(16)), b"Quid pro quo", packet, 0).hex() == (
        "8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de3adf"
        "8833899d7f27beb16a9152cf765ee4390cce"
    )


@pytest.mark.parametrize("suite", SUITES)
def test_packets_are_those_of_the_reference(suite: str) -> None:
    line = line_of(suite)
    protector, unprotector = Protector(line), Unprotector(line)
    for sequence in (1, 2, 700, 32767, 65535):
        secured = protector.rtp(rtp(sequence))
        assert secured == reference(line, rtp(sequence))
        assert unprotector.rtp(secured) == rtp(sequence)


@pytest.mark.parametrize("suite", SUITES)
def test_the_rollover_counter_follows_the_wrap(suite: str) -> None:
    line = line_of(suite)
    protector, unprotector = Protector(line), Unprotector(line)
    for sequence in range(65500, 65536 + 40):
        secured = protector.rtp(rtp(sequence))
        assert unprotector.rtp(secured) == rtp(sequence)
        assert secured == reference(line, rtp(sequence), sequence >> 16)


@pytest.mark.parametrize("suite", SUITES)
def test_rtcp_comes_back(suite: str) -> None:
    line = line_of(suite)
    secured = Protector(line).rtcp(rtcp())
    assert rtcp()[8:] not in secured
    unprotector = Unprotector(line)
    assert unprotector.rtcp(secured) == rtcp()
    assert refused(unprotector.rtcp, secured) == "replay"


@pytest.mark.parametrize("suite", SUITES)
def test_an_mki_is_taken_out_before_the_tag(suite: str) -> None:
    line, with_mki = line_of(suite), line_of(suite, mki=b"\x01")
    protector, unprotector = Protector(line), Unprotector(with_mki)
    secured, control, tag = protector.rtp(rtp(5)), protector.rtcp(rtcp()), TAGS.get(suite, 0)
    assert unprotector.rtp(secured[: len(secured) - tag] + b"\x01" + secured[len(secured) - tag :]) == rtp(5)
    tag = 10 if tag else 0  # RFC 3711 5.2: SRTCP keeps the long tag
    with_it = control[: len(control) - tag] + b"\x01" + control[len(control) - tag :]
    assert unprotector.rtcp(with_it) == rtcp()
    assert refused(unprotector.rtp, b"\x80" * 5) == "malformed"
    assert refused(unprotector.rtp, protector.rtp(rtp(6))) in ("malformed", "authentication")


@pytest.mark.parametrize("suite", SUITES)
def test_every_refusal_is_named(suite: str) -> None:
    line = line_of(suite)
    protector, unprotector = Protector(line), Unprotector(line)
    secured = protector.rtp(rtp(1))
    assert unprotector.rtp(secured) == rtp(1)
    assert refused(unprotector.rtp, secured) == "replay"
    for at in (1, 13, len(secured) - 1):
        bad = bytearray(protector.rtp(rtp(at + 2)))
        bad[at] ^= 1
        assert refused(unprotector.rtp, bytes(bad)) == "authentication"
    assert refused(unprotector.rtp, b"\x80" + bytes(8)) == "malformed"
    assert refused(unprotector.rtp, bytes(MAX_PACKET + 1)) == "malformed"
    assert refused(protector.rtp, rtp(1)) == "replay"


def test_a_wrong_key_authenticates_nothing() -> None:
    protector = Protector(line_of(SUITES[0]))
    unprotector = Unprotector(CryptoLine(1, SUITES[0], MASTER))
    assert refused(unprotector.rtp, protector.rtp(rtp(1))) == "authentication"


def test_a_sender_holds_a_bounded_number_of_sources_and_never_forgets_one() -> None:
    protector = Protector(line_of(SUITES[0]))
    for ssrc in range(MAX_SSRCS):
        protector.rtp(rtp(1, ssrc=ssrc))
    assert refused(protector.rtp, rtp(1, ssrc=MAX_SSRCS)) == "ssrcs"
    assert refused(protector.rtcp, rtcp(ssrc=MAX_SSRCS)) == "ssrcs"
    assert refused(protector.rtp, rtp(1, ssrc=0)) == "replay"
