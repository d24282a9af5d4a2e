"""The call records: a line is in the file whole or not at all, and a full disk loses none that wait."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from sbc.net.system import prompt, record_writer
from sbc.net.system.record_writer import RecordFile, RecordWriter
from tests.peers.small_disk import ROOM, SmallDisk, small_disk
from tests.peers.waiting import until, until_equal

Said = list[tuple[str, str, str]]


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second between tries is long for a test."""
    monkeypatch.setattr(record_writer, "RETRY", 0.01)
    monkeypatch.setattr(record_writer, "DELAY", 0.001)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


def record(number: int) -> str:
    return json.dumps({"call": number, "caller": "x" * 200})


def numbers(path: Path) -> list[int]:
    """Which records are in the file; ValueError where a line is none."""
    text = path.read_text()
    assert not text or text.endswith("\n")
    return [json.loads(line)["call"] for line in text.splitlines()]


def opened(path: Path) -> tuple[RecordWriter, Said]:
    said: Said = []
    return RecordWriter(RecordFile(path), lambda level, event, text: said.append((level, event, text))), said


def test_records_are_on_disk_soon_and_after_a_flush(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    writer, said = opened(path)
    writer('{"call": 1, "caller": "\udc80"}')
    until(path.read_bytes)
    writer(record(2))
    writer.flush()
    assert path.read_bytes().splitlines()[0] == rb'{"call": 1, "caller": "\udc80"}'
    assert len(path.read_text().splitlines()) == 2
    assert (said, writer.view().waiting) == ([], 0)


def test_a_record_is_with_the_kernel_when_it_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    writer, _ = opened(path)
    for number in range(3):
        writer(record(number))
        assert numbers(path) == list(range(number + 1))
    assert writer.view().waiting == 0


@pytest.mark.slow
def test_a_disk_that_is_slow_holds_nobody_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every write takes too long: after the first one, threads wait for that disk, for a time that grows."""
    monkeypatch.setattr(prompt, "LONG", 0.0)
    path = tmp_path / "calls.jsonl"
    writer, said = opened(path)
    writer(record(0))
    assert numbers(path) == [0]
    for number in range(1, 5):
        writer(record(number))
    assert (numbers(path), writer.view().waiting) == ([0], 4)
    until_equal(lambda: numbers(path), [0, 1, 2, 3, 4])
    monkeypatch.setattr(prompt, "LONG", 60.0)
    gevent.sleep(prompt.REST)
    writer(record(5))
    assert numbers(path) == [0, 1, 2, 3, 4, 5] and said == []


def test_while_a_thread_waits_for_a_disk_that_hangs_nobody_else_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = prompt.Prompt()
    path = tmp_path / "calls.jsonl"
    writer = RecordWriter(RecordFile(path), print, disk)
    monkeypatch.setattr(prompt, "HANGS", 0.0)
    with disk.waited_for():
        writer(record(0))
        assert (path.read_bytes(), writer.view().waiting) == (b"", 1)
    until_equal(lambda: writer.view().waiting, 0)
    monkeypatch.setattr(prompt, "HANGS", 60.0)
    writer(record(1))
    assert numbers(path) == [0, 1]


def test_a_full_disk_tears_no_line_and_loses_none(disk: SmallDisk) -> None:
    path = disk.path / "calls.jsonl"
    writer, said = opened(path)
    for number in range(100):
        writer(record(number))
    until(lambda: said)
    whole = len(numbers(path))
    assert 0 < whole < 100 and path.stat().st_size < ROOM, "what was torn is taken back"
    assert writer.view().waiting == 100 - whole and writer.view().problem
    [(level, event, text)] = said
    assert (level, event) == ("ERR", "records-wait")
    assert (
        f"{path} cannot be written: " in text
        and f"{100 - whole} records wait" in text
        and "make room" in text
    )
    disk.make_room()
    until_equal(lambda: writer.view().waiting, 0)
    assert numbers(path) == list(range(100)), "each once, in their order, and nothing else"
    assert said[1:] == [("INF", "records-written", f"{path} is written again; none of the records were lost")]
    assert writer.view().problem == ""


def test_what_could_not_be_taken_back_at_once_is_before_anything_else_is_written(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, failures = os.ftruncate, [OSError(5, "Input/output error")] * 3

    def fails_first(fd: int, length: int) -> None:
        if failures:
            raise failures.pop()
        cut(fd, length)

    path = disk.path / "calls.jsonl"
    writer, _ = opened(path)
    monkeypatch.setattr(os, "ftruncate", fails_first)
    for number in range(100):
        writer(record(number))
    until(lambda: writer.view().problem)
    disk.make_room()
    until_equal(lambda: writer.view().waiting, 0)
    assert failures == [] and numbers(path) == list(range(100))


def test_what_comes_while_too_many_wait_is_lost_counted_and_said(
    disk: SmallDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_writer, "MAX_WAITING", 50)
    path = disk.path / "calls.jsonl"
    writer, said = opened(path)
    for number in range(50):
        writer(record(number))
    until(lambda: writer.view().problem)
    waiting = writer.view().waiting
    for number in range(50, 130):
        writer(record(number))
    lost = 80 - (50 - waiting)
    assert (writer.view().waiting, writer.view().lost) == (50, lost)
    assert [event for _, event, _ in said].count("records-lost") == 1
    disk.make_room()
    until_equal(lambda: writer.view().waiting, 0)
    assert numbers(path) == list(range(130 - lost))
    assert said[-1] == ("WRN", "records-written", f"{path} is written again; {lost} of the records were lost")
    writer(record(130))
    writer.flush()
    assert numbers(path)[-1] == 130 and writer.view().lost == lost


def test_a_stop_with_a_full_disk_says_what_is_lost(disk: SmallDisk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_writer, "FLUSH_WITHIN", 0.1)
    path = disk.path / "calls.jsonl"
    writer, said = opened(path)
    for number in range(100):
        writer(record(number))
    writer.flush()
    lost = 100 - len(numbers(path))
    assert f"{lost} records are lost with this process" in said[-1][2]
    assert writer.view().lost == lost > 0


@pytest.mark.parametrize("rest", [b'{"call": 3, "cal', b"\0" * 200_000], ids=["torn", "never written"])
def test_what_a_crash_tore_is_cut_off_and_said(tmp_path: Path, rest: bytes) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(f"{record(1)}\n{record(2)}\n".encode() + rest)
    writer, said = opened(path)
    writer.start()
    writer(record(4))
    writer.flush()
    assert numbers(path) == [1, 2, 4]
    assert [(level, event) for level, event, _ in said] == [("WRN", "records-torn")]
    assert f"{len(rest)} octets" in said[0][2]


def test_a_file_that_holds_no_whole_line_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(b"{")
    writer, _ = opened(path)
    writer(record(1))
    writer.flush()
    assert numbers(path) == [1]


@pytest.mark.parametrize("removed", [False, True])
def test_a_file_that_was_moved_away_is_begun_anew(tmp_path: Path, removed: bool) -> None:
    path, away = tmp_path / "calls.jsonl", tmp_path / "calls.jsonl.1"
    writer, said = opened(path)
    writer(record(1))
    writer.flush()
    path.unlink() if removed else path.rename(away)
    open_before = len(os.listdir("/proc/self/fd"))
    writer(record(2))
    writer.flush()
    assert numbers(path) == [2] and (removed or numbers(away) == [1])
    assert len(os.listdir("/proc/self/fd")) == open_before and said == []


def test_a_directory_that_is_gone_is_waited_for(tmp_path: Path) -> None:
    place, away = tmp_path / "run", tmp_path / "away"
    place.mkdir()
    writer, said = opened(place / "calls.jsonl")
    place.rename(away)
    writer(record(1))
    until(lambda: said)
    assert "No such file or directory" in said[0][2]
    away.rename(place)
    until_equal(lambda: writer.view().waiting, 0)
    assert numbers(place / "calls.jsonl") == [1]


def test_nobody_waits_for_the_disk(tmp_path: Path) -> None:
    """A pipe that nobody reads, under the name of the file: the call path goes on."""
    path = tmp_path / "calls.jsonl"
    os.mkfifo(path)
    writer, _ = opened(path)
    for number in range(1000):
        writer(record(number))
    assert writer.view().waiting == 1000
    reader = os.open(path, os.O_RDONLY)
    count = 0
    while count < 1000:
        count += gevent.get_hub().threadpool.apply(os.read, (reader, 65536)).count(b"\n")
    until_equal(lambda: writer.view().waiting, 0)
    os.close(reader)
