"""sbc calls history: calls are found again by what is known of them, in every file of records."""

from __future__ import annotations

import gzip
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sbc.base import Address
from sbc.cli import main
from sbc.flow import Flow
from sbc.observe.cdr import call_record

MAY = 1777593600.0  # 1 May 2026, midnight in UTC
HOUR = 3600.0


def record(call: str, at: float, **changes: Any) -> str:
    flow = Flow(1, "udp", Address("192.0.2.1", 5060), Address("192.0.2.7", 5060))
    fields = {
        "caller": "+4930123456", "called": "+12125550100", "from": "office", "to": "carrier", "a": flow,
        "b": flow, "call_id": f"{call}@pbx", "call_id_b": f"{call}@sbc", "status": 200, "reason": "normal",
        "by": "caller", "created": at, "answered": at + 1, "ended": at + 61, "duration": 60.0,
    }  # fmt: skip
    return call_record(call, {**fields, **changes})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with three files of records, of which one is compressed, in UTC."""
    monkeypatch.setenv("TZ", "UTC")
    run = tmp_path / "run"
    run.mkdir()
    oldest = record("c1", MAY), record("c2", MAY + HOUR, status=486, reason="486 Busy Here", by="callee")
    (run / "calls.jsonl.2.gz").write_bytes(gzip.compress("".join(f"{each}\n" for each in oldest).encode()))
    older = record("c3", MAY + 25 * HOUR, to="legacy", caller="alice", called="0049301234xxxx")
    (run / "calls.jsonl.1").write_text(older + "\n")
    now = (
        record(
            "c4", MAY + 49 * HOUR, status=503, reason="no peer answers", by="us", answered=0.0, duration=0.0
        ),
        record("", MAY + 50 * HOUR, refused=37, status=503, b=None, to="", caller="", called="", by="us"),
    )
    (run / "calls.jsonl").write_text("".join(f"{each}\n" for each in now))
    return tmp_path


def found(place: Path, capsys: pytest.CaptureFixture[str], *options: str) -> list[str]:
    """Our ids of the calls that a search finds."""
    assert main(["calls", "history", "-c", str(place), "--json", *options]) == 0
    return [json.loads(line)["call"] for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(
    ("options", "calls"),
    [
        ([], ["c1", "c2", "c3", "c4", ""]),
        (["--trunk", "legacy"], ["c3"]),
        (["--trunk", "office", "--cause", "486"], ["c2"]),
        (["--cause", "5xx"], ["c4", ""]),
        (["--cause", "busy"], ["c2"]),
        (["--cause", "us"], ["c4", ""]),
        (["--call-id", "c2@sbc"], ["c2"]),
        (["--call-id", "c4"], ["c4"]),
        (["--number", "030 123456"], ["c1", "c2", "c4"]),
        (["--number", "+4930123456"], ["c1", "c2", "c4"]),
        (["--number", "3456"], ["c1", "c2", "c3", "c4"]),  # what c3 leaves out may be anything
        (["--number", "+4930123499"], []),
        (["--number", "+49 30 1234 5678"], ["c3"]),
        (["--number", "ALICE"], ["c3"]),
        (["--number", "ice"], []),
        (["--from", "2026-05-02"], ["c3", "c4", ""]),
        (["--to", "2026-05-01"], ["c1", "c2"]),
        (["--to", "20260501"], ["c1", "c2"]),  # the same day in ISO 8601's other spellings
        (["--to", "2026-W18-5"], ["c1", "c2"]),
        (["--to", "2026-05-01T00"], []),
        (["--to", "9999-12-31T23:59:59Z"], ["c1", "c2", "c3", "c4", ""]),
        (["--from", "2026-05-01T00:30", "--to", "2026-05-02T01:00"], ["c2"]),
        (["--from", "2h"], []),
        (["-n", "2"], ["c4", ""]),
    ],
)
def test_calls_are_found(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], calls: list[str]
) -> None:
    assert found(place, capsys, *options) == calls


def test_they_are_shown_as_a_table_and_no_peer_can_forge_a_line(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with (place / "run" / "calls.jsonl").open("a") as file:
        file.write(record("c9", MAY + 60 * HOUR, caller="eve\n\x1b[2J2026", reason="\u2028x") + "\n")
    assert main(["calls", "history", "-c", str(place)]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split()[:4] == ["STARTED", "FROM", "TO", "TRUNKS"] and len(rows) == 6
    assert rows[0].startswith("2026-05-01 00:00:00  +4930123456") and "office > carrier" in rows[0]
    assert "503 x 37" in rows[4], "so many were refused"
    assert rows[5].isprintable() and "eve" in rows[5]


def test_that_there_are_more_is_said(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls", "history", "-c", str(place), "-n", "1"]) == 0
    assert capsys.readouterr().err == "sbc: the last 1 of 5; -n shows more\n"


def test_what_cannot_be_read_is_said_and_the_rest_is_shown(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = place / "run" / "calls.jsonl.1"
    endless = path.read_text().replace('"refused":0', '"refused":1e999')
    path.write_text('{"started":"2026-05-02T00:00:00Z"}\nno record\n' + endless + path.read_text())
    assert main(["calls", "history", "-c", str(place), "--number", "alice"]) == 3
    said = capsys.readouterr()
    assert "c3" in said.out and "calls.jsonl.1:2 is no call record" in said.err


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--from", "yesterday"], "--from 'yesterday' is not a time"),
        (["-n", "0"], "-n 0 is out of range"),
        (["--records", "/nonexistent/calls.jsonl"], "/nonexistent"),
    ],
)
def test_a_mistake_is_one_line(
    place: Path, capsys: pytest.CaptureFixture[str], options: list[str], text: str
) -> None:
    assert main(["calls", "history", "-c", str(place), *options]) == 1
    assert text in capsys.readouterr().err


def test_no_records_at_all_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").mkdir()
    assert main(["calls", "history", "-c", str(tmp_path)]) == 1
    assert "there are no call records" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["calls", "old.calls.jsonl.2.gz", "backup-2026"])
def test_a_file_is_read_whatever_it_is_called(
    place: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """As it was copied from a backup, say."""
    packed = (place / "run" / "calls.jsonl.2.gz").read_bytes()
    (place / name).write_bytes(packed if name.endswith(".gz") else gzip.decompress(packed))
    assert found(place, capsys, "--records", str(place / name)) == ["c1", "c2"]


def test_a_directory_in_place_of_the_file_is_told(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls", "history", "-c", str(place), "--records", str(place / "run")]) == 1
    assert "run is a directory: name the file of records" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "486 忙線 für Sie"), ("latin-1", r"486 \u5fd9\u7dda für Sie"),
        ("ascii", r"486 \u5fd9\u7dda f\xfcr Sie"),
    ],
)  # fmt: skip
def test_a_terminal_without_a_character_for_what_a_peer_said_shows_an_escape(
    place: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, shown: str
) -> None:
    """A machine may be set to ISO 8859-1, and a peer refuse in Chinese."""
    line = record("c9", MAY + 60 * HOUR, status=486, reason="486 忙線 für Sie")
    (place / "run" / "calls.jsonl").write_text(line + "\n")
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    assert main(["calls", "history", "-c", str(place)]) == 0
    assert shown in written.getvalue().decode(encoding)
