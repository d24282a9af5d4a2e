"""Rules that ask services: where the call's way stands still, how it goes on, and what is no answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dsl.answers import WORDS, NoAnswer, parse_answer
from dsl.check_actions import PARTS
from dsl.decision import NO_ROUTE, Decision, Hop, Redirect, Reject, Route, SetHeader, SetPart
from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.question import Question
from dsl.ruleset import RuleSet
from dsl.services import Answer, Service, VariableType

VARIABLES: dict[str, VariableType] = {"number": "text", "blocked": "truth", "price": "number"}
CRM = Service("crm", ("to.user", "trunk", "sips", 'header("X-A")'), VARIABLES)
ROUTER = Service("router", ("to.user",))
KNOWN = Known(
    trunks=frozenset(("office", "carrier", "backup")),
    services={"crm": CRM, "router": ROUTER},
    broken_services=frozenset(("spoiled",)),
)
CALL = Facts(trunk="office", ruri_user="+4930", header={"X-A": "gold"}.get)
RULES = """
rules:
  - name: ask the CRM
    when: trunk == "office"
    then: |
      set header "X-Before" = to.user
      ask "crm" else reject 503 "Try again later"
      set to.user = lookup.crm.number
      continue
  - name: blocked
    when: lookup.crm.blocked == true
    then: reject 603
  - name: expensive
    when: lookup.crm.price > 1.5
    then: route "backup"
  - name: the rest
    when: true
    then: route "carrier"
"""


def ruleset(text: str) -> RuleSet:
    rules, problems = load({"a.yaml": text}, KNOWN)
    assert rules is not None and problems == [], "\n".join(map(str, problems))
    return rules


def said(text: str) -> list[str]:
    _, problems = load({"a.yaml": text}, KNOWN)
    return [f"{each.line}:{each.col} {each.message} | {each.hint}" for each in problems]


def crm(number: Any = "+1", blocked: Any = False, price: Any = 0) -> Answer:
    body = {"number": number, "blocked": blocked, "price": price, "else": ["ignored"]}
    return parse_answer(json.dumps(body).encode(), CRM, ("office",))


def router(**body: Any) -> Answer:
    return parse_answer(json.dumps(body).encode(), ROUTER, ("office", "carrier", "backup"))


def asked(rules: RuleSet, facts: Facts = CALL) -> Question:
    question = rules.begin(facts)
    assert isinstance(question, Question)
    return question


# How the way goes on


def test_a_question_has_the_facts_as_the_rules_have_left_them() -> None:
    text = RULES.replace("ask ", 'set to.user = "+49 31"\n      ask ')
    question = asked(ruleset(text))
    assert question.service is CRM
    assert question.sent == (
        ("to.user", "+4931"), ("trunk", "office"), ("sips", False), ('header("X-A")', "gold"),
    )  # fmt: skip


def test_an_answer_is_known_to_the_actions_and_rules_behind() -> None:
    rules = ruleset(RULES)
    route = rules.go_on(asked(rules), crm("+1 555"))
    assert isinstance(route, Route) and route.hops == (Hop("carrier"),)
    assert route.edits == (SetHeader("X-Before", "+4930"), SetPart("to.user", "+1555"))
    assert rules.go_on(asked(rules), crm(blocked=True)) == Reject(603, "", "blocked (a.yaml:10)")
    dear = rules.go_on(asked(rules), crm(price=1.6))
    assert isinstance(dear, Route) and dear.hops == (Hop("backup"),)


def test_without_an_answer_the_else_counts() -> None:
    rules = ruleset(RULES)
    refused = Reject(503, "Try again later", "ask the CRM (a.yaml:3)")
    assert rules.go_on(asked(rules), None) == refused
    assert rules.decide(CALL) == refused


def test_else_continue_leaves_this_rule_and_answers_are_empty() -> None:
    text = RULES.replace('reject 503 "Try again later"', "continue").replace(
        "price > 1.5", 'number == "" and not lookup.crm.answered'
    )
    rules = ruleset(text)
    route = rules.go_on(asked(rules), None)
    assert isinstance(route, Route) and route.hops == (Hop("backup"),)
    assert route.edits == (SetHeader("X-Before", "+4930"),)


def test_null_is_no_text_and_no_number() -> None:
    rules = ruleset(RULES.replace("price > 1.5", "price > 1.5 or not lookup.crm.price > 1.5"))
    route = rules.go_on(asked(rules), crm(None, False, None))
    assert isinstance(route, Route) and route.hops == (Hop("backup"),) and route.edits[-1].value == ""  # type: ignore[union-attr]


def test_a_call_that_no_asking_rule_takes_asks_nothing() -> None:
    rules = ruleset(RULES)
    elsewhere = Facts(trunk="carrier")
    assert rules.begin(elsewhere) == rules.decide(elsewhere)
    assert isinstance(rules.begin(elsewhere), Route)


def test_a_service_may_decide_and_lowers_no_demand() -> None:
    rules = ruleset("""
