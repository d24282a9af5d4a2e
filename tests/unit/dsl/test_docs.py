"""Every example in docs/routing.md runs, and its tables list the whole language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dsl.load import load
from dsl.names import Known
from dsl.table import read_table

DOC = Path(__file__).parents[3] / "docs" / "routing.md"
TEXT = DOC.read_text("utf-8")


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


TABLES = {name: read_table(name, f"{name}.csv", blocks(f"csv {name}")[0])[0] for name in ("clip", "holidays")}
KNOWN = Known(
    trunks=frozenset(("teams", "carrier-a", "carrier-b")),
    tables={name: each for name, each in TABLES.items() if each is not None},
)


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_examples_load_and_their_tests_pass(number: int) -> None:
    rules, diagnostics = load({"example.yaml": blocks("yaml")[number]}, KNOWN)
    assert rules is not None, "\n".join(map(str, diagnostics))
    assert diagnostics == [] and rules.tests
    assert rules.run_tests() == []


def test_every_example_is_run() -> None:
    kinds = re.findall(r"^```(\S+.*)$", TEXT, re.MULTILINE)
    assert sorted(kinds) == ["csv clip", "csv holidays", "text", *["yaml"] * 8, "yaml broken"]


def test_the_broken_example_is_answered_as_printed() -> None:
    _, diagnostics = load({"routes.d/sales.yaml": blocks("yaml broken")[0]}, KNOWN)
    assert "\n".join(map(str, diagnostics)) + "\n" == blocks("text")[0]
