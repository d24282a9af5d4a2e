"""Callees that fork, early media from each of them: whose media it is in the end (RFC 3262 5, RFC 3264)."""

from __future__ import annotations

import pytest

from sbc.b2bua.commands import AnswerMedia, OfferMedia, RollbackMedia
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
        elif isinstance(command, RollbackMedia):
            media.rollback()
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


def rings_in_two(body: bytes) -> tuple[Stage, Request, Response]:
    """A callee that rings in two early dialogs and has answered the offer in ``one``; its 183 there."""
    stage = Stage()
    stage.office.invite(body=body, Supported="100rel")
    number = stage.cseq
    invite = stage.carrier.hears_request("INVITE")
    stage.office.hears(100)
    early = sdp(audio(52000), host=BOB)
    stage.carrier.respond(invite, 183, tag="two", body=early, Require="100rel", RSeq="1")
    ringing = stage.office.hears_response(183)
    stage.within("office", ringing, "PRACK", body=b"" if body else sdp(audio()), RAck=f"1 {number} INVITE")
    stage.carrier.respond(stage.carrier.hears("PRACK"), 200)
    stage.office.hears(200)
    stage.carrier.respond(invite, 180, tag="one")
    stage.office.hears(180)
    return stage, invite, ringing


@pytest.mark.parametrize("late", [200, 481, None])
def test_what_is_asked_of_a_fork_is_over_when_another_answers(late: int | None) -> None:
    """A phone that has lost says 481, or nothing: neither is of the call that the other has taken."""
    stage, invite, ringing = rings_in_two(sdp(audio()))
    stage.within("office", ringing, "UPDATE", body=sdp(audio(40010)))
    update = stage.carrier.hears_request("UPDATE")
    stage.within("office", ringing, "INFO")
    asked = stage.carrier.hears_request("INFO")
    stage.carrier.respond(invite, 200, tag="one", body=sdp(audio(50000), host=BOB))
    assert stage.office.hears_response(487).cseq.method == "UPDATE"
    assert stage.office.hears_response(487).cseq.method == "INFO"
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK", CSeq=f"{answer.cseq.number} ACK")
    stage.carrier.hears("ACK")
    if late is not None:
        stage.carrier.respond(update, late, body=sdp(audio(52002), host=BOB) if late == 200 else b"")
        stage.carrier.respond(asked, late)
    stage.wait(40)
    stage.office.hears_nothing()
    stage.carrier.hears_nothing()
    assert len(stage.engine.calls) == 1
    audio_is_between_alice_and_fork_one(stage)


@pytest.mark.parametrize("how", ["481", "silence"])
def test_a_fork_that_is_gone_leaves_the_others_ringing(how: str) -> None:
    """RFC 5057 5.1: 481 is of one dialog."""
    stage, invite, ringing = rings_in_two(sdp(audio()))
    stage.within("office", ringing, "INFO")
    asked = stage.carrier.hears_request("INFO")
    if how == "481":
        stage.carrier.respond(asked, 481)
    else:
        stage.wait(33)
    stage.office.hears(int(how) if how == "481" else 408)
    stage.office.hears_nothing()
    stage.carrier.respond(invite, 200, tag="one", body=sdp(audio(50000), host=BOB))
    stage.office.hears(200)
    audio_is_between_alice_and_fork_one(stage)


@pytest.mark.parametrize("changed", ["accepted", "refused"])
@pytest.mark.parametrize("told", ["in its 200", "before"])
def test_audio_goes_to_the_fork_that_answers_though_another_has_changed_its_own(
    changed: str, told: str
) -> None:
    """Each early dialog has an offer and an answer of its own (RFC 3261 13.2.2.4, RFC 3311)."""
    stage, invite, ringing = rings_in_two(sdp(audio()))
    stage.within("office", ringing, "UPDATE", body=sdp(audio(40010)))
    update = stage.carrier.hears_request("UPDATE")
    if changed == "accepted":
        stage.carrier.respond(update, 200, body=sdp(audio(52002), host=BOB))
        stage.office.hears(200)
    else:
        stage.carrier.respond(update, 488)
        stage.office.hears(488)
    answer = sdp(audio(50000), host=BOB)
    if told == "before":
        stage.carrier.respond(invite, 183, tag="one", body=answer)
        assert stage.office.hears_response(183).body
    stage.carrier.respond(invite, 200, tag="one", body=b"" if told == "before" else answer)
    assert bool(stage.office.hears_response(200).body) == (told != "before")
    audio_is_between_alice_and_fork_one(stage)


