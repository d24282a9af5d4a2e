"""Lines that say nothing and lines that are not there: streams that somebody rejects (RFC 3264 6, 8).

Many devices leave out the ``m=`` line of a picture that they reject, in their answers and then in their own
offers; others fill it with what is no address and no payload type. Their calls have their audio all the same.
"""

from __future__ import annotations

import pytest

from sbc.base import PeerError
from sbc.media.errors import MediaRefused
from sbc.media.relay import packet
from sbc.media.sdp import parse_sdp
from sbc.media.session import MediaSession
from tests.unit.media.kit import ACCEPT, ALICE, BOB, OFF, REQUIRED, audio, crypto, lines, rtp, sdp
from tests.unit.media.kit import session as new_session

VIDEO = "m=video {} RTP/AVP 31\r\n"
FAX = "m=image {} udptl t38\r\n"


def ports(data: bytes) -> list[tuple[str, bool]]:
    """Each stream, and whether it is to be used."""
    return [(each.kind, each.port > 0) for each in parse_sdp(data).media]


def called(*offer: str, answer: tuple[str, ...]) -> tuple[MediaSession, bytes]:
    """A call of alice whose offer bob has answered, and the answer that alice is told."""
    call, _ = new_session()
    call.offer("a", sdp(*offer), OFF, OFF, 0.0)
    return call, call.answer("b", sdp(*answer, host=BOB), 0.0)


@pytest.mark.parametrize(
    ("offer", "answer", "told"),
    [
        (
            (audio(), VIDEO.format(42000)),
            (audio(50000),),
            [("audio", True), ("video", False)],
        ),
        (
            (audio(), VIDEO.format(42000), FAX.format(44000)),
            (audio(50000), VIDEO.format(52000)),
            [("audio", True), ("video", True), ("image", False)],
        ),
        # What was offered with port 0 is left out, wherever it stood.
        (
            (audio(0), audio(42000)),
            (audio(50000),),
            [("audio", False), ("audio", True)],
        ),
        (
            (VIDEO.format(0), audio(), FAX.format(0)),
            (audio(50000),),
            [("video", False), ("audio", True), ("image", False)],
        ),
        # Only the last of those with port 0 is left out.
        (
            (VIDEO.format(0), audio(), FAX.format(0)),
            (VIDEO.format(0), audio(50000)),
            [("video", False), ("audio", True), ("image", False)],
        ),
    ],
)
def test_who_leaves_a_line_out_of_its_answer_rejects_it(
    offer: tuple[str, ...], answer: tuple[str, ...], told: list[tuple[str, bool]]
) -> None:
    call, heard = called(*offer, answer=answer)
    assert ports(heard) == told
    used = next(each for each in call.streams if each.ends["b"].leg.agreed and each.kind == "audio")
    sent = packet(used.ends["b"].leg.port_rtp, rtp(1), (BOB, 50000))
    assert sent is not None


@pytest.mark.parametrize(
    "answer",
    [
        (),
        (VIDEO.format(52000),),  # of which nobody knows whether audio is meant
        (VIDEO.format(52000), audio(50000), VIDEO.format(0)),
        (audio(50000), VIDEO.format(52000), FAX.format(0)),
    ],
)
def test_lines_that_fit_no_stream_of_the_offer_are_refused(answer: tuple[str, ...]) -> None:
    call, _ = new_session()
    call.offer("a", sdp(audio(), VIDEO.format(42000)), OFF, OFF, 0.0)
    with pytest.raises(MediaRefused):
        call.answer("b", sdp(*answer, host=BOB), 0.0)
    assert not any(each.ends["b"].leg.agreed for each in call.streams)


def test_a_line_that_is_left_out_makes_nothing_plain_that_must_be_secure() -> None:
    call, _ = new_session()
    call.offer("a", sdp(audio(), VIDEO.format(42000)), OFF, REQUIRED, 0.0)
    with pytest.raises(MediaRefused, match="SRTP is required"):
        call.answer("b", sdp(audio(50000), host=BOB), 0.0)


def test_who_has_left_a_line_out_may_hold_and_resume_without_it() -> None:
    call, _ = called(audio(), VIDEO.format(42000), answer=(audio(50000),))
    for at, direction in enumerate(("sendonly", "sendrecv"), 1):
        offered = call.offer("b", sdp(audio(50000, "RTP/AVP", direction), host=BOB), OFF, OFF, at)
        assert ports(offered) == [("audio", True), ("video", False)]
        told = call.answer("a", sdp(audio(), VIDEO.format(0)), at)
        assert ports(told) == [("audio", True)]  # as many as it has written
    assert packet(call.streams[0].ends["b"].leg.port_rtp, rtp(1), (BOB, 50000)) is not None


def test_a_stream_that_is_in_use_and_left_out_of_a_new_offer_is_over() -> None:
    answer = (audio(50000), FAX.format(52000))
    call, _ = called(audio(), FAX.format(42000), answer=answer)
    assert call.streams[1].ends["a"].local
    offered = call.offer("b", sdp(audio(50000), host=BOB), OFF, OFF, 1.0)
    assert ports(offered) == [("audio", True), ("image", False)]
    call.answer("a", sdp(audio(), FAX.format(0)), 1.0)
    assert not call.streams[1].ends["a"].local and not call.streams[1].ends["b"].leg.agreed
    # It may come back, from either side.
    again = call.offer("a", sdp(audio(), FAX.format(42000)), OFF, OFF, 2.0)
    assert ports(again) == [("audio", True), ("image", True)]


