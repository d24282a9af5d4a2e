"""What is refused before any rule is asked makes no call, and is told of all the same: it has a record."""

from __future__ import annotations

import pytest

from sbc.b2bua.commands import Note
from tests.playbook.phones import REALM, Phone
from tests.playbook.phones import stage as stage_with_phones
from tests.playbook.stage import SDP, Stage, snapshot
from tests.playbook.test_acl import deny, listed


def told(stage: Stage) -> list[tuple[str, int, str]]:
    """The trunk, the status and the reason of each that was turned away."""
    notes = stage.noted("call-turned-away")
    return [
        (str(each.fields["from"]), int(each.fields["status"]), str(each.fields["reason"])) for each in notes
    ]


def one(stage: Stage) -> Note:
    (note,) = stage.noted("call-turned-away")
    return note


def test_whom_the_access_list_denies_is_told_of_with_the_rule_that_did() -> None:
    stage = Stage(listed(deny("sip-did", "+1212*")))
    stage.office.invite()
    assert told(stage) == [("office", 403, "acl.d/10.yaml:2 denies it: deny sip-did +1212*")]
    assert one(stage).fields["request"].target.party.user == "+12125550100"


def test_whoever_is_left_without_an_answer_is_told_of() -> None:
    stage = Stage(listed(deny("sip-from", "alice", silent=True)))
    stage.office.invite()
    stage.office.hears_nothing()
    assert [(trunk, status) for trunk, status, _ in told(stage)] == [("office", 0)]


def test_who_is_over_a_rate_is_told_of_once_for_each() -> None:
    stage = Stage(snapshot(limits={"rates": {"invite": 1}}))
    for number in range(4):
        stage.office.request("INVITE", "", b"", Call_ID=f"m{number}")
    assert [(trunk, status) for trunk, status, _ in told(stage)] == [("office", 503)] * 3


def test_what_is_refused_for_what_it_is_has_the_answer_as_its_reason() -> None:
    stage = Stage(snapshot())
    stage.office.invite(Max_Forwards="0")
    assert told(stage) == [("office", 483, "Too Many Hops")]


def test_a_repeated_invite_is_the_same_refusal() -> None:
    stage = Stage(snapshot())
    for _ in range(2):
        stage.office.invite(Max_Forwards="0", Via="SIP/2.0/TLS o.example;branch=z9hG4bK-1", CSeq="1 INVITE")
    for status in (100, 483, 483):
        stage.office.hears(status)
    assert len(told(stage)) == 1


def test_a_call_too_many_is_told_of_and_the_one_before_is_not() -> None:
    stage = Stage(snapshot(limits={"calls": 1}))
    stage.office.invite()
    stage.office.request("INVITE", "", b"", Call_ID="another")
    assert [(trunk, status) for trunk, status, _ in told(stage)] == [("office", 503)]


def test_what_a_rule_refuses_is_a_call_with_its_own_record() -> None:
    stage = Stage(snapshot("rules:\n  - name: no\n    when: true\n    then: reject 603\n"))
    stage.office.invite()
    assert told(stage) == [] and len(stage.noted("call-ended")) == 1


@pytest.mark.parametrize("method", ["OPTIONS", "MESSAGE", "REGISTER", "SUBSCRIBE"])
def test_what_is_no_invite_is_no_call(method: str) -> None:
    stage = Stage(snapshot())
    stage.office.request(method)
    assert told(stage) == []


def test_whoever_is_asked_for_a_password_is_not_refused() -> None:
    made = stage_with_phones()
    phone = Phone(made)
    phone.peer.request("INVITE", body=SDP, From=f"<sip:alice@{REALM}>;tag=x")
    phone.peer.hears(100)
    phone.hears(407)
    assert told(made) == []


def test_a_phone_that_calls_as_somebody_else_is_refused() -> None:
    made = stage_with_phones()
    phone = Phone(made)
    phone.registers()
    phone.peer.request("INVITE", body=SDP, From=f"<sip:bob@{REALM}>;tag=x")
    phone.peer.hears(100)
    phone.hears(407)
    assert told(made) == []
    uri = f"sip:+12125550100@{REALM}"
    given = phone.credentials("INVITE", uri, SDP)
    phone.peer.request("INVITE", uri, SDP, From=f"<sip:bob@{REALM}>;tag=x", Proxy_Authorization=str(given))
    phone.peer.hears(100)
    phone.hears(403)
    assert [(trunk, status) for trunk, status, _ in told(made)] == [("phones", 403)]
