"""Toll fraud: who talks longer to numbers that cost than a day allows is refused, or hung up (row S14)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dsl.load import load
from dsl.names import Known
from dsl.table import read_table
from sbc.b2bua.dry_run import describe
from sbc.config.emergency import Emergency
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.policy.allowances import SpentView
from sbc.sip.message import Response
from tests.playbook.stage import RULES, Stage, snapshot
from tests.playbook.transfers import Transfer, called, staged

PREMIUM, PLAIN = "sip:+882123@sbc.example", "sip:+12125550100@sbc.example"
GUARD = """
zone: UTC
rules:
  - name: guard
    when: trunk == "office"
    then: |
      {limit}
      route "carrier"
  - name: back
    when: trunk == "carrier"
    then: route "office"
"""


def guarded(limit: str = 'limit 10 minutes a day per from.user to "+882"', **options: Any) -> Stage:
    return Stage(snapshot(GUARD.format(limit=limit), **options))


def passes(there: Stage, seconds: float) -> None:
    """Time passes, and once a second there is housekeeping; less often where much passes."""
    end, step = there.now + seconds, max(1.0, seconds / 700)
    while there.now < end:
        there.wait(min(step, end - there.now))
        there.carry_out(there.engine.probe(there.now))


def spending(there: Stage) -> list[SpentView]:
    return there.engine.rule_limits.allowances.views(there.now, there.now, 9)


class Talk:
    """A call of the office to the carrier that is answered."""

    def __init__(self, there: Stage, to: str = PREMIUM, caller: str = "alice") -> None:
        self.there = there
        there.cseq += 1
        self.fields: dict[str, Any] = {
            "Call_ID": f"call-{there.cseq}",
            "From": f"<sip:{caller}@office.example>;tag=t{there.cseq}",
        }
        there.office.heard.clear()
        there.carrier.heard.clear()
        there.office.request("INVITE", to, b"v=0 offer", To=f"<{to}>", **self.fields)
        there.office.hears(100)
        final = there.office.heard.popleft() if there.office.heard else None
        self.refused = final.status if isinstance(final, Response) else 0
        if final is None:
            self.invite = there.carrier.hears_request("INVITE")

    def answered(self) -> Talk:
        self.there.carrier.respond(self.invite, 200, body=b"v=0 answer")
        self.answer = self.there.office.hears_response(200)
        self.there.within("office", self.answer, "ACK", **self.fields)
        self.there.carrier.hears("ACK")
        return self

    def over(self) -> None:
        self.there.within("office", self.answer, "BYE", **self.fields)
        self.there.office.hears(200)
        self.there.carrier.respond(self.there.carrier.hears("BYE"), 200)


def test_who_has_talked_as_long_as_the_day_allows_is_refused_until_the_next() -> None:
    there = guarded()
    talk = Talk(there).answered()
    passes(there, 540)
    assert [note.fields for note in there.noted("fraud-warning")] == [
        {"limit": "guard #0", "allowance": "guard #0 alice", "allowed": "10 minutes a day", "spent": "80%"}
    ]
    talk.over()
    Talk(there).answered().over()
    last = Talk(there).answered()
    passes(there, 61)
    assert Talk(there).refused == 403
    assert len(there.noted("fraud-warning")) == 1
    last.over()
    assert Talk(there).refused == 403
    ended = there.noted("call-ended")[-1].fields
    assert (ended["reason"], ended["status"]) == ("limit of 10 minutes a day: guard #0 alice", 403)
    assert str(ended["rule"]).startswith("guard (")
    passes(there, 1)
    assert [note.fields["allowance"] for note in there.noted("fraud-refused")] == ["guard #0 alice"]
    assert Talk(there, PLAIN).refused == 0, "other numbers are not meant"
    assert Talk(there, caller="bob").refused == 0, "and nobody else"
    passes(there, 86_400 - there.now)
    assert Talk(there).refused == 0


def test_ringing_costs_nothing_and_an_answer_without_an_ack_does() -> None:
    there = guarded()
    ringing = Talk(there)
    there.carrier.respond(ringing.invite, 180)
    passes(there, 120)
    assert spending(there) == []
    there.carrier.respond(ringing.invite, 200, body=b"v=0 answer")
    passes(there, 20)
    (spent,) = spending(there)
    assert spent.used == pytest.approx(20 / 60) and spent.running == 1


def test_a_hard_limit_hangs_up_on_both_sides_and_says_why() -> None:
    there = guarded('limit 2 minutes a day per from.user to "+882" hard else reject 480 "Enough"')
    Talk(there).answered()
    there.office.heard.clear()
    passes(there, 119)
    there.office.hears_nothing()
    passes(there, 2)
    for peer in (there.office, there.carrier):
        bye = peer.hears_request("BYE")
        assert bye.headers.get("Reason") == 'SIP;cause=480;text="Limit reached"'
        peer.respond(bye, 200)
    ended = there.noted("call-ended")[-1].fields
    assert (ended["reason"], ended["by"]) == ("limit of 2 minutes a day: guard #0 alice", "us")
    refused = Talk(there)
    assert refused.refused == 480
    assert not there.engine.calls


def test_a_soft_limit_lets_the_call_go_on() -> None:
    there = guarded('limit 2 minutes a day per from.user to "+882"')
    Talk(there).answered()
    there.office.heard.clear()
    passes(there, 600)
    there.office.hears_nothing()
    assert len(there.engine.calls) == 1


def test_several_calls_at_once_spend_together() -> None:
    there = guarded('limit 10 minutes a day per trunk to "+882" hard')
    for caller in ("alice", "bob", "carol", "dave", "erin"):
        Talk(there, caller=caller).answered()
    passes(there, 122)
    assert not there.engine.calls
    (spent,) = spending(there)
    assert 10 <= spent.used < 10.2


def test_calls_at_once_to_numbers_that_cost() -> None:
    there = guarded('limit 1 calls per from.user to ["+881", "+882"] else reject 486')
    first = Talk(there).answered()
    assert Talk(there).refused == 486
    assert Talk(there, PLAIN).refused == 0
    first.over()
    assert Talk(there, "sip:+881999@sbc.example").refused == 0


def test_what_a_rule_has_set_is_what_the_limit_means() -> None:
    there = guarded(
        'set to.user = replace_prefix(to.user, "00", "+")\n      limit 0 calls per trunk to "+882"'
    )
    assert Talk(there, "sip:00882123@sbc.example").refused == 503
    assert Talk(there, "sip:0012125550100@sbc.example").refused == 0


def emergency(configuration: Snapshot) -> Snapshot:
    given = Emergency.model_validate({"numbers": [112], "reserve": {"calls": 1, "cps": 100}})
    return replace(configuration, settings=configuration.settings.model_copy(update={"emergency": given}))


def test_an_emergency_call_spends_nothing_and_is_never_refused() -> None:
    limit = "limit 1 minutes a day per trunk hard\n      limit 2 calls a day per trunk"
    there = Stage(emergency(snapshot(GUARD.format(limit=limit))))
    spent = Talk(there).answered()
    passes(there, 61)
    assert Talk(there).refused == 403
    assert spent.there.engine.calls == {}
    calls = [
        Talk(there, "sip:112@sbc.example").answered() for _ in range(3)
    ]  # two of them beyond the reserve
    passes(there, 600)
    assert len(there.engine.calls) == 3
    found = spending(there)
    assert {each.limit: round(each.used, 1) for each in found} == {
        "1 minutes a day": 1.0,
        "2 calls a day": 1.0,
    }
    for each in calls:
        each.over()


# Who is transferred, redirected or replaced


def test_a_callee_that_is_transferred_is_counted_on() -> None:
    there = staged(out='limit 10 minutes a day per from.user hard\nroute "carrier"')
    transfer = Transfer(there).accepted()
    transfer.done()
    transfer.over(200)
    there.office.respond(there.office.hears_request("BYE"), 200)
    there.backup.hears("ACK")
    passes(there, 598)
    assert len(there.engine.calls) == 1
    passes(there, 4)
    assert not there.engine.calls, "the number that costs is hung up, whoever talks to it now"
    assert there.backup.hears_request("BYE").headers.get("Reason") == 'SIP;cause=480;text="Limit reached"'


def test_a_call_that_is_replaced_is_counted_on_for_the_callee_that_stays() -> None:
    there = staged(out='limit 10 minutes a day per from.user hard\nroute "carrier"')
    _, answer = called(there)
    passes(there, 300)
    of = answer.headers
    named = f"{answer.call_id};to-tag={of.get('To').partition('tag=')[2]};from-tag=call-of-office"  # type: ignore[union-attr]
    fields: dict[str, Any] = {"Call_ID": "other", "From": "<sip:mallory@office.example>;tag=other"}
    there.office.invite(Replaces=named, Supported="replaces", **fields)
    there.office.hears(100)
    again = there.carrier.hears_request("INVITE")
    there.carrier.respond(again, 200, body=b"v=0 moved")
    heard = [each for each in there.office.heard if isinstance(each, Response) and each.status == 200]
    there.within("office", heard[-1], "ACK", **fields)
    passes(there, 302)
    assert not there.engine.calls


def test_a_followed_redirect_spends_once() -> None:
    again = """
  - name: redirected
    when: redirected_from != ""
    then: |
      limit 9 minutes a day per "all"
      route "backup"
