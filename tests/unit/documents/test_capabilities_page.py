"""docs/capabilities.md: each item says whether it holds, and what holds names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PAGE = (ROOT / "docs" / "capabilities.md").read_text("utf-8")
# The ids in bold, what it is about, and the verdict on lines of its own.
ITEM = re.compile(r"^- \*\*([A-Z0-9, ]+)\*\* .*?^  (Yes|Part|No)\b(.*?)(?=^- |^$|\Z)", re.M | re.DOTALL)
ITEMS = {ids: (verdict, rest) for ids, verdict, rest in ITEM.findall(PAGE)}


def named(text: str) -> list[str]:
    return re.findall(r"`(tests/[\w/.]+)`", text)


def test_every_item_has_its_verdict() -> None:
    assert len(ITEMS) > 40
    assert list(ITEMS) == re.findall(r"^- \*\*(.*?)\*\*", PAGE, re.MULTILINE)


def test_what_holds_names_its_tests_and_nothing_else_does() -> None:
    assert [ids for ids, (verdict, rest) in ITEMS.items() if bool(named(rest)) == (verdict == "No")] == []


def test_what_holds_in_part_says_in_which() -> None:
    parts = [rest for verdict, rest in ITEMS.values() if verdict == "Part"]
    assert parts and [rest for rest in parts if not rest.startswith(" (")] == []


def test_each_capability_names_tests_that_exist() -> None:
    assert [each for each in named(PAGE) if not (ROOT / each).is_file()] == []
