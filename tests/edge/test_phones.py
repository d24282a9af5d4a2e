"""Phones and a real SBC: registered over UDP and TLS, there again after a restart, and told of everywhere."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sbc.base import Address
from sbc.demo.lab import HOST, SBC_NAME
from sbc.demo.pki import write_lab
from sbc.demo.tls import Credentials as Shown
from sbc.demo.tls import connect
from sbc.sip.digest import Credentials, parse_challenge, response_hash, user_hash
from sbc.sip.message import Response
from tests.edge.own_files import OwnFiles
from tests.edge.raw_sip import Datagrams, Stream
from tests.edge.sbc_command import sbc
from tests.peers.canaries import PASSWORD
from tests.peers.ports import free_port, free_ports
from tests.peers.waiting import until, until_said

pytestmark = pytest.mark.slow

REALM = "phones.example"
SETTINGS = """\
listeners:
  soft: {{bind: 127.0.0.1:{udp}, transport: udp}}
  desk: {{bind: 127.0.0.1:{tls}, transport: tls, idle_timeout: 3s}}
identities:
  sbc: {{chain: tls/sbc.pem, key: tls/sbc.key}}
trust:
  lab-ca: {{ca: tls/lab-ca.pem}}
media: {{address: 127.0.0.1, ports: {media}-{last}}}
registrar: {{realm: phones.example, users: phones}}
caps: {{challenges_per_source: 10000/s}}
"""
SOFT = "trunk: soft\nphones: true\nsources: [127.0.0.0/8]\nlistener: soft\n"
DESK = """\
trunk: desk
phones: true
sources: [127.0.0.0/8]
listener: desk
tls: {mode: optional, server_identity: sbc, trust: [lab-ca]}
"""
RULES = "rules: [{name: nobody, when: true, then: reject 404}]\n"


class Caller:
    """One user's phone over ``wire``."""

    def __init__(self, user: str, wire: Datagrams | Stream, transport: str, call_id: str = "") -> None:
        self.user, self.wire, self.transport = user, wire, transport
        self._call_id = call_id
        self.cseq = 0

    @property
    def port(self) -> int:
        """Where its datagrams come from."""
        assert isinstance(self.wire, Datagrams)
        return self.wire.port

    def sends(self, *lines: str, credentials: str = "") -> None:
        """Send a REGISTER."""
        self.cseq += 1
        uri = f"sip:{REALM}"
        head = [
            f"REGISTER {uri} SIP/2.0",
            f"Via: SIP/2.0/{self.transport} 10.9.9.9;rport;branch=z9hG4bK{self.user}{self.cseq}",
            f"From: <sip:{self.user}@{REALM}>;tag=1", f"To: <sip:{self.user}@{REALM}>", "Max-Forwards: 70",
            f"Call-ID: {self._call_id or self.user}", f"CSeq: {self.cseq} REGISTER",
            f"Contact: <sip:{self.user}@10.9.9.9:5060>", *lines, "Content-Length: 0",
        ]  # fmt: skip
        if credentials:
            head.insert(-1, f"Authorization: {credentials}")
        self.wire.send(("\r\n".join(head) + "\r\n\r\n").encode())

    def says(self, *lines: str, credentials: str = "") -> Response:
        """Send a REGISTER, and return what it is answered."""
        self.sends(*lines, credentials=credentials)

        def answer() -> Response | None:
            for each in self.wire.heard:
                if isinstance(each, Response) and each.cseq.number == self.cseq:
                    return each
            return None

        found = until(answer, f"an answer to {self.user}")
        assert found is not None
        return found

    def registers(self, *lines: str, algorithm: str = "SHA-256") -> Response:
        """Register with its password."""
        offered = [parse_challenge(each) for each in self.says().headers.get_all("WWW-Authenticate")]
        (challenge,) = [each for each in offered if each.algorithm == algorithm]
        empty = Credentials(self.user, REALM, challenge.nonce, f"sip:{REALM}", "", algorithm, "auth", "c", 1)
        secret = user_hash(algorithm, self.user, REALM, PASSWORD)
        made = Credentials(
            self.user, REALM, challenge.nonce, f"sip:{REALM}", response_hash(secret, empty, "REGISTER"),
            algorithm, "auth", "c", 1,
        )  # fmt: skip
        return self.says(*lines, credentials=str(made))


def user_lines(*, safe: bool = True) -> str:
    terms = {"alice": "", "safe": " tls_only", "office": " certificate=office.lab.example"}
    return "".join(
        [
            f"{user}:{REALM}:{user_hash(algorithm, user, REALM, PASSWORD)}{terms[user]}\n"
            for user in terms
            for algorithm in ("SHA-256", "MD5")
            if safe or user != "safe"
        ]
    )


