"""Material that cannot be used for its dates is used when they come, or when the clock is set.

A machine without a battery begins in another year and hears the time from the network later; a CA issues a
certificate for tomorrow. What is printed then is "check this machine's clock, or wait".
"""

from __future__ import annotations

import time
from pathlib import Path

import gevent
import pytest

from sbc.base import ConfigError
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.demo.pki import LabAuthority
from sbc.net.system.clock import Clock
from sbc.observe.journal import Journal
from sbc.observe.recorder import Recorder
from sbc.reload import Reload
from tests.edge.rotation_lab import put, running
from tests.peers.waiting import until, until_equal
from tests.unit.tls.revoking import revocation_list

DAY = 86400.0
NOW = time.time()
SETTINGS = """\
listeners:
  tls: {bind: 127.0.0.1:5061, transport: tls}
  udp: {bind: 127.0.0.1:5060, transport: udp}
identities:
  sbc: {chain: sbc.pem, key: sbc.key}
trust:
  peers: {ca: ca.pem, crl: [ca.crl]}
"""
SECURED = """\
trunk: secured
sources: [192.0.2.1]
listener: tls
tls: {server_identity: sbc, trust: [peers]}
"""
CLEAR = "trunk: clear\nsources: [192.0.2.2]\nlistener: udp\n"


class Site:
    """A configuration, and a clock that is moved; nothing of it is changed on disk."""

    def __init__(
        self, directory: Path, begins: float, ends: float, listed: float, clear: bool = True
    ) -> None:
        """Our certificate is valid from ``begins`` to ``ends``, the CA's revocation list from ``listed``.

        Beside the trunk that needs them there is one in the ``clear``.
        """
        for name in ("trunks.d", "routes.d"):
            (directory / name).mkdir()
        (directory / "sbc.yaml").write_text(SETTINGS)
        (directory / "trunks.d/secured.yaml").write_text(SECURED)
        if clear:
            (directory / "trunks.d/clear.yaml").write_text(CLEAR)
        rules = "rules:\n  - name: all\n    when: true\n    then: reject 404\n"
        (directory / "routes.d/10.yaml").write_text(rules)
        ours = LabAuthority("ours").issue(dns=["sbc.example"], not_before=begins, not_after=ends)
        put(directory / "sbc", ours)
        peers = LabAuthority("peers")
        (directory / "ca.pem").write_bytes(peers.cert_pem)
        (directory / "ca.crl").write_bytes(revocation_list(peers, listed, begins=0, ends=900 * DAY))
        self.now = NOW
        self.said: list[str] = []
        clock = Clock()
        clock.now = lambda: self.now
        self.store = SnapshotStore(build_snapshot(directory, self.now))
        recorder = Recorder(Journal(self.said.append), lambda line: None)
        self.reload = Reload(directory, self.store, clock, recorder)

    def at(self, days: float) -> bool:
        """Whether the trunk serves once housekeeping has come by so many days from now; it comes by twice."""
        self.now = now = NOW + days * DAY
        for _ in range(2):
            self.reload.tick(now)
            gevent.sleep(0)
            with self.reload.lock:
                pass
        return "secured" not in self.store.current.quarantined


@pytest.mark.parametrize(
    ("begins", "listed"), [(NOW + DAY, NOW - DAY), (NOW - DAY, NOW + DAY)], ids=["certificate", "list"]
)
def test_what_is_of_tomorrow_is_used_tomorrow(tmp_path: Path, begins: float, listed: float) -> None:
    site = Site(tmp_path, begins, NOW + 300 * DAY, listed)
    assert not site.at(0.999)
    assert site.at(1.001)
    assert "trunk-mended" in site.said[-1]
    assert site.at(2)


def test_what_was_over_by_a_clock_that_was_ahead_is_used_when_it_is_put_back(tmp_path: Path) -> None:
    site = Site(tmp_path, NOW - 366 * DAY, NOW - DAY, NOW - 366 * DAY)
    assert not site.at(365)
    assert site.at(-2)


def test_with_a_clock_that_is_behind_all_starts_and_serves_once_it_is_set(tmp_path: Path) -> None:
    """Also where every trunk needs what is not valid yet; with what has expired nothing starts."""
    (tmp_path / "later").mkdir()
    site = Site(tmp_path / "later", NOW + 20 * DAY, NOW + 300 * DAY, NOW + 20 * DAY, clear=False)
    assert list(site.store.current.quarantined) == ["secured"]
    assert site.at(21)
    (tmp_path / "over").mkdir()
    with pytest.raises(ConfigError, match="expired on"):
        Site(tmp_path / "over", NOW - 20 * DAY, NOW - DAY, NOW - DAY, clear=False)


def test_nothing_is_read_again_while_no_date_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Site(tmp_path, NOW + DAY, NOW + 300 * DAY, NOW - DAY)
    read: list[float] = []

    def reading(directory: Path, now: float, former: Snapshot) -> Snapshot:
        read.append(now)
        return build_snapshot(directory, now, former)

    monkeypatch.setattr("sbc.reload.build_beside_calls", reading)
    for second in range(100):
        site.at(second / DAY)
    assert not read
    assert site.at(1) and read == [NOW + DAY]
    for second in range(100):
        site.at(2 + second / DAY)
    assert len(read) == 1


@pytest.mark.slow
def test_a_running_sbc_shows_a_certificate_as_soon_as_it_is_valid(tmp_path: Path) -> None:
    with running(tmp_path) as lab:
        lab.next = lab.new_authority.issue(dns=["sbc.lab.example"], not_before=time.time() + 3)
        put(lab.tls / "late", lab.next)
        settings = (tmp_path / "sbc.yaml").read_text()
        late = "identities:\n  late: {chain: tls/late.pem, key: tls/late.key}\n"
        (tmp_path / "sbc.yaml").write_text(settings.replace("identities:\n", late))
        trunk = tmp_path / "trunks.d" / "second.yaml"
        trunk.write_text(trunk.read_text().replace("server_identity: sbc", "server_identity: late"))
        until_equal(lambda: lab.seen_by(lab.second), "next")
        until(lambda: "late" in lab.good())
