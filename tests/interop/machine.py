"""A machine of its own to install into: this one's files beneath, and whatever is written goes elsewhere.

Root alone may have one: an overlay file system over this machine's root, and commands that run within it.
What runs there is the tree that is tested, by the interpreter that tests it.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.edge.sbc_command import ROOT
from tests.peers.faults import in_text
from tests.peers.needs import needs

PACKAGING = ROOT / "packaging"
_BOUND = ("proc", "dev", "sys")


def wheel() -> str:
    """The wheel of this very environment."""
    found = list(Path(sys.prefix, "build").glob("portcullis_sbc-*.whl"))
    assert len(found) == 1, "`make rest` builds one wheel in the environment that the tests run in"
    return str(found[0])


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    status: int
    said: str


class Machine:
    """``root`` is its root directory as this machine sees it."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *argv: str, user: str = "", seconds: float = 120) -> Ran:
        """Run a command in it to its end, as ``user`` or root."""
        as_user = ["setpriv", "--reuid", user, "--regid", user, "--clear-groups", "--"] if user else []
        # A daemon keeps what it got of its starter: a pipe would then never end.
        out = self.root / "tmp" / "said"
        with out.open("wb") as file:
            done = subprocess.run(
                ["chroot", str(self.root), *as_user, *argv], stdin=subprocess.DEVNULL, stdout=file,
                stderr=subprocess.STDOUT, timeout=seconds, cwd="/",
            )  # fmt: skip
        said = out.read_text(errors="replace")
        assert not (fault := in_text(said)), fault
        return Ran(done.returncode, said)

    def service(self, verb: str, user: str = "") -> Ran:
        """``/etc/init.d/portcullis VERB``."""
        return self.run("/etc/init.d/portcullis", verb, user=user)

    def path(self, name: str) -> Path:
        """Where its file ``name`` is."""
        return self.root / name.lstrip("/")

    @property
    def pid(self) -> int:
        """The process of the service, by its file."""
        return int(self.path("/run/portcullis/portcullis.pid").read_text())


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


def _open_to_all(machine: Machine, path: Path) -> None:
    """Let every user of the machine come to ``path``, which may be in root's home."""
    for each in reversed(path.parents):
        there = machine.path(str(each))
        if not there.stat().st_mode & 0o001:
            there.chmod(there.stat().st_mode | 0o001)


def _install(machine: Machine) -> None:
    """What packaging/install.sh does, but for building: the program is the tree."""
    program = machine.path("/usr/sbin/sbc")
    site = [str(ROOT), *(each for each in sys.path if each.endswith("site-packages"))]
    program.write_text(
        f"#!{sys.executable} -I\nimport sys\nsys.path[:0] = {site!r}\n"
        "from sbc.cli import main\nsys.exit(main())\n"
    )
    program.chmod(0o755)
    for mode, name, place in (
        (0o755, "portcullis.init", "/etc/init.d/portcullis"),
        (0o644, "portcullis.default", "/etc/default/portcullis"),
        (0o644, "portcullis.logrotate", "/etc/logrotate.d/portcullis"),
        (0o644, "portcullis.service", "/lib/systemd/system/portcullis.service"),
    ):
        path = machine.path(place)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text((PACKAGING / name).read_text())
        path.chmod(mode)
    assert machine.run("/bin/sh", str(PACKAGING / "prepare.sh")).status == 0


@contextmanager
def bare_machine(directory: Path) -> Iterator[Machine]:
    """A machine without Portcullis; whatever runs in it is killed in the end."""
    if os.getuid() != 0:
        pytest.skip("NOT ROOT: a service is installed and started by root")
    root = directory / "root"
    _mount_all(directory, root)
    made = Machine(root)
    try:
        _open_to_all(made, Path(sys.executable).resolve())
        _open_to_all(made, ROOT / "sbc")
        yield made
    finally:
        _kill_within(root)
        for name in (*_BOUND, ""):
            subprocess.run(["umount", "-l", str(root / name)], check=False, capture_output=True)
        subprocess.run(["umount", "-l", str(directory)], check=False, capture_output=True)


@contextmanager
def machine(directory: Path) -> Iterator[Machine]:
    """A machine with Portcullis installed, and no configuration."""
    with bare_machine(directory) as made:
        _install(made)
        yield made


@contextmanager
def debian_machine(directory: Path) -> Iterator[Machine]:
    """A machine with nothing but a small Debian of this one's release, fetched from its archive: a minute."""
    if os.getuid() != 0:
        pytest.skip("NOT ROOT: only root makes a machine")
    needs("debootstrap")
    release = dict(re.findall(r"^(\w+)=\"?(.*?)\"?$", Path("/etc/os-release").read_text(), re.M))
    root = directory / "root"
    packages = "python3,tzdata,libstdc++6,procps"
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={packages}", release["VERSION_CODENAME"], str(root)],
        capture_output=True, text=True, timeout=1800,
    )  # fmt: skip
    if done.returncode != 0:
        pytest.skip(f"NO DEBIAN: its archive cannot be had: {done.stdout[-300:]}")
    try:
        _bind(root)
        _enterable(directory, root)
        yield Machine(root)
    finally:
        _kill_within(root)
        for name in _BOUND:
            subprocess.run(["umount", "-l", str(root / name)], check=False, capture_output=True)


def _bind(root: Path) -> None:
    for name in _BOUND:
        _mount("--rbind", f"/{name}", str(root / name))
        _mount("--make-rslave", str(root / name))


def _enterable(directory: Path, root: Path) -> None:
    """The mode of a root that is in a test's own folder, and which other users have to enter."""
    for path in (directory, root, *root.parents):
        if path.stat().st_mode & 0o055 != 0o055 and path != Path("/"):
            path.chmod(path.stat().st_mode | 0o055)


def _mount_all(directory: Path, root: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    try:
        _mount("-t", "tmpfs", "tmpfs", str(directory))  # an overlay's upper side may be no overlay itself
        for name in ("root", "upper", "work"):
            (directory / name).mkdir()
        sides = f"lowerdir=/,upperdir={directory}/upper,workdir={directory}/work"
        _mount("-t", "overlay", "overlay", "-o", sides, str(root))
        _bind(root)
    except subprocess.CalledProcessError as failed:
        pytest.skip(f"NO OVERLAY: this system mounts none: {failed.stderr.decode().strip()}")
    _enterable(directory, root)


def _kill_within(root: Path) -> None:
    for each in Path("/proc").iterdir():
        try:
            within = each.name.isdigit() and Path(os.readlink(each / "root")) == root
        except OSError:
            continue
        if within:
            os.kill(int(each.name), signal.SIGKILL)
