"""A running SBC tells collectors what happens, whole calls long, and does not need them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sbc.demo.lab import HOST, SBC_NAME
from tests.edge.attacked import Attacked, attacked
from tests.edge.collecting import Datagrams
from tests.edge.sbc_command import sbc
from tests.peers.waiting import until
from tests.unit.observe.test_hep import chunks
from tests.unit.observe.test_syslog import read

pytestmark = pytest.mark.slow

CALLED = "+12125550100"
TO = f"sip:{CALLED}@{SBC_NAME}"
SHORT = "+1212555xxxx"


def call_and_hang_up(running: Attacked) -> str:
    call = running.office.call(running.office.dial(running.address, SBC_NAME), TO)
    assert call.wait_up(30), call.reason
    call.hang_up()
    assert call.wait_over(30)
    (record,) = running.records(1)[-1:]
    return str(record["call"])


def told(running: Attacked, text: str) -> None:
    """Let the configuration say ``text`` too."""
    with (running.directory / "sbc.yaml").open("a") as file:
        file.write(text)
    outcome = sbc(running.directory, "reload")
    assert outcome.status == 0, outcome


def test_both_legs_of_a_call_and_its_journal_reach_the_collectors(tmp_path: Path) -> None:
    homer, logs = Datagrams(), Datagrams()
    with attacked(tmp_path) as running:
        told(
            running,
            f"hep: {{to: 'udp:{HOST}:{homer.port}', id: 77}}\n"
            f"log: {{mask_numbers: 4, syslog: 'udp:{HOST}:{logs.port}'}}\n",
        )
        call = call_and_hang_up(running)
        heard = until(
            lambda: [each for each in map(chunks, list(homer.heard)) if each[17] == call.encode()],
            "both sides have said BYE and heard its answer",
            holds=lambda found: (
                sum(b"CSeq: 2 BYE" in each[15] or b" BYE\r\n" in each[15] for each in found) == 4
            ),
        )
        starts = [each[15].split(b"\r\n")[0] for each in heard]
        assert sum(each.startswith(b"INVITE ") for each in starts) == 2
        assert sum(each.startswith(b"ACK ") for each in starts) == 2
        assert {each[12] for each in heard} == {(77).to_bytes(4, "big")}
        # Decrypted, with what went over mutual TLS; the keys of its media are masked.
        offers = [each[15] for each in heard if b"a=crypto" in each[15]]
        assert len(offers) >= 4 and all(b"inline:xxxx" in each for each in offers)
        ports = {int.from_bytes(each[7], "big") for each in heard}
        assert running.ports.sips in ports and running.ports.carrier in {
            int.from_bytes(each[8], "big") for each in heard
        }
        assert all(CALLED.encode() in each for each in starts if each.startswith(b"INVITE ")), (
            "for the analyst"
        )

        lines = until(
            lambda: [read(each) for each in list(logs.heard)],
            holds=lambda found: any(("event", "call-ended") in each.values for each in found),
        )
        (ended,) = [dict(each.values) for each in lines if ("event", "call-ended") in each.values]
        assert (ended["call"], ended["called"], ended["from"]) == (call, SHORT, "office")
        assert CALLED not in b"".join(logs.heard).decode()
        record = running.records(1)[-1]
        assert record["called"] == SHORT and CALLED not in json.dumps(record)
        trace = sbc(tmp_path, "trace", "--last", "--whole").out
        assert SHORT in trace and CALLED not in trace and "inline:xxxx" in trace
        shown = sbc(tmp_path, "calls", "history", "--number", CALLED).out
        assert SHORT in shown and call in shown


def test_without_its_collectors_calls_go_on_and_it_is_said_once(tmp_path: Path) -> None:
    homer = Datagrams()
    port = homer.port
    homer.close()
    with attacked(tmp_path) as running:
        told(running, f"hep: udp:{HOST}:{port}\nlog: {{syslog: 'tcp:{HOST}:{port}'}}\n")
        for _ in range(3):
            call_and_hang_up(running)
        running.lines("[hep]", event="collector-lost")
        running.lines("[syslog]", event="collector-lost")
        status = sbc(tmp_path, "status").out
        assert f"hep: udp:{HOST}:{port} is not reached: connection refused" in status
        assert f"syslog: tcp:{HOST}:{port} is not reached: connection refused" in status
        homer = Datagrams(port)
        running.lines("[hep]", event="collector-back")
        until(lambda: any(b"BYE sip:" in each for each in homer.heard), "what waited comes")
        assert len(running.lines("[hep]", event="collector-lost")) == 1
        assert len(running.lines("[syslog]", event="collector-lost")) == 1
        homer.close()


def test_where_nothing_is_to_be_told_nobody_listens(tmp_path: Path) -> None:
    homer = Datagrams()
    with attacked(tmp_path) as running:
        told(running, f"hep: udp:{HOST}:{homer.port}\n")
        call_and_hang_up(running)
        until(lambda: homer.heard)
        text = (tmp_path / "sbc.yaml").read_text()
        (tmp_path / "sbc.yaml").write_text(text.replace(f"hep: udp:{HOST}:{homer.port}\n", ""))
        assert sbc(tmp_path, "reload").status == 0
        before = len(homer.heard)
        call_and_hang_up(running)
        assert len(homer.heard) == before
    homer.close()
