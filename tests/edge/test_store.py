"""What is kept over a restart: entry by entry, on the disk before anybody is told, whatever lies there."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import gevent
import pytest

from sbc.base import LocalError
from sbc.net.system import ahead
from sbc.net.system.database import look_in
from sbc.net.system.store import Shelf, Store, entries
from sbc.net.system.whole_file import write_whole
from tests.peers.kept import kept
from tests.peers.small_disk import mounted_disk
from tests.peers.waiting import until, until_equal


class Owner:
    """Somebody with entries, on a shelf that is compared or, with ``counts``, asked what has changed."""

    def __init__(
        self, store: Store, name: str, counts: bool = False, version: int = 1, ahead: bool = False
    ) -> None:
        self.kept: dict[str, Any] = {}
        self._changed: set[str] = set()
        changes = self._changes if counts or ahead else None
        self.shelf: Shelf = store.shelf(
            name, self._take, lambda: self.kept, changes, version=version, ahead=ahead
        )

    def _take(self, key: str, value: Any) -> bool:
        if value == "over":
            return False
        if value == "wrong":
            raise ValueError("it is none of ours")
        self.kept[key] = value
        return True

    def _changes(self) -> dict[str, Any]:
        changed, self._changed = self._changed, set()
        return {key: self.kept.get(key) for key in changed}

    def set(self, **values: Any) -> None:
        self.kept.update(values)
        self._changed |= values.keys()
        self.shelf.changed()

    def note(self, key: str, value: Any) -> None:
        """A change that the store finds by itself."""
        self.kept[key] = value
        self._changed.add(key)


class Place:
    """A state directory, in which one store follows another."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.said: list[str] = []
        self.store = Store(directory, self.said.append)
        self.path = directory / "state.db"

    def again(self) -> Store:
        """After a restart."""
        self.store.close()
        self.store = Store(self.directory, self.said.append)
        return self.store

    def kept(self, name: str) -> dict[str, Any]:
        """What is on a shelf after a restart."""
        return Owner(self.again(), name).kept


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.store.close()


ODD = ["plain", "", 'quote" and \\', "ä\u2028", "half \udcff\ud800", "nul \x00", "x" * 10_000]


def test_what_was_kept_is_there_after_a_restart(place: Place) -> None:
    owner = Owner(place.store, "blocklist")
    owner.set(**{"10.0.0.1": {"kind": "scanner", "n": [1, 2.5, None, True]}, "10.0.0.2": 7})
    owner.shelf.wait()
    del owner.kept["10.0.0.2"]
    owner.shelf.changed()
    assert place.kept("blocklist") == {"10.0.0.1": {"kind": "scanner", "n": [1, 2.5, None, True]}}
    assert stat.S_IMODE(place.path.stat().st_mode) == 0o600
    assert place.said == []


def test_nobody_else_may_read_what_is_there_at_any_time(place: Place) -> None:
    Owner(place.store, "acme").set(key="secret")
    place.store.wait()
    assert {stat.S_IMODE(each.stat().st_mode) for each in place.directory.iterdir()} == {0o600}


def test_every_text_is_a_key_and_a_value(place: Place) -> None:
    Owner(place.store, "limits").set(**{text: text for text in ODD})
    assert place.kept("limits") == {text: text for text in ODD}


def test_who_waits_for_the_disk_is_told_when_it_is_there(place: Place) -> None:
    owner, told = Owner(place.store, "limits", counts=True), []

    def look() -> None:
        told.append(entries(look_in(place.path, "limits")))

    for number in range(20):
        owner.note("calls", number)  # which nobody has told the store
        owner.shelf.after(look)
    until_equal(lambda: len(told), 20)
    assert told[0] == told[-1] == {"calls": 19}
    owner.note("calls", 20)
    place.store.wait()
    look()
    assert told[-1] == {"calls": 20}


def test_what_changes_is_found_without_being_told(place: Place) -> None:
    owner = Owner(place.store, "ledger", counts=True)
    place.store.start()
    owner.note("carrier", 1)
    until_equal(lambda: entries(look_in(place.path, "ledger")), {"carrier": 1})
    owner.kept.clear()
    owner.note("other", 2)
    owner.note("carrier", None)
    until_equal(lambda: entries(look_in(place.path, "ledger")), {"other": 2})


def test_what_was_written_last_comes_back_last(place: Place) -> None:
    owner = Owner(place.store, "remembered", counts=True)
    for key in ("first", "second", "third", "first"):
        owner.note(key, 1)
        place.store.wait()
    assert list(place.kept("remembered")) == ["second", "third", "first"]


