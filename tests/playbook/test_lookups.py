"""A call whose rules ask a service: it waits, goes on from where it stopped, and waits for nothing else."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

import pytest

from dsl.decision import SetPart
from sbc.b2bua.replay import replay
from sbc.config.hooks import load_hooks
from sbc.observe.cdr import call_record
from tests.playbook.living import left_behind
from tests.playbook.stage import Stage, snapshot

LOOKUPS: dict[str, dict[str, object]] = {
    "crm": {"facts": ["from.user", "to.user"], "answers": {"number": "text", "blocked": "boolean"}},
    "router": {},
}
RULES = """
rules:
  - name: ask the CRM
    when: trunk == "office"
    then: |
      tag "asked"
      ask "crm" else route "backup"
      set to.user = lookup.crm.number
      continue
  - name: blocked
    when: lookup.crm.blocked == true
    then: reject 603
  - name: the rest
    when: true
    then: ask "router" else route "carrier"
"""


def stage(rules: str = RULES, **files: str) -> Stage:
    made = snapshot(rules, lookups=LOOKUPS)
    if files:
        hooks, problems = load_hooks({f"hooks/{name}.py": dedent(text) for name, text in files.items()})
        assert problems == []
        made = replace(made, hooks=hooks)
    return Stage(made)


def test_a_call_waits_for_the_answer_and_goes_on_with_it() -> None:
    s = stage()
    s.office.invite()
    s.office.hears(100)
    s.carrier.hears_nothing()
    (asked,) = s.asks
    assert asked.lookup.name == "crm" and asked.sent == (("from.user", "alice"), ("to.user", "+12125550100"))
    s.answers({"number": "+49 30 1", "blocked": False})
    assert s.asks[0].lookup.name == "router" and s.asks[0].sent == (("to.user", "+49301"),)
    s.answers(None)
    assert s.carrier.hears_request("INVITE").uri.startswith("sip:+49301@")


def test_without_an_answer_the_else_counts() -> None:
    s = stage()
    s.office.invite()
    s.office.hears(100)
    s.answers(None)
    assert s.backup.hears_request("INVITE").uri.startswith("sip:+12125550100@")
    assert not s.asks


def test_a_service_decides_what_becomes_of_the_call() -> None:
    s = stage()
    s.office.invite()
    s.office.hears(100)
    s.answers({"number": "", "blocked": False})
    s.answers({"reject": 480, "reason": "On holiday"})
    assert s.office.hears_response(480).reason == "On holiday"
    (ended,) = s.noted("call-ended")
    assert ended.fields["rule"] == "the rest (test.yaml:13), then lookup router"
    assert ended.fields["tags"] == ("asked",)
    assert not s.engine.calls


def test_a_call_that_ends_while_a_service_thinks_stays_ended() -> None:
    s = stage()
    s.office.invite()
    s.office.hears(100)
    s.office.request("CANCEL", CSeq="1 CANCEL", Via="SIP/2.0/TLS office.example;branch=z9hG4bK-office-1")
    s.office.hears(200)
    s.office.hears(487)
    s.answers({"number": "+1", "blocked": False})
    s.office.hears_nothing()
    s.carrier.hears_nothing()
    assert not s.asks and not s.engine.calls


def test_an_answer_that_comes_twice_counts_once() -> None:
    s = stage()
    s.office.invite()
    asked = s.asks[0]
    s.answers(None)
    s.backup.hears_request("INVITE")
    assert s.engine.looked_up(asked.call, None, s.now) == []
    assert s.engine.looked_up("nobody", None, s.now) == []


def test_other_calls_go_on_meanwhile() -> None:
    s = stage()
    s.office.invite()
    s.office.hears(100)
    s.carrier.invite()
    s.carrier.hears(100)
    assert [each.lookup.name for each in s.asks] == ["crm", "router"]
    s.asks.reverse()
    s.answers({"route": "office"})
    s.office.hears("INVITE")
    assert [each.lookup.name for each in s.asks] == ["crm"]


def test_the_rules_of_the_beginning_go_on_after_a_reload() -> None:
    s = stage()
    s.office.invite()
    s.office.hears(100)
    s.engine.store.swap(snapshot('rules: [{name: shut, when: "true", then: reject 500}]'))
    s.answers({"number": "+1", "blocked": True})
    s.office.hears(603)


def test_hooks_before_and_after_the_rules_run_once() -> None:
    s = stage(
        a="""
            from sbc.hookapi import SetPart, amend
            def on_invite(facts):
                return amend(SetPart("to.user", "+4930"), tags=("first",))
        """,
        b="from sbc.hookapi import SetHeader, with_edits\n"
        "def on_route(facts, decision): return with_edits(decision, SetHeader('X-Route', decision.rule))",
    )
    s.office.invite()
    assert s.asks[0].sent[1] == ("to.user", "+4930")
    s.answers({"number": "+1", "blocked": False})
    s.answers({"route": ["carrier"], "tags": ["vip"], "set": {"from.display": "Sales"}})
    invite = s.carrier.hears_request("INVITE")
    assert invite.headers.get("X-Route") == "the rest (test.yaml:13), then lookup router"
    assert '"Sales"' in (invite.headers.get("From") or "")
    assert [each.about is None for each in s.asked] == [True, False]
    (call,) = s.engine.calls.values()
    assert set(call.tags) >= {"first", "asked", "vip"}


def test_the_record_has_what_was_answered_and_replay_decides_alike() -> None:
    ways: tuple[tuple[dict[str, object] | None, dict[str, object] | None], ...] = (
        ({"number": "+1", "blocked": True}, None),
        (None, None),
        ({"number": "+1", "blocked": False}, {"route": "backup"}),
        ({"number": "", "blocked": False}, {"reject": 404}),
        ({"number": "", "blocked": False}, None),
    )
    for first, second in ways:
        s = stage()
        s.office.invite()
        for said in (first, second):
            if s.asks:
                s.answers(said)
        for peer in (s.carrier, s.backup):
            if peer.heard:
                peer.respond(peer.hears_request("INVITE"), 486)
        (ended,) = s.noted("call-ended")
        record = call_record(ended.call, ended.fields)
        told = replay(s.engine.store.current, [record])
        assert (told.calls, dict(told.changes), told.unreadable) == (1, {}, []), record


@pytest.mark.slow
def test_a_call_that_asked_leaves_nothing() -> None:
    s = stage()

    def play() -> None:
        s.cseq = 0
        s.office.invite()
        s.answers({"number": "+1", "blocked": True})
        s.office.hears(100)
        s.office.hears(603)
        s.office.request("ACK", CSeq="1 ACK", Via="SIP/2.0/TLS office.example;branch=z9hG4bK-office-1")
        s.wait(64)
        s.notes.clear()
        s.ways.clear()
        s.decisions.clear()

    play()
    assert not left_behind(play)


def test_a_transfer_and_a_redirect_ask_for_themselves() -> None:
    rules = RULES.replace('trunk == "office"', 'redirected_from != ""').replace(
        'ask "router" else route "carrier"', 'follow redirects route "carrier"'
    )
    s = stage(rules)
    s.office.invite()
    s.office.hears(100)
    assert not s.asks
    invite = s.carrier.hears_request("INVITE")
    s.carrier.respond(invite, 302)
    s.carrier.hears("ACK")
    assert s.asks[0].sent[1] == ("to.user", "bob")
    s.answers({"number": "+1888", "blocked": False})
    assert s.carrier.hears_request("INVITE").uri.startswith("sip:+1888@")


def test_an_edit_of_a_service_goes_out() -> None:
    s = stage()
    s.carrier.invite()
    s.answers({"route": "office", "set": {"to.user": "+44 20"}, "headers": {"X-Who": "crm"}})
    invite = s.office.hears_request("INVITE")
    assert invite.uri.startswith("sip:+4420@") and invite.headers.get("X-Who") == "crm"
    assert SetPart("to.user", "+4420").value == "+4420"
