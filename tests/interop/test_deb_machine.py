"""The Debian package on a small Debian of its own: installed, calls, an upgrade with a call up, purged.

Nothing but the package is there: no compiler, no pip, and while dpkg works no network either.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from sbc.base import Address
from sbc.demo.agent import Agent
from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST, SBC_NAME, write_configuration
from sbc.demo.tls import Credentials
from tests.edge.attacked import TO
from tests.interop.machine import Machine, Ran, debian_machine
from tests.interop.test_deb import built
from tests.peers.ports import lab_ports
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.long]

CONFIG, LOG = "/etc/portcullis", "/var/log/portcullis/portcullis.log"
BROKEN = "rules:\n  - name: x\n    when: trunk ==\n    then: reject 403\n"
FITS = f"import sys; sys.exit(sys.version_info[1] != {sys.version_info[1]})"


class Server:
    """A Debian, the package in two versions, and the lab's office and carrier beside it."""

    def __init__(self, machine: Machine, packages: dict[str, str]) -> None:
        self.machine = machine
        self.packages = packages
        self.ports = lab_ports()
        self.agents: list[Agent] = []

    def dpkg(self, *words: str) -> Ran:
        """``dpkg WORDS`` without a network; other greenlets go on meanwhile."""
        argv = ("/usr/bin/env", "DEBIAN_FRONTEND=noninteractive", "dpkg", *words)
        ran: Ran = gevent.get_hub().threadpool.apply(self.machine.run, argv, {"seconds": 600})
        return ran

    def service(self, verb: str) -> Ran:
        """``service portcullis VERB``."""
        ran: Ran = gevent.get_hub().threadpool.apply(self.machine.service, (verb,))
        return ran

    def version(self) -> str:
        """Which one is installed."""
        return self.machine.run("dpkg-query", "-W", "-f=${Version} ${db:Status-Status}", "portcullis").said

    def configure(self) -> None:
        directory = self.machine.path(CONFIG)
        write_configuration(directory, self.ports, time.time())
        settings = directory / "sbc.yaml"
        more = "control: /run/portcullis/sbc.sock\nstate: /var/lib/portcullis\ndrain: 120s\n"
        settings.write_text(settings.read_text() + more)
        assert self.machine.run("chown", "-R", "portcullis:portcullis", f"{CONFIG}/tls").status == 0

    def agent(self, name: str) -> Agent:
        tls = self.machine.path(f"{CONFIG}/tls")
        shown = Credentials(tls / f"{name}.pem", tls / f"{name}.key")
        made = Agent(name, f"{name}.lab.example", tls / "lab-ca.pem", shown)
        self.agents.append(made)
        return made

    def call(self) -> AgentCall:
        """A call of the office that is up."""
        office = self.agent("office")
        call = office.call(office.dial(Address(HOST, self.ports.sips), SBC_NAME), TO)
        assert call.wait_up(60), call.reason
        return call

    def said(self, tag: str) -> int:
        """How often the journal has ``tag``."""
        return self.machine.path(LOG).read_text().count(tag)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    first = built(tmp_path / "deb")
    with debian_machine(tmp_path / "machine") as machine:
        if machine.run("/usr/bin/python3", "-c", FITS).status:
            pytest.skip("NOT DEBIAN'S PYTHON: the tests run on another, so that the package does not fit")
        # No init system is there, without which nothing is started unless this says so.
        policy = machine.path("/usr/sbin/policy-rc.d")
        policy.write_text("#!/bin/sh\nexit 0\n")
        policy.chmod(0o755)
        packages = {}
        for each in ("first", "second"):
            path = machine.path(f"/tmp/{each}.deb")
            _repack(first.path, path, "" if each == "first" else "+second", tmp_path / each)
            packages[each] = f"/tmp/{each}.deb"
        made = Server(machine, packages)
        try:
            yield made
        finally:
            for agent in made.agents:
                agent.close()


