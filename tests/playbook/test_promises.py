"""What each side is promised of the other: methods, answers to PRACK, parts of a body."""

from __future__ import annotations

import pytest

from tests.playbook.stage import RULES, SDP, Stage, snapshot
from tests.playbook.test_left_over import nothing_is_left

OURS = {"INVITE", "ACK", "CANCEL", "BYE", "OPTIONS"}


def methods(message: object) -> set[str]:
    return {each.strip() for each in (message.headers.get("Allow") or "").split(",")}  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        ("INVITE, ACK, BYE, CANCEL, UPDATE, PRACK, INFO, REFER", {"UPDATE", "PRACK", "INFO"}),
        ("INVITE, ACK, BYE, CANCEL", set()),
        ("INVITE, ACK, BYE, CANCEL, update", set()),  # methods are case-sensitive (RFC 3261 7.1)
        ("UPDATE", {"UPDATE"}),
        ("", {"PRACK", "INFO"}),
    ],
)
def test_allow_names_what_the_other_side_allows(said: str, passed: set[str]) -> None:
    """RFC 3311 4: whoever is told of UPDATE may send it, and it ends at a side that refuses it."""
    stage = Stage()
    stage.office.invite(Allow=said)
    invite = stage.carrier.hears_request("INVITE")
    assert methods(invite) == OURS | passed
    stage.carrier.respond(invite, 180)
    stage.carrier.respond(invite, 200, body=b"v=0 answer", **({"Allow": said} if said else {}))
    stage.office.hears(100)
    assert methods(stage.office.hears(180)) == OURS | {"PRACK", "INFO"}, "nothing was said of UPDATE"
    assert methods(stage.office.hears(200)) == OURS | passed


def test_a_response_within_the_dialog_promises_nothing_that_was_not_said() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INFO")
    stage.carrier.respond(stage.carrier.hears("INFO"), 200)
    assert "Allow" not in stage.office.hears(200).headers


def test_a_prack_that_is_repeated_and_refused_does_not_end_the_call() -> None:
    """RFC 3262 3: 481 says that no response waits for this PRACK, not that the dialog is gone."""
    stage = Stage()
    stage.office.invite(Supported="100rel")
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, body=b"v=0 early", Require="100rel", RSeq="1")
    stage.office.hears(100)
    early = stage.office.hears_response(183)
    for status in (200, 481):
        stage.within("office", early, "PRACK", RAck="1 1 INVITE")
        stage.carrier.respond(stage.carrier.hears("PRACK"), status)
        assert stage.office.hears_response(status).cseq.method == "PRACK"
    stage.carrier.respond(invite, 200)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK", CSeq="1 ACK")
    stage.carrier.hears("ACK")
    (call,) = stage.engine.calls.values()
    assert call.state == "up"


@pytest.mark.parametrize("in_the_answer", [b"", b"v=0 early"])
def test_we_acknowledge_for_a_caller_without_100rel(in_the_answer: bytes) -> None:
    """RFC 3262 4: it gets an ordinary response, and in the 2xx the answer that was a preview till then."""
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180, Require="100rel", RSeq="7")
    pracks = [stage.carrier.hears_request("PRACK")]
    stage.carrier.respond(invite, 180, Require="100rel", RSeq="7")  # again
    stage.carrier.respond(invite, 183, Require="100rel", RSeq="9")  # one too early
    stage.carrier.hears_nothing()
    stage.carrier.respond(invite, 183, body=b"v=0 early", Require="100rel", RSeq="8")
    pracks.append(stage.carrier.hears_request("PRACK"))
    said = [prack.headers.get("RAck") for prack in pracks]
    assert said == [f"{rseq} {invite.cseq.number} INVITE" for rseq in (7, 8)]
    assert [prack.cseq.number - invite.cseq.number for prack in pracks] == [1, 2]
    for prack in pracks:
        stage.carrier.respond(prack, 200)
    stage.office.hears(100)
    for status, body in ((180, b""), (183, b"via-sbc v=0 early")):
        response = stage.office.hears_response(status)
        assert "RSeq" not in response.headers and "Require" not in response.headers
        assert response.body == body
    stage.office.hears_nothing()
    stage.carrier.respond(invite, 200, body=in_the_answer)
    answer = stage.office.hears_response(200)
    assert answer.body == b"via-sbc v=0 early"
    stage.within("office", answer, "ACK", CSeq="1 ACK")
    stage.carrier.hears("ACK")
    stage.within("office", answer, "BYE")
    stage.office.hears(200)
    bye = stage.carrier.hears_request("BYE")
    assert bye.cseq.number == pracks[1].cseq.number + 1
    stage.carrier.respond(bye, 200)
    stage.wait(64)
    nothing_is_left(stage)


def test_an_offer_in_a_reliable_response_is_the_caller_s_to_answer() -> None:
    stage = Stage()
    stage.office.invite(body=b"")
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, body=SDP, Require="100rel", RSeq="1")
    stage.carrier.hears_nothing()
    stage.office.hears(100)
    assert stage.office.hears(183).headers.get("RSeq") == "1"


