"""Limits of time, of a day, and to some numbers: what they come to for a call, and what is wrong with one."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from dsl.decision import Limit, Route, Window
from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.ruleset import RuleSet
from dsl.table import Table, read_table

TABLES = {
    "irsf": "prefix,zone\n+882,networks\n+8816,satellite\n",
    "caps": "key,minutes\nacme,90\n*,10\n",
    "bad": "key,minutes\nacme,many\n",
    "days": "date,what\n2026-12-24,eve\n",
}


def table(name: str) -> Table:
    found, problems = read_table(name, f"{name}.csv", TABLES[name])
    assert found is not None, problems
    return found


KNOWN = Known(
    trunks=frozenset(("office", "carrier")), tenants=frozenset(("acme",)),
    tables={name: table(name) for name in TABLES},
)  # fmt: skip
FILE = """zone: Europe/Berlin
lists: {{short: ["+49137", "0900"]}}
rules:
  - name: out
    when: true
    then: |
      {limit}
      route "carrier"
"""


def rules(limit: str) -> RuleSet:
    found, problems = load({"r.yaml": FILE.format(limit=limit)}, KNOWN)
    assert found is not None and not problems, "\n".join(map(str, problems))
    return found


def limits(written: str, to: str = "+882123") -> tuple[Limit, ...]:
    decision = rules(written).decide(Facts(ruri_user=to, from_user="alice", tenant="acme"))
    assert isinstance(decision, Route)
    return decision.limits


BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("written", "limit", "text"),
    [
        (
            "limit 60 minutes a day per from.user",
            Limit("out #0 alice", 60, 0, 403, "", Window("minutes", "day", BERLIN)),
            "60 minutes a day",
        ),
        (
            "limit 2 hours an hour per tenant hard",
            Limit("out #0 acme", 2, 0, 403, "", Window("hours", "hour", BERLIN, True)),
            "2 hours a hour",
        ),
        (
            'limit 90 seconds a day per from.user to "+882" hard else reject 480 "Enough"',
            Limit("out #0 alice", 90, 0, 480, "Enough", Window("seconds", "day", BERLIN, True)),
            "90 seconds a day",
        ),
        (
            "limit 5 calls a day per from.user to table.irsf else reject 486",
            Limit("out #0 alice", 5, 0, 486, "", Window("calls", "day", BERLIN)),
            "5 calls a day",
        ),
        (
            "limit table.caps[tenant].minutes minutes a day per tenant",
            Limit("out #0 acme", 90, 0, 403, "", Window("minutes", "day", BERLIN)),
            "90 minutes a day",
        ),
        ("limit 5 calls an hour per from.user", Limit("out #0 alice", 5, 3600), "5 calls a hour"),
        ("limit 5 calls per from.user to list.short", None, ""),
        ("limit 5 calls per from.user to [list.short, table.irsf]", Limit("out #0 alice", 5), "5 calls"),
    ],
)
def test_what_a_limit_comes_to(written: str, limit: Limit | None, text: str) -> None:
    assert limits(written) == ((limit,) if limit is not None else ())
    if limit is not None:
        (found,) = limits(written)
        assert (found.text, found.name) == (text, "out #0")


@pytest.mark.parametrize(
    ("to", "meant"),
    [
        ("+8821", True), ("+88161", True), ("+8815", False), ("0900123", True), ("+49137", True),
        ("+4913", False), ("", False), ("x+882", False), ("00882123", False),
    ],
)  # fmt: skip
def test_to_names_the_numbers_that_are_meant(to: str, meant: bool) -> None:
    assert bool(limits("limit 1 calls per trunk to [list.short, table.irsf]", to)) is meant


def test_it_is_the_number_as_it_is_there() -> None:
    written = 'set to.user = replace_prefix(to.user, "00", "+")\n      limit 1 calls per trunk to table.irsf'
    assert limits(written, "00882123")
    later = 'limit 1 calls per trunk to table.irsf\n      set to.user = replace_prefix(to.user, "00", "+")'
    assert not limits(later, "00882123")


@pytest.mark.parametrize(
    ("written", "message", "hint"),
    [
        ("limit 60 minutes per trunk", "unexpected 'per'", "a day, or an hour"),
        ("limit 60 minutes a week per trunk", "unexpected 'week'", "second, minute, hour or day"),
        ("limit 60 minutes a minute per trunk", "minutes are not counted by the minute", "a day, or an hour"),
        (
            "limit 60 calls a day per trunk hard",
            "hard ends calls whose minutes are used up",
            "leave hard out",
        ),
        ("limit 0 minutes a day per trunk", "no call could ever be made", "reject"),
        ("limit 1.5 hours a day per trunk", "a limit is a whole number", "such as 10"),
        ("limit 1 calls per trunk to irsf", "irsf is a table", "write table.irsf"),
        ("limit 1 calls per trunk to table.isrf", "there is no table 'isrf'", 'did you mean "irsf"?'),
        ("limit 1 calls per trunk to list.shorts", "there is no list 'shorts'", 'did you mean "short"?'),
        ("limit 1 calls per trunk to table.days", "a table of dates", "date in table.days"),
        ('limit 1 calls per trunk to ""', "every number begins with this", "leave out `to`"),
        ('limit 1 calls per trunk to ["+1", ""]', "every number begins with this", "leave out `to`"),
        ("limit 1 calls per trunk to 882", "unexpected '882'", "text in quotes"),
        ("limit table.bad[tenant].minutes minutes a day per tenant", "no number of minutes", "whole number"),
        ("limit 1 minutes a day per trunk else reject 200", "rejected with 400 to 699", "such as 403"),
        ("limit 1 minutes a day to table.irsf per trunk", "unexpected 'to'", ""),
    ],
)
def test_what_is_wrong_is_told_with_its_place_and_what_to_write(
    written: str, message: str, hint: str
) -> None:
    found, problems = load({"r.yaml": FILE.format(limit=written)}, KNOWN)
    assert found is None
    assert any([message in each.message and hint in each.hint for each in problems]), problems
    assert {(each.path, each.line) for each in problems} == {("r.yaml", 7)}


def test_tests_beside_the_rules_expect_limits() -> None:
    text = FILE.format(
        limit="limit 60 minutes a day per from.user to table.irsf\n      limit 5 calls per trunk"
    )
    text += """tests:
  - given: {to: "+882123"}
    expect: {limits: ["60 minutes a day", "5"]}
  - given: {to: "+49301234"}
    expect: {limits: "5"}
  - given: {to: "+49301234"}
    expect: {limits: "60 minutes a day"}