def test_only_what_has_changed_is_written(place: Place) -> None:
    owner = Owner(place.store, "disabled-trunks")
    owner.set(**{f"trunk{number}": "why" for number in range(50)})
    place.store.wait()
    with sqlite3.connect(place.path) as db:
        db.execute("create temp table was as select rowid as id, key from entries")
        owner.set(trunk7="another why")
        place.store.wait()
        moved = db.execute("select e.key from entries e join was on e.key = was.key where e.rowid <> was.id")
        assert moved.fetchall() == [('"trunk7"',)]


def test_shelves_do_not_see_each_other(place: Place) -> None:
    Owner(place.store, "acme").set(one=1)
    Owner(place.store, "expiry").set(one=2)
    assert place.kept("expiry") == {"one": 2}
    assert Owner(place.store, "acme").kept == {"one": 1}


def test_what_is_over_goes_without_a_word(place: Place) -> None:
    Owner(place.store, "limits").set(old="over", new=1)
    assert place.kept("limits") == {"new": 1}
    place.again()
    assert entries(look_in(place.path, "limits")) == {"new": 1} and place.said == []


def test_closing_writes_what_waits(place: Place) -> None:
    owner = Owner(place.store, "ledger", counts=True)
    owner.note("carrier", 1)
    assert place.kept("ledger") == {"carrier": 1}


# What lies in the directory stops nobody

SPOILT = {
    "no JSON": "update entries set value = '{' where key = '\"bob\"'",
    "not our JSON": "update entries set value = '\"wrong\"' where key = '\"bob\"'",
    "far too deep": f"update entries set value = '{'[' * 100_000}' where key = '\"bob\"'",
    "another version": "update entries set version = 7 where key = '\"bob\"'",
    "no text": "update entries set value = x'00ff' where key = '\"bob\"'",
    "no UTF-8": "update entries set value = cast(x'22ff22' as text) where key = '\"bob\"'",
    "no key": "update entries set key = '[1]' where key = '\"bob\"'",
}


@pytest.mark.parametrize("how", SPOILT)
def test_one_bad_entry_is_put_aside_and_the_others_stay(place: Place, how: str) -> None:
    Owner(place.store, "limits").set(alice=1, bob=2, carol=3)
    Owner(place.store, "acme").set(account="key")
    place.store.close()
    with sqlite3.connect(place.path) as db:
        assert db.execute(SPOILT[how]).rowcount == 1
    db.close()
    found = place.kept("limits")
    if how != "no UTF-8":  # which may still be JSON
        assert found == {"alice": 1, "carol": 3}
        (line,) = place.said
        assert "1 entries of limits" in line and "limits.unreadable" in line
        assert len(json.loads((place.directory / "limits.unreadable").read_text())) == 1
    assert found["alice"] == 1 and found["carol"] == 3
    assert Owner(place.store, "acme").kept == {"account": "key"}
    place.said.clear()
    assert place.kept("limits").keys() == found.keys() and place.said == []


def test_a_line_about_a_bad_entry_tells_nothing_of_it(place: Place) -> None:
    Owner(place.store, "acme").set(account="-----BEGIN EC PRIVATE KEY-----")
    place.store.close()
    with sqlite3.connect(place.path) as db:
        db.execute("update entries set value = substr(value, 2)")
    db.close()
    assert place.kept("acme") == {}
    assert len(place.said) == 1 and "PRIVATE" not in place.said[0]
    assert stat.S_IMODE((place.directory / "acme.unreadable").stat().st_mode) == 0o600


def fill(place: Place, count: int = 300) -> None:
    Owner(place.store, "limits").set(**{f"key{number}": "x" * 100 for number in range(count)})
    place.store.close()


def damage(path: Path, how: str) -> None:
    whole = path.read_bytes()
    if how == "no database":
        path.write_bytes(b"this is no database" * 1000)
    elif how == "torn":
        path.write_bytes(whole[:8192])
    elif how == "overwritten":
        path.write_bytes(whole[:8192] + os.urandom(8192) + whole[16384:])
    elif how == "header alone":
        path.write_bytes(whole[:100])
    else:
        statement = {
            "newer layout": "pragma user_version = 99",
            "another table": "alter table entries rename to things",
            "another column": "alter table entries add column more",
        }[how]
        with sqlite3.connect(path) as db:
            db.execute(statement)
        db.close()


