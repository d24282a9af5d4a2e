"""Signals at odd moments: while it starts, while it drains, many at once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.edge.own_files import OwnFiles
from tests.edge.sbc_command import sbc
from tests.peers.ports import free_ports
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

SETTINGS = """\
listeners:
  udp: {{bind: "127.0.0.1:{0}", transport: udp}}
media: {{address: 127.0.0.1, ports: 21000-21009}}
"""
TRUNK = "trunk: pbx\nlistener: udp\nsources: [127.0.0.0/8]\n"
ROUTES = "rules: [{name: all, when: true, then: 'reject 486'}]\n"
# What is told of while the configuration is read for the first time: a log is rotated, a reload is asked for.
HOOK = """\
import os, signal
try:
    os.close(os.open({0!r}, os.O_CREAT | os.O_EXCL))
    for each in (signal.SIGUSR1, signal.SIGHUP):
        os.kill(os.getpid(), each)
except FileExistsError:
    pass

def on_invite(facts):
    return None
"""


def running(directory: Path, **more: str) -> OwnFiles:
    (port,) = free_ports(1)
    files = {"sbc.yaml": SETTINGS.format(port), "trunks.d/pbx.yaml": TRUNK, "routes.d/1.yaml": ROUTES, **more}
    return OwnFiles(directory, files, udp=(port,))


def test_a_rotated_log_or_a_reload_ends_none_that_is_starting(tmp_path: Path) -> None:
    marker = tmp_path / "was-told"
    made = running(tmp_path, **{"hooks/10-told.py": HOOK.format(str(marker))})
    with made:
        assert marker.exists() and sbc(tmp_path, "status").status == 0


def test_signals_in_a_row_are_all_taken_and_it_ends_well(tmp_path: Path) -> None:
    with running(tmp_path) as made:
        pid = made.sbc.pid
        for number in range(200):
            os.kill(pid, signal.SIGUSR1)
            if number % 20 == 0:
                (tmp_path / "routes.d" / "1.yaml").write_text(f"{ROUTES}# {number}\n")
                os.kill(pid, signal.SIGHUP)
        assert sbc(tmp_path, "status").status == 0
        more = f'  more: {{bind: "127.0.0.1:{free_ports(1)[0]}", transport: tcp}}\nmedia:'
        settings = tmp_path / "sbc.yaml"
        settings.write_text(settings.read_text().replace("media:", more))
        os.kill(pid, signal.SIGHUP)
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGHUP)
        assert until(made.sbc.process.poll, holds=lambda status: status is not None) == 0
        assert made.log().rstrip().splitlines()[-1].split()[2] == "[stop]"
