"""What is carried across a leg: the headers of requests within a dialog and of responses, and their size."""

from __future__ import annotations

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
