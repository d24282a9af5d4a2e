"""What a handshake tells a rotation: by the certificate that was shown, whatever it is called by then."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sbc.base import Address, LocalError
from sbc.config.load import build_snapshot
from sbc.config.snapshot import SnapshotStore
from sbc.demo.pki import LabAuthority, write_lab
from sbc.flow import TlsFacts
from sbc.net.rotation.rotator import Rotator
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.tls.events import Handshake
from sbc.tls.ledger import Ledger
from tests.unit.config.configuration import FILES


class Door:
    """The reload, which refuses as often as ``refuses`` says once it has let ``first`` through."""

    def __init__(self) -> None:
        self.first = self.refuses = 0

    def __call__(self) -> dict[str, Any]:
        if self.first:
            self.first -= 1
        elif self.refuses:
            self.refuses -= 1
            return {"changed": False, "lines": ["sbc.yaml:1: a mistake"]}
        return {"changed": True, "lines": []}


@pytest.fixture
def door() -> Door:
    return Door()


@pytest.fixture
def rotator(tmp_path: Path, door: Door) -> Rotator:
    write_lab(tmp_path, time.time())
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    issued = LabAuthority("Next CA").issue(dns=["sbc.lab.example"])
    (tmp_path / "tls" / "sbc.pem.next").write_bytes(issued.chain_pem)
    (tmp_path / "tls" / "sbc.key.next").write_bytes(issued.key_pem)
    snapshots = SnapshotStore(build_snapshot(tmp_path, time.time()))
    saved = Store(tmp_path, print)
    made = Rotator(snapshots, saved, Clock(), lambda *_: None, door, threading.Lock(), Ledger())
    snapshots.swap(made.progress.adopt(snapshots.current))
    made.progress.rotation.bind("sbc", ["carrier"], time.time())
    return made


def tell(rotator: Rotator, name: str, own: str) -> str:
    """The state of the trunk after a handshake in which ``own`` was shown under ``name``."""
    facts = TlsFacts("TLSv1.3", "", "", "", name, None, own)
    remote = Address("10.0.0.1", 5061)
    rotator.progress.handshake(
        Handshake("outbound", "tls", "carrier", remote, facts, (), None, None, time.time())
    )
    (row,) = rotator.progress.rotation.readiness(("identities", "sbc"), ["carrier"])
    return row.state


def test_what_was_shown_counts_and_not_its_name_of_that_moment(rotator: Rotator) -> None:
    (new,) = rotator.progress.rotation.entries["identities", "sbc"].material
    assert tell(rotator, "sbc", "0" * 64) == "waiting"
    assert tell(rotator, "sbc", new) == "ready", "it was in use by that name until it was rolled back"
    assert tell(rotator, "sbc+next", "0" * 64) == "waiting", "another one was staged in its place since"
    assert tell(rotator, "other", new) == "waiting", "another identity's handshake is no news"


def test_a_retirement_that_the_reload_refuses_leaves_the_trunks_bound(
    rotator: Rotator, door: Door, tmp_path: Path
) -> None:
    before = rotator.progress.rotation.to_json()["entries identities sbc"]["bound"]
    assert before
    door.first, door.refuses = 1, 1
    with pytest.raises(LocalError, match="a mistake"):
        rotator.retire("sbc", force=True)
    assert (tmp_path / "tls" / "sbc.pem.next").exists()
    assert rotator.progress.rotation.entries["identities", "sbc"].bound == before


@pytest.mark.parametrize("there", [True, False])
def test_a_snapshot_that_does_not_come_into_force_changes_no_rotation(
    rotator: Rotator, tmp_path: Path, there: bool
) -> None:
    before = rotator.progress.rotation.to_json()
    if there:
        (tmp_path / "tls" / "carrier-ca.pem.next").write_bytes(LabAuthority("Other CA").cert_pem)
    else:
        (tmp_path / "tls" / "sbc.pem.next").unlink()
    rotator.progress.adopt(build_snapshot(tmp_path, time.time()))
    assert rotator.progress.rotation.to_json() != before
    rotator.progress.take_back()
    assert rotator.progress.rotation.to_json() == before
