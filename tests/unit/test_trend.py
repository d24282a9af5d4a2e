"""What grows is told from what only jumps about."""

from __future__ import annotations

from random import Random

import pytest

from bench.trend import most_grown, trend

DICE = Random(7)
NOISE = [DICE.gauss(0, 20) for _ in range(600)]


@pytest.mark.parametrize(
    ("kind", "values", "grows"),
    [
        ("flat", [1000.0] * 600, False),
        ("noise", [1000 + each for each in NOISE], False),
        ("a sawtooth", [1000.0 + 10 * (number % 40) for number in range(600)], False),
        ("warming up", [1000.0 + 50 * min(number, 150) for number in range(600)], False),
        ("outliers", [1000.0 + 5000 * (number % 10 == 0) for number in range(600)], False),
        ("shrinking", [5000.0 - 5 * number for number in range(600)], False),
        ("a leak", [1000.0 + number for number in range(600)], True),
        ("a leak in noise", [1000 + number / 2 + each for number, each in enumerate(NOISE)], True),
        ("a leak in a sawtooth", [1000.0 + number + 10 * (number % 40) for number in range(600)], True),
        ("a leak of steps", [1000.0 + 100 * (number // 100) for number in range(600)], True),
    ],
)
def test_a_leak_is_told_from_noise(kind: str, values: list[float], grows: bool) -> None:
    found = trend(kind, [(float(at), value) for at, value in enumerate(values)])
    assert found.grew(100.0) is grows, found


def test_few_samples_are_no_trend() -> None:
    assert not trend("one", [(0.0, 5.0)]).grew(0.0)
    assert trend("two", [(0.0, 5.0), (10.0, 5.0)]).growth == 0.0


def test_what_there_is_more_of() -> None:
    assert most_grown({"Call": 5, "dict": 100}, {"Call": 90, "dict": 90, "Leg": 3}) == [
        ("Call", 85),
        ("Leg", 3),
    ]
