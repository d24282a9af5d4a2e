"""A REFER that the SBC carries out: the other party is connected with somebody else (RFC 3515, 5589)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.b2bua.commands import OfferMedia
from sbc.b2bua.replay import replay
from sbc.config.emergency import Emergency
from sbc.config.hooks import load_hooks
from sbc.observe.cdr import call_record
from sbc.sip.message import Request, Response
from tests.playbook.stage import Stage
from tests.playbook.transfers import (
    HIDDEN,
    TARGET,
    TRANSFERS,
    Transfer,
    called,
    from_target,
    nothing_left,
    records,
    says,
    staged,
    transferring,
)

# It goes well


def test_the_other_party_is_connected_with_whom_it_is_transferred_to() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    ringing, again = transfer.answers()
    assert ringing.uri == "sip:+12125550199@backup.example;user=phone;transport=tls"
    assert ringing.from_.uri.user == "+12125550100" and HIDDEN not in str(ringing.headers.fields)
    assert ringing.body == b"via-sbc v=0 answer"
    assert again.call_id == transfer.invite.call_id and again.to_tag == "callee"
    assert again.body == b"via-sbc v=0 target"
    stage.backup.hears("ACK")
    stage.office.hears_nothing()
    stage.carrier.respond(again, 200, body=b"v=0 moved")
    stage.carrier.hears("ACK")
    transfer.over(200)
    bye = stage.office.hears_request("BYE")
    stage.office.respond(bye, 200)
    (first,) = records(stage)
    assert (first["status"], first["reason"], first["ended_by"]) == (200, "transferred", "caller")
    assert (first["referred_by"], first["b"]["trunk"]) == ("", "carrier")
    # The two are a call like any other now.
    from_target(stage, ringing, "INFO")
    stage.carrier.respond(stage.carrier.hears("INFO"), 200)
    stage.backup.hears(200)
    stage.from_callee(transfer.invite, "BYE")
    stage.carrier.hears(200)
    stage.backup.hears("BYE")
    _, second = records(stage)
    assert (second["caller"], second["called"]) == ("+12125550100", "+12125550199")
    assert (second["referred_by"], second["referred_trunk"]) == ("alice", "office")
    assert (second["a"]["trunk"], second["b"]["trunk"]) == ("carrier", "backup")
    assert (second["status"], second["ended_by"]) == (200, "caller")
    assert second["rule"].startswith("transferred (")
    begun, done = stage.noted("transfer-begun")[0], stage.noted("transferred")[0]
    assert begun.fields["as"] == done.fields["as"] == second["call"] and begun.call == first["call"]
    stage.carrier.hears_nothing()
    stage.office.hears_nothing()
    nothing_left(stage)


@pytest.mark.parametrize("heard", [200, 481, None])
def test_who_transfers_is_hung_up_on_once_that_has_heard_that_it_went_well(heard: int | None) -> None:
    """A BYE right behind the last NOTIFY may be read first, and the NOTIFY gets 481 (RFC 3515 2.4.4).

    Whoever referred then never learns of it, and keeps the call that it asked the other one first in.
    """
    stage = staged()
    Transfer(stage).accepted().done()
    last = stage.office.hears_request("NOTIFY")
    assert last.body.startswith(b"SIP/2.0 200 ")
    stage.office.hears_nothing()
    if heard is None:
        while not stage.office.heard:
            stage.wait(1)
    else:
        stage.office.respond(last, heard)
    bye = stage.office.hears_request("BYE")
    assert bye.call_id == last.call_id and bye.cseq.number == last.cseq.number + 1
    stage.office.respond(bye, 200)
    stage.office.hears_nothing()


def test_the_caller_may_be_transferred_by_the_callee() -> None:
    stage = Stage(
        transferring(TRANSFERS.format(transferred='route "backup"', out='route "carrier"'), carrier="perform")
    )
    invite, answer = called(stage)
    stage.from_callee(invite, "REFER", Refer_To=TARGET)
    stage.carrier.hears(202)
    stage.carrier.respond(stage.carrier.hears("NOTIFY"), 200)
    ringing = stage.backup.hears_request("INVITE")
    assert (ringing.from_.uri.user, ringing.body) == ("alice", b"via-sbc v=0 offer")
    stage.backup.respond(ringing, 200, body=b"v=0 target")
    again = stage.office.hears_request("INVITE")
    assert again.call_id == answer.call_id
    stage.office.respond(again, 200, body=b"v=0 moved")
    stage.office.hears("ACK")
    stage.carrier.respond(stage.carrier.hears("NOTIFY"), 200)
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    says(stage, answer, "BYE")
    stage.office.hears(200)
    stage.backup.hears("ACK")
    stage.backup.hears("BYE")
    first, second = records(stage)
    assert (first["ended_by"], second["referred_by"]) == ("callee", "+12125550100")
    nothing_left(stage)


@pytest.mark.parametrize("withheld", [False, True])
def test_what_the_caller_said_of_itself_is_said_again(withheld: bool) -> None:
    stage = Stage(
        transferring(TRANSFERS.format(transferred='route "plain"', out='route "carrier"'), carrier="perform")
    )
    asserted = {"P_Asserted_Identity": "<sip:+12125550142@office.example>"}
    invite, _ = called(stage, Privacy="user" if withheld else "none", **asserted)
    stage.from_callee(invite, "REFER", Refer_To=TARGET)
    ringing = stage.plain.hears_request("INVITE")
    assert ringing.from_.uri.user == ("anonymous" if withheld else "alice")
    assert "P-Asserted-Identity" not in ringing.headers, "nobody there is trusted with it"


@pytest.mark.parametrize("early", [True, False])
def test_who_transfers_may_hang_up_before(early: bool) -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    if early:
        says(stage, transfer.answer, "BYE")
        stage.office.hears(200)
        stage.carrier.hears_nothing()
        assert {call.state for call in stage.engine.calls.values()} == {"left", "trying"}
    ringing, again = transfer.answers()
    if not early:
        says(stage, transfer.answer, "BYE")
        stage.office.hears(200)
    stage.carrier.respond(again, 200, body=b"v=0 moved")
    stage.carrier.hears("ACK")
    transfer.over(200)
    stage.office.hears_nothing()
    from_target(stage, ringing, "BYE")
    stage.carrier.hears("BYE")
    assert [record["status"] for record in records(stage)] == [200, 200]
    nothing_left(stage)


def test_what_is_on_hold_is_offered_as_it_was_before() -> None:
    stage = staged()
    _, answer = called(stage)
    says(stage, answer, "INVITE", b"v=0 hold\r\na=sendonly\r\n")
    stage.office.hears(100)
    stage.carrier.respond(stage.carrier.hears("INVITE"), 200, body=b"v=0 held\r\na=recvonly\r\n")
    stage.office.hears(200)
    says(stage, answer, "ACK")
    stage.carrier.hears("ACK")
    says(stage, answer, "REFER", Refer_To=TARGET)
    assert stage.backup.hears_request("INVITE").body == b"via-sbc v=0 held\r\na=sendrecv\r\n"


def test_who_wants_no_notify_gets_none() -> None:
    stage = staged()
    transfer = Transfer(stage, Refer_Sub="false", Require="norefersub")
    assert stage.office.hears_response(202).headers.get("Refer-Sub") == "false"
    ringing = stage.backup.hears_request("INVITE")
    stage.backup.respond(ringing, 200, body=b"v=0 target")
    stage.carrier.respond(stage.carrier.hears("INVITE"), 200, body=b"v=0 moved")
    stage.office.hears("BYE")
    assert transfer.answer and stage.engine.calls


def test_a_call_without_media_has_nothing_to_agree_anew() -> None:
    stage = staged()
    stage.office.invite(b"")
    stage.office.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    stage.carrier.hears("ACK")
    stage.within("office", answer, "REFER", Refer_To=TARGET)
    stage.office.hears(202)
    stage.office.hears("NOTIFY")
    ringing = stage.backup.hears_request("INVITE")
    stage.backup.respond(ringing, 200)
    stage.backup.hears("ACK")
    stage.office.respond(stage.office.hears_request("NOTIFY"), 200)
    stage.office.hears("BYE")
    stage.carrier.hears_nothing()
    from_target(stage, ringing, "BYE")
    stage.carrier.hears("BYE")
    nothing_left(stage)


def test_a_callee_may_make_the_offer() -> None:
    stage = staged()
    stage.office.invite(b"")
    stage.office.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    stage.carrier.hears("ACK")
    stage.within("office", answer, "REFER", Refer_To=TARGET)
    ringing = stage.backup.hears_request("INVITE")
    stage.backup.respond(ringing, 200, body=b"v=0 target")
    stage.backup.hears_nothing()
    again = stage.carrier.hears_request("INVITE")
    assert again.body == b"via-sbc v=0 target"
    stage.carrier.respond(again, 200, body=b"v=0 answers it")
    stage.carrier.hears("ACK")
    assert stage.backup.hears_request("ACK").body == b"via-sbc v=0 answers it"
    assert {call.state for call in stage.engine.calls.values()} == {"up"}


def test_every_refer_is_promised_where_it_is_carried_out() -> None:
    stage = staged()
    _, answer = stage.established()
    assert {"REFER", "NOTIFY"} <= set(answer.headers.values("Allow"))


def test_a_refer_outside_of_the_call_may_name_it() -> None:
    stage = staged()
    invite, answer = called(stage)
    named = f"call-of-office;local-tag=call-of-office;remote-tag={answer.to_tag}"
    stage.office.request(
        "REFER", Refer_To=TARGET, Call_ID="another", Target_Dialog=named, Require="tdialog",
        From="<sip:alice@office.example>;tag=new",
    )  # fmt: skip
    accepted = stage.office.hears_response(202)
    assert accepted.to_tag and accepted.contact is not None
    for status in (100, 180):
        notify = stage.office.hears_request("NOTIFY")
        assert (notify.call_id, notify.from_tag, notify.to_tag) == ("another", accepted.to_tag, "new")
        assert notify.body.startswith(b"SIP/2.0 %d " % status)
        stage.office.respond(notify, 200)
        if status == 100:
            ringing = stage.backup.hears_request("INVITE")
            stage.backup.respond(ringing, 180)
    stage.backup.respond(ringing, 200, body=b"v=0 target")
    stage.carrier.respond(stage.carrier.hears("INVITE"), 200, body=b"v=0 moved")
    assert stage.office.hears_request("NOTIFY").call_id == "another"
    assert stage.office.hears_request("BYE").call_id == "call-of-office"
    stage.from_callee(invite, "BYE")
    nothing_left(stage)


@pytest.mark.parametrize(
    ("named", "peer", "status"),
    [
        ("", "office", 403),
        ("call-of-office;local-tag=call-of-office", "office", 400),
        ("call-of-office;local-tag=call-of-office;remote-tag=x", "office", 481),
        ("call-of-office;local-tag=call-of-office;remote-tag={}", "carrier", 403),
    ],
)
def test_it_has_to_name_a_call_of_its_own_trunk(named: str, peer: str, status: int) -> None:
    stage = Stage(transferring(TRANSFERS.format(transferred="reject 403", out='route "carrier"'),
                               office="perform", carrier="perform"))  # fmt: skip
    _, answer = called(stage)
    stage.peers[peer].request(
        "REFER", Refer_To=TARGET, Call_ID="another", Target_Dialog=named.format(answer.to_tag),
        From="<sip:alice@office.example>;tag=new",
    )  # fmt: skip
    stage.peers[peer].hears(status)
    assert len(stage.engine.calls) == 1


# Rules, limits and protection


def test_a_premium_number_is_refused_by_the_rule_for_a_dialled_one() -> None:
    stage = staged()
    transfer = Transfer(stage, f"<sip:+1-900-555-0100@{HIDDEN}>").accepted()
    transfer.over(403)
    stage.backup.hears_nothing()
    assert records(stage)[0]["rule"].startswith("never premium (")
    says(stage, transfer.answer, "INFO")
    stage.carrier.hears("INFO")


def test_what_no_rule_routes_is_refused_and_no_host_of_a_message_is_dialled() -> None:
    rules = 'rules:\n  - {name: out, when: trunk == "office" and referred_by == "", then: route "carrier"}\n'
    stage = Stage(transferring(rules, office="perform"))
    Transfer(stage).accepted().over(404)
    assert {address.host for peers, near in stage.connects for address in (*peers, *near)} == {
        "carrier.example"
    }


def test_rules_and_hooks_see_a_call_of_the_trunk_that_transfers() -> None:
    text = (
        "from sbc.hookapi import amend\n\n\ndef on_invite(facts):\n"
        "    seen = (facts.trunk, facts.from_user, facts.ruri_user, facts.referred_by)\n"
        "    return amend(tags=(' '.join(seen),))\n"
    )
    hooks, problems = load_hooks({"see.py": text})
    assert not problems
    stage = Stage(replace(staged().engine.store.current, hooks=hooks))
    Transfer(stage).accepted()
    stage.backup.respond(stage.backup.hears("INVITE"), 486)
    assert records(stage)[0]["tags"] == ["office +12125550100 +12125550199 alice"]


def test_a_transferred_call_is_not_asked_for_a_password() -> None:
    stage = staged('challenge "lab.example"\nroute "backup"')
    Transfer(stage).accepted().over(403)


def test_what_the_first_rule_demanded_stays_demanded() -> None:
    stage = staged('no srtp\nroute "plain"', 'require srtp\nforbid downgrade\nroute "carrier"')
    Transfer(stage).accepted().over(480)
    stage.plain.hears_nothing()
    stage = staged('no srtp\nroute "backup"', 'require srtp\nroute "carrier"')
    Transfer(stage).accepted()
    assert [each.theirs.srtp for each in stage.media if isinstance(each, OfferMedia)] == ["required"] * 2


def test_a_transferred_call_counts_for_the_trunk_that_transfers_and_for_both_parties() -> None:
    stage = staged(limits={"calls": 2})
    transfer = Transfer(stage).accepted()
    assert [stage.engine.count(name) for name in ("office", "carrier", "backup")] == [2, 1, 1]
    stage.office.invite(Call_ID="third")
    stage.office.hears(100)
    stage.office.hears(503)
    transfer.done()
    assert [stage.engine.count(name) for name in ("office", "carrier", "backup")] == [1, 1, 1]


def test_a_transfer_beyond_the_limit_is_told_so() -> None:
    stage = staged(limits={"calls": 1})
    transfer = Transfer(stage)
    stage.office.hears(202)
    transfer.over(503)
    assert len(stage.engine.calls) == 1


def test_who_is_transferred_to_an_emergency_service_is_refused_by_no_limit() -> None:
    made = staged(limits={"calls": 1}).engine.store.current
    given = Emergency.model_validate({"numbers": [112]})
    stage = Stage(replace(made, settings=made.settings.model_copy(update={"emergency": given})))
    transfer = Transfer(stage, "<sip:112@sbc.example>").accepted()
    transfer.done()
    stage.from_callee(transfer.invite, "BYE")
    assert [each["emergency"] for each in records(stage)] == [False, True]
    nothing_left(stage)


def test_the_next_hop_and_a_redirect_are_followed() -> None:
    stage = staged('follow redirects\nroute "plain" then "backup" on 503, 486')
    transfer = Transfer(stage).accepted()
    stage.plain.respond(stage.plain.hears("INVITE"), 486)
    ringing = stage.backup.hears_request("INVITE")
    answer = Response(302, "Moved", ringing.headers.__class__(_echo(ringing)))
    answer.headers.add("Contact", f"<sip:+12125550177@{HIDDEN}>")
    stage.backup.say(answer)
    stage.backup.hears("ACK")
    stage.plain.hears("ACK")
    second = stage.plain.hears_request("INVITE")
    assert second.uri.startswith("sip:+12125550177@")
    stage.plain.respond(second, 200, body=b"v=0 target")
    stage.carrier.respond(stage.carrier.hears("INVITE"), 200, body=b"v=0 moved")
    transfer.over(200)
    stage.office.hears("BYE")
    stage.from_callee(transfer.invite, "BYE")
    assert [(each["referred_by"], each["redirected_by"]) for each in records(stage)] == [
        ("alice", ""), ("", ""), ("alice", "backup"),
    ]  # fmt: skip
    nothing_left(stage)


def _echo(invite: Request) -> list[tuple[str, str]]:
    names = ("Via", "From", "To", "Call-ID", "CSeq")
    fields = [(name, invite.headers.get(name) or "") for name in names]
    return [(name, value + ";tag=mover" if name == "To" else value) for name, value in fields]


def test_a_record_of_it_is_replayed_as_a_call_of_the_trunk_that_transfers() -> None:
    stage = staged()
    transfer = Transfer(stage).accepted()
    transfer.done()
    stage.from_callee(transfer.invite, "BYE")
    lines = [call_record(note.call, note.fields) for note in stage.noted("call-ended")]
    result = replay(stage.engine.store.current, lines)
    assert (result.calls, result.changes, result.unreadable) == (2, {}, [])


# What Teams writes for itself


def test_a_trunk_gets_back_what_it_wrote_for_itself() -> None:
    stage = staged('route "office"', office="perform")
    mark = "x-m=8:orgid:abc;x-t=tenant;x-ti=1;x-tt=" + "a" * 400
    Transfer(
        stage, f"<sip:sip.office.example:5061;transport=tls;{mark}>", Referred_By=f"<sip:o.example;{mark}>"
    )
    stage.office.hears(202)
    stage.office.hears("NOTIFY")
    invite = stage.office.hears_request("INVITE")
    assert invite.uri.endswith(f";{mark}")
    assert invite.headers.get("Referred-By") == f"<sip:o.example;{mark}>"
