"""A 2xx that comes late, or again, or is overtaken by a BYE: it gets its ACK, and its sender one BYE."""

from __future__ import annotations

import pytest

from sbc.sip.message import Request, Response, response_to, serialize
from sbc.sip.parse import ParseError, parse_message
from tests.playbook.stage import SDP, Stage


def answered() -> tuple[Stage, Request, Response]:
    """A call whose 200 has reached the caller, which has not said ACK."""
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(100)
    return stage, invite, stage.office.hears_response(200)


def silence(stage: Stage) -> None:
    """Nothing more is said, by nobody, until every timer has run."""
    stage.wait(300)
    stage.office.hears_nothing()
    stage.carrier.hears_nothing()
    assert not stage.engine.calls and not len(stage.engine.transactions)


def test_a_caller_that_hangs_up_instead_of_acknowledging_hears_no_200_again() -> None:
    stage, _, answer = answered()
    stage.within("office", answer, "BYE")
    assert stage.office.hears_response(200).cseq.method == "BYE"
    stage.carrier.hears("ACK")
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    silence(stage)


def test_a_caller_that_hangs_up_a_reinvite_instead_of_acknowledging_hears_no_200_again() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=SDP)
    stage.office.hears(100)
    stage.carrier.respond(stage.carrier.hears("INVITE"), 200, body=b"v=0 answer")
    stage.office.hears(200)
    stage.within("office", answer, "BYE")
    assert stage.office.hears_response(200).cseq.method == "BYE"
    stage.carrier.hears("ACK")
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    silence(stage)


def test_a_callee_that_hangs_up_before_the_ack_gets_one() -> None:
    """RFC 3261 13.2.2.4: each 2xx is acknowledged, whatever comes of the call."""
    stage, invite, answer = answered()
    stage.from_callee(invite, "BYE")
    ack = stage.carrier.hears_request("ACK")
    assert stage.carrier.hears_response(200).cseq.method == "BYE"
    assert (ack.to_tag, ack.cseq.number) == ("callee", invite.cseq.number)
    stage.office.respond(stage.office.hears("BYE"), 200)
    stage.within("office", answer, "ACK", CSeq=f"{answer.cseq.number} ACK")
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.carrier.hears("ACK")
    silence(stage)


def test_a_caller_that_is_hung_up_hears_the_200_until_it_acknowledges() -> None:
    stage, invite, answer = answered()
    stage.from_callee(invite, "BYE")
    stage.office.respond(stage.office.hears("BYE"), 200)
    stage.wait(1)
    assert stage.office.hears_response(200).cseq.method == "INVITE"
    stage.within("office", answer, "ACK", CSeq=f"{answer.cseq.number} ACK")
    stage.wait(300)
    stage.office.hears_nothing()


@pytest.mark.parametrize("given_up", ["cancelled", "another fork answered"])
def test_a_late_200_that_is_repeated_is_acknowledged_again_and_hung_up_once(given_up: str) -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180, tag="late")
    if given_up == "cancelled":
        stage.office.request(
            "CANCEL", Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}",
            CSeq=f"{stage.cseq} CANCEL", Contact="",
        )  # fmt: skip
        stage.carrier.respond(stage.carrier.hears("CANCEL"), 200)
    else:
        stage.carrier.respond(invite, 200, tag="first", body=b"v=0 answer")
    stage.carrier.respond(invite, 200, tag="late", body=b"v=0 late")
    assert stage.carrier.hears_request("ACK").to_tag == "late"
    bye = stage.carrier.hears_request("BYE")
    assert bye.to_tag == "late"
    for _ in range(3):
        stage.carrier.respond(invite, 200, tag="late", body=b"v=0 late")
        assert stage.carrier.hears_request("ACK").to_tag == "late"
    stage.carrier.hears_nothing()
    stage.carrier.respond(bye, 200)
    stage.carrier.respond(invite, 200, tag="another", body=b"v=0 later")
    assert stage.carrier.hears_request("ACK").to_tag == "another"
    assert stage.carrier.hears_request("BYE").to_tag == "another"


def test_late_answers_of_ever_new_forks_are_not_all_remembered() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, tag="first", body=b"v=0 answer")
    before = len(stage.engine.transactions)
    for number in range(1000):
        stage.carrier.respond(invite, 200, tag=f"fork{number}")
    assert len(stage.engine.transactions) < before + 100


@pytest.mark.parametrize("unusable", [True, False])
def test_a_200_to_a_reinvite_that_is_repeated_after_the_end_of_the_call_is_acknowledged(
    unusable: bool,
) -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=SDP)
    again = stage.carrier.hears_request("INVITE")
    if unusable:
        stage.carrier.respond(again, 200, body=b"unusable")
        stage.carrier.hears("ACK")
    else:
        stage.within("office", answer, "BYE")
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    for _ in range(2):
        stage.carrier.respond(again, 200, body=b"unusable")
        ack = stage.carrier.hears_request("ACK")
        assert ack.cseq.number == again.cseq.number


DOUBLED = [
    ("From", "<sip:mallory@office.example>;tag=m"),
    ("To", "<sip:bob@carrier.example>;tag=m"),
    ("CSeq", "1 INVITE"),
    ("Call-ID", "another"),
    ("Content-Length", ""),
    ("Contact", "<sip:"),
    ("Record-Route", "<sip:"),
]


