"""What the walk through the code counts."""

from __future__ import annotations

from bench.walk import Walk, walk


def test_a_function_counts_once_and_a_move_is_a_change_of_file_on_the_way_to_a_new_one() -> None:
    entered = [("a", "f"), ("b", "g"), ("a", "f"), ("b", "h"), ("a", "i"), ("b", "g")]
    assert walk(entered) == Walk(files=2, functions=4, moves=2)


def test_nothing_entered_is_no_walk() -> None:
    assert walk([]) == Walk(0, 0, 0)
