"""Who is to hear a call hears what is said in it, whatever the call was before."""

from __future__ import annotations

import pytest

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
