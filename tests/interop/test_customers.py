"""Kamailio with two customers behind its one address: as a registrar that challenges, as a proxy of our own.

Either way it brings the calls of both over one TLS connection to the SBC.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sbc.base import Address
from sbc.sip.dialog import Dialog
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response, response_to, serialize
from tests.edge.raw_sip import Datagrams
from tests.interop.rig import SBC, Far, Rig
from tests.peers.asking import ask
from tests.peers.canaries import PASSWORD
from tests.peers.kamailio import Kamailio, KamailioSettings, RegistrarSettings
from tests.peers.needs import needs
from tests.peers.ports import free_port
from tests.peers.waiting import until, until_equal, until_said

pytestmark = pytest.mark.interop

REALM = "sip.carrier.example"
ACME, BOLT = "4930100", "4940100"
RULES = "".join(
    f'  - name: {name} calls in\n    when: trunk == "{name}"\n    then: |\n'
    '      set header "X-Customer" = trunk\n      allow downgrade\n      route "desk"\n'
    for name in ("acme", "bolt")
) + "".join(
    f'  - name: the desk calls {name}\n    when: to.user starts with "{number}"\n    then: route "{name}"\n'
    for name, number in (("acme", ACME), ("bolt", BOLT))
)


#: Seconds in which a registration that failed was tried again (RFC 5626 4.5).
AGAIN = 150.0


class Phone(Datagrams):
    """A telephone on UDP."""

    def found(self, what: str | int) -> list[Message]:
        """The requests of this method, or the responses of this status, that it has got."""
        return [each for each in self.heard if what == getattr(each, "method", getattr(each, "status", 0))]

    def invites(self, to: str, where: Address) -> Request:
        """Call ``to`` by way of ``where``."""
        at = f"{SBC}:{self.port}"
        fields = {
            "Via": self.via(), "Max-Forwards": "70", "From": f"<sip:caller@{at}>;tag=caller",
            "To": f"<{to}>", "Call-ID": os.urandom(8).hex(), "CSeq": "1 INVITE",
            "Contact": f"<sip:caller@{at}>",
        }  # fmt: skip
        request = Request("INVITE", to, Headers(fields.items()))
        self.send_to(serialize(request), where)
        return request

    def via(self) -> str:
        """A Via of its own."""
        return f"SIP/2.0/UDP {SBC}:{self.port};rport;branch=z9hG4bK{os.urandom(8).hex()}"


@dataclass(slots=True)
class Site:
    """The SBC between a desk and Kamailio, behind which is the world."""

    rig: Rig
    kamailio: Kamailio
    desk: Phone
    world: Phone

    def hears(self, who: Phone, what: str | int, count: int = 1) -> Message:
        """The ``count``-th such message that somebody got."""
        return until(lambda: who.found(what)[count - 1 :], f"{what} {count}", fail=self.fail)[0]

    def fail(self, reason: str) -> AssertionError:
        """What went before."""
        said = self.kamailio.log.read_text(errors="replace")[-2000:]
        return AssertionError("\n".join([reason, *self.rig.log()[-30:], said]))

    def whole_call(self, to: str, count: int) -> str:
        """A call from the world that the desk answers and the caller ends; whose the SBC took it for."""
        where = Address(SBC, self.port)
        sent = self.world.invites(to, where)
        arrived = self.hears(self.desk, "INVITE", count)
        assert isinstance(arrived, Request)
        answer = response_to(arrived, 200, "", "desk")
        answer.headers.add("Contact", f"<sip:desk@{SBC}:{self.desk.port}>")
        self.desk.send(serialize(answer))
        answered = self.hears(self.world, 200, count * 2 - 1)
        assert isinstance(answered, Response)
        dialog = Dialog.as_uac(sent, answered)
        self.world.send_to(serialize(dialog.request("ACK", via=self.world.via(), contact="")), where)
        self.hears(self.desk, "ACK", count)
        self.world.send_to(serialize(dialog.request("BYE", via=self.world.via(), contact="")), where)
        bye = self.hears(self.desk, "BYE", count)
        assert isinstance(bye, Request)
        self.desk.send(serialize(response_to(bye, 200)))
        self.hears(self.world, 200, count * 2)
        record = self.rig.record()
        assert record["status"] == 200
        customer = arrived.headers.get("X-Customer")
        assert record["a"]["trunk"] == customer
        return customer or ""

    @property
    def port(self) -> int:
        """Where Kamailio takes UDP."""
        udp = self.kamailio.settings.transport == "udp"
        return self.kamailio.port if udp else self.kamailio.second_port

    def opened(self) -> int:
        """How many connections to the SBC there are that the other side has opened."""
        status = ask(self.rig.root / "sbc" / "run" / "sbc.sock", "status")
        (listener,) = (each for each in status["listeners"] if each["name"] == "trunk-tls")
        found: int = listener["inbound"]["open"]
        return found

    def registrations(self) -> dict[str, Any]:
        """The state of each registration, by trunk."""
        answer = ask(self.rig.root / "sbc" / "run" / "sbc.sock", "registrations")
        return {each["trunk"]: each["state"] for each in answer["registrations"]}


@pytest.fixture
def phones(tmp_path: Path) -> Iterator[tuple[Rig, Phone, Phone]]:
    needs("kamailio")
    rig = Rig(tmp_path, rules=RULES)
    rig.warned += r"|\[register\]"
    desk, world = Phone(Address(SBC, rig.udp)), Phone(Address(SBC, free_port()))
    yield rig, desk, world
    desk.close()
    world.close()


@pytest.fixture
def carrier(phones: tuple[Rig, Phone, Phone], request: pytest.FixtureRequest) -> Iterator[Site]:
    """A registrar at which each customer has an account; for bolt's the realm may be another."""
    rig, desk, world = phones
    # A Kamailio that is busy with its start may reset one of two connections; we come again after a while.
    rig.warned += r"|\[digest\]|\[tls-refused\] kind=reset-by-peer direction=outbound .*"
    asks = RegistrarSettings(REALM, PASSWORD, min_expires=90, dials=True)
    settings = KamailioSettings(
        world.port, "udp", credentials=rig.lab.issue("carrier"), ca=rig.lab.ca(), registrar=asks,
        record_route=True,
    )  # fmt: skip
    kamailio = Kamailio("carrier", rig.root / "carrier", settings)
    secret = rig.root / "password"
    secret.write_text(PASSWORD)

    def customer(name: str, user: str, realm: str = REALM) -> Far:
        terms = {"user": user, "realm": realm, "password_file": str(secret), "domain": "carrier.lab.example"}
        more = f"register: {json.dumps(terms)}\n"
        return Far(name, kamailio.port, srtp="accept", more=more, shows="carrier")

    rig.others = (customer("bolt", BOLT, getattr(request, "param", REALM)),)
    near = Far("desk", desk.port, transport="udp", srtp="accept")
    with kamailio, rig.running(near, customer("acme", ACME)):
        yield Site(rig, kamailio, desk, world)


