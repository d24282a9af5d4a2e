"""Several contacts of one user: who rings, who gets the call, and what the others and the caller hear."""

from __future__ import annotations

import pytest

from sbc.b2bua.attempt import MOST_FORKS
from sbc.b2bua.commands import AnswerMedia, OfferMedia, TakeMedia
from sbc.sip.message import Request
from sbc.sip.uri import parse_uri
from tests.playbook.ringing import ELSEWHERE, Phones, stage_of


def test_both_phones_ring_the_first_answer_wins_and_the_other_is_cancelled() -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft")
    stage.talks("desk", desk)
    stage.cancelled("soft", soft, ELSEWHERE)
    stage.office.hears_nothing()
    assert [type(each) for each in stage.media[:2]] == [OfferMedia, OfferMedia]
    assert len({each.branch for each in stage.media if isinstance(each, OfferMedia)}) == 2
    assert [type(each) for each in stage.media[-2:]] == [TakeMedia, AnswerMedia]
    stage.ends()


def test_an_invite_to_a_phone_has_its_contact_its_flow_and_its_path() -> None:
    stage = Phones()
    stage.phone("desk", path=("<sip:edge.example;lr;ob>",))
    stage.calls()
    invite = stage.peers["desk"].hears_request("INVITE")
    assert str(invite.target) == "sip:bob@192.168.1.5:5060;transport=tls"
    assert invite.headers.values("Route") == ["<sip:edge.example;lr;ob>"]
    assert invite.to.uri.user == "bob" and "192.168.1.5" not in (invite.headers.get("To") or "")
    assert not stage.connects, "nobody is dialled because a Contact says so"


def test_a_phone_alone_may_have_reliable_provisional_responses_one_of_several_may_not() -> None:
    alone, both = stage_of("desk"), stage_of("desk", "soft")
    for stage, expected in ((alone, "100rel"), (both, "")):
        stage.calls(Supported="100rel")
        invite = stage.peers["desk"].hears_request("INVITE")
        tags = [tag for tag in invite.headers.values("Supported") if tag == "100rel"]
        assert "".join(tags) == expected
        stage.ends()


def test_the_caller_has_a_dialog_with_each_that_rings() -> None:
    stage = stage_of("desk", "soft")
    stage.calls()
    tags = set()
    for name in ("desk", "soft"):
        stage.peers[name].respond(stage.peers[name].hears_request("INVITE"), 180, tag="same")
        tags.add(stage.office.hears_response(180).to_tag)
    assert len(tags) == 2, "though the phones have chosen one tag"
    stage.ends()


def test_the_caller_hears_the_first_that_plays_something_and_no_other() -> None:
    stage = stage_of("desk", "soft", "cell")
    desk, soft, cell = stage.rung("desk", "soft", "cell")
    stage.peers["soft"].respond(soft, 183, tag="soft", body=b"v=0 music")
    assert stage.office.hears_response(183).body == b"via-sbc v=0 music"
    stage.peers["desk"].respond(desk, 183, tag="desk", body=b"v=0 other music")
    assert not stage.office.hears_response(180).body
    stage.peers["soft"].respond(soft, 486, tag="soft")
    stage.peers["soft"].hears("ACK")
    stage.peers["cell"].respond(cell, 183, tag="cell", body=b"v=0 bells")
    assert stage.office.hears_response(183).body == b"via-sbc v=0 bells", "the first is gone"
    stage.talks("desk", desk)
    stage.cancelled("cell", cell, ELSEWHERE)
    stage.ends()


def test_a_phone_that_said_its_media_early_need_not_repeat_it() -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft")
    stage.peers["soft"].respond(soft, 183, tag="soft", body=b"v=0 music")
    stage.office.hears(183)
    stage.peers["desk"].respond(desk, 183, tag="desk", body=b"v=0 desk")
    stage.office.hears(180)
    stage.peers["desk"].respond(desk, 200, tag="desk")
    assert stage.office.hears_response(200).body == b"via-sbc v=0 desk"
    stage.ends()


