"""``make deb``: what is in the package, that it is made for one Python, and that it needs no network.

It is built once, of the wheel that the tests' own environment has. How it is installed, upgraded and purged
on a machine of its own is in test_deb_machine.py.
"""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pytest

from tests.interop.machine import PACKAGING, wheel
from tests.peers.needs import needs

pytestmark = [pytest.mark.interop, pytest.mark.slow]

LIB = "usr/lib/portcullis/"
MINOR = sys.version_info[1]
EPOCH = 1_790_000_000


@dataclass(frozen=True)
class Package:
    """The file, what it says of itself, its scripts, and what is in it by name."""

    path: Path
    fields: dict[str, str]
    control: dict[str, str]
    files: dict[str, tarfile.TarInfo]

    def read(self, name: str) -> bytes:
        with tarfile.open(fileobj=BytesIO(said("dpkg-deb", "--fsys-tarfile", str(self.path)))) as tar:
            file = tar.extractfile(f"./{name}")
            assert file is not None
            return file.read()


def said(*argv: str) -> bytes:
    return subprocess.run(argv, capture_output=True, check=True, timeout=300).stdout


def built(out: Path) -> Package:
    """The package, packed in haste."""
    needs("dpkg-deb", "dpkg-shlibdeps", "strip")
    script = str(PACKAGING / "deb" / "build.sh")
    environment = {**os.environ, "COMPRESSION": "-Zgzip -z1", "SOURCE_DATE_EPOCH": str(EPOCH)}
    done = subprocess.run(
        ["sh", script, sys.executable, wheel(), str(out)], env=environment, capture_output=True, text=True,
        timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    path = Path(done.stdout.split()[-1])
    whole = said("dpkg-deb", "--field", str(path)).decode()
    fields = dict(re.findall(r"^(\S+): (.*)$", whole, re.MULTILINE))
    with tarfile.open(fileobj=BytesIO(said("dpkg-deb", "--ctrl-tarfile", str(path)))) as tar:
        control = {
            each.name.removeprefix("./"): file.read().decode()
            for each in tar.getmembers()
            if (file := tar.extractfile(each)) is not None
        }
    with tarfile.open(fileobj=BytesIO(said("dpkg-deb", "--fsys-tarfile", str(path)))) as tar:
        files = {each.name.removeprefix("./"): each for each in tar.getmembers()}
    return Package(path, fields, control, files)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    return built(tmp_path_factory.mktemp("deb"))


def test_it_says_what_it_is_and_what_it_needs(package: Package) -> None:
    fields = package.fields
    arch = said("dpkg", "--print-architecture").decode().strip()
    assert (fields["Package"], fields["Architecture"]) == ("portcullis", arch)
    assert package.path.name == f"portcullis_{fields['Version']}_{arch}.deb"
    needed = fields["Depends"].split(", ")
    assert f"python3 (>= 3.{MINOR})" in needed and f"python3 (<< 3.{MINOR + 1})" in needed
    assert any(each.startswith("libc6 (>= ") for each in needed), "what compiled modules need of the system"
    assert int(fields["Installed-Size"]) > 10_000


def test_what_an_operator_may_change_is_kept(package: Package) -> None:
    assert package.control["conffiles"].split() == [
        "/etc/default/portcullis", "/etc/fail2ban/filter.d/portcullis.conf", "/etc/init.d/portcullis",
        "/etc/logrotate.d/portcullis",
    ]  # fmt: skip
    assert {
        f"/{name}" for name, each in package.files.items() if name.startswith("etc/") and each.isfile()
    } == set(package.control["conffiles"].split())


def test_what_is_in_it(package: Package) -> None:
    for name, mode in (
        ("usr/sbin/sbc", 0o755), ("etc/init.d/portcullis", 0o755), ("etc/default/portcullis", 0o644),
        ("lib/systemd/system/portcullis.service", 0o644), ("usr/share/man/man8/sbc.8.gz", 0o644),
        ("usr/share/man/man5/sbc.yaml.5.gz", 0o644), ("usr/share/man/man5/routes.d.5.gz", 0o644),
        ("usr/share/bash-completion/completions/sbc", 0o644), ("usr/share/doc/portcullis/copyright", 0o644),
        ("usr/share/doc/portcullis/docs/install.md", 0o644), (f"{LIB}sbc/cli.py", 0o644),
        (f"{LIB}dsl/grammar.lark", 0o644), (f"{LIB}gevent/__init__.py", 0o644),
    ):  # fmt: skip
        assert package.files[name].mode & 0o7777 == mode, name
    assert {(each.uid, each.gid) for each in package.files.values()} == {(0, 0)}
    assert not [name for name, each in package.files.items() if each.mode & 0o6022 and not each.issym()]
    assert package.read("usr/sbin/sbc").startswith(b"#!/usr/bin/python3 -I\n")
    page = gzip.decompress(package.read("usr/share/man/man8/sbc.8.gz")).decode()
    assert f"Portcullis {package.fields['Version']}" in page.replace("\\-", "-")


def test_it_is_compiled_where_its_wheel_is(package: Package) -> None:
    libraries = [name for name in package.files if re.match(rf"{LIB}(sbc|dsl)/.*\.so$", name)]
    assert bool(libraries) is (not wheel().endswith("-none-any.whl"))
    assert all(f".cpython-3{MINOR}-" in name for name in libraries)


def test_nothing_tells_when_and_where_it_was_built(package: Package) -> None:
    left = [
        name for name in package.files if name.endswith((".pyc", "direct_url.json", "/RECORD", "/tests/"))
    ]
    assert left == []
    assert max(each.mtime for each in package.files.values()) <= EPOCH
    assert str(package.path.parent).encode() not in package.read("usr/sbin/sbc")


def test_its_scripts_fetch_and_build_nothing(package: Package) -> None:
    for name in ("postinst", "prerm", "postrm"):
        script = package.control[name]
        assert subprocess.run(["sh", "-n"], input=script.encode()).returncode == 0, name
        assert re.search(r"\b(pip|apt|apt-get|curl|wget|git|gcc|venv|http)\b", script) is None, name
        assert "@" not in script.replace('"$@"', ""), "whatever was to be put in is in"
    for line in (PACKAGING / "prepare.sh").read_text().splitlines()[2:]:
        assert line in package.control["postinst"], "one source for the user and the directories"


def test_every_file_has_its_sum(package: Package) -> None:
    sums = {line.split("  ", 1)[1] for line in package.control["md5sums"].splitlines()}
    assert sums == {name for name, each in package.files.items() if each.isfile()}


@pytest.mark.long
def test_lintian_has_nothing_to_say(package: Package) -> None:
    needs("lintian")
    # An interpreter of one's own leaves where it lies in what it compiles; Debian's does not.
    own = [] if sys.base_prefix == "/usr" else ["--suppress-tags", "custom-library-search-path"]
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", *own, str(package.path)], text=True,
        capture_output=True, timeout=900,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, ""), done.stdout + done.stderr
