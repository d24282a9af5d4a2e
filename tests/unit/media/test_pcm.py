"""G.711 and L16 decoded: the codes whose values ITU-T G.711 lists, and what must hold of all of them."""

from __future__ import annotations

import struct
from bisect import bisect

import pytest

from sbc.media.formats import Format
from sbc.media.pcm import QUIET, companded, halves, samples, width


def values(codec: str, payload: bytes) -> list[int]:
    data = samples(codec, payload)
    return list(struct.unpack(f"<{len(data) // 2}h", data))


def test_the_ends_and_the_middle_of_mu_law() -> None:
    assert values("PCMU", bytes([0x00, 0x80, 0x7F, 0xFF, 0x8F, 0x0F])) == [-32124, 32124, 0, 0, 16764, -16764]


def test_the_ends_and_the_middle_of_a_law() -> None:
    assert values("PCMA", bytes([0x2A, 0xAA, 0x55, 0xD5])) == [-32256, 32256, -8, 8]


@pytest.mark.parametrize(("codec", "mask"), [("PCMU", 0xFF), ("PCMA", 0x55)])
def test_a_larger_code_is_a_larger_sample(codec: str, mask: int) -> None:
    """Both laws are monotonous; mu-law writes all bits turned round, A-law every second one."""
    positive = values(codec, bytes([(0x80 | size) ^ (mask & 0x7F) for size in range(128)]))
    assert positive == sorted(positive) and len(set(positive)) == 128
    assert values(codec, bytes([size ^ (mask & 0x7F) for size in range(128)])) == [-each for each in positive]


def test_linear_samples_change_the_order_of_their_octets() -> None:
    assert values("L16", struct.pack("!4h", 1, -2, 32767, -32768)) == [1, -2, 32767, -32768]
    assert values("L16", b"\x01\x02\x03") == [0x0102], "half a sample is none"
    assert halves("L16", b"\x01\x02") == (b"\x02", b"\x01")


@pytest.mark.parametrize("law", ["PCMU", "PCMA"])
def test_every_16_bit_sample_becomes_the_octet_that_is_nearest(law: str) -> None:
    every = range(-32768, 32768)
    levels = sorted(set(values(law, bytes(range(256)))))
    found = values(law, companded(law, "L16", struct.pack("!65536h", *every)))
    for wanted, each in zip(every, found, strict=True):
        at = bisect(levels, wanted)
        assert abs(each - wanted) == min(abs(level - wanted) for level in levels[max(0, at - 1) : at + 1])
    assert companded(law, "L16", b"\x00\x00\x7f") == QUIET[law], "half a sample is none"


@pytest.mark.parametrize(("law", "other"), [("PCMU", "PCMA"), ("PCMA", "PCMU")])
def test_a_law_stays_as_it_is_and_the_other_one_becomes_it(law: str, other: str) -> None:
    every = bytes(range(256))
    assert companded(law, law, every) == every
    assert companded(law, other, every) == companded(law, "L16", struct.pack("!256h", *values(other, every)))
    assert abs(values(law, companded(law, other, QUIET[other]))[0]) <= 8, "what is silent stays so"


@pytest.mark.parametrize(
    ("form", "octets"),
    [
        (Format("PCMU", 8000), 1), (Format("PCMA", 8000), 1), (Format("L16", 8000), 2),
        (Format("L16", 44100, 2), 0), (Format("L16", 16000), 0), (Format("PCMU", 8000, 2), 0),
        (Format("OPUS", 48000, 2), 0), (Format("G722", 8000), 0),
    ],
)  # fmt: skip
def test_what_can_be_decoded(form: Format, octets: int) -> None:
    assert width(form) == octets
