"""Toll fraud by detours: who transfers, diverts or has a hook make the number is bounded too (row S14)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sbc.config.hooks import load_hooks
from sbc.sip.message import Response, response_to
from tests.playbook.stage import SDP, Stage
from tests.playbook.test_replaces import Attended
from tests.playbook.test_toll_fraud import Talk, emergency, passes, spending, with_table
from tests.playbook.transfers import TRANSFERS, Transfer, called, staged, transferring


def test_a_number_that_was_consulted_is_counted_on_whoever_talks_to_it() -> None:
    rules = """
rules:
  - name: dear
    when: trunk == "office" and to.user == "+12125550177" and referred_by == ""
    then: |
      limit 10 minutes a day per from.user hard
      limit 1 calls per from.user else reject 486
      route "backup"
  - name: transferred
    when: referred_by != ""
    then: route "backup"
  - name: out
    when: trunk == "office"
    then: route "carrier"
"""
    attended = Attended(Stage(transferring(rules, office="perform")))
    there = attended.stage
    attended.refers("+12125550100")  # whom it is said to be for is not what it costs
    attended.accepted()
    there.backup.respond(there.backup.hears_request("INVITE"), 200, body=b"v=0 joined")
    there.backup.hears("ACK")
    there.office.respond(there.office.hears_request("BYE"), 200)
    there.carrier.respond(there.carrier.hears_request("INVITE"), 200, body=b"v=0 joined too")
    there.carrier.hears("ACK")
    attended.told(200)
    there.office.respond(there.office.hears_request("BYE"), 200)
    assert len(there.engine.calls) == 1
    assert Talk(there, "sip:+12125550177@sbc.example").refused == 486
    passes(there, 598)
    assert len(there.engine.calls) == 1
    passes(there, 4)
    assert not there.engine.calls
    assert not len(there.engine.rule_limits)


@pytest.mark.parametrize("how", ["transferred", "replaced"])
def test_who_gives_a_call_away_holds_it_still_where_calls_at_once_are_counted(how: str) -> None:
    there = staged(out='limit 1 calls per from.user else reject 486\nroute "carrier"')
    if how == "transferred":
        transfer = Transfer(there).accepted()
        transfer.done()
        transfer.over(200)
        there.office.respond(there.office.hears_request("BYE"), 200)
        invite = transfer.invite
    else:
        invite, answer = called(there)
        of = answer.headers.get("To") or ""
        named = f"{answer.call_id};to-tag={of.partition('tag=')[2]};from-tag=call-of-office"
        fields: dict[str, Any] = {"Call_ID": "other", "From": "<sip:mallory@office.example>;tag=other"}
        there.office.invite(Replaces=named, Supported="replaces", **fields)
        there.carrier.respond(there.carrier.hears_request("INVITE"), 200, body=b"v=0 moved")
        heard = [each for each in there.office.heard if isinstance(each, Response) and each.status == 200]
        there.within("office", heard[-1], "ACK", **fields)
    assert len(there.engine.calls) == 1
    assert Talk(there).refused == 486
    there.from_callee(invite, "BYE")
    assert not there.engine.calls and not len(there.engine.rule_limits)
    assert Talk(there).refused == 0


def test_who_is_transferred_to_an_emergency_service_is_hung_up_by_no_limit() -> None:
    rules = TRANSFERS.format(
        transferred='route "backup"', out='limit 1 minutes a day per from.user hard\n      route "carrier"'
    )
    there = Stage(emergency(transferring(rules, office="perform")))
    transfer = Transfer(there, "<sip:112@sbc.example>").accepted()
    transfer.done()
    transfer.over(200)
    there.office.respond(there.office.hears_request("BYE"), 200)
    passes(there, 300)
    assert len(there.engine.calls) == 1
    assert sum(each.used for each in spending(there)) < 1
    there.from_callee(transfer.invite, "BYE")
    assert sum(each.running for each in spending(there)) == 0


@pytest.mark.parametrize("made", ["+882", "%2B8-82", "+8(8)2"])
def test_a_number_that_a_hook_has_made_costs_too(made: str) -> None:
    hook = (
        "from sbc.hookapi import SetPart, amend\n"
        f"def on_invite(facts): return amend(SetPart('to.user', '{made}' + facts.ruri_user[5:]))"
    )
    hooks, problems = load_hooks({"hooks/a.py": hook})
    assert problems == []
    there = Stage(replace(with_table({"calls": 0}), hooks=hooks))
    assert Talk(there, "sip:00882123@sbc.example").refused == 503


def test_who_transfers_pays_whomever_it_transfers() -> None:
    rules = TRANSFERS.format(transferred='route "backup"', out='route "carrier"')
    there = Stage(with_table({"calls_a_day": 1, "per": "caller"}, rules, transfers="perform"))
    told = []
    for number, caller in enumerate(("alice", "alice", "bob")):
        talk = Talk(there, f"sip:+1212555010{number}@sbc.example", caller).answered()
        there.within("office", talk.answer, "REFER", Refer_To="<sip:+882123@sbc.example>", **talk.fields)
        there.office.hears(202)
        there.office.respond(there.office.hears_request("NOTIFY"), 200)
        if there.backup.heard:
            there.backup.respond(there.backup.hears_request("INVITE"), 486)
            there.backup.hears("ACK")
        told.append(there.office.hears_request("NOTIFY").body[:11])
    assert told == [b"SIP/2.0 486", b"SIP/2.0 403", b"SIP/2.0 486"]


def test_who_diverts_to_what_costs_pays_whoever_calls() -> None:
    rules = """
rules:
  - name: diverted
    when: redirected_from != ""
    then: route "backup"
  - name: in
    when: trunk == "carrier"
    then: |
      follow redirects
      route "office"
"""
    there = Stage(with_table({"calls_a_day": 1, "per": "caller"}, rules))
    heard = []
    for number, dialled in enumerate(("100", "100", "101")):
        fields = {"From": f"<sip:stranger{number}@carrier.example>;tag=t", "Call_ID": f"in-{number}"}
        there.carrier.request("INVITE", f"sip:{dialled}@sbc.example", SDP, **fields)
        there.carrier.hears(100)
        answer = response_to(there.office.hears_request("INVITE"), 302, "", "mover")
        answer.headers.add("Contact", "<sip:+882123@elsewhere.example>")
        there.office.say(answer)
        there.office.hears("ACK")
        if there.backup.heard:
            there.backup.respond(there.backup.hears_request("INVITE"), 486)
            there.backup.hears("ACK")
        final = there.carrier.heard.popleft()
        assert isinstance(final, Response)
        heard.append(final.status)
    assert heard == [486, 403, 486]
