"""An end for what computes without end, in a test that shows that something does not."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import pytest


@contextmanager
def no_runaway(seconds: float = 10.0) -> Iterator[None]:
    """The test fails where the block takes ``seconds`` of this process' own CPU time; main thread only.

    The limit is far beyond what any machine needs, and far below what work takes that grows with the
    square of a long text or with the ways through a graph.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        pytest.fail(f"it went on computing for {seconds:g} s")

    former = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, former)
