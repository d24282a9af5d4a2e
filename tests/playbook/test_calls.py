"""Whole calls through the engine, told as conversations."""

from __future__ import annotations

import json

import pytest

from sbc.b2bua.commands import AnswerMedia, DeleteMedia, OfferMedia, RollbackMedia
from sbc.observe.cdr import call_record
from sbc.sip.message import Response, serialize
from tests.playbook.stage import SDP, Stage, snapshot


def test_a_call_is_set_up_and_hung_up_by_the_caller() -> None:
    stage = Stage()
    _, answer = stage.established()
    assert answer.body == b"via-sbc v=0 answer"
    stage.within("office", answer, "BYE")
    stage.office.hears(200)
    bye = stage.carrier.hears_request("BYE")
    stage.carrier.respond(bye, 200)
    assert not stage.engine.calls
    assert isinstance(stage.media[-1], DeleteMedia)
    ended = stage.noted("call-ended")[0].fields
    assert ended["status"] == 200 and ended["by"] == "caller"


def test_the_record_tells_how_long_nobody_rang_and_how_either_peer_knows_the_call() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 100)
    stage.wait(1.25)
    stage.carrier.respond(invite, 180)
    stage.wait(1)
    stage.carrier.respond(invite, 183, tag="another fork")
    stage.carrier.respond(invite, 486)
    stage.office.request("CANCEL")
    note = stage.noted("call-ended")[0]
    record = json.loads(call_record(note.call, note.fields))
    assert (record["pdd"], record["status"], record["answered"]) == (1.25, 486, None)
    assert record["a"]["call_id"] == "call-of-office"
    assert record["b"]["call_id"] == invite.call_id != "call-of-office"


@pytest.mark.parametrize(("status", "pdd"), [(200, 3.0), (486, None)])
def test_an_answer_without_ringing_ends_the_delay_and_a_refusal_has_none(
    status: int, pdd: float | None
) -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.wait(3)
    stage.carrier.respond(invite, status)
    if status == 200:
        answer = next(each for each in stage.office.heard if getattr(each, "status", 0) == 200)
        assert isinstance(answer, Response)
        stage.within("office", answer, "ACK")
        stage.within("office", answer, "BYE")
    note = stage.noted("call-ended")[0]
    assert json.loads(call_record(note.call, note.fields))["pdd"] == pdd


def test_the_callee_may_hang_up_too() -> None:
    stage = Stage()
    invite, _ = stage.established()
    stage.from_callee(invite, "BYE")
    stage.carrier.hears(200)
    stage.office.hears("BYE")
    assert stage.noted("call-ended")[0].fields["by"] == "callee"


def test_nothing_of_one_leg_is_seen_on_the_other() -> None:
    stage = Stage()
    stage.office.invite(
        User_Agent="Secret PBX 1.0", X_Internal="10.1.2.3", Record_Route="<sip:inside.office.example;lr>"
    )
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0", Server="Carrier 9", X_Carrier="secret")
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    outgoing, incoming = serialize(invite).decode(), serialize(answer).decode()
    for secret in ("office.example", "call-of-office", "from-office", "Secret PBX", "10.1.2.3", "inside"):
        assert secret not in outgoing
    for secret in ("carrier.example", "Carrier 9", "secret", "tag=callee", invite.call_id):
        assert secret not in incoming
    assert invite.max_forwards == 69


def test_a_cancelled_call_is_cancelled_on_the_other_leg() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180)
    branch = f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}"
    stage.office.request("CANCEL", Via=branch)
    for status in (100, 180, 200, 487):
        stage.office.hears(status)
    cancel = stage.carrier.hears_request("CANCEL")
    assert cancel.via.branch == invite.via.branch
    assert not stage.engine.calls


def test_a_cancel_waits_for_the_first_provisional_response() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.office.request("CANCEL", Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}")
    stage.carrier.hears_nothing()
    stage.carrier.respond(invite, 100)
    stage.carrier.hears("CANCEL")


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180)
    stage.office.request("CANCEL", Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}")
    stage.carrier.hears("CANCEL")
    stage.carrier.respond(invite, 200, body=b"v=0")
    stage.carrier.hears("ACK")
    stage.carrier.hears("BYE")


def test_a_503_leads_to_the_next_hop() -> None:
    stage = Stage()
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 503)
    stage.carrier.hears("ACK")
    invite = stage.backup.hears("INVITE")
    stage.backup.respond(invite, 200, body=b"v=0")
    stage.office.hears(100)
    stage.office.hears(200)
    assert stage.noted("failover")


