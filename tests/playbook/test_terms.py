"""How long a call may last, what a caller hears in place of a refusal, and hops after a class of failures."""

from __future__ import annotations

from typing import Any

import pytest

from sbc.sip.message import Response
from tests.playbook.stage import Stage, snapshot
from tests.playbook.test_emergency import emergency
from tests.playbook.transfers import TARGET, called, says, staged

RULES = """
rules:
  - name: out
    when: trunk == "office"
    then: |
      %s
      route "carrier"
  - name: in
    when: true
    then: route "office"
"""


def stage_of(actions: str, **trunk: Any) -> Stage:
    return Stage(snapshot(RULES % actions, **trunk))


def told(stage: Stage, status: int) -> Response:
    """What the office hears where the carrier refuses with ``status``."""
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), status)
    stage.carrier.hears("ACK")
    stage.office.hears(100)
    (response,) = stage.office.heard
    assert isinstance(response, Response)
    return response


@pytest.mark.parametrize(
    ("actions", "status", "heard"),
    [
        ("answer 603 as 486", 603, "486 Busy Here"),
        ('answer 603 as 486 "On the phone"', 603, "486 On the phone"),
        ("answer 603 as 486", 600, "600 Busy Everywhere"),
        ('answer 404 as 404 "Not in use"', 404, "404 Not in use"),
        ("answer 6xx, 5xx as 480", 503, "480 Temporarily Unavailable"),
        ("answer 500 as 404; answer 5xx as 480", 500, "404 Not Found"),
        ("answer 500 as 404; answer 500 as 410", 500, "410 Gone"),
    ],
)
def test_a_refusal_is_told_as_another(actions: str, status: int, heard: str) -> None:
    stage = stage_of(actions)
    response = told(stage, status)
    assert f"{response.status} {response.reason}" == heard
    (ended,) = stage.noted("call-ended")
    assert (ended.fields["status"], ended.fields["by"]) == (response.status, "callee")
    assert str(ended.fields["reason"]).startswith(f"{status} ")


def test_what_it_was_stays_in_the_reason(status: int = 603) -> None:
    stage = stage_of("answer 603 as 486", q850="both")
    response = told(stage, status)
    assert response.headers.values("Reason") == [
        'Q.850;cause=21;text="Call rejected"', 'SIP;cause=603;text="Decline"',
    ]  # fmt: skip


def test_a_trunk_has_answers_for_its_callers_and_a_rule_comes_first() -> None:
    answers = {"603": 486, "5xx": 480}
    assert told(stage_of("ring for 9 seconds", answers=answers), 603).status == 486
    assert told(stage_of("ring for 9 seconds", answers=answers), 504).status == 480
    assert told(stage_of("ring for 9 seconds", answers=answers), 404).status == 404
    assert told(stage_of("answer 6xx as 404", answers=answers), 603).status == 404


def test_our_own_refusal_of_a_routed_call_is_told_so_too() -> None:
    stage = stage_of("answer 503 as 480")
    stage.dead.add("carrier")
    stage.office.invite()
    stage.office.hears(100)
    stage.office.hears(480)


def test_what_a_rule_rejects_is_told_as_it_says() -> None:
    stage = Stage(snapshot("rules: [{name: no, when: true, then: reject 403}]", answers={"403": 404}))
    stage.office.invite()
    stage.office.hears(100)
    stage.office.hears(403)


@pytest.mark.parametrize(("status", "goes_on"), [(500, True), (599, True), (404, False), (603, False)])
def test_a_hop_takes_a_class_of_failures(status: int, goes_on: bool) -> None:
    rules = 'rules: [{name: out, when: true, then: route "carrier" then "backup" on 5xx}]'
    stage = Stage(snapshot(rules))
    stage.office.invite()
    stage.carrier.respond(stage.carrier.hears("INVITE"), status)
    stage.carrier.hears("ACK")
    assert bool(stage.backup.heard) is goes_on


def test_a_call_ends_when_its_time_is_over_and_both_sides_hear_why() -> None:
    stage = stage_of("at most 2 hours")
    _, answer = stage.established()
    stage.wait(7000)
    stage.within("office", answer, "INVITE", b"v=0 hold")
    again = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(again, 200, body=b"v=0 held")
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(200), "ACK")
    stage.carrier.hears("ACK")
    stage.wait(199)
    stage.office.hears_nothing()
    stage.wait(1)
    for peer in (stage.office, stage.carrier):
        reason = peer.hears_request("BYE").headers.get("Reason")
        assert reason == 'SIP;cause=480;text="Longest duration"'
    (ended,) = stage.noted("call-ended")
    assert ended.fields["reason"] == "longest duration reached: 7200 s" and ended.fields["by"] == "us"
    assert ended.fields["duration"] == 7200


def test_ringing_does_not_count() -> None:
    stage = stage_of("at most 10 seconds")
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180)
    stage.wait(60)
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(100)
    stage.office.hears(180)
    stage.within("office", stage.office.hears_response(200), "ACK")
    stage.wait(9)
    stage.carrier.hears("ACK")
    stage.carrier.hears_nothing()
    stage.wait(1)
    stage.carrier.hears("BYE")


def test_the_time_before_a_transfer_counts() -> None:
    """The party of a call that may last an hour has that hour, whomever it is handed on to."""
    stage = staged(out='at most 1 hour\nroute "carrier"', transferred='at most 2 hours\nroute "backup"')
    called(stage)
    stage.wait(3000)
    answer = stage.office.last
    assert isinstance(answer, Response)
    says(stage, answer, "REFER", Refer_To=TARGET)
    ringing = stage.backup.hears_request("INVITE")
    stage.backup.respond(ringing, 200, body=b"v=0 target")
    stage.backup.hears("ACK")
    stage.carrier.respond(stage.carrier.hears("INVITE"), 200, body=b"v=0 moved")
    stage.carrier.hears("ACK")
    stage.wait(599)
    stage.carrier.hears_nothing()
    stage.wait(1)
    stage.carrier.hears("BYE")
    stage.backup.hears("BYE")


def test_an_emergency_call_has_no_end_but_its_own() -> None:
    stage = Stage(emergency(RULES % "at most 1 minute"))
    stage.office.request("INVITE", "sip:112@sbc.example", b"v=0 offer", To="<sip:112@sbc.example>")
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(100)
    stage.within("office", stage.office.hears_response(200), "ACK")
    stage.carrier.hears("ACK")
    stage.wait(3600)
    stage.carrier.hears_nothing()


def test_each_hop_has_edits_of_its_own() -> None:
    rules = """
rules:
  - name: out
    when: true
    then: |
      set header "X-All" = "1"
      route "carrier" with { set from.user = "+491" ; set header "X-C" = to.user }
      then "backup" with { set to.user = "0049" ; set from.user = "+492" } on 5xx
"""
    stage = Stage(snapshot(rules))
    stage.office.invite()
    first = stage.carrier.hears_request("INVITE")
    assert (first.from_.uri.user, first.headers.get("X-C")) == ("+491", "+12125550100")
    stage.carrier.respond(first, 500)
    second = stage.backup.hears_request("INVITE")
    assert (second.from_.uri.user, second.target.user) == ("+492", "0049")
    assert (second.headers.get("X-C"), second.headers.get("X-All")) == (None, "1")
