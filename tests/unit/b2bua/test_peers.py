"""The order of a trunk's peers, and whom a request within a dialog goes to; pure."""

from __future__ import annotations

import pytest

from sbc.b2bua.peers import REST, Home, Peers, Towards
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.sip.headers import Headers
from sbc.sip.message import Response
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
    peers.unreached(trunk(), A, "connection refused", NOW)
    assert peers.order(trunk(), NOW + REST - 1) == (B, C, A)
    assert peers.order(trunk(), NOW + REST) == (A, B, C)


def test_one_that_answers_a_call_has_rested() -> None:
    peers = Peers()
    peers.unreached(trunk(), A, "connection refused", NOW)
    peers.reached(trunk(), A)
    assert peers.order(trunk(), NOW) == (A, B, C)


def test_one_that_is_down_is_left_out_and_the_trunk_is_down_with_the_last() -> None:
    peers = Peers()
    for number, peer in enumerate((A, B, C), 1):
        peers.state(trunk(), peer).failed("503 Service Unavailable", 1)
        assert len(peers.order(trunk(), NOW)) == 3 - number
        assert peers.is_down(trunk()) is (number == 3)
    assert peers.why_down(trunk()).startswith("a.example:5061: 503 Service Unavailable, b.example")


def busy(retry_after: str | None = None) -> Response:
    fields = [("Retry-After", retry_after)] if retry_after is not None else []
    return Response(503, "Service Unavailable", Headers(fields))


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("60", 60), (" 18000 ;duration=3600", 300), ("120 (I'm in a meeting)", 120), ("9" * 10, 300)],
)
def test_one_that_asks_for_a_rest_is_left_out_until_it_is_over(written: str, seconds: int) -> None:
    peers = Peers()
    assert peers.refused(trunk(), A, busy(written), NOW) == seconds
    assert peers.refused(trunk(), A, busy(written), NOW) == 0, "it is told once"
    assert peers.order(trunk(), NOW + seconds - 1) == (B, C)
    assert peers.order(trunk(), NOW + seconds) == (A, B, C)


@pytest.mark.parametrize("written", [None, "", "soon", "-1", "1.5", "9" * 11, "\u0661"])
def test_one_that_is_busy_for_no_stated_time_comes_last_for_a_while(written: str | None) -> None:
    peers = Peers()
    assert peers.refused(trunk(), A, busy(written), NOW) == 0
    assert peers.order(trunk(), NOW + REST - 1) == (B, C, A)
    peers.reached(trunk(), A)
    assert peers.order(trunk(), NOW + REST - 1) == (B, C, A), "its 100 precedes each 503"
    assert peers.order(trunk(), NOW + REST) == (A, B, C)


def test_what_it_asked_for_stands_above_what_is_guessed() -> None:
    peers = Peers()
    peers.refused(trunk(), A, busy("60"), NOW)
    peers.unreached(trunk(), A, "no response in time", NOW)
    peers.refused(trunk(), A, busy(), NOW)
    peers.reached(trunk(), A)
    peers.state(trunk(), A).answered()
    assert peers.order(trunk(), NOW + 59) == (B, C)
    peers.refused(trunk(), A, busy("0"), NOW)
    assert peers.order(trunk(), NOW + 1) == (A, B, C), "and its last word counts"


def test_one_that_was_down_and_is_up_again_begins_afresh() -> None:
    peers = Peers()
    peers.refused(trunk(), A, busy("300"), NOW)
    peers.state(trunk(), A).failed("silent", 1)
    peers.state(trunk(), A).answered()
    assert peers.order(trunk(), NOW + 1) == (A, B, C)


def test_a_good_probe_ends_the_rest_of_one_that_was_not_reached() -> None:
    peers = Peers()
    peers.unreached(trunk(), A, "connection refused", NOW)
    peers.state(trunk(), A).answered()
    assert peers.order(trunk(), NOW + 1) == (A, B, C)


def ranked(*ranks: tuple[str, int, int | None]) -> Trunk:
    """A trunk of peers with a name, a priority and a weight each."""
    written = [{"host": f"{name}.example", "port": 5061, "priority": rank} for name, rank, _ in ranks]
    for each, (_, _, weight) in zip(written, ranks, strict=True):
        if weight is not None:
            each["weight"] = weight
    return trunk(peers=written)


def tried(peers: Peers, of: Trunk, at: float = NOW) -> str:
    """The first letters of the peers in the order of one call."""
    return "".join(each.host[0] for each in peers.order(of, at))


def test_the_lowest_priority_is_tried_first() -> None:
    of, peers = ranked(("c", 30, None), ("a", 10, None), ("b", 20, None)), Peers()
    assert [tried(peers, of) for _ in range(3)] == ["abc"] * 3
    peers.unreached(of, A, "connection refused", NOW)
    assert tried(peers, of) == "bca"


def test_peers_of_one_priority_share_the_calls_by_weight() -> None:
    of, peers = ranked(("a", 1, 3), ("b", 1, 1), ("z", 2, None)), Peers()
    calls = [tried(peers, of) for _ in range(40)]
    assert [each[0] for each in calls].count("a") == 30 and [each[0] for each in calls].count("b") == 10
    assert {each[2] for each in calls} == {"z"}
    assert "".join(each[0] for each in calls[:4]) == "aaba", "in turns, and not one after the other"


def test_without_a_weight_they_take_turns_and_with_the_weight_0_one_is_kept_in_reserve() -> None:
    of, peers = ranked(("z", 1, 0), ("a", 1, None), ("b", 1, None)), Peers()
    assert [tried(peers, of) for _ in range(4)] == ["abz", "baz", "abz", "baz"]
    peers.refused(of, A, busy("60"), NOW)
    assert [tried(peers, of) for _ in range(3)] == ["bz"] * 3
    peers.refused(of, B, busy("60"), NOW)
    assert tried(peers, of) == "z"


def test_the_peer_that_a_trunk_is_registered_with_is_first_whatever_its_priority() -> None:
    of, peers = ranked(("a", 1, None), ("b", 2, None), ("c", 3, None)), Peers()
    peers.homes["t"] = Home(B, ())
    assert tried(peers, of) == "bac"
    peers.unreached(of, B, "connection refused", NOW)
    assert tried(peers, of) == "acb"
    peers.refused(of, B, busy("60"), NOW)
    assert tried(peers, of) == "ac"


def test_what_is_no_call_takes_nobodys_turn() -> None:
    of, peers = ranked(("b", 2, None), ("a", 1, 1), ("z", 1, 1)), Peers()
    for _ in range(3):
        assert [each.host[0] for each in peers.fit(of, NOW)] == ["a", "z", "b"]
    assert [tried(peers, of) for _ in range(2)] == ["azb", "zab"]


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
