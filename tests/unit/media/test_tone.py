"""The tone of a recording: mixed into G.711, heard beside what is said, never in the way of a packet."""

from __future__ import annotations

import math
import struct

import pytest

from sbc.media.formats import Format, Formats
from sbc.media.overhearing import Overhearing
from sbc.media.pcm import RATE, samples
from sbc.media.recording import Recording
from sbc.media.relay import packet, pair
from sbc.media.tone import HERTZ, LENGTH, Tone, mixed
from tests.peers.tone import goertzel

FORMATS: Formats = {
    0: Format("PCMU", 8000), 8: Format("PCMA", 8000), 9: Format("G722", 8000),
    13: Format("CN", 8000), 96: Format("TELEPHONE-EVENT", 8000), 97: Format("PCMU", 16000),
}  # fmt: skip
QUIET = {"PCMU": b"\xff", "PCMA": b"\xd5"}
PAYLOAD = 160


def toned(every: float = 15.0) -> Tone:
    made = Tone(every)
    made.describe(FORMATS, FORMATS)
    return made


def rtp(sequence: int, payload: bytes, number: int = 0, first: int = 0x80) -> bytes:
    return struct.pack("!BBHII", first, number, sequence & 0xFFFF, sequence * PAYLOAD, 77) + payload


def sound(codec: str, payload: bytes) -> list[int]:
    data = samples(codec, payload)
    return list(struct.unpack(f"<{len(data) // 2}h", data))


def share(heard: list[int], hz: float) -> float:
    """Of the energy, the part at ``hz``."""
    energy = math.fsum(each * each for each in heard)
    return 2 * goertzel(heard, hz, RATE) / (len(heard) * energy) if energy else 0.0


def said(codec: str, hz: float, level: int = 6000) -> bytes:
    """A fifth of a second of a tone of somebody's own, by way of the same tables: mixing with nothing."""
    wanted = [round(level * math.sin(2 * math.pi * hz * at / RATE)) for at in range(LENGTH)]
    known = {each[0]: code for code in range(256) for each in [sound(codec, bytes([code]))]}
    levels = sorted(known)
    return bytes(known[min(levels, key=lambda level: abs(level - each))] for each in wanted)


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_a_whole_tone_is_a_tone_and_nothing_else(codec: str) -> None:
    heard = sound(codec, mixed(codec, QUIET[codec] * LENGTH, 0))
    assert share(heard, HERTZ) > 0.95 and 7000 < max(heard) < 9000 and abs(heard[0]) < 300 > abs(heard[-1])


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_what_is_said_beside_it_is_heard_as_loud_as_before(codec: str) -> None:
    before = said(codec, 600.0)
    heard = sound(codec, mixed(codec, before, 0))
    was = goertzel(sound(codec, before), 600.0, RATE)
    assert goertzel(heard, 600.0, RATE) == pytest.approx(was, rel=0.05) and share(heard, HERTZ) > 0.4


@pytest.mark.parametrize("codec", ["PCMU", "PCMA"])
def test_beyond_the_tone_the_octets_are_the_same_and_the_loudest_stay_loud(codec: str) -> None:
    every = bytes(range(256)) * 7
    made = mixed(codec, every, 0)
    assert len(made) == len(every) and made[LENGTH:] == every[LENGTH:]
    at_its_end = mixed(codec, bytes(range(256)), LENGTH - 1)
    assert sound(codec, at_its_end[1:]) == sound(codec, bytes(range(1, 256)))
    for was, now in zip(sound(codec, every), sound(codec, made), strict=True):
        assert abs(now - was) < 9500  # no octet becomes one of the other sign: nothing wraps


