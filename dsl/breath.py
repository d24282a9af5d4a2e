"""Long work pauses: whoever loops over an operator's files calls ``breathe`` in each round.

A configuration is built in a thread of the process that carries calls. What else runs there, media above
all, must not notice; so the builder of the thread gives a pause, which is called here and may sleep.
Without one, in tests and in ``sbc check``, nothing happens.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Pause = Callable[[], None]


class _Here(threading.local):
    pause: Pause | None = None


_here = _Here()


def breathe() -> None:
    """Pause, where this thread has been told to."""
    if _here.pause is not None:
        _here.pause()


@contextmanager
def breathing(pause: Pause) -> Iterator[None]:
    """Let ``breathe`` call ``pause`` in this thread."""
    former, _here.pause = _here.pause, pause
    try:
        yield
    finally:
        _here.pause = former
