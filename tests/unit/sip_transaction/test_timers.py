"""The queue of deadlines: lazy deletion must neither lose a timer nor fire one twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sbc.sip.machine import TimerQueue
from sbc.sip.timers import NEVER


class Item:
    def __init__(self, number: int, **timers: float) -> None:
        self.number = number
        self.timers = timers
        self.queued = NEVER


def queue(*items: Item) -> tuple[TimerQueue[Item], dict[int, Item]]:
    live = {each.number: each for each in items}
    made: TimerQueue[Item] = TimerQueue(live)
    for each in items:
        made.schedule(each)
    return made, live


def test_the_earliest_timer_of_all_is_next() -> None:
    made, _ = queue(Item(1, A=5.0, B=3.0), Item(2, A=4.0))
    assert made.next_deadline() == 3.0


def test_an_item_without_timers_is_not_entered() -> None:
    made, _ = queue(Item(1))
    assert made.next_deadline() is None
    assert len(made) == 0


def test_nothing_is_due_before_its_time() -> None:
    item = Item(1, A=3.0)
    made, _ = queue(item)
    assert made.pop_due(2.9) is None
    assert made.pop_due(3.0) is item
    assert made.pop_due(3.0) is None


def test_an_item_that_ended_is_skipped() -> None:
    made, live = queue(Item(1, A=1.0), Item(2, A=2.0))
    del live[1]
    assert made.next_deadline() == 2.0
    assert len(made) == 1


def test_a_timer_that_was_stopped_leaves_the_later_one() -> None:
    item = Item(1, A=1.0, B=9.0)
    made, _ = queue(item)
    del item.timers["A"]
    assert made.next_deadline() == 9.0
    assert made.pop_due(5.0) is None
    assert made.pop_due(9.0) is item


def test_an_earlier_timer_overtakes_the_entry() -> None:
    item = Item(1, B=9.0)
    made, _ = queue(item)
    item.timers["A"] = 1.0
    made.schedule(item)
    assert made.pop_due(1.0) is item
    del item.timers["A"]
    made.schedule(item)
    assert made.next_deadline() == 9.0
    assert made.pop_due(9.0) is item


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ABC"), st.integers(0, 50)), max_size=60))
def test_the_queue_agrees_with_a_search_through_all_items(changes: list[tuple[int, str, int]]) -> None:
    made, live = queue(*(Item(number) for number in range(6)))
    for number, name, value in changes:
        item = live[number]
        if value < 10:
            item.timers.pop(name, None)
        else:
            item.timers[name] = float(value)
        made.schedule(item)
        earliest = min((due for each in live.values() for due in each.timers.values()), default=None)
        assert made.next_deadline() == earliest
