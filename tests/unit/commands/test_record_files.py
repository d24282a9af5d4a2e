"""The files of call records: what a rotation left is read with what is written now, each record once."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sbc.base import LocalError
from sbc.commands.record_files import LONGEST, RecordFiles, moment, record_files


def lines(*calls: int) -> bytes:
    """Records of calls that ended in the second of their number."""
    return b"".join(json.dumps(record(each)).encode() + b"\n" for each in calls)


def record(call: int) -> dict[str, Any]:
    return {"call": str(call), "ended": f"2026-05-01T00:{call // 60:02d}:{call % 60:02d}.000Z"}


def read(path: Path, since: float = 0.0) -> tuple[list[int], list[str]]:
    with RecordFiles(path, since) as files:
        return [int(each["call"]) for each in files], files.problems


@pytest.fixture
def live(tmp_path: Path) -> Path:
    path = tmp_path / "calls.jsonl"
    path.write_bytes(lines(70, 71))
    return path


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("calls.jsonl.1", bytes),
        ("calls.jsonl-20260501", bytes),
        ("calls-20260501.jsonl", bytes),
        ("calls.jsonl.2.gz", gzip.compress),
        ("calls.jsonl-20260501.gz", gzip.compress),
        ("calls.jsonl-2026-05-01T00.gz", gzip.compress),
        ("calls.jsonl.3.bz2", bz2.compress),
        ("calls.jsonl.3.xz", lzma.compress),
    ],
)
def test_what_a_rotation_left_is_read_before_what_is_written_now(
    live: Path, name: str, pack: Callable[[bytes], bytes]
) -> None:
    (live.parent / name).write_bytes(pack(lines(1, 2)))
    assert read(live) == ([1, 2, 70, 71], [])


def test_files_stand_in_the_order_of_their_calls_whatever_they_are_called(live: Path) -> None:
    for number, first in ((1, 60), (2, 50), (10, 10)):
        (live.parent / f"calls.jsonl.{number}").write_bytes(lines(first, first + 1))
    assert read(live)[0] == [10, 11, 50, 51, 60, 61, 70, 71]


@pytest.mark.parametrize(
    "name", ["calls.jsonl.bak", "calls.jsonl~", "mycalls.jsonl", "calls.jsonl.1.tmp", "ledger.json", "calls"]
)
def test_other_files_are_left_alone(live: Path, name: str) -> None:
    (live.parent / name).write_bytes(lines(1))
    assert read(live) == ([70, 71], [])


def test_a_file_that_is_being_compressed_is_read_once(live: Path) -> None:
    (live.parent / "calls.jsonl.1").write_bytes(lines(1, 2))
    (live.parent / "calls.jsonl.1.gz").write_bytes(gzip.compress(lines(1, 2))[:20])
    assert read(live) == ([1, 2, 70, 71], [])


def test_a_rotation_while_it_is_read_neither_repeats_nor_loses_a_record(live: Path) -> None:
    (live.parent / "calls.jsonl.1").write_bytes(lines(1, 2))
    with RecordFiles(live) as files:
        records = iter(files)
        first = next(records)
        live.with_name("calls.jsonl.1").rename(live.with_name("calls.jsonl.2"))
        live.rename(live.with_name("calls.jsonl.1"))
        live.write_bytes(lines(90))
        assert [first["call"], *(each["call"] for each in records)] == ["1", "2", "70", "71"]


def test_the_last_line_may_be_half_written_in_the_file_that_is_written_to(live: Path) -> None:
    live.write_bytes(lines(70) + b'{"call": "71", "en')
    assert read(live) == ([70], [])


def test_a_line_that_is_none_is_named_and_the_others_are_read(live: Path) -> None:
    torn = live.parent / "calls.jsonl.1"
    torn.write_bytes(lines(1) + b"\x00\xff nothing\n[]\n\n" + lines(2) + b'{"call": "3", "en')
    calls, problems = read(live)
    assert calls == [1, 2, 70, 71]
    assert problems == [f"calls.jsonl.1:{number} is no call record" for number in (2, 3, 6)]


@pytest.mark.parametrize("nested", [b"[" * 100_000, b'{"a":' * 100_000, b"9" * 10_000])
def test_a_line_that_python_cannot_take_is_no_record(live: Path, nested: bytes) -> None:
    live.write_bytes(lines(1) + nested + b"\n" + lines(2))
    assert read(live) == ([1, 2], ["calls.jsonl:2 is no call record"])


def test_a_compressed_file_that_is_cut_short_is_named(live: Path) -> None:
    packed = gzip.compress(lines(*range(1, 60)))
    (live.parent / "calls.jsonl.1.gz").write_bytes(packed[: len(packed) // 2])
    calls, problems = read(live)
    assert calls[-2:] == [70, 71]
    assert len(problems) == 1 and problems[0].startswith("calls.jsonl.1.gz: from line ")


def test_what_is_no_archive_is_named(live: Path) -> None:
    (live.parent / "calls.jsonl.1.gz").write_bytes(b"nothing of the kind")
    calls, problems = read(live)
    assert (calls, len(problems)) == ([70, 71], 1)


def test_thousands_of_broken_lines_are_counted_and_twenty_named(live: Path) -> None:
    live.write_bytes(b"x\n" * 5000)
    with RecordFiles(live) as files:
        assert list(files) == []
        assert (files.unread, len(files.problems)) == (5000, 20)


def test_a_line_without_an_end_is_not_held_in_memory(live: Path) -> None:
    live.write_bytes(lines(1) + b"x" * (16 * LONGEST) + b"\n" + lines(2))
    tracemalloc.start()
    try:
        assert read(live) == ([1, 2], ["calls.jsonl:2 is no call record"])
        assert tracemalloc.get_traced_memory()[1] < 6 * LONGEST
    finally:
        tracemalloc.stop()


def test_files_that_ended_before_are_left_out(live: Path) -> None:
    old = live.parent / "calls.jsonl.1"
    old.write_bytes(lines(1))
    os.utime(old, (1000.0, 1000.0))
    assert read(live, since=10 * 86400.0) == ([70, 71], [])
    assert read(live, since=1000.0)[0] == [1, 70, 71]


def test_what_is_no_file_is_not_waited_for(live: Path) -> None:
    os.mkfifo(live.parent / "calls.jsonl.1")
    assert read(live) == ([70, 71], [])


def test_no_records_at_all(tmp_path: Path) -> None:
    assert record_files(tmp_path / "calls.jsonl") == []
    with pytest.raises(LocalError, match="cannot be read: No such file"):
        record_files(tmp_path / "nowhere" / "calls.jsonl")


@pytest.mark.parametrize("text", [None, 7, "", "yesterday", "2026-13-01T00:00:00Z", ["2026-05-01"]])
def test_a_time_that_is_none(text: object) -> None:
    assert moment(text) is None


def test_a_time() -> None:
    assert moment("1970-01-01T00:01:00.500Z") == 60.5


def test_a_directory_that_is_called_like_a_rotated_file_is_left_alone(live: Path) -> None:
    """An archive, as somebody has made one beside it."""
    (live.parent / "calls.jsonl-2025").mkdir()
    assert read(live) == ([70, 71], [])
