"""A caller without an offer, and a callee that takes none: the offer is ours (RFC 3261 13.2.1, RFC 3264)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.b2bua.commands import AnswerMedia, OfferMedia, RollbackMedia
from sbc.config.snapshot import Snapshot
from sbc.sip.message import Response
from tests.playbook.stage import RULES, SDP, Stage, snapshot
from tests.playbook.test_left_over import nothing_is_left

ANSWER = b"v=0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n"


def made(*names: str, **options: object) -> Snapshot:
    """The trunks of ``names`` want an offer."""
    base = snapshot(RULES, "tls", **options)
    wants = {name: base.trunks[name].model_copy(update={"early_offer": ("PCMA", "PCMU")}) for name in names}
    return replace(base, trunks={**base.trunks, **wants})


def test_the_callee_is_offered_what_the_trunk_says_and_the_caller_what_the_callee_answered() -> None:
    there = Stage(made("carrier"))
    there.office.invite(b"")
    invite = there.carrier.hears_request("INVITE")
    assert invite.headers.get("Content-Type") == "application/sdp"
    offer = invite.body.removeprefix(b"via-sbc ")
    assert b"m=audio 9 RTP/AVP 8 0 101\r\n" in offer and b"a=rtpmap:8 PCMA/8000" in offer
    there.carrier.respond(invite, 200, body=ANSWER)
    there.office.hears(100)
    answer = there.office.hears_response(200)
    assert answer.body == b"via-sbc " + ANSWER
    there.within("office", answer, "ACK", b"v=0 accepted")
    assert there.carrier.hears_request("ACK").body == b""
    first, second, third, fourth = there.media
    assert isinstance(first, OfferMedia) and first.side == "a" and first.ours.unheard
    assert isinstance(second, AnswerMedia) and (second.side, second.sdp) == ("b", ANSWER)
    assert isinstance(third, OfferMedia) and (third.side, third.sdp) == ("b", ANSWER)
    assert third.theirs.codecs is not None and third.theirs.codecs.allow == ("PCMA",)
    assert not third.theirs.unheard and not third.ours.unheard
    assert isinstance(fourth, AnswerMedia) and (fourth.side, fourth.sdp) == ("a", b"v=0 accepted")
    assert there.noted("call-up")
    there.within("office", answer, "BYE")
    there.carrier.respond(there.carrier.hears("BYE"), 200)
    there.office.hears(200)
    nothing_is_left(there)


def test_who_offers_is_passed_on_and_so_is_who_is_not_asked_to() -> None:
    there = Stage(made("carrier"))
    there.office.invite()
    assert there.carrier.hears_request("INVITE").body == b"via-sbc " + SDP
    there = Stage(made("office"))
    there.office.invite(b"")
    assert there.carrier.hears_request("INVITE").body == b""


def test_what_the_callee_plays_early_is_ringing_for_a_caller_that_has_said_nothing_yet() -> None:
    there = Stage(made("carrier"))
    there.office.invite(b"", Supported="100rel")
    invite = there.carrier.hears_request("INVITE")
    there.carrier.respond(invite, 183, body=ANSWER, RSeq="1", Require="100rel")
    prack = there.carrier.hears_request("PRACK")
    assert not prack.body
    there.carrier.respond(prack, 200)
    there.office.hears(100)
    ringing = there.office.hears_response(180)
    assert not ringing.body and "RSeq" not in ringing.headers and "Require" not in ringing.headers
    there.carrier.respond(invite, 200)  # it need not repeat what it gave reliably
    answer = there.office.hears_response(200)
    assert answer.body == b"via-sbc " + ANSWER
    there.within("office", answer, "ACK", b"v=0 accepted")
    assert there.carrier.hears_request("ACK").body == b""


@pytest.mark.parametrize("body", [b"", b"v=0 unusable"])
def test_a_callee_that_does_not_answer_the_offer_is_hung_up(body: bytes) -> None:
    there = Stage(made("carrier"))
    there.office.invite(b"")
    invite = there.carrier.hears_request("INVITE")
    there.carrier.respond(invite, 200, body=body)
    there.carrier.hears("ACK")
    there.carrier.respond(there.carrier.hears("BYE"), 200)
    there.office.hears(100)
    there.office.hears(488)
    nothing_is_left(there)


@pytest.mark.parametrize("body", [b"", b"v=0 unusable"])
def test_a_caller_that_does_not_answer_in_its_ack_ends_the_call(body: bytes) -> None:
    there = Stage(made("carrier"))
    there.office.invite(b"")
    invite = there.carrier.hears_request("INVITE")
    there.carrier.respond(invite, 200, body=ANSWER)
    there.office.hears(100)
    answer = there.office.hears_response(200)
    there.within("office", answer, "ACK", body)
    assert there.carrier.hears_request("ACK").body == b""
    there.carrier.hears("BYE")
    there.office.hears("BYE")
    nothing_is_left(there)


def test_a_caller_that_must_have_it_reliably_makes_its_own_answer() -> None:
    """RFC 3262 5: with Require: 100rel the offer comes to it in a reliable response, so it is left to it."""
    there = Stage(made("carrier"))
    there.office.invite(b"", Require="100rel")
    assert there.carrier.hears_request("INVITE").body == b""


def test_each_hop_has_an_offer_as_it_wants_it() -> None:
    there = Stage(made("carrier"))
    there.office.invite(b"")
    there.carrier.respond(there.carrier.hears_request("INVITE"), 503)
    second = there.backup.hears_request("INVITE")
    assert second.body == b""
    there.backup.respond(second, 200, body=b"v=0 offered")
    there.office.hears(100)
    answer = there.office.hears_response(200)
    assert answer.body == b"via-sbc v=0 offered"
    there.within("office", answer, "ACK", b"v=0 accepted")
    there.carrier.heard.clear()
    assert there.backup.hears_request("ACK").body == b"via-sbc v=0 accepted"
    there = Stage(made("carrier", "backup"))
    there.office.invite(b"")
    first = there.carrier.hears_request("INVITE")
    there.carrier.respond(first, 503)
    assert there.backup.hears_request("INVITE").body == first.body
    offers = [each for each in there.media if isinstance(each, OfferMedia)]
    assert [each.restart for each in offers] == [False, True]


def test_the_offer_of_an_invite_that_is_repeated_for_a_longer_session_is_answered_too() -> None:
    there = Stage(made("carrier", session_timer={"expires": "1800s"}))
    there.office.invite(b"")
    invite = there.carrier.hears_request("INVITE")
    there.carrier.respond(invite, 422, Min_SE="2400")
    there.carrier.hears("ACK")
    again = there.carrier.hears_request("INVITE")
    assert again.body == invite.body
    there.carrier.respond(again, 200, body=ANSWER)
    there.office.hears(100)
    assert there.office.hears_response(200).body == b"via-sbc " + ANSWER


HELD = b"v=0\r\nm=audio 5000 RTP/AVP 8\r\na=sendonly\r\n"


def resumed(there: Stage) -> Response:
    """A call is up, whose caller is on hold; it asks for an offer, and the callee gets one."""
    _, answer = there.established()
    there.within("office", answer, "INVITE", HELD)
    there.office.hears(100)
    there.carrier.respond(there.carrier.hears_request("INVITE"), 200, body=b"v=0 held")
    answer = there.office.hears_response(200)
    there.within("office", answer, "ACK")
    there.carrier.hears("ACK")
    there.media.clear()
    there.within("office", answer, "INVITE")
    there.office.hears(100)
    return answer


def test_a_reinvite_without_an_offer_gets_one_of_what_was_said_last_without_its_hold() -> None:
    """So CUCM takes a call back: whoever takes no INVITE without an offer takes no such re-INVITE either."""
    there = Stage(made("carrier"))
    answer = resumed(there)
    again = there.carrier.hears_request("INVITE")
    assert again.body == b"via-sbc v=0\r\nm=audio 5000 RTP/AVP 8\r\n"
    there.carrier.respond(again, 200, body=ANSWER)
    final = there.office.hears_response(200)
    assert final.body == b"via-sbc " + ANSWER
    there.within("office", answer, "UPDATE", b"v=0 now")  # the offer in the 2xx waits for its answer
    there.office.hears(491)
    there.within("office", answer, "ACK", b"v=0 music", CSeq=f"{final.cseq.number} ACK")
    assert there.carrier.hears_request("ACK").body == b""
    sides = [(type(each), getattr(each, "side", "")) for each in there.media]
    assert sides == [(OfferMedia, "a"), (AnswerMedia, "b"), (OfferMedia, "b"), (AnswerMedia, "a")]
    there.within("office", answer, "INVITE", b"v=0 next")
    there.office.hears(100)
    there.carrier.respond(there.carrier.hears("INVITE"), 200, body=b"v=0 fine")
    there.office.hears(200)


@pytest.mark.parametrize("status", [488, 491])
def test_a_reinvite_of_ours_that_is_refused_leaves_all_as_it_was(status: int) -> None:
    there = Stage(made("carrier"))
    answer = resumed(there)
    there.carrier.respond(there.carrier.hears("INVITE"), status)
    there.carrier.hears("ACK")
    there.office.hears(status)
    assert isinstance(there.media[-1], RollbackMedia)
    there.within("office", answer, "UPDATE", b"v=0 now")
    there.carrier.respond(there.carrier.hears("UPDATE"), 200, body=b"v=0 fine")
    assert there.office.hears_response(200).cseq.method == "UPDATE"


def test_a_reinvite_to_who_takes_it_without_an_offer_is_passed_on() -> None:
    there = Stage(snapshot())
    resumed(there)
    assert there.carrier.hears_request("INVITE").body == b""