def _repack(package: Path, to: Path, more: str, work: Path) -> None:
    """The same package as another version."""
    subprocess.run(["dpkg-deb", "-R", str(package), str(work)], check=True)
    control = work / "DEBIAN" / "control"
    lines = control.read_text().splitlines()
    control.write_text("\n".join(line + more * line.startswith("Version:") for line in lines) + "\n")
    subprocess.run(["dpkg-deb", "-Zgzip", "-z1", "-b", str(work), str(to)], check=True, capture_output=True)


def test_a_life_of_the_package(server: Server) -> None:
    installed(server)
    upgraded_with_a_call_up(server)
    refused_by_the_configuration(server)
    stopped_and_so_it_stays(server)
    removed_and_purged(server)


def installed(server: Server) -> None:
    offline = server.machine.run("unshare", "-n", "dpkg", "-i", server.packages["first"], seconds=600)
    assert offline.status == 0, offline.said
    assert f"Write {CONFIG}/sbc.yaml" in offline.said
    assert server.service("status").status == 3
    assert server.machine.run(
        "setpriv", "--reuid", "portcullis", "--clear-groups", "sbc", "--version"
    ).said.startswith("Portcullis ")
    server.configure()
    began = server.service("start")
    assert began.status == 0, began.said
    server.agent("carrier").listen(server.ports.carrier)
    call = server.call()
    call.hang_up()


def upgraded_with_a_call_up(server: Server) -> None:
    """It drains: the call goes on until its caller hangs up, and then the new version is there."""
    before = server.machine.pid
    call = server.call()
    upgrade = gevent.spawn(server.dpkg, "-i", server.packages["second"])
    until(lambda: server.said("[drain]"), "the one that runs is told to go", 300)
    assert call.state == "up" and server.machine.pid == before and not upgrade.ready()
    call.hang_up()
    ran = upgrade.get(timeout=300)
    assert ran.status == 0, ran.said
    assert server.version().endswith("+second installed")
    assert server.machine.pid != before and server.service("status").status == 0
    server.call().hang_up()


def refused_by_the_configuration(server: Server) -> None:
    """A version that does not take the configuration takes nobody's place."""
    before = server.machine.pid
    broken = server.machine.path(f"{CONFIG}/routes.d/90-broken.yaml")
    broken.write_text(BROKEN)
    ran = server.dpkg("-i", server.packages["first"])
    assert ran.status != 0 and "routes.d/90-broken.yaml:3:" in ran.said
    assert "dpkg --configure portcullis" in ran.said
    assert server.machine.pid == before
    server.call().hang_up()
    broken.unlink()
    ran = server.dpkg("--configure", "portcullis")
    assert ran.status == 0, ran.said
    assert server.machine.pid != before
    server.call().hang_up()


def stopped_and_so_it_stays(server: Server) -> None:
    assert server.service("stop").status == 0
    ran = server.dpkg("-i", server.packages["second"])
    assert ran.status == 0 and "stays so" in ran.said
    assert server.service("status").status == 3
    assert server.service("start").status == 0


def removed_and_purged(server: Server) -> None:
    machine = server.machine
    pid = machine.pid
    with machine.path("/etc/default/portcullis").open("a") as file:
        file.write("# mine\n")
    assert server.dpkg("--remove", "portcullis").status == 0
    assert not os.path.exists(f"/proc/{pid}"), "it is stopped"
    assert machine.path(f"{CONFIG}/sbc.yaml").exists() and machine.path(LOG).exists()
    assert not machine.path("/usr/lib/portcullis").exists(), "nothing that was made there is left"
    back = server.dpkg("-i", server.packages["first"])
    assert back.status == 0 and server.service("status").status == 0, "with its configuration it starts"
    assert "# mine" in machine.path("/etc/default/portcullis").read_text()
    server.call().hang_up()
    assert server.dpkg("--purge", "portcullis").status == 0
    left = machine.run(
        "find",
        "/",
        "-xdev",
        "(",
        "-path",
        "/proc",
        "-o",
        "-path",
        "/tmp",
        ")",
        "-prune",
        "-o",
        "-iname",
        "*portcullis*",
        "-print",
    )
    assert left.said == ""
    assert (
        "portcullis" not in machine.path("/etc/passwd").read_text() + machine.path("/etc/group").read_text()
    )
