"""A transfer that we carry out and that fails: the call is as it was, or everybody knows that it is over."""

from __future__ import annotations

import pytest

from tests.playbook.transfers import TARGET, Transfer, from_target, nothing_left, records, says, staged


@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("status", [486, 603, 503])
def test_a_refusal_leaves_the_call_as_it_was(status: int, left: bool) -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    ringing = transfer.rings()
    if left:
        says(stage, transfer.answer, "BYE")
        stage.office.hears(200)
    stage.backup.respond(ringing, status)
    transfer.over(status)
    if left:
        stage.carrier.hears("BYE")
        nothing_left(stage)
        return
    says(stage, transfer.answer, "REFER", Refer_To=TARGET)
    stage.office.hears(202)
    says(stage, transfer.answer, "BYE")


def test_whoever_is_transferred_may_hang_up_meanwhile() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    ringing = transfer.rings()
    stage.from_callee(transfer.invite, "BYE")
    stage.carrier.hears(200)
    stage.office.hears("BYE")
    cancel = stage.backup.hears("CANCEL")
    stage.backup.respond(cancel, 200)
    stage.backup.respond(ringing, 487)
    first, second = records(stage)
    assert {first["status"], second["status"]} == {200, 487}
    nothing_left(stage)


@pytest.mark.parametrize("status", [488, 403])
def test_who_does_not_take_the_other_is_left_where_it_was(status: int) -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    _, again = transfer.answers()
    stage.carrier.respond(again, status)
    stage.carrier.hears("ACK")
    transfer.over(status)
    stage.backup.hears("ACK")
    stage.backup.hears("BYE")
    says(stage, transfer.answer, "INFO")
    stage.carrier.hears("INFO")
    assert len(stage.engine.calls) == 1


def test_glare_is_waited_for() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    ringing = transfer.rings()
    # The carrier has an offer of its own under way, which the office answers late.
    stage.from_callee(transfer.invite, "INVITE", b"v=0 own")
    stage.carrier.hears(100)
    crossing = stage.office.hears_request("INVITE")
    stage.backup.respond(ringing, 200, body=b"v=0 target")
    stage.backup.hears("ACK")
    stage.carrier.hears_nothing()
    stage.office.respond(crossing, 200, body=b"v=0 own answer")
    stage.carrier.hears(200)
    stage.from_callee(transfer.invite, "ACK", CSeq=f"{stage.cseq} ACK")
    stage.office.hears("ACK")
    stage.wait(1)
    again = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(again, 491)
    stage.carrier.hears("ACK")
    stage.wait(5)
    again = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(again, 200, body=b"v=0 moved")
    stage.carrier.hears("ACK")
    transfer.over(200)


def test_a_party_that_is_gone_ends_everything() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    transfer.answers()
    stage.wait(40)
    transfer.over(408)
    stage.office.hears("BYE")
    nothing_left(stage)


def test_a_party_that_never_says_whether_it_takes_the_other_ends_everything() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    _, again = transfer.answers()
    stage.carrier.respond(again, 180)
    stage.wait(45)
    transfer.over(408)
    stage.backup.hears("ACK")
    stage.backup.hears("BYE")
    assert stage.carrier.hears_request("CANCEL").via.branch == again.via.branch
    stage.carrier.hears("BYE")
    stage.office.hears("BYE")
    nothing_left(stage)


def test_whoever_was_called_may_hang_up_before_the_two_are_connected() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    ringing, again = transfer.answers()
    from_target(stage, ringing, "BYE")
    transfer.over(480)
    stage.carrier.respond(again, 487)
    stage.carrier.hears("ACK")
    says(stage, transfer.answer, "INFO")
    stage.carrier.hears("INFO")


def test_media_that_must_not_be_used_connects_nobody() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    ringing = transfer.rings()
    stage.backup.respond(ringing, 200, body=b"unusable")
    transfer.over(488)
    stage.backup.hears("ACK")
    stage.backup.hears("BYE")
    says(stage, transfer.answer, "INFO")
    stage.carrier.hears("INFO")


def test_one_transfer_at_a_time() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    says(stage, transfer.answer, "REFER", Refer_To=TARGET)
    stage.office.hears(491)
    stage.engine.draining = True
    says(stage, transfer.answer, "REFER", Refer_To=TARGET)
    stage.office.hears(503)


def test_what_the_one_who_is_left_asks_for_waits() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    says(stage, transfer.answer, "BYE")
    stage.office.hears(200)
    stage.from_callee(transfer.invite, "INVITE", b"v=0 own")
    stage.carrier.hears(100)
    stage.carrier.hears(491)
    says(stage, transfer.answer, "BYE")
    stage.office.hears(200)
    assert len(stage.engine.calls) == 2
    stage.carry_out(stage.engine.media_idle(next(iter(stage.engine.calls)), stage.now))
    assert len(stage.engine.calls) == 2
