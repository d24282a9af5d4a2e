"""The README's configuration is a configuration: it is written out, with a lab's certificates, and built."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot
from sbc.demo.pki import LabAuthority

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```yaml\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_example(directory: Path) -> dict[str, str]:
    """Write the README's files and certificates for them; returns the files by path."""
    files = dict(BLOCK.findall(README))
    for name in ("trunks.d", "routes.d", "hooks", "tls"):
        (directory / name).mkdir()
    for path, text in files.items():
        (directory / path).write_text(text, encoding="utf-8")
    public = LabAuthority("Public CA")
    issued = public.issue(dns=["sbc.example.net"], eku=("server",))
    (directory / "tls/sbc.pem").write_bytes(issued.chain_pem)
    (directory / "tls/sbc.key").write_bytes(issued.key_pem)
    (directory / "tls/sbc.key").chmod(0o600)
    (directory / "tls/digicert-g2.pem").write_bytes(public.cert_pem)
    (directory / "tls/carrier-ca.pem").write_bytes(LabAuthority("Carrier CA").cert_pem)
    return files


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    write_example(tmp_path)
    try:
        return build_snapshot(tmp_path, time.time())
    except ConfigError as error:
        pytest.fail(f"the README's configuration is refused:\n{error}")


def test_the_example_is_a_good_configuration(snapshot: Snapshot) -> None:
    assert set(snapshot.trunks) == {"teams", "carrier"}
    assert [str(warning) for warning in snapshot.warnings if warning.severity == "error"] == []


def test_the_teams_trunk_is_what_the_text_says(snapshot: Snapshot) -> None:
    teams = snapshot.trunks["teams"]
    assert teams.srtp == "required" and teams.tls is not None and teams.tls.mode == "required"
    assert [peer.host.split(".")[0] for peer in teams.peers] == ["sip", "sip2", "sip3"]


def test_the_teams_trunk_has_at_most_twenty_lines(tmp_path: Path) -> None:
    lines = [line for line in write_example(tmp_path)["trunks.d/teams.yaml"].splitlines() if line.strip()]
    assert len(lines) <= 20


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "ARCHITECTURE.md"])
def test_links_lead_to_files(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_commands_of_the_readme_are_targets_of_the_makefile() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    wanted = set(re.findall(r"\bmake (\w+)", README))
    assert wanted >= {"demo", "test", "run", "check", "bench"} and wanted <= targets


def test_what_the_doctor_says_is_what_its_own_page_shows() -> None:
    """The page's examples are held to the command's real words."""
    page = (ROOT / "docs/diagnosis.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
    assert blocks and all(block in page for block in blocks)


def test_ci_runs_the_test_command_of_the_readme() -> None:
    script = (ROOT / ".ci/run").read_text(encoding="utf-8").strip().splitlines()
    assert script[-1] == "exec make test"
