"""A recording of G.711 as it was said: its law, what comes of the other one, and that silence is silent."""

from __future__ import annotations

import math
from functools import cache

import pytest

from sbc.media.formats import Format, Formats
from sbc.media.pcm import decode_alaw, decode_ulaw
from sbc.media.recording import Piece, Recording
from sbc.media.wav import LAWS, LINEAR, encoding_of
from tests.peers.wav import read_wav
from tests.unit.media.test_recording import (
    BOTH,
    COMPANDED,
    FORMATS,
    HIGH,
    LOW,
    channels,
    files,
    recording,
    rtp,
    share,
    tone,
)

LAW = pytest.mark.parametrize(("law", "number"), [("PCMU", 0), ("PCMA", 8)])
LEVEL = {"PCMU": decode_ulaw, "PCMA": decode_alaw}
#: Loud in each law.
LOUD = {"PCMU": 0x80, "PCMA": 0xAA}


@cache
def spoken(law: str, hz: float, sequence: int) -> bytes:
    """A packet's worth of a tone in G.711, as a phone that has a table would say it."""
    levels = [LEVEL[law](code) for code in range(256)]
    wanted = [9000 * math.sin(2 * math.pi * hz * (sequence * 160 + each) / 8000) for each in range(160)]
    return bytes(min(range(256), key=lambda code: abs(levels[code] - each)) for each in wanted)


def loud(samples: list[int]) -> float:
    """Root of the mean square, and 0 of none."""
    return math.sqrt(math.fsum(each * each for each in samples) / max(1, len(samples)))


@LAW
def test_what_is_said_is_kept_octet_for_octet_each_side_in_its_channel(law: str, number: int) -> None:
    made, pieces = recording(linear=False, formats=COMPANDED), []
    a, b = made.ear("a"), made.ear("b")
    said = [(spoken(law, LOW, each), spoken(law, HIGH, each)) for each in range(60)]
    for each, (left, right) in enumerate(said):
        a.hear(rtp(each, left, number), 100.0 + each * 0.02)
        b.hear(rtp(each, right, number), 100.0 + each * 0.02)
        if each % 25 == 0:
            pieces += made.take(100.0 + each * 0.02)
    pieces += made.take(101.2, last=True)
    found = files(pieces, made.frames)["wav"]
    sound = found[LAWS[law].head :]
    assert sound[0::2] == b"".join(left for left, _ in said)
    assert sound[1::2] == b"".join(right for _, right in said)
    heard = channels(found, law)
    assert share(heard[0], LOW) > 0.99 and share(heard[1], HIGH) > 0.99
    assert len(found) == 58 + 2 * 9600, "half of what 16 bit take"


@LAW
def test_silence_is_silent_before_between_and_behind_what_is_said(law: str, number: int) -> None:
    """Nobody speaks for 3 s, then the callee does, for 20 ms at 3 and at 9 s; the call ends at 20."""
    made, pieces = recording(linear=False, formats=COMPANDED), []
    made.ear("a")
    ear = made.ear("b")
    for second in range(21):
        if second in (3, 9):
            ear.hear(rtp(second, bytes([LOUD[law]]) * 160, number), 100.0 + second)
        pieces += made.take(100.25 + second, last=second == 20)
    left, right = channels(files(pieces, made.frames)["wav"], law)
    assert len(left) == 20.25 * 8000 and loud(left) <= 8
    at = [3 * 8000, 9 * 8000]
    assert [loud(right[each : each + 160]) > 30_000 for each in at] == [True] * 2
    assert loud(right[: at[0]] + right[at[0] + 160 : at[1]] + right[at[1] + 160 :]) <= 8


