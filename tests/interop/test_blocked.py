"""The blocklist on public addresses: who is blocked, who never is, what stays open, what a restart keeps."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.interop.blocked import CARRIER, CRACKER, PRIVATE, SCANNERS, SHARED, VICTIM
from tests.peers.needs import needs
from tests.peers.process import find

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.waits]

ROOT = Path(__file__).resolve().parents[2]


def in_a_namespace(module: str, directory: Path) -> Any:
    """What a module of the tests prints that runs in a network namespace of its own."""
    needs("unshare", "ip")
    if os.geteuid() != 0:
        pytest.skip("PUBLIC ADDRESSES NEED ROOT: they are those of a network namespace")
    command = [find("unshare"), "--net", sys.executable, "-m", module, str(directory)]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr[-4000:]
    return json.loads(made.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return in_a_namespace("tests.interop.blocked", tmp_path_factory.mktemp("blocked"))


def test_the_fifteenth_failure_blocks_nobody_the_sixteenth_does_and_it_may_come_back(told: Any) -> None:
    found = told["threshold"]
    assert found["before"] == [[], False]
    assert found["blocked"] == [found["scanner"]] and found["refused"] and found["silent"]
    assert not found["neighbour"] and not found["later"]


def test_it_is_told_once_each_way_and_in_every_figure(told: Any) -> None:
    scanner, lines = told["threshold"]["scanner"], told["lines"]
    (begun,) = [line for line in lines["blocked"] if f"address={scanner} " in line]
    assert "WRN [blocklist] event=blocked" in begun and 'why="16 failed TLS handshakes within' in begun
    (over,) = [line for line in lines["unblocked"] if f"address={scanner} " in line]
    assert 'why="its time is over"' in over and "refused=2" in over
    health = told["threshold"]["health"]
    assert (health["now"], health["lifetime"]) == (1, len(begun.splitlines()))
    assert health["policy"].startswith("more than 15 failed TLS handshakes of one address within 4s")
    assert told["stats"] and "blocklist=" in told["stats"][0]


def test_private_addresses_and_a_host_that_a_trunk_names_never_are(told: Any) -> None:
    assert told["exempted"] == {"blocked": [], "private": [False] * len(PRIVATE)}
    (spared,) = told["lines"]["spared"]
    assert f'address={CARRIER} by="trunk carrier"' in spared and "remedy=" in spared


def test_of_ipv6_a_64_is(told: Any) -> None:
    assert told["six"]["blocked"] == ["2001:db8:1:2::/64"] and told["six"]["refused"] == [True, True]


def test_who_was_there_stays_and_who_has_proved_nothing_is_closed(told: Any) -> None:
    found = told["shared"]
    assert found["registered"] == [200, 200] and SHARED in found["blocked"]
    assert found["closed"] and found["refused"] and found["kept"] == 401 and found["heard"]


def test_a_flood_in_a_victims_name_blocks_nobody_and_a_cracker_is_blocked(told: Any) -> None:
    found = told["datagrams"]
    assert VICTIM not in found["innocent"] and CRACKER not in found["innocent"] and found["answered"]
    assert found["statuses"] == [401] * 16, "fifteen are forgiven, and the next is the last to be answered"
    assert CRACKER in found["blocked"] and VICTIM not in found["blocked"]


def test_a_restart_keeps_it_and_a_damaged_file_is_put_aside(told: Any) -> None:
    found, scanner = told["restarts"], SCANNERS[-1]
    assert found["refused"] and found["silent"] and found["removed"] and found["back"]
    before, after = found["ends"]
    assert {scanner, "203.0.113.66"} <= set(after) == set(before)
    assert all(abs(after[each] - before[each]) < 1 for each in after)
    assert found["lifetime"][0] == found["lifetime"][1] >= 6
    assert found["damaged"] == [] and found["said"] == 1 and found["aside"]
