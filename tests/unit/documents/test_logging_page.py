"""docs/logging.md: its examples are configurations, and its messages are what is sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sbc.config.collect import FACILITIES
from sbc.config.load import build_snapshot
from sbc.demo.pki import LabAuthority
from sbc.net.export.sender import MOST
from sbc.observe.masking import Mask
from sbc.observe.metrics import exposition
from sbc.observe.syslog import OF_DATAGRAMS, OF_STREAMS, Syslog
from tests.unit.observe.pictures import picture

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "logging.md").read_text("utf-8")
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
NOW = 1_777_630_000.0


@pytest.mark.parametrize("example", EXAMPLES)
def test_its_examples_are_configurations(example: str, tmp_path: Path) -> None:
    authority = LabAuthority("Logs", now=NOW)
    issued = authority.issue(["sbc.example"])
    (tmp_path / "tls").mkdir()
    for name, data in (
        ("log-ca.pem", authority.cert_pem),
        ("sbc.pem", issued.chain_pem),
        ("sbc.key", issued.key_pem),
    ):
        (tmp_path / "tls" / name).write_bytes(data)
        (tmp_path / "tls" / name).chmod(0o600)
    listeners = "listeners:\n  main: {bind: 127.0.0.1:5060, transport: udp}\n"
    (tmp_path / "sbc.yaml").write_text(listeners + example)
    snapshot = build_snapshot(tmp_path, NOW)
    assert snapshot.syslog is not None


def test_its_message_is_what_is_sent() -> None:
    (message,) = re.findall(r"```text\n(<.*?)\n```", PAGE, re.DOTALL)
    fields = {"call": "9f3a", "trunk_out": "legacy"}
    made = Syslog(16, "sbc-1", 4711, OF_STREAMS).message("WRN", "[sips-downgrade]", fields, 1777629600.3101)
    assert made.decode() == " ".join(message.split())


def test_its_numbers_are_true() -> None:
    assert Mask(4).text("+4930123456") == "+493012xxxx"
    assert (OF_DATAGRAMS, OF_STREAMS, MOST) == (1180, 8192, 10_000)
    assert FACILITIES.keys() == {"daemon", *(f"local{each}" for each in range(8))}
    for text in ("8192 octets, over UDP 1180", "up to 10,000 messages", "`+493012xxxx`"):
        assert text in PAGE


def test_its_metrics_are_exposed() -> None:
    named = set(re.findall(r"`(sbc_\w+)`", PAGE))
    assert named and all(f"# TYPE {each} " in exposition(picture()) for each in named)
