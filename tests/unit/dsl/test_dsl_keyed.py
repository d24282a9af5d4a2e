"""Tables that are found by a name or a date, in CSV and YAML, and limits that stand in one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dsl.decision import Limit, Route, SetPart
from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.table import Table, read_table

CLIP = """\
# who calls by which number
key,number,most
office,+4930100,5
branch,+4930200,2
*,,1
"""
HOLIDAYS = "date,name\n2026-12-24..2026-12-26,Christmas\n2026-10-03,Unity\n"
YAML = 'office: {number: "+4930100", most: 5}\nbranch:\n  number: "+4930200"\n  most: 2\n"*": {most: 1}\n'


def table(name: str, text: str, kind: str = "csv") -> Table:
    found, problems = read_table(name, f"{name}.{kind}", text)
    assert found is not None, problems
    return found


def known(**tables: Table) -> Known:
    return Known(trunks=frozenset(("office", "branch", "carrier")), tables=tables)


ALL = known(clip=table("clip", CLIP), holidays=table("holidays", HOLIDAYS))
RULES = """
zone: Europe/Berlin
rules:
  - name: holiday
    when: date in table.holidays
    then: |
      tag table.holidays[date].name
      reject 480 "Closed"
  - name: out
    when: trunk in table.clip
    then: |
      limit table.clip[trunk].most calls per trunk
      set from.user = table.clip[trunk].number
      route "carrier"
tests:
  - given: {trunk: office, time: 2026-12-26 23:59}
    expect: {reject: 480, tags: Christmas}
  - given: {trunk: office, time: 2026-12-27 00:01}
    expect: {from.user: "+4930100", limits: "5"}
  - given: {trunk: carrier, time: 2026-07-01 00:01}
    expect: {from.user: "", limits: "1"}
"""


@pytest.mark.parametrize("kind", ["csv", "yaml"])
def test_rows_by_name_and_by_date(kind: str) -> None:
    clip = table("clip", CLIP if kind == "csv" else YAML, kind)
    given = replace(ALL, tables={**ALL.tables, "clip": clip})
    rules, found = load({"a.yaml": RULES}, given)
    assert rules is not None and not found, found
    assert rules.run_tests() == []
    decision = rules.decide(Facts(trunk="office", now=1782900000.0))
    assert isinstance(decision, Route) and decision.edits == (SetPart("from.user", "+4930100"),)
    assert decision.limits == (Limit("out #0 office", 5),)


def test_whom_a_table_without_a_rest_does_not_know() -> None:
    clip = table("clip", CLIP.replace("*,,1\n", ""))
    assert clip.find("carrier") is None and clip.find("") is None and clip.find("office2") is None
    rules, _ = load(
        {"a.yaml": RULES.replace("trunk in table.clip", "true")},
        known(clip=clip, holidays=ALL.tables["holidays"]),
    )
    assert rules is not None
    decision = rules.decide(Facts(trunk="carrier"))
    assert isinstance(decision, Route) and decision.limits[0].calls == 0  # nobody calls by mistake


def test_numbers_are_found_however_they_are_spelled() -> None:
    found = table("names", "key,name\n+49-30-100,Berlin\n").find("+4930100")
    assert found is not None and found[1] == "Berlin"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("number,name\n1,2\n", "the first line names no column 'prefix'"),
        ("key,prefix\n1,2\n", "the first line names 'prefix' and 'key'"),
        ("key,a\noffice,1\noffice,2\n", "'office' is there already"),
        ("key,a\n,1\n", "this row has no key"),
        ("date\n2026-02-30\n", "'2026-02-30' is no date"),
        ("date\n2026-12-26..2026-12-24\n", "'2026-12-26..2026-12-24' is no range of dates"),
        ("date\n2026-12-24..2026-12-26\n2026-12-25\n", "'2026-12-25' is there already"),
    ],
)
def test_wrong_files(text: str, told: str) -> None:
    found, problems = read_table("t", "t.csv", text)
    assert found is None and [each.message for each in problems] == [told]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("- a\n", "no table"),
        ("a: 5\n", "'a' has no columns"),
        ("a: {b: [1]}\n", "b of 'a' is no single value"),
        ("a: {key: 1}\n", "there are two columns 'key'"),
        ("a: {b: 1\n", "this is not YAML: a list or mapping in brackets is not closed"),
    ],
)
def test_wrong_yaml(text: str, told: str) -> None:
    found, problems = read_table("t", "t.yaml", text)
    assert found is None and problems and problems[0].message.startswith(told), problems


@pytest.mark.parametrize(
    ("when", "then", "told"),
    [
        ('table.clip[trunk].numbr == ""', "", "the table clip has no column 'numbr'"),
        ('table.clip[trunk].key == ""', "", "key is what a row is found by"),
        ('table.holidays[trunk].name == ""', "", "the table holidays is one of dates"),
        ("trunk in table.holidays", "", "a table of dates; this asks about text"),
        ("date in table.clip", "", "a table holds numbers as text; this asks about a date"),
        ("true", "limit table.clip[trunk].number calls per trunk", 'clip.csv:3 has "+4930100"'),
        ("true", "limit table.clip[trunk].mst calls per trunk", "the table clip has no column 'mst'"),
    ],
)
def test_mistakes(when: str, then: str, told: str) -> None:
    text = (
        f'rules:\n  - name: r\n    when: |\n      {when}\n    then: |\n      {then}\n      route "carrier"\n'
    )
    _, found = load({"a.yaml": text}, ALL)
    assert found and found[0].message.startswith(told), found


def test_a_key_that_names_no_trunk_is_told() -> None:
    text = 'rules:\n  - name: r\n    when: table.clip[trunk].number == "1"\n    then: route "carrier"\n'
    rules, (found,) = load({"a.yaml": text}, known(clip=table("clip", "key,number\noffise,1\n")))
    assert rules is not None and found.severity == "warning"
    assert found.message == 'clip.csv has the key "offise", and there is no trunk of that name'
    assert found.hint == 'did you mean "office"?'