@pytest.mark.parametrize("reliable", [True, False])
def test_early_media_may_be_withheld(reliable: bool) -> None:
    """The caller hears a ringing tone of its own; the answer's description comes with the 2xx."""
    stage = Stage(snapshot(RULES, "tls", early_media="ringing"))
    stage.office.invite(SDP, Supported="100rel" if reliable else "")
    invite = stage.carrier.hears_request("INVITE")
    extra = {"Require": "100rel", "RSeq": "1"} if reliable else {}
    stage.carrier.respond(invite, 183, body=b"v=0 early", **extra)
    stage.office.hears(100)
    ringing = stage.office.hears_response(180)
    assert ringing.body == b"" and "Content-Type" not in ringing.headers
    assert len(stage.media) == 1, "nothing is relayed before the answer"
    if reliable:
        stage.within("office", ringing, "PRACK", RAck="1 1 INVITE")
        stage.carrier.respond(stage.carrier.hears("PRACK"), 200)
        stage.office.hears(200)
    stage.carrier.respond(invite, 200, body=b"" if reliable else b"v=0 answer")
    answer = stage.office.hears_response(200)
    assert answer.body == (b"via-sbc v=0 early" if reliable else b"via-sbc v=0 answer")
    stage.within("office", answer, "ACK", CSeq="1 ACK")
    assert not stage.carrier.hears("ACK").body
    (call,) = stage.engine.calls.values()
    assert (call.state, call.offerer) == ("up", None)


def test_withheld_early_media_of_a_caller_without_100rel_is_acknowledged_by_us() -> None:
    stage = Stage(snapshot(RULES, "tls", early_media="ringing"))
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, body=b"v=0 early", Require="100rel", RSeq="1")
    stage.carrier.respond(stage.carrier.hears("PRACK"), 200)
    stage.office.hears(100)
    assert not stage.office.hears(180).body
    stage.carrier.respond(invite, 200)
    assert stage.office.hears(200).body == b"via-sbc v=0 early"


def test_an_early_offer_of_the_callee_is_not_withheld() -> None:
    stage = Stage(snapshot(RULES, "tls", early_media="ringing"))
    stage.office.invite(body=b"", Supported="100rel")
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, body=SDP, Require="100rel", RSeq="1")
    stage.office.hears(100)
    assert stage.office.hears(183).body == b"via-sbc " + SDP


ISUP = "Content-Type: application/isup;version=nxv3"


def parts(*heads: str) -> bytes:
    sdp = f"--x\r\nContent-Type: application/sdp\r\n\r\n{SDP.decode()}\r\n"
    return (sdp + "".join(f"--x\r\n{head}\r\n\r\nbody\r\n" for head in heads) + "--x--\r\n").encode()


KIND = "multipart/mixed;boundary=x"


@pytest.mark.parametrize(
    "head",
    [
        f"{ISUP}\r\nContent-Disposition: signal;handling=required",
        f"Content-Disposition:signal ; Handling = REQUIRED\r\n{ISUP}",
        f'{ISUP}\r\nContent-Disposition: signal; handling="required"',
        f"{ISUP}\r\nContent-Disposition: signal;\r\n handling=required",
        "Content-Disposition: render;handling=required",
    ],
)
@pytest.mark.parametrize("within", [False, True])
def test_a_part_that_must_be_understood_and_is_not_carried_is_415(head: str, within: bool) -> None:
    """RFC 5621 4, RFC 3261 20.11: the sender wants no call without it."""
    stage = Stage()
    if within:
        _, answer = stage.established()
        stage.within("office", answer, "INVITE", parts(head), Content_Type=KIND)
    else:
        stage.office.invite(parts(head), Content_Type=KIND)
    stage.office.hears(100)
    refusal = stage.office.hears_response(415)
    assert refusal.headers.get("Accept") == "application/sdp"
    stage.carrier.hears_nothing()
    if not within:
        nothing_is_left(stage)


@pytest.mark.parametrize(
    "head",
    [
        f"{ISUP}\r\nContent-Disposition: signal;handling=optional",
        "Content-Type: application/pidf+xml\r\nContent-ID: <place@a.example>",
        "X-Odd: handling=required",
    ],
)
def test_a_part_that_need_not_be_understood_is_left_out_and_told_of(head: str) -> None:
    stage = Stage()
    stage.office.invite(parts(head), Content_Type=KIND)
    assert stage.carrier.hears_request("INVITE").body == b"via-sbc " + SDP
    (note,) = stage.noted("parts-dropped")
    told = "application/isup" if "isup" in head else "application/pidf+xml" if "pidf" in head else ""
    assert told in str(note.fields["types"]) and note.fields["trunk"] == "office"


@pytest.mark.parametrize("more", ["", "Content-Disposition: session;handling=required\r\n"])
def test_sdp_alone_in_a_multipart_is_no_loss(more: str) -> None:
    stage = Stage()
    stage.office.invite(parts().replace(b"Content-Type", more.encode() + b"Content-Type"), Content_Type=KIND)
    stage.carrier.hears("INVITE")
    assert not stage.noted("parts-dropped")


def test_a_body_of_very_many_parts_is_refused() -> None:
    stage = Stage()
    stage.office.invite(parts(*[ISUP] * 1000), Content_Type=KIND)
    stage.office.hears(100)
    stage.office.hears(400)
    nothing_is_left(stage)
