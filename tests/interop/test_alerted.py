"""Alerts of a running SBC reach mail, Slack and Teams; a dead sink holds nothing up, no secret is told."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.alerted import SECRETS
from tests.peers.needs import needs
from tests.peers.process import find

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
NAME = f"portcullis-{os.getpid()}"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """What the module tests.interop.alerted prints, where hooks.slack.com is 127.0.0.1."""
    needs("ip")
    if os.geteuid() != 0:
        pytest.skip("SLACK NEEDS ROOT: its name is that of a network namespace")
    hosts = Path("/etc/netns") / NAME / "hosts"
    hosts.parent.mkdir(parents=True)
    hosts.write_text("127.0.0.1 localhost hooks.slack.com\n")
    try:
        subprocess.run([find("ip"), "netns", "add", NAME], check=True)
        directory = tmp_path_factory.mktemp("alerted")
        command = [find("ip"), "netns", "exec", NAME, sys.executable, "-m", "tests.interop.alerted"]
        made = subprocess.run(
            [*command, str(directory)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert made.returncode == 0, made.stdout[-2000:] + made.stderr[-4000:]
        yield json.loads(made.stdout.splitlines()[-1])
    finally:
        subprocess.run([find("ip"), "netns", "del", NAME], check=False)
        shutil.rmtree(hosts.parent)


def test_a_test_says_where_it_arrived_and_why_not(told: Any) -> None:
    status, sinks = told["tried"]
    problems = {each["name"]: each["problem"] for each in sinks}
    assert status == 1 and [name for name, problem in problems.items() if problem] == ["dead"]
    assert problems.keys() == {"mail", "slack", "teams", "dead"}


def test_what_is_wrong_and_that_it_is_over_arrives_everywhere(told: Any) -> None:
    assert told["heard"] == [["mail", "slack", "teams"]] * 3
    found = {(path.partition("T1JJ")[0], SECRETS["teams"] in path) for path in told["paths"]}
    assert ("/services/", False) in found and any(teams for _, teams in found)


def test_a_dead_sink_is_said_once_and_its_notices_wait(told: Any) -> None:
    lines = [line for line in told["journal"].splitlines() if "event=alert-failed" in line]
    assert len(lines) == 1 and "sink=dead" in lines[0]
    (row,) = [line.split() for line in told["listed"].splitlines() if line.startswith("dead ")]
    assert row[1] == "mailtos" and row[2] == "0" and int(row[3]) >= 3


def test_nothing_of_an_address_is_in_a_line_or_an_answer(told: Any) -> None:
    assert [name for name, secret in SECRETS.items() if secret in told["said"]] == []
    assert "alert-raised" in told["journal"]