def test_what_is_there_at_any_moment_is_whole_and_silent_where_nobody_spoke() -> None:
    """A killed process leaves what it has written: a file without a hole, however little of it."""
    made = recording(linear=False, formats=COMPANDED)
    ear, written = made.ear("a"), bytearray()
    for each in range(400):
        if not 100 < each < 300:
            ear.hear(rtp(each, b"\x80" * 160), 100.0 + each * 0.02)
        for piece in made.take(100.0 + each * 0.02) if each % 30 == 0 else ():
            assert piece.offset in (0, len(written)), "one piece behind the other"
            written[piece.offset :] = piece.data
            encoding = encoding_of(bytes(written))
            assert encoding is not None and encoding.law == "PCMU"
            body = bytes(written[encoding.head :])
            assert set(body[1::2]) <= {0xFF} and set(body[0::2]) <= {0x80, 0xFF}
    assert len(written) > 100_000


@LAW
def test_the_other_law_becomes_the_nearest_of_the_law_of_the_file(law: str, number: int) -> None:
    """G.711 has no louder and no softer value in between: what it becomes is at most half a step away."""
    other = "PCMA" if law == "PCMU" else "PCMU"
    made = recording(linear=False, formats=COMPANDED)
    ear = made.ear("a")
    ear.hear(rtp(0, bytes([LOUD[law]]) * 256, number, length=256), 100.0)
    ear.hear(rtp(1, bytes(range(256)), 8 - number, length=256), 100.032)
    left, _ = channels(files(made.take(100.064, last=True), made.frames)["wav"], law)
    assert left[:256] == [LEVEL[law](LOUD[law])] * 256
    levels = [LEVEL[law](code) for code in range(256)]
    for found, code in zip(left[256:], range(256), strict=True):
        wanted = LEVEL[other](code)
        assert abs(found - wanted) == min(abs(each - wanted) for each in levels)


@LAW
def test_each_side_may_speak_a_law_of_its_own(law: str, number: int) -> None:
    made = recording(linear=False, formats=COMPANDED)
    a, b = made.ear("a"), made.ear("b")
    other = "PCMA" if law == "PCMU" else "PCMU"
    for each in range(50):
        a.hear(rtp(each, spoken(law, LOW, each), number), 100.0 + each * 0.02)
        b.hear(rtp(each, spoken(other, HIGH, each), 8 - number), 100.0 + each * 0.02)
    left, right = channels(files(made.take(101.0, last=True), made.frames)["wav"], law)
    assert share(left, LOW) > 0.99 and share(right, HIGH) > 0.99


@pytest.mark.parametrize(
    "speaks", [({}, {97: FORMATS[97]}), ({97: FORMATS[97]}, {})], ids=["callee", "caller"]
)
def test_a_side_that_may_speak_samples_of_16_bit_makes_a_file_of_them(
    speaks: tuple[Formats, Formats],
) -> None:
    made = Recording(100.0)
    made.describe(*[{0: FORMATS[0], **each} for each in speaks])
    made.ear("a").hear(rtp(0, b"\x80" * 160), 100.0)
    left, _ = channels(files(made.take(100.02, last=True), made.frames)["wav"])
    assert left == [32124] * 160


def test_a_codec_that_no_wav_can_hold_changes_nothing_in_what_it_can() -> None:
    """L16 of another rate, for one: it is kept as packets."""
    made = Recording(100.0)
    made.describe({0: FORMATS[0], 98: Format("L16", 16000), 11: Format("L16", 44100)}, {96: FORMATS[96]})
    made.ear("a").hear(rtp(0, b"\x80" * 160), 100.0)
    made.ear("b").hear(rtp(0, b"opus", 96), 100.0)
    found = files(made.take(100.02, last=True), made.frames)
    assert read_wav(found["wav"]).encoding == "PCMU" and set(found) == {"wav", "b.rtpdump", "b.sdp"}


@LAW
def test_samples_of_16_bit_that_come_later_are_heard_in_the_file_that_there_is(law: str, number: int) -> None:
    made, pieces = recording(linear=False, formats=COMPANDED), []
    a, b = made.ear("a"), made.ear("b")
    for each in range(100):
        at = 100.0 + each * 0.02
        if each == 50:
            made.describe({97: FORMATS[97]}, {97: FORMATS[97]})
        a.hear(rtp(each, spoken(law, LOW, each), number), at)
        b.hear(rtp(each, tone(HIGH, each) if each >= 50 else b"", 97 if each >= 50 else number), at)
        if each % 25 == 0:
            pieces += made.take(at)
    pieces += made.take(102.0, last=True)
    left, right = channels(files(pieces, made.frames)["wav"], law)
    assert (len(left), len(right)) == (16000, 16000)
    assert share(left, LOW) > 0.99 and share(right[8000:], HIGH) > 0.99 and loud(right[:8000]) <= 8


