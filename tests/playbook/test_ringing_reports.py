"""What is said of `route registered` without a call: what it would do, what could leak, what has changed."""

from __future__ import annotations

from dataclasses import replace

from dsl.facts import Facts
from sbc.b2bua.dry_run import describe
from sbc.b2bua.replay import replay
from sbc.b2bua.secrecy import secrecy_report
from sbc.observe.cdr import call_record
from tests.playbook.ringing import Phones, stage_of, with_phones


def test_a_call_that_is_not_made_says_whose_phones_would_ring() -> None:
    made = with_phones('route registered one by one then "carrier" on 404, 480')
    facts = Facts(trunk="office", transport="tls", method="INVITE")
    lines = describe(made, facts, made.rules.decide(facts))
    assert "  1. the phones of the called user: one by one" in lines
    assert any(line.startswith("  2. carrier over tls, upon 404, 480") for line in lines)


def test_a_phone_without_tls_is_a_way_out_in_the_clear() -> None:
    leaks = [each for each in secrecy_report(with_phones(listener="udp")) if each.origin == "office"]
    assert {(each.promise, each.target) for each in leaks} == {("SIPS", "phones"), ("SRTP", "phones")}
    closed = with_phones("forbid downgrade\nrequire srtp\nroute registered", listener="udp")
    assert [each for each in secrecy_report(closed) if each.origin == "office"] == []


def test_a_trunk_without_phones_is_no_way_out() -> None:
    targets = {each.target for each in secrecy_report(with_phones()) if each.origin == "office"}
    assert "plain" not in targets and "carrier" not in targets


def played() -> Phones:
    """A call that a phone has answered."""
    stage = stage_of("desk", "soft")
    desk, _ = stage.rung("desk", "soft")
    stage.talks("desk", desk)
    stage.ends()
    return stage


def test_the_same_rules_decide_the_same() -> None:
    stage = played()
    records = [call_record(note.call, note.fields) for note in stage.noted("call-ended")]
    same = replay(stage.engine.store.current, records)
    assert (same.calls, dict(same.changes)) == (1, {})
    other = replay(with_phones('route "carrier"'), records)
    assert list(other.changes) == [("to phones: phones", "to phones: carrier")]


def test_an_edit_of_the_hop_says_whose_phones_ring() -> None:
    stage = stage_of("desk", then='route registered with { set to.user = "bob" }')
    stage.office.request("INVITE", "sip:reception@sbc.example", b"v=0 offer")
    invite = stage.peers["desk"].hears_request("INVITE")
    assert invite.to.uri.user == "bob"
    stage.ends()


def test_a_trunk_that_is_disabled_has_no_phones() -> None:
    stage = stage_of("desk")
    stage.engine.store.current = replace(
        stage.engine.store.current,
        trunks={
            **stage.engine.store.current.trunks,
            "phones": stage.trunk.model_copy(update={"enabled": False}),
        },
    )
    stage.calls()
    stage.office.hears(480)
    stage.ends()
