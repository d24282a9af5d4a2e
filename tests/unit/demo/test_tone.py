"""G.711 against the tables of the recommendation, and tones that are heard again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.demo.tone import SILENCE, encode_alaw, encode_ulaw, hear, tone
from sbc.media.pcm import decode_alaw, decode_ulaw

SAMPLES = st.integers(-32768, 32767)


@pytest.mark.parametrize(
    ("sample", "alaw", "ulaw"),
    [(0, 0xD5, 0xFF), (-1, 0x55, 0x7E), (1000, 0xFA, 0xCE), (-1000, 0x7A, 0x4E), (32767, 0xAA, 0x80)],
)
def test_known_codes(sample: int, alaw: int, ulaw: int) -> None:
    assert (encode_alaw(sample), encode_ulaw(sample)) == (alaw, ulaw)


@given(st.integers(0, 255))
def test_every_code_survives_a_round_trip(code: int) -> None:
    assert decode_alaw(encode_alaw(decode_alaw(code))) == decode_alaw(code)
    assert decode_ulaw(encode_ulaw(decode_ulaw(code))) == decode_ulaw(code)


@given(SAMPLES)
def test_quantisation_error_is_small(sample: int) -> None:
    limit = max(16, abs(sample) / 16)
    assert abs(decode_alaw(encode_alaw(sample)) - sample) <= limit
    assert abs(decode_ulaw(encode_ulaw(sample)) - sample) <= max(limit, 645)


@pytest.mark.parametrize("payload_type", [0, 8])
@pytest.mark.parametrize("hertz", [440, 660, 1000])
def test_a_tone_is_heard_at_its_own_pitch(payload_type: int, hertz: int) -> None:
    heard = hear(tone(hertz, payload_type)[-12:], payload_type, range(300, 1500, 10))
    assert heard.hertz == hertz and heard.purity > 0.98


def test_a_tone_is_fifty_payloads_and_repeats_without_a_click() -> None:
    payloads = tone(440)
    assert len(payloads) == 50 and {len(each) for each in payloads} == {160}
    assert hear(payloads[-5:] + payloads[:5], 8, range(300, 1500, 10)).purity > 0.98


def test_silence_and_too_little_are_no_tone() -> None:
    assert hear([], 8, [440]) == SILENCE
    assert hear(tone(440)[:9], 8, [440]) == SILENCE
    assert hear([b"\xff" * 160] * 10, 0, [440]) == SILENCE


def test_noise_has_no_pure_tone() -> None:
    noise = bytes(encode_alaw((each * 7919 * each) % 20011 - 10000) for each in range(1600))
    assert hear([noise], 8, range(300, 1500, 10)).purity < 0.3
