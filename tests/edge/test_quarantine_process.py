"""A quarantined trunk in a running SBC: what the operator reads, and how it is mended."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from sbc.base import Address
from sbc.demo.lab import HOST, LabPorts, write_configuration
from tests.edge.sbc_command import sbc
from tests.peers.faults import Sbc
from tests.peers.ports import lab_ports
from tests.peers.waiting import until_equal

pytestmark = pytest.mark.slow


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[tuple[Path, LabPorts]]:
    ports = lab_ports()
    write_configuration(tmp_path, ports, time.time())
    yield tmp_path, ports


def health(ports: LabPorts) -> dict[str, object]:
    with urlopen(f"http://{HOST}:{ports.admin}/sip-tls/health", timeout=3) as answer:
        found: dict[str, object] = json.load(answer)
        return found


def test_it_is_named_everywhere_and_the_other_trunk_serves(lab: tuple[Path, LabPorts]) -> None:
    directory, ports = lab
    authority = directory / "tls" / "lab-ca.pem"
    good = authority.read_bytes()
    authority.write_text("-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n")
    checked = sbc(directory, "check")
    assert checked.status == 3
    assert "quarantined: trunk office because sbc.yaml:" in checked.err and "tls/lab-ca.pem" in checked.err
    assert "trunk carrier" not in checked.err and "would run without what is broken" in checked.out
    assert sbc(directory, "check", "--strict").status == 1
    told = json.loads(sbc(directory, "check", "--json").out)
    assert told["status"] == "partly" and list(told["quarantined"]) == ["office"]
    process = Sbc(directory, Address(HOST, ports.admin))
    try:
        process.wait_ready()
        said = process.find("[trunk]")
        assert (said["trunk"], said["event"]) == ("office", "trunk-quarantined")
        shown = sbc(directory, "status").out
        assert "quarantined: office: sbc.yaml:" in shown and "tls/lab-ca.pem" in shown
        hint = "copy it again, whole: openssl x509 -in tls/lab-ca.pem"
        assert hint in checked.err and hint in shown and hint in said["reason"]
        assert health(ports)["status"] == "degraded"
        authority.write_bytes(good)
        until_equal(lambda: health(ports)["status"], "listening", "the mended file is noticed")
        assert "quarantined" not in sbc(directory, "status").out
        authority.write_bytes(b"")
        answer = sbc(directory, "reload")
        assert answer.status == 3 and "held: trunk office runs on what was in force before" in answer.err
        assert "quarantined" not in answer.out and "version" in answer.out
        assert "held: office: runs on what was in force before" in sbc(directory, "status").out
        assert health(ports)["status"] == "degraded"
    finally:
        assert process.stop() == 0
