"""Whatever is written, the checker answers with diagnostics; whatever arrives, a decision is made."""

from __future__ import annotations

import re
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import assume, example, given, settings

from dsl.decision import Decision
from dsl.errors import Diagnostic
from dsl.facts import FACTS, Facts
from dsl.load import load
from dsl.names import Known
from dsl.patterns import Pattern, PatternError
from dsl.ruleset import RuleSet
from dsl.services import Service
from dsl.table import read_table

pytestmark = pytest.mark.slow

WORDS = [
    *FACTS, "and", "or", "not", "in", "matches", "starts", "ends", "with", "has", "header", "true", "false",
    "==", "!=", "<", ">=", "(", ")", "[", "]", ",", "+", "=", ";", "/^00/", "/(a|b)+$/", "/(/", '"teams"',
    '"x"', '"', "5", "503", "10.0.0.0/8", "::1", "fe80::/10", "route", "then", "on", "timeout", "reject",
    "redirect", '"sip:a@b"', "set", "remove", '"X-A"', '"Via"', "require", "offer", "no", "srtp", "forbid",
    "warn", "downgrade", "continue", "replace", "length", "number", "strip_prefix", "#", "\n", "'", "é", "\t",
    "..", "mon", "sat",
    "08:00", "25:99", "2026-12-24", "1.5", "list.names", "list.x", "group.both", "table.rates",
    "table.rates[to.user].trunk",
    "table.rates[", "]", ".cost", "allow", "deny", "prefer", "codecs", '"PCMA"',
    "ring for", "record",
    "seconds", "limit", "calls", "a", "minute", "per", "else", "tag", "call hook", "challenge", "copy", "to",
    "e164",
    "at most", "hours", "minutes", "answer", "as", "5xx", "6xx", "603", "{", "}", "capture", "date",
    "table.names[trunk].number", "table.days", "table.days[date].name", "table.names",
    "matches", "/a^/", "ask", '"crm"', "lookup.crm.number", "lookup.crm.blocked", "lookup.x",
]  # fmt: skip
RATES, _ = read_table("rates", "rates.csv", "prefix,trunk,cost\n0,teams,0.1\n*,x,2\n")
NAMES, _ = read_table("names", "names.csv", "key,number,calls\nteams,+49,5\n*,,x\n")
DAYS, _ = read_table("days", "days.csv", "date,name\n2026-12-24..2026-12-26,Christmas\n")
assert RATES is not None and NAMES is not None and DAYS is not None
CRM = Service("crm", ("to.user",), {"number": "text", "blocked": "truth"})
KNOWN = Known(
    trunks=frozenset(("teams", "x")),
    tables={"rates": RATES, "names": NAMES, "days": DAYS},
    services={"crm": CRM},
)
DEFINED = 'zone: Asia/Tokyo\nlists: {names: [teams, "00"]}\ngroups: {both: {teams: 2, x: 1}}\n'

phrases = st.lists(st.sampled_from(WORDS), max_size=14).map(" ".join)
wild = st.one_of(phrases, st.text(max_size=60), st.tuples(phrases, st.text(max_size=5)).map("".join))


def load_any(text: str) -> list[Diagnostic]:
    rules, diagnostics = load({"a.yaml": text}, KNOWN)
    assert (rules is None) == any(each.severity == "error" for each in diagnostics)
    lines = text.split("\n")
    for each in diagnostics:
        assert 0 <= each.line <= len(lines) and each.col >= 0 and each.message and str(each)
        if each.line:
            assert each.col <= len(lines[each.line - 1]) + 1
    return diagnostics


def quoted(text: str) -> str:
    escaped = "".join(f"\\U{ord(char):08x}" if not char.isprintable() else char for char in text)
    return '"' + re.sub(r'(["\\])(?!U)', r"\\\1", escaped) + '"'


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=120))
@example("\r0")
@example("\ufeff- \u2028x: [")
def test_any_text_as_a_file(text: str) -> None:
    load_any(text)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from([*"-:|>{}[]&*!%@`'\"#,? \n", "a", "rules", "tests", "\n  ", "- "]), max_size=30)
)
def test_any_yaml_as_a_file(pieces: list[str]) -> None:
    load_any("".join(pieces))


