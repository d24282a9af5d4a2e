"""Every example in docs/routing.md runs, and its tables list the whole language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dsl.check import Known
from dsl.decision import NO_ROUTE, Hop, Reject, Route
from dsl.facts import FACTS, Facts
from dsl.functions import FUNCTIONS
from dsl.load import load
from sbc.config.hooks import load_hooks

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
    assert sorted(kinds) == ["python", "text", "yaml", "yaml", "yaml", "yaml broken"]


def test_the_broken_example_is_answered_as_printed() -> None:
    _, diagnostics = load({"routes.d/sales.yaml": blocks("yaml broken")[0]}, KNOWN)
    assert "\n".join(map(str, diagnostics)) + "\n" == blocks("text")[0]


def test_the_table_of_facts_is_the_vocabulary() -> None:
    assert table("facts") == fact_table()


def test_the_table_of_functions_is_complete() -> None:
    assert table("functions") == function_table()


def test_the_hook_does_what_the_text_says() -> None:
    hooks, diagnostics = load_hooks({"hooks/doc.py": blocks("python")[0]})
    (hook,) = hooks.route
    assert diagnostics == []
    assert hook.function(Facts(from_user="anonymous"), NO_ROUTE) == Reject(433, "Anonymity Disallowed")
    region = hook.function(Facts(header={"X-Region": "eu"}.get), NO_ROUTE)
    assert region == Route((Hop("carrier-b"), Hop("carrier-a", (503, "timeout"))))
    secure = hook.function(Facts(sips=True), Route((Hop("a"),)))
    assert isinstance(secure, Route) and secure.downgrade == "forbid" and secure.edits
    assert hook.function(Facts(), NO_ROUTE) is None
