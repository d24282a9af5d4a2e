"""What hooks remember: bounded, found again after a reload, freed when nobody asks for it any more."""

from __future__ import annotations

import pytest

from sbc.config.hook_set import HookSet
from sbc.config.hooks import load_hooks
from sbc.hookapi import Facts, Table, table
from sbc.hookapi.table import _KEPT
from tests.peers.waiting import until_freed

COUNTING = """
from sbc.hookapi import table
SEEN = table("{name}", most={most})
def on_invite(facts):
    SEEN[facts.from_user] = SEEN.get(facts.from_user, 0) + 1
    return dict(SEEN)
"""


def counting(name: str, most: int = 3) -> HookSet:
    hooks, diagnostics = load_hooks({"hooks/a.py": COUNTING.format(name=name, most=most)})
    assert diagnostics == []
    return hooks


def seen(hooks: HookSet, caller: str) -> object:
    return hooks.invite[0].function(Facts(from_user=caller))


def test_it_is_a_dict() -> None:
    kept: Table[str, int] = table("a dict", most=2)
    kept["a"] = 1
    assert kept == {"a": 1} and "a" in kept and len(kept) == 1 and kept.get("b") is None
    assert repr(kept) == "<Table 'a dict' with 1 of 2 entries>"
    del kept["a"]
    with pytest.raises(KeyError):
        kept["a"]


def test_the_entry_unused_for_longest_makes_room() -> None:
    kept: Table[str, int] = table("bounded", most=2)
    kept["a"], kept["b"] = 1, 2
    assert kept["a"] == 1
    kept["c"] = 3
    assert list(kept) == ["a", "c"]
    for key in kept:
        kept[key] += 1  # looking through it while it changes is safe
    assert kept == {"a": 2, "c": 4}


def test_an_entry_is_made_once() -> None:
    kept: Table[str, list[int]] = table("made", most=2)
    kept.entry("a", list).append(1)
    kept.entry("a", list).append(2)
    assert kept["a"] == [1, 2]


def test_a_reload_loses_nothing_and_plain_globals_begin_anew() -> None:
    old = counting("reloaded")
    seen(old, "alice")
    fresh = counting("reloaded")
    assert seen(fresh, "alice") == {"alice": 2}
    assert seen(old, "alice") == {"alice": 3}, "old calls and new ones count together"


def test_a_file_that_is_never_used_takes_nothing_away() -> None:
    old = counting("kept", most=3)
    for caller in "abc":
        seen(old, caller)
    text = COUNTING.format(name="kept", most=1) + "def on_rute(facts): pass\n"
    refused, diagnostics = load_hooks({"hooks/a.py": text})
    assert diagnostics and refused.invite == ()
    load_hooks({"hooks/a.py": COUNTING.format(name="kept", most=1) + "raise ValueError\n"})
    assert seen(old, "a") == {"b": 1, "c": 1, "a": 2}
    assert seen(counting("kept", most=1), "d") == {"d": 1}


@pytest.mark.slow
def test_what_no_file_asks_for_is_freed() -> None:
    hooks = counting("forgotten")
    seen(hooks, "alice")
    assert "forgotten" in _KEPT
    del hooks
    until_freed(lambda: "forgotten" not in _KEPT, "nobody holds its entries")
    assert seen(counting("forgotten"), "bob") == {"bob": 1}


@pytest.mark.parametrize(
    ("name", "most"), [("", 5), (None, 5), ("a", 0), ("a", 10**6 + 1), ("a", True), ("a", 1.5)]
)
def test_a_table_has_a_name_and_a_bound(name: str, most: int) -> None:
    with pytest.raises(ValueError, match="a table h"):
        table(name, most)
