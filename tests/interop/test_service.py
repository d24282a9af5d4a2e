"""The service as a Debian machine runs it: its init script through all verbs, logrotate, the systemd unit.

What a service manager hears is in test_service_manager.py. The exit statuses are those of the Linux Standard
Base, 22.2 (Init Script Actions).
"""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbc.base import Address
from sbc.demo.lab import HOST, SBC_NAME, LabPorts, write_configuration
from sbc.demo.tls import Credentials, connect
from tests.interop.machine import Machine, machine
from tests.peers.needs import needs
from tests.peers.ports import lab_ports
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow]

CONFIG, LOG = "/etc/portcullis", "/var/log/portcullis/portcullis.log"
BROKEN = "rules:\n  - name: x\n    when: trunk ==\n    then: reject 403\n"


class Installed:
    """A machine with the lab's configuration."""

    def __init__(self, where: Machine) -> None:
        self.machine = where
        self.ports: LabPorts = lab_ports()

    def configure(self) -> None:
        directory = self.machine.path(CONFIG)
        write_configuration(directory, self.ports, time.time())
        settings = directory / "sbc.yaml"
        more = "control: /run/portcullis/sbc.sock\nstate: /var/lib/portcullis\n"
        settings.write_text(settings.read_text() + more)
        assert self.machine.run("chown", "-R", "portcullis:portcullis", f"{CONFIG}/tls").status == 0

    @property
    def broken(self) -> Path:
        return self.machine.path(f"{CONFIG}/routes.d/90-broken.yaml")

    def answers(self) -> bool:
        """Whether a peer's handshake succeeds: the SBC is there, with its own user's rights."""
        tls = self.machine.path(f"{CONFIG}/tls")
        shown = Credentials(tls / "office.pem", tls / "office.key")
        stream = connect(Address(HOST, self.ports.sips), SBC_NAME, tls / "lab-ca.pem", shown)
        stream.close()
        return True

    def state(self) -> int:
        return self.machine.service("status").status


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Installed]:
    with machine(tmp_path / "machine") as where:
        yield Installed(where)


def test_without_a_configuration_or_a_program_nothing_starts(installed: Installed) -> None:
    where = installed.machine
    assert installed.state() == 3
    missing = where.service("start")
    assert missing.status == 6 and f"there is no {CONFIG}/sbc.yaml" in missing.said
    installed.configure()
    installed.broken.write_text(BROKEN)
    wrong = where.service("start")
    assert wrong.status == 6 and "routes.d/90-broken.yaml:3:" in wrong.said
    where.path("/usr/sbin/sbc").unlink()
    assert where.service("start").status == 5
    assert installed.state() == 3


def test_the_verbs_and_their_exit_statuses(installed: Installed) -> None:
    installed.configure()
    where = installed.machine
    for verb in ("start", "stop", "restart", "reload"):
        assert where.service(verb, user="portcullis").status == 4, verb
    assert where.service("dance").status == 2
    assert where.service("reload").status == 7
    assert where.service("stop").status == 0, "what is not running is stopped"
    assert where.service("try-restart").status == 0 and installed.state() == 3
    began = where.service("start")
    assert began.status == 0, began.said
    first = where.pid
    assert installed.state() == 0 and installed.answers(), "it is started when every port is bound"
    owner = Path(f"/proc/{first}/status").read_text()
    user = int(re.findall(r"^portcullis:x:(\d+):", where.path("/etc/passwd").read_text(), re.M)[0])
    assert f"Uid:\t{user}\t{user}\t{user}\t{user}\n" in owner and "CapEff:\t0000000000000000\n" in owner
    assert where.service("start").status == 0 and where.pid == first, "twice is once"
    second = where.run("/usr/sbin/sbc", "run", "-c", CONFIG, user="portcullis")
    assert second.status == 1 and len(second.said.splitlines()) == 1
    assert "another Portcullis is running" in second.said
    assert where.service("reload").status == 0 and where.pid == first
    assert where.service("restart").status == 0 and where.pid != first and installed.answers()
    before = where.pid
    assert where.service("try-restart").status == 0 and where.pid != before
    assert where.service("stop").status == 0 and installed.state() == 3
    assert until(lambda: "[stop]" in where.path(LOG).read_text())


