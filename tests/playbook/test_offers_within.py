"""Whose offer is open during a re-INVITE, and that none stays so (RFC 3261 14, RFC 3262 5, RFC 6337)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sbc.b2bua.commands import AnswerMedia, OfferMedia, RollbackMedia
from sbc.sip.message import Request, Response
from tests.playbook.stage import SDP, Stage, snapshot

FAR_OFFER = b"v=0 of the far side"
RELIABLE = {"Require": "100rel", "RSeq": "7"}


def asked_for_an_offer(**headers: Any) -> tuple[Stage, Request, Response, Request, int]:
    """A call whose caller has sent a re-INVITE without SDP."""
    stage = Stage()
    invite, answer = stage.established()
    stage.within("office", answer, "INVITE", **headers)
    number = stage.cseq
    stage.office.hears(100)
    return stage, invite, answer, stage.carrier.hears_request("INVITE"), number


def both_may_offer(stage: Stage, invite: Request, answer: Response) -> None:
    """Nothing is open: an offer of either side crosses and is answered."""
    stage.within("office", answer, "UPDATE", SDP)
    stage.carrier.respond(stage.carrier.hears("UPDATE"), 200, body=b"v=0 answer")
    stage.office.hears(200)
    stage.from_callee(invite, "UPDATE", SDP)
    stage.office.respond(stage.office.hears("UPDATE"), 200, body=b"v=0 answer")
    stage.carrier.hears(200)


def said_of_media(stage: Stage) -> list[tuple[str, str, bytes]]:
    return [
        (type(each).__name__, each.side, each.sdp)
        for each in stage.media
        if isinstance(each, OfferMedia | AnswerMedia)
    ]


@pytest.mark.parametrize("how", ["refused", "cancelled"])
@pytest.mark.parametrize("reliable", [False, True])
def test_an_offer_of_the_far_side_that_came_to_nothing_is_open_no_more(how: str, reliable: bool) -> None:
    """RFC 3261 14.1: as if no re-INVITE had been issued."""
    stage, invite, answer, again, number = asked_for_an_offer(Supported="100rel")
    stage.carrier.respond(again, 183, body=FAR_OFFER, **(RELIABLE if reliable else {}))
    assert stage.office.hears_response(183).body == b"via-sbc " + FAR_OFFER
    if how == "cancelled":
        stage.office.request(
            "CANCEL", Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{number}",
            CSeq=f"{number} CANCEL", To=answer.headers.get("To") or "", Contact="",
        )  # fmt: skip
        stage.office.hears(200)
        stage.carrier.respond(stage.carrier.hears("CANCEL"), 200)
    stage.carrier.respond(again, 488 if how == "refused" else 487)
    stage.carrier.hears("ACK")
    stage.office.hears(488 if how == "refused" else 487)
    assert isinstance(stage.media[-1], RollbackMedia)
    both_may_offer(stage, invite, answer)


def test_an_offer_in_reliable_progress_of_a_reinvite_is_answered_in_prack() -> None:
    stage, invite, answer, again, number = asked_for_an_offer(Supported="100rel")
    stage.carrier.respond(again, 183, body=FAR_OFFER, **RELIABLE)
    stage.office.hears(183)
    stage.within("office", answer, "PRACK", b"v=0 of the near side", RAck=f"7 {number} INVITE")
    prack = stage.carrier.hears_request("PRACK")
    assert prack.body == b"via-sbc v=0 of the near side"
    stage.carrier.respond(prack, 200)
    stage.office.hears(200)
    assert said_of_media(stage)[-2:] == [
        ("OfferMedia", "b", FAR_OFFER), ("AnswerMedia", "a", b"v=0 of the near side")
    ]  # fmt: skip
    stage.carrier.respond(again, 200)
    assert not stage.office.hears_response(200).body
    stage.within("office", answer, "ACK", CSeq=f"{number} ACK")
    assert not stage.carrier.hears_request("ACK").body
    both_may_offer(stage, invite, answer)


def test_what_a_200_repeats_of_an_offer_that_was_answered_is_none() -> None:
    """The caller has nothing to answer in its ACK, and the call goes on (RFC 3261 13.2.1)."""
    stage, invite, answer, again, number = asked_for_an_offer(Supported="100rel")
    stage.carrier.respond(again, 183, body=FAR_OFFER, **RELIABLE)
    stage.within("office", answer, "PRACK", b"v=0 of the near side", RAck=f"7 {number} INVITE")
    stage.carrier.respond(stage.carrier.hears("PRACK"), 200)
    stage.carrier.respond(again, 200, body=FAR_OFFER)
    stage.office.hears(183)
    stage.office.hears(200)
    assert not stage.office.hears_response(200).body
    stage.within("office", answer, "ACK", CSeq=f"{number} ACK")
    stage.carrier.hears("ACK")
    stage.carrier.hears_nothing()
    both_may_offer(stage, invite, answer)


def who_wants_offers() -> Stage:
    """Each trunk's peer is sent no INVITE without an offer."""
    made = snapshot()
    trunks = {name: each.model_copy(update={"early_offer": ("PCMA",)}) for name, each in made.trunks.items()}
    return Stage(replace(made, trunks=trunks))


