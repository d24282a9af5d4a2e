"""The four machines in conversation: RFC 3261 17, RFC 6026, over unreliable and reliable flows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from sbc.flow import Flow, Transport
from sbc.sip.cancel import build_cancel
from sbc.sip.machine import Send
from sbc.sip.message import Request, Response
from sbc.sip.transactions import ACK2XX, ClientTransaction, ServerTransaction, Transaction
from tests.playbook.script import Event, Expectation, Script, after
from tests.unit.sip_transaction import wire

INVITE = wire.request("INVITE")
BYE = wire.request("BYE", to_tag="bob")
ACK = wire.request("ACK", to_tag="bob")
ACK_OF_2XX = wire.request("ACK", to_tag="bob", branch="z9hG4bKack")
CANCEL = wire.request("CANCEL")


class Peer:
    """The core under test: a layer, one flow, and the transactions that it has shown so far."""

    def __init__(self, transport: Transport) -> None:
        self.layer = wire.layer()
        self.flow: Flow = wire.flow(transport)
        self.server: dict[str, ServerTransaction] = {}
        self.client: dict[str, ClientTransaction] = {}

    def tick(self, now: float, out: list[Any]) -> list[Any]:
        return list(self.layer.tick(now, out))


def over(transport: Transport) -> Script[Peer]:
    return Script(Peer(transport))


def received(message: Request) -> Event[Peer]:
    def event(peer: Peer, now: float, out: list[Any]) -> None:
        copy = Request(message.method, message.uri, message.headers.copy(), message.body)
        result = peer.layer.receive_request(peer.flow, copy, now, out)
        if isinstance(result, ServerTransaction):
            peer.server[result.method] = result
        if result is not None:
            out.append(result)

    return event


def answered(status: int, tag: str = "bob", method: str = "INVITE") -> Event[Peer]:
    """A response from the wire."""

    def event(peer: Peer, now: float, out: list[Any]) -> None:
        message = wire.response(INVITE if method == "INVITE" else BYE, status, tag)
        result = peer.layer.receive_response(peer.flow, message, now, out)
        if result is not None:
            out.append(message)

    return event


def respond(status: int, method: str = "INVITE") -> Event[Peer]:
    """The user answers."""

    def event(peer: Peer, now: float, out: list[Any]) -> None:
        message = wire.response(INVITE if method == "INVITE" else BYE, status)
        peer.server[method].respond(message, now, out)

    return event


def start(message: Request) -> Event[Peer]:
    def event(peer: Peer, now: float, out: list[Any]) -> None:
        peer.client[message.method] = peer.layer.start(peer.flow, message, now, out, None)

    return event


def closed(peer: Peer, now: float, out: list[Any]) -> None:
    """The flow is gone."""
    out.extend(peer.layer.flow_closed(peer.flow, now, out))


def dead(peer: Peer, now: float, out: list[Any]) -> None:
    """What goes over the flow now is heard by nobody, and the peer has another."""
    peer.flow.alive = False
    peer.flow = wire.flow(peer.flow.transport)


def moved(peer: Peer, now: float, out: list[Any]) -> None:
    """What servers have said goes over the peer's other flow."""
    for each in peer.server.values():
        peer.layer.move(each, peer.flow, now, out)


def sent(what: str | int) -> Expectation:
    def holds(entry: Any) -> bool:
        if not isinstance(entry, Send):
            return False
        message = entry.message
        return what == (message.method if isinstance(message, Request) else getattr(message, "status", 0))

    return Expectation(f"Send({what})", holds)


def new(method: str) -> Expectation:
    return Expectation(f"new {method}", lambda e: isinstance(e, ServerTransaction) and e.method == method)


def passed_up(status: int) -> Expectation:
    return Expectation(f"passed up {status}", lambda e: isinstance(e, Response) and e.status == status)


def told(event: str) -> Expectation:
    def holds(entry: Any) -> bool:
        return isinstance(entry, tuple) and isinstance(entry[0], Transaction) and entry[1] == event

    return Expectation(f"told {event}", holds)


ack2xx = Expectation("ACK2XX", lambda entry: entry is ACK2XX)


def live(script: Script[Peer]) -> int:
    return len(script.core.layer)


# INVITE client, figure 5


