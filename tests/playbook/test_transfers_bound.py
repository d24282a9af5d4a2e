"""A transfer that we carry out begins a call: what binds whoever calls binds whoever refers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.policy.acl import Acl, Rule, Scope
from tests.playbook.stage import Stage
from tests.playbook.transfers import (
    TARGET,
    TRANSFERS,
    Transfer,
    called,
    nothing_left,
    says,
    staged,
    transferring,
)


def limited(per_caller: int) -> Stage:
    rules = TRANSFERS.format(transferred='route "backup"', out='route "carrier"')
    return Stage(transferring(rules, {"limits": {"calls_per_caller": per_caller}}, office="perform"))


def test_a_referred_call_counts_for_whoever_refers_and_the_one_that_is_given_up_does_not() -> None:
    stage = limited(1)
    Transfer(stage).accepted().done()
    stage.backup.hears("ACK")
    stage.office.respond(stage.office.hears_request("NOTIFY"), 200)
    stage.office.respond(stage.office.hears_request("BYE"), 200)
    stage.office.invite(Call_ID="another", From="<sip:alice@office.example>;tag=another")
    stage.office.hears(100)
    stage.office.hears(480)
    (note,) = stage.noted("call-refused")
    assert note.fields["cap"] == "limits.calls_per_caller" and "alice" in str(note.fields["reason"])


def test_one_that_would_be_one_too_many_is_refused() -> None:
    stage = limited(2)
    answers = [
        called(stage, name, From=f"<sip:alice@office.example>;tag={name}")[1] for name in ("first", "second")
    ]
    told = []
    for answer in answers:
        says(stage, answer, "REFER", Refer_To=TARGET)
        stage.office.hears(202)
        notify = stage.office.hears_request("NOTIFY")
        stage.office.respond(notify, 200)
        told.append(notify.body[:11])
    assert told == [b"SIP/2.0 100", b"SIP/2.0 503"], "of two that are given up one is not yet"
    stage.backup.hears_request("INVITE")
    stage.backup.hears_nothing()
    (note,) = stage.noted("call-refused")
    assert note.fields["cap"] == "limits.calls_per_caller"
    assert stage.engine.limits.calls("caller alice of trunk office") == 3


@pytest.mark.parametrize(
    "rule", [("sip-did", "+12125550199"), ("sip-from", "+12125550100"), ("sip-user", "+12125550199")]
)
def test_the_access_list_judges_the_call_that_is_asked_for(rule: tuple[str, str]) -> None:
    stage = staged()
    _, answer = called(stage)
    current = stage.engine.store.current
    denied = Rule(False, rule[0], (rule[1],), Scope(""), "acl.d/10.yaml:2")
    stage.engine.store.swap(replace(current, acl=Acl((denied,))))
    says(stage, answer, "REFER", Refer_To=TARGET)
    stage.office.hears(403)
    stage.backup.hears_nothing()
    assert stage.engine.store.current.acl.denied[rule[0]] == 1
    (note,) = stage.noted("call-refused")
    assert note.fields["method"] == "REFER" and note.fields["trunk"] == "office"
    says(stage, answer, "BYE")
    stage.office.hears(200)
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    nothing_left(stage)
