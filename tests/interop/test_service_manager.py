"""A service manager runs the systemd unit's own lines: what it hears, and that what crashed starts again.

The manager is this test: it holds the socket of sd_notify(3), and does what systemd.service(5) says of
Type=notify, ExecReload= and Restart=on-failure.
"""

from __future__ import annotations

import re
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.machine import machine
from tests.interop.test_service import BROKEN, CONFIG, LOG, Installed
from tests.peers.faults import watch
from tests.peers.waiting import PATIENCE

pytestmark = [pytest.mark.interop, pytest.mark.slow]

UNIT = "/lib/systemd/system/portcullis.service"


class Manager:
    """Runs the service as its unit says, and hears what that tells it."""

    def __init__(self, installed: Installed) -> None:
        self.machine = installed.machine
        self.unit = self.machine.path(UNIT).read_text()
        where = self.machine.path("/run/notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(where))
        self._socket.settimeout(PATIENCE)
        watch(self.machine.path(LOG))
        where.chmod(0o666)
        for directory in ("/run/portcullis", "/var/lib/portcullis", "/var/log/portcullis"):
            made = self.machine.run("install", "-d", "-o", "portcullis", "-g", "portcullis", directory)
            assert made.status == 0, "RuntimeDirectory=, StateDirectory=, LogsDirectory="
        self.process: subprocess.Popen[bytes] | None = None

    def setting(self, name: str) -> str:
        """What the unit says of ``name``."""
        (found,) = re.findall(rf"^{name}=(.*)$", self.unit, re.MULTILINE)
        return str(found)

    def command(self, name: str) -> list[str]:
        """The words of ``ExecStart`` or the like, with the variables of the unit and of its file."""
        known = dict(word.split("=", 1) for word in shlex.split(self.setting("Environment")))
        file = self.machine.path(self.setting("EnvironmentFile").removeprefix("-")).read_text()
        known |= dict(re.findall(r"^(\w+)=(.*)$", file, re.MULTILINE))
        line = re.sub(r"\$\{(\w+)\}|\$(\w+)", lambda found: known[found[1] or found[2]], self.setting(name))
        return shlex.split(line)

    def start(self) -> None:
        """``systemctl start``: over when the service says that it is ready."""
        user = self.setting("User")
        argv = [
            "chroot", str(self.machine.root), "setpriv", "--reuid", user, "--regid", self.setting("Group"),
            "--clear-groups", "--", "env", "NOTIFY_SOCKET=/run/notify", *self.command("ExecStart"),
        ]  # fmt: skip
        self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, cwd="/")
        assert self.hears() == {"READY": "1"}

    def reload(self) -> int:
        """``systemctl reload``; the status of what it runs."""
        return self.machine.run(*self.command("ExecReload"), user=self.setting("User")).status

    def hears(self) -> dict[str, str]:
        """The next thing that the service says."""
        said = self._socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in said.split("\n"))

    def ends(self, how: signal.Signals) -> int:
        """Send a signal, and wait for the end; the status."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Whatever runs is killed."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._socket.close()


@pytest.fixture
def managed(tmp_path: Path) -> Iterator[tuple[Installed, Manager]]:
    with machine(tmp_path / "m") as where:
        installed = Installed(where)
        installed.configure()
        manager = Manager(installed)
        try:
            yield installed, manager
        finally:
            manager.close()


def _hears_a_reload(manager: Manager) -> None:
    before = time.monotonic_ns() // 1000
    told = manager.hears()
    assert told["RELOADING"] == "1" and int(told["MONOTONIC_USEC"]) <= before
    assert manager.hears() == {"READY": "1"}


def test_it_hears_of_start_reload_and_stop(managed: tuple[Installed, Manager]) -> None:
    installed, manager = managed
    assert manager.setting("Type") == "notify" and "WatchdogSec" not in manager.unit
    manager.start()
    assert installed.answers(), "ready is when every port is bound"
    assert manager.reload() == 0
    _hears_a_reload(manager)
    installed.broken.write_text(BROKEN)
    assert manager.reload() == 1 and installed.answers(), "what was before is in force"
    _hears_a_reload(manager)
    assert manager.process is not None
    manager.process.send_signal(signal.SIGTERM)
    told = manager.hears()
    while "STOPPING" not in told:  # it had seen the file by itself too
        assert "RELOADING" in told and manager.hears() == {"READY": "1"}
        told = manager.hears()
    assert told["STOPPING"] == "1" and int(told["EXTEND_TIMEOUT_USEC"]) > 60_000_000, "`drain` and more"
    assert manager.process.wait(PATIENCE) == 0, "which Restart=on-failure leaves stopped"
    assert "[drain]" in installed.machine.path(LOG).read_text()


def test_what_crashed_starts_again_from_the_same_lines(managed: tuple[Installed, Manager]) -> None:
    installed, manager = managed
    assert manager.setting("Restart") == "on-failure"
    for _ in range(2):
        manager.start()
        assert installed.answers()
        assert manager.ends(signal.SIGKILL) == -signal.SIGKILL, "a failure"
    settings = installed.machine.path(f"{CONFIG}/sbc.yaml")
    right = settings.read_text()
    settings.write_text("listeners: 3\n")
    manager.process = subprocess.Popen(
        ["chroot", str(installed.machine.root), *manager.command("ExecStart")], stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/",
    )  # fmt: skip
    assert manager.process.wait(PATIENCE) == 1, "a failure too, tried again until StartLimitBurst="
    settings.write_text(right)
    manager.start()
    assert installed.answers()
