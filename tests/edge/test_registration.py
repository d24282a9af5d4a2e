"""An SBC registers with a carrier over mutual TLS, and the carrier's calls reach it on that connection."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from gevent import socket

from sbc.base import Address
from sbc.demo.agent import Agent
from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST
from sbc.demo.link import Link
from sbc.sip.digest import parse_credentials, response_hash, user_hash
from sbc.sip.message import Request, response_to, serialize
from tests.edge.attacked import TO, Attacked, attacked
from tests.edge.raw_sip import Datagrams, options
from tests.edge.sbc_command import sbc
from tests.peers.canaries import PASSWORD
from tests.peers.waiting import until, until_said

pytestmark = pytest.mark.slow

REALM = "sip.carrier.example"
REGISTER = """\
register:
  user: "4930123"
  auth_user: account-7
  domain: carrier.lab.example
  realm: {realm}
  password_file: secrets/carrier
"""


class Registrar(Agent):
    """A carrier that takes REGISTER with digest, each with a nonce of its own."""

    bindings: list[tuple[Link, Request]]

    def _on_request(self, link: Link, call: AgentCall | None, request: Request) -> None:
        if request.method != "REGISTER":
            super()._on_request(link, call, request)
            return
        value = request.headers.get("Authorization")
        given = parse_credentials(value) if value else None
        user = user_hash("SHA-256", "account-7", REALM, PASSWORD)
        good = given is not None and given.response == response_hash(user, given, "REGISTER")
        response = response_to(request, 200 if good else 401, "", "registrar")
        if good:
            self.bound().append((link, request))
            expires = request.headers.get("Expires")
            response.headers.add("Contact", f"{request.headers.get('Contact')};expires={expires}")
        else:
            challenge = f'Digest realm="{REALM}", nonce="{request.call_id}", qop="auth", algorithm=SHA-256'
            response.headers.add("WWW-Authenticate", challenge)
        link.send(response)

    def bound(self) -> list[tuple[Link, Request]]:
        """Every REGISTER that was taken, with where it came."""
        if not hasattr(self, "bindings"):
            self.bindings = []
        return self.bindings

    def takes(self, count: int) -> tuple[Link, Request]:
        """The ``count``th REGISTER, as soon as it has been taken."""
        return until(lambda: self.bound()[count - 1 : count], f"{count} registrations")[0]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Attacked]:
    with attacked(tmp_path, carrier=Registrar) as made:
        yield made


def configure(made: Attacked, password: str = PASSWORD, realm: str = REALM) -> Registrar:
    """The carrier has to be registered with, and no address of its is among the trunk's sources."""
    secret = made.directory / "secrets" / "carrier"
    secret.parent.mkdir(exist_ok=True)
    secret.write_text(password)
    secret.chmod(0o600)
    path = made.directory / "trunks.d" / "carrier.yaml"
    text = path.read_text().replace("sources: [127.0.0.0/8]\n", "")
    path.write_text(text + REGISTER.format(realm=realm))
    assert isinstance(made.carrier, Registrar)
    return made.carrier


def page(made: Attacked, path: str) -> str:
    """A page of the admin port."""
    with socket.create_connection((HOST, made.ports.admin), timeout=10) as sock:
        sock.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
        return b"".join(iter(lambda: sock.recv(65536), b"")).decode()


def test_it_registers_is_called_there_and_leaves(lab: Attacked) -> None:
    carrier = configure(lab)
    link, request = carrier.takes(1)
    log = until_said(lab.log, "REGISTER OK")
    assert " INF REGISTER carrier TLS (sip:) user=4930123" in log
    assert request.uri == "sip:carrier.lab.example;transport=tls"
    assert PASSWORD not in log and "response=" not in log
    shown = json.loads(sbc(lab.directory, "registrations", "--json").out)["registrations"]
    assert [(each["trunk"], each["state"]) for each in shown] == [("carrier", "registered")]
    assert "registered" in sbc(lab.directory, "registrations").out
    assert 'sbc_registration_up{trunk="carrier"} 1' in page(lab, "/metrics")
    assert "4930123@carrier.lab.example" in page(lab, "/")
    lab.office.listen(lab.ports.office)
    _call_comes_in(lab, carrier, link)
    assert lab.sbc.stop() == 0
    _, last = carrier.bound()[-1]
    assert last.headers.get("Expires") == "0" and len(carrier.bound()) == 2


def _call_comes_in(lab: Attacked, carrier: Registrar, link: Link) -> None:
    call = carrier.call(link, TO)
    assert call.wait_up(10)
    call.hang_up()
    (record,) = lab.records(1)
    assert (record["a"]["trunk"], record["b"]["trunk"], record["status"]) == ("carrier", "office", 200)


def test_a_saved_file_and_a_closed_connection_register_again(lab: Attacked) -> None:
    carrier = configure(lab)
    link, first = carrier.takes(1)
    path = lab.directory / "trunks.d" / "carrier.yaml"
    path.write_text(path.read_text() + "# saved\n")
    again, second = carrier.takes(2)
    assert again is link and second.call_id == first.call_id
    assert second.cseq.number > first.cseq.number
    link.close()
    anew, third = carrier.takes(3)
    assert anew is not link and third.headers.get("Contact") == first.headers.get("Contact")
    lab.lines("[register]", event="registration-lost")


def test_a_trunk_that_is_removed_takes_its_binding_back(lab: Attacked) -> None:
    carrier = configure(lab)
    carrier.takes(1)
    (lab.directory / "routes.d" / "10-lab.yaml").write_text(
        'rules: [{name: in, when: true, then: route "office"}]\n'
    )
    (lab.directory / "trunks.d" / "carrier.yaml").unlink()
    _, request = carrier.takes(2)
    assert request.headers.get("Expires") == "0"


def test_a_password_that_is_mended_registers_at_once(lab: Attacked) -> None:
    carrier = configure(lab, "wrong")
    lab.lines("[register]", event="register-failed")
    (lab.directory / "secrets" / "carrier").write_text(PASSWORD)
    carrier.takes(1)


def test_over_udp_what_the_registrar_sends_is_the_trunk_s_without_sources(lab: Attacked) -> None:
    registrar = Datagrams(Address(HOST, lab.udp))
    secret = lab.directory / "secrets" / "plain"
    secret.parent.mkdir()
    secret.write_text(PASSWORD)
    trunk = f"trunk: plain\npeers: [{HOST}:{registrar.port}]\nlistener: udp\n"
    register = REGISTER.format(realm=REALM).replace("secrets/carrier", "secrets/plain")
    (lab.directory / "trunks.d" / "plain.yaml").write_text(trunk + register)

    def heard(method: str) -> list[Request]:
        return [each for each in registrar.heard if isinstance(each, Request) and each.method == method]

    request = until(lambda: heard("REGISTER"), "REGISTER")[0]
    response = response_to(request, 200, "", "registrar")
    response.headers.add("Contact", f"{request.headers.get('Contact')};expires=600")
    registrar.send(serialize(response))
    until_said(lab.log, "REGISTER OK trunk=plain")
    assert options(registrar)
    registrar.close()


def test_another_realm_gets_no_answer(lab: Attacked) -> None:
    carrier = configure(lab, realm="sip.other.example")
    (line,) = lab.lines("[digest]", event="challenge-refused")
    assert REALM in line["reason"]
    asked = [each.message for each in carrier.record if not each.outgoing]
    assert not [each for each in asked if "Authorization" in each.headers]
    status = sbc(lab.directory, "status").out
    assert "not registered: carrier: it asks for realm 'sip.carrier.example'" in status
