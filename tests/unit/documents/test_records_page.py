"""docs/records.md: its examples are what is written, and its numbers are those of the sources."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

from sbc.cli import command_line
from sbc.commands.history import _moment
from sbc.media.stats import LegStats, MediaStats, StreamStats
from sbc.net.system.record_writer import MAX_WAITING
from sbc.observe.cdr import call_record
from sbc.observe.turned_away import ALL, EACH, EVERY, MOST

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "records.md").read_text("utf-8")


def test_its_downgrades_are_written_so() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    legs = LegStats(suite="AEAD_AES_256_GCM", codec="PCMA"), LegStats(codec="PCMA")
    fields = {"from": "office", "to": "legacy", "downgrades": (("legacy", "warn"),)}
    record = json.loads(call_record("c1", fields, MediaStats((StreamStats("audio", *legs),))))
    assert json.loads(example) == record["downgrades"]


def test_its_numbers_are_true() -> None:
    assert (EACH, ALL, EVERY, MOST, MAX_WAITING) == (10, 200, 10.0, 1000, 100_000)
    for text in ("up to 10 a second", "up to 200", "every ten seconds", "over a thousand", "100,000 records"):
        assert text in PAGE


def test_its_searches_are_commands() -> None:
    (block,) = re.findall(r"```shell\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines():
        words = shlex.split(line, comments=True)
        options = command_line().parse_args(words[1:])
        assert (
            words[0] == "sbc"
            and options.most > 0
            and (options.first is None or _moment("--from", options.first))
        )
