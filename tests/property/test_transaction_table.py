"""Every state and every input of the four machines, and random lives of whole transactions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.flow import Transport
from sbc.sip import transaction as tables
from sbc.sip.machine import Send
from sbc.sip.message import Request, Response
from sbc.sip.timers import DURATIONS, UNRELIABLE_ONLY, ZERO_IF_RELIABLE
from sbc.sip.transaction import ACCEPTED, TERMINATED, State, Table
from sbc.sip.transactions import ACK2XX, ServerTransaction, Transaction, Transactions
from tests.unit.sip_transaction import wire

MACHINES: dict[str, tuple[Table, str, str]] = {
    "INVITE client": (tables.INVITE_CLIENT, "INVITE", "client"),
    "non-INVITE client": (tables.NON_INVITE_CLIENT, "BYE", "client"),
    "INVITE server": (tables.INVITE_SERVER, "INVITE", "server"),
    "non-INVITE server": (tables.NON_INVITE_SERVER, "BYE", "server"),
}
FROM_PEER = {
    "client": {"1xx", "2xx", "final"},
    "server": {"request", "ack", "ack2xx"},
}
STATUS = {"1xx": 180, "2xx": 200, "final": 486}
NOW = 1000.0

transports = st.sampled_from(["udp", "tls"])
machines = st.sampled_from(sorted(MACHINES))


def states(table: Table) -> set[State]:
    return {state for state, _ in table}


def inputs(table: Table) -> set[str]:
    return {event for _, event in table}


def begin(name: str, transport: Transport, out: list[Any]) -> tuple[Transactions, Transaction]:
    """Return a layer with one new transaction of machine ``name``."""
    _, method, side = MACHINES[name]
    layer, flow = wire.layer(), wire.flow(transport)
    request = wire.request(method, to_tag="bob")
    if side == "client":
        return layer, layer.start(flow, request, NOW, out, None)
    transaction = layer.receive_request(flow, request, NOW, out)
    assert isinstance(transaction, ServerTransaction)
    return layer, transaction


def message_for(name: str, event: str) -> Response | None:
    method = MACHINES[name][1]
    return wire.response(wire.request(method), STATUS[event]) if event in STATUS else None


@pytest.mark.parametrize("name", MACHINES)
def test_the_table_is_total_and_terminated_is_final(name: str) -> None:
    table = MACHINES[name][0]
    assert set(table) == {(state, event) for state in states(table) for event in inputs(table)}
    assert TERMINATED in states(table)
    for event in inputs(table):
        assert table[TERMINATED, event] == (TERMINATED, ())


@pytest.mark.parametrize("name", MACHINES)
def test_what_a_table_names_exists(name: str) -> None:
    table = MACHINES[name][0]
    started = {
        each.split()[1] for _, actions in table.values() for each in actions if each.startswith("start ")
    }
    assert started <= set(DURATIONS)
    assert started <= inputs(table), "a timer that is started can also fire"


@pytest.mark.parametrize("name", MACHINES)
def test_a_timer_that_may_be_zero_is_started_last(name: str) -> None:
    for _, actions in MACHINES[name][0].values():
        for at, action in enumerate(actions):
            if action.startswith("start ") and action.split()[1] in ZERO_IF_RELIABLE:
                assert at == len(actions) - 1


@pytest.mark.parametrize("name", MACHINES)
def test_every_state_is_reached_from_the_first(name: str) -> None:
    table = MACHINES[name][0]
    reached = {begin(name, "udp", [])[1].state}
    while True:
        more = {table[state, event][0] for state in reached for event in inputs(table)}
        if more <= reached:
            break
        reached |= more
    assert reached == states(table)


@pytest.mark.parametrize("transport", ["udp", "tls"])
@pytest.mark.parametrize("name", MACHINES)
def test_every_state_takes_every_input(name: str, transport: Transport) -> None:
    table = MACHINES[name][0]
    for state, event in table:
        layer, transaction = begin(name, transport, [])
        transaction.state = state
        transaction.last_response = message_for(name, "final")
        out: list[Any] = []
        transaction.fire(event, message_for(name, event), NOW, out)
        expected, actions = table[state, event]
        if transport == "udp" or not any(each[6:] in ZERO_IF_RELIABLE for each in actions):
            assert transaction.state == expected
        assert (transaction.state == TERMINATED) == (len(layer) == 0)
        if state == TERMINATED:
            assert out == [], f"{name} sent something in {state} on {event}"
        assert len(out) == sum(each.startswith("send ") for each in actions)


@pytest.mark.parametrize("name", MACHINES)
def test_a_reliable_flow_runs_no_timer_of_an_unreliable_one(name: str) -> None:
    table = MACHINES[name][0]
    for state, event in table:
        _, transaction = begin(name, "tls", [])
        transaction.timers.clear()
        transaction.state = state
        transaction.last_response = message_for(name, "final")
        if event in UNRELIABLE_ONLY:
            continue
        transaction.fire(event, message_for(name, event), NOW, [])
        assert not transaction.timers.keys() & (UNRELIABLE_ONLY | ZERO_IF_RELIABLE)


@given(machines, transports, st.lists(st.tuples(st.integers(0, 9), st.floats(0, 40)), max_size=30))
def test_a_random_life_sends_nothing_after_its_end_and_ends(
    name: str, transport: Transport, life: list[tuple[int, float]]
) -> None:
    table, _, side = MACHINES[name]
    out: list[Any] = []
    layer, transaction = begin(name, transport, out)
    possible = sorted(FROM_PEER[side] | ({"1xx", "2xx", "final"} if side == "server" else set()))
    now = NOW
    for choice, seconds in life:
        ended = transaction.state == TERMINATED
        out.clear()
        event = possible[choice % len(possible)]
        if event in inputs(table):
            transaction.fire(event, message_for(name, event), now, out)
        now += seconds
        layer.tick(now, out)
        if ended:
            assert out == []
            assert transaction.timers == {}
        assert (transaction.state == TERMINATED) == (len(layer) == 0)
        due = layer.next_deadline
        assert due is None or due > now
        assert (due is None) == (not transaction.timers)
    finish(layer, transaction, now)


def finish(layer: Transactions, transaction: Transaction, now: float) -> None:
    """Whatever has a timer ends by itself; what waits for its user ends with the flow."""
    out: list[Any] = []
    for _ in range(40):
        now += 4.0
        layer.tick(now, out)
    if transaction.state != TERMINATED:
        assert transaction.state in ("Trying", "Proceeding")
        told = layer.flow_closed(transaction.flow, now, out)
        if isinstance(transaction, ServerTransaction):
            assert told == [(transaction, "lost")]
            transaction.respond(wire.response(transaction.request, 503), now, out)
            layer.tick(now + 33, out)
        elif transaction.method == "INVITE":  # until timer C, and no answer to the CANCEL that it then gets
            assert told == [(transaction, "adrift")]
            assert layer.tick(now + 181, out) == [(transaction, "timeout")]
            layer.tick(now + 214, out)
        else:
            assert told == [(transaction, "transport")]
    assert len(layer) == 0
    assert layer.next_deadline is None


@given(st.lists(st.sampled_from([0.001, 0.1, 0.4, 1.0, 3.0]), min_size=1, max_size=400))
def test_the_count_of_retransmissions_does_not_grow_with_the_ticks(steps: list[float]) -> None:
    out: list[Any] = []
    layer, transaction = begin("INVITE client", "udp", out)
    now = NOW
    for seconds in steps:
        now += seconds
        layer.tick(now, out)
    assert 1 <= sum(isinstance(each, Send) for each in out) <= 7
    assert (transaction.state == TERMINATED) == (now - NOW >= 32.0)


@pytest.mark.parametrize(
    ("name", "transport", "event", "sends"),
    [
        ("INVITE client", "udp", None, 7),
        ("INVITE client", "tls", None, 1),
        ("non-INVITE client", "udp", None, 11),
        ("non-INVITE client", "tls", None, 1),
        ("INVITE server", "udp", "final", 11),
        ("INVITE server", "tls", "final", 1),
        ("INVITE server", "udp", "2xx", 11),
        ("INVITE server", "tls", "2xx", 11),
        ("non-INVITE server", "udp", "final", 1),
    ],
)
def test_how_often_a_message_is_sent_without_an_answer(
    name: str, transport: Transport, event: str | None, sends: int
) -> None:
    out: list[Any] = []
    layer, transaction = begin(name, transport, out)
    if event is not None:
        out.clear()
        transaction.fire(event, message_for(name, event), NOW, out)
    while (due := layer.next_deadline) is not None:
        layer.tick(due, out)
    assert [type(each) for each in out] == [Send] * sends
    assert len({id(each.message) for each in out}) == 1, "the same message object each time"
    assert len(layer) == 0


_methods = st.sampled_from(["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS"])
_branches = st.sampled_from(["z9hG4bKa", "z9hG4bKb", "1", ""])
_requests = st.tuples(_methods, _branches, st.integers(1, 2), st.sampled_from(["", "bob", "eve"]))


@given(
    transports,
    st.lists(st.tuples(_requests, st.sampled_from([0, 180, 200, 486]), st.floats(0, 9)), max_size=25),
)
def test_the_layer_takes_any_sequence_of_requests(
    transport: Transport, steps: list[tuple[tuple[str, str, int, str], int, float]]
) -> None:
    layer, flow, now = wire.layer(), wire.flow(transport), NOW
    out: list[Any] = []
    for (method, branch, number, tag), status, seconds in steps:
        request = wire.request(method, branch=branch, number=number, to_tag=tag)
        result = layer.receive_request(flow, request, now, out)
        if isinstance(result, ServerTransaction):
            assert result.method == method != "ACK"
            if status:
                result.respond(wire.response(request, status), now, out)
        else:
            assert result is None or (result is ACK2XX and method == "ACK")
        now += seconds
        layer.tick(now, out)
    for server, event in layer.flow_closed(flow, now, out):
        if event == "lost" and isinstance(server, ServerTransaction) and server.state != ACCEPTED:
            server.respond(wire.response(server.request, 503), now, out)
    layer.tick(now + 33, out)
    assert len(layer) == 0
    assert all(isinstance(each.message, Request | Response) for each in out)