@pytest.mark.parametrize("rang", [True, False])
def test_a_late_answer_gets_an_ack_and_a_bye(rang: bool) -> None:
    stage = stage_of("desk", "soft")
    stage.calls()
    desk, soft = (stage.peers[name].hears_request("INVITE") for name in ("desk", "soft"))
    if rang:
        stage.peers["soft"].respond(soft, 180, tag="soft")
        stage.office.hears(180)
    stage.talks("desk", desk)
    if rang:
        stage.peers["soft"].respond(stage.peers["soft"].hears_request("CANCEL"), 200)
    stage.peers["soft"].respond(soft, 200, tag="soft", body=b"v=0 too late")
    stage.peers["soft"].hears("ACK")
    bye = stage.peers["soft"].hears_request("BYE")
    stage.peers["soft"].respond(bye, 200)
    stage.office.hears_nothing()
    stage.peers["soft"].respond(soft, 200, tag="soft", body=b"v=0 too late")
    stage.peers["soft"].hears("ACK")
    stage.peers["soft"].hears_nothing()
    stage.ends()


def test_one_that_was_never_heard_is_cancelled_as_soon_as_it_is() -> None:
    stage = stage_of("desk", "soft")
    stage.calls()
    desk, soft = (stage.peers[name].hears_request("INVITE") for name in ("desk", "soft"))
    stage.talks("desk", desk)
    stage.peers["soft"].hears_nothing()  # RFC 3261 9.1: no CANCEL before something was heard
    stage.peers["soft"].respond(soft, 180, tag="soft")
    stage.cancelled("soft", soft, ELSEWHERE)
    stage.office.hears_nothing()
    stage.ends()


def test_the_caller_hangs_up_and_all_phones_are_cancelled_with_its_reason() -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft")
    via = f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}"
    cseq, why = f"{stage.cseq} CANCEL", "SIP ;cause=487"
    stage.office.request("CANCEL", "sip:bob@sbc.example", Reason=why, Via=via, CSeq=cseq)
    stage.office.hears(200)
    stage.office.hears(487)
    stage.cancelled("desk", desk, "SIP ;cause=487")
    stage.cancelled("soft", soft, "SIP ;cause=487")
    stage.ends()


def test_a_bye_in_one_early_dialog_ends_them_all() -> None:
    stage = stage_of("desk", "soft")
    stage.calls()
    desk, soft = (stage.peers[name].hears_request("INVITE") for name in ("desk", "soft"))
    stage.peers["desk"].respond(desk, 180, tag="desk")
    ringing = stage.office.hears_response(180)
    stage.peers["soft"].respond(soft, 180, tag="soft")
    stage.office.hears(180)
    stage.within("office", ringing, "BYE")
    stage.office.hears(487)
    stage.office.hears(200)
    stage.cancelled("desk", desk)
    stage.cancelled("soft", soft)
    stage.ends()


@pytest.mark.parametrize("method", ["UPDATE", "INFO", "BYE"])
def test_what_a_phone_says_within_its_early_dialog_waits_until_somebody_is_the_callee(method: str) -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft")
    contact = desk.contact
    assert contact is not None
    stage.peers["desk"].request(
        method, str(contact.uri), From=f"{desk.headers.get('To')};tag=desk",
        To=desk.headers.get("From") or "", Call_ID=desk.call_id,
    )  # fmt: skip
    stage.peers["desk"].hears(491)
    stage.talks("soft", soft)
    stage.cancelled("desk", desk, ELSEWHERE)
    stage.ends()


def test_what_the_caller_says_within_an_early_dialog_waits_too() -> None:
    stage = stage_of("desk", "soft")
    stage.calls()
    desk, soft = (stage.peers[name].hears_request("INVITE") for name in ("desk", "soft"))
    stage.peers["desk"].respond(desk, 180, tag="desk")
    ringing = stage.office.hears_response(180)
    stage.within("office", ringing, "INFO")
    stage.office.hears(491)
    stage.talks("soft", soft)
    stage.ends()


