"""A fax over UDPTL (T.38 annex D): where it passes and where not, its description, its datagrams, its end."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsl.decision import Codecs
from sbc.base import PeerError
from sbc.media.errors import MediaRefused
from sbc.media.policy import MediaPolicy
from sbc.media.relay import packet
from sbc.media.session import MediaSession
from sbc.media.silence import heard_of, is_faxing
from sbc.media.srtp import MAX_PACKET, Protector, Unprotector
from tests.unit.media.kit import (
    ACCEPT,
    ALICE,
    BOB,
    OFF,
    OSRTP,
    REQUIRED,
    SBC,
    audio,
    crypto,
    first,
    key,
    lines,
    rtcp,
    rtp,
    sdp,
    session,
)

A, B, STRANGER = (ALICE, 40020), (BOB, 50020), ("203.0.113.66", 40020)
# As gateways write it: in their order, with their spelling, one that no RFC knows.
T38 = (
    "a=T38FaxVersion:0\r\na=T38MaxBitRate:14400\r\na=T38FaxFillBitRemoval\r\na=T38FaxTranscodingMMR:0\r\n"
    "a=T38FaxTranscodingJBIG:0\r\na=T38FaxRateManagement:transferredTCF\r\na=T38FaxMaxBuffer:1024\r\n"
    "a=T38FaxMaxDatagram:238\r\na=T38FaxMaxIFP: 40\r\na=T38FaxUdpEC:t38UDPRedundancy\r\n"
    "a=t38vendorinfo:0 0 37\r\n"
)
SPEECH = ("m=audio {} RTP/SAVP 0\r\na=" + crypto(1) + "\r\n").format


def fax(port: int, more: str = T38, transport: str = "udptl") -> str:
    return f"m=image {port} {transport} t38\r\n{more}"


def udptl(sequence: int, ifp: bytes = b"\x02", *former: bytes) -> bytes:
    """A datagram of UDPTL: the packet and, for redundancy, those before it (T.38 9.1)."""
    fields = b"".join(bytes([len(each)]) + each for each in former)
    return sequence.to_bytes(2, "big") + bytes([len(ifp)]) + ifp + b"\0" + bytes([len(former)]) + fields


def faxing(near: MediaPolicy = ACCEPT, far: MediaPolicy = OFF) -> MediaSession:
    call, _ = session()
    call.offer("a", sdp(fax(40020)), near, far, 0.0)
    call.answer("b", sdp(fax(50020), host=BOB), 0.0)
    return call


def sent(call: MediaSession, side: str, data: bytes, source: tuple[str, int] | None = None) -> object:
    """What becomes of a datagram: what leaves and where to, or None."""
    stream = call.streams[0]
    out = packet(stream.ends[side].leg.port_rtp, data, source or (A if side == "a" else B), 1.0)
    return None if out is None else (out[1], out[2])


def refused(call: MediaSession, side: str) -> dict[str, int]:
    return call.streams[0].ends[side].leg.refused or {}


@pytest.mark.parametrize("transport", ["udptl", "UDPTL"])
def test_what_t38_says_of_itself_passes_octet_for_octet(transport: str) -> None:
    call, _ = session()
    offer = call.offer("a", sdp(fax(40020, T38 + "a=x-topology:10.1.2.3\r\n", transport)), ACCEPT, OFF, 0.0)
    assert offer.endswith(f"m=image 20002 {transport} t38\r\n{T38}".encode())
    assert f"c=IN IP4 {SBC}".encode() in offer and ALICE.encode() not in offer
    answer = call.answer("b", sdp(fax(50020, T38.replace("14400", "9600")), host=BOB), 0.0)
    assert answer.endswith(f"m=image 20000 {transport} t38\r\n{T38.replace('14400', '9600')}".encode())
    assert BOB.encode() not in answer


def test_a_direction_passes_where_one_is_given() -> None:
    call, _ = session()
    assert b"a=sendonly\r\n" in call.offer("a", sdp(fax(40020, "a=sendonly\r\n")), ACCEPT, OFF, 0.0)
    call, _ = session()
    hold = sdp(fax(40020), host="0.0.0.0")
    assert call.offer("a", hold, ACCEPT, OFF, 0.0).endswith(b"a=sendonly\r\n"), (
        "RFC 2543's hold is said in words"
    )


@pytest.mark.parametrize(("near", "far"), [(REQUIRED, OFF), (ACCEPT, REQUIRED), (REQUIRED, REQUIRED)])
def test_a_fax_alone_is_refused_where_a_leg_must_have_srtp(near: MediaPolicy, far: MediaPolicy) -> None:
    call, pool = session()
    with pytest.raises(MediaRefused, match="SRTP is required and a fax over UDPTL is clear text") as caught:
        call.offer("a", sdp(fax(40020)), near, far, 0.0)
    assert caught.value.status == 488 and len(pool) == 50


@pytest.mark.parametrize("far", [OFF, ACCEPT, OSRTP, replace(OSRTP, sdes=False)])
def test_it_passes_where_both_legs_may_have_plain_media(far: MediaPolicy) -> None:
    call = faxing(far=far)
    assert sent(call, "a", udptl(0)) == (udptl(0), B)


def test_beside_speech_it_gets_port_0_and_the_speech_goes_on() -> None:
    call, pool = session()
    offer = call.offer("a", sdp(SPEECH(40000), fax(40020)), REQUIRED, REQUIRED, 0.0)
    assert (
        b"m=audio 20002 RTP/SAVP" in offer and offer.endswith(b"m=image 0 udptl t38\r\n") and len(pool) == 48
    )


def test_a_rule_may_deny_it() -> None:
    call, _ = session()
    with pytest.raises(MediaRefused, match="the rules do not allow T38"):
        call.offer("a", sdp(fax(40020)), ACCEPT, MediaPolicy("off", codecs=Codecs(deny=("T38",))), 0.0)
    assert call.offer("a", sdp(fax(40020)), ACCEPT, MediaPolicy("off", codecs=Codecs(allow=("PCMA",))), 0.0)


@pytest.mark.parametrize("other", ["UDP/TLS/UDPTL", "TCP", "RTP/AVP"])
def test_an_answer_has_the_transport_of_the_offer(other: str) -> None:
    call, _ = session()
    call.offer("a", sdp(fax(40020)), ACCEPT, OFF, 0.0)
    with pytest.raises(MediaRefused, match="another transport"):
        call.answer("b", sdp(fax(50020, transport=other), host=BOB), 0.0)
    call.offer("a", sdp(audio(40000)), ACCEPT, OFF, 0.0, restart=True)
    with pytest.raises(MediaRefused, match="another transport"):
        call.answer("b", sdp(fax(50020), host=BOB), 0.0)


def test_payload_types_are_no_fax() -> None:
    call, _ = session()
    with pytest.raises(PeerError):
        call.offer("a", sdp("m=image 40020 udptl 98\r\n"), ACCEPT, OFF, 0.0)


@pytest.mark.parametrize("sequence", [0, 1, 0x7FFF, 0x80C8, 0x80CA, 0xBFFF, 0xFFFF])
@pytest.mark.parametrize("former", [(), (b"\x02",), (b"\x01" * 40, b"\xc8" * 40)])
def test_every_datagram_passes_as_it_is_whatever_it_looks_like(
    sequence: int, former: tuple[bytes, ...]
) -> None:
    """Some look like RTP, some like RTCP (RFC 5761 4), which would be concealed, and some are short."""
    call = faxing()
    data = udptl(sequence, b"\xd0" * 3, *former)
    assert sent(call, "a", data) == (data, B) and sent(call, "b", data) == (data, A)
    stats = call.stats()
    assert (stats.a.packets_in, stats.b.packets_out, stats.b.packets_in) == (1, 1, 1)
    assert (stats.a.lost, stats.a.refused, stats.a.codec, stats.b.codec) == (0, {}, "T38", "T38")


@pytest.mark.parametrize("size", [0, 1, 2, MAX_PACKET, MAX_PACKET + 1])
def test_what_is_no_datagram_of_udptl_is_refused(size: int) -> None:
    call = faxing()
    assert sent(call, "a", bytes(size)) is None and refused(call, "a") == {"malformed": 1}


def test_only_the_peer_may_send_and_its_nat_is_followed() -> None:
    call = faxing()
    assert sent(call, "a", udptl(0), STRANGER) is None and refused(call, "a") == {"source": 1}
    behind = (ALICE, 61000)
    assert sent(call, "a", udptl(1), behind) == (udptl(1), B)
    assert sent(call, "b", udptl(0)) == (udptl(0), behind), "symmetric, as RTP is"
    assert sent(call, "a", udptl(2), (ALICE, 61001)) is None, "latched"


def test_rtcp_has_no_port_in_a_fax() -> None:
    call = faxing()
    leg = call.streams[0].ends["a"].leg
    assert packet(leg.port_rtcp, rtcp(), (ALICE, 40021), 1.0) is None
    assert refused(call, "a") == {"not agreed": 1}


def secured() -> tuple[MediaSession, Protector, Unprotector]:
    """A call that came with SRTP and went on plain; how its caller sends and hears."""
    call, _ = session()
    call.offer("a", sdp(SPEECH(40020)), ACCEPT, OFF, 0.0)
    answer = call.answer("b", sdp(audio(50020), host=BOB), 0.0)
    sender, receiver = Protector(key(1)), Unprotector(lines(answer)[0])
    assert sent(call, "a", sender.rtp(rtp(1))) == (rtp(1), B)
    return call, sender, receiver


def test_a_re_invite_makes_a_fax_of_speech_and_speech_of_a_fax_with_its_keys() -> None:
    """The gateway that is called asks for it, on the same m= line, and goes back after the last page."""
    call, sender, receiver = secured()
    to_a = call.offer("b", sdp(fax(50020), host=BOB), OFF, ACCEPT, 1.0)
    assert b"crypto" not in to_a and to_a.endswith(f"m=image 20000 udptl t38\r\n{T38}".encode())
    assert sent(call, "a", sender.rtp(rtp(2))) == (rtp(2), B), "until the answer nothing has changed"
    call.answer("a", sdp(fax(40020)), 1.0)
    late = sender.rtp(rtp(3))
    assert sent(call, "a", late) is None and refused(call, "a") == {"speech": 1}
    assert sent(call, "a", udptl(0)) == (udptl(0), B) and sent(call, "b", udptl(0)) == (udptl(0), A)
    assert call.stats().a.suite == "" and call.stats().streams[0].kind == "image" and is_faxing(call)
    assert heard_of(call) is None, "who listens to a fax is no silent side"

    back = call.offer("b", sdp(audio(50020), host=BOB), OFF, ACCEPT, 2.0)
    assert first(back).proto == "RTP/SAVP" and len(lines(back)) == 1, "the leg was secured, and is again"
    call.answer("a", sdp(SPEECH(40020)), 2.0)
    assert not is_faxing(call) and call.stats().a.suite == "AES_CM_128_HMAC_SHA1_80"
    assert sent(call, "a", sender.rtp(rtp(4))) == (rtp(4), B)
    assert sent(call, "a", udptl(9)) is None and sent(call, "a", rtp(5)) is None, "nothing in the clear"
    out = packet(call.streams[0].ends["b"].leg.port_rtp, rtp(6, ssrc=9), B, 3.0)
    assert out is not None and receiver.rtp(out[1]) == rtp(6, ssrc=9), "under the key that the caller knows"


def test_the_caller_may_go_back_and_a_plain_answer_is_none() -> None:
    call, sender, _ = secured()
    call.offer("b", sdp(fax(50020), host=BOB), OFF, ACCEPT, 1.0)
    call.answer("a", sdp(fax(40020)), 1.0)
    call.offer("a", sdp(SPEECH(40020)), ACCEPT, OFF, 2.0)
    answer = call.answer("b", sdp(audio(50020), host=BOB), 2.0)
    assert first(answer).proto == "RTP/SAVP" and sent(call, "a", sender.rtp(rtp(4))) == (rtp(4), B)
    call.offer("b", sdp(fax(50020), host=BOB), OFF, ACCEPT, 3.0)
    call.answer("a", sdp(fax(40020)), 3.0)
    call.offer("b", sdp(audio(50020), host=BOB), OFF, ACCEPT, 4.0)
    with pytest.raises(MediaRefused, match="SRTP is required"):
        call.answer("a", sdp(audio(40020)), 4.0)


def test_a_fax_on_a_line_of_its_own_leaves_the_speech_its_keys_too() -> None:
    call, sender, _ = secured()
    call.offer("b", sdp(audio(0), fax(50022), host=BOB), OFF, ACCEPT, 1.0)
    call.answer("a", sdp(SPEECH(0), fax(40022)), 1.0)
    end = call.streams[1].ends["a"].leg
    out = packet(end.port_rtp, udptl(0), (ALICE, 40022), 1.0)
    assert out is not None and out[1:] == (udptl(0), (BOB, 50022))
    back = call.offer("b", sdp(audio(50020), fax(0), host=BOB), OFF, ACCEPT, 2.0)
    assert first(back).proto == "RTP/SAVP" and len(lines(back)) == 1
    call.answer("a", sdp(SPEECH(40020), fax(0)), 2.0)
    assert sent(call, "a", sender.rtp(rtp(4))) == (rtp(4), B) and not is_faxing(call)


@pytest.mark.parametrize("refusal", ["here", "there"])
def test_a_refused_fax_leaves_the_speech_as_it_was(refusal: str) -> None:
    call, sender, receiver = secured()
    if refusal == "here":
        with pytest.raises(MediaRefused):
            call.offer("b", sdp(fax(50020), host=BOB), OFF, replace(ACCEPT, srtp="required"), 1.0)
    else:
        call.offer("b", sdp(fax(50020), host=BOB), OFF, ACCEPT, 1.0)
    call.rollback()
    assert sent(call, "a", sender.rtp(rtp(2))) == (rtp(2), B)
    out = packet(call.streams[0].ends["b"].leg.port_rtp, rtp(6, ssrc=9), B, 3.0)
    assert out is not None and receiver.rtp(out[1]) == rtp(6, ssrc=9)


def test_a_fax_that_was_given_up_after_its_answer_is_speech_again() -> None:
    """A fork, or a preview in a 183, has answered; then the re-INVITE was refused."""
    call, sender, _ = secured()
    call.offer("b", sdp(fax(50020), host=BOB), OFF, ACCEPT, 1.0)
    call.answer("a", sdp(fax(40020)), 1.0)
    call.rollback()
    assert not is_faxing(call) and sent(call, "a", sender.rtp(rtp(2))) == (rtp(2), B)
    assert sent(call, "a", udptl(1)) is None


def test_its_ports_come_back() -> None:
    call, pool = session()
    call.offer("a", sdp(fax(40020)), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(fax(50020), host=BOB), 0.0)
    assert len(pool) == 48
    call.close()
    assert len(pool) == 50
