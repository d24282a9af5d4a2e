"""Bodies of several parts: SDP is ours, what both trunks name crosses octet for octet (RFC 5621, row S15)."""

from __future__ import annotations

from dataclasses import replace
from email.parser import BytesParser
from email.policy import HTTP

import pytest

from sbc.config.model import Trunk
from sbc.sip.message import Message
from tests.playbook.stage import RULES, SDP, Stage, snapshot
from tests.playbook.test_left_over import nothing_is_left

KIND = "multipart/mixed;boundary=x"
PLACE = (
    b"Content-Type: application/pidf+xml\r\nContent-ID:  <place@office.example>\r\n\r\n"
    b'<?xml version="1.0"?>\r\n<presence>\xc3\xa9\x00\r\n--xy\r\n</presence>\n\n'
)
ISUP = b"Content-Type: application/isup;version=nxv3\r\nContent-Disposition: signal\r\n\r\n\x01\x00\x49"
NEEDED = ISUP.replace(b": signal", b": signal;handling=required")
QSIG = b"Content-Type: application/qsig;version=iso\r\n\r\n\x11\x04"
METADATA = (
    b"Content-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session\r\n\r\n<recording/>"
)
OURS = b"Content-Type: application/sdp\r\n\r\n" + SDP
THEIRS = b"Content-Type: application/sdp\r\n\r\nvia-sbc " + SDP


def multipart(*parts: bytes) -> bytes:
    return b"".join(b"--x\r\n" + part + b"\r\n" for part in parts) + b"--x--\r\n"


def parts_of(message: Message) -> list[bytes]:
    """The parts, divided as another implementation would, each with its head."""
    kind = message.headers.get("Content-Type") or ""
    assert kind.startswith("multipart/mixed;boundary=") and message.headers.get("MIME-Version") == "1.0"
    boundary = kind.partition("=")[2].encode()
    assert message.body.endswith(b"\r\n--" + boundary + b"--\r\n")
    _, *pieces, last = (b"\r\n" + message.body).split(b"\r\n--" + boundary)
    assert last == b"--\r\n"
    again = BytesParser(policy=HTTP).parsebytes(f"Content-Type: {kind}\r\n\r\n".encode() + message.body)
    assert len(list(again.iter_parts())) == len(pieces)
    return [piece.removeprefix(b"\r\n") for piece in pieces]


def stage(
    bodies: tuple[str, ...] = ("pidf-lo", "isup", "qsig", "siprec"), **others: tuple[str, ...]
) -> Stage:
    """Trunks that name these bodies, or ``others`` by trunk."""
    made = snapshot(RULES)
    trunks = {
        name: Trunk.model_validate({**each.model_dump(by_alias=True), "bodies": others.get(name, bodies)})
        for name, each in made.trunks.items()
    }
    return Stage(replace(made, trunks=trunks))


@pytest.mark.parametrize("order", ["before", "behind", "both"])
def test_a_location_crosses_octet_for_octet_with_what_points_to_it(order: str) -> None:
    """RFC 6442 4.1: Geolocation names the part by its Content-ID."""
    there = stage()
    sent = [OURS, PLACE] if order == "behind" else [PLACE, OURS] if order == "before" else [PLACE, OURS, ISUP]
    there.office.invite(
        multipart(*sent),
        Content_Type=KIND,
        Geolocation="<cid:place@office.example>",
        Geolocation_Routing="yes",
    )
    invite = there.carrier.hears_request("INVITE")
    assert parts_of(invite) == [THEIRS if part is OURS else part for part in sent]
    assert invite.headers.get("Geolocation") == "<cid:place@office.example>"
    assert invite.headers.get("Geolocation-Routing") == "yes"
    assert not there.noted("parts-dropped")


@pytest.mark.parametrize(
    ("office", "carrier"),
    [((), ()), (("pidf-lo",), ()), ((), ("pidf-lo",)), (("pidf-lo",), ("isup", "qsig"))],
)
def test_it_stays_behind_where_one_of_the_trunks_does_not_name_it(
    office: tuple[str, ...], carrier: tuple[str, ...]
) -> None:
    there = stage(office=office, carrier=carrier)
    there.office.invite(multipart(OURS, PLACE), Content_Type=KIND, Geolocation="<cid:place@office.example>")
    invite = there.carrier.hears_request("INVITE")
    assert invite.body == b"via-sbc " + SDP and invite.headers.get("Content-Type") == "application/sdp"
    assert "Geolocation" not in invite.headers
    (note,) = there.noted("parts-dropped")
    assert note.fields["types"] == "application/pidf+xml"
    assert note.fields["trunk"] == ("carrier" if office else "office")


def test_a_rule_may_take_the_location_reference_away() -> None:
    rules = """
rules:
  - name: out
    when: true
    then: |
      remove header "Geolocation"
      route "carrier"
"""
    made = snapshot(rules, "tls", bodies=["pidf-lo"])
    there = Stage(made)
    there.office.invite(Geolocation="<https://lis.example/x>", Geolocation_Routing="no")
    invite = there.carrier.hears_request("INVITE")
    assert "Geolocation" not in invite.headers and invite.headers.get("Geolocation-Routing") == "no"


