"""docs/trust.md: its examples are a configuration that passes, and what it quotes is what is said."""

from __future__ import annotations

import re
import time
from pathlib import Path

import certifi
import pytest

from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot
from sbc.demo.pki import LabAuthority
from sbc.tls.material.certificate import MAX_CHAIN, MAX_DER
from sbc.tls.optional import SETTLED, OptionalPeers

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "trust.md").read_text("utf-8")
WORDS = " ".join(PAGE.split())
EXAMPLES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    for each in ("tls", "trunks.d", "routes.d"):
        (tmp_path / each).mkdir()
    ours, partner = LabAuthority("ours"), LabAuthority("partner")
    issued = ours.issue(dns=["sbc.example"])
    roots = Path(certifi.where()).read_text()
    files = {
        "sbc.pem": issued.chain_pem, "sbc.key": issued.key_pem, "partner-ca.pem": partner.cert_pem,
        "branch.pem": ours.issue(dns=["branch"]).cert_pem,
        "branch-2027.pem": ours.issue(dns=["branch"]).cert_pem,
        "digicert-roots.pem": roots[roots.index("-----BEGIN") :].partition("\n\n")[0].encode(),
    }  # fmt: skip
    for name, data in files.items():
        (tmp_path / "tls" / name).write_bytes(data)
    for name, text in EXAMPLES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "routes.d" / "10.yaml").write_text("rules: [{name: no, when: true, then: reject 404}]\n")
    return build_snapshot(tmp_path, time.time())


def test_the_examples_are_right(snapshot: Snapshot) -> None:
    assert set(snapshot.trunks) == {"carrier", "partner", "branch"} == {
        name.removeprefix("trunks.d/").removesuffix(".yaml") for name in EXAMPLES if "/" in name
    }  # fmt: skip
    assert [each.message for each in snapshot.warnings if "no intermediate" not in each.message] == []
    assert not snapshot.quarantined


def test_every_kind_of_trust_is_among_them(snapshot: Snapshot) -> None:
    kinds = {name: (each.kind, each.public) for name, each in snapshot.anchors.items()}
    assert kinds == {
        "digicert": ("ca", True), "partner-ca": ("ca", False), "branch": ("leaf", False),
        "gateway": ("pin", False),
    }  # fmt: skip
    assert len(snapshot.anchors["branch"].thumbprints) == 2


def test_what_sbc_check_is_said_to_say_it_says() -> None:
    source = "".join(path.read_text() for path in (ROOT / "sbc" / "tls").rglob("*.py"))
    said = " ".join(re.sub(r'"\s*\n\s*f?"', "", source).split())
    table = PAGE[PAGE.index("| it says |") : PAGE.index("Certificates may be PEM or DER")]
    rows = [line.split(" | ")[0] for line in table.splitlines()[2:] if line.startswith("|")]
    phrases = [each for row in rows for each in re.findall(r"`([^`]+)`", row)]
    assert len(phrases) > 15
    assert [each for each in phrases if each not in said] == []


def test_the_advice_on_optional_trunks_reads_as_written() -> None:
    start = time.mktime((2026, 3, 1, 12, 0, 0, 0, 0, 0))
    counts = OptionalPeers()
    counts.follow(["partner"], start)
    nobody = counts.summary("partner", start)
    assert nobody is not None and nobody.advice not in WORDS
    for number in range(2):
        counts.note("partner", f"203.0.113.{number}", "presented", start)
    for _ in range(12):
        counts.note("partner", "203.0.113.9", "absent", start + 13 * 86400)
    summary = counts.summary("partner", start + 13 * 86400)
    assert summary is not None and f"optional: partner: {summary.advice}" in WORDS
    later = start + 13 * 86400 + SETTLED
    counts.note("partner", "203.0.113.9", "presented", later)
    ready = counts.summary("partner", later)
    assert ready is not None and ready.advice.partition("(")[0] in WORDS


def test_its_figures() -> None:
    assert MAX_CHAIN == 10 and "more than ten certificates" in WORDS
    assert MAX_DER == 64 << 10 and "over 64 KiB" in WORDS
    assert SETTLED == 7 * 86400 and "in the last seven days" in WORDS