@pytest.fixture
def core(phones: tuple[Rig, Phone, Phone]) -> Iterator[Site]:
    """A proxy of our own, which forwards to the SBC what telephones call, and stays in the dialog."""
    rig, desk, world = phones
    settings = KamailioSettings(
        rig.tls, "tls", "udp", credentials=rig.lab.issue("core"), ca=rig.lab.ca(), record_route=True
    )
    kamailio = Kamailio("core", rig.root / "core", settings)

    def customer(name: str, match: str) -> Far:
        return Far(name, kamailio.port, srtp="accept", more=f"match: {{{match}}}\n", shows="core")

    rig.others = (customer("bolt", "to.host: bolt.example"),)
    near = Far("desk", desk.port, transport="udp", srtp="accept")
    with rig.running(near, customer("acme", f'number: "+{ACME}..+{ACME[:-2]}99"')), kamailio:
        yield Site(rig, kamailio, desk, world)


def test_two_accounts_at_one_registrar_are_told_apart_by_their_contacts(carrier: Site) -> None:
    until_equal(carrier.registrations, {"acme": "registered", "bolt": "registered"}, seconds=AGAIN)
    assert carrier.opened() == 0
    assert carrier.whole_call(f"sip:{BOLT}@{SBC}", 1) == "bolt"
    assert carrier.whole_call(f"sip:{ACME}@{SBC}", 2) == "acme"
    assert carrier.opened() == 1


@pytest.mark.parametrize("carrier", ["another.example"], indirect=True)
def test_a_realm_that_is_not_the_account_s_gets_no_answer(carrier: Site) -> None:
    """The registrar asks both customers by one realm; who has an account for another one says nothing."""
    until_equal(carrier.registrations, {"acme": "registered", "bolt": "failed"}, seconds=AGAIN)
    said = until_said(lambda: "\n".join(carrier.rig.log()), "event=challenge-refused trunk=bolt")
    assert "event=challenge-refused trunk=acme" not in said


@pytest.mark.parametrize(("number", "name"), [(ACME, "acme"), (BOLT, "bolt")])
def test_each_customer_calls_out_with_its_own_account(carrier: Site, number: str, name: str) -> None:
    """The registrar challenges INVITE and BYE, and lets nobody through without the password."""
    until_equal(carrier.registrations, {"acme": "registered", "bolt": "registered"}, seconds=AGAIN)
    sent = carrier.desk.invites(f"sip:{number}99@{SBC}:{carrier.rig.udp}", Address(SBC, carrier.rig.udp))
    arrived = carrier.hears(carrier.world, "INVITE")
    assert isinstance(arrived, Request)
    answer = response_to(arrived, 200, "", "world")
    answer.headers.add("Contact", f"<sip:world@{SBC}:{carrier.world.port}>")
    carrier.world.send_to(serialize(answer), Address(SBC, carrier.port))
    answered = carrier.hears(carrier.desk, 200)
    assert isinstance(answered, Response)
    dialog = Dialog.as_uac(sent, answered)
    carrier.desk.send(serialize(dialog.request("ACK", via=carrier.desk.via(), contact="")))
    carrier.hears(carrier.world, "ACK")
    carrier.desk.send(serialize(dialog.request("BYE", via=carrier.desk.via(), contact="")))
    bye = carrier.hears(carrier.world, "BYE")
    assert isinstance(bye, Request)
    carrier.world.send_to(serialize(response_to(bye, 200)), Address(SBC, carrier.port))
    record = carrier.rig.record()
    assert (record["status"], record["b"]["trunk"]) == (200, name)


def test_a_core_proxy_brings_the_calls_of_all_customers_over_one_connection(core: Site) -> None:
    assert core.whole_call(f"sip:+{ACME[:-2]}42@sbc.example", 1) == "acme"
    assert core.whole_call("sip:reception@bolt.example", 2) == "bolt"
    assert core.opened() == 1


def test_a_call_of_nobody_s_goes_no_further(core: Site) -> None:
    core.world.invites("sip:+1212@sbc.example", Address(SBC, core.port))
    core.hears(core.world, 404)
    assert not core.desk.heard
    until_said(lambda: "\n".join(core.rig.log()), 'remedy="add it to the `match` of its trunk')
