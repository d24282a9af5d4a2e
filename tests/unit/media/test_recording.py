"""A recording as files: what packets become, in samples of 16 bit and in those of G.711."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable

import pytest

from sbc.media import rtpdump
from sbc.media.ear import MOST_WAITING, Intake
from sbc.media.formats import Format, Formats
from sbc.media.pcm import decode_ulaw
from sbc.media.recording import Piece, Recording
from sbc.media.wav import LINEAR, encoding_of
from tests.peers.tone import goertzel
from tests.peers.wav import read_wav

FORMATS = {
    0: Format("PCMU", 8000),
    8: Format("PCMA", 8000),
    96: Format("OPUS", 48000, 2),
    97: Format("L16", 8000),
    101: Format("TELEPHONE-EVENT", 8000),
}
#: The same, of peers that speak no L16.
COMPANDED = {number: form for number, form in FORMATS.items() if form.codec != "L16"}
LOW, HIGH = 440, 1000
BOTH = pytest.mark.parametrize("linear", [False, True], ids=["companded", "linear"])


def rtp(sequence: int, payload: bytes, kind: int = 0, ssrc: int = 7, length: int = 160) -> bytes:
    return struct.pack("!BBHII", 0x80, kind, sequence & 0xFFFF, sequence * length, ssrc) + payload


def tone(hz: float, sequence: int) -> bytes:
    """A packet's worth of L16."""
    step = 2 * math.pi * hz / 8000
    return struct.pack(
        "!160h", *[int(9000 * math.sin(step * (sequence * 160 + each))) for each in range(160)]
    )


def recording(linear: bool = True, formats: Formats = FORMATS) -> Recording:
    made = Recording(100.0, linear=linear)
    made.describe(formats, formats)
    return made


def files(pieces: Iterable[Piece], frames: int = 0) -> dict[str, bytes]:
    """What is in each file after the pieces have been written."""
    found: dict[str, bytearray] = {}
    for each in pieces:
        data = found.setdefault(each.part, bytearray())
        at = len(data) if each.offset < 0 else each.offset
        data.extend(bytes(max(0, at + len(each.data) - len(data))))
        data[at : at + len(each.data)] = each.data
    if "wav" in found:
        sound = found["wav"]
        encoding = encoding_of(bytes(sound))
        assert encoding is not None
        if encoding.law:
            assert len(sound) == encoding.size_of(frames), "zeros are no silence"
        sound[: encoding.head] = encoding.header(frames)
        sound.extend(bytes(max(0, encoding.size_of(frames) - len(sound))))
    return {name: bytes(data) for name, data in found.items()}


def channels(data: bytes, encoding: str = "linear") -> tuple[list[int], list[int]]:
    found = read_wav(data)
    assert (found.encoding, found.rate, len(found.channels)) == (encoding, 8000, 2)
    return found.channels[0], found.channels[1]


def kind(linear: bool) -> str:
    return "linear" if linear else "PCMU"


def share(samples: list[int], hz: float) -> float:
    energy = math.fsum(each * each for each in samples)
    return 2 * goertzel(samples, hz, 8000) / (len(samples) * energy) if energy else 0.0


def test_each_side_has_its_channel_and_who_comes_late_is_padded() -> None:
    made, pieces = recording(), []
    a, b = made.ear("a"), made.ear("b")
    for each in range(100):
        at = 100.0 + each * 0.02
        a.hear(rtp(each, tone(LOW, each), 97), at)
        if each >= 50:
            b.hear(rtp(each, tone(HIGH, each), 97), at)
        if each % 25 == 0:
            pieces += made.take(at)
    pieces += made.take(102.0, last=True)
    left, right = channels(files(pieces, made.frames)["wav"])
    assert (len(left), len(right)) == (16000, 16000)
    assert share(left, LOW) > 0.99 and share(right[8000:], HIGH) > 0.99
    assert not any(right[:8000])


def test_both_laws_change_within_a_call_and_events_are_silence() -> None:
    made = recording()
    ear = made.ear("a")
    ear.hear(rtp(0, b"\x80" * 160), 100.0)
    ear.hear(rtp(1, b"\xaa" * 160, 8), 100.02)
    ear.hear(rtp(2, b"\x01\x80\x00\xa0", 101), 100.04)
    ear.hear(rtp(3, b"\x80" * 160), 100.06)
    left, right = channels(files(made.take(100.08, last=True), made.frames)["wav"])
    assert left == [32124] * 160 + [32256] * 160 + [0] * 160 + [32124] * 160 and not any(right)


