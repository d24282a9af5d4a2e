"""SRTP by policy: what is offered, what is answered, and that every doubt refuses the call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.media.errors import MediaRefused
from sbc.media.policy import SUITES, MediaPolicy
from sbc.media.relay import packet
from sbc.media.sdes import KEY_LENGTHS, CryptoLine
from sbc.media.sdp import parse_sdp
from sbc.media.session import MediaSession
from sbc.media.srtp import Protector, Unprotector
from tests.unit.media.kit import (
    ACCEPT,
    ALICE,
    BOB,
    OFF,
    OSRTP,
    REQUIRED,
    audio,
    crypto,
    first,
    inline,
    key,
    lines,
    rtp,
    sdp,
    session,
)  # fmt: skip

CLEAR = MediaPolicy("required", sdes=False)
A, B = (ALICE, 40000), (BOB, 50000)


def offered(policy: MediaPolicy) -> tuple[MediaSession, bytes]:
    call, _ = session()
    return call, call.offer("a", sdp(audio()), ACCEPT, policy, 0.0)


def secured() -> tuple[MediaSession, CryptoLine]:
    """A plain caller towards an SRTP callee that sends under key 1; also our key to the callee."""
    call, offer = offered(REQUIRED)
    call.answer("b", sdp(audio(50000, "RTP/SAVP", crypto(1)), host=BOB), 0.0)
    return call, lines(offer)[0]


@pytest.mark.parametrize(
    ("policy", "profile", "count"),
    [
        (OFF, "RTP/AVP", 0),
        (ACCEPT, "RTP/AVP", 0),
        (OSRTP, "RTP/AVP", 6),
        (REQUIRED, "RTP/SAVP", 6),
        (replace(OSRTP, sdes=False), "RTP/AVP", 0),
    ],
)
def test_what_each_policy_offers(policy: MediaPolicy, profile: str, count: int) -> None:
    _, offer = offered(policy)
    assert (first(offer).proto, len(lines(offer))) == (profile, count)
    assert [(each.tag, each.suite) for each in lines(offer)] == list(enumerate(SUITES, 1))[:count]
    assert len({each.key for each in lines(offer)}) == count
    assert all(len(each.key) == KEY_LENGTHS[each.suite] for each in lines(offer))


def test_the_order_of_the_suites_is_the_policys() -> None:
    _, offer = offered(MediaPolicy("required", suites=("AEAD_AES_256_GCM", SUITES[0])))
    assert [(each.tag, each.suite) for each in lines(offer)] == [(1, "AEAD_AES_256_GCM"), (2, SUITES[0])]


def test_srtp_that_may_not_cross_the_signalling_is_refused() -> None:
    call, _ = session()
    with pytest.raises(MediaRefused, match="not TLS"):
        call.offer("a", sdp(audio()), ACCEPT, CLEAR, 0.0)
    with pytest.raises(MediaRefused, match="not TLS"):
        call.offer("a", sdp(audio(40000, "RTP/SAVP", crypto(1))), CLEAR, OFF, 0.0)
    with pytest.raises(MediaRefused):
        call.offer("a", sdp(audio(40000, "RTP/SAVP", crypto(1))), MediaPolicy(sdes=False), OFF, 0.0)


@pytest.mark.parametrize("policy", [OFF, ACCEPT, OSRTP, REQUIRED])
@pytest.mark.parametrize("profile", ["RTP/AVP", "RTP/SAVP"])
def test_an_inbound_offer_with_crypto_is_answered_with_sdes(policy: MediaPolicy, profile: str) -> None:
    call, _ = session()
    offer = audio(
        40000, profile, "crypto:1 F8_128_HMAC_SHA1_80 inline:x", crypto(9, SUITES[1], 77), crypto(8)
    )
    call.offer("a", sdp(offer), policy, OFF, 0.0)
    answer = call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    (ours,) = lines(answer)
    assert (first(answer).proto, ours.tag, ours.suite) == (profile, 77, SUITES[1])
    legs = call.streams[0].ends
    secured = Protector(key(9, SUITES[1])).rtp(rtp(1))
    assert packet(legs["a"].leg.port_rtp, secured, A) == (legs["b"].leg.port_rtp, rtp(1), B)
    sent = packet(legs["b"].leg.port_rtp, rtp(5), B)
    assert sent is not None and Unprotector(ours).rtp(sent[1]) == rtp(5)


def test_a_suite_is_answered_as_the_offer_spells_it() -> None:
    """AES-256 in counter mode had another name before RFC 6188; the accepted line has the offered suite."""
    former, suite = "AES_CM_256_HMAC_SHA1_80", "AES_256_CM_HMAC_SHA1_80"
    call, _ = session()
    line = crypto(9, suite, 3).replace(suite, former)
    call.offer("a", sdp(audio(40000, "RTP/SAVP", line)), ACCEPT, OFF, 0.0)
    answer = call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    (ours,) = lines(answer)
    assert f"a=crypto:3 {former} inline:".encode() in answer
    assert packet(call.streams[0].ends["a"].leg.port_rtp, Protector(key(9, suite)).rtp(rtp(1)), A) is not None
    call.offer("b", sdp(audio(50000), host=BOB), OFF, ACCEPT, 0.0)
    again = call.offer("b", sdp(audio(50002), host=BOB), OFF, ACCEPT, 0.0)
    assert f"a=crypto:3 {former} inline:".encode() in again and lines(again)[0].key == ours.key
    call.rollback()
    moved = line.replace("crypto:3", "crypto:4").replace(former, suite)
    call.offer("a", sdp(audio(40000, "RTP/SAVP", moved)), ACCEPT, OFF, 0.0)
    assert f"a=crypto:4 {suite} inline:".encode() in call.answer("b", sdp(audio(50000), host=BOB), 0.0)


def test_an_answer_may_spell_the_suite_that_we_offered_as_it_was_called_before() -> None:
    suite = "AES_256_CM_HMAC_SHA1_32"
    call, offer = offered(MediaPolicy("required", suites=(suite,)))
    assert f"a=crypto:1 {suite} inline:".encode() in offer
    theirs = crypto(1, suite).replace(suite, "AES_CM_256_HMAC_SHA1_32")
    call.answer("b", sdp(audio(50000, "RTP/SAVP", theirs), host=BOB), 0.0)
    assert packet(call.streams[0].ends["b"].leg.port_rtp, Protector(key(1, suite)).rtp(rtp(1)), B) is not None
    assert call.stats().b.suite == suite


def test_crypto_without_sdes_in_an_avp_offer_is_answered_plain() -> None:
    call, _ = session()
    call.offer("a", sdp(audio(40000, "RTP/AVP", crypto(1))), MediaPolicy(sdes=False), OFF, 0.0)
    assert lines(call.answer("b", sdp(audio(50000), host=BOB), 0.0)) == []


@pytest.mark.parametrize("profile", ["RTP/AVP", "RTP/SAVP"])
@pytest.mark.parametrize(
    "line", [None, crypto(1) + " UNENCRYPTED_SRTP", "crypto:1 NONE inline:x", crypto(1, "AEAD_AES_256_GCM")]
)
def test_required_and_no_usable_line_in_the_offer_is_refused(profile: str, line: str | None) -> None:
    call, pool = session()
    policy = MediaPolicy("required", suites=SUITES[:2])
    with pytest.raises(MediaRefused):
        call.offer("a", sdp(audio(40000, profile, *([line] if line else []))), policy, OFF, 0.0)
    assert len(pool) == 50


@pytest.mark.parametrize("number", range(6))
def test_a_required_answer_in_each_suite_carries_media(number: int) -> None:
    call, offer = offered(REQUIRED)
    ours = lines(offer)[number]
    theirs = crypto(1, ours.suite, ours.tag) + ("|2^31|1:1" if number == 0 else "")
    answer = call.answer("b", sdp(audio(50000, "RTP/SAVP", theirs), host=BOB), 0.0)
    assert lines(answer) == [] and first(answer).proto == "RTP/AVP"
    legs = call.streams[0].ends
    sent = packet(legs["a"].leg.port_rtp, rtp(1), A)
    assert sent is not None and Unprotector(ours).rtp(sent[1]) == rtp(1)
    secured = Protector(key(1, ours.suite)).rtp(rtp(2))
    if number == 0:
        secured = secured[:-10] + b"\x01" + secured[-10:]
    assert packet(legs["b"].leg.port_rtp, secured, B) == (legs["a"].leg.port_rtp, rtp(2), A)
    assert call.stats().b.suite == ours.suite


BAD_ANSWERS = {
    "plain": audio(50000),
    "no line": audio(50000, "RTP/SAVP"),
    "another profile": audio(50000, "RTP/AVP", crypto(1)),
    "DTLS": audio(50000, "UDP/TLS/RTP/SAVP", crypto(1)),
    "two lines": audio(50000, "RTP/SAVP", crypto(1), crypto(2, SUITES[1], 2)),
    "another tag": audio(50000, "RTP/SAVP", crypto(1, SUITES[0], 2)),
    "unknown tag": audio(50000, "RTP/SAVP", crypto(1, SUITES[0], 9)),
    "another suite": audio(50000, "RTP/SAVP", crypto(1, SUITES[1], 1)),
    "unknown suite": audio(50000, "RTP/SAVP", f"crypto:1 F8_128_HMAC_SHA1_80 inline:{inline(bytes(30))}"),
    "short key": audio(50000, "RTP/SAVP", f"crypto:1 {SUITES[0]} inline:{inline(bytes(29))}"),
    "not base64": audio(50000, "RTP/SAVP", f"crypto:1 {SUITES[0]} inline:{'!' * 40}"),
    "unencrypted": audio(50000, "RTP/SAVP", crypto(1) + " UNENCRYPTED_SRTP"),
    "unauthenticated": audio(50000, "RTP/SAVP", crypto(1) + " UNAUTHENTICATED_SRTP"),
    "long MKI": audio(50000, "RTP/SAVP", crypto(1) + "|2^20|1:4"),
}


@pytest.mark.parametrize("name", BAD_ANSWERS)
def test_required_fails_closed(name: str) -> None:
    call, _ = offered(REQUIRED)
    with pytest.raises(MediaRefused) as caught:
        call.answer("b", sdp(BAD_ANSWERS[name], host=BOB), 0.0)
    assert "inline" not in caught.value.reason
    legs = call.streams[0].ends
    assert packet(legs["a"].leg.port_rtp, rtp(1), A) is None
    assert packet(legs["b"].leg.port_rtp, rtp(1), B) is None


def test_an_answer_that_echoes_our_key_is_refused() -> None:
    call, offer = offered(REQUIRED)
    echo = f"crypto:1 {SUITES[0]} inline:{inline(lines(offer)[0].key)}"
    with pytest.raises(MediaRefused, match="repeats our own key") as caught:
        call.answer("b", sdp(audio(50000, "RTP/SAVP", echo), host=BOB), 0.0)
    assert inline(lines(offer)[0].key) not in str(caught.value)


def test_an_opportunistic_offer_may_be_answered_plain_but_not_badly() -> None:
    call, _ = offered(OSRTP)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    assert packet(call.streams[0].ends["a"].leg.port_rtp, rtp(1), A) is not None
    for bad in (crypto(1, SUITES[0], 9), crypto(1) + " UNENCRYPTED_SRTP"):
        call, _ = offered(OSRTP)
        with pytest.raises(MediaRefused):
            call.answer("b", sdp(audio(50000, "RTP/AVP", bad), host=BOB), 0.0)


def test_an_answer_with_crypto_that_we_never_offered_is_refused() -> None:
    call, _ = offered(OFF)
    with pytest.raises(MediaRefused):
        call.answer("b", sdp(audio(50000, "RTP/AVP", crypto(1)), host=BOB), 0.0)


def test_a_refresh_keeps_our_key_and_the_rollover_counters() -> None:
    call, ours = secured()
    legs, peer, theirs = call.streams[0].ends, Protector(key(1)), Unprotector(ours)
    for sequence in range(65530, 65536 + 10):
        sent = packet(legs["a"].leg.port_rtp, rtp(sequence), A)
        assert sent is not None and theirs.rtp(sent[1]) == rtp(sequence)
        assert packet(legs["b"].leg.port_rtp, peer.rtp(rtp(sequence)), B) is not None
    again = call.offer("a", sdp(audio()), ACCEPT, REQUIRED, 9.0)
    assert lines(again) == [ours] and first(again).proto == "RTP/SAVP"
    call.answer("b", sdp(audio(50000, "RTP/SAVP", crypto(1)), host=BOB), 9.0)
    sent = packet(legs["a"].leg.port_rtp, rtp(65536 + 10), A)
    assert sent is not None and theirs.rtp(sent[1]) == rtp(10 + 65536)
    assert packet(legs["b"].leg.port_rtp, peer.rtp(rtp(65536 + 10)), B) is not None


def test_a_re_offer_from_the_secured_side_keeps_our_key_and_echoes_its_tag() -> None:
    call, ours = secured()
    call.offer("b", sdp(audio(50000, "RTP/SAVP", crypto(1, SUITES[0], 5)), host=BOB), REQUIRED, ACCEPT, 9.0)
    (answered,) = lines(call.answer("a", sdp(audio()), 9.0))
    assert (answered.key, answered.tag) == (ours.key, 5)


@pytest.mark.parametrize("number", [1, 7])
def test_the_only_line_of_a_re_offer_may_be_answered_under_another_number(number: int) -> None:
    """Softswitches number what they answer from 1, whatever number they gave it when they offered it."""
    call, _ = session()
    call.offer("a", sdp(audio(40000, "RTP/SAVP", crypto(1, SUITES[0], 5))), REQUIRED, OFF, 0.0)
    (ours,) = lines(call.answer("b", sdp(audio(50000), host=BOB), 0.0))
    again = call.offer("b", sdp(audio(50000), host=BOB), OFF, REQUIRED, 1.0)
    assert [(each.tag, each.key) for each in lines(again)] == [(5, ours.key)]
    call.answer("a", sdp(audio(40000, "RTP/SAVP", crypto(1, SUITES[0], number))), 1.0)
    legs = call.streams[0].ends
    sent = packet(legs["b"].leg.port_rtp, rtp(1), B)
    assert sent is not None and Unprotector(ours).rtp(sent[1]) == rtp(1)
    assert packet(legs["a"].leg.port_rtp, Protector(key(1)).rtp(rtp(1)), A) is not None


def test_the_only_line_of_an_offer_is_not_answered_by_another_suite() -> None:
    call, _ = offered(MediaPolicy("required", suites=SUITES[:1]))
    with pytest.raises(MediaRefused, match="was not offered"):
        call.answer("b", sdp(audio(50000, "RTP/SAVP", crypto(1, SUITES[1])), host=BOB), 0.0)


def test_a_new_key_of_the_peer_takes_over_without_a_gap() -> None:
    call, ours = secured()
    legs, old, new = call.streams[0].ends, Protector(key(1)), Protector(key(2))
    b = legs["b"].leg
    assert packet(b.port_rtp, old.rtp(rtp(1)), B) is not None
    call.offer("b", sdp(audio(50000, "RTP/SAVP", crypto(2)), host=BOB), REQUIRED, ACCEPT, 9.0)
    assert packet(b.port_rtp, old.rtp(rtp(2)), B) is not None
    assert lines(call.answer("a", sdp(audio()), 9.0))[0].key == ours.key
    assert packet(b.port_rtp, old.rtp(rtp(3)), B) is not None
    assert packet(b.port_rtp, new.rtp(rtp(4)), B) is not None
    assert packet(b.port_rtp, old.rtp(rtp(5)), B) is None


def wrapped(call: MediaSession) -> Protector:
    """The peer of b, one wrap after it began: its rollover counter is 1."""
    leg, peer = call.streams[0].ends["b"].leg, Protector(key(1))
    for sequence in (20000, 50000, 65536 + 100):
        assert packet(leg.port_rtp, peer.rtp(rtp(sequence)), B) is not None
    return peer


def under(number: int, sequence: int, roc: int) -> bytes:
    """A packet under the key of that number, from a sender whose rollover counter is ``roc``."""
    sender = Protector(key(number))
    for index in range(0, (roc << 16) + sequence - 20000, 20000):
        sender.rtp(rtp(index))
    return sender.rtp(rtp(sequence))


@pytest.mark.parametrize("roc", [0, 1])
@pytest.mark.parametrize("port", [50000, 51000])
def test_a_new_key_after_a_wrap_is_heard_whether_the_counter_was_kept_or_not(port: int, roc: int) -> None:
    """RFC 3711 3.3.1 keeps the rollover counter, RFC 4568 7.1.4 sets it to zero: peers do both."""
    call, _ = secured()
    old = wrapped(call)
    call.offer("b", sdp(audio(port, "RTP/SAVP", crypto(2)), host=BOB), REQUIRED, ACCEPT, 9.0)
    call.answer("a", sdp(audio()), 9.0)
    legs = call.streams[0].ends
    for sequence in range(101, 1000):  # in flight, more of them than there are tries
        assert packet(legs["b"].leg.port_rtp, old.rtp(rtp(65536 + sequence)), B) is not None
    assert packet(legs["b"].leg.port_rtp, under(2, 40000, roc), (BOB, port)) is not None
    assert legs["b"].leg.port_rtp.target == (BOB, port) and not legs["b"].leg.refused


def test_a_peer_that_is_heard_first_after_its_wrap_is_heard() -> None:
    call, _ = secured()
    leg = call.streams[0].ends["b"].leg
    assert packet(leg.port_rtp, under(1, 2, 1), B) is not None
    assert not leg.refused


def test_another_device_at_another_address_gets_another_key_of_ours() -> None:
    call, ours = secured()
    call.offer("b", sdp(audio(51000, "RTP/SAVP", crypto(2)), host=BOB), REQUIRED, ACCEPT, 9.0)
    assert lines(call.answer("a", sdp(audio()), 9.0))[0].key != ours.key


def test_a_peer_that_drops_crypto_on_a_required_leg_is_refused_and_the_media_stays() -> None:
    call, _ = secured()
    with pytest.raises(MediaRefused):
        call.offer("b", sdp(audio(50000), host=BOB), REQUIRED, ACCEPT, 9.0)
    call.offer("a", sdp(audio()), ACCEPT, REQUIRED, 10.0)
    with pytest.raises(MediaRefused):
        call.answer("b", sdp(audio(50000), host=BOB), 10.0)
    legs = call.streams[0].ends
    assert packet(legs["b"].leg.port_rtp, rtp(1), B) is None
    sent = packet(legs["a"].leg.port_rtp, rtp(1), A)
    assert sent is not None and rtp(1)[12:] not in sent[1]


def test_a_re_offer_with_our_own_key_is_refused() -> None:
    call, ours = secured()
    echo = f"crypto:1 {SUITES[0]} inline:{inline(ours.key)}"
    with pytest.raises(MediaRefused, match="repeats our own key"):
        call.offer("b", sdp(audio(50000, "RTP/SAVP", echo), host=BOB), REQUIRED, ACCEPT, 9.0)


def test_rollback_returns_to_the_former_contexts() -> None:
    call, ours = secured()
    legs, peer, theirs = call.streams[0].ends, Protector(key(1)), Unprotector(ours)
    packet(legs["b"].leg.port_rtp, one := peer.rtp(rtp(1)), B)
    call.offer("b", sdp(audio(51000, "RTP/SAVP", crypto(2)), host=BOB), REQUIRED, ACCEPT, 9.0)
    call.answer("a", sdp(audio()), 9.0)
    call.rollback()
    assert packet(legs["b"].leg.port_rtp, one, B) is None  # its replay window is remembered
    assert packet(legs["b"].leg.port_rtp, peer.rtp(rtp(2)), B) is not None
    sent = packet(legs["a"].leg.port_rtp, rtp(1), A)
    assert sent is not None and theirs.rtp(sent[1]) == rtp(1)


def test_failover_never_shows_a_key_to_two_peers() -> None:
    call, offer = offered(REQUIRED)
    call.answer("b", sdp(audio(50000, "RTP/SAVP", crypto(1)), host=BOB), 0.0)
    again = call.offer("a", sdp(audio()), ACCEPT, REQUIRED, 1.0, restart=True)
    assert not {each.key for each in lines(offer)} & {each.key for each in lines(again)}
    assert packet(call.streams[0].ends["b"].leg.port_rtp, Protector(key(1)).rtp(rtp(1)), B) is None


def test_forks_with_other_keys_are_followed_and_a_return_finds_its_contexts() -> None:
    call, offer = offered(REQUIRED)
    fork = [
        sdp(audio(port, "RTP/SAVP", crypto(number)), host=BOB) for port, number in ((50000, 1), (52000, 2))
    ]
    legs, theirs, one = call.streams[0].ends, Unprotector(lines(offer)[0]), Protector(key(1))
    call.answer("b", fork[0], 0.0)
    heard = one.rtp(rtp(1))
    assert packet(legs["b"].leg.port_rtp, heard, B) is not None
    call.answer("b", fork[1], 0.0)
    sent = packet(legs["a"].leg.port_rtp, rtp(1), A)
    assert sent is not None and sent[2] == (BOB, 52000) and theirs.rtp(sent[1]) == rtp(1)
    call.answer("b", fork[0], 0.0)
    assert packet(legs["b"].leg.port_rtp, heard, B) is None
    assert packet(legs["b"].leg.port_rtp, one.rtp(rtp(2)), B) is not None


def test_both_legs_may_be_secured_and_the_streams_have_their_own_keys() -> None:
    call, _ = session()
    video = "m=video 40010 RTP/SAVPF 96\r\na=" + crypto(4) + "\r\n"
    offer = call.offer("a", sdp(audio(40000, "RTP/SAVP", crypto(3)), video), REQUIRED, REQUIRED, 0.0)
    assert b"m=video 20006 RTP/SAVPF 96" in offer and offer.count(b"a=crypto:") == 2 * len(SUITES)
    answer = sdp(audio(50000, "RTP/SAVP", crypto(1)), video.replace("40010", "50010"), host=BOB)
    call.answer("b", answer, 0.0)
    legs = call.streams[0].ends
    sent = packet(legs["a"].leg.port_rtp, Protector(key(3)).rtp(rtp(1)), A)
    assert sent is not None and Unprotector(lines(offer)[0]).rtp(sent[1]) == rtp(1)


def test_a_stream_that_cannot_be_keyed_is_rejected_alone_where_srtp_is_optional() -> None:
    call, _ = session()
    offer = call.offer("a", sdp(audio(40000, "RTP/SAVP"), audio(42000)), ACCEPT, OFF, 0.0)
    assert offer.count(b"m=audio 0 RTP/SAVP 0\r\n") == 1 and b"m=audio 20002 RTP/AVP 0 101" in offer


FAR = "m=application 40030 RTP/AVP 100\r\na=rtpmap:100 H224/4800\r\n"
PICTURE = "m=video 40010 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
SECURED = audio(40000, "RTP/SAVP", crypto(3))


def ports(data: bytes) -> list[int]:
    return [each.port for each in parse_sdp(data).media]


@pytest.mark.parametrize("theirs", [OFF, OSRTP, REQUIRED])
@pytest.mark.parametrize(
    "sections",
    [(SECURED, audio(42000)), (audio(42000), SECURED), (SECURED, PICTURE, FAR), (PICTURE, FAR, SECURED)],
)
def test_a_plain_stream_beside_a_secured_one_is_refused_alone(
    sections: tuple[str, ...], theirs: MediaPolicy
) -> None:
    call, pool = session()
    index = sections.index(SECURED)
    offer = call.offer("a", sdp(*sections), REQUIRED, theirs, 0.0)
    assert [number for number, port in enumerate(ports(offer)) if port] == [index], (
        "the plain one goes nowhere"
    )
    refused = [
        f"m={each.kind} 0 {each.proto} {each.formats[0]}\r\n" for each in parse_sdp(sdp(*sections)).media
    ]
    taken = audio(50000, "RTP/SAVP", crypto(1)) if theirs is REQUIRED else audio(50000)
    theirs_sections = [taken if number == index else each for number, each in enumerate(refused)]
    answer = call.answer("b", sdp(*theirs_sections, host=BOB), 0.0)
    assert [number for number, port in enumerate(ports(answer)) if port] == [index]
    assert len(parse_sdp(answer).media[index].values("crypto")) == 1
    assert len(pool) == 48, "only the secured stream holds ports"
    ends = call.streams[index].ends
    assert packet(ends["a"].leg.port_rtp, rtp(1), A) is None, "nothing passes in the clear"
    assert packet(ends["a"].leg.port_rtp, Protector(key(3)).rtp(rtp(1)), A) is not None
    for number, stream in enumerate(call.streams):
        if number != index:
            assert packet(stream.ends["a"].leg.port_rtp, rtp(1), (ALICE, 42000)) is None


@pytest.mark.parametrize("policy", [ACCEPT, OSRTP])
@pytest.mark.parametrize("sections", [(SECURED, audio(42000)), (audio(42000), SECURED)])
def test_of_a_secured_and_a_plain_audio_the_secured_one_is_taken(
    sections: tuple[str, ...], policy: MediaPolicy
) -> None:
    call, _ = session()
    index = sections.index(SECURED)
    offer = call.offer("a", sdp(*sections), policy, OFF, 0.0)
    assert [bool(port) for port in ports(offer)] == [number == index for number in range(2)]


def test_a_picture_in_the_clear_stands_beside_secured_audio_where_srtp_is_optional() -> None:
    call, _ = session()
    assert all(ports(call.offer("a", sdp(SECURED, PICTURE), ACCEPT, OFF, 0.0)))


def test_a_leg_is_secured_where_all_of_its_streams_are() -> None:
    """Whoever has to show that a call was encrypted asks whether anything of it was not."""
    call, _ = session()
    call.offer("a", sdp(SECURED, PICTURE), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000), PICTURE.replace("40010", "50010"), host=BOB), 0.0)
    assert [each.a.suite for each in call.stats().streams] == [SUITES[0], ""]
    assert call.stats().a.suite == ""
    call.offer("a", sdp(SECURED, PICTURE.replace("40010", "0")), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000), PICTURE.replace("40010", "0"), host=BOB), 0.0)
    assert call.stats().a.suite == SUITES[0], "a stream that is rejected carries nothing"


@pytest.mark.parametrize("talked", [True, False])
def test_a_call_that_was_in_the_clear_for_a_while_is_not_told_as_a_secured_one(talked: bool) -> None:
    """What a record says of a call is what a report counts: an hour of plain RTP is no SRTP."""
    call, _ = session()
    plain, secured = sdp(audio()), sdp(audio(40000, "RTP/SAVP", crypto(1)))
    for offer in (secured, plain, secured):
        call.offer("a", offer, ACCEPT, OFF, 0.0)
        call.answer("b", sdp(audio(50000), host=BOB), 0.0)
        assert (call.stats().a.suite == SUITES[0]) == (offer is secured), "as it is now"
        if offer is plain and talked:
            assert packet(call.streams[0].ends["a"].leg.port_rtp, rtp(1), A) is not None
    assert call.close().a.suite == ("" if talked else SUITES[0])


def test_a_secured_stream_that_was_ended_before_its_call_was_secured() -> None:
    call, _ = session()
    call.offer("a", sdp(SECURED), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 0.0)
    call.offer("a", sdp(audio(0, "RTP/SAVP")), ACCEPT, OFF, 1.0)
    call.answer("b", sdp(audio(0), host=BOB), 1.0)
    ended = call.close()
    assert (ended.a.suite, ended.b.suite) == (SUITES[0], "")


def test_where_no_stream_may_be_taken_the_call_is_refused_with_the_reason() -> None:
    call, pool = session()
    with pytest.raises(MediaRefused, match="SRTP is required") as refused:
        call.offer("a", sdp(audio(), PICTURE), REQUIRED, OFF, 0.0)
    assert refused.value.status == 488 and len(pool) == 50
