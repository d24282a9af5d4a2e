"""When the keeper orders, and when it does not: one that is away is not asked again and again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.lock import RLock

from sbc.base import LocalError
from sbc.config.load import build_snapshot
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.demo.pki import write_lab
from sbc.net.acme.install import Installer
from sbc.net.acme.keeper import AcmeKeeper
from sbc.net.rotation.rotator import Rotator
from sbc.net.system.clock import Clock
from sbc.net.system.store import Store
from sbc.tls.ledger import Ledger
from tests.peers.waiting import until, until_equal

SETTINGS = """\
listeners:
  tls: {{bind: 127.0.0.1:5061, transport: tls}}
identities:
  own: {{chain: tls/{own}.pem, key: tls/{own}.key, acme: true}}
tenants:
  acme: {{domains: [{domain}], server_identity: own}}
acme: {{directory: 'https://127.0.0.1:{port}/{path}', listen: '127.0.0.1:0'}}
"""


class Ordering:
    """A keeper with a directory that nobody serves."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        write_lab(directory, time.time())
        with socket.create_server(("127.0.0.1", 0)) as unused:
            self.port = unused.getsockname()[1]
        self.said: list[dict[str, Any]] = []
        self.warned: list[str] = []
        self.ahead = 0.0  # the clock, in seconds
        self.snapshots = SnapshotStore(self.written())
        self.saved: Store | None = None
        self.keeper = self.restarted()

    def written(self, own: str = "own", domain: str = "acme.example", path: str = "dir") -> Snapshot:
        """Write the configuration; returns what it amounts to."""
        (self.directory / "routes.d").mkdir(exist_ok=True)
        (self.directory / "routes.d/10.yaml").write_text(
            "rules: [{name: no, when: true, then: reject 404}]\n"
        )
        text = SETTINGS.format(own=own, domain=domain, port=self.port, path=path)
        (self.directory / "sbc.yaml").write_text(text)
        return build_snapshot(self.directory, time.time())

    def configure(self, **options: str) -> None:
        """Put another configuration in force."""
        self.snapshots.swap(self.written(**options))
        self.keeper.apply(self.snapshots.current)

    def restarted(self) -> AcmeKeeper:
        """A keeper that begins with what the store has."""
        if self.saved is not None:
            self.keeper.stop()
            self.saved.close()
        self.saved = Store(self.directory, self.warned.append)
        lock, clock = RLock(), Clock()
        clock.now = lambda: time.time() + self.ahead
        rotator = Rotator(self.snapshots, self.saved, clock, self._say, self._reload, lock, Ledger())
        installer = Installer(self.snapshots, clock, rotator, self._reload, lock)
        self.keeper = AcmeKeeper(self.snapshots, self.saved, clock, self._say, installer)
        self.keeper.start()
        return self.keeper

    def _say(self, level: str, tag: str, fields: dict[str, Any]) -> None:
        self.said.append({"level": level, "tag": tag, **fields})

    def _reload(self) -> dict[str, Any]:
        raise AssertionError("nothing can have been issued")

    @property
    def failures(self) -> list[dict[str, Any]]:
        return [each for each in self.said if "failed" in each]


@pytest.fixture
def ordering(tmp_path: Path) -> Iterator[Ordering]:
    made = Ordering(tmp_path)
    yield made
    made.keeper.stop()


def test_a_missing_certificate_is_ordered_at_once_and_the_failure_is_told(ordering: Ordering) -> None:
    until(lambda: ordering.failures)
    (failure,) = ordering.failures
    assert (failure["level"], failure["tag"], failure["identity"], failure["times"]) == (
        "ERR",
        "[acme]",
        "own",
        1,
    )
    assert "cannot be reached" in failure["failed"] and "acme.directory" in failure["failed"]


def test_after_a_failure_it_waits_even_over_a_restart(ordering: Ordering) -> None:
    until(lambda: ordering.failures)
    for _ in range(3):
        ordering.keeper.apply(ordering.snapshots.current)
        ordering.keeper.stop()
        ordering.restarted()
        gevent.sleep(0.01)
    assert len(ordering.failures) == 1
    assert ordering.warned == []


