"""The order of a trunk's peers, and whom a request within a dialog goes to; pure."""

from __future__ import annotations

import pytest

from sbc.b2bua.peers import REST, Peers, Towards
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.sip.uri import parse_uri

A, B, C = Address("a.example", 5061), Address("b.example", 5061), Address("192.0.2.7", 5071)
NOW = 1000.0


def trunk(**options: object) -> Trunk:
    return Trunk.model_validate(
        {
            "trunk": "t",
            "listener": "main",
            "peers": ["a.example:5061", "b.example:5061", "192.0.2.7:5071"],
            **options,
        }
    )


def test_peers_are_tried_in_the_order_of_the_configuration() -> None:
    assert Peers().order(trunk(), NOW) == (A, B, C)


def test_one_that_was_not_reached_comes_last_until_it_has_rested() -> None:
    peers = Peers()
    peers.unreached(trunk(), A, NOW)
    assert peers.order(trunk(), NOW + REST - 1) == (B, C, A)
    assert peers.order(trunk(), NOW + REST) == (A, B, C)


def test_one_that_answers_a_call_has_rested() -> None:
    peers = Peers()
    peers.unreached(trunk(), A, NOW)
    peers.reached(trunk(), A)
    assert peers.order(trunk(), NOW) == (A, B, C)


def test_one_that_is_down_is_left_out_and_the_trunk_is_down_with_the_last() -> None:
    peers = Peers()
    for number, peer in enumerate((A, B, C), 1):
        peers.state(trunk(), peer).failed("503 Service Unavailable", 1)
        assert len(peers.order(trunk(), NOW)) == 3 - number
        assert peers.is_down(trunk()) is (number == 3)
    assert peers.why_down(trunk()).startswith("a.example:5061: 503 Service Unavailable, b.example")


def test_what_a_reload_takes_away_is_forgotten() -> None:
    peers = Peers()
    for peer in (A, B):
        peers.state(trunk(), peer).failed("silent", 1)
    peers.keep({"t": trunk(peers=["a.example:5061"], options={"every": 10})})
    assert list(peers.known(trunk())) == [A] and peers.state(trunk(), A).up is False
    peers.keep({"t": trunk()})
    assert peers.state(trunk(), A).up is None, "it is probed no longer, so nothing is known"
    peers.keep({})
    assert not peers.known(trunk())


FORMER = Address("198.51.100.4", 5061)


@pytest.mark.parametrize(
    ("begun", "hop", "former", "expected"),
    [
        # What the next hop names, by name or by address, decides.
        (A, "sip:bob@b.example", FORMER, ((B,), ())),
        (A, "sip:bob@B.EXAMPLE:5061", FORMER, ((B,), ())),
        (A, "sip:bob@192.0.2.7:5071", FORMER, ((C,), ())),
        (None, "sip:bob@b.example", FORMER, ((B,), (Address("198.51.100.4", 5061),))),
        # The same name may have several servers: the one that has the call is meant.
        (A, "sip:bob@a.example", FORMER, ((A,), (Address("198.51.100.4", 5061),))),
        # Another port is another server.
        (A, "sip:bob@b.example:5099", FORMER, ((A,), (Address("198.51.100.4", 5061),))),
        # What names none of them is behind the one that the dialog began with, ...
        (A, "sip:bob@phone.example", FORMER, ((A,), (Address("198.51.100.4", 5061),))),
        # ... unless it is the address of one of them.
        (
            A, "sip:bob@198.51.100.9:5061", FORMER,
            ((A,), (Address("198.51.100.9", 5061), Address("198.51.100.4", 5061))),
        ),
        # Who called us from a peer's address is found there, ...
        (None, "sip:bob@phone.example", Address("192.0.2.7", 40000), ((C,), (C,))),
        # ... and who called us from elsewhere wherever that address is a peer's.
        (None, "sip:bob@phone.example", FORMER, ((A, B, C), (Address("198.51.100.4", 0),))),
    ],
)  # fmt: skip
def test_whom_a_request_within_a_dialog_goes_to(
    begun: Address | None, hop: str, former: Address, expected: Towards
) -> None:
    assert Peers().within(trunk(), begun, parse_uri(hop), former, NOW) == expected
