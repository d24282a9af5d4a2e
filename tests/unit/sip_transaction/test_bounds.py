"""What a peer can make us remember by not acknowledging, and how much is let go of in one step."""

from __future__ import annotations

from typing import Any

import pytest

from sbc.base import Address
from sbc.flow import Flow, Transport
from sbc.sip.machine import Send
from sbc.sip.message import Response
from sbc.sip.transactions import SLICE, UNACKNOWLEDGED, ServerTransaction, Transactions
from tests.unit.sip_transaction import wire

NOW = 1000.0
MANY = UNACKNOWLEDGED + 200


def refused(
    layer: Transactions, flow: Flow, number: int, method: str = "INVITE", to_tag: str = ""
) -> Response:
    """The last answer to a request that the user refuses."""
    out: list[Any] = []
    request = wire.request(method, branch=f"z9hG4bK{number}", number=number + 1, to_tag=to_tag)
    server = layer.receive_request(flow, request, NOW, out)
    if isinstance(server, ServerTransaction):
        server.respond(wire.response(request, 404), NOW, out)
    sent = [each.message for each in out if isinstance(each, Send)]
    answer = sent[-1]
    assert isinstance(answer, Response)
    return answer


def acknowledge(layer: Transactions, flow: Flow, number: int) -> None:
    ack = wire.request("ACK", branch=f"z9hG4bK{number}", number=number + 1, to_tag="bob")
    layer.receive_request(flow, ack, NOW, [])


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
def test_refusals_that_nobody_acknowledges_are_remembered_up_to_a_bound(transport: Transport) -> None:
    layer, flow = wire.layer(), wire.flow(transport)
    statuses = [refused(layer, flow, number).status for number in range(MANY)]
    assert statuses == [404] * UNACKNOWLEDGED + [503] * 200
    assert len(layer) == UNACKNOWLEDGED


def test_the_answer_beyond_the_bound_is_the_same_each_time_and_tells_when_to_come_again() -> None:
    """RFC 3261 8.2.7: a stateless server gives a request the same To tag whenever it comes."""
    layer, flow = wire.layer(), wire.flow("tcp")
    answers = [refused(layer, flow, number) for number in [*range(MANY), MANY - 1]]
    first, again = answers[-2:]
    assert first.status == again.status == 503 and first.to_tag == again.to_tag != ""
    assert answers[-3].to_tag != first.to_tag and first.headers.get("Retry-After")


def test_acknowledgements_make_room() -> None:
    layer, flow = wire.layer(), wire.flow("tcp")
    for number in range(MANY):
        refused(layer, flow, number)
    for number in range(3):
        acknowledge(layer, flow, number)
    assert [refused(layer, flow, MANY + number).status for number in range(4)] == [404, 404, 404, 503]


def test_time_makes_room() -> None:
    layer, flow = wire.layer(), wire.flow("udp")
    for number in range(MANY):
        refused(layer, flow, number)
    for _ in range(MANY // SLICE + 20):
        layer.tick(NOW + 33, [])
    assert len(layer) == 0 and refused(layer, flow, MANY).status == 404


@pytest.mark.slow
def test_another_port_of_a_udp_peer_is_the_same_peer_and_another_connection_is_not() -> None:
    for transport, status in (("udp", 503), ("tcp", 404)):
        layer, one = wire.layer(), wire.flow(transport)  # type: ignore[arg-type]
        other = wire.flow(transport, remote=Address(wire.PEER.host, 40000))  # type: ignore[arg-type]
        for number in range(MANY):
            refused(layer, one, number)
        assert refused(layer, other, MANY).status == status
        stranger = wire.flow(transport, "other", Address("192.0.2.77", 5060))  # type: ignore[arg-type]
        assert refused(layer, stranger, MANY + 1).status == 404


def test_calls_that_are_being_set_up_do_not_count() -> None:
    layer, flow = wire.layer(), wire.flow("tcp")
    for number in range(MANY):
        layer.receive_request(flow, wire.request(branch=f"z9hG4bK{number}", number=number + 1), NOW, [])
    assert len(layer) == MANY and refused(layer, flow, MANY).status == 404


@pytest.mark.parametrize(("method", "to_tag"), [("OPTIONS", ""), ("BYE", "none")])
def test_other_refusals_over_udp_are_forgotten_beyond_the_bound_and_answered_all_the_same(
    method: str, to_tag: str
) -> None:
    layer, flow = wire.layer(), wire.flow("udp")
    statuses = {refused(layer, flow, number, method, to_tag).status for number in range(MANY)}
    assert statuses == {404} and len(layer) == UNACKNOWLEDGED
    assert refused(layer, flow, MANY).status == 404, "an INVITE is not refused for it"


def test_what_a_closed_connection_leaves_is_let_go_of_in_slices() -> None:
    layer, flow = wire.layer(), wire.flow("tcp")
    many = 3 * SLICE + 10
    for number in range(many):
        layer.start(flow, wire.request("OPTIONS", branch=f"z9hG4bK{number}"), NOW, [])
    told = layer.flow_closed(flow, NOW, [])
    assert len(layer) == many - SLICE
    while len(layer):
        before = len(layer)
        assert layer.next_deadline == 0.0
        told += layer.tick(NOW, [])
        assert before - SLICE <= len(layer) < before
    assert len(told) == many == len({transaction.number for transaction, _ in told})
    assert layer.next_deadline is None


def test_timers_that_are_due_together_fire_in_slices() -> None:
    layer = wire.layer()
    many = 2 * SLICE + 10
    for number in range(many):
        layer.start(wire.flow("tcp"), wire.request("OPTIONS", branch=f"z9hG4bK{number}"), NOW, [])
    told: list[Any] = []
    while len(layer):
        before, due = len(layer), layer.next_deadline
        assert due is not None and due <= NOW + 33
        told += layer.tick(NOW + 33, [])
        assert before - SLICE <= len(layer) < before
    assert [event for _, event in told] == ["timeout"] * many
