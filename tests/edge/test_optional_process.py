"""A migration to mutual TLS: what `sbc status` says of a trunk in mode optional, over a restart."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from sbc.base import Address
from sbc.demo.lab import HOST, write_configuration
from sbc.demo.tls import Credentials, Refused, connect
from tests.edge.sbc_command import sbc
from tests.peers.asking import ask
from tests.peers.faults import Sbc
from tests.peers.ports import lab_ports
from tests.peers.waiting import until

pytestmark = pytest.mark.slow


def trunk(directory: Path) -> dict[str, Any]:
    status = ask(directory / "run" / "sbc.sock", "status")
    found: dict[str, Any] = next(each for each in status["trunks"] if each["name"] == "office")
    return found


def _counted(directory: Path, wanted: list[list[Any]]) -> bool:
    return bool(trunk(directory)["shown"] == wanted)


def come(directory: Path, port: int, shown: str | None) -> None:
    credentials = None
    if shown is not None:
        credentials = Credentials(directory / "tls" / f"{shown}.pem", directory / "tls" / f"{shown}.key")
    try:
        trusted = directory / "tls" / "lab-ca.pem"
        source = "127.0.0.2" if shown == "office" else HOST
        connect(Address(HOST, port), "sbc.lab.example", trusted, credentials, source).close()
    except (Refused, OSError):
        pass


def test_who_shows_what_is_counted_and_kept(tmp_path: Path) -> None:
    ports = lab_ports()
    write_configuration(tmp_path, ports, time.time())
    for name in ("office", "carrier"):
        file = tmp_path / "trunks.d" / f"{name}.yaml"
        sources = "127.0.0.0/8" if name == "office" else "192.0.2.1"
        text = file.read_text().replace("mode: required", "mode: optional").replace("127.0.0.0/8", sources)
        file.write_text(text)
    for attempt in range(2):
        process = Sbc(tmp_path, Address(HOST, ports.admin))
        try:
            process.wait_ready()
            for shown in ("office", None, None, "rogue"):
                come(tmp_path, ports.sips, shown)
            wanted = [["presented", 1 + attempt], ["absent", 2 + 2 * attempt], ["bad", 1 + attempt]]
            until(partial(_counted, tmp_path, wanted))
            said = sbc(tmp_path, "status").out
            assert "optional: office: `required` would refuse 1 of 2 addresses" in said
            assert f"127.0.0.1 ({2 + 2 * attempt} handshakes without a certificate" in said
            assert "optional: carrier: nobody has connected since" in said
        finally:
            assert process.stop() == 0
