"""How many lines a flood is worth, with the time as a literal."""

from __future__ import annotations

from sbc.observe.throttle import Throttle


def said(throttle: Throttle, key: str, times: int, now: float) -> list[str]:
    """What is added to the lines that are said of ``times`` events."""
    return [more for _ in range(times) if (more := throttle.note(key, now)) is not None]


def test_so_many_lines_of_a_key_a_minute_and_then_how_many_were_not() -> None:
    throttle = Throttle(5, 100)
    assert said(throttle, "a", 1000, 0.0) == [""] * 5
    assert said(throttle, "a", 10, 59.9) == []
    assert said(throttle, "a", 2, 60.0) == [" (1005 more since the last line)", ""]


def test_one_key_silences_no_other() -> None:
    throttle = Throttle(1, 100)
    said(throttle, "scanner", 10_000, 0.0)
    assert said(throttle, "peer", 1, 0.0) == [""]


def test_of_all_keys_there_are_so_many_lines_and_the_rest_is_counted() -> None:
    throttle = Throttle(1, 20)
    lines = [more for number in range(5000) if (more := throttle.note(f"10.0.{number}", 1.0)) is not None]
    assert lines == [""] * 20
    assert said(throttle, "next", 1, 61.0) == [" (4980 of others that no line is about)"]


def test_what_was_kept_back_of_one_that_went_away_is_counted_with_the_others() -> None:
    throttle = Throttle(1, 20)
    said(throttle, "gone", 8, 0.0)
    assert said(throttle, "b", 1, 70.0) == [""]
    assert said(throttle, "b", 1, 140.0) == [" (7 of others that no line is about)"]


def test_a_clock_set_back_begins_a_new_minute() -> None:
    throttle = Throttle(1, 20)
    said(throttle, "a", 3, 1000.0)
    assert said(throttle, "a", 1, 10.0) == [" (2 more since the last line)"]
