"""No line of a document is longer than 120 characters, in tables and code blocks neither."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LONGEST = 120
DOCUMENTS = sorted((*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")))
# An address cannot be wrapped; one that is too long stands on a line of its own.
ADDRESS = re.compile(r"\s*(?:\[[^\]]+\]: ?|[-*] )?<?https?://\S+>?")


def too_long(text: str) -> list[int]:
    """The numbers of the lines that should be shorter."""
    lines = enumerate(text.splitlines(), 1)
    return [number for number, line in lines if len(line) > LONGEST and not ADDRESS.fullmatch(line)]


def test_the_documents_are_found() -> None:
    names = {path.name for path in DOCUMENTS}
    assert names > {"README.md", "ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "capabilities.md"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])
def test_no_line_is_too_long(document: Path) -> None:
    assert too_long(document.read_text("utf-8")) == []


def test_what_is_too_long_is_found() -> None:
    address = "https://example.net/" + "a" * LONGEST
    table = "| `a` | " + "b" * LONGEST + " |"
    assert too_long(f"{'a' * LONGEST}\n{'a' * (LONGEST + 1)}\n{table}\n```\n{'c' * 121}\n```") == [2, 3, 5]
    assert too_long(f"{address}\n- {address}\n[1]: {address}\nsee {address}") == [4]
