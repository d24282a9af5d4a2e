"""What calls had remembered: for how long, over a restart, and how much of it."""

from __future__ import annotations

import json

import pytest

from sbc.policy.memory import MOST_CHARACTERS, Memory

DAY = 86_400.0
NOW = 1_800_000_000.0


def test_a_text_is_known_for_so_many_days_and_each_call_begins_them_anew() -> None:
    memory = Memory()
    assert not memory.knows("alice", NOW)
    memory.keep((("alice", 30),), NOW)
    assert memory.knows("alice", NOW + 30 * DAY - 1) and not memory.knows("alice", NOW + 30 * DAY)
    memory.keep((("alice", 30),), NOW + 20 * DAY)
    assert memory.knows("alice", NOW + 49 * DAY) and not memory.knows("bob", NOW)


def test_it_survives_a_restart_and_is_written_only_when_it_changes() -> None:
    memory, anew = Memory(), Memory()
    assert memory.changes() == {}
    memory.keep((("alice", 30), ("old", 1)), NOW)
    saved = memory.changes()
    assert memory.changes() == {} and memory.whole() == saved
    taken = [
        anew.restore(text, until, NOW + 2 * DAY) for text, until in json.loads(json.dumps(saved)).items()
    ]
    assert taken == [True, False], "what is over need not be kept"
    assert anew.knows("alice", NOW + 29 * DAY) and len(anew) == 1


@pytest.mark.parametrize("until", ["soon", True, None, []])
def test_what_we_have_not_written_is_refused(until: object) -> None:
    memory = Memory()
    with pytest.raises(ValueError, match="no date"):
        memory.restore("alice", until, NOW)
    assert not memory.restore("alice", 9e9, NOW), "what lasts longer than anything may is not believed either"
    assert len(memory) == 0


def test_there_is_room_for_so_many_and_of_so_much() -> None:
    memory = Memory()
    memory.most_texts = 100
    for number in range(1000):
        memory.keep(((f"stranger{number}", 30),), NOW)
    forgotten = [text for text, until in memory.changes().items() if until is None]
    assert len(forgotten) == 900
    assert len(memory) == 100 and memory.knows("stranger999", NOW) and not memory.knows("stranger0", NOW)
    memory.keep((("x" * 5000, 1),), NOW)
    assert memory.knows("x" * 5000, NOW) and max(map(len, memory.whole())) == MOST_CHARACTERS