@pytest.mark.parametrize("ahead", [86400.0, 366 * 86400.0], ids=["a day", "a year"])
def test_what_failed_while_the_clock_was_ahead_is_tried_again_once_it_is_set(
    ordering: Ordering, ahead: float
) -> None:
    """A machine without a battery may begin in any year, and hears the time from the network later."""
    until(lambda: ordering.failures)
    ordering.ahead = ahead
    ordering.restarted()
    with pytest.raises(LocalError):
        ordering.keeper.renew("own")
    assert len(ordering.failures) == 2
    ordering.ahead = 0.0
    ordering.restarted()
    until_equal(lambda: len(ordering.failures), 3)
    ordering.keeper.apply(ordering.snapshots.current)
    gevent.sleep(0.01)
    assert len(ordering.failures) == 3, "from now on it waits as after any failure"


@pytest.mark.parametrize("change", [{"domain": "other.example"}, {"path": "other"}])
def test_another_configuration_does_not_wait(ordering: Ordering, change: dict[str, str]) -> None:
    until(lambda: ordering.failures)
    ordering.configure(**change)
    until_equal(lambda: len(ordering.failures), 2)


def test_who_asks_by_hand_does_not_wait_and_hears_why_not(ordering: Ordering) -> None:
    until(lambda: ordering.failures)
    with pytest.raises(LocalError, match="cannot be reached"):
        ordering.keeper.renew("own")
    assert [each["times"] for each in ordering.failures] == [1, 2]
    with pytest.raises(LocalError, match="identity sbc is not ordered by ACME; those that are: own"):
        ordering.keeper.renew("sbc")


def test_a_certificate_that_is_good_and_has_the_names_is_left_alone(ordering: Ordering) -> None:
    until(lambda: ordering.failures)
    ordering.configure(own="sbc", domain="sbc.lab.example")
    ordering.keeper.stop()
    ordering.said.clear()
    ordering.restarted()
    gevent.sleep(0.01)
    assert ordering.said == []
    ordering.configure(own="sbc", domain="another.lab.example")
    until(lambda: ordering.failures)


@pytest.mark.pure
def test_a_fault_of_our_own_ends_the_order_and_not_the_keeper(
    ordering: Ordering, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    until(lambda: ordering.failures)

    def faulty(*_: object) -> None:
        raise AssertionError("here")

    with monkeypatch.context() as patched:
        patched.setattr(AcmeKeeper, "_order", faulty)
        with pytest.raises(LocalError, match="a fault of our own"):
            ordering.keeper.renew("own")
    assert "AssertionError: here" in capsys.readouterr().err
    with pytest.raises(LocalError, match="cannot be reached"):
        ordering.keeper.renew("own")


@pytest.mark.parametrize(
    "state",
    [
        [],
        5,
        {"failed": 5},
        {"failed": {"own": {}}},
        {"failed": {"own": {"count": "x"}}},
        {"accounts": [1]},
        {"failed": {"own": {"count": "3", "again": 0, "wanted": ""}}},
        {"failed": {"own": {"count": 3, "again": 1e300, "wanted": ""}}},
    ],
)
def test_a_state_that_is_not_ours_is_begun_anew(tmp_path: Path, state: object) -> None:
    (tmp_path / "acme.json").write_text(json.dumps(state))
    ordering = Ordering(tmp_path)
    try:
        until(lambda: ordering.failures)
        assert ordering.failures[0]["times"] == 1
    finally:
        ordering.keeper.stop()


def test_files_that_are_gone_are_ordered_anew(ordering: Ordering) -> None:
    until(lambda: ordering.failures)
    ordering.configure(own="sbc", domain="sbc.lab.example")
    (ordering.directory / "tls/sbc.pem").unlink()
    ordering.keeper.apply(ordering.snapshots.current)
    until_equal(lambda: len(ordering.failures), 2)
