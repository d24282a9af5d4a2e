"""docs/phones.md: its examples are a configuration that passes, and every word is explained."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from sbc.config.load import build_snapshot
from sbc.config.registrar import RegistrarSettings
from sbc.config.users import UserTerms, read_users
from sbc.demo.pki import write_lab

PAGE = (Path(__file__).parents[3] / "docs" / "phones.md").read_text("utf-8")
EXAMPLES = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
(USERS,) = re.findall(r"```text\n(alice:.*?)```", PAGE, re.DOTALL)
CARRIER = "trunk: carrier\nlistener: phones-udp\npeers: [192.0.2.9:5060]\nsources: [192.0.2.9]\n"


def test_the_examples_are_right(tmp_path: Path) -> None:
    write_lab(tmp_path, time.time())
    users = USERS.replace("gate:", "# gate:")  # it needs a trunk that asks for certificates
    files = {**EXAMPLES, "users/phones": users, "trunks.d/carrier.yaml": CARRIER}
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    snapshot = build_snapshot(tmp_path, time.time())
    assert [each.message for each in snapshot.warnings if "no intermediate" not in each.message] == []
    assert snapshot.trunks["phones"].phones and snapshot.settings.registrar is not None
    assert snapshot.phones.names("example.com") == ["alice", "bob", "lift"]


def test_the_lines_of_users_are_right() -> None:
    users, problems = read_users("users", USERS)
    assert problems == []
    assert users.terms("example.com", "alice") == UserTerms()
    assert users.terms("example.com", "lift") == UserTerms(1, True)
    assert users.terms("example.com", "gate") == UserTerms(certificate="gate.example.com")


@pytest.mark.parametrize("key", RegistrarSettings.model_fields)
def test_every_key_is_explained(key: str) -> None:
    assert f"| `{key}` |" in PAGE
