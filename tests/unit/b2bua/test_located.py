"""The servers of a domain among a trunk's peers: their order (RFC 2782), and whom a URI means; pure."""

from __future__ import annotations

from collections import Counter

from sbc.b2bua.located import Located
from sbc.b2bua.peers import Peers
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.dns.search import Target
from sbc.sip.uri import parse_uri

DOMAIN, OTHER = Address("carrier.example", 0), Address("other.example", 0)
NOW = 1000.0


def trunk(*peers: object, **options: object) -> Trunk:
    return Trunk.model_validate(
        {"trunk": "t", "listener": "main", "peers": list(peers) or ["carrier.example"], **options}
    )


def target(number: int, priority: int = 1, weight: int = 1, host: str = "") -> Target:
    return Target(host or f"h{number}.example", Address(f"192.0.2.{number}", 5061), priority, weight)


def at(*numbers: int) -> list[Address]:
    return [Address(f"192.0.2.{number}", 5061) for number in numbers]


def peers(*targets: Target) -> Peers:
    made = Peers()
    made.located.learn("t", DOMAIN, targets)
    return made


def firsts(made: Peers, of: Trunk, calls: int = 100) -> Counter[Address]:
    return Counter(made.order(of, NOW)[0] for _ in range(calls))


def test_srv_may_stand_in_place_of_peers() -> None:
    one = Trunk.model_validate({"trunk": "t", "listener": "main", "srv": "carrier.example"})
    assert one.peers == one.domains == (DOMAIN,)
    assert list(peers(target(1), target(2, 2)).order(one, NOW)) == at(1, 2)


def test_the_lowest_priority_first_and_weights_share_the_calls() -> None:
    made = peers(target(1, 10, 60), target(2, 10, 40), target(3, 20, 100))
    assert firsts(made, trunk()) == {at(1)[0]: 60, at(2)[0]: 40}
    assert made.order(trunk(), NOW)[2] == at(3)[0]


def test_all_of_the_weight_0_take_turns_and_one_beside_others_comes_last() -> None:
    assert firsts(peers(target(1, 1, 0), target(2, 1, 0)), trunk()) == {at(1)[0]: 50, at(2)[0]: 50}
    assert firsts(peers(target(1, 1, 0), target(2, 1, 5)), trunk()) == {at(2)[0]: 100}


def test_the_addresses_of_one_host_share_its_calls() -> None:
    made = peers(target(1, host="a.example", weight=3), target(2, host="a.example", weight=3), target(3))
    assert firsts(made, trunk()) == Counter({at(1)[0]: 38, at(2)[0]: 37, at(3)[0]: 25})


def test_a_server_that_rests_leaves_its_share_to_the_others() -> None:
    made = peers(target(1, 10, 60), target(2, 10, 40), target(3, 20, 100))
    made.unreached(trunk(), at(1)[0], "connection refused", NOW)
    assert firsts(made, trunk()) == {at(2)[0]: 100}
    assert list(made.order(trunk(), NOW)) == at(2, 3, 1)


def test_domains_and_peers_with_ports_each_in_its_place() -> None:
    both = trunk("carrier.example", "192.0.2.9:5061", "other.example")
    made = peers(target(1), target(2, 2))
    assert list(made.order(both, NOW)) == [*at(1, 2, 9), OTHER]
    made.located.learn("t", OTHER, (target(4), target(2)))
    assert list(made.order(both, NOW)) == at(1, 2, 9, 4), "who is named twice is one"
    ranked = trunk(
        {"host": "carrier.example", "priority": 2}, {"host": "192.0.2.9", "port": 5061, "priority": 1}
    )
    assert list(made.order(ranked, NOW)) == at(9, 1, 2)


def test_a_server_goes_by_the_name_of_its_domain() -> None:
    made = peers(target(1)).located
    assert made.name_of(trunk(), at(1)[0]) == DOMAIN
    assert made.name_of(trunk(), at(7)[0]) == at(7)[0]
    assert made.name_of(trunk("carrier.example", "192.0.2.1:5061"), at(1)[0]) == at(1)[0]


def test_what_is_known_of_servers_that_are_gone_is_forgotten() -> None:
    made = peers(target(1), target(2))
    for address in at(1, 2):
        made.unreached(trunk(), address, "connection refused", NOW)
    made.located.learn("t", DOMAIN, (target(2),))
    made.keep({"t": trunk()})
    assert list(made.known(trunk())) == at(2)
    made.located.learn("t", DOMAIN, None)
    assert made.located.members(trunk()) == (DOMAIN,)


def test_whom_a_request_within_a_dialog_goes_to() -> None:
    made = peers(target(1), target(2))
    one, two = at(1, 2)
    named = parse_uri("sip:bob@carrier.example")
    assert made.within(trunk(), two, named, two, NOW) == ((two,), (two,))
    assert made.within(trunk(), None, named, Address("192.0.2.2", 40000), NOW)[0] == (DOMAIN,)
    by_host = parse_uri("sip:bob@h1.example:5061")
    assert made.within(trunk(), two, by_host, two, NOW)[0] == (one,), "the server itself is meant"
    assert made.within(trunk(), two, parse_uri("sip:bob@10.0.0.1"), two, NOW)[0] == (two,)


def test_nothing_is_known_of_a_trunk_without_domains() -> None:
    assert Located().members(trunk("192.0.2.9:5061")) == tuple(at(9))
