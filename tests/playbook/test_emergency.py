"""Emergency calls: what is full for others is not full for them, as far as their reserve goes (row S15)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sbc.config.emergency import Emergency
from sbc.config.snapshot import Snapshot
from sbc.config.users import read_users
from sbc.observe.cdr import call_record
from sbc.sip.message import Request, Response, response_to
from tests.playbook.stage import RULES, Stage, snapshot
from tests.playbook.test_left_over import nothing_is_left

URN = "urn:service:sos.fire"
REALM = "lab.example"
USERS = f"alice:{REALM}:7eddfa1e141be0b807f0919665062123\n"


def emergency(rules: str = RULES, **words: Any) -> Snapshot:
    """The stage's snapshot with limits, and with what sbc.yaml says under ``emergency``."""
    limits = words.pop("limits", {"calls": 1, "cps": 1, "ports": 2})
    made = snapshot(rules, "tls", limits=limits)
    given = Emergency.model_validate({"numbers": [112, 911]} | words)
    return replace(made, settings=made.settings.model_copy(update={"emergency": given}))


def calls(there: Stage, to: str = "sip:112@sbc.example", peer: str = "office") -> int:
    """A call to ``to``: 100 where it went on, else the refusal."""
    who = there.peers[peer]
    who.heard.clear()
    there.cseq += 1
    who.request("INVITE", to, b"v=0 offer", Call_ID=f"call-{there.cseq}", To=f"<{to}>")
    who.hears(100)
    final = who.heard.popleft() if who.heard else None
    return final.status if isinstance(final, Response) else 100


def records(there: Stage) -> list[dict[str, Any]]:
    return [json.loads(call_record(note.call, note.fields)) for note in there.noted("call-ended")]


def filled(there: Stage) -> None:
    """The office has as many calls as it may, and more a second than it may."""
    assert calls(there, "sip:+12125550100@sbc.example") == 100
    assert calls(there, "sip:+12125550100@sbc.example") == 503
    there.carrier.heard.clear()


@pytest.mark.parametrize(
    "to",
    [
        "sip:112@sbc.example", "sip:911@elsewhere.example;user=phone", "sip:%311%32@sbc.example",
        "sip:1-1-2@sbc.example", "tel:112;phone-context=+49", "urn:service:sos", URN, "URN:Service:SOS.Fire",
    ],
)  # fmt: skip
def test_an_emergency_call_passes_limits_that_are_full(to: str) -> None:
    there = Stage(emergency())
    filled(there)
    assert calls(there, to) == 100
    invite = there.carrier.hears_request("INVITE")
    there.carrier.respond(invite, 200, body=b"v=0 answer")
    answer = there.office.hears_response(200)
    there.within("office", answer, "ACK", Call_ID=answer.call_id)
    there.carrier.hears("ACK")
    there.within("office", answer, "BYE", Call_ID=answer.call_id)
    there.carrier.respond(there.carrier.hears("BYE"), 200)
    (note,) = there.noted("emergency")
    assert (note.fields["trunk"], note.fields["reserve"]) == ("office", "within")
    assert [each["emergency"] for each in records(there)] == [True]
    assert there.engine.limits.calls("office") == 1 and there.engine.reserves.calls("office") == 0


@pytest.mark.parametrize(
    "to",
    [
        "sip:1125@sbc.example", "sip:0112@sbc.example", "sip:112x@sbc.example", "sip:x@112",
        "sip:2112@sbc.example",
    ],
)  # fmt: skip
def test_what_only_looks_like_one_is_a_call_like_any_other(to: str) -> None:
    there = Stage(emergency())
    filled(there)
    assert calls(there, to) == 503
    assert not there.noted("emergency")


def test_beyond_the_reserve_it_is_a_call_like_any_other() -> None:
    """Ten at once, and five a second: a flood of them is stopped where every flood is."""
    there = Stage(emergency(reserve={"calls": 3, "cps": 100}))
    filled(there)
    assert [calls(there) for _ in range(5)] == [100, 100, 100, 503, 503]
    assert [note.fields["reserve"] for note in there.noted("emergency")] == ["within"] * 3
    assert "limit is 1" in str(there.noted("call-refused")[-1].fields["reason"])
    first = there.carrier.hears_request("INVITE")
    there.carrier.respond(first, 486)
    assert [calls(there), calls(there)] == [100, 503]  # a place came back