rules:
  - name: demanding
    when: true
    then: |
      require srtp forbid downgrade tag "mine" set header "X-A" = "1"
      limit 5 calls per trunk
      ask "router" else reject 500
""")
    body = {
        "route": ["backup", "carrier"], "srtp": "off", "downgrade": "allow", "ring": 20, "tags": ["theirs"],
        "set": {"to.user": "+49 (30) 1"}, "headers": {"X-B": "2"},
    }  # fmt: skip
    route = rules.go_on(asked(rules), router(**body))
    assert isinstance(route, Route)
    assert [hop.trunk for hop in route.hops] == ["backup", "carrier"] and 503 in route.hops[1].on
    assert (route.srtp, route.downgrade, route.ring) == ("required", "forbid", 20)
    assert route.tags == ("mine", "theirs") and len(route.limits) == 1
    assert route.edits == (SetHeader("X-A", "1"), SetPart("to.user", "+49301"), SetHeader("X-B", "2"))
    assert route.rule == "demanding (a.yaml:3), then lookup router"


def test_a_service_may_refuse_and_redirect() -> None:
    rules = ruleset('rules: [{name: a, when: "true", then: ask "router" else continue}]')
    place = "a (a.yaml:1), then lookup router"
    assert rules.go_on(asked(rules), router(reject=403, reason="no")) == Reject(403, "no", place)
    target = "sip:a@b.example"
    assert rules.go_on(asked(rules), router(redirect=target)) == Redirect((target,), place)
    assert rules.go_on(asked(rules), None) == NO_ROUTE


def test_one_rule_may_ask_twice() -> None:
    rules = ruleset("""
rules:
  - name: both
    when: true
    then: |
      ask "crm" else continue
      set to.user = lookup.crm.number
      ask "router" else route "backup"
""")
    second = rules.go_on(asked(rules), crm("+1"))
    assert isinstance(second, Question) and second.sent == (("to.user", "+1"),)
    last = rules.go_on(second, None)
    assert isinstance(last, Route) and last.hops == (Hop("backup"),) and len(last.edits) == 1
    assert rules.decide(CALL, {"crm": crm("+1"), "router": router(route="carrier")}).rule.endswith("router")


def test_a_run_of_filed_rules_goes_on_behind_the_question() -> None:
    """Long runs are looked up by number; a rule that asks stands between two of them."""
    text = "rules:\n"
    for at in range(40):
        then = 'ask "crm" else continue' if at == 20 else f"reject {400 + at}"
        when = f'to.user == "{at}"' if at != 20 else "true"
        text += f"  - {{name: r{at}, when: '{when}', then: '{then}'}}\n"
    rules = ruleset(text)
    assert rules.begin(Facts(ruri_user="5")) == Reject(405, "", "r5 (a.yaml:7)")
    for answer in (None, crm()):
        assert rules.go_on(asked(rules, Facts(ruri_user="35")), answer) == Reject(435, "", "r35 (a.yaml:37)")
    assert rules.go_on(asked(rules, Facts(ruri_user="x")), None) == NO_ROUTE


def test_what_begins_no_call_asks_nothing() -> None:
    rules = ruleset("""