"""
    rules = GUARD.replace('route "carrier"', 'follow redirects\n      route "carrier"')
    rules = rules.replace("rules:\n", f"rules:{again}")
    there = Stage(snapshot(rules.format(limit="limit 10 minutes a day per from.user")))
    talk = Talk(there)
    there.carrier.respond(talk.invite, 302, Contact="<sip:+12125550111@elsewhere.example>")
    there.carrier.hears("ACK")
    there.backup.respond(there.backup.hears_request("INVITE"), 200, body=b"v=0 answer")
    talk.answer = there.office.hears_response(200)
    there.within("office", talk.answer, "ACK", **talk.fields)
    passes(there, 60)
    found = spending(there)
    assert {each.key: each.used for each in found} == pytest.approx(
        {"guard #0 alice": 1, "redirected #0 all": 1}
    )
    there.within("office", talk.answer, "BYE", **talk.fields)
    passes(there, 60)
    assert sum(each.running for each in spending(there)) == 0


@pytest.mark.parametrize("how", ["cancel", "bye", "refused", "lost", "closed"])
def test_a_call_that_ends_anyhow_spends_no_more(how: str) -> None:
    there = guarded("limit 10 minutes a day per from.user")
    talk = Talk(there)
    if how == "cancel":
        there.office.request(
            "CANCEL", PREMIUM, Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{there.cseq}",
            CSeq=f"{there.cseq} CANCEL", To=f"<{PREMIUM}>", **talk.fields,
        )  # fmt: skip
    elif how == "refused":
        there.carrier.respond(talk.invite, 486)
    else:
        talk.answered()
        if how == "bye":
            there.from_callee(talk.invite, "BYE")
        elif how == "lost":
            there.carry_out(there.engine.end_call(next(iter(there.engine.calls)), "for a test", there.now))
        else:
            (call,) = there.engine.calls
            there.carry_out(there.engine.media_idle(call, there.now))
    passes(there, 60)
    assert not there.engine.calls
    used = sum(each.used for each in spending(there))
    assert used < 0.1 and not there.engine.rule_limits.allowances.tick(there.now, there.now)
    assert sum(each.running for each in spending(there)) == 0


# The file of a trunk

TABLE = "prefix,zone\n+881,satellite\n+882,networks\n"


def with_table(premium: dict[str, Any], rules: str = RULES, **words: Any) -> Snapshot:
    made = snapshot(RULES)
    table, problems = read_table("irsf", "irsf.csv", TABLE)
    assert table is not None, problems
    known = Known(trunks=frozenset(made.trunks), tables={"irsf": table})
    ruleset, wrong = load({"test.yaml": rules}, known)
    assert ruleset is not None, wrong
    written = made.trunks["office"].model_dump(by_alias=True)
    limits = {"premium": {"to": "table.irsf", **premium}}
    office = Trunk.model_validate({**written, "limits": limits, **words})
    return replace(made, rules=ruleset, trunks={**made.trunks, "office": office})


def test_a_trunk_bounds_what_its_calls_to_a_table_come_to() -> None:
    there = Stage(with_table({"minutes_a_day": 10, "calls": 2}))
    Talk(there).answered()
    Talk(there, caller="bob").answered()
    assert Talk(there, caller="carol").refused == 503
    assert Talk(there, PLAIN).refused == 0
    passes(there, 299)
    for call in list(there.engine.calls):
        there.carry_out(there.engine.end_call(call, "for a test", there.now))
    assert Talk(there).answered().refused == 0
    passes(there, 2)
    assert Talk(there, caller="carol").refused == 403
    reason = there.noted("call-ended")[-1].fields["reason"]
    assert reason == "limit of 10 minutes a day: trunk office premium minutes a day"


def test_or_for_each_of_its_callers() -> None:
    there = Stage(with_table({"calls_a_day": 1, "per": "caller"}))
    assert [Talk(there).refused, Talk(there).refused, Talk(there, caller="bob").refused] == [0, 403, 0]


def test_a_number_that_the_rules_have_made_costs_too() -> None:
    rules = RULES.replace(
        'route "carrier" then', 'route "carrier" with { set to.user = "+881" + to.user } then'
    )
    there = Stage(with_table({"calls": 0}, rules))
    assert Talk(there, PLAIN).refused == 503


def test_a_dry_run_says_the_same() -> None:
    configuration = with_table({"minutes_a_day": 10, "hard": True})
    from dsl.facts import Facts

    for number, said in (("+882123", True), ("+12125550100", False)):
        facts = Facts(trunk="office", ruri_user=number, from_user="alice")
        lines = describe(configuration, facts, configuration.rules.decide(facts))
        line = "  limit 10 minutes a day for trunk office premium minutes a day, hard, else 403"
        assert (line in lines) is said, lines


def test_a_stranger_who_changes_his_name_with_each_call_fills_no_memory() -> None:
    there = guarded("limit 10 minutes a day per from.user")
    there.engine.rule_limits.allowances.most_keys = 20
    for number in range(60):
        talk = Talk(there, caller=f"stranger{number}")
        if not talk.refused:
            there.carrier.respond(talk.invite, 486)
    assert len(there.engine.rule_limits.allowances) <= 20


REMEMBERING = GUARD.replace(
    "      {limit}\n",
    '      remember from.user + " " + to.user for 30 days\n',
).replace('trunk == "office"', 'trunk == "office" and not remembered(from.user + " " + to.user)')


def test_a_destination_is_known_once_a_call_there_was_answered() -> None:
    known = '  - name: known\n    when: trunk == "office"\n    then: reject 404\n'
    there = Stage(snapshot(REMEMBERING + known))
    ringing = Talk(there)
    there.carrier.respond(ringing.invite, 486)
    assert Talk(there).answered().refused == 0, "nobody had answered yet"
    assert Talk(there).refused == 404
    assert Talk(there, PLAIN).refused == 0 and Talk(there, caller="bob").refused == 0
    there.now += 31 * 86_400
    assert Talk(there).refused == 0


@pytest.mark.parametrize(
    ("limit", "kept"),
    [
        ('limit 10 minutes a day per from.user to "+882"', [0]),
        ('limit 5 calls a day per from.user to "+882"', [0]),
        ("limit 5 calls per from.user", []),
        ("limit 5 calls a second per from.user", []),
        ("", []),
    ],
)
def test_what_a_day_allows_is_kept_before_anybody_is_called(limit: str, kept: list[int]) -> None:
    there = guarded(limit)
    Talk(there).answered()
    assert there.spent == kept and len(there.connects) == 1


def test_a_call_that_is_refused_has_spent_nothing() -> None:
    there = guarded('limit 1 calls a day per from.user to "+882"')
    Talk(there).answered()
    assert Talk(there).refused == 403 and there.spent == [0]