def test_a_dead_connection_leads_to_the_next_hop() -> None:
    stage = Stage()
    stage.dead.add("carrier")
    stage.office.invite()
    stage.backup.hears("INVITE")


def test_a_connection_that_dies_leads_to_the_next_hop() -> None:
    stage = Stage()
    stage.office.invite()
    stage.carrier.hears("INVITE")
    stage.carry_out(stage.engine.flow_closed(stage.carrier.flow, stage.now))
    stage.backup.hears("INVITE")


def test_silence_leads_to_the_next_hop() -> None:
    stage = Stage(snapshot(response_timeout=4))
    stage.office.invite()
    stage.carrier.hears("INVITE")
    stage.wait(4.1)
    stage.backup.hears("INVITE")


def test_the_last_failure_is_told_to_the_caller() -> None:
    stage = Stage()
    stage.dead.update(("carrier", "backup"))
    stage.office.invite()
    stage.office.hears(100)
    stage.office.hears(503)
    assert not stage.engine.calls


def test_busy_is_not_a_reason_to_try_another() -> None:
    stage = Stage()
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 486)
    stage.carrier.hears("ACK")
    stage.office.hears(100)
    stage.office.hears(486)
    stage.backup.hears_nothing()


def test_a_challenge_of_the_far_side_is_not_for_the_caller() -> None:
    stage = Stage()
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 401, WWW_Authenticate='Digest realm="x", nonce="y"')
    stage.office.hears(100)
    refused = stage.office.hears_response(403)
    assert "WWW-Authenticate" not in refused.headers


def test_an_unusable_answer_ends_the_call() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears("INVITE")
    stage.carrier.respond(invite, 200, body=b"unusable")
    stage.carrier.hears("ACK")
    stage.carrier.hears("BYE")
    stage.office.hears(100)
    stage.office.hears(488)
    assert stage.noted("media-refused")[0].fields["side"] == "b"
    assert not stage.engine.calls


@pytest.mark.parametrize("late", [False, True])
def test_ports_that_ran_out_are_ours_to_answer_for_whoever_offers(late: bool) -> None:
    stage = Stage()
    stage.office.invite(body=b"" if late else b"no ports")
    if late:
        stage.carrier.respond(stage.carrier.hears("INVITE"), 200, body=b"no ports")
        stage.carrier.hears("ACK")
        stage.carrier.hears("BYE")
    stage.office.hears(100)
    stage.office.hears(503)
    (noted,) = stage.noted("ports-refused")
    assert noted.fields == {"side": "b" if late else "a", "reason": "all are in use"}
    assert not stage.noted("media-refused") and not stage.engine.calls


def test_forks_have_tags_of_their_own_and_the_first_answer_wins() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears("INVITE")
    stage.carrier.respond(invite, 180, tag="one")
    stage.carrier.respond(invite, 180, tag="two")
    stage.office.hears(100)
    tags = {stage.office.hears_response(180).to_tag, stage.office.hears_response(180).to_tag}
    assert len(tags) == 2
    stage.carrier.respond(invite, 200, tag="two", body=b"v=0")
    assert stage.office.hears_response(200).to_tag in tags
    stage.carrier.respond(invite, 200, tag="one", body=b"v=0")
    late = stage.carrier.hears_request("ACK")
    assert late.to_tag == "one"
    assert stage.carrier.hears_request("BYE").to_tag == "one"


def test_a_repeated_2xx_gets_the_ack_again() -> None:
    stage = Stage()
    invite, _ = stage.established()
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.carrier.hears("ACK")


def test_without_an_ack_the_call_is_given_up() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0")
    stage.wait(33)
    assert not stage.engine.calls
    assert any(getattr(each, "method", "") == "BYE" for each in stage.carrier.heard)
    assert any(getattr(each, "method", "") == "BYE" for each in stage.office.heard)


def test_a_delayed_offer_is_answered_in_the_ack() -> None:
    stage = Stage()
    stage.office.invite(body=b"")
    invite = stage.carrier.hears_request("INVITE")
    assert not invite.body
    stage.carrier.respond(invite, 200, body=b"v=0 theirs")
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    assert answer.body == b"via-sbc v=0 theirs"
    stage.within("office", answer, "ACK", body=b"v=0 ours")
    assert stage.carrier.hears("ACK").body == b"via-sbc v=0 ours"
    assert [type(each) for each in stage.media] == [OfferMedia, AnswerMedia]


