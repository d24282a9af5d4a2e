"""Several customers behind one carrier's address, over one connection: whose each call is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dsl.load import load
from dsl.names import Known
from sbc.base import Address
from sbc.config.emergency import Emergency
from sbc.config.match import Match
from sbc.config.model import Settings, Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from tests.playbook.stage import SDP, Peer, Stage, snapshot

RULES = """
rules:
  - name: to acme
    when: trunk == "acme" and tenant == "one"
    then: route "office"
  - name: to bolt
    when: trunk == "bolt" and tenant == "two"
    then: route "backup"
  - name: messages
    when: method == "MESSAGE" and trunk == "bolt"
    then: route "backup"
  - name: out
    when: trunk == "office"
    then: route "acme"
"""
ACME, BOLT = "+4930100", "+4940100"


def shared(transport: str = "tls", limits: dict[str, Any] | None = None, **of_acme: Any) -> Snapshot:
    """Trunks ``acme`` and ``bolt`` at one carrier, told apart by the number that is called."""
    base = snapshot(transport=transport)
    settings = Settings.model_validate(
        {
            "listeners": {
                "main": {"bind": "192.0.2.1:5061", "transport": transport},
                "udp": {"bind": "192.0.2.1:5060", "transport": "udp"},
            },
            "tenants": {
                "one": {"domains": ["one.example"], "server_identity": "sbc", "limits": limits or {}},
                "two": {"domains": ["two.example"], "server_identity": "sbc"},
            },
        }
    )
    tls = {"tls": {"trust": ["ca"], "server_identity": "sbc"}} if transport == "tls" else {}
    own = {
        "acme": {"tenant": "one", "match": {"number": "+4930"}, **of_acme},
        "bolt": {"tenant": "two", "match": {"number": "+4940"}},
    }
    trunks = {
        name: Trunk.model_validate(
            {
                "trunk": name, "listener": "main", "peers": ["sip.carrier.example:5061"],
                "sources": ["203.0.113.5"], **tls, **keys,
            }
        )
        for name, keys in own.items()
    }  # fmt: skip
    others = {name: base.trunks[name] for name in ("office", "carrier", "backup", "plain")}
    known = Known(trunks=frozenset((*others, *trunks)), tenants=frozenset(("one", "two")))
    rules, problems = load({"test.yaml": RULES}, known)
    assert rules is not None, problems
    return replace(base, settings=settings, trunks={**others, **trunks}, rules=rules)


def stage_of(made: Snapshot) -> tuple[Stage, Peer]:
    """The stage, and the carrier's one connection or socket, which is filed under acme."""
    stage = Stage(made)
    carrier = stage.peers["acme"]
    old = carrier.flow
    carrier.flow = Flow(
        old.id, old.transport, old.local, Address("203.0.113.5", 40000), listener="main", trunk="acme",
        tls=old.tls,
    )  # fmt: skip
    return stage, carrier


def call(carrier: Peer, number: str, name: str = "1", **headers: str) -> None:
    carrier.request("INVITE", f"sip:{number}@sbc.example", SDP, Call_ID=f"call-{name}", **headers)
    carrier.hears(100)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_each_call_of_one_connection_is_the_trunk_s_whose_number_it_asks_for(transport: str) -> None:
    stage, carrier = stage_of(shared(transport))
    call(carrier, ACME)
    stage.office.hears("INVITE")
    call(carrier, BOLT, "2")
    stage.backup.hears("INVITE")
    assert [(each.a.trunk.trunk, each.rule.partition(" (")[0]) for each in stage.engine.calls.values()] == [
        ("acme", "to acme"), ("bolt", "to bolt"),
    ]  # fmt: skip


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_what_follows_in_the_call_stays_with_it(transport: str) -> None:
    stage, carrier = stage_of(shared(transport))
    call(carrier, BOLT)
    invite = stage.backup.hears_request("INVITE")
    stage.backup.respond(invite, 200, body=b"v=0 answer")
    answer = carrier.hears_response(200)
    carrier.request("ACK", str(answer.contact and answer.contact.uri), To=answer.headers.get("To") or "",
                    Call_ID="call-1")  # fmt: skip
    stage.backup.hears("ACK")
    # The dialog's target is ours, and no number of acme's or bolt's any more.
    carrier.request("BYE", "sip:anything@192.0.2.1", To=answer.headers.get("To") or "", Call_ID="call-1")
    carrier.hears(200)
    stage.backup.hears("BYE")
    ended = stage.noted("call-ended")
    assert [note.fields["from"] for note in ended] == ["bolt"]


