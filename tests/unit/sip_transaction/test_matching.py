"""Which message belongs to which transaction, and what a forger cannot reach."""

from __future__ import annotations

import sys

import pytest

from sbc.base import Address, LocalError
from sbc.flow import Flow, Transport
from sbc.sip.cancel import build_ack, build_cancel
from sbc.sip.matching import fix_via
from sbc.sip.message import Request
from sbc.sip.transaction import ACKNOWLEDGED
from sbc.sip.transactions import ACK2XX, SPENT, ServerTransaction, Transactions
from tests.unit.sip_transaction import wire

NOW = 0.0


def receive(layer: Transactions, request: Request, flow: Flow | None = None) -> ServerTransaction:
    result = layer.receive_request(flow or wire.flow(), request, NOW, [])
    assert isinstance(result, ServerTransaction)
    return result


def is_absorbed(layer: Transactions, request: Request, flow: Flow | None = None) -> bool:
    return layer.receive_request(flow or wire.flow(), request, NOW, []) is None


def test_another_branch_sent_by_or_method_is_another_transaction() -> None:
    layer = wire.layer()
    receive(layer, wire.request("OPTIONS"))
    receive(layer, wire.request("OPTIONS", branch="z9hG4bKb"))
    receive(layer, wire.request("OPTIONS", via="SIP/2.0/UDP 192.0.2.9:5062;branch=z9hG4bKa"))
    receive(layer, wire.request("OPTIONS", via="SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bKa"))
    receive(layer, wire.request("INFO"))
    assert len(layer) == 5


def test_the_case_of_the_sent_by_host_does_not_matter() -> None:
    layer = wire.layer()
    receive(layer, wire.request("OPTIONS", via="SIP/2.0/UDP Pbx.Example.Com;branch=z9hG4bKa"))
    assert is_absorbed(layer, wire.request("OPTIONS", via="SIP/2.0/UDP pbx.example.com;branch=z9hG4bKa"))


def test_another_trunk_cannot_cancel_or_swallow() -> None:
    layer = wire.layer()
    invite = receive(layer, wire.request("INVITE"))
    other = wire.flow(trunk="other")
    assert receive(layer, wire.request("CANCEL"), other).cancels is None
    assert receive(layer, wire.request("INVITE"), other) is not invite


def test_without_a_trunk_the_address_tells_peers_apart() -> None:
    layer = wire.layer()
    receive(layer, wire.request("INVITE"), wire.flow(trunk=None))
    stranger = wire.flow(trunk=None, remote=Address("198.51.100.7", 5060))
    assert receive(layer, wire.request("CANCEL"), stranger).cancels is None
    same = wire.flow(trunk=None, remote=Address(wire.PEER.host, 40000))
    assert receive(layer, wire.request("CANCEL"), same).cancels is not None


# RFC 3261 17.2.3: branches of RFC 2543


@pytest.mark.parametrize("branch", ["", "1", "z9hg4bka"])
def test_an_rfc2543_client_is_matched_by_its_headers(branch: str) -> None:
    layer = wire.layer()
    invite = receive(layer, wire.request("INVITE", branch=branch))
    assert is_absorbed(layer, wire.request("INVITE", branch=branch))
    assert receive(layer, wire.request("CANCEL", branch=branch)).cancels is invite
    invite.respond(wire.response(invite.request, 487), NOW, [])
    assert is_absorbed(layer, wire.request("ACK", branch=branch, to_tag="bob"))
    assert invite.state == "Confirmed"


def test_an_rfc2543_request_with_another_number_or_via_is_new() -> None:
    layer = wire.layer()
    receive(layer, wire.request("INVITE", branch="1"))
    receive(layer, wire.request("INVITE", branch="1", number=2))
    receive(layer, wire.request("INVITE", branch="2"))
    assert len(layer) == 3


# RFC 3261 8.2.2.2: merged requests


def test_a_second_way_of_one_request_is_merged() -> None:
    layer = wire.layer()
    assert not receive(layer, wire.request("INVITE")).merged
    assert receive(layer, wire.request("INVITE", branch="z9hG4bKb")).merged


@pytest.mark.parametrize(
    "second",
    [
        wire.request("INVITE", branch="z9hG4bKb", number=2),
        wire.request("INVITE", branch="z9hG4bKb", to_tag="bob"),
        wire.request("OPTIONS", branch="z9hG4bKb"),
    ],
)
def test_another_request_is_not_merged(second: Request) -> None:
    layer = wire.layer()
    receive(layer, wire.request("INVITE"))
    assert not receive(layer, second).merged


def test_copies_on_two_trunks_are_not_merged() -> None:
    layer = wire.layer()
    receive(layer, wire.request("INVITE"))
    assert not receive(layer, wire.request("INVITE", branch="z9hG4bKb"), wire.flow(trunk="other")).merged


