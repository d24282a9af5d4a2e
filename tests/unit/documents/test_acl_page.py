"""docs/acl.md: its examples load without a remark, its commands print what it says, no word is missing."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sbc.cli import main
from sbc.config.acl import AclFile, AclRule, Compared
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot
from sbc.policy.exempt import EXEMPT, exempt

PAGE = (Path(__file__).parents[3] / "docs" / "acl.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
SESSIONS = re.findall(r"^\$ (sbc acl test .*)\n((?:[^$`].*\n)*)", PAGE, re.MULTILINE)
NOW = datetime(2027, 2, 1, tzinfo=UTC).timestamp()
SBC = """\
listeners:
  phones-udp: {bind: 127.0.0.1:5070, transport: udp}
  phones-tls: {bind: 127.0.0.1:5071, transport: tcp}
identities: {sbc: {chain: tls/sbc.pem, key: tls/sbc.key}}
tenants: {acme: {domains: [sbc.acme.example], server_identity: sbc}}
registrar: {realm: example.com, users: users}
"""
PHONES = "trunk: phones\nphones: true\nlistener: phones-udp\ntenant: acme\nsources: [0.0.0.0/0, '::/0']\n"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    settings = SBC.replace("identities: {sbc: {chain: tls/sbc.pem, key: tls/sbc.key}}\n", "")
    settings = settings.replace("tenants: {acme: {domains: [sbc.acme.example], server_identity: sbc}}\n", "")
    files = {
        **EXAMPLES, "sbc.yaml": settings + EXAMPLES["sbc.yaml"], "users": "",
        "trunks.d/phones.yaml": PHONES.replace("tenant: acme\n", ""),
        "routes.d/10.yaml": "rules: [{name: all, when: true, then: reject 403}]\n",
    }  # fmt: skip
    del files["acl.d/30-acme.yaml"]
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.fixture
def snapshot(directory: Path) -> Snapshot:
    return build_snapshot(directory, NOW)


def test_the_examples_load(snapshot: Snapshot) -> None:
    assert [each for each in snapshot.warnings if "acl.d" in each.path] == []
    assert set(EXAMPLES) == {
        "sbc.yaml", "acl.d/10-everywhere.yaml", "acl.d/20-phones.yaml", "acl.d/30-acme.yaml",
        "acl.d/40-guests.yaml",
    }  # fmt: skip


def test_the_pool_of_a_tenant_loads_where_there_is_one(directory: Path) -> None:
    from sbc.demo.pki import write_lab

    write_lab(directory, NOW)
    (directory / "sbc.yaml").write_text(SBC + EXAMPLES["sbc.yaml"])
    (directory / "trunks.d" / "phones.yaml").write_text(PHONES)
    (directory / "acl.d" / "30-acme.yaml").write_text(EXAMPLES["acl.d/30-acme.yaml"])
    snapshot = build_snapshot(directory, NOW)
    assert [each for each in snapshot.warnings if "acl.d" in each.path] == []
    assert [rule.scope.tenant for rule in snapshot.acl.rules].count("acme") == 1


@pytest.mark.parametrize(
    ("host", "let_in"),
    [
        ("198.51.100.7", True), ("198.51.100.8", False), ("203.0.113.1", False), ("203.0.113.21", False),
        ("192.0.2.1", True), ("2001:db8:5::1", True), ("2001:db8:6::1", False), ("10.1.1.1", True),
        ("10.66.1.1", False), ("127.0.0.1", True),
    ],
)  # fmt: skip
def test_the_example_lets_in_the_offices_and_the_home_network(
    snapshot: Snapshot, host: str, let_in: bool
) -> None:
    assert (not snapshot.acl.bars("phones-udp", host, "", NOW)) is let_in


@pytest.mark.parametrize(("command", "said"), SESSIONS)
def test_what_a_command_prints_is_what_the_page_shows(
    directory: Path, capsys: pytest.CaptureFixture[str], command: str, said: str
) -> None:
    status = main([*command.split()[1:], "--listener", "phones-udp", "-c", str(directory)])
    assert (capsys.readouterr().out, status) == (said, 1)


def test_every_word_is_explained() -> None:
    for model in (AclFile, AclRule, Compared):
        keys = [field.alias or name for name, field in model.model_fields.items()]
        assert [key for key in keys if f"`{key}`" not in PAGE and f"{key}:" not in PAGE] == []


def test_the_page_names_every_network_that_is_exempt() -> None:
    section = PAGE.partition("## Who cannot be locked out")[2]
    named = [each for each in EXEMPT if each in section or each.removesuffix("/128") in section]
    assert set(EXEMPT) - set(named) == {"169.254.0.0/16", "fe80::/10"} and "link-local" in section
    assert exempt("169.254.1.1") and exempt("fe80::1")
