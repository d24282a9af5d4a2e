"""``sbc trust`` of a running SBC: real handshakes both ways, and what a restart must not lose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from sbc.base import Address
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.tls import Credentials, Refused, connect
from tests.edge.attacked import TO, Attacked, attacked
from tests.edge.sbc_command import sbc
from tests.peers.faults import Sbc
from tests.peers.kept import keep

pytestmark = pytest.mark.slow


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Attacked]:
    with attacked(tmp_path) as made:
        yield made


def shown(attacked: Attacked, trunk: str) -> dict[str, Any]:
    answer = sbc(attacked.directory, "trust", trunk, "--json")
    assert answer.status == 0, answer
    (view,) = json.loads(answer.out)["trunks"]
    return {**view, **{each["direction"]: each for each in view["directions"]}}


def test_a_call_and_a_stranger_are_in_the_ledger_and_stay(running: Attacked) -> None:
    call = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
    assert call.wait_up(30), call.reason
    office, carrier = shown(running, "office"), shown(running, "carrier")
    assert office["inbound"]["good"]["anchor"] == "lab-ca"
    assert [each["subject"] for each in office["inbound"]["shown"]] == ["CN=office.lab.example"]
    assert carrier["outbound"]["good"]["version"] == "TLSv1.3"
    assert carrier["outbound"]["known_by"] in ("observed", "asks for none", "names none")

    tls = running.directory / "tls"
    with pytest.raises(Refused):
        stranger = Credentials(tls / "rogue.pem", tls / "rogue.key")
        connect(running.address, SBC_NAME, tls / "lab-ca.pem", stranger).recv()
    running.lines("[tls-refused]")
    office = shown(running, "office")
    bad = office["inbound"]["bad"]
    assert (bad["kind"], bad["alert"]) == ("unknown-ca", "sent 48 unknown_ca")
    assert bad["where"].startswith("trunks.d/office.yaml:") and bad["where"].endswith("(tls.trust)")
    assert [each["name"] for each in office["inbound"]["shown"]] == ["refused", "lab-ca"]
    text = sbc(running.directory, "trust", "office").out
    assert "last failure" in text and bad["where"] in text and max(map(len, text.splitlines())) <= 100
    with urlopen(f"http://{HOST}:{running.ports.admin}/trust", timeout=3) as page:
        assert bad["where"] in page.read().decode()
    with urlopen(f"http://{HOST}:{running.ports.admin}/metrics", timeout=3) as page:
        counted = (
            'sbc_trunk_handshake_alerts_total{trunk="office",alert="unknown_ca",number="48",way="sent"} 1'
        )
        assert counted in page.read().decode()

    assert running.sbc.stop() == 0
    running.sbc = Sbc(running.directory, Address(HOST, running.ports.admin))
    running.sbc.wait_ready()
    again = shown(running, "office")["inbound"]
    assert (again["bad"], again["good"]) == (bad, office["inbound"]["good"])
    assert [each["name"] for each in again["shown"]] == ["refused", "lab-ca"]
    trunks = json.loads(sbc(running.directory, "status", "--json").out)["trunks"]
    peers = {each["name"]: each["peer"]["subject"] for each in trunks if each["peer"]}
    assert peers["office"] == "CN=office.lab.example", "its end is known without a connection"


def test_a_ledger_that_cannot_be_read_is_begun_anew(running: Attacked) -> None:
    assert running.sbc.stop() == 0
    keep(running.directory / "run", "ledger", {"office": 1})
    running.sbc = Sbc(running.directory, Address(HOST, running.ports.admin))
    running.sbc.wait_ready()
    assert "entries of ledger" in running.lines("[state]")[0]["text"]
    assert shown(running, "office")["inbound"]["good"] is None


def test_a_trunk_that_is_not_there(running: Attacked) -> None:
    assert "there is no trunk nobody" in sbc(running.directory, "trust", "nobody").refused_in_one_line()
    assert "trunk plain has no TLS" in sbc(running.directory, "trust", "plain").refused_in_one_line()