@LAW
def test_half_a_sample_and_none_at_all_are_no_sound(law: str, number: int) -> None:
    made = recording(linear=False, formats=COMPANDED)
    made.describe({97: FORMATS[97]}, {})
    ear = made.ear("a")
    ear.hear(rtp(0, b"", number), 100.0)
    ear.hear(rtp(1, b"\x40", 97), 100.02)
    assert made.take(100.5) == [] and made.frames == 0


def test_hours_of_silence_are_written_in_pieces_of_the_same_octets() -> None:
    """The disk hung, or the process was stopped, for a day: that must not fill the memory."""
    made = recording(linear=False, formats=COMPANDED)
    ear = made.ear("a")
    ear.hear(rtp(0, b"\x80" * 160), 100.0)
    pieces = made.take(101.0)
    pieces += made.take(100.0 + 24 * 3600)
    ear.hear(rtp(1, b"\x80" * 160), 100.0 + 24 * 3600)
    pieces += made.take(100.0 + 24 * 3600 + 0.02, last=True)
    _assert_contiguous(pieces, LAWS["PCMU"].size_of(made.frames))
    assert made.frames == 24 * 3600 * 8000 + 160
    assert sum(len(each) for each in {id(piece.data): piece.data for piece in pieces}.values()) < 400_000


def _assert_contiguous(pieces: list[Piece], size: int) -> None:
    end = 0
    for each in pieces:
        assert each.offset in (0, end), "without a hole"
        end = each.offset + len(each.data)
    assert end == size


@pytest.mark.parametrize("linear", [False, True])
def test_a_call_longer_than_a_wav_can_be_keeps_what_it_has(linear: bool) -> None:
    """RIFF has 32 bits for a size: that is 37 hours of 16 bit, and 74 of G.711."""
    made = recording(linear, COMPANDED)
    ear, encoding = made.ear("a"), LINEAR if linear else LAWS["PCMU"]
    ear.hear(rtp(0, b"\x80" * 160), 100.0)
    size = max(each.offset + len(each.data) for each in made.take(101.0))
    for hour in (40, 80, 81):
        ear.hear(rtp(hour, b"\x80" * 160), 100.0 + hour * 3600)
        for piece in made.take(100.0 + hour * 3600 + 1.0, last=hour == 81):
            size = max(size, piece.offset + len(piece.data))
    assert made.frames == encoding.most and size <= encoding.size_of(encoding.most) <= 0xFFFFFFFF + 8
    assert linear or size == encoding.size_of(encoding.most)
    riff = int.from_bytes(encoding.header(made.frames)[4:8], "little")
    assert riff == encoding.size_of(made.frames) - 8


def test_a_disk_that_fails_is_given_no_silence() -> None:
    made = recording(linear=False, formats=COMPANDED)
    made.ear("a").hear(rtp(0, b"\x80" * 160), 100.0)
    assert made.take(101.0)
    made.stop()
    assert made.take(200.0) == [] and made.take(300.0, last=True) == []


@BOTH
def test_a_look_at_a_call_in_which_both_speak_writes_once(linear: bool) -> None:
    """Each time that the disk is asked costs as much as many packets."""
    made = recording(linear, COMPANDED)
    ears = [made.ear("a"), made.ear("b")]
    for each in range(500):
        for late, ear in enumerate(ears):
            ear.hear(rtp(each, b"\x80" * 160), 100.0 + each * 0.02 + late * 0.007)
        if each % 53 == 52:
            pieces = made.take(100.013 + each * 0.02)
            assert [piece.offset for piece in pieces if piece.offset] and len(pieces) <= (
                1 if each > 53 else 2
            )
