"""What a service answers means the same to a call, to the simulator, to a test beside the rules and a replay.

Rules are made up, with questions in every place where they may stand, and so are answers. The call is one
that the engine carries; the others are asked about the same.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from dsl.answers import NoAnswer, parse_answer, read_answer
from dsl.decision import Decision, Reject, Route
from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.services import Answer, Service
from sbc.b2bua.commands import Ask
from sbc.b2bua.replay import replay
from sbc.observe.cdr import call_record
from tests.playbook.stage import Stage, snapshot

LOOKUPS: dict[str, dict[str, object]] = {
    "crm": {"answers": {"number": "text", "blocked": "boolean", "price": "number"}},
    "router": {},
}
TRUNKS = ("office", "carrier", "backup", "plain")
conditions = st.sampled_from(
    [
        "true", 'trunk == "office"', 'to.user starts with "+1"', "lookup.crm.blocked",
        'lookup.crm.number != ""', "lookup.crm.answered", "not lookup.router.answered",
        "lookup.crm.price > 1", "lookup.crm.price <= 1",
        'to.user == lookup.crm.number', 'call.tags == "seen"', 'lookup.crm.number starts with "+4"',
    ]
)  # fmt: skip
endings = st.sampled_from(
    ["continue", "reject 480", 'route "carrier"', 'route "backup" then "carrier"', "reject 604"]
)
actions = st.lists(
    st.one_of(
        st.sampled_from(
            ["set to.user = lookup.crm.number", 'set from.user = "+4930"', 'tag "seen"', "require srtp",
             'set header "X-N" = lookup.crm.number + to.user', "ring for 20 seconds"]
        ),
        st.builds('ask "{}" else {}'.format, st.sampled_from(list(LOOKUPS)), endings),
    ),
    max_size=3,
)  # fmt: skip
rules = st.lists(st.tuples(conditions, actions, endings), min_size=1, max_size=5)
answered = st.fixed_dictionaries(
    {
        "crm": st.one_of(
            st.none(),
            st.fixed_dictionaries(
                {
                    "number": st.sampled_from(["", "+12125550100", "+4930", "+49 (30) 5", None]),
                    "blocked": st.booleans(),
                    "price": st.sampled_from([0, 1, 1.5, -3, None]),
                }
            ),
        ),
        "router": st.sampled_from(
            [None, {"route": "backup"}, {"route": ["carrier", "backup"], "set": {"to.user": "+44 20"}},
             {"reject": 404}, {"reject": 486, "reason": "Busy", "tags": ["theirs"]},
             {"route": "carrier", "srtp": "off", "headers": {"X-R": "1"}}]
        ),
    }
)  # fmt: skip


def written(made: list[tuple[str, list[str], str]]) -> str:
    text = "rules:\n"
    for number, (when, lines, ending) in enumerate(made):
        then = "".join(f"      {line}\n" for line in (*lines, ending))
        text += f"  - name: r{number}\n    when: |\n      {when}\n    then: |\n{then}"
    return text


def said_by(services: dict[str, Service], told: dict[str, Any]) -> dict[str, Answer]:
    return {
        name: read_answer(said, services[name], TRUNKS) for name, said in told.items() if said is not None
    }


class Live(Stage):
    """A stage whose services answer at once."""

    def __init__(self, text: str, told: dict[str, Any]) -> None:
        super().__init__(snapshot(text, lookups=LOOKUPS))
        self._said = told
        self.sent: list[Ask] = []

    def call(self) -> None:
        """One call, whose callees are all busy."""
        self.office.invite()
        while self.asks:
            self.sent.append(self.asks[0])
            self.answers(self._said[self.asks[0].lookup.name])
        for _ in range(3):
            for peer in (self.carrier, self.backup):
                for each in list(peer.heard):
                    peer.heard.remove(each)
                    if getattr(each, "method", "") == "INVITE":
                        peer.respond(each, 486)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(rules, answered)
def test_a_call_a_simulation_a_test_and_a_replay_agree(
    made: list[tuple[str, list[str], str]], told: dict[str, Any]
) -> None:
    text = written(made)
    live = Live(text, told)
    ruleset = live.engine.store.current.rules
    services = {name: each.service for name, each in live.engine.store.current.lookups.items()}
    said = said_by(services, told)
    live.call()
    (ended,) = live.noted("call-ended")
    facts = _facts(live)
    decision, trace = ruleset.explain(facts, said)
    assert ruleset.decide(facts, said) == decision
    _is_what_became(ended.fields, decision)
    asked = [name for line in trace for name in LOOKUPS if f"; {name} is asked" in line]
    assert {each.lookup.name for each in live.sent} == set(asked)
    record = call_record(ended.call, ended.fields)
    json.loads(record)
    again = replay(live.engine.store.current, [record])
    assert (again.calls, again.unreadable, dict(again.changes)) == (1, [], {}), record
    _test_beside(text, told, services, decision)


def _facts(live: Stage) -> Facts:
    return Facts(
        trunk="office", transport="tls", ruri_user="+12125550100", from_user="alice",
        listener="main", ruri_host="sbc.example", peer_verified=True,
    )  # fmt: skip


def _is_what_became(fields: dict[str, Any], decision: Decision) -> None:
    """The call's record says that this was decided."""
    if decision.rule != "no rule matched":
        assert fields["rule"] == decision.rule
    assert set(decision.tags) <= set(fields["tags"])
    if isinstance(decision, Reject):
        assert fields["status"] == decision.status
    elif isinstance(decision, Route):
        assert fields["to"] in [hop.trunk for hop in decision.hops]


