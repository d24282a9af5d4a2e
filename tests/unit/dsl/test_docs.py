"""Every example in docs/routing.md runs, and its tables list the whole language."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dsl.load import load
from dsl.names import Known

DOC = Path(__file__).parents[3] / "docs" / "routing.md"
TEXT = DOC.read_text("utf-8")
KNOWN = Known(trunks=frozenset(("teams", "carrier-a", "carrier-b")))


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("number", range(len(blocks("yaml"))))
def test_examples_load_and_their_tests_pass(number: int) -> None:
    rules, diagnostics = load({"example.yaml": blocks("yaml")[number]}, KNOWN)
    assert rules is not None, "\n".join(map(str, diagnostics))
    assert diagnostics == [] and rules.tests
    assert rules.run_tests() == []


def test_every_example_is_run() -> None:
    kinds = re.findall(r"^```(\S+.*)$", TEXT, re.MULTILINE)
    assert sorted(kinds) == ["text", "yaml", "yaml", "yaml", "yaml", "yaml", "yaml", "yaml broken"]


def test_the_broken_example_is_answered_as_printed() -> None:
    _, diagnostics = load({"routes.d/sales.yaml": blocks("yaml broken")[0]}, KNOWN)
    assert "\n".join(map(str, diagnostics)) + "\n" == blocks("text")[0]