def test_so_many_a_second_are_within_the_reserve() -> None:
    there = Stage(emergency(reserve={"calls": 100, "cps": 2}))
    filled(there)
    assert [calls(there) for _ in range(4)] == [100, 100, 503, 503]
    there.wait(1)
    there.carrier.heard.clear()
    assert [calls(there) for _ in range(3)] == [100, 100, 503]


def test_beyond_the_reserve_it_goes_on_where_there_is_room() -> None:
    there = Stage(emergency(limits={}, reserve={"calls": 1}))
    assert [calls(there) for _ in range(3)] == [100, 100, 100]
    assert [note.fields["reserve"] for note in there.noted("emergency")] == ["within", "beyond", "beyond"]


def test_each_trunk_has_a_reserve_of_its_own() -> None:
    there = Stage(emergency(reserve={"calls": 1}))
    filled(there)
    assert [calls(there), calls(there)] == [100, 503]
    there.carrier.heard.clear()
    assert calls(there, "sip:+12125550100@sbc.example", "carrier") in (100, 503)
    there.carrier.heard.clear()
    assert calls(there, peer="carrier") == 100


def test_the_limits_of_rules_let_it_pass_and_do_not_count_it() -> None:
    rules = """
rules:
  - name: out
    when: true
    then: |
      limit 1 calls per trunk
      route "carrier"
"""
    there = Stage(emergency(rules, limits={}))
    assert calls(there) == 100
    filled(there)
    assert calls(there) == 100


def test_nobody_is_asked_for_a_password_but_beyond_the_reserve() -> None:
    rules = f"""
rules:
  - name: out
    when: true
    then: |
      challenge "{REALM}"
      route "carrier"
"""
    users, problems = read_users("users", USERS)
    assert not problems
    made = emergency(rules, limits={}, reserve={"calls": 1})
    there = Stage(replace(made, logins=users))
    assert calls(there, "sip:+12125550100@sbc.example") == 407
    assert [calls(there), calls(there)] == [100, 407]


def test_it_is_taken_while_we_drain() -> None:
    there = Stage(emergency())
    there.engine.draining = True
    assert calls(there, "sip:+12125550100@sbc.example") == 503
    assert calls(there) == 100
    there.carrier.hears("INVITE")


def test_it_is_taken_from_a_peer_that_leaves_refusals_without_an_ack() -> None:
    there = Stage(emergency(limits={"calls": 0}, reserve={"calls": 1}))
    office = there.office
    for number in range(501):
        office.invite(Call_ID=f"flood-{number}")
    assert there.noted("call-refused")[-1].fields["reason"] == "too many refusals were not acknowledged"
    office.heard.clear()
    office.request("INVITE", "sip:112@sbc.example", b"v=0", Call_ID="help", To="<sip:112@sbc.example>")
    office.hears(100)
    there.carrier.hears("INVITE")
    office.heard.clear()
    office.request("INVITE", "sip:112@sbc.example", b"v=0", Call_ID="more", To="<sip:112@sbc.example>")
    office.hears(503)


def test_a_trunk_that_is_down_is_tried_all_the_same() -> None:
    there = Stage(emergency())
    carrier = there.engine.store.current.trunks["carrier"]
    there.engine.peers.state(carrier, carrier.peers[0]).up = False
    assert calls(there, "sip:+12125550100@sbc.example") == 100
    there.carrier.hears_nothing()
    assert calls(there) == 100
    there.carrier.hears("INVITE")


def test_the_urn_goes_on_as_it_is_unless_a_rule_makes_it_a_number() -> None:
    """RFC 5031: the Request-URI names the service; whoever knows only numbers is told one by a rule."""
    rules = """
rules:
  - name: a number
    when: trunk == "office" and emergency
    then: |
      set to.user = "112"
      route "carrier"
  - name: the URN
    when: emergency and to.user starts with "urn:service:sos"
    then: route "office"
"""
    there = Stage(emergency(rules))
    assert calls(there, URN) == 100
    invite = there.carrier.hears_request("INVITE")
    assert invite.uri == "sip:112@carrier.example;transport=tls"
    assert calls(there, URN, "carrier") == 100
    invite = there.office.hears_request("INVITE")
    assert (invite.uri, invite.headers.get("To")) == (URN, f"<{URN}>")
    there.office.respond(invite, 486)
    there.office.hears("ACK")
    answer = there.carrier.hears_response(486)
    assert str(answer.to.uri) == URN
    assert [each["called"] for each in records(there)] == [URN]