# Media


def test_a_phone_whose_media_may_not_be_used_fails_alone_while_it_rings() -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft")
    stage.peers["soft"].respond(soft, 183, tag="soft", body=b"v=0 unusable")
    stage.cancelled("soft", soft)
    stage.talks("desk", desk)
    stage.ends()


def test_an_answer_whose_media_may_not_be_used_ends_the_call() -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft")
    stage.peers["soft"].respond(soft, 200, tag="soft", body=b"v=0 unusable")
    stage.peers["soft"].hears("ACK")
    stage.peers["soft"].hears("BYE")
    stage.cancelled("desk", desk, ELSEWHERE)
    stage.office.hears(488)
    stage.ends()


def test_a_caller_without_an_offer_gets_the_offer_of_whoever_answers() -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft", body=b"")
    assert not desk.body and not stage.media
    stage.peers["soft"].respond(soft, 183, tag="soft", body=b"v=0 early")
    assert not stage.office.hears_response(180).body
    stage.peers["desk"].respond(desk, 200, tag="desk", body=b"v=0 offer of desk")
    answer = stage.office.hears_response(200)
    assert answer.body == b"via-sbc v=0 offer of desk"
    stage.within("office", answer, "ACK", body=b"v=0 answer")
    assert stage.peers["desk"].hears_request("ACK").body == b"via-sbc v=0 answer"
    stage.cancelled("soft", soft, ELSEWHERE)
    stage.ends()


def test_a_phone_that_insists_on_prack_gets_it_from_us() -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft")
    stage.peers["soft"].respond(soft, 183, tag="soft", body=b"v=0 early", Require="100rel", RSeq="1")
    prack = stage.peers["soft"].hears_request("PRACK")
    assert prack.headers.get("RAck") == "1 1 INVITE"
    stage.peers["soft"].respond(prack, 200)
    assert "RSeq" not in stage.office.hears_response(183).headers
    stage.talks("soft", soft)
    stage.cancelled("desk", desk, ELSEWHERE)
    stage.ends()


def test_after_the_answer_the_call_is_like_any_other() -> None:
    stage = stage_of("desk", "soft")
    desk, _ = stage.rung("desk", "soft")
    stage.peers["desk"].respond(desk, 200, tag="desk", body=b"v=0 answer")
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    stage.peers["desk"].hears("ACK")
    stage.within("office", answer, "INVITE", body=b"v=0 hold")
    again = stage.peers["desk"].hears_request("INVITE")
    offer = stage.media[-1]
    assert isinstance(offer, OfferMedia) and not offer.branch and not offer.restart
    stage.peers["desk"].respond(again, 200, body=b"v=0 held")
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(200), "ACK")
    stage.peers["desk"].hears("ACK")
    stage.within("office", answer, "BYE")
    stage.office.hears(200)
    stage.peers["desk"].hears("BYE")
    stage.ends()


# Policies, limits


@pytest.mark.parametrize("calls, expected", [(1, [100, 180]), (0, [503])])
def test_a_user_counts_once_for_the_phones_however_many_ring(calls: int, expected: list[int]) -> None:
    stage = stage_of("desk", "soft", limits={"calls": calls})
    stage.office.request("INVITE", "sip:bob@sbc.example", b"v=0 offer")
    if calls:
        stage.peers["desk"].respond(stage.peers["desk"].hears_request("INVITE"), 180)
        stage.peers["soft"].hears("INVITE")
    else:
        stage.office.hears(100)
    for status in expected:
        stage.office.hears(status)
    assert stage.engine.limits.calls("phones") == calls
    stage.ends()


def test_a_caller_over_tls_does_not_reach_a_phone_without_where_that_is_forbidden() -> None:
    stage = stage_of("old", then="forbid downgrade\nroute registered", listener="udp")
    stage.calls()
    stage.peers["old"].hears_nothing()
    stage.office.hears(480)
    stage.ends()


