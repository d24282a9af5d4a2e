"""The access list at a request: what begins something is judged, and nothing that follows in a call."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sbc.config.snapshot import Snapshot
from sbc.policy.acl import Acl, Rule, Scope
from tests.playbook.stage import Stage, snapshot
from tests.playbook.test_customers import ACME, BOLT, call, shared, stage_of


def deny(kind: str, value: str, tenant: str = "", silent: bool = False) -> Rule:
    return Rule(False, kind, (value,), Scope(tenant), "acl.d/10.yaml:2", silent=silent)


def listed(*rules: Rule, base: Snapshot | None = None) -> Snapshot:
    """The stage's snapshot, with these rules."""
    return replace(base or snapshot(), acl=Acl(rules))


def test_a_denied_call_gets_403_and_nobody_else_hears_of_it() -> None:
    stage = Stage(listed(deny("sip-did", "+1212*")))
    stage.office.invite()
    stage.office.hears(100)
    stage.office.hears(403)
    stage.carrier.hears_nothing()
    assert not stage.engine.calls
    (note,) = stage.noted("call-refused")
    assert note.fields["reason"] == "acl.d/10.yaml:2 denies it: deny sip-did +1212*"
    assert note.fields["method"] == "INVITE" and note.fields["trunk"] == "office"


def test_silence_leaves_nothing_behind() -> None:
    stage = Stage(listed(deny("sip-from", "alice", silent=True)))
    for method in ("INVITE", "OPTIONS", "REGISTER", "MESSAGE"):
        stage.office.request(method)
    stage.office.hears_nothing()
    assert len(stage.engine.transactions) == 0 and not stage.engine.calls
    assert stage.engine.store.current.acl.denied["sip-from"] == 4


def test_what_follows_in_a_call_is_judged_by_no_rule() -> None:
    stage = Stage(listed(deny("sip-from", "nobody")))
    stage.office.invite()
    stage.office.hears(100)
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    answer = stage.office.hears_response(200)
    current = stage.engine.store.current
    rules = (deny("sip-from", "*", silent=True), deny("address", "public"), deny("sip-user", "*"))
    stage.engine.store.swap(replace(current, acl=Acl(rules)))
    to = answer.headers.get("To") or ""
    stage.office.request("ACK", To=to)
    stage.carrier.hears("ACK")
    stage.office.request("INFO", To=to)
    stage.carrier.respond(stage.carrier.hears("INFO"), 200)
    stage.office.hears(200)
    stage.office.request("BYE", To=to)
    stage.office.hears(200)
    stage.carrier.hears("BYE")
    assert [rule.count.hits for rule in rules] == [0, 0, 0]


def test_a_call_that_rings_is_cancelled_whatever_the_list_says_by_now() -> None:
    stage = Stage(listed(deny("sip-from", "nobody")))
    stage.office.invite()
    stage.office.hears(100)
    stage.carrier.respond(stage.carrier.hears("INVITE"), 180)
    stage.office.hears(180)
    stage.engine.store.swap(listed(deny("sip-from", "*", silent=True)))
    via = f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}"
    stage.office.request("CANCEL", Via=via, CSeq=f"{stage.cseq} CANCEL")
    stage.carrier.hears("CANCEL")
    stage.office.hears(200)


@pytest.mark.parametrize("rule", [deny("address", "198.51.100.2"), deny("sip-user", "+1212*")])
def test_what_comes_on_a_connection_that_we_opened_is_judged_too(rule: Rule) -> None:
    stage = Stage(listed(rule))
    stage.carrier.flow.outbound = True
    assert stage.carrier.flow.remote.host == "198.51.100.2"
    stage.carrier.invite()
    stage.carrier.hears(100)
    stage.carrier.hears(403)
    stage.office.hears_nothing()
    assert rule.count.hits == 1


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_behind_one_address_a_pool_is_that_customer_s_whose_the_request_is(transport: str) -> None:
    base = shared(transport)
    stage, carrier = stage_of(listed(deny("sip-from", "alice", "two"), base=base))
    call(carrier, ACME)
    stage.office.hears("INVITE")
    carrier.request("INVITE", f"sip:{BOLT}@sbc.example", Call_ID="call-2")
    carrier.hears(100)
    carrier.hears(403)
    stage.backup.hears_nothing()


def test_a_list_that_allows_spares_no_rule_of_routes_d() -> None:
    rule = Rule(True, "sip-did", ("*",))
    stage = Stage(listed(rule, base=snapshot("rules: [{name: no, when: true, then: reject 404}]")))
    stage.office.invite()
    stage.office.hears(100)
    stage.office.hears(404)
    assert rule.count.hits == 1
