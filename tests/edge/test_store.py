"""The state directory: what is saved is there after a restart, and nothing that lies there stops the SBC."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import gevent
import pytest

from sbc.base import LocalError
from sbc.net.system import store as module
from sbc.net.system.store import Store, write_whole
from tests.peers.waiting import until


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "DELAY", 0.02)


def make(directory: Path) -> tuple[Store, list[str]]:
    warnings: list[str] = []
    return Store(directory, warnings.append), warnings


def test_what_was_saved_is_there_at_once_and_after_a_restart(tmp_path: Path) -> None:
    store, warnings = make(tmp_path)
    assert store.load("blocklist") is None
    store.save("blocklist", {"10.0.0.1": 3})
    assert store.load("blocklist") == {"10.0.0.1": 3}
    store.flush()
    assert make(tmp_path)[0].load("blocklist") == {"10.0.0.1": 3}
    assert stat.S_IMODE((tmp_path / "blocklist.json").stat().st_mode) == 0o600
    assert not warnings


def test_many_changes_are_one_write_of_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[bytes] = []

    def counted(path: Path, data: bytes) -> str:
        writes.append(data)
        return write_whole(path, data)

    monkeypatch.setattr(module, "write_whole", counted)
    store, _ = make(tmp_path)
    for number in range(100):
        store.save("presented", number)
    until(lambda: writes)
    gevent.sleep(0.2)  # and no more come
    assert writes == [b"99"] and make(tmp_path)[0].load("presented") == 99


@pytest.mark.parametrize("data", ['{"half": ', "[" * 100_000])
def test_a_file_that_cannot_be_read_is_put_aside_and_named(tmp_path: Path, data: str) -> None:
    (tmp_path / "presented.json").write_text(data)
    store, warnings = make(tmp_path)
    assert store.load("presented") is None
    assert (tmp_path / "presented.unreadable").read_text() == data
    assert len(warnings) == 1 and "presented.json cannot be read" in warnings[0]


def test_what_cannot_be_written_stays_in_memory_and_is_tried_again(tmp_path: Path) -> None:
    home = tmp_path / "state"
    store, warnings = make(home)
    store.save("rotation", 1)
    store.flush()
    assert len(warnings) == 1 and "rotation.json cannot be written: No such file" in warnings[0]
    assert store.load("rotation") == 1
    home.mkdir()
    store.save("other", 2)
    store.flush()
    assert make(home)[0].load("rotation") == 1


def test_a_write_leaves_the_old_file_or_the_new_one_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    assert write_whole(path, b"old") == ""
    (tmp_path / "dir").mkdir()
    assert write_whole(tmp_path / "dir", b"new") != ""
    assert path.read_bytes() == b"old"
    assert sorted(os.listdir(tmp_path)) == ["dir", "state.json"]


@pytest.mark.parametrize("name", ["../x", "", "A", "a/b", ".hidden"])
def test_a_name_is_no_path(tmp_path: Path, name: str) -> None:
    with pytest.raises(LocalError, match="no name of a state file"):
        make(tmp_path)[0].path(name)


@pytest.mark.parametrize(
    "value", [{}, {"a": {"b": [1, None]}, 'ä"': "x"}, {1: "one", None: 2, False: 3}, [1], "text", 7]
)
def test_every_json_value_comes_back_as_json_has_it(tmp_path: Path, value: Any) -> None:
    store = Store(tmp_path, lambda line: None)
    store.save("some", value)
    store.flush()
    assert Store(tmp_path, lambda line: None).load("some") == json.loads(json.dumps(value))