def test_a_caller_that_gives_up_cancels_the_urn() -> None:
    there = Stage(emergency())
    there.office.request("INVITE", URN, b"v=0 offer", To=f"<{URN}>")
    there.office.hears(100)
    invite = there.carrier.hears_request("INVITE")
    there.carrier.respond(invite, 180)
    there.office.hears(180)
    same = f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{there.cseq}"
    there.office.request("CANCEL", URN, To=f"<{URN}>", CSeq=f"{there.cseq} CANCEL", Via=same)
    there.office.hears(200)
    there.office.hears(487)
    cancel = there.carrier.hears_request("CANCEL")
    assert cancel.uri == URN
    there.carrier.respond(cancel, 200)
    there.carrier.respond(invite, 487)


@pytest.mark.parametrize(("words", "status"), [({"urns": False}, 416), ({}, 100)])
def test_without_the_word_a_urn_is_no_scheme_of_ours(words: dict[str, Any], status: int) -> None:
    assert calls(Stage(emergency(**words)), URN) == status


def test_other_urns_and_a_configuration_without_emergency_are_as_before() -> None:
    there = Stage(emergency())
    for urn in ("urn:service:counseling", "urn:service:sosx", "urn:nena:service:sos", "urn:service:sos..x"):
        there.office.request("INVITE", urn, b"v=0", Call_ID=f"c{urn}")
        assert there.office.hears_response(416)
    assert calls(Stage(), "urn:service:sos") == 416
    there = Stage(snapshot(RULES, "tls", limits={"calls": 0}))
    assert calls(there) == 503


def test_an_emergency_call_that_is_redirected_stays_one() -> None:
    made = emergency(limits={"calls": 1}, reserve={"calls": 1})
    trunks = {**made.trunks, "carrier": made.trunks["carrier"].model_copy(update={"redirects": "follow"})}
    there = Stage(replace(made, trunks=trunks))
    filled(there)
    assert calls(there) == 100
    first = there.carrier.hears_request("INVITE")
    moved = response_to(first, 302, "", "mover")
    moved.headers.add("Contact", "<sip:+12125550177@psap.example>")
    there.carrier.say(moved)
    there.carrier.hears("ACK")
    second = there.office.hears_request("INVITE")
    assert isinstance(second, Request) and second.target.user == "+12125550177"
    assert there.engine.reserves.calls("office") == 1 and calls(there) == 503
    there.office.heard.clear()
    there.office.respond(second, 603)
    assert [each["emergency"] for each in records(there)][-1] and there.engine.reserves.calls("office") == 0


def test_what_was_reserved_is_given_back_however_it_ends() -> None:
    there = Stage(emergency(reserve={"calls": 1}))
    for status in (486, 603):
        assert calls(there) == 100
        there.carrier.respond(there.carrier.hears_request("INVITE"), status)
        there.carrier.hears("ACK")
        there.office.hears(status)
    there.dead.update(("carrier", "backup"))
    assert calls(there) == 503
    assert there.engine.reserves.calls("office") == 0
    nothing_is_left(there)


def failed(there: Stage) -> list[tuple[object, object]]:
    """What was told of emergency calls that nobody has answered."""
    return [(note.fields["status"], note.fields["to_trunk"]) for note in there.noted("emergency-failed")]


def test_one_that_nobody_answers_is_told() -> None:
    there = Stage(emergency(reserve={"calls": 2}))
    assert calls(there) == 100
    there.carrier.respond(there.carrier.hears_request("INVITE"), 486)
    there.dead.update(("carrier", "backup"))
    assert calls(there) == 503
    there.dead.clear()
    filled(there)
    assert [calls(there), calls(there), calls(there)] == [100, 100, 503]
    assert failed(there) == [(486, "carrier"), (503, "backup"), (503, "-")]


def test_one_that_is_answered_or_given_up_is_no_failure() -> None:
    there = Stage(emergency())
    there.office.request("INVITE", "sip:112@sbc.example", b"v=0 offer", To="<sip:112@sbc.example>")
    there.office.hears(100)
    same = f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{there.cseq}"
    to = {"To": "<sip:112@sbc.example>", "CSeq": f"{there.cseq} CANCEL", "Via": same}
    there.office.request("CANCEL", "sip:112@sbc.example", b"", **to)
    there.office.hears(200)
    there.office.hears(487)
    assert not failed(there)


def test_one_that_our_own_fault_ends_is_told() -> None:
    there = Stage(emergency())
    assert calls(there) == 100
    (call,) = there.engine.calls
    there.carry_out(there.engine.clear_up(there.engine.wreck(call), there.now))
    assert failed(there) == [(503, "carrier")]
    assert there.engine.reserves.calls("office") == 0