def test_a_fork_that_has_changed_its_own_keeps_the_change_though_another_was_heard_since() -> None:
    stage, invite, ringing = rings_in_two(sdp(audio(40010)))
    stage.within("office", ringing, "UPDATE", body=sdp(audio()))
    stage.carrier.respond(stage.carrier.hears("UPDATE"), 200, body=sdp(audio(50000), host=BOB))
    stage.office.hears(200)
    stage.carrier.respond(invite, 183, tag="one", body=sdp(audio(52004), host=BOB))
    stage.office.hears(183)
    stage.carrier.respond(invite, 200, tag="two")
    assert not stage.office.hears_response(200).body
    audio_is_between_alice_and_fork_one(stage)


def test_a_forks_answer_waits_while_an_offer_in_another_is_not_answered() -> None:
    stage, invite, ringing = rings_in_two(sdp(audio()))
    stage.within("office", ringing, "UPDATE", body=sdp(audio(40010)))
    update = stage.carrier.hears_request("UPDATE")
    answer = sdp(audio(50000), host=BOB)
    stage.carrier.respond(invite, 183, tag="one", body=answer)
    assert not stage.office.hears_response(180).body, "it rings, and what it plays is not heard yet"
    stage.carrier.respond(invite, 183, tag="one", body=answer, Require="100rel", RSeq="2")
    stage.office.hears_nothing()
    stage.carrier.respond(update, 200, body=sdp(audio(52002), host=BOB))
    stage.office.hears(200)
    stage.carrier.respond(invite, 183, tag="one", body=answer, Require="100rel", RSeq="2")
    assert stage.office.hears_response(183).body
    stage.carrier.respond(invite, 200, tag="one")
    stage.office.hears(200)
    audio_is_between_alice_and_fork_one(stage)


def test_an_offer_that_prack_has_answered_and_the_200_repeats_is_none() -> None:
    """The caller has nothing to answer in its ACK, and is not hung up for that (RFC 3261 13.2.1)."""
    stage = Stage()
    stage.office.invite(body=b"", Supported="100rel")
    invite = stage.carrier.hears_request("INVITE")
    stage.office.hears(100)
    offer = sdp(audio(50000), host=BOB)
    stage.carrier.respond(invite, 183, body=offer, Require="100rel", RSeq="1")
    pracked(stage, stage.office.hears_response(183), sdp(audio()))
    stage.carrier.respond(invite, 180, body=offer)
    assert not stage.office.hears_response(180).body
    stage.carrier.respond(invite, 200, body=offer)
    answer = stage.office.hears_response(200)
    assert not answer.body
    stage.within("office", answer, "ACK", CSeq=f"{answer.cseq.number} ACK")
    assert not stage.carrier.hears_request("ACK").body
    stage.office.hears_nothing()
    assert len(stage.engine.calls) == 1
    audio_is_between_alice_and_fork_one(stage)


def test_an_offer_in_prack_that_crosses_an_update_is_answered_though_that_is_refused() -> None:
    """RFC 3311 5.2: who has an offer under way says 491 to the other, which undoes that one alone."""
    stage = Stage()
    stage.office.invite(body=sdp(audio(40010)), Supported="100rel")
    number = stage.cseq
    invite = stage.carrier.hears_request("INVITE")
    stage.office.hears(100)
    early = sdp(audio(52000), host=BOB)
    stage.carrier.respond(invite, 183, body=early, Require="100rel", RSeq="1")
    ringing = stage.office.hears_response(183)
    stage.within("office", ringing, "PRACK", RAck=f"1 {number} INVITE")
    stage.carrier.respond(stage.carrier.hears("PRACK"), 200)
    stage.carrier.respond(invite, 180, Require="100rel", RSeq="2")
    stage.office.hears(200)
    stage.office.hears(180)
    stage.from_callee(invite, "UPDATE", sdp(audio(52002), host=BOB))
    update = stage.office.hears_request("UPDATE")
    stage.within("office", ringing, "PRACK", body=sdp(audio()), RAck=f"2 {number} INVITE")
    stage.office.respond(update, 491)
    prack = stage.carrier.hears_request("PRACK")
    stage.carrier.hears(491)
    stage.carrier.respond(prack, 200, body=sdp(audio(50000), host=BOB))
    assert stage.office.hears_response(200).body
    audio_is_between_alice_and_fork_one(stage)
