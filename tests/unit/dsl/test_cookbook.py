"""Every case of the cookbook loads without a word and passes its own tests; the reference is fresh."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dsl.load import load
from dsl.names import Known
from dsl.reference import reference
from dsl.table import Table, read_table

DOCS = Path(__file__).parents[3] / "docs"
TEXT = (DOCS / "cookbook.md").read_text("utf-8")
CASES = re.findall(r"^## (\d+\. [^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)


def table(name: str, text: str, kind: str = "csv") -> Table:
    found, problems = read_table(name, f"{name}.{kind}", text)
    assert found is not None, problems
    return found


KNOWN = Known(
    trunks=frozenset(
        ("teams", "office", "branch", "carrier-a", "carrier-b", "carrier-c", "emergency", "phones")
    ),
    tenants=frozenset(("acme", "bolt")),
    hooks=frozenset(("fraud",)),
    realms=frozenset(("example.net",)),
    tables={
        "holidays": table("holidays", "date,name\n2026-12-24..2026-12-26,Christmas\n"),
        "elin": table("elin", "key,number\n142,+4930100901\n"),
        "masks": table("masks", "key,reaches,shows\n+493010070,+4917222,+493010071\n"),
        "caps": table("caps", 'acme: {calls: 20, hour: 500}\n"*": {calls: 2, hour: 20}\n', "yaml"),
        "blocked": table("blocked", "prefix,why\n+882,satellite\n+491999,nuisance\n"),
        "ported": table("ported", "prefix,routing\n+4930555,D146\n"),
        "rates": table(
            "rates",
            "prefix,first,second,cost\n+4930,carrier-b,carrier-a,0.01\n+49,carrier-a,carrier-c,0.02\n"
            "+882,carrier-c,,9.50\n*,carrier-c,,0.90\n",
        ),
    },
)


def test_the_cases_are_as_many_as_it_says() -> None:
    assert "Thirty-eight cases" in TEXT
    assert [title.partition(".")[0] for title, _ in CASES] == [str(number) for number in range(1, 39)]
    assert len(re.findall(r"^```", TEXT, re.MULTILINE)) == 2 * 38


@pytest.mark.parametrize(("title", "text"), CASES, ids=[title for title, _ in CASES])
def test_a_case_does_what_it_says(title: str, text: str) -> None:
    (example,) = re.findall(r"^```yaml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    rules, diagnostics = load({"routes.d/10.yaml": example}, KNOWN)
    assert rules is not None and not diagnostics, "\n".join(map(str, diagnostics))
    assert rules.tests and rules.run_tests() == []


def test_the_reference_is_fresh() -> None:
    fresh = (DOCS / "language.md").read_text("utf-8") == reference()
    assert fresh, "write it anew: python -m dsl.reference > docs/language.md"


def test_the_rules_of_the_checkout_pass_their_tests() -> None:
    root = DOCS.parent
    texts = {f"routes.d/{path.name}": path.read_text("utf-8") for path in (root / "routes.d").glob("*.yaml")}
    trunks = frozenset(path.stem for path in (root / "trunks.d").glob("*.yaml"))
    rules, diagnostics = load(texts, Known(trunks=trunks))
    assert rules is not None and not diagnostics, diagnostics
    assert {test.path for test in rules.tests} == set(texts)
    assert rules.run_tests() == []
