"""What a call leaves behind when it ends in the middle of something: no request unanswered, nothing held."""

from __future__ import annotations

import pytest

from tests.playbook.stage import SDP, Stage


def nothing_is_left(stage: Stage) -> None:
    """After every timer has run there is no call, no transaction and no slot of a limit."""
    stage.wait(300)
    engine = stage.engine
    assert not engine.calls and not len(engine.transactions)
    assert [engine.limits.calls(name) for name in stage.peers] == [0] * len(stage.peers)


@pytest.mark.parametrize("method", ["INFO", "UPDATE", "PRACK"])
def test_a_request_that_the_end_of_the_call_overtakes_is_answered_487(method: str) -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, method, RAck="1 1 INVITE" if method == "PRACK" else "")
    stage.carrier.hears(method)
    stage.within("office", answer, "BYE")
    assert stage.office.hears_response(487).cseq.method == method
    assert stage.office.hears_response(200).cseq.method == "BYE"
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    nothing_is_left(stage)


@pytest.mark.parametrize("heard_before", [True, False])
def test_a_reinvite_that_the_end_of_the_call_overtakes_is_cancelled_beyond(heard_before: bool) -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=SDP)
    stage.office.hears(100)
    again = stage.carrier.hears_request("INVITE")
    if heard_before:
        stage.carrier.respond(again, 100)
    stage.within("office", answer, "BYE")
    assert stage.office.hears_response(487).cseq.method == "INVITE"
    assert stage.office.hears_response(200).cseq.method == "BYE"
    stage.carrier.hears("BYE")
    if not heard_before:
        stage.carrier.hears_nothing()
        stage.carrier.respond(again, 100)
    cancel = stage.carrier.hears_request("CANCEL")
    assert cancel.via.branch == again.via.branch
    nothing_is_left(stage)


def test_a_second_final_answer_to_what_was_given_up_is_acknowledged_and_changes_nothing() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=SDP)
    stage.office.hears(100)
    again = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(again, 200, body=b"unusable")
    stage.carrier.hears("ACK")
    stage.carrier.hears("BYE")
    stage.office.hears(488)
    stage.office.hears("BYE")
    stage.carrier.respond(again, 200, body=b"unusable")
    stage.carrier.hears("ACK")
    stage.carrier.hears_nothing()
    nothing_is_left(stage)


@pytest.mark.parametrize(("who", "status"), [("caller", 487), ("callee", 480)])
def test_a_bye_in_an_early_dialog_ends_the_invite(who: str, status: int) -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180)
    stage.office.hears(100)
    ringing = stage.office.hears_response(180)
    if who == "caller":
        stage.within("office", ringing, "BYE")
    else:
        stage.from_callee(invite, "BYE")
    stage.office.hears(status)
    stage.carrier.hears("CANCEL")
    (stage.office if who == "caller" else stage.carrier).hears(200)
    stage.carrier.respond(invite, 487)
    nothing_is_left(stage)


@pytest.mark.parametrize("how", ["silence", "481"])
def test_a_failure_within_an_early_dialog_ends_the_invite(how: str) -> None:
    stage = Stage()
    stage.office.invite(Supported="100rel")
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180, Require="100rel", RSeq="1")
    stage.office.hears(100)
    ringing = stage.office.hears_response(180)
    method = "PRACK" if how == "silence" else "UPDATE"
    stage.within("office", ringing, method, RAck="1 1 INVITE" if how == "silence" else "")
    request = stage.carrier.hears(method)
    if how == "silence":
        stage.wait(33)
        stage.office.hears(408)
    else:
        stage.carrier.respond(request, 481)
        stage.office.hears(481)
    stage.office.hears(480)
    stage.carrier.hears("CANCEL")
    nothing_is_left(stage)