def test_invite_client_is_repeated_with_doubling_until_timer_b() -> None:
    script = over("udp") >> start(INVITE) << sent("INVITE")
    for seconds in (0.5, 1, 2, 4, 8, 16):
        script = script >> after(seconds) << sent("INVITE")
    assert script >> after(0.5) << told("timeout")
    assert live(script) == 0


def test_invite_client_over_a_reliable_flow_is_sent_once() -> None:
    script = over("tls") >> start(INVITE) << sent("INVITE") >> after(31.9)
    assert script >> after(0.1) << told("timeout")
    assert live(script) == 0


def test_a_provisional_response_ends_the_repetition_and_timer_b() -> None:
    assert (
        over("udp")
        >> start(INVITE)
        << sent("INVITE")
        >> answered(180)
        << passed_up(180)
        >> after(100)
        >> answered(180)
        << passed_up(180)
    )


def test_a_refusal_is_acknowledged_by_the_layer_again_and_again_until_timer_d() -> None:
    script = over("udp") >> start(INVITE) << sent("INVITE") >> answered(486) << sent("ACK") << passed_up(486)
    script = script >> answered(486) << sent("ACK") >> after(31.9) >> answered(486) << sent("ACK")
    assert live(script) == 1
    assert script >> after(0.1) >> answered(486)
    assert live(script) == 0


def test_a_refusal_over_a_reliable_flow_ends_the_client_at_once() -> None:
    script = over("tls") >> start(INVITE) << sent("INVITE") >> answered(486) << sent("ACK") << passed_up(486)
    assert script
    assert live(script) == 0


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_every_2xx_of_a_fork_is_passed_up_until_timer_m(transport: Transport) -> None:
    script = over(transport) >> start(INVITE) << sent("INVITE") >> answered(200) << passed_up(200)
    script = (
        script >> answered(200, "carol") << passed_up(200) >> after(31) >> answered(200) << passed_up(200)
    )
    assert script >> answered(180) >> answered(486) >> after(1) >> answered(200)
    assert live(script) == 0


def test_a_cancelled_invite_without_an_answer_ends_after_32_seconds() -> None:
    script = over("tls") >> start(INVITE) << sent("INVITE") >> answered(180) << passed_up(180)
    script = script >> start(build_cancel(INVITE)) << sent("CANCEL")
    assert script >> after(32) << told("timeout") << told("timeout")
    assert live(script) == 0


def test_a_cancelled_invite_that_is_answered_487_just_ends() -> None:
    script = over("tls") >> start(INVITE) << sent("INVITE") >> answered(180) << passed_up(180)
    script = script >> start(build_cancel(INVITE)) << sent("CANCEL")
    assert script >> answered(487) << sent("ACK") << passed_up(487) >> after(31)
    assert live(script) == 1


# Non-INVITE client, figure 6


def test_non_invite_client_is_repeated_to_the_ceiling_of_t2_until_timer_f() -> None:
    script = over("udp") >> start(BYE) << sent("BYE")
    for seconds in (0.5, 1, 2, 4, 4, 4, 4, 4, 4, 4):
        script = script >> after(seconds) << sent("BYE")
    assert script >> after(0.5) << told("timeout")


def test_a_provisional_response_slows_a_non_invite_client_to_t2() -> None:
    script = over("udp") >> start(BYE) << sent("BYE") >> answered(100, method="BYE") << passed_up(100)
    script = script >> after(0.5) << sent("BYE") >> after(3.9) >> after(0.1) << sent("BYE")
    assert (
        script >> answered(200, method="BYE") << passed_up(200) >> answered(200, method="BYE") >> after(4.9)
    )
    assert live(script) == 1
    assert script >> after(0.1)
    assert live(script) == 0


def test_non_invite_client_over_a_reliable_flow_ends_with_its_answer() -> None:
    script = over("tls") >> start(BYE) << sent("BYE") >> answered(200, method="BYE") << passed_up(200)
    assert script >> answered(200, method="BYE")
    assert live(script) == 0


# INVITE server, figure 7


def test_invite_server_answers_100_at_once_and_repetitions_with_the_last_response() -> None:
    assert (
        over("udp")
        >> received(INVITE)
        << sent(100)
        << new("INVITE")
        >> received(INVITE)
        << sent(100)
        >> respond(180)
        << sent(180)
        >> received(INVITE)
        << sent(180)
    )


