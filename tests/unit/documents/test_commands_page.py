"""docs/commands.md is what the parser says today."""

from __future__ import annotations

from pathlib import Path

from sbc.commands.reference import reference

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_what_the_parser_says() -> None:
    written = (ROOT / "docs" / "commands.md").read_text("utf-8")
    assert written == reference(), "python -m sbc.commands.reference > docs/commands.md"


def test_every_command_is_there_with_its_options() -> None:
    for line in ("## `sbc run`", "## `sbc route test`", "## `sbc certs bind`", "- `--strict`: refuse"):
        assert line in reference()
