"""Calls over UDP between peers whose addresses are filed as two trunks, and whose listener a reload moves."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from sbc.base import Address
from sbc.demo.lab import HOST, SBC_NAME
from sbc.sip.dialog import Dialog
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response, response_to, serialize
from tests.edge.attacked import Attacked
from tests.edge.raw_sip import Datagrams
from tests.peers.asking import ask
from tests.peers.ports import free_port
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

ROUTES = 'rules: [{name: over, when: true, then: route "gateway"}]\n'
GATEWAY = "trunk: gateway\npeers: [%s:%d]\nlistener: udp\nresponse_timeout: 3\n"


class Gateway:
    """An SBC between two UDP peers of one address: what either sends is filed as trunk ``plain``."""

    def __init__(self, sbc: Attacked) -> None:
        self.sbc = sbc
        there = Address(HOST, sbc.udp)
        self.caller, self.callee = Datagrams(there), Datagrams(there)
        self.speaks = self.caller  # the socket that the caller sends from
        directory = sbc.directory
        (directory / "trunks.d" / "gateway.yaml").write_text(GATEWAY % (HOST, self.callee.port))
        (directory / "routes.d" / "10-lab.yaml").write_text(ROUTES)
        self.reload()

    def reload(self) -> None:
        answer = ask(self.sbc.directory / "run" / "sbc.sock", "reload")
        assert answer["changed"], answer

    def invite(self) -> tuple[Dialog, Dialog]:
        """A call without media; the dialogs of the caller and of the callee."""
        request = request_of(self.caller)
        self.speaks.send(serialize(request))
        arrived = self.hears(self.callee, "INVITE")
        answer = response_to(arrived, 200, "", "callee")
        answer.headers.add("Contact", f"<sip:callee@{HOST}:{self.callee.port}>")
        self.callee.send(serialize(answer))
        answered = until(lambda: final_of(self.caller))
        assert answered and answered.status == 200, (answered, self.sbc.log()[-2000:])
        near, far = Dialog.as_uac(request, answered), Dialog.as_uas(arrived, "callee")
        self.speaks.send(serialize(near.request("ACK", via=via_of(self.caller), contact="")))
        self.hears(self.callee, "ACK")
        return near, far

    def hears(self, peer: Datagrams, method: str) -> Request:
        """The first request of ``method`` that ``peer`` got."""
        found = until(
            lambda: [each for each in peer.heard if isinstance(each, Request) and each.method == method],
            method,
        )
        request: Request = found[0]
        return request

    def close(self) -> None:
        self.caller.close()
        self.callee.close()


def via_of(peer: Datagrams) -> str:
    return f"SIP/2.0/UDP {HOST}:{peer.port};branch=z9hG4bK{os.urandom(8).hex()}"


def request_of(peer: Datagrams) -> Request:
    to = f"sip:+12125550100@{SBC_NAME}"
    fields = {
        "Via": via_of(peer), "Max-Forwards": "70",
        "From": f"<sip:caller@plain.example>;tag={os.urandom(4).hex()}",
        "To": f"<{to}>", "Call-ID": os.urandom(8).hex(), "CSeq": "1 INVITE",
        "Contact": f"<sip:caller@{HOST}:{peer.port}>",
    }  # fmt: skip
    return Request("INVITE", to, Headers(list(fields.items())))


def final_of(peer: Datagrams) -> Response | None:
    finals = [each for each in peer.heard if isinstance(each, Response) and each.status >= 200]
    return finals[0] if finals else None


@pytest.fixture
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    attacked = Attacked(tmp_path_factory.mktemp("uc"), srtp="accept")
    made = Gateway(attacked)
    yield made
    made.close()
    attacked.unharmed()
    assert attacked.close() == 0


def test_a_call_to_a_peer_whose_requests_are_filed_as_another_trunk(gateway: Gateway) -> None:
    _, far = gateway.invite()
    gateway.callee.send(serialize(far.request("BYE", via=via_of(gateway.callee), contact="")))
    gateway.hears(gateway.caller, "BYE")
    answered = until(lambda: final_of(gateway.callee))
    assert answered and answered.status == 200


def test_a_peer_that_is_filed_by_name_is_addressed_by_it(gateway: Gateway) -> None:
    """The name is what the operator and the peer know, also where it takes an address to send a datagram."""
    trunk = gateway.sbc.directory / "trunks.d" / "gateway.yaml"
    trunk.write_text(GATEWAY % ("localhost", gateway.callee.port) + "options: {every: 1}\n")
    gateway.reload()
    gateway.invite()
    invite = gateway.hears(gateway.callee, "INVITE")
    place = f"localhost:{gateway.callee.port}"
    assert invite.uri == f"sip:+12125550100@{place}" and invite.headers.get("To") == f"<{invite.uri}>"
    asked = gateway.hears(gateway.callee, "OPTIONS")
    assert asked.uri == f"sip:{place}" and asked.headers.get("To") == f"<{asked.uri}>"


def test_who_sends_from_another_port_than_it_listens_at_is_answered_where_it_listens(
    gateway: Gateway,
) -> None:
    """RFC 3261 18.2.2: without rport the answer goes to the port in Via, and the BYE of the callee too."""
    sender = Datagrams(Address(HOST, gateway.sbc.udp))
    gateway.speaks = sender
    try:
        _, far = gateway.invite()
        gateway.callee.send(serialize(far.request("BYE", via=via_of(gateway.callee), contact="")))
        gateway.hears(gateway.caller, "BYE")
        assert not sender.heard
    finally:
        sender.close()


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_call_goes_on_at_the_port_that_its_listener_has_left(gateway: Gateway, who: str) -> None:
    near, far = gateway.invite()
    path = gateway.sbc.directory / "sbc.yaml"
    path.write_text(path.read_text().replace(f":{gateway.sbc.udp}", f":{free_port()}"))
    gateway.reload()
    one, other, dialog = (gateway.caller, gateway.callee, near)
    if who == "callee":
        one, other, dialog = other, one, far
    one.heard.clear()
    one.send(serialize(dialog.request("BYE", via=via_of(one), contact="")))
    gateway.hears(other, "BYE")
    answered = until(lambda: final_of(one))
    assert answered and answered.status == 200


def test_each_leg_has_a_session_timer_of_its_own(gateway: Gateway) -> None:
    """RFC 4028 7.3, 9: the callee wants a longer session, and refreshes it; nothing of that crosses."""
    trunk = gateway.sbc.directory / "trunks.d" / "gateway.yaml"
    timer = "session_timer: {expires: 1800s, min: 120s}\n"
    trunk.write_text(GATEWAY % (HOST, gateway.callee.port) + timer)
    gateway.reload()
    caller, callee = gateway.caller, gateway.callee
    caller.send(serialize(request_of(caller)))
    first = gateway.hears(callee, "INVITE")
    assert (first.headers.get("Session-Expires"), first.headers.get("Min-SE")) == ("1800", "120")
    callee.heard.clear()
    refused = response_to(first, 422, "Session Interval Too Small", "callee")
    refused.headers.add("Min-SE", "2400")
    callee.send(serialize(refused))
    second = gateway.hears(callee, "INVITE")
    assert (second.headers.get("Session-Expires"), second.call_id) == ("2400", first.call_id)
    answer = response_to(second, 200, "", "callee")
    answer.headers.add("Contact", f"<sip:callee@{HOST}:{callee.port}>")
    answer.headers.add("Session-Expires", "2400;refresher=uas")
    callee.send(serialize(answer))
    answered = until(lambda: final_of(caller))
    assert answered and answered.status == 200 and "Session-Expires" not in answered.headers
    far = Dialog.as_uas(second, "callee")
    for asked, status in (("2400;refresher=uac", 200), ("60;refresher=uac", 422)):
        callee.heard.clear()
        update = far.request("UPDATE", via=via_of(callee), contact=f"<sip:callee@{HOST}:{callee.port}>")
        update.headers.add("Supported", "timer")
        update.headers.add("Session-Expires", asked)
        callee.send(serialize(update))
        said = until(lambda: _of_update(callee))
        assert said and said.status == status
        told = said.headers.get("Session-Expires") or said.headers.get("Min-SE")
        assert told == (asked if status == 200 else "120")
    assert not [each for each in caller.heard if isinstance(each, Request)]


def _of_update(peer: Datagrams) -> Response | None:
    found = [each for each in peer.heard if isinstance(each, Response) and each.cseq.method == "UPDATE"]
    return found[0] if found else None
