"""Payload types and what they mean, by the descriptions of both sides."""

from __future__ import annotations

import pytest

from sbc.media.formats import Format, formats_of, written
from sbc.media.recording import Recording
from sbc.media.relay import packet
from sbc.media.sdp import parse_sdp
from tests.unit.media.kit import ACCEPT, ALICE, BOB, OFF, audio, first, rtp, sdp, session


def test_numbers_without_a_map_are_those_of_rfc_3551() -> None:
    media = first(sdp("m=audio 40000 RTP/AVP 0 8 9 18 96\r\n"))
    assert formats_of(media, None) == {
        0: Format("PCMU", 8000), 8: Format("PCMA", 8000), 9: Format("G722", 8000), 18: Format("G729", 8000),
    }  # fmt: skip


def test_a_map_says_codec_clock_channels_and_parameters() -> None:
    lines = (
        "a=rtpmap:96 opus/48000/2\r\na=fmtp:96 useinbandfec=1\r\na=rtpmap:97 L16/8000\r\na=rtpmap:98 x\r\n"
    )
    media = first(sdp("m=audio 40000 RTP/AVP 96 97\r\n" + lines))
    assert formats_of(media, None) == {
        96: Format("OPUS", 48000, 2, "useinbandfec=1"), 97: Format("L16", 8000)
    }  # fmt: skip


def test_who_is_sent_to_says_what_a_number_means_and_else_who_sends() -> None:
    theirs = first(sdp("m=audio 40000 RTP/AVP 96\r\na=rtpmap:96 opus/48000/2\r\n"))
    ours = first(sdp("m=audio 40000 RTP/AVP 96 97\r\na=rtpmap:96 L16/8000\r\na=rtpmap:97 G726-32/8000\r\n"))
    assert formats_of(theirs, ours) == {96: Format("OPUS", 48000, 2), 97: Format("G726-32", 8000)}


@pytest.mark.parametrize(
    "line",
    [
        "rtpmap:96 opus/48000/\u00b2", "rtpmap:96 opus/\u00b2", f"rtpmap:96 opus/48000/{'1' * 5000}",
        f"rtpmap:96 opus/{'4' * 5000}", "rtpmap:\u00b2 opus/48000", "fmtp:\u00b2 x", f"fmtp:{'9' * 5000} x",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_number_stops_no_packet(line: str) -> None:
    """A superscript is a digit to Python and no number, and neither are five thousand digits.

    What is read here is read in the middle of a look at all media sockets, and when a recording begins.
    """
    call, _ = session()
    section = f"m=audio {{}} RTP/AVP 0 96\r\na={line}\r\n"
    call.offer("a", sdp(section.format(40000)), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(section.format(50000), host=BOB), 0.0)
    kept = Recording(0.0)
    call.listen(kept)
    for number in range(40):
        source = (ALICE, 40000)
        assert packet(call.streams[0].ends["a"].leg.port_rtp, rtp(number), source, number * 0.02) is not None
    assert call.stats().a.packets_in == 40 and kept.take(1.0, last=True)


def test_what_is_written_beside_packets_is_read_again_and_names_no_address() -> None:
    found = formats_of(first(sdp(audio())), None)
    data = written(found)
    assert b"192.0.2" not in data and b"crypto" not in data
    assert formats_of(parse_sdp(data).media[0], None) == found
