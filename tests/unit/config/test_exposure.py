"""What lies open is told, whatever names it: secrets that others read, and files that others could write."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from sbc.config.exposure import exposures
from sbc.config.load import build_snapshot
from tests.unit.config.configuration import SBC, Write

MORE = """\
hep: {to: "tls:127.0.0.1:9061", password_file: secrets/homer, ca: tls/homer-ca.pem}
log: {syslog: {to: "tls:127.0.0.1:6514", ca: tls/log-ca.pem}}
acl: acl.d
"""
DENY = "rules: [{deny: {address: 192.0.2.1}}]\n"


@pytest.fixture
def place(write: Write) -> Path:
    """A configuration with collectors and an access list, of which nothing lies open."""
    made = write({"sbc.yaml": SBC + MORE, "acl.d/10.yaml": DENY, "secrets/homer": "sesame"})
    for name in ("homer-ca.pem", "log-ca.pem"):
        shutil.copy(made / "tls" / "lab-ca.pem", made / "tls" / name)
    for path in (made, *made.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return made


def told(place: Path) -> list[tuple[str, str]]:
    return [(each.path, each.hint) for each in exposures(build_snapshot(place, time.time()))]


def test_the_key_of_a_collector_is_a_secret(place: Path) -> None:
    assert told(place) == []
    path = place / "secrets" / "homer"
    path.chmod(0o644)
    assert told(place) == [("secrets/homer", f"chmod o-r {path}")]


@pytest.mark.parametrize("name", ["tls/homer-ca.pem", "tls/log-ca.pem", "acl.d", "acl.d/10.yaml"])
def test_whom_a_collector_is_to_be_and_who_is_barred_is_written_by_nobody_else(
    place: Path, name: str
) -> None:
    path = place / name
    path.chmod(0o777 if path.is_dir() else 0o666)
    assert told(place) == [(name, f"chmod o-w {path}")]
