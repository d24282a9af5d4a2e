"""More calls through the engine: the rarer turns of RFC 3261, 3262, 3264 and 3311, told as conversations."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.b2bua.commands import AnswerMedia, OfferMedia, RollbackMedia
from sbc.config.model import Caps
from sbc.flow import EARNED, Allowance
from sbc.sip.message import Request, Response, response_to
from tests.playbook.living import left_behind
from tests.playbook.stage import RULES, SDP, Stage, snapshot


@pytest.mark.parametrize("strangers", [(), ("office",), ("carrier",)])
def test_an_asserted_identity_passes_between_verified_peers_only(strangers: tuple[str, ...]) -> None:
    stage = Stage(strangers=strangers)
    stage.office.invite(P_Asserted_Identity="<sip:alice@office.example>")
    invite = stage.carrier.hears_request("INVITE")
    assert ("P-Asserted-Identity" in invite.headers) == (not strangers)
    stage.carrier.respond(invite, 180, P_Asserted_Identity="<sip:bob@carrier.example>")
    stage.office.hears(100)
    ringing = stage.office.hears_response(180)
    assert ("P-Asserted-Identity" in ringing.headers) == (not strangers)


def test_an_asserted_identity_never_comes_in_over_plain_transport() -> None:
    rules = 'rules: [{name: all, when: true, then: route "carrier"}]'
    stage = Stage(snapshot(rules))
    stage.plain.invite(P_Asserted_Identity="<sip:alice@plain.example>")
    assert "P-Asserted-Identity" not in stage.carrier.hears_request("INVITE").headers


def _early(stage: Stage, offer: bytes = SDP, answer: bytes = b"v=0 early") -> tuple[Request, Response]:
    """A call that rings with a reliable 183: the INVITE and the 183 as the peers heard them."""
    stage.office.invite(body=offer, Supported="100rel")
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, body=answer, Require="100rel", RSeq="1")
    stage.office.hears(100)
    return invite, stage.office.hears_response(183)


def _pracked(stage: Stage, early: Response, body: bytes = b"") -> Request:
    """The office sends PRACK, which the carrier answers."""
    stage.within("office", early, "PRACK", body=body, RAck=f"1 {stage.cseq} INVITE")
    prack = stage.carrier.hears_request("PRACK")
    stage.carrier.respond(prack, 200)
    stage.office.hears(200)
    return prack


# Contacts


def test_an_invite_without_contact_is_the_callers_mistake() -> None:
    stage = Stage()
    stage.office.invite(Contact="")
    stage.office.hears(100)
    assert stage.office.hears_response(400).reason == "Missing Contact"
    stage.carrier.hears_nothing()
    assert not stage.engine.calls


def test_a_2xx_without_contact_is_hung_up_and_the_next_hop_tried() -> None:
    stage = Stage(snapshot(RULES.replace("503", "502")))
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    answer = response_to(invite, 200, "", "callee")
    stage.carrier.say(answer)
    assert stage.carrier.hears_request("ACK").uri == invite.uri
    assert stage.carrier.hears_request("BYE").to_tag == "callee"
    stage.backup.hears("INVITE")
    stage.carrier.say(answer)
    stage.carrier.hears("ACK")


# Reliable provisional responses (RFC 3262), early offers and answers (RFC 3264, 6337)


def test_prack_may_carry_another_offer() -> None:
    stage = Stage()
    invite, early = _early(stage)
    stage.within("office", early, "PRACK", body=b"v=0 second", RAck=f"1 {stage.cseq} INVITE")
    prack = stage.carrier.hears_request("PRACK")
    assert prack.body == b"via-sbc v=0 second"
    stage.carrier.respond(prack, 200, body=b"v=0 agreed")
    assert stage.office.hears(200).body == b"via-sbc v=0 agreed"
    stage.carrier.respond(invite, 200, body=b"v=0 early")
    answer = stage.office.hears_response(200)
    assert not answer.body, "the INVITE's first answer must not undo what PRACK agreed"
    stage.within("office", answer, "ACK", CSeq=f"{answer.cseq.number} ACK")
    stage.carrier.hears("ACK")
    (call,) = stage.engine.calls.values()
    assert call.state == "up"


def test_the_operators_cap_of_streams_binds_offers_of_both_sides() -> None:
    configuration = snapshot()
    capped = configuration.settings.model_copy(update={"caps": Caps(streams_per_call=2)})
    stage = Stage(replace(configuration, settings=capped))
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=b"v=0 more")
    offers = [each for each in stage.media if isinstance(each, OfferMedia)]
    assert [(each.ours.streams, each.theirs.streams) for each in offers] == [(2, 2), (2, 2)]


def test_a_delayed_offer_in_a_183_is_answered_in_prack() -> None:
    stage = Stage()
    invite, early = _early(stage, offer=b"", answer=b"v=0 theirs")
    assert early.body == b"via-sbc v=0 theirs"
    assert _pracked(stage, early, b"v=0 ours").body == b"via-sbc v=0 ours"
    stage.carrier.respond(invite, 200)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK", CSeq=f"{answer.cseq.number} ACK")
    assert not stage.carrier.hears("ACK").body
    assert [type(each) for each in stage.media] == [OfferMedia, AnswerMedia]
    stage.carrier.hears_nothing()
    (call,) = stage.engine.calls.values()
    assert call.state == "up"


@pytest.mark.parametrize("rack", ["", "1 2", "one 1 INVITE"])
def test_a_prack_with_a_bad_rack_is_refused_and_nothing_stays_behind(rack: str) -> None:
    stage = Stage()
    _, early = _early(stage)
    stage.within("office", early, "PRACK", RAck=rack)
    stage.office.hears(400)
    stage.carrier.hears_nothing()
    assert all(each.state != "Trying" for each in stage.engine.transactions._live.values())


def test_prack_of_a_reinvites_progress_names_that_invite() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=b"v=0 more", Supported="100rel")
    again = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(again, 183, Require="100rel", RSeq="9")
    stage.office.hears(100)
    stage.office.hears(183)
    stage.within("office", answer, "PRACK", RAck=f"9 {stage.cseq} INVITE")
    assert stage.carrier.hears_request("PRACK").headers.get("RAck") == f"9 {again.cseq.number} INVITE"
    assert again.cseq.number > 1


def test_a_caller_may_require_100rel_and_is_told_who_cannot() -> None:
    stage = Stage()
    stage.office.invite(Require="100rel")
    invite = stage.carrier.hears_request("INVITE")
    assert invite.headers.get("Require") == "100rel"
    stage.carrier.respond(invite, 420, Unsupported="100rel")
    stage.office.hears(100)
    assert stage.office.hears_response(420).headers.get("Unsupported") == "100rel"


def test_update_crosses_in_an_early_dialog_once_the_offer_is_answered() -> None:
    stage = Stage()
    invite, early = _early(stage)
    _pracked(stage, early)
    stage.within("office", early, "UPDATE", body=b"v=0 hold")
    update = stage.carrier.hears_request("UPDATE")
    assert update.body == b"via-sbc v=0 hold"
    stage.from_callee(invite, "UPDATE", body=b"v=0 crossing")
    stage.carrier.hears(491)
    stage.carrier.respond(update, 200, body=b"v=0 held")
    assert stage.office.hears(200).body == b"via-sbc v=0 held"
    stage.from_callee(invite, "UPDATE", body=b"v=0 resume")
    assert stage.office.hears_request("UPDATE").body == b"via-sbc v=0 resume"


def test_update_with_an_offer_waits_for_the_answer_to_the_first() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 183, body=b"v=0 preview")
    stage.office.hears(100)
    early = stage.office.hears_response(183)
    stage.within("office", early, "UPDATE", body=b"v=0 other")
    assert stage.office.hears_response(500).headers.get("Retry-After")
    stage.from_callee(invite, "UPDATE", body=b"v=0 other")
    stage.carrier.hears(491)
    stage.within("office", early, "UPDATE")
    stage.carrier.hears("UPDATE")


# Within the dialog


def test_a_reinvite_without_sdp_brings_the_far_sides_offer() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE")
    again = stage.carrier.hears_request("INVITE")
    assert not again.body
    stage.carrier.respond(again, 200, body=b"v=0 all i can")
    stage.office.hears(100)
    offered = stage.office.hears_response(200)
    assert offered.body == b"via-sbc v=0 all i can"
    stage.within("office", offered, "UPDATE", body=b"v=0 too early")
    stage.office.hears(491)
    stage.within("office", offered, "ACK", body=b"v=0 this", CSeq=f"{offered.cseq.number} ACK")
    assert stage.carrier.hears("ACK").body == b"via-sbc v=0 this"
    stage.within("office", offered, "UPDATE", body=b"v=0 now")
    stage.carrier.hears("UPDATE")


def test_a_cancelled_reinvite_is_cancelled_beyond_once_it_was_heard() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=b"v=0 more")
    again = stage.carrier.hears_request("INVITE")
    branch = f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}"
    stage.within("office", answer, "CANCEL", Via=branch)
    stage.office.hears(100)
    stage.office.hears(200)
    stage.carrier.hears_nothing()
    stage.carrier.respond(again, 100)
    stage.carrier.hears("CANCEL")
    stage.carrier.respond(again, 487)
    stage.carrier.hears("ACK")
    stage.office.hears(487)
    assert isinstance(stage.media[-1], RollbackMedia)
    assert len(stage.engine.calls) == 1
    stage.within("office", answer, "INVITE", body=b"v=0 once more")
    stage.carrier.hears("INVITE")


def test_a_second_reinvite_from_the_same_side_is_500_with_retry_after() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=b"v=0 one")
    stage.within("office", answer, "INVITE", body=b"v=0 two")
    stage.office.hears(100)
    stage.office.hears(100)
    assert stage.office.hears_response(500).headers.get("Retry-After")
    stage.carrier.hears("INVITE")
    stage.carrier.hears_nothing()


@pytest.mark.parametrize("method", ["INFO", "UPDATE", "INVITE"])
@pytest.mark.parametrize("status", [408, 481])
@pytest.mark.parametrize("asks", ["caller", "callee"])
def test_a_side_that_lost_the_dialog_ends_the_call_and_is_told(asks: str, status: int, method: str) -> None:
    """RFC 3261 12.2.1.2: whoever hears 408 or 481 sends BYE, for the other may be up all the same."""
    stage = Stage()
    invite, answer = stage.established()
    if asks == "caller":
        near, far = stage.office, stage.carrier
        stage.within("office", answer, method, body=SDP)
    else:
        near, far = stage.carrier, stage.office
        stage.from_callee(invite, method, body=SDP)
    far.respond(far.hears(method), status)
    if method == "INVITE":
        far.hears("ACK")
        near.hears(100)
    near.hears(status)
    for peer in (near, far):
        peer.respond(peer.hears("BYE"), 200)
        peer.hears_nothing()
    (ended,) = stage.noted("call-ended")
    assert ended.fields["reason"] == f"{status} within the dialog"
    assert not stage.engine.calls


def test_requests_within_the_dialog_may_come_over_another_connection() -> None:
    stage = Stage()
    invite, answer = stage.established()
    first = stage.office.flow
    stage.carry_out(stage.engine.flow_closed(first, stage.now))
    stage.office.flow = stage.flow(stage.engine.store.current.trunks["office"])
    stage.within("office", answer, "INFO", body=b"x", Content_Type="text/plain")
    stage.carrier.respond(stage.carrier.hears("INFO"), 200)
    stage.office.hears(200)
    stage.from_callee(invite, "BYE")
    stage.carrier.hears(200)
    stage.office.hears("BYE")


def test_a_bye_finds_a_new_connection_where_the_old_one_died() -> None:
    stage = Stage()
    invite, _ = stage.established()
    stage.carry_out(stage.engine.flow_closed(stage.office.flow, stage.now))
    stage.office.flow = stage.flow(stage.engine.store.current.trunks["office"])
    stage.from_callee(invite, "BYE")
    stage.office.hears("BYE")


def test_a_strict_router_beyond_is_addressed_as_one() -> None:
    stage = Stage()
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0", Record_Route="<sip:strict.example>")
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(200), "ACK")
    ack = stage.carrier.hears_request("ACK")
    assert ack.uri == "sip:strict.example"
    assert ack.headers.get("Route") == "<sip:bob@carrier.example;transport=tls>"


# Ends


def test_a_bye_before_the_ack_acknowledges_the_callee_first() -> None:
    stage = Stage()
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 200, body=b"v=0")
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(200), "BYE")
    stage.office.hears(200)
    stage.carrier.hears("ACK")
    stage.carrier.hears("BYE")
    assert not stage.engine.calls


def test_a_caller_that_is_gone_for_good_while_it_rings_cancels_the_call() -> None:
    stage = Stage()
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), 180)
    stage.dead.add("office")
    stage.carry_out(stage.engine.flow_closed(stage.office.flow, stage.now))
    stage.carrier.hears("CANCEL")
    assert not stage.engine.calls
    assert stage.noted("call-ended")[0].fields["reason"] == "the caller's connection closed"


def test_ringing_for_too_long_is_cancelled_and_leads_to_the_next_hop() -> None:
    stage = Stage(snapshot(ring_timeout=20))
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180)
    stage.wait(20.1)
    stage.carrier.hears("CANCEL")
    stage.backup.hears("INVITE")
    stage.carrier.respond(invite, 487)
    stage.carrier.hears("ACK")
    assert len(stage.engine.calls) == 1


def test_more_calls_a_second_than_allowed_are_refused() -> None:
    stage = Stage(snapshot(limits={"cps": 2}))
    for number in range(6):
        stage.office.invite(Call_ID=f"call-{number}", From=f"<sip:a@office.example>;tag={number}")
    statuses = [each.status for each in stage.office.heard if isinstance(each, Response)]
    assert 0 < statuses.count(503) < 6
    stage.wait(2)
    stage.office.heard.clear()
    stage.office.invite(Call_ID="later")
    stage.office.hears(100)
    stage.office.hears_nothing()


@pytest.mark.parametrize(("strangers", "shown"), [((), "pbx.office.example"), (("carrier",), "anonymous")])
def test_history_is_masked_beyond_the_trust_domain(strangers: tuple[str, ...], shown: str) -> None:
    stage = Stage(strangers=strangers)
    stage.office.invite(History_Info="<sip:+12125550111@pbx.office.example>;index=1")
    history = stage.carrier.hears_request("INVITE").headers.get("History-Info") or ""
    assert "+12125550111" in history and shown in history
    assert ("office" in history) == (not strangers)


# What stays behind


ENDS = ["hung up", "rejected", "cancelled", "failed over", "hung up before the ACK"]


def _play(stage: Stage, how: str) -> None:
    """One call from its INVITE to its end, in one of the ways of ENDS."""
    if how == "hung up":
        _, answer = stage.established()
        stage.within("office", answer, "INVITE", body=b"v=0 more")
        again = stage.carrier.hears_request("INVITE")
        stage.carrier.respond(again, 200, body=b"v=0 too")
        stage.within("office", answer, "ACK")
        stage.within("office", answer, "BYE")
    else:
        stage.office.invite()
        invite = stage.carrier.hears_request("INVITE")
        stage.carrier.respond(invite, 180)
        if how == "cancelled":
            stage.office.request(
                "CANCEL", Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}"
            )
            stage.carrier.respond(invite, 487)
        elif how == "rejected":
            stage.carrier.respond(invite, 486)
        elif how == "failed over":
            stage.carrier.respond(invite, 503)
            stage.backup.respond(stage.backup.hears("INVITE"), 486)
        else:
            stage.carrier.respond(invite, 200, body=b"v=0")
            stage.office.hears(100)
            stage.office.hears(180)
            stage.within("office", stage.office.hears_response(200), "BYE")
    for each in list(stage.carrier.heard):
        if isinstance(each, Request) and each.method in ("BYE", "CANCEL"):
            stage.carrier.respond(each, 200)
    stage.wait(65)
    stage.notes.clear()
    stage.decisions.clear()
    stage.media.clear()
    for peer in stage.peers.values():
        peer.heard.clear()
        peer.last = None


@pytest.mark.slow
@pytest.mark.parametrize("how", ENDS)
def test_an_ended_call_is_freed_without_the_garbage_collector(how: str) -> None:
    stage = Stage()
    _play(stage, how)
    left = left_behind(lambda: _play(stage, how))
    assert not stage.engine.calls and not len(stage.engine.transactions)
    assert not left


def test_what_a_reinvite_requires_is_required_of_the_other_side() -> None:
    stage = Stage()
    _, answer = stage.established()
    stage.within("office", answer, "INVITE", body=b"v=0 more", Require="100rel")
    assert stage.carrier.hears_request("INVITE").headers.get("Require") == "100rel"


def test_a_call_that_comes_about_earns_its_peers_messages_and_one_that_does_not_earns_none() -> None:
    stage = Stage()
    for agent in (stage.office, stage.carrier):
        agent.flow.allowance = Allowance(10)
    stage.established()
    assert (stage.office.flow.allowance.earned, stage.carrier.flow.allowance.earned) == (EARNED, EARNED)
    stage.office.request("INVITE", body=b"", Call_ID="refused")
    stage.carrier.respond(stage.carrier.hears_request("INVITE"), 486)
    assert (stage.office.flow.allowance.earned, stage.carrier.flow.allowance.earned) == (EARNED, EARNED)


def test_a_caller_that_is_unknown_to_its_gateway_is_put_through() -> None:
    """Its From and its Contact have a host and no user, but the @ that would stand between them."""
    stage = Stage()
    stage.office.invite(
        From='"Unknown" <sip:@office.example>;tag=from-office', Contact="<sip:@office.example;transport=tls>"
    )
    invite = stage.carrier.hears_request("INVITE")
    assert invite.from_.display == "Unknown" and not invite.from_.uri.user
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    assert answer.headers.get("From") == '"Unknown" <sip:@office.example>;tag=from-office'
    stage.within("office", answer, "ACK")
    stage.carrier.hears("ACK")
    stage.from_callee(invite, "BYE")
    assert stage.office.hears_request("BYE").uri == "sip:office.example;transport=tls"
