"""Payload types of a sender who was not told what its receiver expects."""

from __future__ import annotations

import pytest

from sbc.media.early import early_offer
from sbc.media.policy import MediaPolicy
from sbc.media.relay import packet
from sbc.media.renumbered import Renumbered, numbers
from sbc.media.sdp import parse_sdp
from sbc.media.session import MediaSession
from sbc.media.srtp import Protector, SrtpError, Unprotector
from tests.unit.media.kit import (
    ACCEPT,
    ALICE,
    BOB,
    OFF,
    REQUIRED,
    crypto,
    key,
    lines,
    rtcp,
    rtp,
    sdp,
    session,
)

A, B = (ALICE, 40000), (BOB, 50000)
NAMES = {"opus": "opus/48000/2", "te": "telephone-event/8000", "red": "red/48000/2"}


def audio(port: int, secured: str = "", **kinds: int) -> str:
    maps = "".join(f"a=rtpmap:{number} {NAMES[name]}\r\n" for name, number in kinds.items())
    red = f"a=fmtp:{kinds['red']} {kinds['opus']}/{kinds['opus']}\r\n" if "red" in kinds else ""
    profile = "RTP/SAVP" if secured else "RTP/AVP"
    return f"m=audio {port} {profile} {' '.join(map(str, kinds.values()))}\r\n{maps}{red}{secured}"


def connected(near: str, far: str) -> MediaSession:
    """A caller without an offer: the callee was offered opus as 111 and tones as 101, and answered ``far``.

    The caller has been offered that, and answered ``near``, of which the callee has not heard.
    """
    call, _ = session()
    call.offer("a", early_offer(["OPUS"], ALICE), MediaPolicy("accept", unheard=True), OFF, 0.0)
    call.answer("b", sdp(far, host=BOB), 0.0)
    call.offer("b", sdp(far, host=BOB), OFF, ACCEPT, 0.0)
    call.answer("a", sdp(near), 0.0)
    return call


def crossing(call: MediaSession, side: str, kind: int, marker: bool = False) -> bytes:
    """A packet of ``side`` as it leaves on the other one."""
    data = bytearray(rtp(7, kind=kind))
    data[1] |= 0x80 if marker else 0
    out = packet(call.streams[0].ends[side].leg.port_rtp, bytes(data), A if side == "a" else B)
    assert out is not None
    return out[1]


def number(data: bytes) -> int:
    return data[1] & 0x7F


def test_the_callee_sends_as_it_was_offered_and_the_caller_hears_what_it_named() -> None:
    far, near = audio(50000, opus=96, te=97), audio(40000, opus=98, te=99)
    call = connected(near, far)
    assert [number(crossing(call, "b", each)) for each in (111, 101)] == [98, 99]
    assert [number(crossing(call, "a", each)) for each in (96, 97)] == [96, 97], "that it was told"
    marked = crossing(call, "b", 101, marker=True)
    assert marked[1] == 0x80 | 99 and marked[2:] == rtp(7)[2:], "nothing else changes"


def test_where_all_agree_packets_pass_as_they_are() -> None:
    call = connected(audio(40000, opus=111, te=101), audio(50000, opus=111, te=101))
    assert call.streams[0].ends["a"].leg.protect is None
    assert [number(crossing(call, "b", each)) for each in (111, 101)] == [111, 101]


def test_what_the_receiver_does_not_name_keeps_its_number() -> None:
    call = connected(audio(40000, opus=98), audio(50000, opus=96, te=97))
    assert [number(crossing(call, "b", each)) for each in (111, 101, 77)] == [98, 101, 77]


def test_on_a_secured_leg_it_is_renumbered_before_it_is_encrypted() -> None:
    call, _ = session()
    far = sdp(audio(50000, opus=96, te=97), host=BOB)
    call.offer("a", early_offer(["OPUS"], ALICE), MediaPolicy("accept", unheard=True), OFF, 0.0)
    call.answer("b", far, 0.0)
    ours = lines(call.offer("b", far, OFF, REQUIRED, 0.0))[0]
    call.answer("a", sdp(audio(40000, f"a={crypto(1)}\r\n", opus=98, te=99)), 0.0)
    assert Unprotector(ours).rtp(crossing(call, "b", 101)) == rtp(7, kind=99)


def test_a_refused_offer_leaves_the_numbers_and_one_that_is_answered_ends_them() -> None:
    far, near = audio(50000, opus=96, te=97), audio(40000, opus=98, te=99)
    call = connected(near, far)
    call.offer("a", sdp(audio(40002, opus=98)), ACCEPT, OFF, 1.0)
    call.rollback()
    assert number(crossing(call, "b", 111)) == 98
    call.offer("a", sdp(near), ACCEPT, OFF, 1.0)
    call.answer("b", sdp(far, host=BOB), 1.0)
    assert number(crossing(call, "b", 98)) == 98, "the callee has been told by now"
    assert call.streams[0].ends["a"].leg.protect is None