def test_the_end_of_the_merged_copy_leaves_the_first_in_place() -> None:
    layer, flow = wire.layer(), wire.flow("tls")
    receive(layer, wire.request("OPTIONS"), flow)
    second = receive(layer, wire.request("OPTIONS", branch="z9hG4bKb"), flow)
    second.respond(wire.response(second.request, 482), NOW, [])
    assert receive(layer, wire.request("OPTIONS", branch="z9hG4bKc"), flow).merged


@pytest.mark.parametrize("transport", ["udp", "tls"])
@pytest.mark.parametrize("acknowledged", [True, False])
def test_a_second_way_that_is_tried_after_the_first_was_refused_is_not_merged(
    transport: Transport, acknowledged: bool
) -> None:
    """A caller's proxy forks serially: RFC 3261 8.2.2.2 speaks of requests in progress."""
    layer, flow = wire.layer(), wire.flow(transport)
    first = receive(layer, wire.request("INVITE"), flow)
    first.respond(wire.response(first.request, 486), NOW, [])
    if acknowledged:
        layer.receive_request(flow, wire.request("ACK", to_tag="bob"), NOW, [])
    second = receive(layer, wire.request("INVITE", branch="z9hG4bKb"), flow)
    assert not second.merged
    assert receive(layer, wire.request("INVITE", branch="z9hG4bKc"), flow).merged
    layer.tick(NOW + 40, [])
    second.respond(wire.response(second.request, 200), NOW + 40, [])
    assert receive(layer, wire.request("INVITE", branch="z9hG4bKd"), flow).merged, "no ACK has come"
    layer.receive_request(flow, wire.request("ACK", to_tag="bob", branch="z9hG4bKe"), NOW + 40, [])
    assert second.state == ACKNOWLEDGED
    assert not receive(layer, wire.request("INVITE", branch="z9hG4bKf"), flow).merged
    layer.tick(NOW + 80, [])
    assert len(layer) == 3, "the copies that nobody answered"


def test_an_options_that_comes_another_way_after_it_was_answered_is_answered_again() -> None:
    layer, flow = wire.layer(), wire.flow("udp")
    first = receive(layer, wire.request("OPTIONS"), flow)
    first.respond(wire.response(first.request, 200), NOW, [])
    assert not receive(layer, wire.request("OPTIONS", branch="z9hG4bKb"), flow).merged


# Responses


def test_a_response_from_another_peer_is_stray() -> None:
    layer, flow = wire.layer(), wire.flow("udp")
    invite = wire.request("INVITE")
    client = layer.start(flow, invite, NOW, [], "call")
    ringing = wire.response(invite, 180)
    elsewhere = Address("192.0.2.77", 5060)
    for trunk in ("other", "carrier"):
        assert layer.receive_response(wire.flow("udp", trunk, elsewhere), ringing, NOW, []) is None
    assert layer.receive_response(wire.flow("tls"), ringing, NOW, []) is None
    assert client.state == "Calling"
    assert layer.receive_response(wire.flow("udp"), ringing, NOW, []) is client
    assert (client.user, client.last_response) == ("call", ringing)


def test_a_response_with_another_branch_or_method_is_stray() -> None:
    layer, flow = wire.layer(), wire.flow()
    layer.start(flow, wire.request("INVITE"), NOW, [], None)
    for other in (wire.request("INVITE", branch="z9hG4bKb"), wire.request("BYE"), wire.request(branch="")):
        assert layer.receive_response(flow, wire.response(other, 200), NOW, []) is None


def test_a_branch_is_not_used_twice() -> None:
    layer, flow = wire.layer(), wire.flow()
    layer.start(flow, wire.request("INVITE"), NOW, [], None)
    with pytest.raises(LocalError, match="branch"):
        layer.start(flow, wire.request("INVITE"), NOW, [], None)


def test_the_sent_a_branch_is_known_while_it_lives() -> None:
    layer, flow = wire.layer(), wire.flow("tls")
    invite = wire.request("INVITE")
    layer.start(flow, invite, NOW, [], "user")
    assert layer.user_of("z9hG4bKa") == "user"
    assert layer.user_of("z9hG4bKb") is None
    layer.receive_response(flow, wire.response(invite, 486), NOW, [])
    assert layer.user_of("z9hG4bKa") is None


# What an answered INVITE still holds


def test_an_acknowledged_invite_holds_no_message() -> None:
    layer = wire.layer()
    invite = receive(layer, wire.request("INVITE"))
    invite.respond(wire.response(invite.request, 200), NOW, [])
    ack = wire.request("ACK", branch="z9hG4bKack", to_tag="bob")
    assert layer.receive_request(wire.flow(), ack, NOW, []) is ACK2XX
    assert (invite.state, invite.request, invite.last_response) == ("Acknowledged", SPENT, None)
    assert len(layer) == 1


