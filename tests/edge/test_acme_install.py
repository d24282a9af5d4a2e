"""An ordered certificate comes into force by rotation: shown to all, retired in time, lost in no accident."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gevent.lock import RLock

from sbc.base import Address, ConfigError, LocalError
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.demo.pki import Issued, LabAuthority
from sbc.flow import TlsFacts
from sbc.net.acme.install import Installer
from sbc.net.rotation.rotator import Rotator
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.tls.events import Handshake
from sbc.tls.ledger import Ledger
from sbc.tls.lifetime.staged import staged_name
from sbc.tls.material.certificate import thumbprint_of
from tests.unit.tls.certs import der

DAY = 86400.0
SETTINGS = """\
listeners:
  tls: {bind: 127.0.0.1:5061, transport: tls}
identities:
  own: {chain: tls/own.pem, key: tls/own.key, acme: true}
tenants:
  acme: {domains: [acme.example], server_identity: own}
acme: {directory: 'https://ca.example/dir'}
"""
TRUNK = "trunk: {name}\ntenant: acme\nsources: [{source}]\nlistener: tls\ntls: {{mode: server}}\n"
TRUNKS = {"office": "127.0.0.2", "branch": "127.0.0.3"}


class Site:
    """A configuration with two trunks that are shown one ordered identity."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.authority = LabAuthority("directory")
        self.write("sbc.yaml", SETTINGS)
        self.write("routes.d/10.yaml", "rules: [{name: no, when: true, then: reject 404}]\n")
        for name, source in TRUNKS.items():
            self.write(f"trunks.d/{name}.yaml", TRUNK.format(name=name, source=source))
        self.snapshots = SnapshotStore(build_snapshot(directory, time.time()))
        lock, clock, saved = RLock(), Clock(), Store(directory, print)
        self.rotator = Rotator(self.snapshots, saved, clock, lambda *_: None, self.reload, lock, Ledger())
        self.installer = Installer(self.snapshots, clock, self.rotator, self.reload, lock)

    @property
    def snapshot(self) -> Snapshot:
        """The one in force."""
        return self.snapshots.current

    def write(self, name: str, text: str) -> None:
        """Write a file of the configuration."""
        path = self.directory / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)

    def reload(self) -> dict[str, Any]:
        """The one door, as the app has it."""
        try:
            fresh = build_snapshot(self.directory, time.time(), self.snapshot)
        except ConfigError as error:
            return {"changed": False, "lines": str(error).splitlines()}
        self.snapshots.swap(self.rotator.progress.adopt(fresh))
        return {"changed": True, "lines": []}

    def issue(self, begins: float = -1.0, ends: float = 80.0) -> Issued:
        """A certificate; times in days from now."""
        now = time.time()
        return self.authority.issue(
            ["acme.example"], not_before=now + begins * DAY, not_after=now + ends * DAY
        )

    def install(self, issued: Issued) -> None:
        """Put it in force."""
        self.installer.install("own", issued.key_pem, issued.chain_pem)

    def shown(self, trunk: str) -> str:
        """The thumbprint that the trunk's peer is shown."""
        return self.snapshot.identities[self.snapshot.shown_to(trunk, "own")].thumbprint

    def accepted(self, trunk: str) -> None:
        """The trunk's peer shakes hands, and is content."""
        identity = self.snapshot.shown_to(trunk, "own")
        facts = TlsFacts("TLSv1.3", "", "X25519", "acme.example", identity, None, self.shown(trunk))
        remote = Address(TRUNKS[trunk], 5061)
        event = Handshake("inbound", "tls", trunk, remote, facts, (), None, None, time.time())
        self.rotator.progress.handshake(event)


def thumbprint(issued: Issued) -> str:
    return thumbprint_of(der(issued.cert_pem))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    yield Site(tmp_path)


def test_the_first_one_is_put_in_place_and_ends_the_quarantine(site: Site) -> None:
    assert set(site.snapshot.quarantined) == set(TRUNKS)
    assert site.installer.newest("own") is None
    first = site.issue()
    site.install(first)
    assert site.snapshot.quarantined == {}
    assert site.shown("office") == thumbprint(first)
    assert (site.directory / "tls/own.key").stat().st_mode & 0o777 == 0o600
    assert not list((site.directory / "tls").glob("*.next"))


def test_a_renewed_one_is_shown_to_all_and_takes_its_place_when_all_were_seen(site: Site) -> None:
    first, second = site.issue(), site.issue()
    site.install(first)
    site.install(second)
    assert {site.shown(trunk) for trunk in TRUNKS} == {thumbprint(second)}
    assert (site.directory / "tls/own.pem").read_bytes() == first.chain_pem
    site.accepted("office")
    site.installer.retire_when_due("own")
    assert staged_name("own") in site.snapshot.identities, "the branch was not seen yet"
    site.accepted("branch")
    site.installer.retire_when_due("own")
    assert staged_name("own") not in site.snapshot.identities
    assert site.snapshot.identities["own"].thumbprint == thumbprint(second)
    assert (site.directory / "tls/own.pem.old").read_bytes() == first.chain_pem


def test_the_old_one_is_not_kept_for_a_peer_that_never_comes(site: Site) -> None:
    site.install(site.issue(begins=-76.0, ends=14.0))
    second = site.issue()
    site.install(second)
    assert site.installer.retires("own") is None, "a sixth of ninety days was left: retired at once"
    assert site.snapshot.identities["own"].thumbprint == thumbprint(second)


def test_one_that_replaces_another_that_still_waits_is_shown_to_all(site: Site) -> None:
    third = site.issue()
    for each in (site.issue(), site.issue(), third):
        site.install(each)
    assert {site.shown(trunk) for trunk in TRUNKS} == {thumbprint(third)}


def test_a_step_back_is_not_undone(site: Site) -> None:
    first = site.issue()
    site.install(first)
    site.install(site.issue())
    site.rotator.rollback("own")
    site.installer.retire_when_due("own")
    assert {site.shown(trunk) for trunk in TRUNKS} == {thumbprint(first)}


def test_what_cannot_be_in_force_yet_is_on_disk_and_known(site: Site) -> None:
    site.install(site.issue())
    second = site.issue()
    site.write("routes.d/20.yaml", "rules: [{name: no\n")
    with pytest.raises(LocalError, match="the configuration is refused as it is now"):
        site.install(second)
    newest = site.installer.newest("own")
    assert newest is not None and newest.thumbprint == thumbprint(second)
    (site.directory / "routes.d/20.yaml").unlink()
    site.reload()
    assert thumbprint(second) in site.installer.staged("own")
    site.installer.bind("own")
    assert {site.shown(trunk) for trunk in TRUNKS} == {thumbprint(second)}


def test_an_expired_one_gives_way_to_the_one_that_was_staged(site: Site) -> None:
    site.install(site.issue())
    second = site.issue()
    site.install(second)
    expired = site.issue(begins=-90.0, ends=-1.0)
    (site.directory / "tls/own.key").write_bytes(expired.key_pem)
    (site.directory / "tls/own.pem").write_bytes(expired.chain_pem)
    restarted = Site(site.directory)
    restarted.reload()
    assert restarted.installer.newest("own") is not None
    restarted.installer.retire_when_due("own")
    assert restarted.snapshot.identities["own"].thumbprint == thumbprint(second)
    assert restarted.snapshot.quarantined == {}


def test_a_place_that_cannot_be_written_is_said(site: Site) -> None:
    (site.directory / "tls").write_text("a file where the directory belongs")
    with pytest.raises(LocalError, match=r"tls cannot be made: .*; let this user write there"):
        site.install(site.issue())
