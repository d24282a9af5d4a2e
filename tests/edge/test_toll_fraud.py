"""A stolen password calls numbers that cost: a real SBC stops it, after a crash too (row S14)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from sbc.base import Address
from sbc.demo.lab import HOST
from sbc.sip.digest import Credentials, parse_challenge, response_hash, user_hash
from sbc.sip.message import Message, Request, Response, response_to, serialize
from tests.edge.callee import SDP, Callee
from tests.edge.own_files import OwnFiles
from tests.edge.raw_sip import Datagrams
from tests.edge.sbc_command import sbc
from tests.peers.call_records import calls_in
from tests.peers.canaries import PASSWORD
from tests.peers.kept import keep, kept
from tests.peers.ports import free_port, free_ports
from tests.peers.waiting import until, until_said

pytestmark = pytest.mark.slow

REALM = "phones.example"
SETTINGS = """\
listeners:
  soft: {{bind: 127.0.0.1:{near}, transport: udp}}
  far: {{bind: 127.0.0.1:{far}, transport: udp}}
media: {{address: 127.0.0.1, ports: {media}-{last}}}
registrar: {{realm: phones.example, users: phones}}
tables: {{irsf: irsf.csv}}
emergency: {{numbers: [112]}}
"""
SOFT = "trunk: soft\nphones: true\nsources: [127.0.0.0/8]\nlistener: soft\n"
CARRIER = "trunk: carrier\npeers: [127.0.0.1:{port}]\nlistener: far\n"
RULES = """\
zone: UTC
rules:
  - name: guard
    when: trunk == "soft"
    then: |
      limit 4 seconds a day per auth.user to table.irsf hard else reject 403 "Enough"
      limit 3 seconds a day per auth.user to "112" hard
      route "carrier"
