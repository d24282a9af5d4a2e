"""Every example in docs/routing.md runs, and its tables list the whole language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dsl.check import Known
from dsl.facts import FACTS
from dsl.functions import FUNCTIONS
from dsl.load import load

DOC = Path(__file__).parents[3] / "docs" / "routing.md"
TEXT = DOC.read_text("utf-8")
KNOWN = Known(trunks=frozenset(("teams", "carrier-a", "carrier-b")))
KINDS = {
    "text": "text",
    "host": "text, in any case",
    "address": "address",
    "list": "list of texts",
    "truth": "truth",
    "number": "number",
    "clock": "time of day",
    "day": "day of the week",
    "date": "date",
}


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def table(name: str) -> list[str]:
    found = re.search(rf"^<!-- {name} -->\n\n(.*?)\n\n", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1].splitlines()


def fact_table() -> list[str]:
    rows = [
        f"| `{name}` | {KINDS[fact.type]} | {fact.doc}{_values(fact.values)} |"
        for name, fact in FACTS.items()
    ]
    return ["| fact | type | is |", "|---|---|---|", *rows]


def _values(values: tuple[str, ...]) -> str:
    return ": " + ", ".join(values) if values else ""


def function_table() -> list[str]:
    rows = [f"| `{each.usage}` | {each.gives} | {each.doc} |" for each in FUNCTIONS.values()]
    return ["| function | gives | which is |", "|---|---|---|", *rows]


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_examples_load_and_their_tests_pass(number: int) -> None:
    rules, diagnostics = load({"example.yaml": blocks("yaml")[number]}, KNOWN)
    assert rules is not None, "\n".join(map(str, diagnostics))
    assert diagnostics == [] and rules.tests
    assert rules.run_tests() == []


def test_every_example_is_run() -> None:
    kinds = re.findall(r"^```(\S+.*)$", TEXT, re.MULTILINE)
    assert sorted(kinds) == ["text", "yaml", "yaml", "yaml", "yaml broken"]


def test_the_broken_example_is_answered_as_printed() -> None:
    _, diagnostics = load({"routes.d/sales.yaml": blocks("yaml broken")[0]}, KNOWN)
    assert "\n".join(map(str, diagnostics)) + "\n" == blocks("text")[0]


def test_the_table_of_facts_is_the_vocabulary() -> None:
    assert table("facts") == fact_table()


def test_the_table_of_functions_is_complete() -> None:
    assert table("functions") == function_table()