def test_a_phone_on_udp_is_reached_at_the_address_that_its_datagrams_came_from() -> None:
    stage = stage_of("old", listener="udp")
    binding = stage.bindings[0]
    binding.flow = None  # it was restored after a restart
    asked: list[object] = []

    def dialled(command: object) -> list[object]:
        asked.append(command)
        return list(stage.engine.connected(command.key, stage.peers["old"].flow, stage.now))  # type: ignore[attr-defined]

    stage.dialled = dialled  # type: ignore[method-assign, assignment]
    stage.calls()
    stage.peers["old"].hears("INVITE")
    assert [each.peers for each in asked] == [(binding.remote,)]  # type: ignore[attr-defined]
    stage.ends()


def test_the_record_names_whoever_answered() -> None:
    stage = stage_of("desk", "soft")
    desk, soft = stage.rung("desk", "soft")
    stage.talks("soft", soft)
    stage.ends()
    (record,) = stage.noted("call-ended")
    assert record.fields["to"] == "phones" and record.fields["call_id_b"] == soft.call_id
    assert isinstance(desk, Request) and record.fields["status"] == 200


def test_a_redirect_of_one_counts_when_all_have_refused() -> None:
    stage = stage_of("desk", "soft", redirects="pass")
    desk, soft = stage.rung("desk", "soft")
    stage.peers["soft"].respond(soft, 302, tag="soft")
    stage.office.hears_nothing()
    stage.peers["desk"].respond(desk, 486, tag="desk")
    moved = stage.office.hears_response(302)  # the lowest class (RFC 3261 16.7 6)
    assert "soft.example" not in (moved.headers.get("Contact") or "soft.example")
    stage.ends()


def test_a_redirect_of_one_is_followed_when_all_have_refused() -> None:
    stage = stage_of("desk", "soft", then="follow redirects\nroute registered")
    desk, soft = stage.rung("desk", "soft")
    stage.peers["desk"].respond(desk, 486, tag="desk")
    stage.peers["soft"].respond(soft, 302, tag="soft")  # to bob himself, at another host
    (followed,) = stage.noted("redirect-followed")
    assert followed.fields["trunk"] == "phones"
    for name in ("desk", "soft"):
        stage.peers[name].hears("ACK")
        stage.peers[name].hears("INVITE")  # as another call, by the rules for the trunk that redirected it
    stage.ends()


@pytest.mark.parametrize("instance", ["", "<urn:uuid:1>"])
def test_a_phone_that_comes_back_on_another_connection_has_its_call_there(instance: str) -> None:
    stage = stage_of()
    stage.phone("soft")
    desk = stage.phone("desk", instance=instance, reg_id=1 if instance else 0)
    (invite, _) = stage.rung("desk", "soft")
    if not instance:
        stage.bindings[1].contact = parse_uri("sip:bob@desk.example;transport=tls")  # as in its 200
    stage.peers["desk"].respond(invite, 200, tag="desk", body=b"v=0 answer")
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK", CSeq=f"{answer.cseq.number} ACK")
    desk.hears("ACK")
    stage.closes(desk)
    stage.bindings[1].flow = desk.flow  # it has registered again
    stage.within("office", answer, "BYE")
    desk.hears("BYE")
    assert not stage.connects
    stage.ends()


@pytest.mark.parametrize("names", [("desk",), ("desk", "soft")])
def test_of_a_phone_that_rings_under_ever_new_tags_a_hundred_are_shown(names: tuple[str, ...]) -> None:
    stage = stage_of(*names)
    stage.calls()
    desk = stage.peers["desk"].hears_request("INVITE")
    for at in range(300):
        stage.peers["desk"].respond(desk, 180, tag=f"tag{at}")
    assert len(stage.office.heard) == MOST_FORKS
    stage.office.heard.clear()
    stage.talks("desk", desk)  # under a tag of its own
    stage.ends()
