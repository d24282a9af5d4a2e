"""How long what DNS said is used, and when it is asked again."""

from __future__ import annotations

from sbc.base import Address
from sbc.dns.lifetime import LAST_RETRY, LONGEST, SHORTEST, Known
from sbc.dns.search import Outcome, Target

ONE = (Target("a.example", Address("192.0.2.1", 5060), 1, 1),)
TWO = (Target("b.example", Address("192.0.2.2", 5060), 1, 1),)
SILENCE = Outcome(failure="nothing within 3 s")


def test_it_is_asked_again_before_it_ends() -> None:
    known = Known()
    assert known.due <= 100.0 and not known.answered, "at once, the first time"
    assert known.learn(Outcome(ONE, 300.0), 100.0)
    assert (known.due, known.until, known.targets) == (390.0, 400.0, ONE)
    assert not known.stale(399.0)


def test_the_same_servers_are_no_news() -> None:
    known = Known()
    assert known.learn(Outcome(ONE, 300.0), 0.0)
    assert not known.learn(Outcome(ONE, 300.0), 290.0)
    assert known.learn(Outcome(TWO, 300.0), 590.0)
    assert known.targets == TWO


def test_the_same_servers_in_another_order_are_no_news() -> None:
    known = Known()
    assert known.learn(Outcome(ONE + TWO, 30.0), 0.0)
    assert not known.learn(Outcome(TWO + ONE, 30.0), 27.0)
    assert known.targets == ONE + TWO and known.until == 57.0
    assert known.learn(Outcome(TWO, 30.0), 54.0), "one of them is gone"


def test_what_was_known_outlasts_a_server_that_is_down() -> None:
    known = Known()
    known.learn(Outcome(ONE, 30.0), 0.0)
    assert not known.learn(SILENCE, 27.0)
    assert known.targets == ONE and known.failure == "nothing within 3 s"
    assert known.stale(30.0) and not known.stale(29.0)
    assert known.learn(Outcome(TWO, 30.0), 60.0)
    assert not known.failure and not known.stale(60.0)


def test_an_answer_that_there_is_nothing_is_an_answer() -> None:
    known = Known()
    known.learn(Outcome(ONE, 30.0), 0.0)
    assert known.learn(Outcome((), 60.0, "", ("carrier.example has no address",)), 27.0)
    assert known.targets == () and known.answered


def test_it_is_tried_again_ever_more_seldom() -> None:
    known, at, waits = Known(), 0.0, list[float]()
    for _ in range(8):
        known.learn(SILENCE, at)
        waits.append(known.due - at)
        at = known.due
    assert waits == [1.0, 2.0, 4.0, 8.0, LAST_RETRY, LAST_RETRY, LAST_RETRY, LAST_RETRY]


def test_the_owner_of_a_domain_does_not_set_our_pace() -> None:
    known = Known()
    known.learn(Outcome(ONE, 0.0), 0.0)
    assert known.due >= SHORTEST * 0.9
    known.learn(Outcome(ONE, 2.0**31), 0.0)
    assert known.until == LONGEST