def test_a_cancel_meets_its_call() -> None:
    stage, carrier = stage_of(shared())
    call(carrier, BOLT)
    invite = stage.backup.hears_request("INVITE")
    stage.backup.respond(invite, 180)
    via = f"SIP/2.0/TLS acme.example;branch=z9hG4bK-acme-{stage.cseq}"
    carrier.request("CANCEL", f"sip:{BOLT}@sbc.example", Via=via, Call_ID="call-1",
                    CSeq=f"{stage.cseq} CANCEL")  # fmt: skip
    stage.backup.hears("CANCEL")
    carrier.hears(180)
    carrier.hears(200)
    carrier.hears(487)


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_the_carrier_s_bye_for_a_call_of_ours_comes_filed_as_another_customer(transport: str) -> None:
    """We called as bolt; the carrier hangs up from another of its addresses, filed under acme."""
    made = shared(transport)
    two = {"sources": ("203.0.113.5", "203.0.113.6")}
    trunks = {**made.trunks, **{n: made.trunks[n].model_copy(update=two) for n in ("acme", "bolt")}}
    stage, carrier = stage_of(replace(made, trunks=trunks))
    stage.office.invite()
    leg = stage.peers["acme"].hears_request("INVITE")
    carrier.respond(leg, 200, body=b"v=0 answer")
    stage.office.hears(100)
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    carrier.hears("ACK")
    old = carrier.flow
    elsewhere = Address("203.0.113.6", 40001)
    carrier.flow = Flow(99, old.transport, old.local, elsewhere, listener="main", trunk="bolt", tls=old.tls)
    contact = leg.contact
    assert contact is not None
    carrier.request(
        "BYE", str(contact.uri), From=f"{leg.headers.get('To')};tag=callee", To=leg.headers.get("From") or "",
        Call_ID=leg.call_id,
    )  # fmt: skip
    carrier.hears(200)
    stage.office.hears("BYE")


def test_a_number_of_nobody_is_refused_and_the_journal_knows_what_to_do() -> None:
    stage, carrier = stage_of(shared())
    call(carrier, "+1212")
    carrier.hears(404)
    note = stage.noted("call-refused")[-1]
    assert note.fields["reason"] == "+1212 at sbc.example is none of the trunks' that share this address"
    assert note.fields["remedy"] == (
        "add it to the `match` of its trunk, or give one trunk there no `match`: acme has number +4930; bolt"
        " has number +4940"
    )
    assert not stage.engine.calls


def test_a_caller_s_host_that_fits_none_is_forbidden() -> None:
    match = {"number": "+4930", "from.host": "pbx.example"}
    stage, carrier = stage_of(shared(match=match))
    call(carrier, ACME)
    carrier.hears(403)
    note = stage.noted("call-refused")[-1]
    assert note.fields["remedy"] == "add acme.example to `match` from.host of trunk acme"
    call(carrier, ACME, "2", From="<sip:x@PBX.example>;tag=1")
    stage.office.hears("INVITE")


def test_a_certificate_is_good_for_those_alone_that_demand_the_same() -> None:
    made = shared()
    stricter = made.trunks["bolt"].model_copy(
        update={"tls": made.trunks["bolt"].tls and made.trunks["bolt"].tls.model_copy(
            update={"names": ("bolt.example",)}
        )}
    )  # fmt: skip
    _, carrier = stage_of(replace(made, trunks={**made.trunks, "bolt": stricter}))
    call(carrier, BOLT)
    carrier.hears(404)


def test_an_address_speaks_for_no_trunk_that_does_not_name_it() -> None:
    made = shared()
    moved = made.trunks["bolt"].model_copy(update={"sources": ("203.0.113.99",)})
    _, carrier = stage_of(replace(made, trunks={**made.trunks, "bolt": moved}))
    call(carrier, BOLT)
    carrier.hears(404)


def test_a_customer_at_its_limit_takes_nothing_of_another_s() -> None:
    stage, carrier = stage_of(shared(limits={"calls": 1}))
    call(carrier, ACME)
    stage.office.hears("INVITE")
    call(carrier, ACME, "2")
    carrier.hears(503)
    assert stage.noted("call-refused")[-1].fields["reason"] == "tenant one has 1 calls and its limit is 1"
    call(carrier, BOLT, "3")
    stage.backup.hears("INVITE")


