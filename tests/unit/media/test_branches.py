"""Several callees of one offer at once: each has its own ports and keys, and nothing of another's."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.base import LocalError
from sbc.media.errors import MediaRefused
from sbc.media.places import PortPool
from sbc.media.policy import MediaPolicy
from sbc.media.relay import packet
from sbc.media.sdp import parse_sdp
from sbc.media.session import MediaSession
from sbc.media.srtp import Protector, SrtpError, Unprotector
from tests.unit.media.kit import (
    ACCEPT,
    ALICE,
    BOB,
    OFF,
    REQUIRED,
    audio,
    crypto,
    first,
    key,
    lines,
    rtp,
    sdp,
    session,
)

VIDEO = "m=video 40010 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
FAX = "m=image 40020 udptl t38\r\na=T38FaxVersion:0\r\n"
CAROL = "198.51.100.30"


def offered(call: MediaSession, branch: int, theirs: MediaPolicy = REQUIRED) -> bytes:
    call.turn(branch)
    return call.offer("a", sdp(audio()), ACCEPT, theirs, 0.0)


def answered(call: MediaSession, branch: int, body: bytes) -> bytes:
    call.turn(branch)
    return call.answer("b", body, 1.0)


def secured(number: int, port: int, host: str) -> bytes:
    return sdp(audio(port, "RTP/SAVP", crypto(number)), host=host)


def both() -> tuple[MediaSession, PortPool, bytes, bytes]:
    call, pool = session()
    return call, pool, offered(call, 1), offered(call, 2)


def test_each_callee_is_offered_ports_keys_and_an_origin_of_its_own() -> None:
    _, _, one, two = both()
    assert first(one).port != first(two).port
    assert not {each.key for each in lines(one)} & {each.key for each in lines(two)}
    assert one.splitlines()[1] != two.splitlines()[1], "o= tells them apart"


def test_the_caller_keeps_one_port_whoever_answers() -> None:
    call, _, _, _ = both()
    one = answered(call, 1, secured(11, 50000, BOB))
    two = answered(call, 2, secured(12, 52000, CAROL))
    assert first(one).port == first(two).port


@pytest.mark.parametrize("winner", [1, 2])
def test_a_stream_that_one_callee_must_not_have_is_there_for_another(winner: int) -> None:
    # A fax is clear text: not for the callee that must have SRTP, though it plays something first.
    call, pool = session()
    free, offer = len(pool), sdp(audio(), FAX)
    for branch, theirs in ((1, REQUIRED), (2, OFF)):
        call.turn(branch)
        ours = parse_sdp(call.offer("a", offer, ACCEPT, theirs, 0.0))
        assert bool(ours.media[1].port) == (branch == 2)
    refused = sdp(audio(50000, "RTP/SAVP", crypto(11)), FAX.replace("40020", "0"), host=BOB)
    assert parse_sdp(answered(call, 1, refused)).media[1].port == 0
    call.take(winner)
    if winner == 2:
        told = call.answer("b", sdp(audio(52000), FAX.replace("40020", "52020"), host=CAROL), 2.0)
        assert parse_sdp(told).media[1].port
    assert free - len(pool) == 2 * winner, "one pair for each side of each stream"
    call.close()
    assert len(pool) == free


@pytest.mark.parametrize("winner", [1, 2])
def test_whoever_is_taken_is_heard_and_nobody_else(winner: int) -> None:
    call, _, *offers = both()
    hosts, ports, keys = (BOB, CAROL), (50000, 52000), (11, 12)
    call.turn(1)
    legs = {1: call.streams[0].ends["b"].leg}
    call.turn(2)
    legs[2] = call.streams[0].ends["b"].leg
    relays = {branch: leg.port_rtp for branch, leg in legs.items()}
    at = winner - 1
    call.take(winner)
    call.answer("b", secured(keys[at], ports[at], hosts[at]), 1.0)
    near = call.streams[0].ends["a"].leg.port_rtp
    sent = packet(near, rtp(1), (ALICE, 40000))
    assert sent is not None and sent[0] is relays[winner] and sent[2] == (hosts[at], ports[at])
    ours = lines(offers[at])[0]
    assert Unprotector(ours).rtp(sent[1]) == rtp(1), "under the key that this one was told"
    with pytest.raises(SrtpError):
        Unprotector(lines(offers[1 - at])[0]).rtp(sent[1])
    heard = packet(relays[winner], Protector(key(keys[at])).rtp(rtp(1)), (hosts[at], ports[at]))
    assert heard is not None and heard[2] == (ALICE, 40000)
    late = packet(
        relays[3 - winner], Protector(key(keys[1 - at])).rtp(rtp(1)), (hosts[1 - at], ports[1 - at])
    )
    assert late is None


def test_early_media_is_of_one_until_another_is_taken() -> None:
    call, _, _, _ = both()
    answered(call, 1, secured(11, 50000, BOB))
    near = call.streams[0].ends["a"].leg.port_rtp
    sent = packet(near, rtp(1), (ALICE, 40000))
    assert sent is not None and sent[2] == (BOB, 50000)
    call.take(2)
    assert packet(near, rtp(2), (ALICE, 40000)) is None, "the one that is taken has not answered yet"
    call.answer("b", secured(12, 52000, CAROL), 2.0)
    sent = packet(near, rtp(3), (ALICE, 40000))
    assert sent is not None and sent[2] == (CAROL, 52000)


def test_the_ports_of_all_others_come_back_with_the_one_that_is_taken() -> None:
    call, pool, *_ = both()
    free = len(pool)
    offered(call, 3, OFF)
    assert len(pool) == free - 1
    call.take(3)
    assert len(pool) == free + 1
    call.close()
    assert len(pool) == pool.total


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
def test_a_callee_that_refuses_gives_its_ports_back_and_the_other_can_still_be_taken(
    order: tuple[int, int],
) -> None:
    call, pool, *_ = both()
    free = len(pool)
    call.drop(order[0])
    assert len(pool) == free + 1
    call.take(order[1])
    call.answer("b", secured(11, 50000, BOB), 1.0)
    sent = packet(call.streams[0].ends["a"].leg.port_rtp, rtp(1), (ALICE, 40000))
    assert sent is not None and sent[2] == (BOB, 50000)
    call.close()
    assert len(pool) == pool.total


def test_after_all_have_refused_the_next_hop_is_offered_the_same_with_new_keys() -> None:
    call, pool, one, two = both()
    answered(call, 1, secured(11, 50000, BOB))
    call.drop(1)
    call.drop(2)
    third = call.offer("a", sdp(audio()), ACCEPT, REQUIRED, 2.0, restart=True)
    known = {each.key for offer in (one, two) for each in lines(offer)}
    assert not known & {each.key for each in lines(third)}
    call.answer("b", secured(13, 54000, CAROL), 3.0)
    sent = packet(call.streams[0].ends["a"].leg.port_rtp, rtp(1), (ALICE, 40000))
    assert sent is not None and sent[2] == (CAROL, 54000)
    call.close()
    assert len(pool) == pool.total


def test_whoever_was_tried_alone_before_hears_nothing_once_several_are() -> None:
    call, pool = session()
    call.offer("a", sdp(audio()), ACCEPT, OFF, 0.0)
    call.answer("b", sdp(audio(50000), host=BOB), 1.0)
    former = call.streams[0].ends["b"].leg.port_rtp
    offered(call, 1)
    assert packet(former, rtp(1), (BOB, 50000)) is None
    assert packet(call.streams[0].ends["a"].leg.port_rtp, rtp(1), (ALICE, 40000)) is None
    call.close()
    assert len(pool) == pool.total


def test_one_that_may_not_be_offered_it_spoils_nothing_for_the_others() -> None:
    call, pool = session()
    offered(call, 1)
    free = len(pool)
    with pytest.raises(MediaRefused, match="not TLS"):
        offered(call, 2, replace(REQUIRED, sdes=False))
    call.drop(2)
    assert len(pool) == free
    answered(call, 1, secured(11, 50000, BOB))
    assert packet(call.streams[0].ends["a"].leg.port_rtp, rtp(1), (ALICE, 40000)) is not None


def test_one_for_whom_no_port_is_left_spoils_nothing_for_the_others() -> None:
    call, pool = session("20000-20003")
    offered(call, 1)
    with pytest.raises(LocalError):
        offered(call, 2)
    call.drop(2)
    answered(call, 1, secured(11, 50000, BOB))
    call.take(1)
    call.close()
    assert len(pool) == pool.total


def test_two_streams_go_to_each_callee() -> None:
    call, pool = session()
    for branch in (1, 2):
        call.turn(branch)
        call.offer("a", sdp(audio(), VIDEO), ACCEPT, OFF, 0.0)
    assert pool.total - len(pool) == 6
    call.take(1)
    assert pool.total - len(pool) == 4
    call.answer("b", sdp(audio(50000), VIDEO.replace("40010", "50010"), host=BOB), 1.0)
    sent = packet(call.streams[1].ends["a"].leg.port_rtp, rtp(1, kind=96), (ALICE, 40010))
    assert sent is not None and sent[2] == (BOB, 50010)


def test_a_port_of_another_callee_of_the_same_call_is_refused_as_our_own() -> None:
    call, _, one, _ = both()
    with pytest.raises(MediaRefused, match="our own media port"):
        answered(call, 2, secured(12, first(one).port, first(one).host or ""))


def test_an_offer_that_is_taken_back_from_one_callee_stands_for_the_others() -> None:
    call, pool = session()
    free = len(pool)
    offered(call, 1)
    offered(call, 2)
    call.turn(1)
    call.rollback()
    assert first(answered(call, 2, secured(12, 52000, CAROL))).port == call.streams[0].ends["a"].local
    call.take(2)
    assert free - len(pool) == 2
    call.close()
    assert len(pool) == free
