"""The manual pages: man reads them without a complaint, and they say what docs/ and the parser say."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from sbc.commands.printed.manual import PAGES, Page, manual
from sbc.commands.printed.roff import roff
from sbc.config.model import Settings
from tests.peers.needs import needs

DOCS = Path(__file__).resolve().parents[3] / "docs"


def shown(path: Path, width: int = 80) -> str:
    """What a reader sees; nothing else is said."""
    needs("man", "tbl")
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": str(width), "MAN_KEEP_FORMATTING": ""}
    done = subprocess.run(
        ["man", "-l", "--warnings", "-E", "UTF-8", str(path)], capture_output=True, text=True,
        env=environment, timeout=60, check=True,
    )  # fmt: skip
    assert done.stderr == ""
    return done.stdout


def page(name: str) -> Page:
    return next(each for each in PAGES if each.name == name)


@pytest.mark.slow
@pytest.mark.parametrize("each", PAGES, ids=[each.name for each in PAGES])
def test_man_has_nothing_to_complain_of(each: Page, tmp_path: Path) -> None:
    path = tmp_path / "page"
    path.write_text(manual(each, DOCS))
    text = shown(path)
    for title in ("NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"):
        assert f"\n{title}\n" in text
    assert f"{each.name} - " in " ".join(text.split())
    assert "**" not in text and "](" not in text


def test_every_command_and_option_has_its_place() -> None:
    text = manual(page("sbc"), DOCS).replace("\\-", "-")
    for said in ('.SH "sbc certs stage"', r"\fB--strict\fR", r"\fB-o, --output FILE\fR", '.SH "sbc support"'):
        assert said in text, said
    assert "python -m" not in text


def test_every_key_of_the_configuration_is_there() -> None:
    text = manual(page("sbc.yaml"), DOCS).replace("\\-", "-")
    keys = [field.alias or name for name, field in Settings.model_fields.items()]
    missing = [key for key in keys if rf"\fB{key}\fR" not in text and f"{key}:" not in text]
    assert missing == []


@pytest.mark.slow
def test_what_roff_would_take_for_its_own_is_text(tmp_path: Path) -> None:
    markdown = (
        "## It's `a\\b`\n\n"
        "First.\n'quoted' line\n\n"
        "```\n.so /etc/passwd\n'br\n\\fBx\\fR -- `y`\n```\n\n"
        "| a | b \\| c |\n|---|---|\n| .x | `y\\z` |\n\n"
        "- one [link](page.md) and [far](https://example.net/a)\n  goes on\n  - nested\n"
        "1. **bold *all* of it**\n"
    )
    path = tmp_path / "page"
    path.write_text("'\\\" t\n.TH X 5\n" + roff(markdown))
    text = shown(path)
    for said in (
        "It's a\\b", "'quoted' line", ".so /etc/passwd", "'br", "\\fBx\\fR -- `y`", "b | c", ".x", "y\\z",
        "one link and far <https://example.net/a> goes on", "nested", "bold",
    ):  # fmt: skip
        assert said in text, (said, text)