def test_each_side_hears_it_in_what_the_other_sends_and_again_after_a_while() -> None:
    tone = toned(10.0)
    beside = {side: tone.beside(side) for side in "ab"}
    quiet = QUIET["PCMU"] * PAYLOAD
    altered: dict[str, list[int]] = {"a": [], "b": []}
    for at in range(1000):  # 20 seconds
        for side, each in beside.items():
            data = rtp(at, quiet)
            made = each.mix(data, 5.0 + at / 50)
            assert made[:12] == data[:12] and len(made) == len(data)
            if made != data:
                altered[side].append(at)
    assert altered["a"] == altered["b"] == [*range(10), *range(509, 519)]
    assert tone.heard == {"a": 2, "b": 2} and not tone.without


def test_who_is_silent_when_it_is_due_carries_it_afterwards() -> None:
    tone = toned(1.0)
    each, quiet = tone.beside("a"), QUIET["PCMU"] * PAYLOAD
    for at in range(5):
        assert each.mix(rtp(at, quiet), at / 50) != rtp(at, quiet)
    assert tone.heard["b"] == 0
    for at in range(5, 10):
        assert each.mix(rtp(at, quiet), 3600.0 + at / 50) != rtp(at, quiet)
    assert tone.heard == {"a": 0, "b": 1}


def test_comfort_noise_and_digits_are_left_alone_and_are_no_mistake() -> None:
    tone = toned()
    each = tone.beside("a")
    for number in (13, 96):
        assert each.mix(rtp(1, b"\x05\x8a\x03\x20", number), 1.0) == rtp(1, b"\x05\x8a\x03\x20", number)
    assert not tone.without


@pytest.mark.parametrize(("number", "codec"), [(9, "G722"), (97, "PCMU/16000")])
def test_another_codec_goes_on_as_it_is_and_is_named(number: int, codec: str) -> None:
    tone = toned()
    data = rtp(1, b"\x55" * PAYLOAD, number)
    assert tone.beside("b").mix(data, 1.0) == data and tone.without == codec
    assert tone.heard == {"a": 0, "b": 0}


def test_only_the_payload_is_changed_whatever_stands_around_it() -> None:
    quiet = QUIET["PCMU"] * PAYLOAD
    around = struct.pack("!I", 99) + struct.pack("!HHI", 0xBEDE, 1, 7)  # a contributing source, an extension
    data = rtp(1, around + quiet + b"\0\0\0\4", first=0x80 | 0x20 | 0x10 | 1)
    made = toned().beside("a").mix(data, 1.0)
    assert made != data and made[:24] == data[:24] and made[-4:] == data[-4:] and len(made) == len(data)


@pytest.mark.parametrize("first", [0x8F, 0x90, 0xA0, 0xBF])
@pytest.mark.parametrize("rest", [b"", b"\xff", b"\xff" * 4, b"\xff" * 40])
def test_a_packet_that_says_it_has_more_than_it_has_goes_on_as_it_is(first: int, rest: bytes) -> None:
    data = rtp(1, rest, first=first)
    assert len(toned().beside("a").mix(data, 1.0)) == len(data)


def test_once_nothing_is_recorded_any_more_none_is_heard() -> None:
    recording = Recording(0.0, toned())
    assert recording.tone is not None
    each, quiet = recording.tone.beside("a"), rtp(1, QUIET["PCMU"] * PAYLOAD)
    assert each.mix(quiet, 1.0) != quiet
    recording.stop()  # the disk is full
    assert each.mix(quiet, 1.02) == quiet


def test_a_leg_without_a_tone_is_relayed_octet_for_octet() -> None:
    a, b = pair()
    heard = Overhearing(0.0)
    for leg in (a, b):
        leg.agreed = True
        leg.port_rtp.aim(("192.0.2.1", 4000), False)
    a.tap = heard.ear("a")
    data = rtp(1, QUIET["PCMU"] * PAYLOAD)
    assert packet(a.port_rtp, data, ("192.0.2.1", 4000), 1.0) == (b.port_rtp, data, ("192.0.2.1", 4000))
    a.tone = toned().beside("a").mix
    passed = packet(a.port_rtp, data, ("192.0.2.1", 4000), 1.0)
    assert passed is not None and passed[1] != data
    # Who listens to the recording hears it, too.
    assert [each for _, each, _ in heard.waiting] == [data, passed[1]]
