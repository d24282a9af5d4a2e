"""The callee's connection closes in the middle: what it says, and what it is told, goes over a new one.

RFC 3261 18.1.1: a response may come on another connection of the same peer, and must be accepted.
"""

from __future__ import annotations

from typing import Any

import pytest

from sbc.sip.message import Request, Response
from tests.playbook.stage import SDP, Peer, Stage, snapshot
from tests.playbook.test_left_over import nothing_is_left
from tests.playbook.test_two_trunks import again

pytestmark = pytest.mark.parametrize("transport", ["tcp", "tls"])


def staged(transport: str, **options: Any) -> Stage:
    return Stage(snapshot(transport=transport, **options))


def ringing(transport: str, gone: bool = False, **options: Any) -> tuple[Stage, Request]:
    """It rings, and the connection of whom it rings at has closed, or who it was is ``gone`` altogether."""
    stage = staged(transport, **options)
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180)
    stage.office.hears(100)
    stage.office.hears(180)
    if gone:
        stage.dead.add("carrier")
    stage.closes(stage.carrier)
    return stage, invite


def cancelled(stage: Stage) -> None:
    stage.office.request(
        "CANCEL", Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}",
        CSeq=f"{stage.cseq} CANCEL",
    )  # fmt: skip


def test_an_answer_on_another_connection_is_taken(transport: str) -> None:
    stage, invite = ringing(transport)
    stage.office.hears_nothing()
    stage.backup.hears_nothing()
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    stage.carrier.hears("ACK")
    assert len(stage.connects) == 2, "it was looked for once, and its answer came"
    stage.within("office", answer, "BYE")
    stage.office.hears(200)
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    nothing_is_left(stage)


def test_a_server_that_died_while_it_rang_is_not_waited_for(transport: str) -> None:
    """Nobody accepts connections any more: the rule's next hop is tried at once, not after the ringing."""
    stage, _ = ringing(transport, gone=True)
    stage.backup.respond(stage.backup.hears_request("INVITE"), 486)
    stage.office.hears(486)
    nothing_is_left(stage)


def test_a_server_that_goes_on_closing_is_looked_for_so_often(transport: str) -> None:
    stage, _ = ringing(transport)
    for _ in range(30):
        if stage.carrier.flow.alive:
            stage.closes(stage.carrier)
    assert 2 < len(stage.connects) < 15
    stage.backup.respond(stage.backup.hears_request("INVITE"), 486)
    stage.office.hears(486)
    nothing_is_left(stage)


def test_a_refusal_on_another_connection_is_acknowledged_there(transport: str) -> None:
    stage, invite = ringing(transport)
    stage.carrier.respond(invite, 486)
    stage.carrier.hears("ACK")
    stage.office.hears(486)
    nothing_is_left(stage)


@pytest.mark.parametrize("trunk", ["backup", "office"])
def test_an_answer_of_somebody_else_is_ignored(transport: str, trunk: str) -> None:
    stage, invite = ringing(transport)
    own = stage.carrier.flow
    stage.carrier.flow = again(own, trunk, "198.51.100.77", pin="another")
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears_nothing()
    stage.carrier.flow = own
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(200)


def test_a_callee_that_is_given_up_is_cancelled_over_a_new_connection(transport: str) -> None:
    stage, invite = ringing(transport)
    cancelled(stage)
    stage.office.hears(200)
    stage.office.hears(487)
    cancel = stage.carrier.hears_request("CANCEL")
    assert cancel.via.branch == invite.via.branch
    assert stage.connects[-1][0] == stage.engine.store.current.trunks["carrier"].peers
    stage.carrier.respond(cancel, 200, tag="")
    stage.carrier.respond(invite, 487)
    stage.carrier.hears("ACK")
    nothing_is_left(stage)


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up(transport: str) -> None:
    stage, invite = ringing(transport)
    cancelled(stage)
    stage.carrier.respond(stage.carrier.hears("CANCEL"), 200, tag="")
    stage.closes(stage.carrier)
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.carrier.hears("ACK")
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    stage.carrier.hears_nothing()
    nothing_is_left(stage)


def test_a_callee_that_cannot_be_reached_for_its_cancel_is_not_waited_for(transport: str) -> None:
    stage, _ = ringing(transport)
    stage.dead.add("carrier")
    cancelled(stage)
    stage.office.hears(200)
    stage.office.hears(487)
    nothing_is_left(stage)


def test_a_phone_that_rings_on_for_too_long_is_cancelled_and_the_next_hop_tried(transport: str) -> None:
    stage, invite = ringing(transport, ring_timeout=20)
    stage.wait(20.1)
    assert stage.carrier.hears_request("CANCEL").via.branch == invite.via.branch
    stage.backup.hears("INVITE")
    stage.carrier.respond(invite, 487)
    stage.carrier.hears("ACK")