def test_an_ack_that_came_another_way_is_reported_by_the_user() -> None:
    layer = wire.layer()
    invite = receive(layer, wire.request("INVITE"), wire.flow(trunk=None))
    invite.respond(wire.response(invite.request, 200), NOW, [])
    stranger = wire.flow(trunk=None, remote=Address("198.51.100.7", 5060))
    ack = wire.request("ACK", branch="z9hG4bKack", to_tag="bob")
    assert layer.receive_request(stranger, ack, NOW, []) is ACK2XX
    assert str(invite.state) == "Accepted"
    invite.acknowledged(NOW, [])
    assert invite.state == "Acknowledged"


# CANCEL and ACK


def test_a_cancel_is_made_of_its_invite() -> None:
    invite = wire.request("INVITE", number=7, extra="Route: <sip:a;lr>, <sip:b;lr>\r\nVia: SIP/2.0/UDP z\r\n")
    cancel = build_cancel(invite, 'SIP;cause=200;text="Call completed elsewhere"')
    assert (cancel.method, cancel.uri, str(cancel.cseq)) == ("CANCEL", invite.uri, "7 CANCEL")
    assert cancel.headers.get_all("Via") == ["SIP/2.0/UDP 192.0.2.9:5060;branch=z9hG4bKa"]
    assert cancel.headers.values("Route") == ["<sip:a;lr>", "<sip:b;lr>"]
    assert cancel.headers.get("Reason") == 'SIP;cause=200;text="Call completed elsewhere"'
    for name in ("From", "To", "Call-ID"):
        assert cancel.headers.get(name) == invite.headers.get(name)
    assert "Contact" not in cancel.headers


def test_the_ack_of_a_refusal_has_the_tag_of_the_response() -> None:
    invite = wire.request("INVITE", number=7)
    ack = build_ack(invite, wire.response(invite, 486, "xyz"))
    assert (ack.method, ack.to_tag, str(ack.cseq), ack.via) == ("ACK", "xyz", "7 ACK", invite.via)
    assert "Reason" not in ack.headers


# RFC 3581 and RFC 3261 18.2.1

SOURCE = Address("198.51.100.7", 4711)


@pytest.mark.parametrize(
    ("via", "fixed"),
    [
        ("SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKa", "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKa"),
        ("SIP/2.0/UDP pbx;branch=z9hG4bKa", "SIP/2.0/UDP pbx;branch=z9hG4bKa;received=198.51.100.7"),
        (
            "SIP/2.0/UDP pbx;rport;branch=z9hG4bKa",
            "SIP/2.0/UDP pbx;rport=4711;received=198.51.100.7;branch=z9hG4bKa",
        ),
        (
            "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKa;rport",
            "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKa;rport=4711;received=198.51.100.7",
        ),
        (
            "SIP/2.0/UDP pbx;RPORT=1;received=203.0.113.1;branch=z9hG4bKa",
            "SIP/2.0/UDP pbx;branch=z9hG4bKa;received=198.51.100.7;rport=4711",
        ),
        (
            "SIP/2.0/UDP pbx;branch=z9hG4bKa;rport, SIP/2.0/UDP far;branch=z9hG4bKb;rport",
            "SIP/2.0/UDP pbx;branch=z9hG4bKa;received=198.51.100.7;rport=4711, "
            "SIP/2.0/UDP far;branch=z9hG4bKb;rport",
        ),
        (
            "SIP/2.0/UDP pbx;rportal;branch=z9hG4bKa;rport",
            "SIP/2.0/UDP pbx;rportal;branch=z9hG4bKa;received=198.51.100.7;rport=4711",
        ),
        (
            'SIP/2.0/UDP pbx;x=";rport";branch=z9hG4bKa;rport',
            'SIP/2.0/UDP pbx;x=";rport";branch=z9hG4bKa;received=198.51.100.7;rport=4711',
        ),
    ],
)
def test_the_source_is_written_into_the_top_via(via: str, fixed: str) -> None:
    request = wire.request("OPTIONS", via=via)
    fix_via(request, SOURCE)
    assert request.headers.get("Via") == fixed
    fix_via(request, SOURCE)
    assert request.via.branch == "z9hG4bKa"
    assert request.via.received in (None, SOURCE.host)
    assert len(request.headers.get_all("Via")) == 1


def test_a_response_carries_the_source_back() -> None:
    layer = wire.layer()
    request = wire.request("OPTIONS", via="SIP/2.0/UDP pbx;branch=z9hG4bKa;rport")
    server = receive(layer, request)
    answer = wire.response(server.request, 200)
    assert (answer.via.received, answer.via.rport) == (wire.PEER.host, wire.PEER.port)


def test_what_has_ended_is_held_by_nothing() -> None:
    layer, flow = wire.layer(), wire.flow("tls")
    request = wire.request("BYE", to_tag="bob")
    before = sys.getrefcount(request)
    client = layer.start(flow, request, NOW, [], None)
    answer = wire.response(request, 200)
    layer.receive_response(flow, answer, NOW, [])
    assert client.state == "Terminated"
    del client
    assert sys.getrefcount(request) == before, "neither a table nor the timer queue keeps it"
    assert (len(layer), layer.next_deadline) == (0, None)
