"""What our user may not look into, such as `/etc/letsencrypt/live`: a line for each file, no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sbc.demo.lab import write_configuration
from sbc.net.system import space
from tests.edge.sbc_command import ROOT
from tests.peers.needs import needs
from tests.peers.ports import lab_ports
from tests.peers.product import command

pytestmark = pytest.mark.slow


def ordinary() -> list[str]:
    """What goes before a command."""
    if os.getuid() != 0:
        return []
    needs("setpriv")
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--"]


def run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``sbc WORDS`` as somebody to whom modes apply: as root without the rights that are above them."""
    argv = [*ordinary(), *command(*words, "-c", str(directory))]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    """The lab, whose certificates are in a directory that lets nobody in."""
    write_configuration(tmp_path, lab_ports(), time.time())
    (tmp_path / "tls").chmod(0o000)
    yield tmp_path
    (tmp_path / "tls").chmod(0o700)


def test_each_file_of_a_closed_directory_is_named(closed: Path) -> None:
    done = run(closed, "check")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    for name in ("sbc.pem", "sbc.key", "lab-ca.pem"):
        assert f"error: tls/{name}: the file is not readable" in done.stderr, done.stderr
    assert "mistakes; nothing was started or changed" in done.stderr


def test_a_configuration_that_nobody_may_reach_is_told(closed: Path) -> None:
    done = run(closed / "tls" / "within", "check")
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr


def test_the_room_of_the_other_disks_is_known_where_one_may_not_be_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, closed = os.stat, tmp_path / "closed" / "recordings"

    def stat(path: str | Path, **options: bool) -> os.stat_result:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied")
        return looked(path, **options)

    monkeypatch.setattr(os, "stat", stat)
    found = space._look({"records": tmp_path, "recordings": closed})
    assert [each.what for each in found] == ["records", "recordings"] and found[0].size > 0


def test_what_is_watched_is_known_while_nobody_may_look_there(closed: Path) -> None:
    """Whoever raises here ends the watch, and no change is noticed any more."""
    code = "import sys, pathlib, sbc.config.watched as w; print(len(w.watched(pathlib.Path(sys.argv[1]))))"
    argv = [*ordinary(), sys.executable, "-c", code, str(closed / "tls" / "within")]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "4\n"), done.stderr
