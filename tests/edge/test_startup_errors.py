"""What an operator is told when the SBC cannot start: one line, what, where and the remedy; nothing runs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from gevent import socket

from sbc.demo.lab import LabPorts, write_configuration
from sbc.net.system.control import ControlServer
from tests.edge.sbc_command import sbc
from tests.peers.ports import lab_ports

pytestmark = pytest.mark.slow


@pytest.fixture
def ports() -> LabPorts:
    return lab_ports()


@pytest.fixture
def lab(tmp_path: Path, ports: LabPorts) -> Path:
    write_configuration(tmp_path, ports, time.time())
    return tmp_path


@contextmanager
def taken(port: int) -> Iterator[None]:
    """Somebody else has this port."""
    with socket.create_server(("127.0.0.1", port)):
        yield


def _nothing_started(lab: Path, ports: LabPorts) -> None:
    assert not (lab / "run" / "sbc.sock").exists()
    for port in (ports.sips, ports.admin):
        with socket.create_server(("127.0.0.1", port)):
            pass


def test_a_wrong_configuration_starts_nothing(lab: Path, ports: LabPorts) -> None:
    broken = "rules:\n  - name: x\n    when: trunk ==\n    then: reject 403\n"
    (lab / "routes.d" / "20-x.yaml").write_text(broken)
    outcome = sbc(lab, "run")
    assert outcome.status == 1
    assert "routes.d/20-x.yaml:3:" in outcome.err and "1 mistake; nothing was started" in outcome.err
    assert "Traceback" not in outcome.err and not outcome.out
    assert not (lab / "run").exists()
    _nothing_started(lab, ports)


def test_a_listeners_port_in_use(lab: Path, ports: LabPorts) -> None:
    with taken(ports.sips):
        line = sbc(lab, "run").refused_in_one_line()
    for part in ("listener trunk-tls", f"127.0.0.1:{ports.sips}", "Address already in use", "choose another"):
        assert part in line
    _nothing_started(lab, ports)


def test_the_admin_port_in_use(lab: Path, ports: LabPorts) -> None:
    with taken(ports.admin):
        line = sbc(lab, "run").refused_in_one_line()
    for part in ("admin", f"127.0.0.1:{ports.admin}", "Address already in use", "admin.bind in sbc.yaml"):
        assert part in line
    _nothing_started(lab, ports)


def test_another_portcullis_with_the_same_control_socket(lab: Path) -> None:
    other = ControlServer(lab / "run" / "sbc.sock", {})
    other.start()
    try:
        line = sbc(lab, "run").refused_in_one_line()
        assert "another Portcullis is running" in line and "run/sbc.sock" in line and "stop it first" in line
        assert (lab / "run" / "sbc.sock").exists(), "the other's socket stays"
    finally:
        other.stop()


def test_a_control_socket_left_by_a_dead_process_is_replaced(lab: Path, ports: LabPorts) -> None:
    (lab / "run").mkdir()
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(lab / "run" / "sbc.sock"))
    dead.close()
    with taken(ports.sips):
        assert "listener trunk-tls" in sbc(lab, "run").refused_in_one_line()


def test_a_control_socket_whose_path_is_too_long(lab: Path) -> None:
    with (lab / "sbc.yaml").open("a") as settings:
        settings.write(f"control: run/{'x' * 120}.sock\n")
    line = sbc(lab, "run").refused_in_one_line()
    assert "control socket" in line and "too long" in line and "control" in line.partition("too long")[2]


@pytest.mark.parametrize("name", ["sbc.key", "sbc.pem"])
def test_a_missing_file_is_named_with_the_place_that_names_it(lab: Path, ports: LabPorts, name: str) -> None:
    (lab / "tls" / name).unlink()
    outcome = sbc(lab, "run")
    assert outcome.status == 1 and "Traceback" not in outcome.err
    assert "sbc.yaml:" in outcome.err and f"tls/{name}" in outcome.err
    _nothing_started(lab, ports)


@pytest.mark.parametrize("name", ["sbc.key", "sbc.pem"])
def test_a_file_that_cannot_be_read(lab: Path, ports: LabPorts, name: str) -> None:
    (lab / "tls" / name).unlink()
    (lab / "tls" / name).mkdir()
    outcome = sbc(lab, "run")
    assert outcome.status == 1 and "Traceback" not in outcome.err
    assert f"tls/{name}" in outcome.err
    _nothing_started(lab, ports)


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    outcome = sbc(tmp_path / "nowhere", "run")
    assert outcome.status == 1 and "Traceback" not in outcome.err
    assert "nowhere: error: there is no such directory" in outcome.err and "-c DIR" in outcome.err


def test_a_state_directory_that_cannot_be_made(lab: Path) -> None:
    (lab / "run").write_text("a file is in the way")
    line = sbc(lab, "run").refused_in_one_line()
    assert "state directory" in line and "run" in line and "`state` in sbc.yaml" in line


def test_call_records_that_cannot_be_written(lab: Path) -> None:
    (lab / "run" / "calls.jsonl").mkdir(parents=True)
    line = sbc(lab, "run").refused_in_one_line()
    assert "call records" in line and "calls.jsonl" in line and "`state` in sbc.yaml" in line