def test_an_offer_of_ours_that_a_200_leaves_unanswered_is_open_no_more() -> None:
    stage = who_wants_offers()
    invite, answer = stage.established()
    stage.within("office", answer, "INVITE")
    number = stage.cseq
    stage.office.hears(100)
    again = stage.carrier.hears_request("INVITE")
    assert again.body
    stage.carrier.respond(again, 200)
    stage.office.hears(200)
    stage.within("office", answer, "ACK", CSeq=f"{number} ACK")
    stage.carrier.hears("ACK")
    both_may_offer(stage, invite, answer)


def test_an_offer_of_ours_may_be_answered_before_the_200() -> None:
    """RFC 3262 5: the 200 need not repeat it, and the caller is offered it there."""
    stage = who_wants_offers()
    invite, answer = stage.established()
    stage.within("office", answer, "INVITE", Supported="100rel")
    number = stage.cseq
    stage.office.hears(100)
    again = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(again, 183, body=b"v=0 early", **RELIABLE)
    assert not stage.office.hears_response(183).body
    stage.within("office", answer, "PRACK", RAck=f"7 {number} INVITE")
    stage.carrier.respond(stage.carrier.hears("PRACK"), 200)
    stage.office.hears(200)
    stage.carrier.respond(again, 200)
    assert stage.office.hears_response(200).body == b"via-sbc v=0 early"
    stage.within("office", answer, "ACK", b"v=0 of the near side", CSeq=f"{number} ACK")
    assert not stage.carrier.hears_request("ACK").body
    assert said_of_media(stage)[-1] == ("AnswerMedia", "a", b"v=0 of the near side")
    both_may_offer(stage, invite, answer)


@pytest.mark.parametrize("begins", [True, False])
def test_an_answer_in_prack_that_may_not_be_used_leaves_the_offer_open(begins: bool) -> None:
    """PRACK is refused, the 183 comes again (RFC 3262 3), and a better answer to it is one."""
    if begins:
        stage = Stage()
        stage.office.invite(body=b"", Supported="100rel")
        number = stage.cseq
        stage.office.hears(100)
        invite = asking = stage.carrier.hears_request("INVITE")
    else:
        stage, invite, _, asking, number = asked_for_an_offer(Supported="100rel")
    for answered in (b"v=0 unusable", b"v=0 better"):
        stage.carrier.respond(asking, 183, body=FAR_OFFER, **RELIABLE)
        early = stage.office.hears_response(183)
        assert early.body == b"via-sbc " + FAR_OFFER
        stage.within("office", early, "PRACK", answered, RAck=f"7 {number} INVITE")
        if answered == b"v=0 unusable":
            stage.office.hears(488)
            stage.carrier.hears_nothing()
    stage.carrier.respond(stage.carrier.hears("PRACK"), 200)
    stage.office.hears(200)
    assert said_of_media(stage)[-1] == ("AnswerMedia", "a", b"v=0 better")
    stage.carrier.respond(asking, 200)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK", CSeq=f"{number} ACK")
    assert not stage.carrier.hears_request("ACK").body
    both_may_offer(stage, invite, answer)
