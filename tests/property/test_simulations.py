"""A call and every simulation of it have the same facts, or the simulation says which it does not know.

A call goes through the engine, and a hook keeps what the rules would be asked about. The same call is written
as a test beside the rules, as the words of ``sbc route test`` and as its own record. Rules that ask for
everything make each simulation say what it had to assume.
"""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsl.facts import FACTS, Fact, Facts
from dsl.load import load
from dsl.names import Known
from sbc.b2bua.replay import Replay, facts_of_record
from sbc.b2bua.unsaid import unsaid
from sbc.base import Address
from sbc.cli import command_line
from sbc.commands.simulation import simulated
from sbc.config.arrivals import arrival
from sbc.config.hook_set import Hook, HookSet
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow, PeerIdentity, TlsFacts
from sbc.observe.cdr import call_record
from tests.playbook.stage import Stage, snapshot

pytestmark = pytest.mark.slow

ASKED = {
    "trunk": '"backup"', "listener": '"udp"', "source": '"203.0.113.77"', "peer.san": '"dns:z.example"',
    "peer.pin": '"sha256/00"', "calls": "77", "sips": "true", "peer.verified": "true", "emergency": "true",
}  # fmt: skip
LOOKED_UP = ("tgrp", "x")


def asked_for(fact: Fact) -> str:
    """A text that the fact could be."""
    return json.dumps(fact.values[-1] if fact.values else "zz")


CONDITIONS = [
    *(
        f"{name} == {ASKED.get(name, '77' if fact.type == 'number' else asked_for(fact))}"
        for name, fact in FACTS.items()
        if fact.type not in ("clock", "day", "date") and not name.startswith("time") and name != "tenant"
    ),
    'to.param("x") == "zz"', 'from.param("x") == "zz"', 'header("X-Customer") == "zz"',
]  # fmt: skip
RULES = "rules:\n" + "".join(
    f"  - name: r{at}\n    when: {json.dumps(each)}\n    then: reject 403\n"
    for at, each in enumerate(CONDITIONS)
)
CODECS = {"PCMU": "0", "PCMA": "8", "G722": "9"}
USERS = ("+4930123456", "0049-30-12", "alice", "alice;day=monday", "+1900;tgrp=lab", "a%40b", "100", "")
HOSTS = ("sbc.example", "SBC.Example", "192.0.2.7", "[2001:db8::0:1]")


@st.composite
def uris(draw: st.DrawFn) -> str:
    """A URI of any scheme that a request may have, or that a From header may."""
    scheme = draw(st.sampled_from(("sip", "sips", "tel")))
    params = draw(st.sampled_from(("", ";x=Y", ";user=phone", ";tgrp=LAB;x")))
    if scheme == "tel":
        return f"tel:{draw(st.sampled_from(('+49-30-12', '+1900')))}{params}"
    user = draw(st.sampled_from(USERS))
    port = draw(st.sampled_from(("", ":5060", ":25160", ":0")))
    return f"{scheme}:{user}{'@' if user else ''}{draw(st.sampled_from(HOSTS))}{port}{params}"


@st.composite
def calls(draw: st.DrawFn) -> dict[str, Any]:
    """Everything that a caller says, and how its trunk is configured."""
    return {
        "trunk": draw(st.sampled_from(("office", "plain"))),
        "mode": draw(st.sampled_from(("required", "optional", "server"))),
        "to": draw(uris()),
        "from": draw(uris()),
        "display": draw(st.sampled_from(("", "Alice", "Alice B."))),
        "codecs": draw(st.lists(st.sampled_from(tuple(CODECS)), max_size=3, unique=True)),
        "profile": draw(st.sampled_from(("RTP/AVP", "RTP/SAVP"))),
        "headers": draw(
            st.dictionaries(
                st.sampled_from(("X-Customer", "User-Agent", "Diversion", "P-Asserted-Identity")),
                st.sampled_from(("gold", "<sip:+49-30@H.example>")),
            )
        ),
    }


