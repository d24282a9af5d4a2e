"""docs/state.md: every shelf is in its table, its commands work, and it quotes what is said."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from sbc.net.system.former import SHELVES
from sbc.net.system.store import Shelf, Store
from tests.peers.kept import keep, spoil

PAGE = (Path(__file__).parents[3] / "docs" / "state.md").read_text("utf-8")
SHELF = re.compile(r"^\| `([a-z-]+)` \|", re.MULTILINE)
QUERY = re.compile(r'^sqlite3 -readonly run/state.db "(.*)"$', re.MULTILINE)
QUOTED = re.compile(r"\*\*`(.*?)`\*\*")


def test_every_shelf_is_listed() -> None:
    newer = ("notices",)  # than the files that state was in before
    assert sorted(SHELF.findall(PAGE)) == sorted((*SHELVES, *newer))


def test_the_commands_that_look_into_it_work(tmp_path: Path) -> None:
    keep(tmp_path, "limits", {"guard #0 alice": [1], "guard #0 bob": [2]})
    with closing(sqlite3.connect(f"file:{tmp_path}/state.db?mode=ro", uri=True)) as db:
        entries, counts = [db.execute(each).fetchall() for each in QUERY.findall(PAGE)]
    assert entries == [('"guard #0 alice"', "[1]"), ('"guard #0 bob"', "[2]")]
    assert counts == [("limits", 2)]


def test_what_it_quotes_is_what_is_said(tmp_path: Path) -> None:
    said: list[str] = []

    def begin() -> Shelf:
        return Store(tmp_path, said.append).shelf("limits", lambda key, value: value + 1 > 0, dict)

    keep(tmp_path, "limits", {"a": 1, "b": 1, "c": 1, "d": 1})
    spoil(tmp_path, "update entries set value = '[]' where key <> '\"a\"'")
    begin().store.close()
    (tmp_path / "state.db").write_text("no database at all")
    begin().store.close()
    (tmp_path / "state.db").unlink()
    (tmp_path / "state.db").mkdir()
    shelf = begin()
    (tmp_path / "state.db").rmdir()
    shelf.put("e", 1)
    shelf.wait()
    shelf.store.close()
    for quoted in QUOTED.findall(PAGE):
        words = [re.escape(each) for each in quoted.removesuffix("...").split("...")]
        assert any(re.search(".*".join(words), each) for each in said), (quoted, said)
