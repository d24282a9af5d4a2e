"""Tables of prefixes: what a rule takes for a number is one, and a file that is cut short is no table."""

from __future__ import annotations

import pytest

from dsl.facts import Facts
from dsl.load import load
from dsl.names import Known
from dsl.table import Table, read_table

HEAD = "prefix,first,cost\n"
CAP = """\
rules:
  - name: too expensive
    when: number(table.rates[to.user].cost) > 1.50
    then: reject 403 "Too expensive"
  - name: least cost
    when: true
    then: route table.rates[to.user].first
"""


def table(text: str) -> Table:
    found, problems = read_table("rates", "rates.csv", text)
    assert found is not None, problems
    return found


def told(rows: str, rules: str = CAP) -> list[str]:
    known = Known(trunks=frozenset("ab"), tables={"rates": table(HEAD + rows)})
    return [str(each).splitlines()[0] for each in load({"r.yaml": rules}, known)[1]]


@pytest.mark.parametrize("cell", ["0", "12", "12.50", "0.000000001", "9" * 18, " 1.5 ", '"1.5"'])
def test_a_number_is_digits_with_a_point_or_without(cell: str) -> None:
    assert told(f"49,a,0.01\n43,b,{cell}\n") == []


@pytest.mark.parametrize(
    ("cell", "col", "shown"),
    [
        ('"12,50"', 6, '"12,50"'),
        ("$12.50", 6, '"$12.50"'),
        ("", 6, "an empty cell"),
        ("  ", 8, "an empty cell"),
        ("1e2", 6, '"1e2"'),
        ("-1", 6, '"-1"'),
        ("1.", 6, '"1."'),
        (".5", 6, '".5"'),
        ("  1 000", 8, '"1 000"'),
        ("0x10", 6, '"0x10"'),
        ("nan", 6, '"nan"'),
        ("inf", 6, '"inf"'),
        ("9" * 19, 6, f'"{"9" * 19}"'),
        ("1.0000000000", 6, '"1.0000000000"'),
        ("\u0661", 6, '"\u0661"'),
        ('"a ""b"""', 6, '"a "b""'),
    ],
)
def test_a_cell_that_is_no_number_would_let_every_price_pass(cell: str, col: int, shown: str) -> None:
    assert told(f"49,a,0.01\n43,b,{cell}\n") == [
        f"r.yaml:3:18: error: rates.csv:3:{col} has {shown}, which is no number"
    ]


def test_the_place_is_that_of_the_cell_whatever_stands_before_it() -> None:
    assert told('49,a,0.01\n# a comment\n 43, "b" ,x\n') == [
        "r.yaml:3:18: error: rates.csv:4:11 has \"x\", which is no number"
    ]  # fmt: skip
    long = "".join(f"{at},a,0.{at}\n" for at in range(30_000)) + "99999,a,free\n"
    assert told(long) == ['r.yaml:3:18: error: rates.csv:30002:9 has "free", which is no number']


def test_the_first_three_cells_are_told() -> None:
    rows = "".join(f"{at},a,\n" for at in range(10))
    assert [each.split()[2] for each in told(rows)] == ["rates.csv:2:5", "rates.csv:3:5", "rates.csv:4:5"]


def test_a_column_that_is_not_compared_may_hold_anything() -> None:
    assert (
        told("49,a,free\n", CAP.replace("number(table.rates[to.user].cost) > 1.50", "to.user in table.rates"))
        == []
    )


TEXT = HEAD + '49,a,0.95\n4930,b,"1.50"\n*,a,12\n'


@pytest.mark.parametrize("end", range(len(TEXT)))
def test_a_table_that_is_cut_short_within_a_line_is_a_mistake(end: int) -> None:
    found, problems = read_table("rates", "rates.csv", TEXT[:end])
    whole = TEXT[:end].endswith("\n")
    assert (found is not None) is whole
    assert bool(problems) is not whole


def test_what_is_said_of_a_table_that_is_cut_short() -> None:
    _, (problem,) = read_table("rates", "rates.csv", TEXT[:-2])
    assert (problem.line, problem.message) == (4, "the last line does not end: is the file cut short?")
    assert table(TEXT.replace("\n", "\r\n")).row("4930") == ("", "b", "1.50")


def test_a_price_that_is_a_number_is_held_to_the_cap() -> None:
    rules, _ = load({"r.yaml": CAP}, Known(trunks=frozenset("ab"), tables={"rates": table(TEXT)}))
    assert rules is not None
    for called, rule in (("4930", "least cost"), ("4940", "least cost"), ("88", "too expensive")):
        assert rules.decide(Facts(ruri_user=called)).rule.startswith(rule)


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        ('49,"a,1\n43,b,1\n44,c,1\n', 2),
        ('48,a,1\n49,"a,1\n43,"b",1\n', 3),
        ('48,a,1\n49,"a,1\n', 3),
    ],
)
def test_a_quote_that_is_not_closed_takes_no_rows_away(rows: str, line: int) -> None:
    found, problems = read_table("rates", "rates.csv", HEAD + rows)
    assert found is None
    assert problems[0].line == line
    assert problems[0].message == 'a quote (") begins a cell and never ends'
    assert "before and behind a whole cell" in problems[0].hint


def test_a_cell_in_quotes_may_have_commas_quotes_and_lines() -> None:
    found = table('prefix,x\n49,"a, ""b""\nc"\n')
    assert found.row("4930") == ("", 'a, "b"\nc')


@pytest.mark.parametrize(("prefix", "odd"), [("49*", "*"), ("+49*", "*"), ("49\u20133", "\u2013")])
def test_a_prefix_that_no_number_has_is_told(prefix: str, odd: str) -> None:
    found, problems = read_table("rates", "rates.csv", f"{HEAD}{prefix},a,1\n")
    assert found is None
    assert [each.message for each in problems] == [f"no number has {odd!r} in it"]


@pytest.mark.parametrize("prefix", ["*21#", "*", "alice", "+49-30", "(030)"])
def test_a_prefix_may_be_a_service_code_or_a_name(prefix: str) -> None:
    assert table(f"{HEAD}{prefix},a,1\n")
