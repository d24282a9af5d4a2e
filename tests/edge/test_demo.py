"""``sbc demo`` as a person runs it: a whole call through a real SBC, told in plain words."""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sbc.demo import run as demo
from tests.peers.faults import in_text
from tests.peers.product import command
from tests.peers.waiting import until

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory with a short name: the path of a Unix socket in it has at most 107 bytes."""
    with TemporaryDirectory(prefix="demo-") as name:
        yield Path(name)


def keep_journal(home: Path) -> Path:
    """The journal of the demo's SBC under a second name, for the demo deletes what it has written."""
    (journal,) = until(lambda: list(home.glob("portcullis-lab-*/sbc.log")), "a journal")
    kept = home / "kept.log"
    os.link(journal, kept)
    return kept


@pytest.mark.slow
def test_the_demo_keeps_its_promises_and_cleans_up(home: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(home), "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}
    run = subprocess.Popen(
        command("demo"),
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    journal = keep_journal(home)
    said, error = run.communicate(timeout=180)
    assert run.returncode == 0, said + error
    assert not in_text(error + journal.read_text()) and "[stop]" in journal.read_text()
    assert "Everything was as promised." in said and "✗" not in said and "\x1b" not in said
    for phrase in (
        "INVITE (SRTP)", "The office's leg", "The carrier's leg", "TLSv1.3",
        "sbc.lab.example, issued by Lab CA", "SRTP AES_CM_128_HMAC_SHA1_80", "660 Hz", "440 Hz",
        "leg a      office.lab.example", "leg b      carrier.lab.example",
        "OPTIONS sip:sbc.lab.example was answered with 200 OK",
        "A stranger without a certificate", "what to do:",
    ):  # fmt: skip
        assert phrase in said, phrase
    assert "inline:" not in said
    assert list(home.glob("portcullis-lab-*")) == []


@pytest.mark.slow
def test_a_call_that_nobody_routes_is_not_passed_off_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "CALLED", "911")
    out = io.StringIO()
    assert demo.run(out=out) == 1
    assert "the call never reached the carrier: 404" in out.getvalue()
    assert "Not everything was as promised." in out.getvalue()


@pytest.mark.slow
def test_a_host_that_is_not_answered_is_not_passed_off_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "BARE_HOST", "sip:@@sbc.lab.example")
    out = io.StringIO()
    assert demo.run(out=out) == 1
    assert "OPTIONS sip:@@sbc.lab.example was answered with 400" in out.getvalue()
    assert "Not everything was as promised." in out.getvalue()