@pytest.mark.parametrize(
    "how",
    ["no database", "torn", "overwritten", "header alone", "newer layout", "another table", "another column"],
)
def test_a_damaged_file_is_put_aside_with_a_line(place: Place, how: str) -> None:
    fill(place)
    damage(place.path, how)
    assert place.kept("limits") == {}
    (line,) = place.said
    assert f"{place.path} cannot be read" in line and "put aside as state.unreadable" in line
    assert (place.directory / "state.unreadable").stat().st_size
    Owner(place.store, "acme").set(one=1)
    assert place.kept("acme") == {"one": 1}


def test_an_empty_file_is_a_new_one(place: Place) -> None:
    place.path.touch()
    Owner(place.store, "acme").set(one=1)
    assert place.kept("acme") == {"one": 1} and place.said == []


def test_a_log_of_another_file_harms_nothing(place: Place) -> None:
    fill(place)
    place.path.with_name("state.db-wal").write_bytes(os.urandom(40_000))
    assert len(place.kept("limits")) == 300


def test_a_name_is_no_path(place: Place) -> None:
    for name in ("../x", "", "A", "a/b", ".hidden"):
        with pytest.raises(LocalError, match="no name of a state file"):
            Owner(place.store, name)


# What the disk does


@pytest.mark.slow
def test_a_file_that_cannot_be_written_keeps_nobody_waiting(place: Place) -> None:
    owner = Owner(place.store, "limits")
    place.store.close()
    place.path.rename(place.directory / "elsewhere")
    place.path.mkdir()
    told: list[int] = []
    owner.set(alice=1)
    owner.shelf.after(lambda: told.append(1))
    until(lambda: told, "the one who waits is told")
    assert len(place.said) == 1 and "cannot be written" in place.said[0]
    place.path.rmdir()
    until(lambda: any("written again" in each for each in place.said), "that it is written again")
    assert place.kept("limits") == {"alice": 1}


def test_a_file_that_is_lost_is_written_anew_with_everything(place: Place) -> None:
    limits, acme = Owner(place.store, "limits", counts=True), Owner(place.store, "acme")
    limits.note("alice", 1)
    acme.set(account="key")
    place.store.wait()
    for each in place.directory.iterdir():
        each.unlink()
    limits.note("bob", 2)
    place.store.wait()
    place.store.wait()  # the others follow
    assert place.kept("limits") == {"alice": 1, "bob": 2}
    assert Owner(place.store, "acme").kept == {"account": "key"}


@pytest.mark.slow
def test_a_full_disk_loses_nothing_that_there_is_room_for_later(tmp_path: Path) -> None:
    with mounted_disk(tmp_path, 1 << 18):
        place = Place(tmp_path)
        owner = Owner(place.store, "limits", counts=True)
        owner.note("early", 1)
        place.store.wait()
        with (tmp_path / "filler").open("wb", buffering=0) as file:
            with pytest.raises(OSError, match="No space left"):
                while file.write(b"\0" * 4096):
                    pass
        for number in range(100):
            owner.note(f"late{number}", "x" * 1000)
        place.store.wait()
        assert any("state.db cannot be written" in each for each in place.said)
        # A process that starts now knows at least what was there.
        other = Place(tmp_path)
        assert Owner(other.store, "limits").kept.get("early") == 1
        other.store.close()
        (tmp_path / "filler").unlink()
        until(lambda: any("written again" in each for each in place.said), "that it is written again")
        assert len(place.kept("limits")) == 101
        place.store.close()


# Ahead of the commit


def killed(place: Place) -> tuple[dict[str, Any], list[str]]:
    """What another process finds on the shelf ``limits`` if this one is killed now, and what is said."""
    copy = Path(mkdtemp(dir=place.directory.parent)) / "killed"
    shutil.copytree(place.directory, copy)
    found = Place(copy)
    kept = Owner(found.store, "limits", ahead=True).kept
    found.store.close()
    again = Place(copy)
    assert Owner(again.store, "limits", ahead=True).kept == kept, "it is in the database now"
    again.store.close()
    return kept, found.said


@pytest.fixture
def counting(tmp_path: Path) -> Iterator[tuple[Place, Owner]]:
    (tmp_path / "state").mkdir()
    place = Place(tmp_path / "state")
    owner = Owner(place.store, "limits", ahead=True)
    place.store.wait()
    yield place, owner
    place.store.close()


