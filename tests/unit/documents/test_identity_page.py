"""docs/identity.md: its examples are a configuration that passes, and every word is explained."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from sbc.b2bua.secrecy import secrecy_report
from sbc.base import ConfigError
from sbc.config.identity import CallerIdentity
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "identity.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
SETTINGS = """\
listeners: {trunk-udp: {bind: 127.0.0.1:5060, transport: udp}}
media: {address: 127.0.0.1}
"""
OFFICE = """\
trunk: office
listener: trunk-udp
peers: [192.0.2.7:5060]
sources: [192.0.2.7]
"""


def built(path: Path, identity: str = "") -> Snapshot:
    """The page's examples with what they need beside them; ``identity`` is the office's."""
    files = {"sbc.yaml": SETTINGS, "trunks.d/office.yaml": OFFICE + identity, **EXAMPLES}
    for name, text in files.items():
        (path / name).parent.mkdir(exist_ok=True)
        (path / name).write_text(text)
    return build_snapshot(path, time.time())


def test_the_examples_are_right(tmp_path: Path) -> None:
    snapshot = built(tmp_path)
    carrier = snapshot.trunks["carrier"].identity
    assert snapshot.warnings == () and (carrier.into, carrier.out) == ("trusted", "screened")
    assert len(snapshot.rules.tests) == 2


def test_the_example_of_another_header_is_right(tmp_path: Path) -> None:
    (words,) = re.findall(r"^```yaml\n(identity: .*\n)```$", PAGE, re.MULTILINE)
    assert built(tmp_path, words).trunks["office"].identity.header == "Remote-Party-ID"


def test_every_key_and_word_is_explained() -> None:
    keys = [field.alias or name for name, field in CallerIdentity.model_fields.items()]
    for word in (*keys, "trusted", "screened", "none", "asserted.user", "asserted.display"):
        assert f"`{word}`" in PAGE, word


def test_whom_no_certificate_proves_is_named(tmp_path: Path) -> None:
    assert [
        str(each).partition(";")[0] for each in secrecy_report(built(tmp_path, "identity: trusted\n"))
    ] == [
        "IDENTITY: from carrier to every trunk without a proof of who the peer is, by trunk carrier,"
        " identity in: trusted",
        "IDENTITY: from every trunk to office without a proof of who the peer is, by trunk office,"
        " identity out: trusted",
        "IDENTITY: from office to every trunk without a proof of who the peer is, by trunk office,"
        " identity in: trusted",
    ]
    assert len(secrecy_report(built(tmp_path, "identity: screened\n"))) == 1


@pytest.mark.parametrize(
    ("identity", "message", "hint"),
    [
        ("trustd", "identity: 'trustd' is not a choice", "write one of trusted, screened, none, or {in:"),
        ("{in: trustd}", "in: 'trustd' is not a choice", "did you mean 'trusted'?"),
        ("{into: trusted}", "unknown key 'into'", "did you mean 'in'?"),
        (
            "{header: P-Charging-Vector}",
            "header: 'P-Charging-Vector' is not a choice",
            "write one of P-Asserted",
        ),
    ],
)
def test_mistakes(tmp_path: Path, identity: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as refused:
        built(tmp_path, f"identity: {identity}\n")
    [found] = refused.value.diagnostics
    assert (found.path, found.line, found.message) == ("trunks.d/office.yaml", 5, message)
    assert found.hint.startswith(hint)
