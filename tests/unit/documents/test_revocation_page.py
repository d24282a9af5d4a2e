"""The examples of docs/revocation.md are a configuration that passes; the page knows every key and word."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from pydantic import BaseModel

from sbc.config.load import build_snapshot
from sbc.config.model import Revocation, TrunkRevocation
from sbc.demo.pki import LabAuthority
from sbc.net.revocation import inquiry as edge
from sbc.tls.failure import ALERTS
from sbc.tls.revocation.ocsp import MAX_ANSWER
from sbc.tls.revocation.policy import _REMEDIES
from tests.unit.tls.revoking import revocation_list

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "revocation.md").read_text()
EXAMPLES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))


def test_the_examples_are_right(tmp_path: Path) -> None:
    for name in ("tls", "trunks.d", "routes.d"):
        (tmp_path / name).mkdir()
    ca, now = LabAuthority("Carrier CA"), time.time()
    own = ca.issue(dns=["sbc.lab.example"])
    for name, data in (
        ("sbc.pem", own.chain_pem),
        ("sbc.key", own.key_pem),
        ("carrier-ca.pem", ca.cert_pem),
        ("carrier-ca.crl", revocation_list(ca, now, [7])),
    ):
        (tmp_path / "tls" / name).write_bytes(data)
    for path, text in EXAMPLES.items():
        (tmp_path / path).write_text(text)
    snapshot = build_snapshot(tmp_path, now)
    assert not snapshot.quarantined
    ((path, found),) = snapshot.lists["carrier-ca"]
    assert (path, set(found.serials)) == ("tls/carrier-ca.crl", {7})
    policy = snapshot.trunks["carrier"].tls
    assert policy is not None and policy.revocation.mode == "hard"
    assert snapshot.settings.revocation.refresh == 1800


@pytest.mark.parametrize("model", [Revocation, TrunkRevocation])
def test_every_key_is_explained(model: type[BaseModel]) -> None:
    assert [key for key in model.model_fields if f"`{key}`" not in PAGE] == []


def test_the_defaults_are_those_of_the_model() -> None:
    defaults = Revocation()
    told = dict(re.findall(r"^\| `(\w+)` \| (\S+) \|", PAGE, re.MULTILINE))
    assert told["refresh"] == "1h" and defaults.refresh == 3600
    assert told["wait"] == f"{defaults.wait:g}s" and told["timeout"] == f"{defaults.timeout:g}s"
    assert (told["max_bytes"], told["redirects"]) == (str(defaults.max_bytes), str(defaults.redirects))
    assert str(MAX_ANSWER) in PAGE and TrunkRevocation().mode == "soft"


def test_every_word_of_the_journal_and_of_a_soft_pass_is_told() -> None:
    source = Path(edge.__file__).read_text()
    assert [each for each in re.findall(r'"event": "([a-z-]+)"', source) if f"`{each}`" not in PAGE] == []
    assert [each for each in _REMEDIES if each not in ("good", "revoked") and f"`{each}`" not in PAGE] == []
    assert all(f"`{ALERTS[number]}` ({number})" in PAGE for number in (44, 113))