class Lab(OwnFiles):
    """An SBC with phones over UDP and TLS."""

    def __init__(self, directory: Path) -> None:
        self.udp, self.tls = free_ports(2)
        media = (free_port(101) + 1) & ~1
        write_lab(directory, time.time())
        settings = SETTINGS.format(udp=self.udp, tls=self.tls, media=media, last=media + 99)
        files = {
            "sbc.yaml": settings, "trunks.d/soft.yaml": SOFT, "trunks.d/desk.yaml": DESK,
            "routes.d/10.yaml": RULES, "phones": user_lines(),
        }  # fmt: skip
        super().__init__(directory, files, tcp=[self.tls], udp=[self.udp])

    def soft(self, user: str) -> Caller:
        """A phone over UDP."""
        wire = Datagrams(Address(HOST, self.udp))
        self.wires.append(wire)
        return Caller(user, wire, "UDP")

    def desk(self, user: str, shows: str = "") -> Caller:
        """A phone over TLS, which shows the lab's certificate of that name."""
        tls = self.directory / "tls"
        shown = Shown(tls / f"{shows}.pem", tls / f"{shows}.key") if shows else None
        wire = Stream(connect(Address(HOST, self.tls), SBC_NAME, tls / "lab-ca.pem", shown))
        self.wires.append(wire)
        return Caller(user, wire, "TLS")

    def phones(self) -> dict[str, dict[str, Any]]:
        """Who is registered, as the command line says."""
        said = json.loads(sbc(self.directory, "registrations", "--json").out)["phones"]
        return {each["user"]: each for each in said}


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    with Lab(tmp_path) as made:
        yield made


def test_phones_are_registered_and_still_are_after_a_crash(lab: Lab) -> None:
    alice, safe = lab.soft("alice"), lab.desk("safe")
    answer = alice.registers("Expires: 600")
    assert answer.status == 200 and answer.via.received == HOST
    assert safe.registers("Expires: 600", algorithm="MD5").status == 200
    log = until_said(lab.log, "user=safe")
    assert "[phone] event=phone-registered user=alice trunk=soft" in log
    before = lab.phones()
    assert before["alice"]["remote"] == f"{HOST}:{alice.port}" and before["safe"]["reachable"]
    assert "alice" in sbc(lab.directory, "registrations").out
    assert "PHONES" in sbc(lab.directory, "status").out
    lab.crash()
    after = lab.phones()
    assert not after["safe"].pop("reachable") and before["safe"].pop("reachable")
    assert after == before
    log = lab.log()
    assert PASSWORD not in log and "response=" not in log and user_lines().split(":")[2][:32] not in log


def test_who_may_come_which_way(lab: Lab) -> None:
    assert lab.soft("safe").registers().status == 403
    assert lab.desk("office", "office").registers().status == 200
    assert lab.desk("office").registers().status == 403
    log = until_said(lab.log, "binds it to office.lab.example")
    assert "tls_only" in log and "event=phone-refused" in log
    assert sorted(lab.phones()) == ["office"]


def test_a_reload_takes_back_whom_it_no_longer_knows(lab: Lab) -> None:
    assert lab.desk("safe").registers().status == 200 and lab.soft("alice").registers().status == 200
    (lab.directory / "phones").write_text(user_lines(safe=False))
    until_said(lab.log, "event=phone-dropped user=safe")
    assert sorted(lab.phones()) == ["alice"]
    assert lab.desk("safe").says().status == 401


def test_a_phone_that_says_nothing_keeps_its_connection(lab: Lab) -> None:
    """It has no other way to be reached; whoever has not registered is closed for the same silence."""
    safe, stranger = lab.desk("safe"), lab.desk("nobody")
    assert safe.registers("Expires: 60").status == 200
    assert stranger.says().status == 401
    until(lambda: stranger.wire.closed, "the stranger's connection is closed")
    assert not safe.wire.closed and lab.phones()["safe"]["reachable"]
    assert safe.says("Expires: 60").status == 401


def test_a_flood_of_names_leaves_the_phones_alone(lab: Lab) -> None:
    """Nobody gets anything kept but by a password: what is asked a thousand times is as it was before."""
    alice = lab.soft("alice")
    assert alice.registers().status == 200
    flood = lab.soft("nobody")
    for number in range(1000):
        flood.user = f"guess{number}"
        flood.sends()

    def heard() -> bool:
        flood.sends()  # datagrams may be lost, and answered anew
        return any(each.call_id == "guess999" for each in flood.wire.heard)

    until(heard, "an answer to the last one")
    status = json.loads(sbc(lab.directory, "status", "--json").out)
    assert status["transactions"] <= 1 and sum(each["contacts"] for each in status["phones"]) == 1
    assert alice.registers().status == 200