def test_a_reinvite_whose_sender_is_gone_for_good_is_cancelled_beyond() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=SDP)
    stage.office.hears(100)
    again = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(again, 180)
    stage.office.hears(180)
    stage.dead.add("office")
    stage.carry_out(stage.engine.flow_closed(stage.office.flow, stage.now))
    assert stage.carrier.hears_request("CANCEL").via.branch == again.via.branch
    stage.carry_out(stage.engine.end_call(next(iter(stage.engine.calls)), "over", stage.now))
    nothing_is_left(stage)


def test_unusable_media_in_progress_of_a_reinvite_cancels_it() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=SDP)
    stage.office.hears(100)
    again = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(again, 183, body=b"unusable")
    assert stage.carrier.hears_request("CANCEL").via.branch == again.via.branch
    stage.carrier.hears("BYE")
    stage.office.hears(488)
    stage.office.hears("BYE")
    nothing_is_left(stage)


@pytest.mark.parametrize("method", ["INFO", "UPDATE"])
def test_what_a_callee_asks_is_answered_when_the_next_one_is_tried_and_not_by_that_one(method: str) -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180)
    stage.office.hears(100)
    stage.office.hears(180)
    stage.from_callee(invite, method)
    asked = stage.office.hears_request(method)
    stage.carrier.respond(invite, 503)
    stage.carrier.hears("ACK")
    assert stage.carrier.hears_response(487).cseq.method == method
    stage.backup.respond(stage.backup.hears("INVITE"), 200, body=b"v=0 answer")
    stage.office.hears(200)
    stage.office.respond(asked, 200)
    stage.backup.hears_nothing()
    stage.carrier.hears_nothing()


@pytest.mark.parametrize("rings", [True, False])
def test_who_answers_an_invite_whose_connection_closed_is_acknowledged_and_hung_up(rings: bool) -> None:
    """It had read the INVITE: it must not ring on beside the next one, nor wait for an ACK (13.2.2.4)."""
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.office.hears(100)
    stage.closes(stage.carrier)
    second = stage.backup.hears_request("INVITE")
    if rings:
        stage.carrier.respond(invite, 180)
        assert stage.carrier.hears_request("CANCEL").via.branch == invite.via.branch
    for _ in range(2):
        stage.carrier.respond(invite, 200, body=b"v=0 late")
        assert stage.carrier.hears_request("ACK").cseq.number == invite.cseq.number
        if stage.carrier.heard:
            stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    stage.backup.respond(second, 200, body=b"v=0 answer")
    assert stage.office.hears_response(200).body == b"via-sbc v=0 answer"
    stage.carrier.hears_nothing()


def test_a_refusal_of_an_invite_whose_connection_closed_is_acknowledged_alone() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.office.hears(100)
    stage.closes(stage.carrier)
    stage.backup.hears("INVITE")
    stage.carrier.respond(invite, 486)
    stage.carrier.hears("ACK")
    stage.office.hears_nothing()


@pytest.mark.parametrize("rings", [True, False])
def test_who_answers_a_reinvite_whose_connection_closed_is_acknowledged(rings: bool) -> None:
    """Without an ACK it ends the call after 32 s (RFC 3261 13.3.1.4)."""
    stage = Stage()
    invite, answer = stage.established()
    stage.within("office", answer, "INVITE", body=SDP)
    stage.office.hears(100)
    again = stage.carrier.hears_request("INVITE")
    stage.closes(stage.carrier)
    stage.office.hears(503)
    if rings:
        stage.carrier.respond(again, 180)
        assert stage.carrier.hears_request("CANCEL").via.branch == again.via.branch
    for _ in range(2):
        stage.carrier.respond(again, 200, body=b"v=0 late")
        assert stage.carrier.hears_request("ACK").cseq.number == again.cseq.number
    stage.from_callee(invite, "BYE")
    stage.carrier.hears(200)
    stage.office.respond(stage.office.hears("BYE"), 200)
    nothing_is_left(stage)


def test_a_bye_that_has_used_up_its_hops_ends_the_call() -> None:
    """It is to go no further (RFC 3261 16.3): a call that it does not end is billed on."""
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "BYE", Max_Forwards="0")
    stage.office.hears(200)
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    nothing_is_left(stage)