"""
    found, problems = load({"r.yaml": text}, KNOWN)
    assert found is not None, problems
    (failure,) = found.run_tests()
    assert (failure.path, failure.line) == ("r.yaml", 16)
    assert failure.message == 'expected limits "60 minutes a day", but it is "5"'


REMEMBERING = """
rules:
  - name: known
    when: remembered(from.user + " " + table.irsf[to.user].zone)
    then: route "carrier"
  - name: new
    when: to.user in table.irsf
    then: |
      tag "new"
      remember from.user + " " + table.irsf[to.user].zone for {days} days
      route "carrier"
tests:
  - given: {{to: "+882123", from: alice}}
    expect: {{rule: new, remember: alice networks}}
  - given: {{to: "+882123", from: alice, remembered: [alice networks]}}
    expect: {{rule: known, remember: []}}
  - given: {{to: "+8816", from: alice, remembered: [alice networks]}}
    expect: {{rule: new}}
"""


def test_what_is_remembered_makes_a_destination_known() -> None:
    found, problems = load({"r.yaml": REMEMBERING.format(days=30)}, KNOWN)
    assert found is not None and found.run_tests() == [], problems
    assert found.remembers and not rules("limit 1 calls per trunk").remembers
    decision = found.decide(Facts(ruri_user="+882123", from_user="bob"))
    assert isinstance(decision, Route) and decision.remember == (("bob networks", 30),)


@pytest.mark.parametrize("days", ["0", "367", "1.5"])
def test_nothing_is_remembered_for_ever(days: str) -> None:
    found, problems = load({"r.yaml": REMEMBERING.format(days=days)}, KNOWN)
    assert found is None and "1 to 366 days" in problems[0].hint