def test_a_refusal_is_repeated_until_its_ack() -> None:
    script = over("udp") >> received(INVITE) << sent(100) << new("INVITE") >> respond(486) << sent(486)
    script = script >> after(0.5) << sent(486) >> after(1) << sent(486) >> received(INVITE) << sent(486)
    script = script >> received(ACK) >> received(INVITE) >> after(4.9) >> received(ACK)
    assert live(script) == 1
    assert script >> after(0.1)
    assert live(script) == 0


def test_a_refusal_without_an_ack_ends_at_timer_h() -> None:
    script = over("udp") >> received(INVITE) << sent(100) << new("INVITE") >> respond(486) << sent(486)
    for seconds in (0.5, 1, 2, 4, 4, 4, 4, 4, 4, 4):
        script = script >> after(seconds) << sent(486)
    assert script >> after(0.5) << told("no-ack")
    assert live(script) == 0


def test_a_refusal_over_a_reliable_flow_is_sent_once_and_ends_with_its_ack() -> None:
    script = over("tls") >> received(INVITE) << sent(100) << new("INVITE") >> respond(486) << sent(486)
    assert script >> after(20) >> received(ACK)
    assert live(script) == 0


@pytest.mark.parametrize("transport", ["udp", "tls"])
def test_a_2xx_is_repeated_until_its_ack_comes_over_any_transport(transport: Transport) -> None:
    script = over(transport) >> received(INVITE) << sent(100) << new("INVITE") >> respond(200) << sent(200)
    script = script >> after(0.5) << sent(200) >> received(INVITE) >> after(1) << sent(200)
    script = script >> received(ACK_OF_2XX) << ack2xx >> after(29) >> received(INVITE)
    assert live(script) == 1
    assert script >> after(1.5)
    assert live(script) == 0


def test_a_2xx_that_is_never_acknowledged_is_reported() -> None:
    script = over("tls") >> received(INVITE) << sent(100) << new("INVITE") >> respond(200) << sent(200)
    for seconds in (0.5, 1, 2, 4, 4, 4, 4, 4, 4, 4):
        script = script >> after(seconds) << sent(200)
    assert script >> after(0.5) << told("no-ack")
    assert live(script) == 0


def test_an_ack_of_a_2xx_with_the_branch_of_the_invite_is_taken_too() -> None:
    script = over("udp") >> received(INVITE) << sent(100) << new("INVITE") >> respond(200) << sent(200)
    assert script >> received(ACK) << ack2xx >> after(20)


def test_an_ack_with_another_tag_does_not_end_the_repetition() -> None:
    other = wire.request("ACK", to_tag="mallory", branch="z9hG4bKack")
    script = over("udp") >> received(INVITE) << sent(100) << new("INVITE") >> respond(200) << sent(200)
    assert script >> received(other) << ack2xx >> after(0.5) << sent(200)


def test_a_second_final_response_is_discarded() -> None:
    script = over("tls") >> received(INVITE) << sent(100) << new("INVITE") >> respond(486) << sent(486)
    assert script >> respond(200) >> respond(180)


# Non-INVITE server, figure 8


def test_non_invite_server_repeats_its_final_response_until_timer_j() -> None:
    script = over("udp") >> received(BYE) << new("BYE") >> received(BYE) >> respond(100, "BYE") << sent(100)
    script = script >> received(BYE) << sent(100) >> respond(200, "BYE") << sent(200)
    script = script >> received(BYE) << sent(200) >> after(31.9) >> received(BYE) << sent(200)
    assert script >> after(0.1) >> received(BYE) << new("BYE")


def test_non_invite_server_over_a_reliable_flow_ends_with_its_response() -> None:
    script = over("tls") >> received(BYE) << new("BYE") >> respond(200, "BYE") << sent(200)
    assert script
    assert live(script) == 0


# CANCEL, and a flow that closes