@pytest.mark.parametrize("offer", [(audio(50000),), (audio(50000), VIDEO.format(0))])
def test_a_new_offer_that_ends_a_stream_and_is_refused_leaves_it(offer: tuple[str, ...]) -> None:
    """Glare (491) is refusal enough: the picture has its ports as before (RFC 3264 4)."""
    call, _ = called(audio(), VIDEO.format(42000), answer=(audio(50000), VIDEO.format(52000)))
    before = [each.ends["a"].local for each in call.streams]
    call.offer("b", sdp(*offer, host=BOB), OFF, OFF, 1.0)
    call.rollback()
    assert [each.ends["a"].local for each in call.streams] == before
    assert all(each.ends["b"].leg.agreed for each in call.streams)


def test_a_secured_stream_keeps_its_key_where_another_is_left_out() -> None:
    call, _ = new_session()
    call.offer("a", sdp(audio(40000, "RTP/SAVP", crypto(1)), VIDEO.format(0)), ACCEPT, OFF, 0.0)
    first = call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    call.offer("a", sdp(audio(40000, "RTP/SAVP", crypto(1), "sendonly")), ACCEPT, OFF, 1.0)
    second = call.answer("b", sdp(audio(50000, "RTP/AVP", "recvonly"), host=BOB), 1.0)
    assert lines(first) == lines(second) and ports(second) == [("audio", True)]


@pytest.mark.parametrize(
    "section",
    [
        "m=video 0 RTP/AVP 255\r\n",
        "m=video 0 RTP/AVP\r\n",
        "m=video 0/2 RTP/AVP 31\r\n",
        "m=video 0 RTP/AVP 31\r\nc=IN IP4 \r\n",
        "m=video 0 RTP/AVP 31\r\nc=IN IP4 pbx.example\r\n",
        "m=video 0 RTP/AVP 31\r\nc=IN IP4 224.2.1.1/127\r\n",
        "m=video 0 RTP/AVP 31\r\nc=IN IP6 fe80::1\r\na=sendonly\r\n",
        "m=video 0 RTP/AVP 31\r\nnonsense\r\n",
    ],
)
def test_what_a_line_with_port_0_says_spoils_no_call(section: str) -> None:
    call, _ = new_session()
    offered = call.offer("a", sdp(audio(), section), OFF, OFF, 0.0)
    assert ports(offered) == [("audio", True), ("video", False)]
    told = call.answer("b", sdp(audio(50000), section, host=BOB), 0.0)
    assert ports(told) == [("audio", True), ("video", False)]
    for each in (offered, told):  # whoever is told of it can read it
        video = parse_sdp(each).media[1]
        assert video.proto == "RTP/AVP" and len(video.formats) == 1 and video.lines.rtp


@pytest.mark.parametrize("section", ["m=video 0\r\n", "m=video 0 \r\n", "m=video x RTP/AVP 0\r\n"])
def test_what_is_no_line_of_a_stream_is_still_refused(section: str) -> None:
    with pytest.raises(PeerError):
        parse_sdp(sdp(audio(), section))


def test_a_line_with_port_0_and_no_address_holds_no_call() -> None:
    """Whether a call is held decides whether its silence ends it."""
    head = "v=0\r\no=- 1 1 IN IP4 {0}\r\ns=-\r\nt=0 0\r\nm=audio {1} RTP/AVP 0\r\nc=IN IP4 {0}\r\n"
    call, _ = new_session()
    call.offer("a", (head.format(ALICE, 40000) + VIDEO.format(0)).encode(), OFF, OFF, 0.0)
    call.answer("b", (head.format(BOB, 50000) + VIDEO.format(0)).encode(), 0.0)
    assert not call.held and call.silent_for(60.0) == 60.0


def test_a_null_address_holds_the_call_of_whoever_offers_it_too() -> None:
    call, _ = called(audio(), answer=(audio(50000),))
    call.offer("a", sdp(audio(), host="0.0.0.0"), OFF, OFF, 1.0)
    call.answer("b", sdp(audio(50000), host=BOB), 1.0)
    assert call.held and call.silent_for(60.0) == 0.0


@pytest.mark.parametrize(
    ("said", "target"),
    [
        ("50009", (BOB, 50009)),
        (f"50009 IN IP4 {ALICE}", (ALICE, 50009)),
        ("50009 IN IP4", (BOB, 50009)),
        ("50009 IN IP4 pbx.example", None),
        ("50009 IN IP4 224.0.0.1", None),
        ("9 IN IP4 0.0.0.0", None),
        ("x", None),
        ("70000", None),
        ("", None),
    ],
)
def test_no_call_hangs_on_where_rtcp_is_wanted(said: str, target: tuple[str, int] | None) -> None:
    """RFC 3605 lets a name stand there, too; the speech does not need it."""
    call, _ = new_session()
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000), f"a=rtcp:{said}\r\n", host=BOB), 0.0)
    leg = call.streams[0].ends["b"].leg
    assert leg.port_rtcp.target == target and leg.port_rtp.target == (BOB, 50000)
