"""Collectors of others understand what they are told: Kamailio by HEP, rsyslog by RFC 5424 to 5426."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.tls import Credentials
from tests.edge.attacked import Attacked, attacked
from tests.edge.test_exports import CALLED, call_and_hang_up, told
from tests.peers.needs import needs
from tests.peers.rsyslog import Rsyslog
from tests.peers.sipcapture import Sipcapture
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow]


def test_kamailio_has_both_legs_of_a_call_under_one_correlation(tmp_path: Path) -> None:
    needs("kamailio")
    before = time.time()
    with Sipcapture(tmp_path / "homer") as homer, attacked(tmp_path / "sbc") as running:
        homer.ready()
        told(running, f"hep: {{to: 'udp:{HOST}:{homer.port}', id: 77}}\n")
        call = call_and_hang_up(running)
        rows = until(
            lambda: [each for each in homer.rows() if each["correlation_id"] == call],
            "the messages of the whole call",
            holds=lambda found: sum(" BYE" in str(each["cseq"]) for each in found) == 4,
        )
        record = running.records(1)[-1]
    assert {each["callid"] for each in rows} == {record["a"]["call_id"], record["b"]["call_id"]}
    invites = [each for each in rows if each["method"] == "INVITE"]
    assert [each["ruri_user"] for each in invites] == [CALLED, CALLED]
    office, carrier = invites
    assert (office["source_port"], office["destination_port"]) == (
        int(record["a"]["remote"].rpartition(":")[2]), running.ports.sips,
    )  # fmt: skip
    assert (carrier["source_ip"], carrier["destination_port"]) == (HOST, running.ports.carrier)
    assert all(str(each["node"]).endswith(":77") for each in rows)
    assert all(before <= each["micro_ts"] / 1e6 <= time.time() for each in rows)
    assert [each["micro_ts"] for each in rows] == sorted(each["micro_ts"] for each in rows)
    text = b"".join(each["msg"] for each in rows)
    assert b"inline:xxxx" in text and text.count(b"inline:") == text.count(b"inline:xxxx")


def ended(heard: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in heard if 'event="call-ended"' in each["data"]]


def holds_a_call(running: Attacked, collector: Rsyslog, syslog: str) -> None:
    """The end of a call arrives there whole, and as it should."""
    told(running, f"log: {{mask_numbers: 4, syslog: {syslog}}}\n")
    call = call_and_hang_up(running)
    (end,) = until(lambda: ended(collector.heard()), "the end of the call")
    assert (end["version"], end["app"], end["msgid"]) == ("1", "portcullis", "call")
    assert (end["severity"], end["facility"]) == ("6", "19")
    assert end["data"].startswith("[sbc@32473 ") and f'call="{call}"' in end["data"]
    assert 'called="+1212555xxxx"' in end["data"] and CALLED not in end["data"] + end["text"]
    assert f"call={call} event=call-ended" in end["text"]


@pytest.mark.parametrize("way", ["udp", "tcp"])
def test_rsyslog_parses_what_it_is_told(tmp_path: Path, way: Any) -> None:
    needs("rsyslogd")
    with Rsyslog(tmp_path / "logs", way) as logs, attacked(tmp_path / "sbc") as running:
        logs.ready()
        holds_a_call(running, logs, f"{{to: '{way}:{HOST}:{logs.port}', facility: local3}}")


def test_over_tls_rsyslog_and_we_know_each_other_and_what_waited_comes_after_a_restart(
    tmp_path: Path,
) -> None:
    needs("rsyslogd")
    with attacked(tmp_path / "sbc") as running:
        tls = tmp_path / "sbc" / "tls"
        shown = Credentials(tls / "carrier.pem", tls / "carrier.key")
        logs = Rsyslog(tmp_path / "logs", "tls", credentials=shown, ca=tls / "lab-ca.pem", permitted=SBC_NAME)
        to = f"tls:{HOST}:{logs.port}"
        with logs:
            logs.ready()
            holds_a_call(
                running, logs, f"{{to: '{to}', ca: tls/carrier-ca.pem, identity: sbc, facility: local3}}"
            )
        for _ in range(2):
            call_and_hang_up(running)
        running.lines("[syslog]", event="collector-lost")
        with logs:
            logs.ready()
            # What was just written when it stopped may come twice.
            until(
                lambda: {each["data"] for each in ended(logs.heard())},
                "what waited", holds=lambda found: len(found) == 3,
            )  # fmt: skip
            running.lines("[syslog]", event="collector-back")