@settings(max_examples=300, deadline=None)
@given(wild, wild)
def test_any_text_as_a_rule(when: str, then: str) -> None:
    load_any(f"{DEFINED}rules:\n  - name: a\n    when: {quoted(when)}\n    then: {quoted(then)}\n")
    block = "\n".join("      " + line for line in phrases_only(then).split("\n"))
    load_any(f"{DEFINED}rules:\n  - name: a\n    when: true\n    then: |\n{block}\n")


def phrases_only(text: str) -> str:
    return "".join(char for char in text if char.isprintable() or char == "\n")


any_text = st.one_of(st.text(st.characters(), max_size=20), st.text("+01234567890", max_size=20))
facts = st.builds(
    Facts,
    **{
        name: any_text
        for name in (
            "trunk source ruri_user ruri_host from_user from_host from_display user_agent tls_group peer_pin"
        ).split()
    },
    sips=st.booleans(),
    calls=st.integers(0, 9).map(lambda count: lambda trunk: count),
    ruri_param=st.dictionaries(st.sampled_from(["x", "y"]), any_text).map(lambda params: params.get),
    peer_sans=st.lists(any_text, max_size=3).map(tuple),
    sdp_codecs=st.lists(any_text, max_size=3).map(tuple),
    now=st.floats(),
    header=st.dictionaries(st.sampled_from(["X-A", "X-B"]), any_text).map(lambda headers: headers.get),
)

RULES = r"""zone: Asia/Tokyo
lists: {names: [teams, "00"]}
groups: {both: {teams: 2, x: 1}}
rules:
  - name: more
    when: |
      time in 22:00..06:00 or day in sat..mon or date > 2026-01-01 or to.user in list.names
      or from.user in "100".."199" or to.user in table.rates or calls > 3 or calls("x") in 1..2
      or to.param("x") == "1" or number(table.rates[from.user].cost) < 1.5
    then: |
      set to.user = e164(to.user, "49") + replace_prefix(from.user, "0", "1")
      copy header "X-A" to "X-D"
      limit 5 calls per from.user
      tag header("X-D") + table.rates[to.user].trunk
      prefer codecs "PCMA"
      continue
  - name: numbers
    when: to.user matches /^(00|\+)\d+/ or time.hour > 30 or number(header("X-A")) < length(from.user)
    then: |
      set to.user = replace(to.user, /^00/, "+") + header("X-B")
      set header "X-C" = replace(header("X-A"), /(.)(.)?/, "\2\1")
      continue
  - name: places
    when: >
      source in [10.0.0.0/8, ::1] or source == "10.0.0.1" or to.host in ["a", "b"]
      or to.host ends with "x" and peer.san starts with ["dns:", "uri:"] or peer.san matches /\w+$/
    then: route "x" then "teams" on 503
  - name: least cost
    when: 'call.tags == "x" or user_agent == "a"'
    then: route table.rates[to.user].trunk then group.both
  - name: rest
    when: trunk == "teams" or sips or not sdp.codecs == "PCMA" or has header "X-A"
    then: redirect "sip:" + strip_prefix(to.user, "+") + lower(from.user) + "@" + add_prefix(to.host, "a")
"""


def ruleset() -> RuleSet:
    rules, diagnostics = load({"a.yaml": RULES}, KNOWN)
    assert rules is not None, diagnostics
    return rules


@settings(max_examples=300, deadline=None)
@given(facts)
def test_any_call_is_decided_and_explained_alike(call: Facts) -> None:
    rules = ruleset_once
    decision = rules.decide(call)
    explained, trace = rules.explain(call)
    assert decision == explained and trace
    assert not re.search(r"[\x00-\x1f\x7f]", "".join(written(decision)))


