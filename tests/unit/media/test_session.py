"""Offers and answers between two legs: addresses, ports, codecs, forks, hold, rollback."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.base import Address, LocalError, PeerError
from sbc.ids import Ids
from sbc.media.errors import MediaRefused
from sbc.media.places import Networks, Place, PortPool
from sbc.media.policy import SUITES, MediaPolicy
from sbc.media.relay import packet
from sbc.media.sdes import CryptoLine
from sbc.media.sdp import parse_sdp
from sbc.media.session import MediaSession
from sbc.media.srtp import Unprotector
from tests.unit.media.kit import (
    ACCEPT,
    ALICE,
    BOB,
    OFF,
    OSRTP,
    REQUIRED,
    SBC,
    Counter,
    audio,
    crypto,
    first,
    lines,
    rtp,
    sdp,
    session,
    session_on,
)

VIDEO = "m=video 40010 RTP/AVPF 96\r\na=rtpmap:96 H264/90000\r\na=rtcp-fb:* nack\r\n"
FAX = "m=image 40020 UDP/TLS/UDPTL t38\r\na=T38FaxVersion:0\r\n"
DTLS = "m=audio 40000 UDP/TLS/RTP/SAVPF 0\r\na=fingerprint:sha-256 AA\r\na=setup:actpass\r\n"


def agreed() -> MediaSession:
    call, _ = session()
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 1.0)
    return call


@pytest.mark.parametrize(
    "payload_type", ["128", "x", "0x1", "999999999999", "²", "018", "8\x1c18", "8\u00a018", " 0" * 128]
)
def test_a_payload_type_must_be_one_in_an_offer_and_in_an_answer(payload_type: str) -> None:
    wrong = f"m=audio 40000 RTP/AVP 0 {payload_type}\r\n"
    call, pool = session()
    free = len(pool)
    with pytest.raises(PeerError, match="payload type"):
        call.offer("a", sdp(wrong), ACCEPT, OFF, 0.0)
    assert len(pool) == free
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    with pytest.raises(PeerError, match="payload type"):
        call.answer("b", sdp(wrong, host=BOB), 1.0)


def test_the_offer_is_ours_and_shows_nothing_of_theirs() -> None:
    call, _ = session()
    offer = call.offer(
        "a", sdp(audio(40000, "RTP/AVP", "candidate:1 1 UDP 1 10.0.0.1 1 typ host")), ACCEPT, OFF, 0.0
    )
    assert (
        offer.startswith(b"v=0\r\no=- ")
        and f" 1 IN IP4 {SBC}\r\ns=-\r\nc=IN IP4 {SBC}\r\nt=0 0\r\n".encode() in offer
    )
    for leak in (ALICE.encode(), b"alice", b"secret", b"candidate", b"40000", b"2890844526"):
        assert leak not in offer
    assert (
        b"m=audio 20002 RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\n" in offer
        and b"a=fmtp:101 0-15\r\n" in offer
    )
    answer = call.answer("b", sdp(audio(50000, "RTP/AVP", "sendonly"), host=BOB), 0.0)
    assert first(answer).port == 20000 and b"a=sendonly\r\n" in answer and BOB.encode() not in answer


def test_media_flows_after_the_answer_and_not_before() -> None:
    call, _ = session()
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    a, b = (call.streams[0].ends[side].leg for side in "ab")
    assert packet(a.port_rtp, rtp(1), (ALICE, 40000)) is None
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    assert packet(a.port_rtp, rtp(1), (ALICE, 40000)) == (b.port_rtp, rtp(1), (BOB, 50000))
    assert call.stats().a.remote == Address(ALICE, 40000)


def test_a_trunk_has_its_own_address_and_its_signalling_host_may_send() -> None:
    lan, wan = (Place(each, PortPool("20000-20009")) for each in (SBC, "198.51.100.1"))
    call = MediaSession("call-1", Ids(Counter()), Networks({"lan": (lan,), "wan": (wan,)}))
    policy = MediaPolicy("off", network="wan", signalling_host="198.51.100.99")
    assert b"c=IN IP4 198.51.100.1\r\n" in call.offer("a", sdp(audio()), ACCEPT, policy, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    leg = call.streams[0].ends["b"].leg
    assert packet(leg.port_rtp, rtp(1), ("198.51.100.99", 1234)) is not None
    assert leg.port_rtp.target == ("198.51.100.99", 1234)


def test_the_same_answer_again_changes_nothing_and_another_wins() -> None:
    call, _ = session()
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    early = call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    leg = call.streams[0].ends["b"].leg
    packet(leg.port_rtp, rtp(1), (BOB, 51111))
    assert call.answer("b", sdp(audio(50000), host=BOB), 5.0) == early
    assert leg.port_rtp.source == (BOB, 51111)
    call.answer("b", sdp(audio(60000), host="198.51.100.77"), 6.0)
    assert leg.port_rtp.target == ("198.51.100.77", 60000)
    assert packet(leg.port_rtp, rtp(2), (BOB, 51111)) is None


def test_rejected_lines_keep_order_and_number() -> None:
    call, pool = session()
    offer = call.offer("a", sdp(FAX, audio(), VIDEO, "m=audio 0 RTP/AVP 0\r\n"), ACCEPT, OFF, 0.0)
    heads = [line for line in offer.decode().split("\r\n") if line.startswith("m=")]
    assert heads == [
        "m=image 0 UDP/TLS/UDPTL t38",
        "m=audio 20002 RTP/AVP 0 101",
        "m=video 20006 RTP/AVPF 96",
        "m=audio 0 RTP/AVP 0",
    ]
    answered = sdp(
        "m=image 0 UDP/TLS/UDPTL t38\r\n",
        audio(50000),
        "m=video 0 RTP/AVPF 96\r\n",
        "m=audio 0 RTP/AVP 0\r\n",
        host=BOB,
    )
    heads = [line for line in call.answer("b", answered, 0.0).decode().split("\r\n") if line.startswith("m=")]
    assert heads == [
        "m=image 0 UDP/TLS/UDPTL t38",
        "m=audio 20000 RTP/AVP 0 101",
        "m=video 0 RTP/AVPF 96",
        "m=audio 0 RTP/AVP 0",
    ]
    call.close()
    assert len(pool) == 50


@pytest.mark.parametrize("sections", [[FAX], [DTLS], ["m=message 5000 TCP/MSRP *\r\n"], [FAX, DTLS]])
def test_an_offer_of_nothing_that_we_relay_is_refused(sections: list[str]) -> None:
    call, pool = session()
    with pytest.raises(MediaRefused) as caught:
        call.offer("a", sdp(*sections), ACCEPT, OFF, 0.0)
    assert caught.value.status == 488 and len(pool) == 50


def test_an_answer_that_does_not_fit_changes_nothing() -> None:
    call, _ = session()
    with pytest.raises(PeerError):
        call.answer("b", sdp(audio()), 0.0)
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    for bad in (
        sdp(host=BOB),
        sdp(audio(), audio(), host=BOB),
        sdp(audio(1, "RTP/SAVP"), host=BOB),
        sdp(DTLS, host=BOB),
    ):
        with pytest.raises(MediaRefused):
            call.answer("b", bad, 0.0)
    with pytest.raises(PeerError):
        call.answer("a", sdp(audio()), 0.0)
    assert not call.streams[0].ends["a"].leg.agreed and not call.streams[0].ends["b"].leg.agreed


def test_a_delayed_offer_comes_from_the_other_side() -> None:
    call, _ = session()
    assert b"m=audio 20000 " in call.offer("b", sdp(audio(50000), host=BOB), OFF, ACCEPT, 0.0)
    assert b"m=audio 20002 " in call.answer("a", sdp(audio()), 0.0)
    assert call.streams[0].ends["a"].leg.port_rtp.target == (ALICE, 40000)


def test_a_session_refresh_keeps_ports_latch_and_version() -> None:
    call = agreed()
    leg = call.streams[0].ends["a"].leg
    packet(leg.port_rtp, rtp(1), (ALICE, 41234))
    again = call.offer("a", sdp(audio()), ACCEPT, OFF, 9.0)
    assert first(again).port == 20002 and again.split()[3] == b"1"
    call.answer("b", sdp(audio(50000), host=BOB), 9.0)
    assert leg.port_rtp.target == (ALICE, 41234)
    held = call.offer("b", sdp(audio(50000, "RTP/AVP", "sendonly"), host=BOB), OFF, ACCEPT, 10.0)
    assert held.split()[3] == b"2" and first(held).port == 20000 and b"a=sendonly\r\n" in held


def test_hold_by_a_null_address_sends_nothing_there() -> None:
    call = agreed()
    offer = call.offer("a", sdp(audio(), host="0.0.0.0"), ACCEPT, OFF, 2.0)
    assert b"0.0.0.0" not in offer and b"a=sendonly\r\n" in offer
    call.answer("b", sdp(audio(50000, "RTP/AVP", "recvonly"), host=BOB), 2.0)
    legs = call.streams[0].ends
    assert packet(legs["b"].leg.port_rtp, rtp(1), (BOB, 50000)) is None
    assert call.held and call.silent_for(9999.0) == 0.0


def test_a_refused_re_invite_leaves_what_was() -> None:
    call, pool = session()
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    free = len(pool)
    call.offer("a", sdp(audio(44444), VIDEO), ACCEPT, OFF, 2.0)
    call.answer("b", sdp(audio(55555), VIDEO, host=BOB), 2.0)
    assert len(pool) == free - 2
    call.rollback()
    legs = call.streams[0].ends
    assert [legs[side].leg.port_rtp.target for side in "ab"] == [(ALICE, 40000), (BOB, 50000)]
    assert len(pool) == free
    call.rollback()
    with pytest.raises(PeerError):
        call.answer("b", sdp(audio(50000), host=BOB), 3.0)
    assert packet(legs["a"].leg.port_rtp, rtp(1), (ALICE, 40000)) is not None


def test_a_first_offer_rolled_back_leaves_nothing() -> None:
    call, pool = session()
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    call.rollback()
    assert len(pool) == 50
    call.offer("a", sdp(audio(), VIDEO), ACCEPT, OFF, 1.0)
    assert b"m=video" not in call.offer("a", sdp(audio()), ACCEPT, OFF, 2.0)
    assert len(pool) == 48


def test_an_offer_that_was_refused_here_leaves_nothing_to_roll_back() -> None:
    call = agreed()
    with pytest.raises(MediaRefused):
        call.offer("a", sdp(FAX), ACCEPT, OFF, 2.0)
    call.rollback()
    legs = call.streams[0].ends
    assert packet(legs["a"].leg.port_rtp, rtp(1), (ALICE, 40000)) is not None


def test_an_added_line_that_was_refused_may_be_left_out_again() -> None:
    call = agreed()
    call.offer("a", sdp(audio(), VIDEO), ACCEPT, OFF, 2.0)
    call.rollback()
    assert b"m=video" not in call.offer("a", sdp(audio()), ACCEPT, OFF, 3.0)
    call.answer("b", sdp(audio(50000), host=BOB), 3.0)


def test_a_bad_payload_type_takes_no_ports() -> None:
    call, pool = session()
    with pytest.raises(PeerError):
        call.offer("a", sdp(audio(), "m=audio 4000 RTP/AVP 200\r\n"), ACCEPT, OFF, 0.0)
    assert len(pool) == 50


def test_lines_may_be_added_and_disabled_but_not_all_removed() -> None:
    call = agreed()
    with pytest.raises(MediaRefused):
        call.offer("a", sdp(), ACCEPT, OFF, 2.0)
    call.offer("a", sdp(audio(0), audio(42000)), ACCEPT, OFF, 2.0)
    call.answer("b", sdp(audio(0), audio(52000), host=BOB), 2.0)
    assert [bool(each.ends["a"].local) for each in call.streams] == [False, True]
    assert not call.streams[0].ends["a"].leg.agreed


def test_failover_silences_the_former_peer_and_shows_the_next_another_session() -> None:
    call, _ = session()
    one = call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    two = call.offer("a", sdp(audio()), ACCEPT, OFF, 1.0, restart=True)
    assert one.split()[2] != two.split()[2] and first(one).port == first(two).port
    legs = call.streams[0].ends
    assert packet(legs["b"].leg.port_rtp, rtp(1), (BOB, 50000)) is None
    assert packet(legs["a"].leg.port_rtp, rtp(1), (ALICE, 40000)) is None
    call.answer("b", sdp(audio(50000), host="198.51.100.30"), 1.0)
    assert packet(legs["b"].leg.port_rtp, rtp(1), (BOB, 50000)) is None
    assert packet(legs["b"].leg.port_rtp, rtp(2), ("198.51.100.30", 50000)) is not None


def test_multiplexed_rtcp_is_agreed_leg_by_leg() -> None:
    call, _ = session()
    assert b"a=rtcp-mux\r\n" in call.offer("a", sdp(audio(40000, "RTP/AVP", "rtcp-mux")), ACCEPT, OFF, 0.0)
    answer = call.answer("b", sdp(audio(50000), "a=rtcp:50009\r\n", host=BOB), 0.0)
    legs = call.streams[0].ends
    assert b"a=rtcp-mux\r\n" in answer and legs["a"].leg.mux and not legs["b"].leg.mux
    assert legs["b"].leg.port_rtcp.target == (BOB, 50009)
    unasked, _ = session()
    unasked.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    unasked.answer("b", sdp(audio(50000, "RTP/AVP", "rtcp-mux"), host=BOB), 0.0)
    assert not unasked.streams[0].ends["b"].leg.mux


def test_a_peer_that_names_our_own_port_is_refused() -> None:
    call = agreed()
    for port in (20000, 20001, 20002):
        with pytest.raises(MediaRefused):
            call.offer("a", sdp(audio(port), host=SBC), ACCEPT, OFF, 0.0)
    with pytest.raises(MediaRefused):
        call.offer("a", sdp(audio(40000, "RTP/AVP", f"rtcp:20003 IN IP4 {SBC}")), ACCEPT, OFF, 0.0)


def test_ports_come_back_when_the_pool_runs_dry_in_the_middle() -> None:
    call, pool = session("20000-20005")
    with pytest.raises(LocalError):
        call.offer("a", sdp(audio(), audio(42000)), ACCEPT, OFF, 0.0)
    assert len(pool) == 3 and not call.streams


def test_all_pairs_of_a_call_count_against_the_trunk_that_it_came_in_on() -> None:
    call, pool = session()
    caller, callee = MediaPolicy("off", trunk="caller"), MediaPolicy("off", trunk="callee")
    call.offer("a", sdp(audio(), audio(42000)), caller, callee, 0.0)
    assert (pool.held("caller"), pool.held("callee")) == (4, 0)
    call.answer("b", sdp(audio(50000), audio(52000), host=BOB), 0.0)
    call.offer("b", sdp(audio(50000), audio(52000), audio(54000), host=BOB), callee, caller, 1.0)
    assert (pool.held("caller"), pool.held("callee")) == (6, 0), "whoever offers"
    call.close()
    assert pool.held("caller") == 0


def test_an_offer_over_the_ports_of_its_trunk_takes_none() -> None:
    call, pool = session()
    caller = MediaPolicy("off", trunk="caller", ports=3)
    with pytest.raises(LocalError, match=r"trunk caller holds 3 .* its limits\.ports is 3"):
        call.offer("a", sdp(audio(), audio(42000)), caller, OFF, 0.0)
    assert pool.held("caller") == 0 and len(pool) == 50 and not call.streams
    call.offer("a", sdp(audio()), caller, OFF, 0.0)


def test_the_same_offer_again_before_its_answer_is_answered_with_the_same_bytes() -> None:
    call, _ = session()
    one = call.offer("b", sdp(audio(), host=BOB), OFF, OSRTP, 0.0)
    assert call.offer("b", sdp(audio(), host=BOB), OFF, OSRTP, 0.0) == one, "a reliable 183 is repeated"
    assert call.offer("b", sdp(audio(41000), host=BOB), OFF, OSRTP, 0.0) != one
    assert call.offer("b", sdp(audio(), host=BOB), OFF, OSRTP, 0.0, restart=True) != one


def test_a_fork_that_is_gone_back_to_is_sent_to_under_the_key_that_it_knows() -> None:
    call, _ = session()
    forks = [sdp(audio(50000 + each, "RTP/SAVP", crypto(each)), host=BOB) for each in (1, 2)]
    keys = []
    for offer in (forks[0], forks[1], forks[0]):
        call.offer("b", offer, REQUIRED, OFF, 0.0)
        keys.append(lines(call.answer("a", sdp(audio()), 0.0))[0].key)
        sent = packet(call.streams[0].ends["a"].leg.port_rtp, rtp(len(keys)), (ALICE, 40000))
        assert sent is not None and Unprotector(CryptoLine(1, SUITES[0], keys[-1])).rtp(sent[1])
    assert keys[0] == keys[2] != keys[1]


def test_silence_is_counted_from_the_last_packet_that_was_seen() -> None:
    call = agreed()
    assert call.silent_for(11.0) == 10.0
    packet(call.streams[0].ends["a"].leg.port_rtp, rtp(1), (ALICE, 40000))
    assert [call.silent_for(each) for each in (20.0, 50.0)] == [0.0, 30.0]


def test_closing_gives_the_counters_and_ends_everything() -> None:
    call = agreed()
    leg = call.streams[0].ends["a"].leg
    packet(leg.port_rtp, rtp(1), (ALICE, 40000))
    packet(leg.port_rtp, rtp(4), ("203.0.113.66", 1))
    packet(leg.port_rtp, rtp(4), (ALICE, 40000))
    stats = call.close()
    assert (stats.a.packets_in, stats.b.packets_out, stats.a.lost, stats.a.refused) == (
        2,
        2,
        2,
        {"source": 1},
    )
    assert packet(leg.port_rtp, rtp(5), (ALICE, 40000)) is None
    assert call.close().streams == ()


def test_seven_calls_with_sixteen_streams_leave_ports_to_the_others() -> None:
    _, pool = session("20000-20399")
    calls = [session_on(pool) for _ in range(45)]
    for call in calls[:7]:
        call.offer("a", sdp(*[audio(40000 + 2 * each) for each in range(16)]), ACCEPT, OFF, 0.0)
    for call in calls[7:]:
        assert first(call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)).port


@pytest.mark.parametrize("most", [1, 4, 16])
def test_streams_over_the_cap_get_port_0_on_both_sides(most: int) -> None:
    call, pool = session()
    policy = replace(ACCEPT, streams=most)
    lines = [audio(40000 + 2 * each) for each in range(16)]
    theirs = parse_sdp(call.offer("a", sdp(*lines), policy, OFF, 0.0))
    assert [bool(each.port) for each in theirs.media] == [each < most for each in range(16)]
    assert len(pool) == 50 - 2 * most
    answer = parse_sdp(call.answer("b", sdp(*lines, host=BOB), 0.0))
    assert [bool(each.port) for each in answer.media] == [each < most for each in range(16)]


def test_what_is_refused_anyway_does_not_count_and_running_streams_come_first() -> None:
    call, _ = session()
    policy = replace(ACCEPT, streams=2)
    off = "m=audio 0 RTP/AVP 0\r\n"
    one = parse_sdp(call.offer("a", sdp(off, FAX, audio(40000), audio(40002)), policy, OFF, 0.0))
    assert [bool(each.port) for each in one.media] == [False, False, True, True]
    call.answer("b", sdp(off, FAX.replace("40020", "0"), audio(50000), audio(50002), host=BOB), 0.0)
    two = parse_sdp(call.offer("a", sdp(audio(40004), FAX, audio(40000), audio(40002)), policy, OFF, 1.0))
    assert [bool(each.port) for each in two.media] == [False, False, True, True]


@pytest.mark.parametrize(
    ("bound", "host"),
    [
        ("0.0.0.0", "2001:db8::7"),
        ("192.0.2.1", "2001:db8::7"),
        ("2001:db8::1", ALICE),
        ("2001:db8::1", f"::ffff:{ALICE}"),
    ],
)
def test_an_address_of_a_family_that_media_has_no_socket_of_is_refused(bound: str, host: str) -> None:
    _, pool = session()
    call = session_on(pool, bound)
    with pytest.raises(MediaRefused) as refused:
        call.offer("a", sdp(audio(), host=host).replace(b"IP4", b"IP6"), ACCEPT, OFF, 0.0)
    assert refused.value.status == 488 and len(pool) == 50
    own = "2001:db8::8" if ":" in bound else BOB
    call.offer("a", sdp(audio(), host=own), ACCEPT, OFF, 0.0)
    with pytest.raises(MediaRefused):
        call.answer("b", sdp(audio(), host=host), 0.0)
    with pytest.raises(MediaRefused):
        call.answer("b", sdp(audio(50000, "RTP/AVP", f"rtcp:50001 IN IP6 {host}"), host=own), 0.0)


@pytest.mark.parametrize("host", [ALICE, f"::ffff:{ALICE}", "2001:db8::7"])
def test_on_the_ipv6_wildcard_both_families_are_taken(host: str) -> None:
    call = session_on(session()[1], "::")
    call.offer("a", sdp(audio(), host=host), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    sent = packet(call.streams[0].ends["b"].leg.port_rtp, rtp(1), (BOB, 50000))
    assert sent is not None and sent[2] == (host.removeprefix("::ffff:"), 40000)


def test_one_stream_of_another_family_is_refused_alone() -> None:
    call = session_on(session()[1], "0.0.0.0")
    video = VIDEO.replace("\r\n", "\r\nc=IN IP6 2001:db8::7\r\n", 1)
    offer = parse_sdp(call.offer("a", sdp(audio(), video), ACCEPT, OFF, 0.0))
    assert [bool(each.port) for each in offer.media] == [True, False]


@pytest.mark.parametrize(
    ("formats", "codec"),
    [
        ("0 101", "PCMU"),
        ("101 8 0", "PCMA"),
        ("96", "OPUS"),
        ("13 101", ""),
        ("77", ""),
    ],
)
def test_the_codec_that_the_answer_chose_is_told_of_both_legs(formats: str, codec: str) -> None:
    names = "a=rtpmap:101 telephone-event/8000\r\na=rtpmap:96 opus/48000/2\r\n"
    call, _ = session()
    offered = f"m=audio 40000 RTP/AVP 0 8 96 101 13 77\r\n{names}"
    call.offer("a", sdp(offered, VIDEO), ACCEPT, OFF, 0.0)
    assert call.stats().a.codec == "", "nobody has chosen"
    video = VIDEO.replace("40010", "50010")
    call.answer("b", sdp(f"m=audio 50000 RTP/AVP {formats}\r\n{names}", video, host=BOB), 1.0)
    stats = call.close()
    assert (stats.a.codec, stats.b.codec) == (codec, codec)


def test_a_later_answer_changes_the_codec_and_a_refused_stream_has_none() -> None:
    call = agreed()
    assert call.stats().b.codec == "PCMU"
    call.offer("b", sdp("m=audio 50000 RTP/AVP 8 0\r\n", host=BOB), OFF, ACCEPT, 2.0)
    assert call.stats().b.codec == "PCMU", "what is offered is not agreed"
    call.answer("a", sdp("m=audio 40000 RTP/AVP 8\r\n"), 2.0)
    assert call.stats().b.codec == "PCMA"
    call.offer("b", sdp("m=audio 0 RTP/AVP 8\r\n", host=BOB), OFF, ACCEPT, 3.0)
    call.answer("a", sdp("m=audio 0 RTP/AVP 8\r\n"), 3.0)
    assert call.stats().b.codec == ""


@pytest.mark.parametrize(("near", "far"), [(True, True), (True, False), (False, True)])
def test_the_label_of_a_stream_crosses_between_legs_that_name_their_streams(near: bool, far: bool) -> None:
    """RFC 4574: what else is said of the call names its streams by them."""
    media, _ = session()
    ours, theirs = replace(ACCEPT, labels=near), replace(ACCEPT, labels=far)
    made = media.offer("a", sdp(audio(40000, "RTP/AVP", "label:7", "x-secret:1")), ours, theirs, 0.0)
    back = media.answer("b", sdp(audio(50000, "RTP/AVP", "label:8"), host=BOB), 0.0)
    assert (b"a=label:7\r\n" in made, b"a=label:8\r\n" in back) == (near and far, near and far)
    assert b"x-secret" not in made and b"label" not in made.replace(b"a=label:7", b"")