@pytest.mark.parametrize(("kind", "part"), [("isup", ISUP), ("qsig", QSIG), ("siprec", METADATA)])
def test_each_word_carries_its_type_and_no_other(kind: str, part: bytes) -> None:
    there = stage((kind,))
    there.office.invite(multipart(OURS, PLACE, part), Content_Type=KIND)
    assert parts_of(there.carrier.hears_request("INVITE")) == [THEIRS, part]
    (note,) = there.noted("parts-dropped")
    assert note.fields["types"] == "application/pidf+xml"


def test_what_is_required_and_not_carried_there_is_tried_elsewhere_and_else_415() -> None:
    """RFC 5621 4, RFC 3261 21.4.13: Accept says what may come."""
    there = stage(office=("isup",), carrier=())
    there.office.invite(multipart(OURS, NEEDED), Content_Type=KIND)
    there.office.hears(100)
    there.office.hears(415)
    there.carrier.hears_nothing()
    (note,) = there.noted("hop-refused")
    assert "application/isup" in str(note.fields["reason"])
    nothing_is_left(there)
    there = stage(("isup",), office=())
    there.office.invite(multipart(OURS, NEEDED), Content_Type=KIND)
    there.office.hears(100)
    assert there.office.hears_response(415).headers.get("Accept") == "application/sdp"
    there = stage(("isup",), office=("pidf-lo",))
    there.office.invite(multipart(OURS, NEEDED), Content_Type=KIND)
    there.office.hears(100)
    refusal = there.office.hears_response(415)
    assert refusal.headers.get("Accept") == "application/sdp, multipart/mixed, application/pidf+xml"


def test_what_is_required_and_carried_goes_on() -> None:
    there = stage()
    there.office.invite(multipart(OURS, NEEDED), Content_Type=KIND)
    assert parts_of(there.carrier.hears_request("INVITE")) == [THEIRS, NEEDED]


def test_a_hop_that_takes_no_such_part_is_passed_over_for_one_that_does() -> None:
    rules = 'rules: [{name: out, when: true, then: \'route "carrier" then "backup" on 415\'}]'
    made = snapshot(rules, "tls", bodies=["isup"])
    plain = made.trunks["carrier"].model_copy(update={"bodies": ()})
    there = Stage(replace(made, trunks={**made.trunks, "carrier": plain}))
    there.office.invite(multipart(OURS, NEEDED), Content_Type=KIND)
    there.carrier.hears_nothing()
    assert parts_of(there.backup.hears_request("INVITE")) == [THEIRS, NEEDED]


def test_signalling_of_the_network_behind_crosses_in_every_message_of_the_call() -> None:
    """RFC 3204, SIP-I: address complete, answer and release come in 183, 200 and BYE."""
    there = stage()
    there.office.invite(multipart(OURS, ISUP), Content_Type=KIND)
    invite = there.carrier.hears_request("INVITE")
    there.office.hears(100)
    there.carrier.respond(invite, 183, body=b"\x06\x16", Content_Type="application/isup;version=nxv3")
    ringing = there.office.hears_response(183)
    assert (ringing.headers.get("Content-Type"), ringing.body) == (
        "application/isup;version=nxv3",
        b"\x06\x16",
    )
    there.carrier.respond(invite, 200, body=multipart(ISUP, OURS), Content_Type=KIND)
    answer = there.office.hears_response(200)
    assert parts_of(answer) == [ISUP, THEIRS]
    there.within("office", answer, "ACK")
    there.carrier.hears("ACK")
    there.within("office", answer, "INVITE", multipart(OURS, ISUP), Content_Type=KIND)
    there.office.hears(100)
    again = there.carrier.hears_request("INVITE")
    assert parts_of(again) == [THEIRS, ISUP]
    there.carrier.respond(again, 200, body=SDP)
    answer = there.office.hears_response(200)
    there.within("office", answer, "ACK")
    there.carrier.hears("ACK")
    there.within(
        "office", answer, "BYE", b"\x0c\x02", Content_Type="application/isup", Content_Disposition="signal"
    )
    bye = there.carrier.hears_request("BYE")
    assert (bye.headers.get("Content-Type"), bye.headers.get("Content-Disposition")) == (
        "application/isup", "signal",
    )  # fmt: skip
    assert bye.body == b"\x0c\x02"


def test_a_refusal_brings_its_cause_and_no_broken_body_keeps_it_back() -> None:
    there = stage()
    there.office.invite(multipart(OURS, ISUP), Content_Type=KIND)
    invite = there.carrier.hears_request("INVITE")
    there.carrier.respond(invite, 486, body=b"\x0c\x02\x91", Content_Type="application/isup")
    there.office.hears(100)
    assert there.office.hears_response(486).body == b"\x0c\x02\x91"
    there.carrier.hears("ACK")
    there.office.invite(Call_ID="again")
    invite = there.carrier.hears_request("INVITE")
    there.carrier.respond(invite, 486, body=b"--x", Content_Type="multipart/mixed")
    there.office.hears(100)
    assert there.office.hears_response(486).body == b""