def test_a_reinvite_crosses_and_its_ack_too() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=b"v=0 hold")
    again = stage.carrier.hears_request("INVITE")
    assert again.body == b"via-sbc v=0 hold" and again.to_tag == "callee"
    stage.carrier.respond(again, 200, body=b"v=0 held")
    stage.office.hears(100)
    held = stage.office.hears_response(200)
    assert held.body == b"via-sbc v=0 held"
    stage.within("office", held, "ACK")
    assert stage.carrier.hears("ACK").cseq.number == again.cseq.number


def test_the_callee_may_reinvite() -> None:
    stage = Stage()
    invite, _ = stage.established()
    stage.from_callee(invite, "INVITE", body=b"v=0 hold")
    again = stage.office.hears_request("INVITE")
    stage.office.respond(again, 200, body=b"v=0 held")
    stage.carrier.hears(100)
    assert stage.carrier.hears_response(200).body == b"via-sbc v=0 held"


def test_a_refused_reinvite_restores_the_media() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=b"v=0 other")
    stage.carrier.respond(stage.carrier.hears("INVITE"), 488)
    stage.office.hears(100)
    stage.office.hears(488)
    assert isinstance(stage.media[-1], RollbackMedia)
    assert len(stage.engine.calls) == 1


def test_glare_is_answered_491() -> None:
    stage = Stage()
    invite, answer = stage.established()
    stage.within("office", answer, "INVITE", body=b"v=0 hold")
    stage.carrier.hears("INVITE")
    stage.from_callee(invite, "INVITE", body=b"v=0 hold")
    stage.carrier.hears(100)
    stage.carrier.hears(491)


def test_update_and_info_cross() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "UPDATE", body=b"v=0 new")
    update = stage.carrier.hears("UPDATE")
    assert update.body == b"via-sbc v=0 new"
    stage.carrier.respond(update, 200, body=b"v=0 newer")
    assert stage.office.hears(200).body == b"via-sbc v=0 newer"
    stage.within("office", answer, "INFO", body=b"Signal=1", Content_Type="application/dtmf-relay")
    info = stage.carrier.hears("INFO")
    assert info.body == b"Signal=1"
    stage.carrier.respond(info, 200)
    stage.office.hears(200)


def test_prack_goes_end_to_end() -> None:
    stage = Stage()
    stage.office.invite(Supported="100rel, timer")
    invite = stage.carrier.hears_request("INVITE")
    assert invite.headers.get("Supported") == "100rel, timer"
    stage.carrier.respond(invite, 183, body=b"v=0 early", Require="100rel", RSeq="71")
    stage.office.hears(100)
    early = stage.office.hears_response(183)
    assert early.headers.get("RSeq") == "71" and early.headers.get("Require") == "100rel"
    stage.within("office", early, "PRACK", RAck=f"71 {stage.cseq} INVITE")
    prack = stage.carrier.hears_request("PRACK")
    assert prack.headers.get("RAck") == f"71 {invite.cseq.number} INVITE"
    stage.carrier.respond(prack, 200)
    stage.office.hears(200)
    stage.carrier.respond(invite, 200)
    stage.office.hears(200)


def test_a_stranger_cannot_end_a_call_whose_tags_he_learned() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.backup.request(
        "BYE",
        str(answer.contact.uri) if answer.contact else "",
        To=answer.headers.get("To") or "",
        From=answer.headers.get("From") or "",
        Call_ID=answer.call_id,
    )
    stage.backup.hears(481)
    assert len(stage.engine.calls) == 1


def test_requests_that_are_refused_at_once() -> None:
    for method, headers, status in (
        ("SUBSCRIBE", {}, 405),
        ("NEWMETHOD", {}, 501),
        ("INVITE", {"Require": "nothing-known"}, 420),
        ("INVITE", {"Max_Forwards": "0"}, 483),
        ("INVITE", {"Content_Encoding": "gzip"}, 415),
        ("INVITE", {"Accept": "text/nobodyKnowsThis, multipart/mixed"}, 406),
        ("BYE", {"To": "<sip:x@sbc.example>;tag=unknown"}, 481),
    ):
        stage = Stage()
        stage.office.request(method, body=SDP, **headers)
        if method == "INVITE":
            stage.office.hears(100)
        stage.office.hears(status)
        assert not stage.engine.calls


def test_an_accept_that_covers_sdp_goes_through() -> None:
    for accept in ("application/sdp;level=1, text/html", "Application/*;q=0.5", "text/html, */*"):
        stage = Stage()
        stage.office.invite(Accept=accept)
        stage.carrier.hears("INVITE")


