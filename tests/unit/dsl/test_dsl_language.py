"""Ranges, lists, groups, tables, clocks and the actions that do more than route: each as a small file."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from dsl.decision import (
    DEFAULT_FAILURES,
    NO_ROUTE,
    Challenge,
    Codecs,
    CopyHeader,
    Decision,
    Group,
    Hop,
    Limit,
    Reject,
    Route,
    SetHeader,
    SetPart,
)
from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.numbers import e164
from dsl.ruleset import RuleSet
from dsl.table import read_table

RATES = """\
prefix,trunk,backup,cost
# the rest of the world
*,c,,1.50
49,a,b,0.02
4930,b,a,0.01
+1,a,,0.005
"""
KNOWN = Known(trunks=frozenset("abc"))
DEFINITIONS = """
zone: Europe/Berlin
lists:
  premium: ["0900", "+49900"]
  offices: [10.0.0.0/8, 192.0.2.7]
  customers: [gold, silver]
groups:
  carriers: [a, b]
  weighted: {a: 3, c: 1}
"""
SUMMER = datetime(2026, 7, 1, 17, 59, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()
CALL = Facts(
    trunk="a", source="10.1.2.3", ruri_user="4930123", from_user="alice", ruri_host="SBC.Example",
    ruri_port=5061, ruri_param={"tgrp": "lab"}.get, from_param={"phone-context": "+1"}.get,
    from_scheme="sips",
    to_header_display="Bob",
    now=SUMMER, calls=lambda trunk: {"": 7, "b": 3}.get(trunk, 0),
    header={"X-Customer": "gold"}.get, sdp_codecs=("PCMA", "OPUS"),
)  # fmt: skip


def ruleset(*rules: tuple[str, str], definitions: str = DEFINITIONS) -> RuleSet:
    table, problems = read_table("rates", "rates.csv", RATES)
    assert table is not None, problems
    text = definitions + "rules:\n"
    for number, (when, then) in enumerate(rules, 1):
        lines = "\n      ".join(then.split("\n"))
        text += f"  - name: r{number}\n    when: |\n      {when}\n    then: |\n      {lines}\n"
    loaded, diagnostics = load({"a.yaml": text}, replace(KNOWN, tables={"rates": table}))
    assert loaded is not None, "\n".join(map(str, diagnostics))
    return loaded


def decide(then: str, facts: Facts = CALL) -> Decision:
    rules = ruleset(("true", then))
    decision = rules.decide(facts)
    assert rules.explain(facts)[0] == decision
    return decision


def routed(then: str, facts: Facts = CALL) -> Route:
    decision = decide(then + '\nroute "b"', facts)
    assert isinstance(decision, Route)
    return decision


@pytest.mark.parametrize(
    "when",
    [
        "length(to.user) in 3..7 and length(to.user) not in 8..20",
        'to.user in "4930000".."4930999" and to.user not in "493000".."493099"',
        'to.user in ["110", "4930100".."4930199"]',
        "to.user in table.rates and from.user in table.rates",
        'not to.user starts with list.premium and "0900123" starts with list.premium',
        "source in list.offices and source in [2001:db8::/32, list.offices]",
        'header("X-Customer") in list.customers and from.user not in list.customers',
        "time in 08:00..18:00 and time not in 08:00..17:59 and time >= 17:59",
        "time in 17:00..06:00 and time not in 22:00..06:00",
        "day in mon..fri and day == wed and day not in [sat, sun] and day in sat..wed and day < thu",
        "date == 2026-07-01 and date in 2026-06-30..2026-07-02 and date > 2026-01-01",
        'time.hour == 17 and to.port == 5061 and from.port == 0 and from.scheme == "sips"',
        'to.param("TGRP") == "lab" and to.param("x") == "" and from.param("phone-context") == "+1"',
        'calls == 7 and calls("b") in 1..3 and calls("c") < 1',
        'table.rates[to.user].trunk == "b" and number(table.rates[to.user].cost) < 0.02',
        'table.rates["+12"].trunk == "a" and table.rates["+12"].backup == ""',
        'to_header.display == "Bob" and auth.user == ""',
        'sdp.codecs == "opus" and sdp.codecs in ["pcmu", "pcma"]',
        'number(header("X-Customer")) < 1 or number("2.50") > 2.4',
    ],
)  # fmt: skip
def test_conditions_that_hold(when: str) -> None:
    rules = ruleset((when, 'route "a"'))
    assert rules.decide(CALL) != NO_ROUTE, rules.explain(CALL)[1]
    assert ruleset((f"not ({when})", 'route "a"')).decide(CALL) == NO_ROUTE


def test_the_zone_is_the_files_own() -> None:
    rules = ruleset(("time == 11:59", "reject 403"), definitions="zone: America/New_York\n")
    assert rules.decide(CALL) != NO_ROUTE
    trace = rules.explain(CALL)[1]
    assert trace == ["r1 (a.yaml:3): yes, because `time == 11:59` holds (time is 11:59); it decides"]


@pytest.mark.parametrize(
    ("dialled", "country", "number"),
    [
        ("030 123-456.7", "49", "+49301234567"), ("0049301234567", "49", "+49301234567"),
        ("+49301234567", "49", "+49301234567"), ("301234567", "49", "+49301234567"), ("112", "49", "112"),
        ("116117", "49", "116117"), ("alice", "49", "alice"), ("", "49", ""), ("+", "49", "+"),
        ("12125550100", "1", "+12125550100"), ("2125550100", "1", "+12125550100"),
        ("01149301234567", "1", "+49301234567"), ("911", "1", "911"), ("0612345678", "39", "+390612345678"),
        ("00" + "1" * 16, "49", "00" + "1" * 16), ("00112", "49", "00112"),
        ("0011493012345", "61", "+493012345"),
    ],
)  # fmt: skip
def test_e164(dialled: str, country: str, number: str) -> None:
    assert e164(dialled, country) == number
    assert e164(number, country) == number or not number.startswith("+")


def test_numbers_are_rewritten() -> None:
    decision = routed(
        'set to.user = e164(to.user, "49")\nset from.user = replace_prefix(from.user, "al", "m")\n'
        'set from.display = replace_prefix(from.user, "x", "y")'
    )
    assert decision.edits == (
        SetPart("to.user", "+494930123"),
        SetPart("from.user", "mice"),
        SetPart("from.display", "mice"),
    )


def test_groups_and_tables_are_targets() -> None:
    decision = decide('route group.weighted then "b" on 503')
    assert decision == Route(
        (Hop("", (), Group("weighted", (("a", 3), ("c", 1)))), Hop("b", (503,))), rule="r1 (a.yaml:11)"
    )
    least = "route table.rates[to.user].trunk then table.rates[to.user].backup then group.carriers"
    cheap = decide(least)
    assert isinstance(cheap, Route)
    assert [(hop.trunk, hop.on, hop.group) for hop in cheap.hops] == [
        ("b", (), None),
        ("a", DEFAULT_FAILURES, None),
        ("", DEFAULT_FAILURES, Group("carriers", (("a", 1), ("b", 1)))),
    ]


def test_an_empty_cell_is_no_hop_and_without_any_there_is_no_route() -> None:
    other = replace(CALL, ruri_user="33123")
    one = decide("route table.rates[to.user].trunk then table.rates[to.user].backup", other)
    assert isinstance(one, Route) and one.hops == (Hop("c"),)
    none = decide('tag "x"\nroute table.rates[to.user].backup', other)
    assert none == Reject(404, "No route", "r1 (a.yaml:11)", ("x",))


def test_codecs_ring_tags_hooks_and_copies_go_with_the_route() -> None:
    decision = routed(
        'allow codecs ["pcma", "G722"]\ndeny codecs "G729"\nprefer codecs "OPUS"\nring for 30 seconds\n'
        'tag "customer " + header("X-Customer")\ntag "vip"\ncall hook "fraud"\n'
        'copy header "X-Trace-*"\ncopy header "X-Customer" to "X-Account"'
    )
    assert decision.codecs == Codecs(("PCMA", "G722"), ("G729",), ("OPUS",))
    assert (decision.ring, decision.tags, decision.hooks) == (30, ("customer gold", "vip"), ("fraud",))
    assert decision.edits == (CopyHeader("X-Trace-*"), CopyHeader("X-Customer", "X-Account"))


def test_who_is_recorded_once_stays_so_in_the_rules_that_follow() -> None:
    rules = ruleset(('from.user == "1"', "record\ncontinue"), ("true", 'route "c"'))
    recorded, other = (rules.decide(replace(CALL, from_user=user)) for user in ("1", "2"))
    assert isinstance(recorded, Route) and isinstance(other, Route)
    assert (recorded.record, other.record) == (True, False)


def test_a_tone_that_one_rule_wants_none_that_follows_takes_back() -> None:
    first = 'record with  tone\nallow codecs "pcma"\ncontinue'
    rules = ruleset(('from.user == "1"', first), ("true", 'record\nroute "c"'))
    toned, other = (rules.decide(replace(CALL, from_user=user)) for user in ("1", "2"))
    assert isinstance(toned, Route) and isinstance(other, Route)
    assert (toned.record, toned.tone, other.record, other.tone) == (True, True, True, False)


def test_later_rules_see_copied_headers_and_tags() -> None:
    rules = ruleset(
        ("true", 'copy header "X-Customer" to "X-Account"\ntag "vip"\ncontinue'),
        ('header("X-Account") == "gold" and call.tags == "vip" and call.tags == "hook"', 'route "c"'),
    )
    decision = rules.decide(replace(CALL, tags=("hook",)))
    assert isinstance(decision, Route) and decision.tags == ("vip",)
    assert rules.decide(CALL) == replace(NO_ROUTE, tags=("vip",))


def test_what_is_copied_is_the_callers_own() -> None:
    decision = routed(
        'set header "X-Customer" = "mine"\ncopy header "X-Customer" to "X-A"\n'
        'set header "X-B" = header("X-A")'
    )
    assert decision.edits[-1] == SetHeader("X-B", "gold")


def test_limits_have_a_key_for_each_value() -> None:
    decision = routed(
        'limit 2 calls per from.user\nlimit 5 calls a minute per trunk else reject 486 "Slow down"'
    )
    assert decision.limits == (
        Limit("r1 #0 alice", 2),
        Limit("r1 #1 a", 5, 60, 486, "Slow down"),
    )


def test_a_challenge_stands_before_everything_else() -> None:
    rules = ruleset(("true", 'tag "a"\ncontinue'), ("true", 'tag "b"\nchallenge "lab.example"\nroute "b"'))
    asked = Challenge("lab.example", "r2 (a.yaml:17)", ("a",))
    assert rules.decide(CALL) == rules.explain(CALL)[0] == asked
    assert rules.realms == {"lab.example"}
    wrong = replace(CALL, auth_user="alice", auth_realm="elsewhere.example")
    assert rules.decide(wrong) == asked
    known = replace(CALL, auth_user="alice", auth_realm="lab.example")
    assert isinstance(rules.decide(known), Route)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 0, "names no column 'prefix'"),
        ("number,trunk\n1,a\n", 1, "names no column 'prefix'"),
        ("prefix,a b\n1,x\n", 1, "'a b' cannot be the name of a column"),
        ("prefix,x,x\n1,2,3\n", 1, "two columns 'x'"),
        ("prefix,x\n1,2,3\n", 2, "3 columns, not 2"),
        ("prefix,x\n\n# note\n1,2\n1,2\n", 5, "the prefix '1' is there already"),
        ("prefix,x\n*,2\n*,3\n", 3, "the prefix '*' is there already"),
        ("prefix,x\n,2\n", 2, "'' is no prefix"),
        ("prefix,x\n4 9,2\n", 2, "'4 9' is no prefix"),
    ],
)
def test_a_broken_table_is_told_with_its_line(text: str, line: int, message: str) -> None:
    table, problems = read_table("t", "t.csv", text)
    assert table is None
    assert (problems[0].path, problems[0].line) == ("t.csv", line) and message in problems[0].message


def test_not_every_line_of_a_wrong_table_is_told() -> None:
    table, problems = read_table("t", "t.csv", "prefix,x\n" + "1\n" * 1000)
    assert table is None and len(problems) == 20


@pytest.mark.parametrize(
    ("text", "prefix"),
    [("4930123", "4930"), ("4931", "49"), ("+15", "+1"), ("5", ""), ("", ""), ("+", ""), ("493", "49")],
)
def test_the_longest_prefix_wins(text: str, prefix: str) -> None:
    table, _ = read_table("rates", "rates.csv", RATES)
    assert table is not None and len(table) == 4
    trunk = {"4930": "b", "49": "a", "+1": "a", "": "c"}[prefix]
    found = table.row(text)
    assert found is not None and found[1] == trunk
    assert dict(table.values("trunk")) == {"c": 3, "a": 4, "b": 5}


@pytest.mark.slow
def test_a_big_table_is_small_in_memory() -> None:
    """A million prefixes shall take less than 200 MB; here a tenth of both."""
    lines = [f"{4_000_000 + number},carrier-{number % 7},0.{number % 400:03}" for number in range(100_000)]
    text = "prefix,trunk,cost\n" + "\n".join([*lines, ""])
    tracemalloc.start()
    table, problems = read_table("rates", "rates.csv", text)
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert table is not None and not problems and len(table) == 100_000
    assert taken < 20e6
    assert table.row("40999991234") == ("", "carrier-4", "0.399")
