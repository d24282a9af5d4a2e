"""Tones in G.711, and hearing them again: what proves that audio crossed the SBC unharmed.

A whole number of hertz repeats after one second, so a tone is 50 ready payloads of 20 ms. It is
heard with Goertzel's filter: the share of the signal's energy that lies at one frequency.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import cos, pi, sin
from typing import NamedTuple

from sbc.media.pcm import decode_alaw, decode_ulaw

RATE = 8000
FRAME = 160  # samples in 20 ms
WINDOW = 1600  # samples that are listened to: bins are 5 Hz apart
AMPLITUDE = 12000.0
CODECS = {0: "PCMU", 8: "PCMA"}


class Heard(NamedTuple):
    """The strongest tone: its frequency in Hz, 0 for silence, and its share of all energy, 0 to 1."""

    hertz: int
    purity: float


SILENCE = Heard(0, 0.0)


def encode_alaw(sample: int) -> int:
    """One 16-bit linear sample as A-law (ITU-T G.711)."""
    sample >>= 3  # A-law knows 13 bits
    sign, magnitude = (0x80, sample) if sample >= 0 else (0, -sample - 1)
    segment = max(0, magnitude.bit_length() - 5)
    mantissa = magnitude >> max(1, segment) & 0x0F
    return (sign | segment << 4 | mantissa) ^ 0x55


def encode_ulaw(sample: int) -> int:
    """One 16-bit linear sample as mu-law (ITU-T G.711)."""
    sample >>= 2  # mu-law knows 14 bits
    sign, magnitude = (0x80, -sample) if sample < 0 else (0, sample)
    magnitude = min(magnitude, 8158) + 33
    segment = magnitude.bit_length() - 6
    return ~(sign | segment << 4 | magnitude >> (segment + 1) & 0x0F) & 0xFF


_ENCODE: dict[int, Callable[[int], int]] = {0: encode_ulaw, 8: encode_alaw}
_DECODED = {
    0: [decode_ulaw(code) for code in range(256)],
    8: [decode_alaw(code) for code in range(256)],
}


def tone(hertz: int, payload_type: int = 8) -> list[bytes]:
    """One second of a tone: 50 payloads of 160 bytes, PCMU (0) or PCMA (8)."""
    encode = _ENCODE[payload_type]
    second = bytes(encode(round(AMPLITUDE * sin(2 * pi * hertz * at / RATE))) for at in range(RATE))
    return [second[at : at + FRAME] for at in range(0, RATE, FRAME)]


def hear(payloads: Iterable[bytes], payload_type: int, candidates: Iterable[int]) -> Heard:
    """The strongest of ``candidates`` (Hz) in the last 200 ms of what was received."""
    decoded = _DECODED[payload_type]
    samples = [decoded[code] for code in b"".join(payloads)[-WINDOW:]]
    energy = sum(sample * sample for sample in samples)
    if not energy or len(samples) < WINDOW:
        return SILENCE
    purity, hertz = max((goertzel(samples, each) / energy, each) for each in candidates)
    return Heard(hertz, round(purity, 3))


def goertzel(samples: list[int], hertz: int) -> float:
    """The energy of ``samples`` (8 kHz) at one frequency, as Parseval's share of their sum of squares."""
    coefficient = 2 * cos(2 * pi * hertz / RATE)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = before * before + last * last - coefficient * before * last
    return 2 * power / len(samples)
