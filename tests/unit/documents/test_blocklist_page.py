"""docs/blocklist.md: its examples are configurations that pass, and its numbers are those of the code."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from sbc.commands.blocklist import render
from sbc.config.blocklist import BlocklistSettings
from sbc.config.load import build_snapshot
from sbc.net.transport.blocking import policy
from sbc.policy import blocks, suspicion
from sbc.policy.exempt import EXEMPT

PAGE = (Path(__file__).parents[3] / "docs" / "blocklist.md").read_text("utf-8")
EXAMPLES = re.findall(r"^```yaml\n# sbc.yaml\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
REST = "listeners: {edge: {bind: 127.0.0.1:5060, transport: udp}}\nmedia: {address: 127.0.0.1}\n"


def loaded(directory: Path, words: str) -> BlocklistSettings | None:
    rules = "rules: [{name: no, when: true, then: reject 404}]\n"
    trunk = "trunk: office\nlistener: edge\nsources: [192.0.2.0/24]\n"
    files = {"sbc.yaml": REST + words, "routes.d/10.yaml": rules, "trunks.d/office.yaml": trunk}
    for name, text in files.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(text)
    return build_snapshot(directory, time.time()).settings.blocklist


def test_the_defaults_are_as_they_are_written(tmp_path: Path) -> None:
    assert loaded(tmp_path, EXAMPLES[0]) == BlocklistSettings() == loaded(tmp_path, "")


def test_the_other_examples_pass_too(tmp_path: Path) -> None:
    settings = loaded(tmp_path, EXAMPLES[1])
    assert settings is not None and settings.failures == 30 and settings.lasts == 86400
    assert settings.names("eyeBeam release 3006o stamp 17551") and not settings.names("eyeBeam release 1")
    assert loaded(tmp_path, "blocklist: false\n") is None and "`blocklist: false`" in PAGE


def test_every_key_is_explained() -> None:
    keys = [field.alias or name for name, field in BlocklistSettings.model_fields.items()]
    assert [key for key in keys if f"| `{key}` |" not in PAGE] == []


def test_whom_it_never_blocks_is_listed() -> None:
    assert [each for each in EXEMPT if each.removesuffix("/128") not in PAGE] == []


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("handshake", "a TLS handshake that fails by the peer's doing"),
        ("password", "a wrong password of a phone"),
        ("another", "a wrong password for another user than the last one"),
        ("domain", "REGISTER at a domain that is none of ours"),
        ("malformed", "a message that is no SIP"),
    ],
)
def test_what_each_piece_of_evidence_weighs(kind: str, words: str) -> None:
    assert f"| {words} | {suspicion.WEIGHTS[kind]} |" in PAGE


def test_how_much_is_kept() -> None:
    assert suspicion.MOST == blocks.MOST == 16384
    assert PAGE.count(f"{suspicion.MOST:,}") == 2


def test_the_table_is_what_the_command_prints() -> None:
    row = {
        "address": "198.51.100.7", "kind": "handshake", "why": "16 failed TLS handshakes within 42 s",
        "since": 0.0, "until": 2530.0, "lasts": 3600.0, "by": "", "note": "", "refused": 212,
    }  # fmt: skip
    told = render(
        {"now": 0.0, "lifetime": 7, "refused": 212, "policy": policy(BlocklistSettings()), "blocked": [row]}
    )
    first, said, *table = told.splitlines()
    assert first in PAGE and said.partition("private, ")[0] in PAGE
    assert "\n".join(line.rstrip() for line in table) in PAGE