rules:
  - name: calls and messages
    when: method == "INVITE" and trunk == "office"
    then: ask "crm" else continue
""")
    assert isinstance(rules.begin(CALL), Question)
    text = """
rules:
  - name: messages
    when: method in ["INVITE", "MESSAGE"]
    then: ask "router" else route "carrier"
"""
    (warning,) = said(text)
    assert warning.startswith("3:5 a service is asked about calls alone")
    loaded, _ = load({"a.yaml": text}, KNOWN)
    assert loaded is not None and isinstance(loaded.begin(Facts(method="MESSAGE")), Route)
    decided, _ = loaded.explain(Facts(method="MESSAGE"), {"router": router(reject=403)})
    assert isinstance(decided, Route)


@pytest.mark.parametrize("answer", [None, crm(), crm(blocked=True), crm(price=2)])
def test_all_ways_through_the_rules_agree(answer: Answer | None) -> None:
    rules = ruleset(RULES)
    answers = {} if answer is None else {"crm": answer}
    live: Decision | Question = rules.go_on(asked(rules), answer)
    assert rules.decide(CALL, answers) == rules.explain(CALL, answers)[0] == live


def test_the_trace_says_who_was_asked() -> None:
    rules = ruleset(RULES)
    _, trace = rules.explain(CALL, {"crm": crm(blocked=True)})
    assert trace[0].endswith("; crm is asked, and answers; it continues")
    assert trace[1].endswith("`lookup.crm.blocked == true` holds (lookup.crm.blocked is true); it decides")
    assert rules.explain(CALL)[1][0].endswith("; crm is asked, and does not answer; it decides")


def test_rules_name_every_trunk_that_they_can_reach() -> None:
    rules = ruleset("""
rules:
  - name: both
    when: true
    then: ask "crm" else route "backup" then "carrier"; route "office"
""")
    assert set(rules.rules[0].outcome.trunks) == {"office", "carrier", "backup"}


# Tests beside the rules

TESTED = RULES + """
tests:
  - given: {trunk: office, lookups: {crm: {number: "+1 5", blocked: false, price: 1}}}
    expect: {route: carrier, to.user: "+15"}
  - given: {trunk: office, lookups: {crm: {number: null, blocked: true, price: 0.5}}}
    expect: {reject: 603}
  - given: {trunk: office, lookups: {crm: {route: [backup]}}}
    expect: {route: backup}
  - given: {trunk: office}
    expect: {reject: 503}