def test_a_cancel_finds_its_invite_and_both_are_answered() -> None:
    script = (
        over("udp") >> received(INVITE) << sent(100) << new("INVITE") >> received(CANCEL) << new("CANCEL")
    )
    assert script.core.server["CANCEL"].cancels is script.core.server["INVITE"]
    assert script >> respond(200, "CANCEL") << sent(200) >> respond(487) << sent(487) >> received(ACK)


def test_a_cancel_without_an_invite_cancels_nothing() -> None:
    script = over("udp") >> received(CANCEL) << new("CANCEL")
    assert script.core.server["CANCEL"].cancels is None


UNFINISHED: dict[str, Callable[[], Script[Peer]]] = {
    "INVITE client": lambda: over("tls") >> start(INVITE) << sent("INVITE"),
    "BYE client": lambda: over("tls") >> start(BYE) << sent("BYE"),
    "INVITE server": lambda: over("tls") >> received(INVITE) << sent(100) << new("INVITE"),
    "BYE server": lambda: over("tls") >> received(BYE) << new("BYE"),
}


@pytest.mark.parametrize("name", ["INVITE client", "BYE client"])
def test_a_closed_flow_ends_a_request_that_nobody_has_answered_and_tells(name: str) -> None:
    script = UNFINISHED[name]() >> closed << told("transport")
    assert script >> after(100)
    assert live(script) == 0


@pytest.mark.parametrize(("name", "method"), [("INVITE server", "INVITE"), ("BYE server", "BYE")])
def test_a_closed_flow_does_not_end_what_is_not_answered_and_tells(name: str, method: str) -> None:
    script = UNFINISHED[name]() >> closed << told("lost") >> dead
    assert script >> respond(486, method) << sent(486)
    assert script >> moved << sent(486), "here it is heard"
    assert script.core.server[method].flow is script.core.flow
    script >> after(33)
    assert live(script) == 0


def test_an_invite_that_has_been_heard_of_is_answered_on_another_flow() -> None:
    """RFC 3261 18.1.1; the ACK of a refusal goes there too."""
    script = over("tls") >> start(INVITE) << sent("INVITE") >> answered(180) << passed_up(180)
    script = script >> closed << told("adrift")
    assert script >> dead >> after(170) >> moved >> answered(180) << passed_up(180)
    assert script >> after(600) >> answered(486) << sent("ACK") << passed_up(486)
    assert live(script) == 0


def test_an_invite_that_nobody_answers_on_another_flow_ends_after_timer_c() -> None:
    script = over("tls") >> start(INVITE) << sent("INVITE") >> answered(180) << passed_up(180)
    script = script >> closed << told("adrift")
    assert script >> after(180) >> after(1) << told("timeout") >> after(32) << told("timeout")
    assert live(script) == 0


def test_a_closed_flow_does_not_end_the_wait_for_the_ack_of_a_2xx() -> None:
    script = over("tls") >> received(INVITE) << sent(100) << new("INVITE") >> respond(200) << sent(200)
    assert script >> closed << told("lost") >> after(31) >> after(1) << told("no-ack")


def test_a_closed_flow_does_not_end_the_watch_for_further_2xx() -> None:
    script = over("tls") >> start(INVITE) << sent("INVITE") >> answered(200) << passed_up(200)
    assert script >> closed >> answered(200) << passed_up(200) >> after(32)
    assert live(script) == 0


# When a connection may be closed without losing anything


def unfinished(script: Script[Peer]) -> bool:
    return script.core.layer.unfinished(script.core.flow)


@pytest.mark.parametrize("name", UNFINISHED)
def test_a_flow_with_something_under_way_is_unfinished(name: str) -> None:
    assert unfinished(UNFINISHED[name]())
    assert not unfinished(over("tls"))


def test_a_flow_is_unfinished_until_the_ack_of_its_2xx_has_come() -> None:
    script = over("tls") >> received(INVITE) << sent(100) << new("INVITE") >> respond(200) << sent(200)
    assert unfinished(script)
    assert not unfinished(script >> received(ACK_OF_2XX) << ack2xx), "it only absorbs what is repeated"


def test_a_flow_is_unfinished_until_the_user_has_acknowledged_a_2xx() -> None:
    script = over("tls") >> start(INVITE) << sent("INVITE") >> answered(200) << passed_up(200)
    assert unfinished(script)
    script.core.client["INVITE"].last_response = None
    assert not unfinished(script)
