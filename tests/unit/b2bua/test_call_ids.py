"""Which call a Call-ID is of: known while the call lives, a while longer, and never without a bound."""

from __future__ import annotations

from sbc.b2bua.call_ids import LATE, CallIds


def test_both_legs_of_a_call_are_its() -> None:
    ids = CallIds({"one"})
    ids.add("from-office", "one", "office", "a")
    ids.add("ours", "one", "carrier", "b")
    assert ids.found.get("from-office") == ("one", "office", "a")
    assert ids.found.get("ours") == ("one", "carrier", "b")
    assert ids.found.get("another") is None


def test_a_call_that_goes_on_as_another_has_the_call_id_from_then_on() -> None:
    ids = CallIds({"one", "two"})
    ids.add("from-office", "one", "office", "a")
    ids.add("from-office", "two", "office", "a")
    assert ids.found.get("from-office") == ("two", "office", "a")


def test_live_calls_are_never_forgotten_and_those_that_are_over_are_in_time() -> None:
    alive = {f"live-{number}" for number in range(50)}
    ids = CallIds(alive)
    for name in alive:
        ids.add(f"id-of-{name}", name, "office", "a")
    for number in range(100_000):
        ids.add(f"id-{number}", f"over-{number}", "office", "a")
        assert len(ids) < 10 * LATE
    assert all(ids.found.get(f"id-of-{name}") is not None for name in alive)
    assert ids.found.get("id-0") is None
    assert ids.found["id-99999"] == ("over-99999", "office", "a"), "the answer to its BYE is still to come"