def test_options_is_answered() -> None:
    stage = Stage()
    stage.office.request("OPTIONS")
    answer = stage.office.hears_response(200)
    assert "INVITE" in (answer.headers.get("Allow") or "")


def test_merged_requests_are_answered_482() -> None:
    stage = Stage()
    stage.office.invite()
    number = stage.cseq
    stage.office.invite(Via="SIP/2.0/TLS other.example;branch=z9hG4bK-another", CSeq=f"{number} INVITE")
    stage.office.hears(100)
    stage.office.hears(100)
    stage.office.hears(482)


def test_a_downgrade_is_never_silent() -> None:
    rules = 'rules: [{name: out, when: true, then: route "plain"}]'
    stage = Stage(snapshot(rules))
    stage.office.invite()
    stage.plain.hears("INVITE")
    assert len(stage.noted("sips-downgrade")) == 1


def test_a_forbidden_downgrade_is_480_with_warning_380() -> None:
    rules = (
        'rules:\n  - name: out\n    when: true\n    then: |\n      forbid downgrade\n      route "plain"\n'
    )
    stage = Stage(snapshot(rules))
    stage.office.invite()
    stage.plain.hears_nothing()
    stage.office.hears(100)
    refused = stage.office.hears_response(480)
    assert (refused.headers.get("Warning") or "").startswith("380 ")


REDIRECT = """
rules:
  - name: moved
    when: true
    then: |
      {}
      redirect {}
"""
CLEAR, SECURE = "sip:bob@b.example;transport=udp", "sips:bob@b.example"


def redirected(policy: str, *targets: str) -> tuple[Stage, Response]:
    """What the office, which calls over TLS, is told by such a rule."""
    stage = Stage(snapshot(REDIRECT.format(policy, ", ".join(f'"{each}"' for each in targets))))
    stage.office.invite()
    stage.office.hears(100)
    answer = stage.office.heard.popleft()
    assert isinstance(answer, Response)
    return stage, answer


@pytest.mark.parametrize(
    "target",
    [
        CLEAR,
        "sip:bob@b.example",
        "sip:bob@b.example;transport=tcp",
        "tel:+4930123",
        "sip:b.example;transport=ws",
    ],
)
def test_a_redirect_that_would_lose_tls_is_forbidden_with_480_and_warning_380(target: str) -> None:
    stage, answer = redirected("forbid downgrade", target)
    assert answer.status == 480 and (answer.headers.get("Warning") or "").startswith("380 ")
    assert answer.headers.get("Contact") is None
    assert not stage.noted("sips-downgrade")


@pytest.mark.parametrize("target", [SECURE, "sip:bob@b.example;transport=TLS"])
def test_a_redirect_that_keeps_tls_is_never_forbidden(target: str) -> None:
    stage, answer = redirected("forbid downgrade", target)
    assert answer.status == 302 and not stage.noted("sips-downgrade")


def test_of_several_targets_those_that_keep_tls_are_named() -> None:
    _, answer = redirected("forbid downgrade", CLEAR, SECURE, "tel:+1")
    assert answer.status == 302 and answer.headers.get_all("Contact") == [f"<{SECURE}>"]


@pytest.mark.parametrize(("policy", "notes"), [("", 1), ("warn downgrade", 1), ("allow downgrade", 0)])
def test_a_redirect_to_where_tls_is_lost_is_told_once_unless_it_is_allowed(policy: str, notes: int) -> None:
    stage, answer = redirected(policy, CLEAR, "tel:+1", SECURE)
    assert answer.status == 302 and len(answer.headers.get_all("Contact")) == 3
    assert len(stage.noted("sips-downgrade")) == notes
    (ended,) = stage.noted("call-ended")
    assert ended.fields["downgraded"] is True


def test_limits_refuse_and_are_given_back() -> None:
    stage = Stage(snapshot(limits={"calls": 1}))
    _, answer = stage.established()
    stage.office.invite(Call_ID="second")
    stage.office.hears(100)
    stage.office.hears(503)
    stage.within("office", answer, "BYE")
    stage.office.hears(200)
    stage.office.invite(Call_ID="third")
    stage.carrier.hears("BYE")
    stage.carrier.hears("INVITE")


def test_no_media_ends_an_established_call() -> None:
    stage = Stage()
    stage.established()
    (call,) = stage.engine.calls
    stage.carry_out(stage.engine.media_idle(call, stage.now))
    stage.office.hears("BYE")
    stage.carrier.hears("BYE")
