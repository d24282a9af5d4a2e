"""``make install``: what it puts where, that it runs there, and that it spares what an operator changed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.machine import PACKAGING, Machine, bare_machine, wheel

pytestmark = [pytest.mark.interop, pytest.mark.slow]


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Machine]:
    with bare_machine(tmp_path / "machine") as where:
        yield where


def test_it_is_installed_runs_and_is_installed_again(bare: Machine) -> None:
    install = ("/bin/sh", str(PACKAGING / "install.sh"), sys.executable, wheel())
    first = bare.run(*install, seconds=600)
    assert first.status == 0, first.said
    told = bare.run("/usr/sbin/sbc", "--version", user="portcullis")
    assert told.status == 0 and told.said.startswith("Portcullis "), told.said
    where = bare.run(
        "/usr/bin/env", "-i", "/usr/sbin/sbc", "check", "-c", "/etc/portcullis", user="portcullis"
    )
    assert where.status == 1 and "sbc.yaml" in where.said
    assert bare.service("status").status == 3
    for path, mode in (
        ("/etc/portcullis", 0o750), ("/etc/portcullis/tls", 0o750), ("/var/lib/portcullis", 0o750),
        ("/etc/init.d/portcullis", 0o755), ("/etc/default/portcullis", 0o644),
        ("/etc/logrotate.d/portcullis", 0o644), ("/lib/systemd/system/portcullis.service", 0o644),
        ("/etc/fail2ban/filter.d/portcullis.conf", 0o644),
        ("/usr/share/man/man8/sbc.8.gz", 0o644), ("/usr/share/man/man5/sbc.yaml.5.gz", 0o644),
        ("/usr/share/man/man5/routes.d.5.gz", 0o644), ("/usr/share/bash-completion/completions/sbc", 0o644),
    ):  # fmt: skip
        assert bare.path(path).stat().st_mode & 0o777 == mode, path
    with bare.path("/etc/default/portcullis").open("a") as settings:
        settings.write("STOP_WITHIN=300\n")
    again = bare.run(*install, seconds=600)
    assert again.status == 0 and "/etc/default/portcullis is kept as it is" in again.said
    assert "STOP_WITHIN=300" in bare.path("/etc/default/portcullis").read_text()
    fresh = bare.path("/etc/default/portcullis.new").read_text()
    assert fresh == (PACKAGING / "portcullis.default").read_text()


def test_a_python_that_the_service_may_not_run_is_named(bare: Machine) -> None:
    """One in somebody's home, say."""
    for each in Path(sys.executable).resolve().parents:
        if bare.path(str(each)).stat().st_uid == 0 and each != Path("/"):
            last = bare.path(str(each))
    last.chmod(0o700)
    told = bare.run("/bin/sh", str(PACKAGING / "install.sh"), sys.executable, wheel(), seconds=600)
    assert told.status == 1 and "make install PYTHON=/usr/bin/python3" in told.said
    assert not bare.path("/usr/sbin/sbc").exists() and not bare.path("/usr/lib/portcullis").exists()
