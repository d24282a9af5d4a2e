"""Phones of two tenants at one UDP listener of a real SBC, which is started again: each is reached."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from sbc.base import Address
from sbc.demo.lab import HOST
from sbc.demo.pki import write_lab
from sbc.sip.message import Message, Request, Response, response_to, serialize
from tests.edge.own_files import OwnFiles
from tests.edge.raw_sip import Datagrams
from tests.edge.sbc_command import sbc
from tests.edge.test_phones import Caller, user_lines
from tests.peers.ports import free_port, free_ports
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

SETTINGS = """\
listeners:
  soft: {{bind: 127.0.0.1:{soft}, transport: udp}}
  trunk: {{bind: 127.0.0.1:{trunk}, transport: udp}}
tenants:
  one: {{domains: [one.example], server_identity: sbc}}
  two: {{domains: [phones.example], server_identity: sbc}}
identities:
  sbc: {{chain: tls/sbc.pem, key: tls/sbc.key}}
media: {{address: 127.0.0.1, ports: {media}-{last}}}
registrar: {{realm: phones.example, users: phones}}
"""
PHONES = """\
trunk: {name}
phones: true
tenant: {name}
listener: soft
sources: [127.0.0.0/8]
match: {{to.host: {domain}}}
"""
OFFICE = "trunk: office\nlistener: trunk\nsources: [127.0.0.1]\n"
RULES = 'rules: [{name: phones, when: trunk == "office", then: route registered}]\n'


def test_a_phone_is_reached_as_its_own_tenant_s_after_a_restart(tmp_path: Path) -> None:
    soft, trunk = free_ports(2)
    media = (free_port(101) + 1) & ~1
    files = {
        "sbc.yaml": SETTINGS.format(soft=soft, trunk=trunk, media=media, last=media + 99),
        "trunks.d/one.yaml": PHONES.format(name="one", domain="one.example"),
        "trunks.d/two.yaml": PHONES.format(name="two", domain="phones.example"),
        "trunks.d/office.yaml": OFFICE, "routes.d/10.yaml": RULES, "phones": user_lines(),
    }  # fmt: skip
    write_lab(tmp_path, time.time())
    with OwnFiles(tmp_path, files, udp=[soft, trunk]) as lab:
        phone, office = Datagrams(Address(HOST, soft)), Datagrams(Address(HOST, trunk))
        lab.wires += [phone, office]
        alice = Caller("alice", phone, "UDP")
        assert alice.registers("Expires: 600").status == 200
        lab.crash()
        (told,) = json.loads(sbc(lab.directory, "registrations", "--json").out)["phones"]
        assert (told["user"], told["trunk"], told["reachable"]) == ("alice", "two", True)
        head = [
            "INVITE sip:alice@phones.example SIP/2.0",
            f"Via: SIP/2.0/UDP {HOST}:{office.port};branch=z9hG4bKcall", "Max-Forwards: 70",
            "From: <sip:100@office.example>;tag=1", "To: <sip:alice@phones.example>", "Call-ID: call",
            "CSeq: 1 INVITE", f"Contact: <sip:100@{HOST}:{office.port}>", "Content-Length: 0",
        ]  # fmt: skip
        office.send(("\r\n".join(head) + "\r\n\r\n").encode())

        def invite() -> Request | None:
            found = [each for each in phone.heard if isinstance(each, Request) and each.method == "INVITE"]
            return found[0] if found else None

        heard = until(invite, "the phone rings")
        assert heard is not None
        phone.send(serialize(response_to(heard, 486, "", "busy")))

        def refused(message: Message) -> bool:
            return isinstance(message, Response) and message.status == 486

        until(lambda: any(map(refused, office.heard)), "who called hears that it is busy")