"""  # fmt: skip


def test_tests_say_what_services_answer() -> None:
    assert ruleset(TESTED).run_tests() == []
    assert len(ruleset(TESTED.replace("price: 1}", "price: 1.75}")).run_tests()) == 1


@pytest.mark.parametrize(
    ("lookups", "message"),
    [
        ("[crm]", "lookups are a mapping of answers | such as {crm: {number: \"+1...\"}}"),
        ("{cmr: {}}", 'there is no lookup "cmr" | did you mean "crm"?'),
        ("{crm: {number: 5, blocked: true, price: 1}}", "this is no answer of crm: number is not a text of"),
        ("{router: {route: nowhere}}", "this is no answer of router: there is no trunk 'nowhere' | "),
    ],
)  # fmt: skip
def test_answers_in_tests_are_checked(lookups: str, message: str) -> None:
    text = RULES + f"tests:\n  - given: {{lookups: {lookups}}}\n    expect: {{reject: 503}}\n"
    (found,) = said(text)
    assert message in found


# What the checker finds


@pytest.mark.parametrize(
    ("then", "message"),
    [
        ('ask "cmr" else continue', '1:5 there is no lookup "cmr" | did you mean "crm"?'),
        ('ask "crm"', "1:1 this does not say what becomes of a call without an answer | such as ask"),
        ('ask "crm" else reject 200', "1:23 a call is rejected with 400 to 699 | such as 403"),
        ('ask "crm" else route "carier"', '1:22 there is no trunk "carier" | did you mean "carrier"?'),
        ('ask "crm" else challenge "x"', "1:16 unexpected 'challenge' | expected continue, redirect, reject"),
        ('ask "crm" else continue tag "x"', "1:25 this then does not say what becomes of the call | "),
        ('tag lookup.crm.nubmer continue', "1:5 the lookup crm answers no 'nubmer' | did you mean"),
        ('tag lookup.router.number continue', "1:5 the lookup router answers no 'number' | write "),
        ('tag lookup.crm continue', "1:5 the lookup crm answers no '' | write answers: {VARIABLE: text}"),
        ('tag lookup.crm.price continue', "1:5 this is a number; text is needed here | "),
        ('set lookup.crm.number = "x" continue', "1:5 lookup.crm.number cannot be set | "),
    ],
)  # fmt: skip
def test_mistakes_in_a_then(then: str, message: str) -> None:
    found = said(f"rules:\n- name: a\n  when: 'true'\n  then: |-\n    {then}\n")
    line, _, rest = found[0].partition(" ")
    assert f"1:{int(line.partition(':')[2]) - 4} {rest}".startswith(message)


@pytest.mark.parametrize(
    ("when", "message"),
    [
        ("lookup.crm.number", "this is text, not a condition"),
        ("lookup.crm.number == 5", "text is compared with a number; that is never equal"),
        ("lookup.crm.blocked == \"true\"", "true or false is compared with text; that is never equal"),
        ("to.user in [lookup.crm.number]", "lookup.crm.number cannot stand here"),
        ("to.user starts with lookup.crm.number", "lookup.crm.number cannot stand here"),
        ("lookup.crn.number == \"\"", 'there is no lookup "crn"'),
    ],
)  # fmt: skip
def test_mistakes_in_a_when(when: str, message: str) -> None:
    found = said(f"rules:\n- name: a\n  when: |-\n    {when}\n  then: continue\n")
    assert f" {message} | " in found[0]


def test_an_answer_that_nobody_asks_for_is_warned_of() -> None:
    (found,) = said(RULES.replace('trunk == "office"', 'lookup.crm.number == ""'))
    assert found.startswith("3:5 what lookup.crm answers is not known here: nothing asks it before")
    ask = "rules:\n- {name: a, when: 'true', then: 'ask \"crm\" else continue'}\n"
    assert said(ask + "- {name: b, when: lookup.crm.blocked, then: reject 403}\n") == []


def test_a_rule_behind_an_ask_is_reached() -> None:
    """What was asked may change what an earlier rule saw; an ``else continue`` takes no call for good."""
    assert said("""
rules:
  - name: blocked before
    when: lookup.crm.blocked or trunk == "backup"
    then: reject 403
""")[0].startswith("3:5 what lookup.crm answers")
    text = """
rules:
  - name: first
    when: true
    then: ask "crm" else continue; route "carrier"
  - name: second
    when: true
    then: route "backup"
