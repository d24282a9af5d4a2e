"""The caller's connection closes in the middle: its answer goes over a new one to where its Via says.

RFC 3261 18.2.2: to the address that the request came from, and the port of its sent-by.
"""

from __future__ import annotations

from typing import Any

import pytest

from sbc.base import Address
from sbc.sip.message import Request
from tests.playbook.stage import SDP, Stage, snapshot
from tests.playbook.test_left_over import nothing_is_left

pytestmark = pytest.mark.parametrize("transport", ["tcp", "tls"])
PORT = {"tcp": 5060, "tls": 5061}


def ringing(transport: str, via: str = "", **options: Any) -> tuple[Stage, Request]:
    """It rings at the callee."""
    stage = Stage(snapshot(transport=transport, **options))
    headers = {"Via": via} if via else {}
    stage.office.invite(SDP, **headers)
    invite = stage.carrier.hears_request("INVITE")
    stage.carrier.respond(invite, 180)
    stage.office.hears(100)
    stage.office.hears(180)
    return stage, invite


def home(stage: Stage, port: int) -> tuple[Address, ...]:
    return (Address(stage.office.flow.remote.host, port),)


def test_the_answer_goes_over_a_new_connection(transport: str) -> None:
    stage, invite = ringing(transport)
    stage.closes(stage.office)
    assert stage.connects[-1][0] == home(stage, PORT[transport])
    stage.office.heard.clear()  # the 180, once more
    stage.carrier.hears_nothing()
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    answer = stage.office.hears_response(200)
    stage.within("office", answer, "ACK")
    stage.carrier.hears("ACK")
    stage.from_callee(invite, "BYE")
    stage.carrier.hears(200)
    stage.office.respond(stage.office.hears("BYE"), 200)
    nothing_is_left(stage)


@pytest.mark.parametrize(
    ("sent_by", "port"),
    [
        ("office.example:5071", 5071),
        ("10.1.1.1:5071;received=192.0.2.99;rport=9", 5071),
        ("10.1.1.1;maddr=192.0.2.99", 0),
    ],
)
def test_it_goes_to_where_the_request_came_from_whatever_the_via_says(
    transport: str, sent_by: str, port: int
) -> None:
    host, _, rest = sent_by.partition(";")
    via = f"SIP/2.0/{transport.upper()} {host};branch=z9hG4bK-1{';' + rest if rest else ''}"
    stage, _ = ringing(transport, via)
    stage.closes(stage.office)
    assert stage.connects[-1][0] == home(stage, port or PORT[transport])


@pytest.mark.parametrize("peers", [[], ["198.51.100.1"]])
def test_the_caller_need_not_be_one_that_we_call(transport: str, peers: list[str]) -> None:
    """Its network is what the trunk names."""
    stage, invite = ringing(transport)
    trunk = stage.engine.store.current.trunks["office"]
    object.__setattr__(trunk, "peers", tuple(Address(each, 5061) for each in peers))
    stage.closes(stage.office)
    stage.office.heard.clear()
    stage.carrier.respond(invite, 486)
    stage.office.hears(486)


def test_a_caller_that_cannot_be_reached_any_more_is_hung_up_on(transport: str) -> None:
    stage, invite = ringing(transport)
    stage.refusing.update(home(stage, PORT[transport]))
    stage.closes(stage.office)
    stage.carrier.respond(stage.carrier.hears("CANCEL"), 200, tag="")
    stage.carrier.respond(invite, 487)
    stage.carrier.hears("ACK")
    assert stage.noted("call-ended")[0].fields["reason"] == "the caller's connection closed"
    nothing_is_left(stage)


def test_an_address_that_the_trunk_no_longer_names_is_not_dialled(transport: str) -> None:
    stage, _ = ringing(transport)
    before = len(stage.connects)
    stage.engine.store.swap(snapshot(transport=transport, sources=["203.0.113.0/24"]))
    stage.closes(stage.office)
    stage.carrier.hears("CANCEL")
    assert len(stage.connects) == before
    nothing_is_left(stage)


@pytest.mark.parametrize("status", [180, 200, 486])
def test_what_is_said_while_it_is_dialled_is_not_lost(transport: str, status: int) -> None:
    stage, invite = ringing(transport)
    stage.dialling = []
    stage.closes(stage.office)
    (connect,) = stage.dialling
    stage.carrier.respond(invite, status, body=b"v=0 answer" if status == 200 else b"")
    stage.office.hears_nothing()
    stage.carry_out(stage.dialled(connect))
    stage.office.hears(status)


def test_an_answer_that_can_no_longer_be_given_is_hung_up(transport: str) -> None:
    stage, invite = ringing(transport)
    stage.dialling = []
    stage.closes(stage.office)
    (connect,) = stage.dialling
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.dialling = None
    stage.dead.add("office")
    stage.carry_out(stage.dialled(connect))
    stage.carrier.hears("ACK")
    stage.carrier.respond(stage.carrier.hears("BYE"), 200)
    nothing_is_left(stage)


def test_an_answer_is_repeated_over_a_new_connection_until_its_ack_comes(transport: str) -> None:
    stage, invite = ringing(transport)
    stage.carrier.respond(invite, 200, body=b"v=0 answer")
    stage.office.hears(200)
    stage.closes(stage.office)
    answer = stage.office.hears_response(200)
    stage.wait(0.6)
    stage.office.hears(200)
    stage.within("office", answer, "ACK")
    stage.wait(10)
    stage.office.hears_nothing()


def test_a_caller_that_comes_back_by_itself_is_answered_there(transport: str) -> None:
    stage, invite = ringing(transport)
    stage.dead.add("office")
    stage.dialling = []
    stage.closes(stage.office)
    stage.office.request(
        "CANCEL", Via=f"SIP/2.0/TLS office.example;branch=z9hG4bK-office-{stage.cseq}",
        CSeq=f"{stage.cseq} CANCEL",
    )  # fmt: skip
    stage.office.hears(180)
    stage.office.hears(200)
    stage.office.hears(487)
    stage.carrier.respond(invite, 487)
    connects, stage.dialling = stage.dialling, None
    for connect in connects:
        stage.carry_out(stage.dialled(connect))
    nothing_is_left(stage)


def test_a_caller_that_closes_whatever_is_dialled_is_given_up(transport: str) -> None:
    stage, _ = ringing(transport, ring_timeout=3600)
    before = len(stage.connects)
    for _ in range(100):
        stage.closes(stage.office)
    stage.carrier.hears("CANCEL")
    assert len(stage.connects) - before < 20


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "INFO"])
@pytest.mark.parametrize("side", ["caller", "callee"])
def test_a_request_within_the_dialog_is_answered_over_a_new_connection(
    transport: str, side: str, method: str
) -> None:
    stage = Stage(snapshot(transport=transport))
    invite, answer = stage.established()
    near, far = (stage.office, stage.carrier) if side == "caller" else (stage.carrier, stage.office)
    body = SDP if method != "INFO" else b""
    if side == "caller":
        stage.within("office", answer, method, body=body)
    else:
        stage.from_callee(invite, method, body=body)
    if method == "INVITE":
        near.hears(100)
    stage.closes(near)
    near.heard.clear()  # the 100, once more
    far.hears_request(method)
    request = far.last
    assert request is not None
    far.respond(request, 488)
    assert near.hears_response(488).cseq.method == method
    assert len(stage.engine.calls) == 1
