"""Long work pauses: whoever loops over an operator's files calls ``breathe`` in each round.

A configuration is built in a thread of the process that carries calls. What else runs there, media above
all, must not notice; so the builder of the thread gives a pause, which is called here and may sleep.
Without one, in tests and in ``sbc check``, nothing happens.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Pause = Callable[[], None]


_pause: ContextVar[Pause | None] = ContextVar("pause", default=None)  # every thread has its own


def breathe() -> None:
    """Pause, where this thread has been told to."""
    pause = _pause.get()
    if pause is not None:
        pause()


@contextmanager
def breathing(pause: Pause) -> Iterator[None]:
    """Let ``breathe`` call ``pause`` in this thread."""
    former = _pause.set(pause)
    try:
        yield
    finally:
        _pause.reset(former)
