"""Crypto lines: the examples of RFC 4568, RFC 7714 and Microsoft Teams, and what must not pass."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest

from sbc.base import PeerError
from sbc.media.sdes import KEY_LENGTHS, CryptoLine, format_crypto, parse_crypto

K30 = "d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj"  # RFC 4568 section 4
K46 = b64encode(bytes(range(46))).decode()
K28 = b64encode(bytes(range(28))).decode()
LONG80, LONG32 = "AES_256_CM_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_32"
DRAFT80, DRAFT32 = "AES_CM_256_HMAC_SHA1_80", "AES_CM_256_HMAC_SHA1_32"
SHA80, SHA32 = "AES_CM_128_HMAC_SHA1_80", "AES_CM_128_HMAC_SHA1_32"


@pytest.mark.parametrize(
    ("value", "tag", "suite", "lifetime", "mki"),
    [
        (f"1 {SHA80} inline:{K30}|2^20|1:1", 1, SHA80, 2**20, b"\x01"),
        (f"1 {SHA80} inline:{K30}|2^31|1:1", 1, SHA80, 2**31, b"\x01"),
        (f"2 {SHA32} inline:{K30}|2^20", 2, SHA32, 2**20, b""),
        (f"1 {SHA32} inline:{K30}|1:1", 1, SHA32, None, b"\x01"),
        (f"0 {SHA80} inline:{K30}", 0, SHA80, None, b""),
        (f"999999999 {SHA80} inline:{K30}", 999999999, SHA80, None, b""),
        (f"1 {SHA80} inline:{K30}|1066400", 1, SHA80, 1066400, b""),
        (f"1 {SHA80} inline:{K30}|2^48", 1, SHA80, 2**48, b""),
        (f"1 {SHA80} inline:{K30} WSH=64", 1, SHA80, None, b""),
        (f"1 {LONG80} inline:{K46}|2^48", 1, LONG80, 2**48, b""),
        (f"7 {LONG32} inline:{K46}", 7, LONG32, None, b""),
        (f"1 {DRAFT80} inline:{K46}|2^31|1:1", 1, LONG80, 2**31, b"\x01"),
        (f"1 {DRAFT32} inline:{K46.rstrip('=')}", 1, LONG32, None, b""),
        (f"3 AEAD_AES_128_GCM inline:{K28}|2^48", 3, "AEAD_AES_128_GCM", 2**48, b""),
        (f"3 AEAD_AES_128_GCM inline:{K28.rstrip('=')}", 3, "AEAD_AES_128_GCM", None, b""),
    ],
)
def test_usable_lines(value: str, tag: int, suite: str, lifetime: int | None, mki: bytes) -> None:
    line = parse_crypto(value)
    assert (line.tag, line.suite, line.lifetime, line.mki) == (tag, suite, lifetime, mki)
    assert line.key == b64decode(value.split("inline:")[1].split("|")[0].split()[0].rstrip("=") + "==")


@pytest.mark.parametrize(
    "value",
    [
        "",
        "1",
        f"1 {SHA80}",
        f"x {SHA80} inline:{K30}",
        f"1234567890 {SHA80} inline:{K30}",
        f"-1 {SHA80} inline:{K30}",
        f"1 F8_128_HMAC_SHA1_80 inline:{K30}",
        f"1 AES_CM_128_NULL_AUTH inline:{K30}",
        f"1 {SHA80} uri:{K30}",
        f"1 {SHA80} inline:",
        f"1 {SHA80} inline:{K30[:-4]}",
        f"1 {SHA80} inline:{K30}AAAA",
        f"1 {SHA80} inline:{K30[:-1]}!",
        f"1 {SHA80} inline:{K28}",
        f"1 {LONG80} inline:{K30}",
        f"1 {DRAFT80} inline:{K30}",
        f"1 {SHA80} inline:{K46}",
        f"1 {SHA80} inline:{K30};inline:{K30}",
        f"1 {SHA80} inline:{K30}|2^20|1:4",
        f"1 {SHA80} inline:{K30}|2^20|2:1",
        f"1 {SHA80} inline:{K30}|1:1|2^20",
        f"1 {SHA80} inline:{K30}|2^20|2^20",
        f"1 {SHA80} inline:{K30}|2^20|1:1|x",
        f"1 {SHA80} inline:{K30}|0",
        f"1 {SHA80} inline:{K30}|2^49",
        f"1 {SHA80} inline:{K30}|2^99999999999",
        f"1 {SHA80} inline:{K30}|forever",
        f"1 {SHA80} inline:{K30} UNENCRYPTED_SRTP",
        f"1 {SHA80} inline:{K30} UNENCRYPTED_SRTCP",
        f"1 {SHA80} inline:{K30} UNAUTHENTICATED_SRTP",
        f"1 {SHA80} inline:{K30} WSH=64 UNENCRYPTED_SRTCP",
        f"1 {SHA80} inline:{K30} KDR=10",
        f"1 {SHA80} inline:{K30} FEC_ORDER=FEC_SRTP",
        f"1 {SHA80} inline:{K30} WSH=wide",
        f"1 {SHA80} inline:{K30} -unknown",
    ],
)
def test_unusable_lines_are_refused_without_telling_the_key(value: str) -> None:
    with pytest.raises(PeerError) as caught:
        parse_crypto(value)
    assert caught.value.status == 488
    assert K30[:8] not in str(caught.value) and K28[:8] not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("suite", KEY_LENGTHS)
def test_what_is_formatted_parses_back(suite: str) -> None:
    line = CryptoLine(7, suite, bytes(range(200, 200 + KEY_LENGTHS[suite])))
    assert parse_crypto(format_crypto(line)) == line


def test_a_key_is_shown_by_nothing_but_the_sdp() -> None:
    line = parse_crypto(f"1 {SHA80} inline:{K30}")
    for text in (repr(line), str(line), f"{line}", repr([line])):
        assert K30 not in text and line.key.hex() not in text and str(line.key) not in text
    assert K30 in format_crypto(line)
