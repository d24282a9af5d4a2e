"""Bodies that cannot be divided into their parts: refused before anything is held, and both are told."""

from __future__ import annotations

import pytest

from tests.playbook.stage import SDP, Stage, snapshot
from tests.playbook.test_left_over import nothing_is_left

PARTS = b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--"
BAD = "multipart/mixed;boundary=\udc80"


@pytest.mark.parametrize(
    "kind", [BAD, 'multipart/mixed;boundary="\udc80"', "multipart/mixed", BAD + "\u20ac"]
)
def test_an_invite_with_a_bad_boundary_is_refused_and_holds_no_slot(kind: str) -> None:
    stage = Stage(snapshot(limits={"calls": 2}))
    for number in range(5):
        stage.office.invite(PARTS, Content_Type=kind, Call_ID=f"call-{number}")
        stage.office.hears(100)
        stage.office.hears(400)
    stage.carrier.hears_nothing()
    assert stage.engine.limits.calls("office") == 0 and not stage.engine.calls
    nothing_is_left(stage)


@pytest.mark.parametrize(
    "body", [PARTS.replace(b"--x", b"--y"), PARTS.replace(b"\r\n", b"\n"), b"--x--", b"nothing at all"]
)
def test_an_invite_that_its_boundary_does_not_divide_is_no_invite_without_an_offer(body: bytes) -> None:
    """Passed on without its SDP it would be answered with an offer, and nobody would answer that."""
    stage = Stage()
    stage.office.invite(body, Content_Type="multipart/mixed;boundary=x")
    stage.office.hears(100)
    stage.office.hears(400)
    stage.carrier.hears_nothing()
    nothing_is_left(stage)


@pytest.mark.parametrize(
    "kind",
    ["multipart/related;type=\"application/sdp\";boundary=x", "Multipart/Alternative; boundary=\"x\"",
     "multipart/x-mine;boundary=x"],
)  # fmt: skip
def test_a_multipart_of_another_kind_is_read_as_mixed(kind: str) -> None:
    """RFC 2046 5.1.3: whoever does not know the kind treats it as mixed."""
    stage = Stage()
    stage.office.invite(PARTS, Content_Type=kind)
    stage.office.hears(100)
    assert stage.carrier.hears_request("INVITE").body == b"via-sbc v=0"


def test_a_callee_with_a_bad_boundary_is_acknowledged_and_hung_up() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, Content_Type=BAD, body=PARTS)
    stage.carrier.hears("ACK")
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    stage.office.hears(100)
    stage.office.hears(502)
    nothing_is_left(stage)


def test_a_callee_that_rings_with_a_bad_boundary_is_cancelled() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, Content_Type=BAD, body=PARTS)
    stage.carrier.hears("CANCEL")
    stage.carrier.respond(invite, 487)
    stage.office.hears(100)
    stage.office.hears(502)
    nothing_is_left(stage)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_a_bad_boundary_in_the_answer_to_a_new_offer_ends_the_call(method: str) -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, method, body=SDP)
    again = stage.carrier.hears_request(method)
    stage.carrier.respond(again, 200, Content_Type=BAD, body=PARTS)
    if method == "INVITE":
        stage.office.hears(100)
        stage.carrier.hears("ACK")
    stage.carrier.hears("BYE")
    stage.office.hears(488)
    stage.office.hears("BYE")
    nothing_is_left(stage)


def test_an_ack_with_a_bad_boundary_has_no_answer() -> None:
    stage = Stage()
    stage.office.invite(b"")
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0 offer")
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK", PARTS, Content_Type=BAD)
    stage.carrier.hears("ACK")
    stage.carrier.hears("BYE")
    stage.office.hears("BYE")
    nothing_is_left(stage)
