"""Kamailio as a registrar that asks for a password: REGISTER, calls either way, a BYE that is challenged."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from sbc.base import Address
from sbc.sip.dialog import Dialog
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response, response_to, serialize
from tests.edge.raw_sip import Datagrams
from tests.interop.rig import NUMBER, SBC, Far, Rig
from tests.peers.asking import ask
from tests.peers.canaries import PASSWORD
from tests.peers.kamailio import Kamailio, KamailioSettings, RegistrarSettings
from tests.peers.needs import needs
from tests.peers.ports import free_port
from tests.peers.waiting import until, until_said

pytestmark = pytest.mark.interop

REALM, USER = "sip.carrier.example", "4930123"
Algorithm = Literal["MD5", "SHA-256"]


@dataclass(slots=True)
class Carrier:
    """The registrar, a desk behind the SBC and a subscriber behind the registrar, both on UDP."""

    rig: Rig
    registrar: Kamailio
    desk: Datagrams
    subscriber: Datagrams

    def registration(self) -> dict[str, Any]:
        """What the SBC says of it, once it is registered."""

        def found() -> list[dict[str, Any]]:
            answer = ask(self.rig.root / "sbc" / "run" / "sbc.sock", "registrations")
            return [each for each in answer["registrations"] if each["state"] == "registered"]

        return until(found, "registered", fail=self._failed)[0]

    def hears(self, who: Datagrams, method: str) -> Request:
        """The first request of ``method`` that somebody got."""

        def found() -> list[Request]:
            return [each for each in who.heard if isinstance(each, Request) and each.method == method]

        return until(found, method, fail=self._failed)[0]

    def final(self, who: Datagrams) -> Response:
        """The first final answer that somebody got."""

        def found() -> list[Response]:
            return [each for each in who.heard if isinstance(each, Response) and each.status >= 200]

        return until(found, "a final answer", fail=self._failed)[0]

    def _failed(self, reason: str) -> AssertionError:
        log = "\n".join(self.rig.log()[-20:])
        said = self.registrar.log.read_text(errors="replace")[-2000:]
        return AssertionError(f"{reason}\n{log}\n{said}")


@pytest.fixture
def carrier(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Carrier]:
    needs("kamailio")
    chosen: tuple[Algorithm, str] = getattr(request, "param", ("MD5", ""))
    algorithm, more = chosen
    rig = Rig(tmp_path)
    rig.warned += r"|\[register\]"
    desk, subscriber = Datagrams(Address(SBC, rig.udp)), Datagrams(Address(SBC, free_port()))
    asks = RegistrarSettings(REALM, PASSWORD, algorithm, min_expires=90)
    settings = KamailioSettings(
        subscriber.port, "udp", credentials=rig.lab.issue("carrier"), ca=rig.lab.ca(), registrar=asks
    )
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    registrar = Kamailio("carrier", tmp_path / "carrier", settings)
    terms = {"user": USER, "realm": REALM, "password_file": str(secret), "domain": "carrier.lab.example"}
    register = f"register: {json.dumps({**terms, 'expires': more or 3600})}\n"
    far = Far("carrier", registrar.port, source="192.0.2.1", srtp="accept", more=register)
    near = Far("desk", desk.port, transport="udp", srtp="accept")
    with registrar, rig.running(near, far):
        yield Carrier(rig, registrar, desk, subscriber)
    desk.close()
    subscriber.close()


ALGORITHMS: list[Algorithm] = ["MD5", "SHA-256"]


@pytest.mark.parametrize("carrier", [(each, "") for each in ALGORITHMS], indirect=True, ids=ALGORITHMS)
def test_it_registers_and_calls_with_a_password(carrier: Carrier) -> None:
    assert carrier.registration()["address"] == f"sip:{USER}@carrier.lab.example"
    desk, subscriber = carrier.desk, carrier.subscriber
    invite = _request(desk, f"sip:{NUMBER}@{SBC}:{carrier.rig.udp}")
    desk.send(serialize(invite))
    arrived = carrier.hears(subscriber, "INVITE")
    answer = response_to(arrived, 200, "", "subscriber")
    answer.headers.add("Contact", f"<sip:subscriber@{SBC}:{subscriber.port}>")
    _answer(carrier, answer)
    answered = carrier.final(desk)
    assert answered.status == 200
    near = Dialog.as_uac(invite, answered)
    desk.send(serialize(near.request("ACK", via=_via(desk), contact="")))
    carrier.hears(subscriber, "ACK")
    desk.send(serialize(near.request("BYE", via=_via(desk), contact="")))
    bye = carrier.hears(subscriber, "BYE")  # Kamailio lets none through without credentials
    _answer(carrier, response_to(bye, 200))
    assert carrier.rig.record()["status"] == 200


def test_a_call_comes_in_on_the_connection_that_registered(carrier: Carrier) -> None:
    """The trunk's `sources` do not name the registrar: what it opens itself would be refused."""
    carrier.registration()
    invite = _request(carrier.subscriber, f"sip:{USER}@{SBC}")
    there = Address(SBC, carrier.registrar.second_port)
    carrier.subscriber.send_to(serialize(invite), there)
    arrived = carrier.hears(carrier.desk, "INVITE")
    assert arrived.target.user == USER
    carrier.desk.send(serialize(response_to(arrived, 486, "", "desk")))
    assert carrier.final(carrier.subscriber).status == 486
    assert carrier.rig.record()["a"]["trunk"] == "carrier"


@pytest.mark.parametrize("carrier", [("MD5", "30s")], indirect=True, ids=["30s"])
def test_a_registrar_that_wants_longer_gets_it(carrier: Carrier) -> None:
    carrier.registration()
    log = until_said(lambda: "\n".join(carrier.rig.log()), "REGISTER OK")
    assert "expires=90" in log.partition("REGISTER OK")[2]


def _answer(carrier: Carrier, response: Response) -> None:
    carrier.subscriber.send_to(serialize(response), Address(SBC, carrier.registrar.second_port))


def _via(peer: Datagrams) -> str:
    return f"SIP/2.0/UDP {SBC}:{peer.port};rport;branch=z9hG4bK{os.urandom(8).hex()}"


def _request(peer: Datagrams, to: str) -> Request:
    fields = {
        "Via": _via(peer), "Max-Forwards": "70", "From": f"<sip:caller@{SBC}:{peer.port}>;tag=caller",
        "To": f"<{to}>", "Call-ID": os.urandom(8).hex(), "CSeq": "1 INVITE",
        "Contact": f"<sip:caller@{SBC}:{peer.port}>",
    }  # fmt: skip
    return Request("INVITE", to, Headers(fields.items()))
