"""The last messages of every trunk: so many, within octets of one and of all, or none at all."""

from __future__ import annotations

from dsl.decision import Reject
from sbc.base import Address
from sbc.flow import Path
from sbc.observe.tap import OF_ALL, OF_ONE, OVERHEAD, Rings, Ruling, Seen

HERE, THERE = Address("192.0.2.1", 5060), Address("198.51.100.7", 5060)


def seen(trunk: str, at: float, size: int = 100) -> Seen:
    return Seen(at, at, False, Path(1, "udp", HERE, THERE, trunk), b"x" * size, "id")


def times(rings: Rings) -> list[float]:
    return [event.at for event in rings.last()]


def test_each_trunk_has_its_last_ones_in_the_order_in_which_all_happened() -> None:
    rings = Rings(3)
    for at in range(10):
        rings.seen(seen("busy", at))
    rings.seen(seen("quiet", 0.5))
    assert times(rings) == [0.5, 7, 8, 9]


def test_what_was_decided_stands_between_the_messages_and_does_not_count_as_one() -> None:
    rings = Rings(2)
    rings.decided(Ruling(0.0, 0.0, "call", "office", Reject(403)))
    for at in (1.0, 3.0, 5.0):
        rings.seen(seen("office", at))
        rings.decided(Ruling(at + 1, at + 1, "call", "office", Reject(403)))
    assert times(rings) == [3.0, 4.0, 5.0, 6.0]


def test_decisions_alone_are_bounded_too() -> None:
    rings = Rings(2)
    rings.seen(seen("office", 0.0))
    for at in range(100_000):
        rings.decided(Ruling(at, at, "call", "office", Reject(403)))
    assert rings.octets <= OF_ONE


def test_enormous_messages_push_others_out_and_no_ring_is_larger_than_its_share() -> None:
    rings = Rings(10_000)
    for at in range(100):
        rings.seen(seen("office", at, 80_000))
        assert rings.octets <= OF_ONE
    assert times(rings)[-1] == 99 and len(times(rings)) == OF_ONE // (80_000 + OVERHEAD)


def test_all_rings_together_are_bounded_however_many_trunks_there_are() -> None:
    rings = Rings(1000)
    for number in range(200):
        for at in range(40):
            rings.seen(seen(f"trunk-{number}", at, 50_000))
        assert rings.octets <= OF_ALL
    assert len({event.path.trunk for event in rings.last() if isinstance(event, Seen)}) == 200


def test_a_reload_lets_go_of_trunks_that_are_gone_and_of_what_is_too_much() -> None:
    rings = Rings(10)
    for at in range(10):
        rings.seen(seen("stays", at))
        rings.seen(seen("goes", at + 0.5))
    rings.keep(2, ["stays"])
    assert times(rings) == [8, 9]
    rings.keep(0, ["stays"])
    assert times(rings) == []