"""
TABLE = "prefix,zone\n+882,networks\n+8816,satellite\n"
KEY = "guard #0 alice"


class Phone:
    """Whoever knows the password of alice."""

    def __init__(self, port: int) -> None:
        self.target = Address(HOST, port)
        self.wire = Datagrams(self.target)

    def calls(self, number: str) -> tuple[int, str]:
        """Call, prove the password, and acknowledge what comes: the final status, and the Call-ID."""
        call_id = os.urandom(8).hex()
        first = self._invite(number, call_id, 1)
        if first.status != 407:  # who calls for help need not prove who he is
            return first.status, call_id
        challenge = parse_challenge(first.headers.get_all("Proxy-Authenticate")[0])
        uri = f"sip:{number}@{REALM}"
        empty = Credentials(
            "alice", REALM, challenge.nonce, uri, "", challenge.algorithm, "auth", "c", 1
        )  # fmt: skip
        secret = user_hash(challenge.algorithm, "alice", REALM, PASSWORD)
        proof = response_hash(secret, empty, "INVITE")
        made = Credentials(
            "alice", REALM, challenge.nonce, uri, proof, challenge.algorithm, "auth", "c", 1
        )  # fmt: skip
        return self._invite(number, call_id, 2, f"Proxy-Authorization: {made}\r\n").status, call_id

    def _invite(self, number: str, call_id: str, cseq: int, proof: str = "") -> Response:
        self._say("INVITE", number, call_id, cseq, proof + "Content-Type: application/sdp\r\n", SDP)

        def final() -> Response | None:
            for each in self.wire.heard:
                if isinstance(each, Response) and each.call_id == call_id and each.cseq.number == cseq:
                    if each.status >= 200:
                        return each
            return None

        found = until(final, f"an answer for {number}")
        assert found is not None
        self._say("ACK", number, call_id, cseq, "", b"", found)
        return found

    def _say(
        self, method: str, number: str, call_id: str, cseq: int, more: str, body: bytes,
        answered: Response | None = None,
    ) -> None:  # fmt: skip
        to = answered.headers.get("To") if answered is not None else f"<sip:{number}@{REALM}>"
        contact = answered.contact if answered is not None and answered.status < 300 else None
        uri = str(contact.uri) if contact is not None else f"sip:{number}@{REALM}"
        branch = f"{call_id}{cseq}" + ("ack" if contact is not None else "")
        here = f"127.0.0.1:{self.wire.port}"
        text = (
            f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {here};rport;branch=z9hG4bK{branch}\r\n"
            f"Max-Forwards: 70\r\nFrom: <sip:alice@{REALM}>;tag={call_id}\r\nTo: {to}\r\n"
            f"Call-ID: {call_id}\r\nCSeq: {cseq} {method}\r\nContact: <sip:alice@{here}>\r\n"
            f"{more}Content-Length: {len(body)}\r\n\r\n"
        )
        self.wire.send(text.encode() + body)

    def byes(self) -> list[Message]:
        """What it was hung up by; each is answered."""
        found = [each for each in self.wire.heard if isinstance(each, Request) and each.method == "BYE"]
        for each in found:
            self.wire.send(serialize(response_to(each, 200, "OK")))
        return list(found)


class Lab(OwnFiles):
    def __init__(self, directory: Path) -> None:
        self.near, self.far = free_ports(2)
        media = (free_port(101) + 1) & ~1
        self.carrier = Callee()
        secret = user_hash("SHA-256", "alice", REALM, PASSWORD)
        files = {
            "sbc.yaml": SETTINGS.format(near=self.near, far=self.far, media=media, last=media + 99),
            "trunks.d/soft.yaml": SOFT, "trunks.d/carrier.yaml": CARRIER.format(port=self.carrier.port),
            "routes.d/10.yaml": RULES, "phones": f"alice:{REALM}:{secret}\n", "irsf.csv": TABLE,
        }  # fmt: skip
        super().__init__(directory, files, udp=[self.near, self.far])
        self.phone = Phone(self.near)
        self.wires += [self.carrier, self.phone.wire]

    def spent(self) -> dict[str, Any]:
        """What is on the disk."""
        return kept(self.directory / "run", "limits")

    def records(self) -> list[dict[str, Any]]:
        return calls_in(self.directory)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path) as made:
        yield made


def test_a_phone_is_stopped_at_its_limit_and_still_after_a_crash(lab: Lab) -> None:
    status, _ = lab.phone.calls("+882123456")
    assert status == 200
    until(lab.phone.byes, "the phone is hung up")
    until(lambda: lab.carrier.byes, "the carrier is hung up")
    assert lab.carrier.byes[0].headers.get("Reason") == 'SIP;cause=480;text="Limit reached"'
    log = until_said(lab.log, "fraud-refused")
    assert (
        f'WRN [fraud] event=fraud-warning limit="guard #0" allowance="{KEY}" allowed="4 seconds a day"' in log
    )
    assert log.count("event=fraud-warning") == log.count("event=fraud-refused") == 1
    until(lambda: any(each["reason"] == f"limit of 4 seconds a day: {KEY}" for each in lab.records()))
    assert lab.phone.calls("+881699")[0] == 403, "another number of the table"
    until(lambda: lab.spent().get(KEY, [0] * 9)[7] >= 4, "it is written down")
    until(lambda: any(each["status"] == 403 for each in lab.records()), "and so is the call")
    lab.crash()
    assert lab.phone.calls("+882123456")[0] == 403
    assert lab.phone.calls("+4930123456")[0] == 200, "what costs little may be called"
    assert lab.log().count("event=fraud-warning") == 1
    last = until(lambda: [each for each in lab.records() if each["status"] == 403][1:])[-1]
    assert last["reason"] == f"limit of 4 seconds a day: {KEY}" and last["rule"].startswith("guard (")
    # An emergency call is neither counted nor refused, whatever the rules say of its number.
    assert lab.phone.calls("112")[0] == 200
    gevent.sleep(4)
    assert "guard #1" not in json.dumps(lab.spent()) and lab.phone.calls("112")[0] == 200
    shown = json.loads(sbc(lab.directory, "limits", "--json").out)["limits"]
    (row,) = [each for each in shown if each["key"] == KEY]
    assert row["limit"] == "4 seconds a day" and row["share"] >= 1 and row["hard"]
    assert f'"{KEY}"' in sbc(lab.directory, "limits").out
    line = sbc(lab.directory, "limits", "reset", "nobody").refused_in_one_line()
    assert "nothing is spent of 'nobody'" in line
    assert sbc(lab.directory, "limits", "reset", KEY).status == 0
    assert 'act="limits reset"' in until_said(lab.log, f'allowance="{KEY}" by=')
    assert lab.phone.calls("+882123456")[0] == 200
    assert PASSWORD not in lab.log()


def test_what_is_on_the_disk_is_not_what_we_wrote(lab: Lab) -> None:
    lab.sbc.stop()
    state = lab.directory / "run"
    for journal in state.glob("state.db-*"):
        journal.unlink()  # from one that a stop on a busy machine left, SQLite would mend the file
    (state / "state.db").write_text("{ torn")
    lab.sbc.start()
    lab.sbc.ready()
    assert "state.db cannot be read" in until_said(lab.log, "put aside as state.unreadable")
    assert lab.phone.calls("+882123456")[0] == 200
    lab.sbc.stop()
    keep(state, "limits", {KEY: ["guard #0", 4]})
    lab.sbc.start()
    lab.sbc.ready()
    assert "1 entries of limits" in until_said(lab.log, "put aside in limits.unreadable")