class Arrived:
    """The call in the engine: the facts that its rules were asked about, and its record."""

    def __init__(self, call: dict[str, Any]) -> None:
        seen: list[Facts] = []
        hook = Hook("hooks/keep.py", "keep", "on_invite", 1, seen.append)
        tls = {"mode": call["mode"], "trust": ["lab"]}
        bare = snapshot(RULES, sources=["198.51.100.7"], tenant="acme", tls=tls)
        self.snapshot: Snapshot = replace(bare, hooks=HookSet(invite=(hook,)))
        stage = Stage(self.snapshot)
        peer = stage.peers[call["trunk"]]
        peer.flow = self.flow(peer.flow, call["mode"])
        body = b""
        if call["codecs"]:
            numbers = " ".join(CODECS[each] for each in call["codecs"])
            body = f"v=0\r\nm=audio 4000 {call['profile']} {numbers}\r\n".encode()
        display = f'"{call["display"]}" ' if call["display"] else ""
        peer.request(
            "INVITE", call["to"], body, To=f"<{call['to']}>", From=f"{display}<{call['from']}>;tag=1",
            Call_ID="1@pbx", **{name.replace("-", "_"): value for name, value in call["headers"].items()},
        )  # fmt: skip
        [self.facts] = seen
        [note] = stage.noted("call-ended")
        self.record: dict[str, Any] = json.loads(call_record(note.call, note.fields))

    def flow(self, old: Flow, mode: str) -> Flow:
        """As ``old``, with all that a handshake of this mode may have shown."""
        peer = PeerIdentity("CN=office", "CN=CA", ("dns:office.example",), "sha256/ab", "cd", 0.0, 0.0, True)
        group = arrival(self.snapshot.trunks["office"], self.snapshot.settings).tls_group
        shown = peer if mode == "required" else None
        tls = TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", group, "", "sbc", shown)
        return Flow(
            old.id, old.transport, old.local, Address("198.51.100.7", 40000), listener=old.listener,
            trunk=old.trunk, tls=tls if old.transport == "tls" else None, reuse=old.reuse,
        )  # fmt: skip


def compared(arrived: Facts, simulated: Facts, unknown: set[str]) -> None:
    """Every fact is the same on both, or among ``unknown``; what is looked up by a name as well."""
    for name in sorted({each.name for each in fields(Facts)} - unknown - {"now", "calls"}):
        one, other = getattr(arrived, name), getattr(simulated, name)
        if callable(one):
            keys = ("X-Customer", "user-agent", "Diversion") if name == "header" else LOOKED_UP
            one, other = [one(key) for key in keys], [other(key) for key in keys]
        assert one == other, name


@settings(max_examples=150, deadline=None)
@given(calls())
def test_a_test_beside_the_rules_has_the_facts_of_the_call(call: dict[str, Any]) -> None:
    there = Arrived(call)
    trunk = there.snapshot.trunks[call["trunk"]]
    given: dict[str, Any] = {
        "trunk": call["trunk"], "to": call["to"], "from": call["from"], "headers": call["headers"],
        "from.display": call["display"], "call.id": "1@pbx", "sdp.codecs": call["codecs"],
        "sdp.srtp": there.facts.sdp_srtp, "source": "198.51.100.7",
    }  # fmt: skip
    if there.facts.peer_sans:  # what only its certificate says
        given |= {"peer.san": ["dns:office.example"], "peer.issuer": "CN=CA", "peer.subject": "CN=office"}
        given["peer.pin"] = "sha256/ab"
    test = json.dumps({"given": given, "expect": {"reject": 403}})
    arrivals = {call["trunk"]: arrival(trunk, there.snapshot.settings)}
    rules, problems = load({"a.yaml": f"{RULES}tests:\n  - {test}\n"}, Known(arrivals=arrivals))
    assert rules is not None, problems
    compared(there.facts, rules.tests[0].facts, set())


@settings(max_examples=150, deadline=None)
@given(calls())
def test_a_call_that_is_tried_has_the_facts_of_the_call_or_says_what_it_assumes(call: dict[str, Any]) -> None:
    there = Arrived(call)
    words = ["route", "test", "--trunk", call["trunk"], "--to", call["to"], "--from", call["from"]]
    words += [f"--codecs={','.join(call['codecs'])}", "--srtp", there.facts.sdp_srtp]
    options = command_line().parse_args(words)
    answer = simulated(there.snapshot, options, {k.lower(): v for k, v in call["headers"].items()}, 0.0)
    for name, value in answer["facts"].items():
        if name not in answer["assumed"] and name not in ("time", "tenant"):
            assert value == getattr(there.facts, FACTS[name].attribute), name
    assert answer["facts"]["tenant"] == there.facts.tenant == "acme" * (call["trunk"] == "office")
    assert answer["hooks_not_run"] == ["hooks/keep.py (before the rules)"]
    assert {"calls", "call.tags", "call.id", "from.display"} <= set(answer["assumed"])
    assert ("peer.verified" in answer["assumed"]) == (
        call["mode"] == "optional" and call["trunk"] == "office"
    )


@settings(max_examples=150, deadline=None)
@given(calls())
def test_a_record_has_the_facts_of_the_call_or_its_replay_says_what_is_missing(call: dict[str, Any]) -> None:
    there = Arrived(call)
    told = Replay().to_json(there.snapshot)
    names = {attribute: name for attribute, name in unsaid(there.snapshot.rules, ()).items()}
    unknown = {attribute for attribute, name in names.items() if name in told["unknown"]}
    compared(there.facts, facts_of_record(there.snapshot, there.record), unknown | {"auth_realm"})
    assert {"sips", "sdp.srtp", "to.param", "call.tags", "to.host"} <= set(told["unknown"])
    assert told["hooks_not_run"] == ["hooks/keep.py (before the rules)"]
