"""The log writer: lines come out whole, and a reader that stalls costs lines, never calls."""

from __future__ import annotations

import fcntl
import os
import select
import threading
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from sbc.net.system import log_writer
from sbc.net.system.log_writer import MAX_WAITING, LogWriter
from tests.peers.small_disk import small_disk
from tests.peers.waiting import PATIENCE, until


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe of one page: the reading and the writing end."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, 1031, 4096)  # F_SETPIPE_SZ
    yield reading, writing
    for end in (reading, writing):
        os.close(end)


def something_to_read(pipe: tuple[int, int]) -> bool:
    return bool(select.select([pipe[0]], [], [], 0)[0])


def test_lines_come_out_together_and_soon(pipe: tuple[int, int]) -> None:
    writer = LogWriter(pipe[1])
    writer("one")
    writer("two \udc80")
    until(lambda: something_to_read(pipe))
    assert os.read(pipe[0], 100) == b"one\ntwo \\udc80\n"
    writer("three")
    writer.flush()
    assert os.read(pipe[0], 100) == b"three\n"


def test_flush_with_nothing_to_write_waits_for_nobody(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "FLUSH_WITHIN", 10 * PATIENCE)
    with gevent.Timeout(PATIENCE):
        LogWriter(pipe[1]).flush()


def test_a_reader_that_stalls_stops_nobody_else(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "FLUSH_WITHIN", 0.3)
    writer = LogWriter(pipe[1])
    for _ in range(100):
        writer("x" * 200)
    until(lambda: something_to_read(pipe), "the other greenlets go on though nobody reads")
    for number in range(MAX_WAITING + 7):
        writer(f"line {number}")
    assert writer.dropped == 7
    writer.flush()  # gives up, for nobody has read until here
    told = b""
    while b"lines dropped" not in told:
        told += gevent.get_hub().threadpool.apply(os.read, (pipe[0], 65536))
    assert b"[log] 7 lines dropped" in told and writer.lost == 7


def test_a_log_that_cannot_be_written_is_counted(pipe: tuple[int, int]) -> None:
    writer = LogWriter(pipe[0])  # which is for reading
    writer("lost")
    writer.flush()
    assert writer.dropped == 1


def test_a_full_disk_tears_no_line_that_comes_after(tmp_path: Path) -> None:
    """A journal that a service writes into a file: what the disk does not take is counted, exactly."""
    with small_disk(tmp_path / "disk") as disk:
        path = disk.path / "sbc.log"
        with path.open("ab") as file:
            writer = LogWriter(file.fileno())
            for number in range(100):
                writer(f"{number} {'x' * 200}")
            writer.flush()
            whole, torn = path.read_bytes().rsplit(b"\n", 1)
            count = len(whole.splitlines())
            assert torn and writer.dropped == 100 - count > 0
            writer("lost as well")
            writer.flush()
            assert writer.dropped == 101 - count
            disk.make_room()
            writer("written again")
            writer.flush()
            writer("and again")
            writer.flush()
            *_, broken, again, told, last = path.read_text().splitlines()
            assert (broken, again, last) == (torn.decode(), "written again", "and again")
            assert told.startswith(f"[log] {101 - count} lines dropped") and writer.dropped == 0
            assert writer.lost == 101 - count, "which is counted for good"


def test_what_comes_during_a_write_waits_for_the_next_bunch(monkeypatch: pytest.MonkeyPatch) -> None:
    gate, bunches = threading.Event(), list[bytes]()

    def write(fd: int, data: bytes) -> int:
        bunches.append(data)
        return len(data) if gate.wait(PATIENCE) else 0

    monkeypatch.setattr(log_writer, "_write_all", write)
    writer = LogWriter(-1)
    writer("one")
    until(lambda: bunches)
    writer("two")
    first = writer._writer
    assert first is not None
    gate.set()
    first.join()
    writer("three")
    writer.flush()
    assert bunches == [b"one\n", b"two\nthree\n"]
