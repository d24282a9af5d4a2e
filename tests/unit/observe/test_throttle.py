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


def test_of_those_that_no_line_is_about_the_worst_is_named() -> None:
    throttle = Throttle(1, 2)
    for who, times in (("10.0.0.1", 1), ("10.0.0.2", 1), ("10.0.0.3", 5), ("10.0.0.4", 90), ("10.0.0.5", 5)):
        for _ in range(times):
            throttle.note(f"{who} over limits.rates.invite", 1.0, who)
    assert throttle.note("next", 61.0) == " (100 of others that no line is about, 90 of them from 10.0.0.4)"


def test_what_no_line_follows_is_told_when_the_minute_is_over() -> None:
    throttle = Throttle(1, 2)
    said(throttle, "a", 1000, 0.0)
    said(throttle, "b", 1, 0.0)
    said(throttle, "c", 7, 0.0)
    assert throttle.rest(59.0) == ""
    assert throttle.rest(60.0) == "999 more: a; 7 of others that no line is about"
    assert throttle.rest(61.0) == ""
    assert said(throttle, "a", 1, 62.0) == [""]


def test_the_line_that_says_the_rest_is_short_however_many_there_are() -> None:
    throttle = Throttle(1, 100_000)
    for number in range(500):
        said(throttle, f"{number}", 2, 0.0)
    rest = throttle.rest(60.0)
    assert rest.startswith("1 more: ") and rest.endswith("497 others likewise") and len(rest) < 100


def test_a_flood_of_names_is_counted_in_bounded_memory() -> None:
    throttle = Throttle(1, 1)
    for number in range(100_000):
        throttle.note(f"k{number}", 0.0, f"k{number}")
    assert throttle.rest(60.0).startswith("99999 of others that no line is about, 1 of them from k")