"""
    assert said(text) == []
    (shadowed,) = said(text.replace("else continue", "else reject 503"))
    assert shadowed.startswith("6:5 this rule is never reached: first (a.yaml:3) takes every call")


def test_a_service_that_could_not_be_read_is_told_once() -> None:
    rules, problems = load(
        {"a.yaml": 'rules: [{name: a, when: lookup.spoiled.x, then: ask "spoiled" else continue}]'}, KNOWN
    )
    assert problems == [] and rules is not None and not rules.rules


# What is an answer


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("", "it is not JSON"),
        ("<html>", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ('{"number": 1' + "0" * 5000 + "}", "it is not JSON"),
        ('{"number": "a", "number": "b", "blocked": true, "price": 1}', "it is not JSON"),
        ('{"number": "a", "blocked": true, "price": NaN}', "it is not JSON"),
        ('{"number": "a", "blocked": true, "price": 1e999}', "price is not a number"),
        ('{"number": "a", "blocked": true, "price": 99999999999999999999}', "price is not a number"),
        ('{"number": "a", "blocked": true, "price": true}', "price is not a number"),
        ('{"number": "a", "blocked": true, "price": "1"}', "price is not a number"),
        ('{"number": "a", "blocked": 1, "price": 1}', "blocked is neither true nor false"),
        ('{"number": "a", "blocked": null, "price": 1}', "blocked is neither true nor false"),
        ('{"number": 1, "blocked": true, "price": 1}', "number is not a text of one line"),
        ('{"number": "a\\r\\nVia: x", "blocked": true, "price": 1}', "number is not a text of one line"),
        ('{"number": "\\ud800", "blocked": true, "price": 1}', "number is not a text of one line"),
        ('{"number": "' + "a" * 1025 + '", "blocked": true, "price": 1}', "number is not a text of one line"),
        ('{"blocked": true, "price": 1}', "number is missing"),
        ("[]", "it is not a JSON object"),
        ("null", "it is not a JSON object"),
        ('"route"', "it is not a JSON object"),
        ('{"route": ["nowhere"]}', "there is no trunk 'nowhere'"),
        ('{"route": []}', "a route needs a tuple of hops"),
        ('{"route": [1]}', "route is not a list of texts of one line"),
        ('{"route": null}', "route is not a list of at most 32 texts"),
        ('{"route": {"a": 1}}', "route is not a list of at most 32 texts"),
        ('{"route": ["office"], "reject": 403}', "route and reject together"),
        ('{"route": ["office"], "rng": 5}', "something else stands beside route"),
        ('{"route": ["office"], "ring": 0}', "ring is a number of seconds, 1 to 3600"),
        ('{"route": ["office"], "ring": true}', "ring is a number of seconds, 1 to 3600"),
        ('{"route": ["office"], "srtp": "none"}', "srtp is one of None, off, accept, offer, required"),
        ('{"route": ["office"], "headers": {"Via": "x"}}', "Via"),
        ('{"route": ["office"], "headers": {"X-A": "a\\nb"}}', "headers is not an object of texts of one"),
        ('{"route": ["office"], "headers": {"X-A": 5}}', "headers is not an object of texts of one line"),
        ('{"route": ["office"], "set": {"call.id": "x"}}', "a part that cannot be set"),
        ('{"route": ["office"], "set": {"to.host": "a b"}}', "to.host is set to what it cannot be"),
        ('{"route": ["office"], "tags": ["a\\nb"]}', "tags is not a list of texts of one line"),
        ('{"reject": 302}', "a call is rejected with 400 to 699"),
        ('{"reject": "403"}', "a call is rejected with 400 to 699"),
        ('{"reject": 403, "reason": "a\\r\\nb"}', "the reason is not a text of one line"),
        ('{"redirect": "http://a"}', "a redirect target is not a SIP URI"),
        ('{"redirect": []}', "a redirect needs a tuple of targets"),
    ],
)  # fmt: skip
def test_what_is_no_answer(body: str, why: str) -> None:
    with pytest.raises(NoAnswer) as found:
        parse_answer(body.encode("utf-8", "surrogatepass"), CRM, ("office",))
    assert str(found.value).startswith(why)


def test_a_service_that_may_not_decide_does_not() -> None:
    with pytest.raises(NoAnswer, match="only variables are taken from crm"):
        parse_answer(b'{"route": ["office"]}', Service("crm", (), VARIABLES, decides=False), ("office",))


def test_only_what_was_asked_for_is_kept() -> None:
    answer = crm("+1", True, 2)
    assert dict(answer.variables) == {"number": "+1", "blocked": True, "price": 2}
    assert dict(answer.said) == {"number": "+1", "blocked": True, "price": 2}


def test_no_word_of_a_decision_is_a_part() -> None:
    assert not WORDS & set(PARTS)
