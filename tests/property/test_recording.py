"""Whatever packets a peer sends, a recording takes them, and is no longer than the time that it took."""

from __future__ import annotations

import struct

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from sbc.media import rtpdump
from sbc.media.formats import Format
from sbc.media.overhearing import Overhearing
from sbc.media.recording import Recording
from sbc.media.timeline import EARLIEST
from sbc.media.wav import LINEAR, encoding_of

pytestmark = pytest.mark.slow

FORMATS = {0: Format("PCMU", 8000), 8: Format("PCMA", 8000), 9: Format("G722", 8000), 97: Format("L16", 8000)}

heads = st.builds(
    struct.pack,
    st.just("!BBHII"),
    st.sampled_from([0x80, 0x80, 0x80, 0x81, 0x8F, 0x90, 0xA0, 0xBF]),
    st.sampled_from([0, 0, 0, 8, 9, 97, 13, 0x80, 127]),
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
    st.sampled_from([7, 7, 8]),
)
packets = st.builds(bytes.__add__, heads, st.binary(max_size=400))
going_on = st.builds(
    lambda first, count, kind: [
        struct.pack("!BBHII", 0x80, kind, first + each & 0xFFFF, (first + each) * 160 & 0xFFFFFFFF, 7)
        + b"\x80" * 160
        for each in range(count)
    ],
    st.integers(0, 2**27),
    st.integers(1, 20),
    st.sampled_from([0, 8, 97]),
)
heard = st.lists(
    st.tuples(
        st.sampled_from("ab"), st.one_of(going_on, packets.map(lambda each: [each])), st.floats(0, 1.5)
    ),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(heard, st.integers(1, 5), st.sampled_from(["linear", "described", "companded", "later"]))
def test_a_recording_takes_what_comes(
    sent: list[tuple[str, list[bytes], float]], often: int, samples: str
) -> None:
    made, now, dump = Recording(0.0, linear=samples == "linear"), 0.0, {"a": b"", "b": b""}
    formats = {number: each for number, each in FORMATS.items() if samples == "described" or number != 97}
    made.describe(formats, formats)
    ears = {side: made.ear(side) for side in "ab"}
    pieces = []
    for number, (side, data, later) in enumerate(sent):
        now += later
        for each in data:
            ears[side].hear(each, now)
        if number % often == 0:
            pieces += made.take(now)
        if samples == "later" and number == 5:
            made.describe({97: FORMATS[97]}, {97: FORMATS[97]})
    pieces += made.take(now, last=True)
    encoding, written = LINEAR, 0
    for piece in pieces:
        if piece.part == "wav":
            if not written:
                encoding = encoding_of(piece.data) or LINEAR
                assert piece.data == encoding.header(0) and (
                    not encoding.law or samples in ("companded", "later")
                )
            else:
                assert piece.offset >= written and len(piece.data) % encoding.frame == 0, "never back or torn"
                assert piece.offset == written or not encoding.law, "without a hole"
            written = piece.offset + len(piece.data)
        elif piece.part.endswith("rtpdump"):
            dump[piece.part[0]] += piece.data
    assert written <= encoding.size_of(made.frames)
    assert written == encoding.size_of(made.frames) or not encoding.law, "silent to its end"
    assert made.frames <= now * 8000 + EARLIEST + 400
    assert all(rtpdump.whole(each) == len(each) for each in dump.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(packets, max_size=30))
def test_a_hook_is_given_what_comes(sent: list[bytes]) -> None:
    found = Overhearing(0.0)
    found.describe(FORMATS, FORMATS)
    ear = found.ear("a")
    for each in sent:
        ear.hear(each, 1.0)
    frames = found.take()
    assert [each.sequence for each in frames] == [int.from_bytes(each[2:4], "big") for each in sent]
    assert all(len(each.samples) <= 2 * len(each.payload) for each in frames)