def test_a_location_error_comes_back() -> None:
    there = stage()
    there.office.invite(multipart(OURS, PLACE), Content_Type=KIND, Geolocation="<cid:place@office.example>")
    invite = there.carrier.hears_request("INVITE")
    there.carrier.respond(invite, 424, Geolocation_Error='100;code="Cannot Process Location"')
    there.office.hears(100)
    assert "Cannot Process" in (there.office.hears_response(424).headers.get("Geolocation-Error") or "")


def test_an_invite_without_an_offer_brings_its_place_alone() -> None:
    there = stage()
    body = PLACE.partition(b"\r\n\r\n")[2]
    there.office.invite(body, Content_Type="application/pidf+xml", Content_ID="<p@office.example>")
    invite = there.carrier.hears_request("INVITE")
    assert (invite.headers.get("Content-Type"), invite.body) == ("application/pidf+xml", body)
    assert invite.headers.get("Content-ID") == "<p@office.example>"


@pytest.mark.parametrize(
    "head",
    [
        b"Content-Type: application/pidf+xml\r\nContent-Type: application/sdp",
        b"Content-Type: application/pidf+xml\nContent-Type: application/sdp",
        b"Content-Type: application/pidf+xml\rContent-Type: application/sdp",
        b"X: y\nContent-Type: application/pidf+xml",
    ],
)
def test_no_second_sdp_is_smuggled_in_as_something_else(head: bytes) -> None:
    """Whoever read it as SDP would send media in the clear, past us."""
    there = stage()
    there.office.invite(multipart(OURS, head + b"\r\n\r\nv=0 elsewhere"), Content_Type=KIND)
    assert there.carrier.hears_request("INVITE").body == b"via-sbc " + SDP


def test_no_part_can_hold_the_boundary_that_divides_it() -> None:
    there = stage()
    there.office.invite(multipart(OURS, PLACE), Content_Type=KIND, Call_ID="one")
    first = there.carrier.hears_request("INVITE")
    boundary = (first.headers.get("Content-Type") or "").partition("=")[2].encode()
    evil = PLACE + b"\r\n--" + boundary + b"\r\nContent-Type: application/sdp\r\n\r\nv=0 elsewhere"
    there.office.invite(multipart(OURS, evil), Content_Type=KIND, Call_ID="two")
    assert parts_of(there.carrier.hears_request("INVITE")) == [THEIRS, evil]


def test_a_new_offer_whose_part_the_other_side_must_know_and_does_not_is_415() -> None:
    there = stage(office=("isup",), carrier=())
    _, answer = there.established()
    there.within("office", answer, "INVITE", multipart(OURS, NEEDED), Content_Type=KIND)
    there.office.hears(100)
    there.office.hears(415)
    there.carrier.hears_nothing()


RECORDER = {"Require": "siprec", "Contact": "<sip:src@office.example>;+sip.src"}


def test_a_session_with_a_recorder_passes_with_what_belongs_to_it() -> None:
    """RFC 7866: the option, the feature in either Contact, the metadata and the labels that it names."""
    there = stage(("siprec",))
    there.office.invite(multipart(OURS, METADATA), Content_Type=KIND, **RECORDER)
    invite = there.carrier.hears_request("INVITE")
    assert invite.headers.get("Require") == "siprec" and parts_of(invite) == [THEIRS, METADATA]
    assert (invite.headers.get("Contact") or "").endswith(">;+sip.src")
    there.carrier.respond(invite, 200, body=SDP, Supported="siprec, 100rel")
    there.office.hears(100)
    answer = there.office.hears_response(200)
    assert answer.headers.get("Supported") == "100rel, siprec, timer"
    there.within("office", answer, "ACK")
    there.carrier.hears("ACK")
    there.within("office", answer, "INVITE", multipart(OURS, METADATA), Content_Type=KIND, Require="siprec")
    there.office.hears(100)
    again = there.carrier.hears_request("INVITE")
    assert again.headers.get("Require") == "siprec" and parts_of(again) == [THEIRS, METADATA]
    assert (again.headers.get("Contact") or "").endswith(">;+sip.src")


def test_a_recorder_is_refused_where_one_of_the_trunks_knows_none() -> None:
    there = stage(office=(), carrier=("siprec",))
    there.office.invite(multipart(OURS, METADATA), Content_Type=KIND, **RECORDER)
    there.office.hears(100)
    assert there.office.hears_response(420).headers.get("Unsupported") == "siprec"
    there = stage(office=("siprec",), carrier=())
    there.office.invite(multipart(OURS, METADATA), Content_Type=KIND, **RECORDER)
    there.office.hears(100)
    there.office.hears(415)
    there.carrier.hears_nothing()


def test_support_of_recorders_is_not_told_where_it_does_not_belong() -> None:
    there = stage(office=("siprec",), carrier=())
    there.office.invite(Supported="siprec", Contact="<sip:src@office.example>;+sip.src")
    invite = there.carrier.hears_request("INVITE")
    assert "siprec" not in str(invite.headers.fields) and "+sip.src" not in str(invite.headers.fields)
