"""What is carried across a leg: the headers of requests within a dialog and of responses, and their size."""

from __future__ import annotations

import pytest

from tests.playbook.stage import SDP, Stage


def test_a_refused_reinvite_with_carried_headers() -> None:
    """What is carried across is part of the request, also for the ACK and the CANCEL made from it."""
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0", Record_Route="<sip:edge.carrier.example;lr>")
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    stage.carrier.hears("ACK")
    stage.within("office", answer, "INVITE", body=SDP, Subject="again", Accept="application/sdp")
    stage.office.hears(100)
    again = stage.carrier.hears_request("INVITE")
    assert again.headers.get("Subject") == "again"
    stage.carrier.respond(again, 488)
    ack = stage.carrier.hears_request("ACK")
    assert ack.headers.get("Route") == "<sip:edge.carrier.example;lr>"
    stage.office.hears(488)


def test_carried_headers_that_are_too_long_for_a_peer_are_left_out() -> None:
    long = "x" * 9000
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180, Reason="SIP;text=short")
    stage.carrier.respond(invite, 200, body=b"v=0", Subject=long)
    stage.office.hears(100)
    assert stage.office.hears_response(180).headers.get("Reason") == "SIP;text=short"
    answer = stage.office.hears_response(200)
    assert "Subject" not in answer.headers and answer.body
    stage.within("office", answer, "ACK")
    stage.carrier.hears("ACK")
    stage.within("office", answer, "UPDATE", Subject=long)
    assert "Subject" not in stage.carrier.hears_request("UPDATE").headers


def test_an_invite_that_would_be_too_long_for_the_callee_is_refused() -> None:
    """Written anew it is longer than it came: the users' names stand in it twice."""
    stage = Stage()
    user = "u" * 5000
    for display in ("", "\u20ac" * 2000):
        stage.office.request(
            "INVITE", f"sip:{user}@sbc.example", SDP, From=f'"{display}" <sip:{user}@office.example>;tag=1'
        )
        stage.office.hears(100)
        refusal = stage.office.hears_response(513)
        assert refusal.reason == "Message Too Large"
        stage.carrier.hears_nothing()
        assert not stage.engine.calls and "too long" in str(stage.noted("call-ended")[-1].fields["reason"])
    stage.office.invite(From=f"<sip:{'u' * 2000}@office.example>;tag=2")
    stage.office.hears(100)
    assert len(stage.carrier.hears_request("INVITE").from_.uri.user) == 2000


ELSEWHERE = 'SIP;cause=200;text="Call completed elsewhere"'
DATA = "56a390f3d2b7310023a2;encoding=hex"


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_why_a_call_ends_crosses_in_its_bye(who: str) -> None:
    """RFC 3326 2: Reason may appear in any request within a dialog; RFC 7433 3: User-to-User in BYE."""
    stage = Stage()
    invite, answer = stage.established()
    why = "Q.850;cause=16"
    if who == "caller":
        stage.within("office", answer, "BYE", Reason=why, User_to_User=DATA, X_Odd="stays")
    else:
        stage.from_callee(invite, "BYE", Reason=why, User_to_User=DATA, X_Odd="stays")
    far = stage.carrier if who == "caller" else stage.office
    bye = far.hears_request("BYE")
    assert bye.headers.get("Reason") == why and bye.headers.get("User-to-User") == DATA
    assert "X-Odd" not in bye.headers


@pytest.mark.parametrize("heard", [True, False], ids=["ringing", "not heard yet"])
def test_why_a_call_is_cancelled_crosses(heard: bool) -> None:
    """RFC 3326 2: phones that rang in vain show no missed call where another has answered."""
    stage = Stage()
    stage.office.invite()
    via = f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}"
    invite = stage.carrier.hears_request("INVITE")
    if heard:
        stage.carrier.respond(invite, 180)
    stage.office.request("CANCEL", Via=via, Reason=ELSEWHERE, Subject="not in a CANCEL")
    if not heard:
        stage.carrier.hears_nothing()
        stage.carrier.respond(invite, 180)
    cancel = stage.carrier.hears_request("CANCEL")
    assert cancel.headers.get("Reason") == ELSEWHERE and "Subject" not in cancel.headers


def test_why_a_reinvite_is_cancelled_crosses() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=SDP)
    via = f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}"
    stage.carrier.respond(stage.carrier.hears("INVITE"), 180)
    stage.within("office", answer, "CANCEL", Via=via, Reason=ELSEWHERE)
    assert stage.carrier.hears_request("CANCEL").headers.get("Reason") == ELSEWHERE


def test_a_bye_in_an_early_dialog_cancels_with_its_reason() -> None:
    stage = Stage()
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 180)
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(180), "BYE", Reason="Q.850;cause=16")
    assert stage.carrier.hears_request("CANCEL").headers.get("Reason") == "Q.850;cause=16"


def test_a_reason_that_is_too_long_for_a_peer_stays() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "BYE", Reason="x" * 9000)
    assert "Reason" not in stage.carrier.hears_request("BYE").headers
