"""A side of a call that is not heard: since when, and when nobody expects to hear it."""

from __future__ import annotations

import pytest

from sbc.media.relay import packet
from sbc.media.session import MediaSession
from sbc.media.silence import LEAST, Silence, heard_of
from tests.unit.media.kit import ACCEPT, ALICE, BOB, OFF, audio, rtcp, rtp, sdp, session

A, B = (ALICE, 40000), (BOB, 50000)


class Heard:
    """A call whose media is looked at once a second."""

    def __init__(self, call: MediaSession) -> None:
        self.call = call
        self.silence = Silence()
        self.at = 100.0
        self.sequence = 0

    def second(self, *speakers: str, data: bytes = b"") -> tuple[float, float] | None:
        """A second in which the ``speakers`` send; how long each side is silent at its end."""
        self.sequence += 1
        for side in speakers:
            port = self.call.streams[0].ends[side].leg.port_rtp
            packet(port, data or rtp(self.sequence), A if side == "a" else B)
        self.at += 1.0
        found = self.silence.look({"one": self.call}, self.at)
        return (found[0].a, found[0].b) if found else None


def heard(*attributes: str) -> Heard:
    call, _ = session()
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000, "RTP/AVP", *attributes), host=BOB), 0.0)
    return Heard(call)


def test_while_both_speak_there_is_nothing_to_tell() -> None:
    call = heard()
    assert [call.second("a", "b") for _ in range(5)] == [None] * 5


def test_a_side_is_silent_from_its_last_packet_on() -> None:
    call = heard()
    call.second("a", "b")
    assert [call.second("a") for _ in range(4)] == [None, (0.0, 2.0), (0.0, 3.0), (0.0, 4.0)]
    assert call.second("a", "b") is None
    assert [call.second("b") for _ in range(3)] == [None, (2.0, 0.0), (3.0, 0.0)]
    assert LEAST == 2.0


def test_one_that_never_spoke_is_silent_since_the_answer() -> None:
    call = heard()
    assert [call.second("b") for _ in range(4)] == [None, None, (2.0, 0.0), (3.0, 0.0)]


def test_rtcp_and_what_was_refused_are_no_voice() -> None:
    call = heard()
    call.second("a", "b")
    assert [call.second("b", data=rtcp()) for _ in range(3)] == [None, (2.0, 2.0), (3.0, 3.0)]


@pytest.mark.parametrize("direction", ["sendonly", "inactive", "recvonly"])
def test_a_held_call_has_no_silent_side_and_its_time_begins_when_it_goes_on(direction: str) -> None:
    call = heard()
    call.second("a", "b")
    for each, sides in ((f"a={direction}", "a"), ("a=sendrecv", "")):
        offer = sdp(audio(50000).replace("a=ptime:20", f"a=ptime:20\r\n{each}"), host=BOB)
        call.call.offer("b", offer, OFF, ACCEPT, 1.0)
        call.call.answer("a", sdp(audio()), 1.0)
        if sides:
            assert [call.second(*sides) for _ in range(20)] == [None] * 20
    assert [call.second("a") for _ in range(4)] == [None, None, (0.0, 2.0), (0.0, 3.0)]


def test_only_audio_is_expected_to_be_heard() -> None:
    call, _ = session()
    video = "m=video {} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    call.offer("a", sdp(audio(), video.format(40010)), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(0), video.format(50010), host=BOB), 0.0)
    assert heard_of(call) is None


@pytest.mark.parametrize("direction", ["sendonly", "recvonly", "inactive"])
def test_a_picture_that_goes_one_way_is_no_hold_of_the_speech_beside_it(direction: str) -> None:
    """RFC 3264 5.1: a direction is that of its stream alone; many telephones offer video so."""
    call, _ = session()
    video = "m=video {} RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na={}\r\n"
    other = {"sendonly": "recvonly", "recvonly": "sendonly"}.get(direction, direction)
    call.offer("a", sdp(audio(), video.format(40010, direction)), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000), video.format(50010, other), host=BOB), 0.0)
    assert not call.held and call.silent_for(400.0) == 400.0
    heard = Heard(call)
    heard.second("a", "b")
    assert [heard.second("a") for _ in range(3)] == [None, (0.0, 2.0), (0.0, 3.0)]
    call.offer(
        "a", sdp(audio(40000, "RTP/AVP", "sendonly"), video.format(40010, "sendrecv")), ACCEPT, OFF, 1.0
    )
    call.answer("b", sdp(audio(50000, "RTP/AVP", "recvonly"), video.format(50010, "sendrecv"), host=BOB), 1.0)
    assert call.held and call.silent_for(999.0) == 0.0 and heard_of(call) is None


def test_a_hold_by_a_null_address_is_one_whatever_the_other_side_answers() -> None:
    """RFC 3264 8.4: what RFC 2543 called hold; an old telephone answers it without a direction."""
    call = heard().call
    call.offer("a", sdp(audio(), host="0.0.0.0"), ACCEPT, OFF, 2.0)
    call.answer("b", sdp(audio(50000), host=BOB), 2.0)
    assert call.held and call.silent_for(999.0) == 0.0 and heard_of(call) is None
    call.offer("a", sdp(audio()), ACCEPT, OFF, 3.0)
    call.answer("b", sdp(audio(50000), host=BOB), 3.0)
    assert not call.held


@pytest.mark.parametrize("made", ["a hold", "a fax"])
def test_a_re_invite_that_is_refused_after_its_preview_was_no_hold_and_no_fax(made: str) -> None:
    """RFC 6141 3.4: refused, it leaves the session as it was, though a 183 had answered it."""
    call = heard().call
    offer, answer = (
        sdp(audio(40000, "RTP/AVP", "sendonly")),
        sdp(audio(50000, "RTP/AVP", "recvonly"), host=BOB),
    )
    if made == "a fax":
        fax = "m=image {} udptl t38\r\na=T38FaxVersion:0\r\n"
        offer, answer = sdp(fax.format(40000)), sdp(fax.format(50000), host=BOB)
    call.offer("a", offer, ACCEPT, OFF, 1.0)
    call.answer("b", answer, 1.0)
    assert heard_of(call) is None
    call.rollback()
    assert not call.held and heard_of(call) is not None and call.silent_for(400.0) > 300
    assert (call.streams[0].kind, call.stats().a.codec) == ("audio", "PCMU")


def test_a_call_without_an_answer_and_one_that_is_over_have_no_silent_side() -> None:
    call, _ = session()
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    silence = Silence()
    assert [silence.look({"one": call}, at) for at in (1.0, 5.0)] == [[], []]
    call.answer("b", sdp(audio(50000), host=BOB), 5.0)
    assert silence.look({"one": call}, 6.0) == []
    assert [each.call for each in silence.look({"one": call}, 60.0)] == ["one"]
    assert silence.look({}, 61.0) == []
    assert silence.look({"one": call}, 62.0) == []
