"""PJSIP as a phone of ours: registered by MD5 and SHA-256, by TLS alone where wanted; it proves its calls."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import pytest

from sbc.demo.lab import HOST
from sbc.demo.pki import write_lab
from sbc.demo.process import whole_lines
from sbc.sip.digest import user_hash
from tests.edge.sbc_command import sbc
from tests.peers.baresip import Baresip, BaresipSettings
from tests.peers.canaries import PASSWORD
from tests.peers.needs import needs
from tests.peers.pjsip import Pjsip, PjsipSettings
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_port, free_ports
from tests.peers.tone import write_tone
from tests.peers.waiting import until, until_said

pytestmark = pytest.mark.interop

REALM = "phones.example"
SETTINGS = """\
listeners:
  soft: {{bind: 127.0.0.1:{udp}, transport: udp}}
  desk: {{bind: 127.0.0.1:{tls}, transport: tls}}
identities:
  sbc: {{chain: tls/sbc.pem, key: tls/sbc.key}}
media: {{address: 127.0.0.1, ports: {media}-{last}}}
registrar: {{realm: phones.example, users: phones}}
"""
SOFT = "trunk: soft\nphones: true\nsources: [127.0.0.0/8]\nlistener: soft\n"
DESK = """\
trunk: desk
phones: true
sources: [127.0.0.0/8]
listener: desk
tls: {mode: server, server_identity: sbc}
"""
RULES = """\
rules:
  - name: proved
    when: auth.user == "alice" and from.user == "alice"
    then: reject 486 "Proved"
  - name: all else
    when: true
    then: reject 404
"""


class Phones:
    """An SBC, and PJSIP as alice's phone."""

    def __init__(self, root: Path, algorithms: tuple[str, ...], terms: str) -> None:
        self.directory = root / "sbc"
        self.root = root
        self.udp, self.tls = free_ports(2)
        media = (free_port(101) + 1) & ~1
        self.directory.mkdir()
        write_lab(self.directory, time.time())
        hashes = [user_hash(each, "alice", REALM, PASSWORD) for each in algorithms]
        files = {
            "sbc.yaml": SETTINGS.format(udp=self.udp, tls=self.tls, media=media, last=media + 99),
            "trunks.d/soft.yaml": SOFT, "trunks.d/desk.yaml": DESK, "routes.d/10.yaml": RULES,
            "phones": "".join([f"alice:{REALM}:{each}{terms}\n" for each in hashes]),
        }  # fmt: skip
        for name, text in files.items():
            (self.directory / name).parent.mkdir(exist_ok=True)
            (self.directory / name).write_text(text)
        self.sbc = Portcullis("sbc", self.directory, tcp=[self.tls], udp=[self.udp])
        self.started: list[Pjsip] = []

    def phone(self, transport: str, password: str = PASSWORD) -> Pjsip:
        """PJSIP, which registers at once."""
        port = self.tls if transport == "tls" else self.udp
        settings = PjsipSettings(
            uri=f"sip:alice@{REALM}", transport=transport, registrar=f"sip:{REALM}",  # type: ignore[arg-type]
            proxy=f"sip:{HOST}:{port};transport={transport};lr", user="alice", password=password,
            srtp="off", secure_signalling=0,
        )  # fmt: skip
        if transport == "tls":
            settings = replace(settings, ca=str(self.directory / "tls" / "lab-ca.pem"), verify_client=False)
        made = Pjsip(f"phone-{len(self.started)}", self.root / f"phone-{len(self.started)}", settings)
        self.started.append(made)
        made.start()
        made.ready()
        return made

    def registered(self) -> list[dict[str, Any]]:
        """Who is, as the command line says."""
        found: list[dict[str, Any]] = json.loads(sbc(self.directory, "registrations", "--json").out)["phones"]
        return found

    def log(self) -> str:
        """The SBC's journal."""
        return whole_lines(self.sbc.log)


@pytest.fixture
def phones(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Phones]:
    needs("pjsua2")
    algorithms, terms = request.param
    made = Phones(tmp_path, algorithms, terms)
    try:
        made.sbc.start()
        made.sbc.ready()
        yield made
    finally:
        for each in made.started:
            each.stop()
        made.sbc.stop()


BOTH = ("SHA-256", "MD5")


@pytest.mark.parametrize("transport", ["udp", "tls"])
@pytest.mark.parametrize("phones", [(("MD5",), "")], indirect=True)
def test_baresip_registers_and_calls(phones: Phones, transport: Literal["udp", "tls"]) -> None:
    needs("baresip")
    port = phones.tls if transport == "tls" else phones.udp
    account = (
        f'<sip:alice@{REALM};transport={transport}>;regint=60;auth_user=alice;auth_pass="{PASSWORD}";'
        f'outbound="sip:{HOST}:{port};transport={transport}"'
    )
    tone = phones.root / "tone.wav"
    write_tone(tone, 440.0)
    settings = BaresipSettings(tone, transport, srtp="off", account=account)
    phone = Baresip("alice", phones.root / "baresip", settings)
    phone.start()
    try:
        phone.ready()
        (known,) = until(phones.registered, "it is registered")
        assert (known["user"], known["transport"]) == ("alice", transport)
        phone.command("dial", f"sip:+4930100@{REALM}")
        assert "Proved" in str(phone.expect("CALL_CLOSED", 30))
    finally:
        phone.stop()


@pytest.mark.parametrize("phones", [(("SHA-256",), ""), (("MD5",), ""), (BOTH, "")], indirect=True)
def test_a_phone_over_udp_and_its_call(phones: Phones) -> None:
    phone = phones.phone("udp")
    assert phone.expect("registration", 30)["status"] == 200
    (known,) = phones.registered()
    assert known["remote"] == f"{HOST}:{phone.port}" and known["trunk"] == "soft"
    call = phone.call(f"sip:+4930100@{REALM}")
    assert phone.expect_state(call, "DISCONNECTED", 30)["status"] == 486
    phone.stop()
    until(lambda: phones.registered() == [], "it has taken its registration back")


@pytest.mark.parametrize("phones", [(BOTH, " tls_only")], indirect=True)
def test_a_phone_that_comes_by_tls_alone(phones: Phones) -> None:
    assert phones.phone("udp").expect("registration", 30)["status"] == 403
    until_said(phones.log, "tls_only")
    phone = phones.phone("tls")
    assert phone.expect("registration", 30)["status"] == 200
    (known,) = phones.registered()
    assert known["transport"] == "tls" and known["reachable"]
    # PJSIP asks for outbound by itself (RFC 5626): its instance and its connection are known.
    assert known["instance"].startswith("<urn:uuid:") and known["reg_id"] == 1
    call = phone.call(f"sip:+4930100@{REALM}")
    assert phone.expect_state(call, "DISCONNECTED", 30)["status"] == 486


@pytest.mark.parametrize("phones", [(BOTH, "")], indirect=True)
def test_a_wrong_password_is_not_tried_for_ever(phones: Phones) -> None:
    assert phones.phone("udp", "guessed").expect("registration", 30)["status"] in (401, 403)
    assert phones.registered() == []
