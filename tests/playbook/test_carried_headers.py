"""What is carried across a leg: the headers of requests within a dialog and of responses, and their size."""

from __future__ import annotations

from tests.playbook.stage import Stage, SDP


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
