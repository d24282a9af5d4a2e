"""One peer that is filed as two trunks: whom a response and a request within a dialog may come from.

A response belongs to its branch and to the address that its request went to (RFC 3261 17.1.3, 18.1.2).
"""

from __future__ import annotations

import pytest

from sbc.base import Address
from sbc.flow import Flow, PeerIdentity, TlsFacts
from sbc.sip.message import Request
from tests.playbook.stage import Stage, snapshot


def again(flow: Flow, trunk: str, host: str = "", pin: str | None = "") -> Flow:
    """A connection, or a datagram, from the address of ``flow`` that was admitted as ``trunk``.

    ``pin`` is the key that its certificate has, None for no certificate.
    """
    tls = flow.tls
    if tls is not None:
        peer = PeerIdentity(trunk, "CA", (), pin, "", 0.0, 0.0, True) if pin is not None else None
        tls = TlsFacts("TLSv1.3", "", "", "", "", peer)
    remote = Address(host or flow.remote.host, flow.remote.port if flow.transport == "udp" else 40001)
    return Flow(99, flow.transport, flow.local, remote, listener=flow.listener, trunk=trunk, tls=tls)


def invited(transport: str) -> tuple[Stage, Request]:
    stage = Stage(snapshot(transport=transport))
    stage.office.invite()
    stage.office.hears(100)
    return stage, stage.carrier.hears_request("INVITE")


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_response_from_the_address_is_taken_whichever_trunk_it_is_filed_as(transport: str) -> None:
    stage, invite = invited(transport)
    stage.carrier.flow = again(stage.carrier.flow, "backup")
    stage.carrier.respond(invite, 180)
    stage.office.hears(180)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_a_response_from_elsewhere_is_ignored(transport: str) -> None:
    stage, invite = invited(transport)
    stage.carrier.flow = again(stage.carrier.flow, "backup", "198.51.100.77")
    stage.carrier.respond(invite, 180)
    stage.office.hears_nothing()


def test_over_udp_another_address_of_the_trunk_is_elsewhere_too() -> None:
    stage, invite = invited("udp")
    stage.carrier.flow = again(stage.carrier.flow, "carrier", "198.51.100.77")
    stage.carrier.respond(invite, 180)
    stage.office.hears_nothing()


def test_a_server_that_lost_its_connection_may_answer_on_another() -> None:
    stage, invite = invited("tls")
    stage.carrier.flow = again(stage.carrier.flow, "carrier", "198.51.100.77")
    stage.carrier.respond(invite, 180)
    stage.office.hears(180)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_the_callees_bye_ends_the_call_whichever_trunk_it_is_filed_as(transport: str) -> None:
    stage = Stage(snapshot(transport=transport))
    invite, _ = stage.established()
    stage.carrier.flow = again(stage.carrier.flow, "backup")
    stage.from_callee(invite, "BYE")
    stage.carrier.hears(200)
    stage.office.hears("BYE")


@pytest.mark.parametrize("pin", ["another", None])
def test_an_address_does_not_speak_for_a_certificate(pin: str | None) -> None:
    stage = Stage()
    invite, _ = stage.established()
    stage.carrier.flow = again(stage.carrier.flow, "backup", pin=pin)
    stage.from_callee(invite, "BYE")
    stage.carrier.hears(481)
    stage.office.hears_nothing()


def test_the_same_address_over_another_transport_is_somebody_else() -> None:
    stage = Stage(snapshot(transport="tcp"))
    invite, _ = stage.established()
    beyond = stage.carrier.flow.remote
    stage.carrier.flow = Flow(98, "udp", Address("192.0.2.1", 5060), beyond, listener="udp", trunk="plain")
    stage.from_callee(invite, "BYE")
    stage.carrier.hears(481)


def test_a_call_of_one_trunk_is_none_of_another_at_the_same_address_without_its_tags() -> None:
    stage = Stage()
    invite, _ = stage.established()
    stage.carrier.flow = again(stage.carrier.flow, "backup")
    stage.from_callee(invite, "BYE", tag="guessed")
    stage.carrier.hears(481)
    assert stage.noted("call-up")[0].call in stage.engine.calls