def test_what_is_on_its_way_when_the_codec_changes_is_decoded_still() -> None:
    made = Recording(100.0, linear=True)
    made.describe({0: FORMATS[0]}, {})
    ear = made.ear("a")
    ear.hear(rtp(0, b"\x80" * 160), 100.0)
    made.describe({8: FORMATS[8]}, {})
    ear.hear(rtp(1, b"\xaa" * 160, 8), 100.02)
    left, _ = channels(files(made.take(100.04, last=True), made.frames)["wav"])
    assert left == [32124] * 160 + [32256] * 160


def test_a_long_stretch_is_as_long_however_often_it_is_looked_at() -> None:
    """The quick way of what goes on and the careful one lay every packet at the same place."""
    sent = [
        (rtp(each, tone(LOW, each), 97), 100 + each * 0.02) for each in range(60) if each not in (20, 21, 40)
    ]
    found = []
    for often in (1, 7, 60):
        made, pieces = recording(), []
        ear = made.ear("a")
        for number, (data, at) in enumerate(sent):
            ear.hear(data, at)
            if number % often == 0:
                pieces += made.take(at)
        pieces += made.take(101.2, last=True)
        found.append(channels(files(pieces, made.frames)["wav"]))
    assert found[0] == found[1] == found[2] and len(found[0][0]) == 9600
    assert not any(found[0][0][3200:3520]) and any(found[0][0][3520:3680])


def test_a_flood_that_goes_on_and_on_is_not_longer_than_the_time_that_it_takes() -> None:
    made = recording()
    ear = made.ear("a")
    for each in range(MOST_WAITING):
        ear.hear(rtp(each, b"\x80" * 160), 100.0 + each * 0.0001)
    made.take(100.1, last=True)
    assert made.frames <= 2.2 * 8000 and made.dropped > 800


def test_what_cannot_be_decoded_is_kept_as_packets_with_their_description() -> None:
    made = recording()
    a, b = made.ear("a"), made.ear("b")
    sent = [rtp(each, b"opus %d" % each, 96) for each in range(3)]
    for each, data in enumerate(sent):
        a.hear(data, 100.5 + each * 0.02)
    b.hear(rtp(0, b"\x80" * 160), 100.5)
    event = rtp(3, b"\x01\x80\x00\xa0", 101)
    a.hear(event, 100.56)
    found = files(made.take(101.0, last=True), made.frames)
    assert set(found) == {"wav", "a.rtpdump", "a.sdp"}
    assert b"a=rtpmap:96 OPUS/48000/2\r\n" in found["a.sdp"]
    assert b"a=rtpmap:101 TELEPHONE-EVENT/8000\r\n" in found["a.sdp"]
    dump, at, packets = found["a.rtpdump"], 0, []
    assert rtpdump.whole(dump) == len(dump) and rtpdump.whole(dump[:-1]) < len(dump)
    while at < len(dump):
        length, size, offset = struct.unpack_from("!HHI", dump, at)
        packets.append((offset, dump[at + 8 : at + length]))
        assert size == length - 8
        at += length
    assert [data for _, data in packets] == [*sent, event]
    assert packets[0][0] == 500 and 535 <= packets[2][0] <= 540


def test_a_pair_of_silent_hours_takes_no_room_and_the_length_tells_of_them() -> None:
    made = recording()
    ear = made.ear("a")
    ear.hear(rtp(0, b"\x80" * 160), 100.0)
    pieces = made.take(101.0)
    for hour in range(1, 8):
        pieces += made.take(100.0 + hour * 3600)
    ear.hear(rtp(1, b"\x80" * 160), 100.0 + 8 * 3600)
    pieces += made.take(100.0 + 8 * 3600 + 0.02, last=True)
    assert sum(len(each.data) for each in pieces) < 40_000
    assert made.frames == 8 * 3600 * 8000 + 160
    assert pieces[-1].offset + len(pieces[-1].data) == LINEAR.size_of(made.frames)


def test_what_nobody_takes_is_dropped_and_counted() -> None:
    made = recording()
    ear = made.ear("a")
    for each in range(MOST_WAITING + 5):
        ear.hear(rtp(each, b"\x80" * 160), 100.0 + each * 0.02)
    assert made.dropped == 5


def test_a_call_in_which_nobody_is_heard_makes_no_file() -> None:
    made = recording()
    made.ear("a")
    assert made.take(200.0) == [] and made.take(300.0, last=True) == [] and made.frames == 0


