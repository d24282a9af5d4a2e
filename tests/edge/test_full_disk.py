"""A running SBC whose disk is full: calls go on, their records wait, and everybody who looks is told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from sbc.demo.lab import HOST, SBC_NAME
from tests.edge.attacked import TO, Attacked, attacked
from tests.edge.sbc_command import sbc
from tests.peers.small_disk import mounted_disk
from tests.peers.waiting import until, until_equal

pytestmark = pytest.mark.slow


def call_and_hang_up(running: Attacked) -> None:
    call = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
    assert call.wait_up(30), call.reason
    call.hang_up()
    assert call.wait_over(30)


def fill(path: Path) -> None:
    """Take all the room that is left."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            pass


def page(running: Attacked, path: str) -> str:
    with urlopen(f"http://{HOST}:{running.ports.admin}{path}", timeout=30) as answer:
        text: str = answer.read().decode()
        return text


def health(running: Attacked) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(page(running, "/sip-tls/health"))
    return found


def test_records_wait_for_room_and_none_is_lost_or_torn(tmp_path: Path) -> None:
    disk = tmp_path / "run"
    with mounted_disk(disk, 1 << 18), attacked(tmp_path) as running:
        call_and_hang_up(running)
        running.records(1)
        assert health(running)["status"] == "listening"
        fill(disk / "filler")
        for _ in range(6):
            call_and_hang_up(running)
        until_equal(lambda: running.calls(), [])
        until(lambda: not health(running)["records"]["written"], "what is too much for a page waits")
        until_equal(lambda: len(running.records()) + health(running)["records"]["waiting"], 7)
        waiting = 7 - len(running.records())
        assert health(running)["records"] == {"written": False, "waiting": waiting, "lost": 0}
        assert health(running)["status"] == "degraded"
        assert f"\nsbc_call_records_waiting {waiting}\n" in page(running, "/metrics")
        [line] = running.lines("[records]", event="records-wait")
        assert "No space left on device" in line["text"]
        shown = sbc(tmp_path, "status").out
        assert f"call records: {waiting} wait to be written (No space left on device), 0 are lost" in shown
        (disk / "filler").unlink()
        running.lines("[records]", event="records-written")
        calls = [each["call"] for each in running.records(7)]
        assert len(set(calls)) == 7
        assert health(running)["status"] == "listening"