def test_what_is_kept_at_once_outlives_a_process_that_is_killed_now(counting: tuple[Place, Owner]) -> None:
    place, owner = counting
    owner.note("gone", 1)
    assert place.store.at_once()
    place.store.wait()
    owner.note("a", 1)
    assert place.store.at_once()
    owner.note("a", {"spent": [2.5, True]})
    owner.note("b", 3)
    del owner.kept["gone"]
    owner._changed.add("gone")
    assert place.store.at_once(), "nobody else has had a turn: the database knows of nothing"
    assert killed(place) == ({"a": {"spent": [2.5, True]}, "b": 3}, [])
    place.store.wait()
    assert killed(place) == ({"a": {"spent": [2.5, True]}, "b": 3}, [])


def test_what_was_kept_at_once_hides_nothing_that_came_later(counting: tuple[Place, Owner]) -> None:
    place, owner = counting
    owner.note("a", 1)
    assert place.store.at_once()
    place.store.wait()
    owner.note("a", 2)
    place.store.wait()
    assert killed(place)[0] == {"a": 2}
    place.path.unlink()
    owner.note("b", 1)
    place.store.wait()
    until_equal(lambda: kept(place.directory, "limits"), {"a": 2, "b": 1})
    assert killed(place)[0] == {"a": 2, "b": 1}, "nor where the database was begun anew"


@pytest.mark.parametrize(
    "rest", [b'[9, "limits", "\\"b', b"\0" * 5000, b"[9, 1, 2, 3, 4]\n[]\n7\n", b"\xff\n"]
)
def test_what_is_no_entry_ends_what_was_kept_at_once(counting: tuple[Place, Owner], rest: bytes) -> None:
    place, owner = counting
    owner.note("a", 1)
    assert place.store.at_once()
    (ahead,) = [each for each in place.directory.glob("state.ahead-*") if each.stat().st_size]
    with ahead.open("ab") as file:
        file.write(rest)
    assert killed(place) == ({"a": 1}, [])


def test_files_ahead_of_the_commit_stay_small(
    counting: tuple[Place, Owner], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, owner = counting
    monkeypatch.setattr(ahead, "TURN", 2000)
    most = 0
    for number in range(60):
        owner.note("a", f"{number}" * 50)
        assert place.store.at_once()
        if number % 3 == 0:
            place.store.wait()
        most = max(most, sum([each.stat().st_size for each in place.directory.glob("state.ahead-*")]))
    assert 1000 < most < 4000
    assert killed(place)[0] == {"a": "59" * 50}
    place.store.close()
    assert [each.stat().st_size for each in place.directory.glob("state.ahead-*")] == [0, 0]


def test_on_a_full_disk_nothing_is_kept_at_once_and_all_of_it_later(tmp_path: Path) -> None:
    with mounted_disk(tmp_path, 1 << 18):
        place = Place(tmp_path)
        owner = Owner(place.store, "limits", ahead=True)
        place.store.wait()
        filler = tmp_path / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
            while file.write(b"\0" * 4096):
                pass
        told = []
        for number in range(200):
            owner.note(f"{number}", "y" * 100)
            told.append(place.store.at_once())
        assert not told[-1]
        filler.unlink()
        until_equal(lambda: len(kept(tmp_path, "limits")), 200)
        owner.note("0", "new")
        assert place.store.at_once()
        assert killed(place)[0]["0"] == "new" and len(killed(place)[0]) == 200
        place.store.close()


def test_reading_it_from_outside_leaves_no_trace(place: Place) -> None:
    assert look_in(place.path, "limits") == []
    assert list(place.directory.iterdir()) == []
    fill(place, 3)
    before = {each.name: each.read_bytes() for each in place.directory.iterdir()}
    assert len(look_in(place.path, "limits")) == 3
    assert {each.name: each.read_bytes() for each in place.directory.iterdir()} == before


def test_many_changes_are_few_commits(place: Place) -> None:
    owner = Owner(place.store, "bindings", counts=True)
    place.store.wait()
    db = sqlite3.connect(place.path)
    seen = set()
    told: list[int] = []
    for number in range(1000):
        owner.note(f"user{number}", number)
        owner.shelf.after(lambda: told.append(1))
    while len(told) < 1000:
        seen.add(db.execute("pragma data_version").fetchone())
        gevent.sleep(0)
    assert len(seen) < 10 and len(place.kept("bindings")) == 1000
    db.close()


# A file that is written whole


def test_a_write_leaves_the_old_file_or_the_new_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "list"
    assert write_whole(path, b"old") == ""
    (tmp_path / "dir").mkdir()
    assert write_whole(tmp_path / "dir", b"new") != ""
    assert path.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["dir", "list"]
