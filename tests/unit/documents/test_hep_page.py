"""docs/hep.md: its examples are configurations, its numbers true, and its Kamailio that of the tests."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sbc.config.collect import Hep
from sbc.config.load import build_snapshot
from sbc.demo.pki import LabAuthority
from sbc.net.export.sender import MOST
from sbc.observe.metrics import exposition
from tests.peers import sipcapture
from tests.unit.observe.pictures import picture

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "hep.md").read_text("utf-8")
NOW = 1_777_630_000.0


@pytest.mark.parametrize("example", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_its_examples_are_configurations(example: str, tmp_path: Path) -> None:
    authority = LabAuthority("Homer", now=NOW)
    issued = authority.issue(["sbc.example"])
    files = {
        "homer-ca.pem": authority.cert_pem, "homer.password": b"hush", "sbc.pem": issued.chain_pem,
        "sbc.key": issued.key_pem,
    }  # fmt: skip
    (tmp_path / "tls").mkdir()
    for name, data in files.items():
        (tmp_path / "tls" / name).write_bytes(data)
        (tmp_path / "tls" / name).chmod(0o600)
    before = (
        "listeners:\n  main: {bind: 127.0.0.1:5060, transport: udp}\n"
        "identities:\n  sbc: {chain: tls/sbc.pem, key: tls/sbc.key}\n"
    )
    (tmp_path / "sbc.yaml").write_text(before + example)
    snapshot = build_snapshot(tmp_path, NOW)
    assert snapshot.hep is not None and snapshot.hep.number == 2001 and not snapshot.hep.broken


def test_every_key_is_there_and_no_other() -> None:
    assert set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)) == set(Hep.model_fields)


def test_its_number_and_its_metrics_are_true() -> None:
    assert MOST == 10_000 and "up to 10,000 messages" in PAGE
    named = set(re.findall(r"`(sbc_\w+)`", PAGE))
    assert named and all(f"# TYPE {each} " in exposition(picture()) for each in named)


def test_its_kamailio_is_the_one_of_the_tests() -> None:
    (lines,) = re.findall(r"```text\n(loadmodule.*?)```", PAGE, re.DOTALL)
    for line in lines.splitlines():
        word = line.partition(', "sqlite')[0]
        assert word in sipcapture._CONFIG, line
