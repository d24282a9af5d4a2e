"""When the whole takes nothing new, and when it does again; each look as a literal."""

from __future__ import annotations

from sbc.policy.overload import LATE, LOOK_EVERY, PUNCTUAL, Load

MOST = 0.5


def looks(load: Load, lags: list[float], begin: float = 0.0, full: bool = False) -> list[float]:
    """At which looks an overload began or ended."""
    return [
        at for at, lag in enumerate(lags) if load.look(lag, MOST, full, begin + at * LOOK_EVERY)
    ]  # fmt: skip


def test_one_hiccup_is_none() -> None:
    load = Load()
    assert looks(load, [0.0, 9.0, 0.0, 9.0, 9.0, 0.0] * 5) == []
    assert load.since is None


def test_late_again_and_again_is_one() -> None:
    load = Load()
    assert looks(load, [0.6] * 20) == [LATE - 1]
    assert load.since is not None and load.worst == 0.6


def test_it_is_over_after_a_while_and_not_in_between() -> None:
    load = Load()
    looks(load, [2.0] * LATE)
    assert looks(load, [0.0] * (PUNCTUAL - 1) + [0.3] + [0.0] * (PUNCTUAL - 1)) == []
    assert looks(load, [0.0]) == [0]
    assert load.since is None


def test_too_many_transactions_are_one_at_once() -> None:
    load = Load()
    assert looks(load, [0.0], full=True) == [0]
    assert looks(load, [0.0] * 50, full=True) == []
    assert looks(load, [0.0] * PUNCTUAL) == [PUNCTUAL - 1]
