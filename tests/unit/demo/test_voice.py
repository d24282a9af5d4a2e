"""An agent's SDP and its loss counter, without a network."""

from __future__ import annotations

import pytest

from sbc.base import Address, PeerError
from sbc.demo.voice import Sequence, Voice, VoiceSettings, read_sdp

KEY = "inline:" + "A" * 40
OFFER = (
    "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n"
    "m=audio 4000 RTP/SAVP 8 0 101\r\n"
    f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 {KEY}\r\n"
    f"a=crypto:2 UNKNOWN_SUITE {KEY}\r\n"
    "m=video 4002 RTP/AVP 99\r\nc=IN IP4 192.0.2.9\r\n"
).encode()


def voice(**changes: object) -> Voice:
    return Voice("127.0.0.1", VoiceSettings(**changes))  # type: ignore[arg-type]


def test_the_first_audio_line_is_read_and_the_rest_is_not() -> None:
    media = read_sdp(OFFER)
    assert media.address == Address("192.0.2.1", 4000)
    assert media.profile == "RTP/SAVP" and media.payload_types == (8, 0, 101)
    assert [line.suite for line in media.crypto] == ["AES_CM_128_HMAC_SHA1_80"]


@pytest.mark.parametrize("sdp", [b"", b"v=0\r\n", OFFER.replace(b"audio 4000", b"audio 0")])
def test_no_audio_is_488(sdp: bytes) -> None:
    with pytest.raises(PeerError) as refused:
        read_sdp(sdp)
    assert refused.value.status == 488


def test_an_offer_holds_a_key_for_each_suite_and_a_plain_one_none() -> None:
    assert [line.suite for line in read_sdp(voice().offer()).crypto] == [
        "AES_CM_128_HMAC_SHA1_80",
        "AEAD_AES_128_GCM",
    ]
    plain = read_sdp(voice(suites=()).offer())
    assert plain.profile == "RTP/AVP" and plain.crypto == ()


def test_keys_are_fresh_for_each_call() -> None:
    assert read_sdp(voice().offer()).crypto[0].key != read_sdp(voice().offer()).crypto[0].key


def test_an_answer_keeps_the_tag_and_suite_and_repeats_itself() -> None:
    answering = voice()
    answer = answering.answer(OFFER)
    [line] = read_sdp(answer).crypto
    assert (line.tag, line.suite) == (1, "AES_CM_128_HMAC_SHA1_80")
    assert answering.answer(OFFER) == answer


def test_the_codec_of_the_offer_is_taken() -> None:
    answering = voice(payload_type=8)
    assert read_sdp(answering.answer(OFFER.replace(b"SAVP 8 0", b"SAVP 0"))).payload_types == (0,)


@pytest.mark.parametrize(
    ("fault", "profile", "suites"),
    [
        ("plain", "RTP/AVP", []),
        ("no-crypto", "RTP/SAVP", []),
        ("broken-key", "RTP/SAVP", []),
        ("unoffered-suite", "RTP/SAVP", ["AEAD_AES_256_GCM"]),
    ],
)
def test_each_fault_is_in_the_answer(fault: str, profile: str, suites: list[str]) -> None:
    answer = voice(answer_fault=fault).answer(OFFER)
    media = read_sdp(answer)
    assert media.profile == profile and [line.suite for line in media.crypto] == suites
    assert (b"a=crypto" in answer) == (fault in ("broken-key", "unoffered-suite"))


def counted(*numbers: int) -> int:
    sequence = Sequence()
    for number in numbers:
        sequence.saw(number)
    return sequence.lost()


@pytest.mark.parametrize(
    ("numbers", "lost"),
    [
        ((), 0),
        ((5,), 0),
        ((1, 2, 3), 0),
        ((1, 3), 1),
        ((1, 3, 2), 0),
        ((1, 5, 2), 2),
        ((65534, 65535, 0, 1), 0),
        ((65534, 1), 2),
        ((65535, 0, 65534), 0),
    ],
)
def test_losses_are_counted_over_wraps_and_reordering(numbers: tuple[int, ...], lost: int) -> None:
    assert counted(*numbers) == lost