@BOTH
def test_a_second_stream_of_a_side_does_not_talk_into_the_first(linear: bool) -> None:
    made = recording(linear, COMPANDED)
    first, second = made.ear("a"), made.ear("a")
    first.hear(rtp(0, b"\x80" * 160), 100.0)
    second.hear(rtp(0, b"\x00" * 160, ssrc=9), 100.0)
    pieces = made.take(100.02)
    second.hear(rtp(100, b"\x00" * 160, ssrc=9), 102.0)
    pieces += made.take(102.02, last=True)
    left, _ = channels(files(pieces, made.frames)["wav"], kind(linear))
    assert left[:160] == [32124] * 160 and left[16000:16160] == [-32124] * 160 and not any(left[160:16000])
    assert made.dropped == 1


@BOTH
def test_calls_that_are_recorded_at_once_have_each_their_own_sound(linear: bool) -> None:
    shared = Intake()
    calls = [Recording(100.0, intake=shared, linear=linear) for _ in range(3)]
    ears, pieces = [], [list[Piece]() for _ in calls]
    for each in calls:
        each.describe(COMPANDED, COMPANDED)
        ears.append([each.ear("a"), each.ear("b")])
    codes = {(number, side): 0x80 + 16 * number + side for number in range(3) for side in (0, 1)}
    for turn in range(50):
        at = 100.0 + turn * 0.02
        for (number, side), code in codes.items():
            if (number, turn) != (1, 20):  # lost, so that its sound goes on anew
                ears[number][side].hear(rtp(turn, bytes([code]) * 160), at)
        pieces[turn % 3] += calls[turn % 3].take(at)
    for number, made in enumerate(calls):
        pieces[number] += made.take(101.0, last=True)
        sides = channels(files(pieces[number], made.frames)["wav"], kind(linear))
        for side, samples in enumerate(sides):
            sound = decode_ulaw(codes[number, side])
            lost = {0} if number == 1 else set()
            assert len(samples) == 8000 and set(samples) == {sound} | lost
            assert samples.count(0) == 160 * len(lost)


@BOTH
def test_numbers_that_begin_anew_interrupt_nothing(linear: bool) -> None:
    """RFC 3550 5.1: a sequence number has 16 bits, a timestamp 32, and both begin anywhere."""
    made = recording(linear, COMPANDED)
    ear = made.ear("a")
    for each in range(20):
        sequence, timestamp = (65530 + each) & 0xFFFF, (2**32 - 1600 + each * 160) & 0xFFFFFFFF
        head = struct.pack("!BBHII", 0x80, 0, sequence, timestamp, 0xFFFFFFFE)
        ear.hear(head + bytes([0x80 + each]) * 160, 100.0 + each * 0.02)
    left, _ = channels(files(made.take(100.4, last=True), made.frames)["wav"], kind(linear))
    assert left == [decode_ulaw(0x80 + each) for each in range(20) for _ in range(160)]


@BOTH
def test_a_codec_is_decoded_though_its_first_packets_overtake_the_answer_that_names_it(linear: bool) -> None:
    made = Recording(100.0, linear=linear)
    ear = made.ear("a")
    for each in range(5):
        ear.hear(rtp(each, b"\x80" * 160), 100.5 + each * 0.02)
    made.describe({0: FORMATS[0]}, {})
    for each in range(5, 10):
        ear.hear(rtp(each, b"\x80" * 160), 100.5 + each * 0.02)
    found = files(made.take(100.7, last=True), made.frames)
    assert set(found) == {"wav"} and not made.dropped
    assert channels(found["wav"], kind(linear))[0].count(32124) == 1600


def test_once_it_is_over_nothing_is_kept() -> None:
    made = recording()
    ear = made.ear("a")
    for each in range(3):
        ear.hear(rtp(each, b"\x80" * 160), 100.0 + each * 0.02)
    made.stop()
    for each in range(3, 6):
        ear.hear(rtp(each, b"\x80" * 160), 100.0 + each * 0.02)
    assert made.take(100.2, last=True) == [] and made.dropped == 3


@BOTH
def test_headers_with_sources_extension_and_padding_are_not_sound(linear: bool) -> None:
    made = recording(linear, COMPANDED)
    ear = made.ear("a")
    head = struct.pack("!BBHII", 0x80 | 0x20 | 0x10 | 1, 0, 0, 0, 7)
    ear.hear(
        head + bytes(4) + struct.pack("!HH", 0xBEDE, 1) + bytes(4) + b"\x80" * 8 + b"\x00\x00\x03", 100.0
    )
    ear.hear(struct.pack("!BBHII", 0x80 | 0x10, 0, 1, 8, 7) + b"\x00", 100.001)
    left, _ = channels(files(made.take(100.001, last=True), made.frames)["wav"], kind(linear))
    assert left == [32124] * 8