def wrong(invite: Request, status: int, name: str, value: str, tag: str = "callee") -> Response:
    """An answer with one header twice, or one that is malformed."""
    response = response_to(invite, status, "", tag)
    if name != "Contact":
        response.headers.add("Contact", "<sip:bob@carrier.example;transport=tls>")
    response.body = b"v=0 answer"
    response.headers.add("Content-Type", "application/sdp")
    response.headers.add(name, value or str(len(response.body)))
    if name == "Content-Length":
        response.headers.add(name, value or str(len(response.body)))
    return response


@pytest.mark.parametrize(("name", "value"), DOUBLED)
@pytest.mark.parametrize("rang", [True, False])
def test_a_200_that_cannot_be_believed_is_acknowledged_and_hung_up(name: str, value: str, rang: bool) -> None:
    """Dropped without an ACK it would come again for 32 s, and two people would hear nothing."""
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.office.hears(100)
    if rang:
        stage.carrier.respond(invite, 180)
        stage.office.hears(180)
    answer = wrong(invite, 200, name, value)
    stage.play(stage.carrier.flow, answer)
    ack = stage.carrier.hears_request("ACK")
    assert (ack.to_tag, ack.cseq.number) == ("callee", invite.cseq.number)
    bye = stage.carrier.hears_request("BYE")
    if name not in ("Contact", "Record-Route"):
        assert bye.uri == "sip:bob@carrier.example;transport=tls"
    stage.office.hears(502)
    stage.play(stage.carrier.flow, answer)
    stage.carrier.hears("ACK")
    stage.carrier.respond(bye, 200)
    stage.wait(300)
    stage.carrier.hears_nothing()
    assert not stage.engine.calls and not len(stage.engine.transactions)
    assert len(stage.noted("malformed")) == 2


def test_a_200_to_a_reinvite_that_cannot_be_believed_is_acknowledged_and_ends_the_call() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=SDP)
    stage.office.hears(100)
    again = stage.carrier.hears_request("INVITE")
    stage.play(stage.carrier.flow, wrong(again, 200, "From", "<sip:m@office.example>;tag=m", tag=""))
    assert stage.carrier.hears_request("ACK").cseq.number == again.cseq.number
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    stage.office.hears(502)
    stage.office.respond(stage.office.hears("BYE"), 200)
    stage.play(stage.carrier.flow, wrong(again, 200, "From", "<sip:m@office.example>;tag=m", tag=""))
    stage.carrier.hears("ACK")
    stage.wait(33)
    assert not stage.engine.calls


def test_a_200_that_is_repeated_wrongly_does_not_end_the_call() -> None:
    stage = Stage()
    invite, _ = stage.established()
    stage.play(stage.carrier.flow, wrong(invite, 200, "From", "<sip:m@office.example>;tag=m"))
    stage.carrier.hears("ACK")
    stage.carrier.hears_nothing()
    assert stage.engine.calls


def test_a_refusal_that_cannot_be_believed_is_one_all_the_same() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.play(stage.carrier.flow, wrong(invite, 486, "From", "<sip:m@office.example>;tag=m"))
    stage.carrier.hears("ACK")
    stage.office.hears(100)
    stage.office.hears(486)


@pytest.mark.parametrize(("name", "value"), [("Via", "SIP/2.0/TLS"), ("CSeq", "x")])
def test_what_belongs_to_nothing_is_dropped(name: str, value: str) -> None:
    stage = Stage()
    stage.office.invite()
    answer = response_to(stage.carrier.hears_request("INVITE"), 200, "", "callee")
    answer.headers.set(name, value)
    stage.play(stage.carrier.flow, answer)
    stage.carrier.hears_nothing()
    assert stage.engine.calls


def test_what_another_peer_says_in_the_callees_name_is_dropped() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.play(stage.backup.flow, wrong(invite, 200, "From", "<sip:m@office.example>;tag=m"))
    stage.backup.hears_nothing()
    stage.carrier.hears_nothing()
    assert stage.engine.calls


def garbled(stage: Stage, response: Response) -> None:
    """The carrier says ``response`` with an octet in it that no header has."""
    with pytest.raises(ParseError) as caught:
        parse_message(serialize(response).replace(b"Content-Length", b"X-Odd: \x01\r\nContent-Length"))
    stage.carry_out(stage.engine.malformed(stage.carrier.flow, caught.value, stage.now))


def test_a_200_with_an_octet_that_no_header_has_is_acknowledged_and_hung_up() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    garbled(stage, response_to(invite, 183, "", "callee"))
    stage.carrier.hears_nothing()
    answer = response_to(invite, 200, "", "callee")
    garbled(stage, answer)
    assert stage.carrier.hears_request("ACK").to_tag == "callee"
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    stage.office.hears(100)
    stage.office.hears(502)
    garbled(stage, answer)
    stage.carrier.hears("ACK")
    stage.wait(300)
    stage.carrier.hears_nothing()
    assert not stage.engine.calls and not len(stage.engine.transactions)


def test_a_200_whose_end_is_missing_is_discarded() -> None:
    """RFC 3261 18.3: over UDP the packet ends before the body does, and another copy may be whole."""
    stage = Stage()
    stage.office.invite()
    answer = response_to(stage.carrier.hears_request("INVITE"), 200, "", "callee")
    answer.body = b"v=0 answer"
    with pytest.raises(ParseError) as caught:
        parse_message(serialize(answer)[:-3])
    stage.carry_out(stage.engine.malformed(stage.carrier.flow, caught.value, stage.now))
    stage.carrier.hears_nothing()
    assert stage.engine.calls