def test_a_refresh_of_ours_that_is_answered_with_other_numbers() -> None:
    """The callee is asked again with what the caller has said; the caller is not told of its answer."""
    call, _ = session()
    offer, answer = sdp(audio(40000, opus=111, te=101)), sdp(audio(50000, opus=96, te=97), host=BOB)
    call.offer("a", offer, ACCEPT, OFF, 0.0)
    call.answer("b", answer, 0.0)
    for version in (1, 2):
        call.offer("a", offer, ACCEPT, OFF, 1.0)
        call.answer("b", sdp(audio(50000, opus=111, te=100 + version), host=BOB), 1.0)
        assert [number(crossing(call, "a", each)) for each in (96, 97)] == [111, 100 + version]


def test_who_is_transferred_answers_in_numbers_that_the_callee_does_not_hear_of() -> None:
    """The new callee was offered what the party said in its former call."""
    call, _ = session()
    said, answer = sdp(audio(40000, opus=111, te=101)), sdp(audio(50000, opus=96, te=97), host=BOB)
    call.offer("a", said, ACCEPT, OFF, 0.0)
    call.answer("b", answer, 0.0)
    call.offer("b", answer, OFF, ACCEPT, 0.0)
    call.answer("a", sdp(audio(40000, opus=96, te=97)), 0.0)
    assert [number(crossing(call, "b", each)) for each in (111, 101)] == [96, 97]
    assert [number(crossing(call, "a", each)) for each in (96, 97)] == [96, 97]


def test_an_offer_that_says_something_new_is_told_to_both() -> None:
    call, _ = session()
    call.offer("a", sdp(audio(40000, opus=111)), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000, opus=96), host=BOB), 0.0)
    call.offer("b", sdp(audio(50000, opus=97), host=BOB), OFF, ACCEPT, 1.0)
    call.answer("a", sdp(audio(40000, opus=112)), 1.0)
    assert [number(crossing(call, "b", each)) for each in (111, 112)] == [111, 112]


def renumbered(inner: Protector | None = None) -> Renumbered:
    told, named = audio(1, opus=111, te=101, red=121), audio(1, opus=96, te=97, red=98)
    table = numbers(parse_sdp(sdp(told)).media[0], parse_sdp(sdp(named)).media[0])
    assert table is not None
    return Renumbered(inner, table)


def test_blocks_of_redundancy_are_renumbered_too() -> None:
    """RFC 2198 3: a header of four octets for each earlier packet, one of one octet for the present one."""
    data = (
        bytes([0x80, 0x80 | 121])
        + bytes(10)
        + bytes([0x80 | 111, 0, 4, 2, 0x80 | 101, 0, 0, 1, 111])
        + b"abc"
    )
    expected = (
        bytes([0x80, 0x80 | 98]) + bytes(10) + bytes([0x80 | 96, 0, 4, 2, 0x80 | 97, 0, 0, 1, 96]) + b"abc"
    )
    assert renumbered().rtp(data) == expected
    with_source = bytes([0x91]) + data[1:12] + bytes(4) + bytes([0xBE, 0xDE, 0, 1]) + bytes(4) + data[12:]
    wanted = bytes([0x91]) + expected[1:12] + bytes(4) + bytes([0xBE, 0xDE, 0, 1]) + bytes(4) + expected[12:]
    assert renumbered().rtp(with_source) == wanted, "behind a contributing source and a header extension"


@pytest.mark.parametrize("blocks", [b"", b"\xef", b"\xef\0\0\0", b"\xef\0\0\0\xef\0"])
def test_blocks_that_end_before_their_headers_do_are_refused(blocks: bytes) -> None:
    with pytest.raises(SrtpError):
        renumbered().rtp(bytes([0x80, 121]) + bytes(10) + blocks)


def test_rtcp_passes_as_it_is_and_all_is_protected_as_before() -> None:
    assert renumbered().rtcp(rtcp()) == rtcp()
    both, receiver = renumbered(Protector(key(1))), Unprotector(key(1))
    assert receiver.rtp(both.rtp(rtp(1, kind=101))) == rtp(1, kind=97)
    assert receiver.rtcp(both.rtcp(rtcp())) == rtcp()


def test_of_formats_of_one_name_the_one_with_the_same_parameters_is_meant() -> None:
    video = "m=video 1 RTP/AVP {0} {1}\r\na=rtpmap:{0} H264/90000\r\na=rtpmap:{1} H264/90000\r\n{2}".format
    fmtp = "a=fmtp:{} packetization-mode=0\r\na=fmtp:{} packetization-mode=1\r\n".format
    told = parse_sdp(sdp(video(96, 97, fmtp(96, 97)))).media[0]
    named = parse_sdp(sdp(video(99, 98, fmtp(99, 98)))).media[0]
    table = numbers(told, named)
    assert table is not None and (table.expected[96], table.expected[97]) == (99, 98)