def _test_beside(text: str, told: dict[str, Any], services: dict[str, Service], decision: Decision) -> None:
    """The same as an entry of ``tests:``."""
    lookups = {name: said for name, said in told.items() if said is not None}
    given_ = {"trunk": "office", "to": "+12125550100", "from": "alice", "lookups": lookups}
    rule = decision.rule.rpartition(" (")[0] or decision.rule
    expect = {"rule": rule, "tags": list(decision.tags)}
    if isinstance(decision, Route):
        expect["route"] = [hop.trunk for hop in decision.hops]
    text += f"tests:\n  - given: {json.dumps(given_)}\n    expect: {json.dumps(expect)}\n"
    ruleset, problems = load({"test.yaml": text}, Known(trunks=frozenset(TRUNKS), services=services))
    assert ruleset is not None, problems
    assert ruleset.run_tests() == []


numbers = st.sampled_from([f"+49{each}" for each in range(12)])
decided = st.sampled_from(["reject 480", 'route "carrier"', 'route "backup" then "carrier"'])
asking = st.builds(
    lambda name, ending: [f'ask "{name}" else {ending}'], st.sampled_from(list(LOOKUPS)), endings
)
# Long runs of rules that ask for one number each, as a dial plan has them: those are looked up.
runs = st.lists(
    st.tuples(
        st.builds('to.user == "{}"'.format, numbers), st.one_of(st.just([]), st.just([]), asking), decided
    ),
    min_size=12,
    max_size=24,
)
many = st.builds(lambda first, between, then: [*first, *between, *then], runs, rules, runs)


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(many, answered, st.lists(st.tuples(st.sampled_from(TRUNKS), numbers), min_size=1, max_size=8))
def test_rules_that_are_looked_up_go_on_like_rules_that_are_all_tried(
    made: list[tuple[str, list[str], str]], told: dict[str, Any], calls: list[tuple[str, str]]
) -> None:
    services = {name: each.service for name, each in snapshot(lookups=LOOKUPS).lookups.items()}
    ruleset, problems = load({"r.yaml": written(made)}, Known(trunks=frozenset(TRUNKS), services=services))
    assert ruleset is not None, problems
    said = said_by(services, told)
    for trunk, number in calls:
        facts = Facts(trunk=trunk, ruri_user=number)
        assert ruleset.decide(facts, said) == ruleset.explain(facts, said)[0]
        assert ruleset.decide(facts) == ruleset.explain(facts)[0]


keys = st.text(max_size=8) | st.sampled_from(["to.user", "X-A", "Via", "from.host"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from([*TRUNKS, "sip:a@b", "to.user", "X-A", "required"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)  # fmt: skip
objects = st.dictionaries(
    st.sampled_from(
        ["route", "reject", "redirect", "reason", "set", "headers", "tags", "srtp", "downgrade", "ring",
         "number", "blocked", "price", "x"]
    ),
    json_values,
    max_size=6,
)  # fmt: skip
CRM = Service("crm", (), {"number": "text", "blocked": "truth", "price": "number"})


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(st.one_of(objects, json_values), st.booleans())
def test_whatever_a_service_says_is_an_answer_that_can_be_carried_out_or_none(
    body: object, decides: bool
) -> None:
    service = replace(CRM, decides=decides)
    data = json.dumps(body).encode("utf-8", "surrogatepass")
    try:
        answer = parse_answer(data, service, TRUNKS)
    except NoAnswer as why:
        assert str(why) and "\n" not in str(why)
        return
    assert (answer.decision is None) == bool(answer.variables)
    assert answer.decision is None or decides
    again = read_answer(json.loads(json.dumps(dict(answer.said))), service, TRUNKS)
    assert repr(again) == repr(answer), "what is on record decides alike"


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_are_an_answer_or_none(data: bytes) -> None:
    try:
        parse_answer(data, CRM, TRUNKS)
    except NoAnswer as why:
        assert str(why)
