"""What one address and one trunk may hold of a listener's places, and that something is always left."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.policy.shares import Party, Shares, source_of

OFFICE, CARRIER = ("office",), ("carrier",)


def shares() -> Shares:
    return Shares(
        "handshakes are in flight", "handshakes_in_flight", "handshakes_per_source", "handshakes_per_peer"
    )


def taken(
    places: Shares, source: str, trunks: tuple[str, ...], times: int, *, total: int = 200, most: int = 20,
    alone: bool = False,
) -> int:  # fmt: skip
    """How many of ``times`` places a party gets."""
    party, count = Party(source, trunks), 0
    for _ in range(times):
        if places.objection(party, total, most, alone) is None:
            places.take(party)
            count += 1
    return count


def why(places: Shares, source: str, trunks: tuple[str, ...], total: int, most: int) -> str:
    return places.objection(Party(source, trunks), total, most, False) or ""


def test_an_address_has_so_many_and_leaves_the_rest() -> None:
    places = shares()
    assert taken(places, "192.0.2.1", OFFICE, 210) == 20
    assert taken(places, "192.0.2.2", OFFICE, 1) == 1
    said = why(places, "192.0.2.1", OFFICE, 200, 20)
    assert "20 handshakes are in flight from 192.0.2.1" in said and "caps.handshakes_per_source" in said


def test_a_host_that_a_trunk_names_is_told_which_and_what_to_raise() -> None:
    places, party = shares(), Party("192.0.2.9", CARRIER)
    for _ in range(100):
        assert places.objection(party, 1000, 100, False, "trunk carrier") is None
        places.take(party)
    assert places.of_source("192.0.2.9") == 100
    said = places.objection(party, 1000, 100, False, "trunk carrier") or ""
    assert "100 handshakes are in flight from 192.0.2.9, which trunk carrier names" in said
    assert "caps.handshakes_per_peer" in said


def test_a_trunk_with_any_number_of_addresses_leaves_as_much_as_it_has() -> None:
    places = shares()
    got = sum(taken(places, f"192.0.2.{number}", OFFICE, 20) for number in range(250))
    assert got == 101
    assert taken(places, "198.51.100.1", CARRIER, 20) == 20
    said = why(places, "192.0.2.250", OFFICE, 200, 20)
    assert "office" in said and "handshakes_in_flight" in said


@pytest.mark.slow
@given(st.integers(1, 12), st.integers(30, 60))
def test_trunks_that_flood_end_at_the_same_share_and_one_is_left_to_others(floods: int, rounds: int) -> None:
    """They begin one after the other; what times out goes to whoever has less."""
    places, held = shares(), [list[Party]() for _ in range(floods)]
    for _ in range(rounds):
        for trunk, parties in enumerate(held):
            for party in parties[:20]:
                places.give(party)
            del parties[:20]
            for number in range(15):
                party = Party(f"10.{trunk}.0.{number}", (f"t{trunk}",))
                while places.objection(party, 200, 20, False) is None:
                    places.take(party)
                    parties.append(party)
    assert 200 - places.taken >= 200 // (floods + 1) // 2
    assert taken(places, "192.0.2.1", CARRIER, 5) == 5


def test_a_trunk_that_is_alone_has_all_of_them() -> None:
    places = shares()
    got = sum(taken(places, f"192.0.2.{number}", OFFICE, 20, alone=True) for number in range(20))
    assert got == 200
    assert why(places, "192.0.2.99", OFFICE, 200, 20) == "200 handshakes are in flight, the listener's limit"


def test_a_listener_with_few_places_gives_them_all() -> None:
    for total in (1, 2):
        assert taken(shares(), "192.0.2.1", OFFICE, 5, total=total) == total


def test_what_is_given_back_may_be_taken_and_nothing_is_remembered() -> None:
    places, party = shares(), Party("192.0.2.1", OFFICE)
    for _ in range(20):
        places.take(party)
    assert places.objection(party, 200, 20, False) is not None
    places.give(party)
    assert places.objection(party, 200, 20, False) is None
    for _ in range(19):
        places.give(party)
    assert (places.taken, len(places)) == (0, 0)


def test_of_ipv6_a_whole_64_is_one_address() -> None:
    assert source_of("2001:db8:0:1::7") == source_of("2001:db8:0:1:ffff::1") == "2001:db8:0:1::/64"
    assert source_of("2001:db8:0:2::7") != source_of("2001:db8:0:1::7")
    assert source_of("fe80::1%eth0") == "fe80::/64"
    assert source_of("192.0.2.1") == "192.0.2.1"