def test_a_trunk_that_lets_it_ring_for_long_hears_no_more_of_it_after_timer_c(transport: str) -> None:
    """RFC 3261 16.8: CANCEL, and the phone is not rung again by the trunk's next peer."""
    stage, invite = ringing(transport, ring_timeout=3600)
    stage.wait(170)
    stage.carrier.respond(invite, 180)
    stage.office.hears(180)
    stage.closes(stage.carrier)
    stage.wait(179)
    stage.carrier.hears_nothing()
    stage.wait(2)
    stage.carrier.hears("CANCEL")
    stage.carrier.hears_nothing()
    stage.backup.hears("INVITE")


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_a_reinvite_is_answered_on_another_connection(transport: str, side: str) -> None:
    stage, near, far, invite, answer = changing(transport, side)
    stage.closes(far)
    near.hears_nothing()
    far.respond(invite, 200, body=b"v=0 again")
    again = near.hears_response(200)
    acknowledge(stage, near, again, answer)
    far.hears("ACK")
    far.respond(invite, 200, body=b"v=0 again")
    far.hears("ACK")
    assert len(stage.engine.calls) == 1


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_a_reinvite_that_nobody_answers_any_more_ends_the_call(transport: str, side: str) -> None:
    stage, near, far, invite, _ = changing(transport, side)
    stage.closes(far)
    stage.wait(200)
    near.hears(408)
    assert far.hears_request("CANCEL").via.branch == invite.via.branch
    far.hears("BYE")
    near.hears("BYE")
    nothing_is_left(stage)


def changing(transport: str, side: str) -> tuple[Stage, Peer, Peer, Request, Response]:
    """A call that is up, and a re-INVITE of ``side`` that has been answered provisionally."""
    stage = staged(transport)
    first, answer = stage.established()
    near, far = (stage.office, stage.carrier) if side == "caller" else (stage.carrier, stage.office)
    if side == "caller":
        stage.within("office", answer, "INVITE", body=SDP)
    else:
        stage.from_callee(first, "INVITE", body=SDP)
    near.hears(100)
    invite = far.hears_request("INVITE")
    far.respond(invite, 180)
    near.hears(180)
    return stage, near, far, invite, answer


def acknowledge(stage: Stage, near: Peer, again: Response, answer: Response) -> None:
    assert again.contact is not None
    near.request(
        "ACK", str(again.contact.uri), From=again.headers.get("From") or "", To=again.headers.get("To") or "",
        Call_ID=again.call_id, CSeq=f"{again.cseq.number} ACK",
    )  # fmt: skip


@pytest.mark.parametrize("method", ["UPDATE", "INFO", "BYE"])
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_a_request_that_nobody_has_answered_is_repeated_over_a_new_connection(
    transport: str, side: str, method: str
) -> None:
    """It may never have been read; whoever has read it knows it again by its branch (17.2.3)."""
    stage = staged(transport)
    invite, answer = stage.established()
    near, far = (stage.office, stage.carrier) if side == "caller" else (stage.carrier, stage.office)
    if side == "caller":
        stage.within("office", answer, method)
    else:
        stage.from_callee(invite, method)
    request = far.hears_request(method)
    stage.closes(far)
    assert far.hears_request(method).via.branch == request.via.branch
    far.respond(request, 200)
    near.hears(200)
    near.hears_nothing()
    stage.closes(far)
    far.hears_nothing()
    for call in list(stage.engine.calls):
        stage.carry_out(stage.engine.end_call(call, "over", stage.now))
    nothing_is_left(stage)


def test_a_prack_is_repeated_over_a_new_connection(transport: str) -> None:
    stage = staged(transport)
    stage.office.invite(Supported="100rel")
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, Require="100rel", RSeq="1")
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(183), "PRACK", RAck="1 1 INVITE")
    stage.carrier.hears("PRACK")
    stage.closes(stage.carrier)
    stage.carrier.respond(stage.carrier.hears("PRACK"), 200)
    assert stage.office.hears_response(200).cseq.method == "PRACK"
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    assert stage.office.hears_response(200).cseq.method == "INVITE"


def test_a_peer_that_closes_after_each_request_is_not_asked_for_ever(transport: str) -> None:
    stage = staged(transport)
    _, answer = stage.established()
    stage.within("office", answer, "INFO")
    for _ in range(5):
        stage.closes(stage.carrier)
    stage.office.hears(503)
    assert [each.method for each in stage.carrier.heard if isinstance(each, Request)] == ["INFO"] * 2


@pytest.mark.parametrize("owed", ["an answer", "a request"])
def test_nobody_is_dialled_for_what_the_end_of_all_connections_leaves(transport: str, owed: str) -> None:
    stage = staged(transport)
    _, answer = stage.established()
    stage.within("office", answer, "INFO")
    stage.engine.leaving = True
    before = len(stage.connects)
    stage.closes(stage.office if owed == "an answer" else stage.carrier)
    assert len(stage.connects) == before


def test_what_runs_while_we_drain_is_dialled_for_as_ever(transport: str) -> None:
    stage = staged(transport)
    _, answer = stage.established()
    stage.within("office", answer, "INFO")
    stage.engine.draining = True
    before = len(stage.connects)
    stage.closes(stage.carrier)
    assert len(stage.connects) == before + 1


# After the answer


def test_the_ack_goes_over_a_new_connection_and_again_for_each_repeated_answer(transport: str) -> None:
    stage = staged(transport)
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    stage.closes(stage.carrier)
    stage.within("office", answer, "ACK")
    ack = stage.carrier.hears_request("ACK")
    stage.closes(stage.carrier)
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    assert stage.carrier.hears_request("ACK").via.branch == ack.via.branch
    stage.carrier.hears_nothing()


@pytest.mark.parametrize("ends", ["caller", "operator"])
def test_a_call_that_ends_first_is_acknowledged_before_it_is_hung_up(transport: str, ends: str) -> None:
    stage = staged(transport)
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 200, body=b"v=0 answer")
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    stage.closes(stage.carrier)
    before = len(stage.connects)
    if ends == "caller":
        stage.within("office", answer, "BYE")
    else:
        stage.carry_out(stage.engine.end_call(next(iter(stage.engine.calls)), "over", stage.now))
    stage.carrier.hears("ACK")
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    assert len(stage.connects) == before + 1, "both over one"
