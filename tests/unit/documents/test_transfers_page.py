"""Every example of docs/transfers.md is one that loads, and does what it says."""

from __future__ import annotations

import re
from pathlib import Path

from dsl.load import load
from dsl.names import Known
from sbc.config.model import Trunk

PAGE = (Path(__file__).parents[3] / "docs" / "transfers.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_the_word_of_a_trunk_is_one_that_is_known() -> None:
    word = EXAMPLES[0].partition(": ")[2].strip()
    assert Trunk.model_validate({"trunk": "a", "listener": "b", "transfers": word}).transfers == word
    told = re.findall(r"^- `(\w+)`", PAGE, re.MULTILINE)
    schema = Trunk.model_json_schema()["properties"]["transfers"]
    assert (sorted(told), schema["default"]) == (sorted(schema["enum"]), "refuse")


def test_the_rules_load_and_their_tests_pass() -> None:
    known = Known(trunks=frozenset(("teams", "carrier-a", "carrier-b")))
    (rules,) = EXAMPLES[1:]
    found, diagnostics = load({"example.yaml": rules}, known)
    assert found is not None and diagnostics == [] and found.tests
    assert found.run_tests() == []
