"""The examples of docs/lookups.md are right, its figures are those in force, and it knows every word."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from dsl.answers import ENDINGS, LONGEST_TEXT, WORDS, parse_answer
from dsl.services import Service
from sbc.config.load import build_snapshot
from sbc.config.lookup import LookupConfig
from sbc.config.snapshot import Snapshot
from sbc.demo.pki import LabAuthority
from sbc.net.lookups.exchange import LARGEST
from sbc.observe.journal import EVENTS
from sbc.policy.inquiries import ENDINGS as ENDED
from sbc.policy.inquiries import MOST_KEPT
from tests.peers import product

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "lookups.md").read_text("utf-8")
LISTENER = "listeners: {udp: {bind: 127.0.0.1:5060, transport: udp}}\n"
TRUNK = "trunk: {0}\nlistener: udp\npeers: [127.0.0.1:507{1}]\nsources: [127.0.0.{1}]\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lookups")
    for folder in ("tls", "secrets", "trunks.d", "routes.d"):
        (path / folder).mkdir()
    settings, routes = re.findall(r"^```yaml\n# \S+\n(.*?)^```", PAGE, re.M | re.DOTALL)
    (path / "sbc.yaml").write_text(LISTENER + settings)
    (path / "routes.d" / "10-crm.yaml").write_text(routes)
    for at, name in enumerate(("carrier", "office"), 1):
        (path / "trunks.d" / f"{name}.yaml").write_text(TRUNK.format(name, at))
    (path / "tls" / "crm-ca.pem").write_bytes(LabAuthority("CRM CA").cert_pem)
    (path / "secrets" / "crm").write_text("t0k3n\n")
    return path


@pytest.fixture(scope="module")
def snapshot(directory: Path) -> Snapshot:
    return build_snapshot(directory, time.time())  # which runs the tests of the page


def test_the_examples_are_right(snapshot: Snapshot) -> None:
    assert snapshot.warnings == () and len(snapshot.rules.tests) == 3
    crm = snapshot.lookups["crm"]
    assert crm.token == "t0k3n" and "t0k3n" not in repr(crm) and "BEGIN CERTIFICATE" in crm.ca_pem
    assert not crm.service.decides and crm.config.cache == 60.0


def test_the_question_is_the_one_that_is_shown(snapshot: Snapshot) -> None:
    (shown,) = re.findall(r"^```json\n(.*?)^```", PAGE, re.M | re.DOTALL)
    assert list(json.loads(shown)) == list(snapshot.lookups["crm"].service.sends)


@pytest.mark.slow
def test_the_command_runs(directory: Path) -> None:
    (command,) = re.findall(r"^sbc (route test .*)$", PAGE, re.M)
    asked = re.findall(r"'[^']*'|[^\s']+(?:'[^']*')?", command)
    words = [each.replace("'", "") for each in asked]
    done = subprocess.run(
        product.command(*words, "-c", str(directory)),
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert 'set to.user = "+4930123"' in done.stdout, done
    assert "1. office over udp" in done.stdout


def test_every_key_is_explained_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.M))
    assert set(LookupConfig.model_fields) <= set(rows)
    defaults = {name: field.default for name, field in LookupConfig.model_fields.items()}
    assert (rows["timeout"], rows["cache"], rows["in_flight"]) == ("200ms", "off", "100")
    assert (rows["failures"], rows["pause"]) == ("5", "5s")
    assert (defaults["timeout"], defaults["cache"], defaults["in_flight"]) == (0.2, 0.0, 100)
    assert (defaults["failures"], defaults["pause"]) == (5, 5.0)


def test_every_word_of_a_decision_and_of_the_counts_is_there() -> None:
    assert [each for each in WORDS - set(ENDINGS) if f"`{each}`" not in PAGE] == []
    assert [each for each in ENDED if f"`{each}`" not in PAGE] == []
    assert [each for each in EVENTS if each.startswith("lookup-") and f"`{each}`" not in PAGE] == []


def test_the_figures_are_those_in_force() -> None:
    assert f"{LARGEST >> 10} KB" in PAGE and f"{MOST_KEPT:,}" in PAGE and f"{LONGEST_TEXT} char" in PAGE


def test_the_decisions_that_are_shown_are_answers() -> None:
    shown = re.findall(r'^\| `("(?:route|reject|redirect)": .*?)` \|', PAGE, re.M)
    assert len(shown) == len(ENDINGS)
    for each in shown:
        assert parse_answer(f"{{{each}}}".encode(), Service("x"), ("a", "b")).decision is not None
