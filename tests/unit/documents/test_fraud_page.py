"""docs/fraud.md: its examples are a configuration that passes, and its words are those that are written."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from dsl.decision import Limit
from sbc.b2bua.commands import Note
from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from sbc.config.premium import PremiumLimits
from sbc.config.snapshot import Snapshot
from sbc.observe.journal import Journal
from sbc.policy.allowances import MOST_KEYS, WARNED_AT

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "fraud.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
SETTINGS = """\
listeners: {public: {bind: 127.0.0.1:5060, transport: udp}, far: {bind: 127.0.0.1:5070, transport: udp}}
media: {address: 127.0.0.1}
registrar: {realm: phones.example, users: users}
users: users
tables: {irsf: irsf.csv, days: days.csv}
"""
CARRIER = "trunk: carrier\nlistener: far\npeers: [192.0.2.7:5060]\n"


def built(path: Path, routes: str = "routes.d/10-guard.yaml", **changed: str) -> Snapshot:
    """The page's examples with what they need beside them; ``changed`` is what stands under ``premium``."""
    examples = {name: text for name, text in EXAMPLES.items() if name in (routes, "trunks.d/phones.yaml")}
    files = {
        "sbc.yaml": SETTINGS, "trunks.d/carrier.yaml": CARRIER, "users": "",
        "irsf.csv": "prefix,zone\n+882,n\n", "days.csv": "date,what\n2026-12-24,eve\n", **examples,
    }  # fmt: skip
    if changed:
        trunk = EXAMPLES["trunks.d/phones.yaml"]
        files["trunks.d/phones.yaml"] = re.sub(r"premium: .*", f"premium: {changed['premium']}", trunk)
    for name, text in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)
    return build_snapshot(path, time.time())


def test_the_examples_are_right(tmp_path: Path) -> None:
    assert set(EXAMPLES) == {"routes.d/10-new.yaml", "routes.d/10-guard.yaml", "trunks.d/phones.yaml"}
    for index, routes in enumerate(each for each in EXAMPLES if each.startswith("routes.d")):
        (tmp_path / str(index)).mkdir()
        snapshot = built(tmp_path / str(index), routes)
        assert [each for each in snapshot.warnings if each.path in EXAMPLES] == []
        assert len(snapshot.rules.tests) == 3 and set(snapshot.premium) == {"phones"}


def test_every_key_is_explained() -> None:
    for name in PremiumLimits.model_fields:
        assert f"`{name}`" in PAGE, name


def test_the_figures_are_those_in_force() -> None:
    assert f"room for {MOST_KEYS:,} keys" in PAGE and f"At {WARNED_AT * 100:.0f} %" in PAGE
    assert f"limit of {Limit('k', 60, 0, 403).text.replace('calls', 'minutes a day')}: guard #0 alice" in PAGE


def test_the_lines_are_what_is_written() -> None:
    lines: list[str] = []
    journal = Journal(lines.append)
    for what, spent, at in (("warning", "80%", 1782893551.25), ("refused", "100%", 1782894271.25)):
        fields = {
            "limit": "guard #0",
            "allowance": "guard #0 alice",
            "allowed": "60 minutes a day",
            "spent": spent,
        }
        journal.note(Note(f"fraud-{what}", "", {**fields, "spent": spent}), at)
    shown = re.findall(r"^(2026-07-01T.*)\n  ( .*)", PAGE, re.MULTILINE)
    assert [f"{first} {rest.strip()}" for first, rest in shown] == lines


@pytest.mark.parametrize(
    ("premium", "message", "hint"),
    [
        ("{to: table.isrf, calls: 1}", "there is no table 'isrf'", "irsf"),
        ("{to: table.days, calls: 1}", "table.days is a table of dates", "a table of numbers"),
        ("{to: irsf, calls: 1}", "'irsf' is no table", "table.irsf"),
        ("{to: table.irsf}", "it bounds nothing", "minutes_a_day: 600"),
        ("{to: table.irsf, calls: 1, hard: true}", "hard is of minutes", "minutes_a_day: 600"),
        ("{to: table.irsf, calls: 1, zone: Berlin}", "'Berlin' is no time zone", "Europe/Berlin"),
        ("{to: table.irsf, minutes: 1}", "unknown key 'minutes'", "minutes_a"),
        ("{to: table.irsf, calls: -1}", "", ""),
    ],
)
def test_mistakes_have_a_place_and_a_remedy(tmp_path: Path, premium: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        built(tmp_path, premium=premium)
    [found] = [each for each in refused.value.diagnostics if each.severity == "error"]
    assert (found.path, found.line) == ("trunks.d/phones.yaml", 6)
    assert message in found.message and hint in found.hint
