"""Callees that fork, early media from each of them: whose media it is in the end (RFC 3262 5, RFC 3264)."""

from __future__ import annotations

import pytest

from sbc.b2bua.commands import AnswerMedia, OfferMedia
from sbc.media.relay import packet
from sbc.sip.message import Request, Response
from tests.playbook.stage import Stage
from tests.unit.media.kit import ALICE, BOB, audio, rtp, sdp, session


def pracked(stage: Stage, early: Response, body: bytes) -> Request:
    """The office sends PRACK, which the carrier answers."""
    stage.within("office", early, "PRACK", body=body, RAck=f"1 {stage.cseq} INVITE")
    prack = stage.carrier.hears_request("PRACK")
    stage.carrier.respond(prack, 200)
    stage.office.hears(200)
    return prack


@pytest.mark.parametrize("reliable", [{"Require": "100rel", "RSeq": "1"}, {}])
@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_audio_goes_to_the_fork_that_answers_though_its_200_has_no_sdp(
    order: tuple[str, str], reliable: dict[str, str]
) -> None:
    stage, forks = Stage(), {"one": 50000, "two": 52000}
    stage.office.invite(body=sdp(audio()), Supported="100rel")
    invite = stage.carrier.hears_request("INVITE")
    stage.office.hears(100)
    for tag in order:
        stage.carrier.respond(invite, 183, tag=tag, body=sdp(audio(forks[tag]), host=BOB), **reliable)
        stage.office.hears(183)
    stage.carrier.respond(invite, 200, tag="one")
    assert not stage.office.hears_response(200).body
    audio_is_between_alice_and_fork_one(stage)


def audio_is_between_alice_and_fork_one(stage: Stage) -> None:
    media, _ = session()
    for command in stage.media:
        if isinstance(command, OfferMedia):
            media.offer(command.side, command.sdp, command.ours, command.theirs, 0.0)
        elif isinstance(command, AnswerMedia):
            media.answer(command.side, command.sdp, 0.0)
    ends = media.streams[0].ends
    sent = packet(ends["a"].leg.port_rtp, rtp(1), (ALICE, 40000))
    assert sent is not None and sent[2] == (BOB, 50000)
    assert packet(ends["b"].leg.port_rtp, rtp(1), (BOB, 50000)) is not None, "and its own is heard"


@pytest.mark.parametrize("order", [("one", "two"), ("two", "one")])
def test_audio_goes_to_the_fork_that_answers_where_each_made_its_own_offer(order: tuple[str, str]) -> None:
    """RFC 3262 5: an INVITE without an offer; each fork's reliable 183 has one, which its PRACK answers."""
    stage, forks = Stage(), {"one": 50000, "two": 52000}
    stage.office.invite(body=b"", Supported="100rel")
    invite = stage.carrier.hears_request("INVITE")
    stage.office.hears(100)
    for tag in order:
        offer = sdp(audio(forks[tag]), host=BOB)
        stage.carrier.respond(invite, 183, tag=tag, body=offer, Require="100rel", RSeq="1")
        prack = pracked(stage, stage.office.hears_response(183), sdp(audio()))
        assert prack.to_tag == tag and prack.body
    stage.carrier.respond(invite, 200, tag="one")
    assert not stage.office.hears_response(200).body
    audio_is_between_alice_and_fork_one(stage)


def test_a_forks_offer_waits_until_that_of_another_is_answered() -> None:
    """It comes again, for a reliable 183 is repeated until its PRACK (RFC 3262 3)."""
    stage = Stage()
    stage.office.invite(body=b"", Supported="100rel")
    invite = stage.carrier.hears_request("INVITE")
    stage.office.hears(100)

    def rings(tag: str) -> None:
        stage.carrier.respond(invite, 183, tag=tag, body=b"v=0 " + tag.encode(), Require="100rel", RSeq="1")

    rings("one")
    early = stage.office.hears_response(183)
    rings("two")
    stage.office.hears_nothing()
    rings("one")
    assert stage.office.hears_response(183).body == early.body, "the repetition of the first passes"
    assert pracked(stage, early, b"v=0 answer").body == b"via-sbc v=0 answer"
    rings("one")
    stage.office.hears_nothing()  # it crossed its PRACK, and is no new offer
    rings("two")
    second = stage.office.hears_response(183)
    assert pracked(stage, second, b"v=0 other answer").to_tag == "two"
    kinds = [type(each) for each in stage.media]
    assert kinds[-2:] == [OfferMedia, AnswerMedia] and kinds.count(AnswerMedia) == 2
