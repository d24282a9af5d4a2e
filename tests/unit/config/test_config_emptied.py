"""What a configuration that runs is never replaced by unless somebody insists, and what counts as empty."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sbc.base import ConfigError
from sbc.config.emptied import emptied
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot

FILES = {
    "sbc.yaml": "listeners: {udp: {bind: 127.0.0.1:5060, transport: udp}}\ntables: {rates: rates.csv}\n",
    "rates.csv": "prefix,trunk\n49,a\n",
    "routes.d/10.yaml": "rules: [{name: all, when: true, then: reject 403}]\n",
    "trunks.d/a.yaml": "trunk: a\nlistener: udp\nsources: [192.0.2.1]\n",
    "hooks/a.py": "def on_end(facts, end): pass\n",
}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def lost(former: Snapshot, directory: Path) -> list[str]:
    return [str(each).splitlines()[0] for each in emptied(former, build_snapshot(directory, 0.0))]


def test_what_is_changed_or_removed_in_part_is_nobodys_concern(directory: Path) -> None:
    former = build_snapshot(directory, 0.0)
    assert lost(former, directory) == []
    (directory / "routes.d/10.yaml").write_text("rules: [{name: other, when: true, then: reject 404}]\n")
    (directory / "rates.csv").write_text("prefix,trunk\n43,a\n")
    (directory / "hooks/a.py").unlink()
    assert lost(former, directory) == []


def test_what_has_lost_all_of_a_kind_is_named(directory: Path) -> None:
    former = build_snapshot(directory, 0.0)
    (directory / "rates.csv").write_text("prefix,trunk\n")
    assert lost(former, directory) == [
        "rates.csv: error: no row is left: the table rates would answer nothing"
    ]
    (directory / "routes.d").rename(directory / "away")
    (directory / "trunks.d").rename(directory / "gone")
    (directory / "hooks").rename(directory / "lost")
    assert lost(former, directory) == [
        "trunks.d: error: no trunk is left: nobody would be admitted",
        "routes.d: error: no rule is left: every call would get 404",
        "hooks: error: the directory is gone: no hook would judge a call",
    ]
    fresh = build_snapshot(directory, 0.0)
    assert lost(fresh, directory) == [], "what has none to lose is replaced as ever"


@pytest.mark.parametrize("text", ["rules: []\n", "# rules to come\n", "lists: {a: [b]}\n"])
def test_files_without_a_rule_are_a_warning(directory: Path, text: str) -> None:
    (directory / "routes.d/10.yaml").write_text(text)
    (found,) = [each for each in build_snapshot(directory, 0.0).warnings if each.path == "routes.d"]
    assert (found.severity, found.message) == ("warning", "no file has a rule")


def test_a_table_that_is_no_file_is_a_mistake_and_waits_for_nobody(directory: Path) -> None:
    (directory / "rates.csv").unlink()
    os.mkfifo(directory / "rates.csv")
    with pytest.raises(ConfigError, match=r"rates\.csv: cannot be read: is not a file"):
        build_snapshot(directory, 0.0)