def test_a_tenant_s_limit_holds_over_its_trunks_together_and_counts_a_call_once() -> None:
    made = shared(limits={"calls": 1})
    office = made.trunks["office"].model_copy(update={"tenant": "one"})
    stage, carrier = stage_of(replace(made, trunks={**made.trunks, "office": office}))
    call(carrier, ACME)
    invite = stage.office.hears_request("INVITE")
    assert stage.engine.limits.calls("tenant one") == 1
    stage.office.invite()
    stage.office.hears(100)
    stage.office.hears(503)
    stage.office.respond(invite, 486)
    assert stage.engine.limits.calls("tenant one") == 0
    assert stage.engine.limits.calls("acme") == stage.engine.limits.calls("office") == 0


def test_a_hop_that_failed_counts_for_its_tenant_no_longer() -> None:
    made = shared()
    backup = made.trunks["backup"].model_copy(update={"tenant": "one"})
    stage, carrier = stage_of(replace(made, trunks={**made.trunks, "backup": backup}))
    stage.dead.add("backup")
    call(carrier, BOLT)
    carrier.hears(503)
    assert stage.engine.limits.calls("tenant one") == stage.engine.limits.calls("tenant two") == 0


def with_words(made: Snapshot, **words: dict[str, Any]) -> Snapshot:
    """``made`` with other words of the trunks that are named."""
    changed = {name: made.trunks[name].model_copy(update=update) for name, update in words.items()}
    return replace(made, trunks={**made.trunks, **changed})


def test_a_message_is_its_customer_s_too_and_its_words_are_asked() -> None:
    """The connection is acme's, which lists no methods; bolt does."""
    listing = {"methods": ("MESSAGE",)}
    stage, carrier = stage_of(with_words(shared(), bolt=listing, backup=listing))
    text = {"Content_Type": "text/plain", "Contact": ""}
    carrier.request("MESSAGE", f"sip:{BOLT}@sbc.example", b"hello", Call_ID="page-1", **text)
    message = stage.backup.hears_request("MESSAGE")
    stage.backup.respond(message, 200)
    carrier.hears(200)
    carrier.request("MESSAGE", f"sip:{ACME}@sbc.example", b"hello", Call_ID="page-2", **text)
    carrier.hears(405)


def test_what_a_dialog_s_trunk_takes_is_taken_within_it() -> None:
    passing = {"transfers": "pass"}
    stage, carrier = stage_of(with_words(shared(), bolt=passing, backup=passing))
    call(carrier, BOLT, Allow="INVITE, ACK, CANCEL, BYE, REFER, NOTIFY")
    invite = stage.backup.hears_request("INVITE")
    stage.backup.respond(invite, 200, body=b"v=0 answer", Allow="INVITE, ACK, CANCEL, BYE, REFER, NOTIFY")
    answer = carrier.hears_response(200)
    within = {"To": answer.headers.get("To") or "", "Call_ID": "call-1"}
    carrier.request("ACK", str(answer.contact and answer.contact.uri), b"", **within)
    carrier.request("REFER", "sip:x@192.0.2.1", b"", Refer_To="<sip:+1212@sbc.example>", **within)
    stage.backup.hears("ACK")
    stage.backup.hears("REFER")


def test_an_emergency_call_is_never_nobody_s() -> None:
    """Its number is in no trunk's `match`; the reserve is that of the trunk that it is taken for."""
    made = shared()
    emergency = Emergency.model_validate({"numbers": [112], "reserve": {"calls": 1, "cps": 1}})
    settings = made.settings.model_copy(update={"emergency": emergency})
    stage, carrier = stage_of(replace(made, settings=settings))
    call(carrier, "112")
    stage.office.hears("INVITE")
    assert stage.engine.reserves.calls("acme") == 1
    own = with_words(made, bolt={"match": Match.model_validate({"from.host": "acme.example"})})
    stage, carrier = stage_of(replace(own, settings=settings))
    call(carrier, "112")
    stage.backup.hears("INVITE")
    assert (stage.engine.reserves.calls("acme"), stage.engine.reserves.calls("bolt")) == (0, 1)
