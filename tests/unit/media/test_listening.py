"""Who is to hear a call hears what is said in it, whatever the call was before."""

from __future__ import annotations

import gc

import pytest

from sbc.media.ear import Ear
from sbc.media.recording import Recording
from sbc.media.relay import packet
from sbc.media.tone import Tone
from tests.unit.media.kit import ACCEPT, ALICE, BOB, OFF, audio, rtp, sdp, session


@pytest.mark.parametrize(
    "before", ["m=video {} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n", "m=image {} udptl t38\r\n"]
)
def test_speech_is_recorded_also_where_the_call_began_as_something_else(before: str) -> None:
    """RFC 3264 8.3.3: a re-INVITE may make another medium of a stream; what is recorded is the speech."""
    call, _ = session()
    call.offer("a", sdp(before.format(40000)), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(before.format(50000), host=BOB), 0.0)
    kept = Recording(0.0, Tone(15.0))
    call.listen(kept)
    for at in (1.0, 2.0):  # a refresh changes nothing
        call.offer("a", sdp(audio()), ACCEPT, OFF, at)
        call.answer("b", sdp(audio(50000), host=BOB), at)
    legs = call.streams[0].ends
    for number in range(60):
        for side, source in (("a", (ALICE, 40000)), ("b", (BOB, 50000))):
            assert packet(legs[side].leg.port_rtp, rtp(number), source, 2.0 + number * 0.02) is not None
    assert kept.take(4.0, last=True) and kept.frames == 4 * 8000
    assert kept.dropped == 0 and kept.tone is not None and kept.tone.heard == {"a": 1, "b": 1}


def ears() -> int:
    """How many ears there are."""
    gc.collect()
    return sum(isinstance(each, Ear) for each in gc.get_objects())


@pytest.mark.slow
def test_offers_that_are_refused_leave_nothing_with_who_hears_the_call() -> None:
    """A call lasts for hours, and each re-INVITE may offer sixteen streams that never come to be."""
    call, _ = session()
    kept, before = Recording(0.0), ears()
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    call.listen(kept)
    more = sdp(*[audio(40000 + 10 * number) for number in range(4)])
    for number in range(200):
        call.offer("a", more, ACCEPT, OFF, 1.0)
        if number % 2:  # a preview of an answer, and then a refusal
            answers = [audio(50000), *[audio(50000 + 10 * each) for each in range(1, 4)]]
            call.answer("b", sdp(*answers, host=BOB), 1.0)
        call.rollback()
    assert ears() - before <= 64
    legs = call.streams[0].ends
    for number in range(60):
        for side, source in (("a", (ALICE, 40000)), ("b", (BOB, 50000))):
            assert packet(legs[side].leg.port_rtp, rtp(number), source, 1.0 + number * 0.02) is not None
    assert kept.take(3.0, last=True) and kept.frames == 3 * 8000 and not kept.dropped


def test_a_stream_that_is_added_is_heard_once_it_is_answered() -> None:
    call, _ = session()
    call.offer("a", sdp(audio(0)), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(0), host=BOB), 0.0)
    kept = Recording(0.0)
    call.listen(kept)
    call.offer("a", sdp(audio(0), audio(40010)), ACCEPT, OFF, 1.0)
    call.answer("b", sdp(audio(0), audio(50010), host=BOB), 1.0)
    leg = call.streams[1].ends["a"].leg
    assert packet(leg.port_rtp, rtp(1), (ALICE, 40010), 1.0) is not None
    assert kept.take(2.0, last=True) and kept.frames == 2 * 8000