def written(decision: Decision) -> list[str]:
    values: list[Any] = [getattr(edit, "value", "") for edit in getattr(decision, "edits", ())]
    return [*values, *getattr(decision, "targets", ()), getattr(decision, "reason", ""), *decision.tags]


ruleset_once = ruleset()

atoms = st.sampled_from(
    [
        "a",
        "0",
        r"\d",
        ".",
        "[0-9]",
        "[^0-9]",
        "[ab]",
        "(a|b)",
        "(a|ab|)",
        r"\+",
        r"\$",
        r"\.",
        "\\\\",
        "+",
        "x",
    ]
)
repeats = st.sampled_from(["", "", "", "?", "*", "+", "{2}", "{0,2}", "{1,3}"])
patterns = st.tuples(
    st.sampled_from(["", "^"]),
    st.lists(st.tuples(atoms, repeats).map("".join), max_size=5).map("".join),
    st.sampled_from(["", "$"]),
).map("".join)


@settings(max_examples=500, deadline=None)
@given(patterns, st.text("ab0+$.x\\\n é", max_size=12), st.sampled_from(["", "-", "+1"]))
def test_both_matchers_agree(source: str, text: str, replacement: str) -> None:
    try:
        pattern = Pattern(source)
    except PatternError:
        assume(False)
    exact = Pattern(source)
    exact._simple = None
    assert bool(pattern.search(text)) is bool(exact._search(text))
    assert pattern.replacer(replacement)(text) == exact.replacer(replacement)(text)


conditions = st.one_of(
    st.builds('TEXT starts with "{}"'.format, st.text("+049", max_size=4)),
    st.builds('TEXT == "{}"'.format, st.text("+049", max_size=4)),
    st.builds('TEXT in ["{}", "{}"]'.format, st.text("+049", max_size=3), st.text("+049", max_size=3)),
    st.builds("TEXT matches /^{}/".format, st.sampled_from([r"\+4", "00", "0?4", "4|9", "(4|0)9", "[04]"])),
    st.builds(
        'trunk == "{}" and TEXT starts with "{}"'.format,
        st.sampled_from("ab"),
        st.text("+049", max_size=3),
    ),
    st.sampled_from(['trunk == "a"', 'from.user == "4"', "true"]),
    st.builds('call.tags == "{}"'.format, st.sampled_from("xy")),
    st.builds(
        'call.tags in ["{}"] and TEXT == "{}"'.format, st.sampled_from("xy"), st.text("+049", max_size=2)
    ),
)
endings = st.one_of(
    st.integers(400, 499).map("reject {}".format),
    st.sampled_from(
        [
            'set to.user = "+49" + to.user; continue',
            'set from.user = "4"; continue',
            'set header "X-A" = "+49" + header("X-A"); continue',
            'tag "x"; continue',
            "tag TEXT; continue",
            'tag "y"; tag "x"; continue',
        ]
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["to.user", 'header("X-A")', 'to.param("a")']),
    st.lists(st.tuples(conditions, endings), min_size=1, max_size=30),
    st.lists(st.tuples(st.sampled_from("abc"), st.text("+049", max_size=5)), min_size=1, max_size=10),
)
def test_filed_rules_decide_as_if_each_were_tried(
    asked: str, pairs: list[tuple[str, str]], made: list[tuple[str, str]]
) -> None:
    text = "rules:\n"
    for number, (when, then) in enumerate(pairs):
        text += f"  - name: r{number}\n    when: |\n      {when}\n    then: |\n      {then}\n"
    text = text.replace("TEXT", asked)
    rules, problems = load({"a.yaml": text})
    assert rules is not None, problems
    never = {each.line for each in problems if "never" in each.message}
    for trunk, user in made:
        call = Facts(
            trunk=trunk, ruri_user=user, from_user=user,
            header={"X-A": user}.get, ruri_param={"a": user}.get,
        )  # fmt: skip
        decision, _ = rules.explain(call)
        assert rules.decide(call) == decision
        place = re.search(r":(\d+)\)", decision.rule)
        assert place is None or int(place[1]) not in never, "a rule that is never reached decided"
