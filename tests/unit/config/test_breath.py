"""A configuration is built beside the calls: the builder pauses often, and little is freed at once."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from bench.reload import TRUNKS
from bench.rules import rules_text, ruleset, write
from dsl.breath import breathe, breathing
from sbc.config.load import build_snapshot
from sbc.config.snapshot import SnapshotStore

RULES = 1200
# Calls of functions; a whole build of this configuration makes some two million.
MOST_STEPS = 40_000


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A configuration that is large enough to show what grows with it."""
    root = tmp_path_factory.mktemp("large")
    write(root, RULES, TRUNKS)
    return root


def longest_stretch(directory: Path) -> tuple[int, int]:
    """The most function calls between two pauses of a build, and all of them."""
    steps = longest = total = 0

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal steps
        steps += 1

    def pause() -> None:
        nonlocal steps, longest, total
        longest, total, steps = max(longest, steps), total + steps, 0

    build_snapshot(directory, time.time())  # what is compiled and imported once is there
    with breathing(pause):
        sys.setprofile(count)
        try:
            build_snapshot(directory, time.time())
        finally:
            sys.setprofile(None)
    pause()
    return longest, total


@pytest.mark.slow
def test_no_stretch_of_a_build_grows_with_the_configuration(directory: Path) -> None:
    longest, total = longest_stretch(directory)
    assert longest < MOST_STEPS < total / 20, f"{longest} of {total} steps without a pause"


def test_nothing_pauses_where_nobody_has_asked_for_it() -> None:
    heard: list[int] = []
    with breathing(lambda: heard.append(1)):
        breathe()
    breathe()
    assert heard == [1]


@pytest.mark.slow
def test_the_rules_of_a_replaced_snapshot_go_a_few_at_a_time_and_only_when_nobody_holds_it(
    directory: Path,
) -> None:
    store = SnapshotStore(build_snapshot(directory, time.time()))
    call = store.current
    fresh = build_snapshot(directory, time.time(), call)
    store.swap(fresh)
    assert not store.let_go(500) and store.replaced == 1, "a call runs under it"
    old = call.rules
    del call
    assert store.replaced == 0
    left = [len(old.rules)]
    while store.let_go(500):
        left.append(len(old.rules))
    assert left == [RULES, RULES - 500, RULES - 1000, 0]
    assert len(fresh.rules.rules) == RULES


def test_a_set_that_is_taken_apart_decides_nothing_and_keeps_nothing() -> None:
    rules = ruleset(rules_text(3))
    assert rules.take_apart(2) and not rules.take_apart(2)
    assert len(rules) == 0