def test_a_port_under_1024_takes_one_capability_and_no_other(installed: Installed) -> None:
    installed.configure()
    where = installed.machine
    settings = where.path(f"{CONFIG}/sbc.yaml")
    settings.write_text(settings.read_text().replace(f":{installed.ports.admin}", ":879"))
    refused = where.service("start")
    assert refused.status == 1 and ":879: Permission denied" in refused.said
    assert installed.state() == 3
    with where.path("/etc/default/portcullis").open("a") as file:
        file.write("LOW_PORTS=yes\n")
    assert where.service("start").status == 0
    capable = Path(f"/proc/{where.pid}/status").read_text()
    for each in ("CapPrm", "CapEff", "CapAmb"):
        assert f"{each}:\t0000000000000400\n" in capable, capable


def test_mistakes_are_shown_and_stop_nothing(installed: Installed) -> None:
    installed.configure()
    where = installed.machine
    assert where.service("start").status == 0
    pid = where.pid
    installed.broken.write_text(BROKEN)
    for verb, status in (("reload", 1), ("force-reload", 1), ("restart", 6)):
        told = where.service(verb)
        assert (told.status, where.pid) == (status, pid), (verb, told.said)
        assert "routes.d/90-broken.yaml:3:" in told.said
    assert installed.state() == 0 and installed.answers()


def test_after_a_crash_it_is_known_to_be_dead_and_starts_again(installed: Installed) -> None:
    installed.configure()
    where = installed.machine
    assert where.service("start").status == 0
    os.kill(where.pid, signal.SIGKILL)
    until(lambda: installed.state() == 1, "it is dead")
    # Its number is given to another one meanwhile; in a container that is started anew that is soon.
    where.path("/run/portcullis/portcullis.pid").write_text(f"{os.getpid()}\n")
    assert installed.state() == 1
    began = where.service("start")
    assert began.status == 0 and installed.state() == 0 and installed.answers(), began.said


def test_logrotate_leaves_no_line_behind(installed: Installed) -> None:
    needs("logrotate")
    installed.configure()
    where = installed.machine
    assert where.service("start").status == 0
    until(lambda: "[start]" in where.path(LOG).read_text())
    assert where.path(LOG).stat().st_mode & 0o777 == 0o640
    beside = where.path(LOG).with_name("stderr.out")
    with beside.open("a") as errors:
        errors.write("a library complains\n")
    rotated = where.run("logrotate", "--force", "--verbose", "/etc/logrotate.d/portcullis")
    assert rotated.status == 0, rotated.said
    until(
        lambda: f"{LOG}.1" not in _open_files(where.pid),
        "the former file is let go of, though nothing is said",
    )
    path = where.path(f"{CONFIG}/routes.d/10-lab.yaml")
    path.write_text(path.read_text() + "# changed\n")
    assert where.service("reload").status == 0
    until(lambda: "[reload]" in where.path(LOG).read_text(), "the new file has what is said now")
    assert "[start]" in where.path(f"{LOG}.1").read_text()
    assert any(each.endswith("/stderr.out") for each in _open_files(where.pid)), (
        "what is printed is found there"
    )
    assert beside.read_text() == ""


def _open_files(pid: int) -> list[str]:
    found = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(os.readlink(each))
        except OSError:
            continue
    return found


def test_the_unit_is_right_and_exposes_little(installed: Installed) -> None:
    needs("systemd-analyze")
    unit = "/lib/systemd/system/portcullis.service"
    verified = installed.machine.run("systemd-analyze", "verify", "--man=no", unit)
    ours = [line for line in verified.said.splitlines() if "portcullis" in line]
    assert verified.status == 0 and not ours, verified.said
    judged = installed.machine.run("systemd-analyze", "security", "--offline=true", "--threshold=20", unit)
    assert judged.status == 0, judged.said
