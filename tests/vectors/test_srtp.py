"""SRTP against RFC 3711 appendix B, RFC 6188 section 7 and RFC 7714 section 16.

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
TAGS = {
    "AES_CM_128_HMAC_SHA1_80": 10,
    "AES_CM_128_HMAC_SHA1_32": 4,
    "AES_256_CM_HMAC_SHA1_80": 10,
    "AES_256_CM_HMAC_SHA1_32": 4,
}


def aes_cm(key: bytes, counter: bytes, data: bytes) -> bytes:
    return Cipher(algorithms.AES(key), modes.CTR(counter)).encryptor().update(data)


def derive(master: bytes, salt: bytes, label: int, size: int) -> bytes:
    """RFC 3711 4.3.1 and 4.3.3 with a key derivation rate of 0."""
    x = int.from_bytes(salt, "big") ^ (label << 48)
    return aes_cm(master, (x << 16).to_bytes(16, "big"), bytes(size))


def cm_packet(line: CryptoLine, packet: bytes, roc: int) -> bytes:
    """RFC 3711 4.1.1 and 4.2 for one RTP packet with a 12-byte header."""
    size = len(line.key) - 14
    master, salt = line.key[:size], line.key[size:]
    key, auth = derive(master, salt, 0, size), derive(master, salt, 1, 20)
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


def test_rfc6188_7_1_keystream() -> None:
    key = bytes.fromhex("57F82FE3613FD170A85EC93C40B1F0922EC4CB0DC025B58272147CC438944A98")
    stream = aes_cm(key, bytes.fromhex("F0F1F2F3F4F5F6F7F8F9FAFBFCFD0000"), bytes(48))
    assert stream.hex().upper() == (
        "92BDD28A93C3F52511C677D08B5515A49DA71B2378A854F67050756DED165BAC63C4868B7096D88421B563B8C94C9A31"
    )


def test_rfc6188_7_2_key_derivation() -> None:
    master = bytes.fromhex("F0F04914B513F2763A1B1FA130F10E2998F6F6E43E4309D1E622A0E332B9F1B6")
    salt = bytes.fromhex("3B04803DE51EE7C96423AB5B78D2")
    assert derive(master, salt, 0, 32).hex().upper() == (
        "5BA1064E30EC51613CAD926C5A28EF731EC7FB397F70A960653CAF06554CD8C4"
    )
    assert derive(master, salt, 2, 14).hex().upper() == "FA31791685CA444A9E07C6C64E93"
    assert derive(master, salt, 1, 20).hex().upper() == "FD9C32D39ED5FBB5A9DC96B30818454D1313DC05"


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


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("suite", SUITES)
def test_what_was_overtaken_before_the_first_packet_moves_no_counter(suite: str, turned: bool) -> None:
    """RFC 3711 3.3.1: with ROC 0 and 2 as the highest, 65535 is of the round before, and there is none.

    Whoever sends it as the end of this round goes on in the next, where no receiver follows.
    """
    line = line_of(suite)
    protector = Protector(line)
    for sequence in (0, 2):
        assert protector.rtp(rtp(sequence)) == reference(line, rtp(sequence))
    if turned:  # another source between
        protector.rtp(rtp(1, ssrc=7))
    assert refused(protector.rtp, rtp(65535)) == "replay"
    for sequence in (1, 3, *range(4, 65537, 500), *range(65530, 65537)):
        assert protector.rtp(rtp(sequence)) == reference(line, rtp(sequence), sequence >> 16)
    late = rtp(65529)
    assert protector.rtp(late) == reference(line, late), "what is late later on has an index"


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


@pytest.mark.parametrize("suite", SUITES)
def test_a_sender_lets_the_source_go_that_was_silent_longest_and_repeats_no_index(suite: str) -> None:
    """RFC 3711 9.1: under one key no index of an SSRC is used twice, however many others came between."""
    line = line_of(suite)
    protector = Protector(line)
    sent = set()
    for sequence in (65530, 65536 + 20):  # over a wrap
        sent.add(protector.rtp(rtp(sequence, ssrc=0)))
    for ssrc in range(1, 2 * MAX_SSRCS + 1):
        assert protector.rtp(rtp(1, ssrc=ssrc)) == reference(line, rtp(1, ssrc=ssrc))
    for sequence in (65530, 20, 21):
        assert refused(protector.rtp, rtp(sequence, b"other", ssrc=0)) == "replay"
    again = rtp(20 + 400, ssrc=0)
    assert protector.rtp(again) == reference(line, again, 1)
    assert refused(protector.rtp, again) == "replay"


def test_a_senders_source_that_was_let_go_in_the_middle_of_reordering_repeats_no_index() -> None:
    protector = Protector(line_of(SUITES[0]))
    for sequence in (1000, 1001, 1100, 1002):
        protector.rtp(rtp(sequence, ssrc=0))
    for ssrc in range(1, MAX_SSRCS + 1):
        protector.rtp(rtp(1, ssrc=ssrc))
    for sequence in range(1000, 1101):
        assert refused(protector.rtp, rtp(sequence, b"other", ssrc=0)) == "replay"


def test_a_sender_that_let_a_source_go_sends_no_more_of_its_rtcp() -> None:
    """The index of SRTCP (RFC 3711 3.4) cannot be set, and would begin anew."""
    protector = Protector(line_of(SUITES[0]))
    assert protector.rtcp(rtcp(ssrc=0)) != protector.rtcp(rtcp(ssrc=0))
    for ssrc in range(1, MAX_SSRCS + 1):
        protector.rtp(rtp(1, ssrc=ssrc))
        assert protector.rtcp(rtcp(ssrc=ssrc))
    assert refused(protector.rtcp, rtcp(ssrc=0)) == "ssrcs"


def test_a_source_that_is_heard_all_the_time_stays() -> None:
    line = line_of(SUITES[0])
    protector, unprotector = Protector(line), Unprotector(line)
    for number in range(1, 4 * MAX_SSRCS):
        for packet in (rtp(number, ssrc=0xFFFF), rtp(1, ssrc=number)):
            assert unprotector.rtp(protector.rtp(packet)) == packet
        if number % 40 == 0:
            assert unprotector.rtcp(protector.rtcp(rtcp(ssrc=0xFFFF))) == rtcp(ssrc=0xFFFF)


def test_sources_under_one_sending_key_are_bounded() -> None:
    protector = Protector(line_of(SUITES[0]))
    for ssrc in range(4096 + MAX_SSRCS):
        protector.rtp(rtp(1, ssrc=ssrc))
    assert refused(protector.rtp, rtp(1, ssrc=99999)) == "ssrcs"
    assert refused(protector.rtcp, rtcp(ssrc=99999)) == "ssrcs"
    assert protector.rtp(rtp(2, ssrc=4096 + MAX_SSRCS - 1))


@pytest.mark.slow
@pytest.mark.parametrize("suite", SUITES)
def test_a_receiver_hears_any_number_of_sources_and_holds_few(suite: str) -> None:
    line = line_of(suite)
    unprotector = Unprotector(line)
    for ssrc in range(5000):
        assert unprotector.rtp(reference(line, rtp(1, b"x", ssrc=ssrc))) == rtp(1, b"x", ssrc=ssrc)
        assert len(unprotector._known) <= MAX_SSRCS and len(unprotector._past) <= 4096


@pytest.mark.parametrize("roc", [0, 3])
def test_a_receiver_that_let_a_source_go_takes_it_again_and_no_replay(roc: int) -> None:
    line = line_of(SUITES[0])
    unprotector = Unprotector(line)
    before = [reference(line, rtp(at, ssrc=9), at >> 16) for at in range(100, (roc << 16) + 300, 30000)]
    for each in before:
        unprotector.rtp(each)
    for ssrc in range(100, 100 + MAX_SSRCS):
        unprotector.rtp(reference(line, rtp(1, ssrc=ssrc)))
    if roc == 0:
        unprotector.rtcp(Protector(line).rtcp(rtcp(ssrc=9)))  # its reports come again before its voice
    for each in before:
        assert refused(unprotector.rtp, each) in ("replay", "authentication")
        with pytest.raises(SrtpError):
            unprotector.recover(each)
    index = 100 + 30000 * (len(before) - 1) + 300
    again = reference(line, rtp(index, ssrc=9), index >> 16)
    assert take(unprotector, again) == rtp(index, ssrc=9)
    assert refused(unprotector.rtp, again) == "replay"


def take(unprotector: Unprotector, data: bytes) -> bytes:
    """What a leg does: the counter that libsrtp takes, then others."""
    try:
        return unprotector.rtp(data)
    except SrtpError:
        return unprotector.recover(data)


@pytest.mark.parametrize("suite", SUITES)
@pytest.mark.parametrize("early_report", [False, True])
def test_the_first_packet_that_is_heard_may_come_after_the_wrap(suite: str, early_report: bool) -> None:
    """A peer that starts at 65533 and loses five packets is at 2, with a rollover counter of 1."""
    line = line_of(suite)
    unprotector = Unprotector(line)
    if early_report:
        unprotector.rtcp(Protector(line).rtcp(rtcp()))
    assert take(unprotector, reference(line, rtp(2), 1)) == rtp(2)
    for sequence in (3, 4, 30000, 60000, 65535):
        assert unprotector.rtp(reference(line, rtp(sequence), 1)) == rtp(sequence)
    assert unprotector.rtp(reference(line, rtp(0), 2)) == rtp(0)


@pytest.mark.parametrize("kept", [0, 1, 5])
@pytest.mark.parametrize("wrapped", [0, 1])
def test_a_peer_may_keep_its_rollover_counter_under_a_new_key_or_begin_at_zero(
    kept: int, wrapped: int
) -> None:
    """RFC 3711 3.3.1 keeps it, RFC 4568 7.1.4 begins anew; nobody says which."""
    line, new_line = line_of(SUITES[0]), CryptoLine(1, SUITES[0], MASTER)
    former = Unprotector(line)
    for index in range(100, (kept << 16) + 60000, 30000):
        former.rtp(reference(line, rtp(index), index >> 16))
    for rocs in (kept + wrapped, 0):
        unprotector = Unprotector(new_line)
        unprotector.inherit(former)
        sequence = 7 if wrapped else 61000
        packet = reference(new_line, rtp(sequence), rocs)
        assert take(unprotector, packet) == rtp(sequence)
        assert take(unprotector, reference(new_line, rtp(sequence + 1), rocs)) == rtp(sequence + 1)
        assert refused(unprotector.rtp, packet) == "replay"


@pytest.mark.parametrize("sequence", [5, 40000])
@pytest.mark.parametrize("roc", [1, 2, 9, 20])
def test_who_has_talked_for_hours_under_its_key_is_heard_elsewhere_soon(roc: int, sequence: int) -> None:
    """RFC 3711 3.3.1: who joins late is not told the counter, which a transferred party keeps."""
    line = line_of(SUITES[0])
    unprotector = Unprotector(line)
    heard = []
    for number in range(60):
        index = (roc << 16) + sequence + number
        try:
            heard.append(take(unprotector, reference(line, rtp(index), roc)))
        except SrtpError as error:
            assert error.reason == "authentication"
    assert len(heard) >= 60 - 32 and heard[-1] == rtp((roc << 16) + sequence + 59)
    assert refused(
        lambda data: take(unprotector, data), reference(line, rtp((roc << 16) + 59 + sequence), roc)
    )


def test_forged_packets_get_a_bounded_number_of_tries() -> None:
    line = line_of(SUITES[0])
    unprotector = Unprotector(line)
    for ssrc in range(1000):
        with pytest.raises(SrtpError, match="authentication"):
            unprotector.recover(rtp(2, ssrc=ssrc))
    assert unprotector._tries == 0
    with pytest.raises(SrtpError):
        take(unprotector, reference(line, rtp(2), 1))
    assert unprotector.rtp(reference(line, rtp(2), 0)) == rtp(2)
