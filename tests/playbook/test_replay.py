"""Call records as the product writes them, put to the rules again: nothing changes unless the rules did."""

from __future__ import annotations

from dataclasses import replace

from sbc.b2bua.replay import replay
from sbc.observe.cdr import call_record
from tests.playbook.stage import Stage, snapshot

RULES = """
rules:
  - name: barred
    when: trunk == "office" and to.user starts with "0900"
    then: reject 403
  - name: office to carrier
    when: trunk == "office" and peer.verified and source in 198.51.100.0/24
    then: route "carrier" then "backup" on 503
"""


def records(stage: Stage) -> list[str]:
    return [call_record(note.call, note.fields) for note in stage.noted("call-ended")]


def played() -> Stage:
    """An answered call, one that failed over, one that was barred."""
    stage = Stage(snapshot(RULES))
    _, answer = stage.established()
    stage.within("office", answer, "BYE")
    stage.carrier.heard.clear()
    stage.office.heard.clear()
    stage.office.invite(Call_ID="second")
    stage.carrier.respond(stage.carrier.hears_request("INVITE"), 503)
    stage.backup.respond(stage.backup.hears_request("INVITE"), 486)
    stage.office.request("INVITE", "sip:0900123@sbc.example", b"v=0 offer", Call_ID="third")
    return stage


def test_the_same_rules_decide_the_same() -> None:
    stage = played()
    result = replay(stage.engine.store.current, records(stage))
    assert (result.calls, dict(result.changes), result.unreadable) == (3, {}, [])
    assert result.lines(stage.engine.store.current) == ["3 calls, 0 would be decided otherwise"]


def test_changed_rules_show_what_they_change() -> None:
    stage = played()
    changed = snapshot(RULES.replace('starts with "0900"', 'starts with "+1"').replace("403", "480"))
    result = replay(changed, records(stage))
    assert dict(result.changes) == {
        ("office to carrier: carrier", "barred: 480"): 1,
        ("office to carrier: backup", "barred: 480"): 1,
        ("barred: 403", "office to carrier: carrier, backup"): 1,
    }
    assert result.examples["barred: 403", "office to carrier: carrier, backup"].startswith(
        "alice to 0900123 on "
    )


def test_a_trunk_that_is_no_longer_there() -> None:
    stage = played()
    current = stage.engine.store.current
    fewer = replace(current, trunks={name: each for name, each in current.trunks.items() if name != "office"})
    assert replay(fewer, records(stage)).calls == 3


def test_a_redirected_call_is_decided_as_one_of_the_trunk_that_redirected_it() -> None:
    rules = (
        RULES
        + """
  - name: diverted
    when: trunk == "carrier" and redirected_from == "+12125550100" and listener == "main"
    then: route "backup"
"""
    )
    stage = Stage(snapshot(rules, redirects="follow"))
    stage.office.invite()
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 302)
    stage.backup.respond(stage.backup.hears_request("INVITE"), 486)
    result = replay(stage.engine.store.current, records(stage))
    assert (result.calls, result.changes, result.unreadable) == (2, {}, [])
