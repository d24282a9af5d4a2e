"""A test that reads like a conversation: what happens to a core, and what it does about it.

    assert (
        Script(core)
        >> received(INVITE)
        << sent(100)
        >> after(0.5)
        << sent(180)
    )

``>>`` makes something happen: an event is called with the core, the time and the list that takes
commands, to which it may add facts of its own (what a method returned). ``<<`` says what must come
next in that list; each expectation takes one entry. Before the next event, and at the end, the
list must be empty: what was not expected is an error. ``assert`` asks for the end.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

Core = TypeVar("Core")
Event = Callable[[Core, float, list[Any]], object]


class Expectation:
    """What the next entry must be: a description, and a test of the entry."""

    def __init__(self, text: str, holds: Callable[[Any], bool]) -> None:
        self.text = text
        self.holds = holds

    def __str__(self) -> str:
        return self.text


class Ticking(Protocol):
    """A core that is told the time; what it returns is added to the list."""

    def tick(self, now: float, out: list[Any]) -> list[Any]:
        """Fire what is due."""


class Script(Generic[Core]):
    """One run of a conversation with ``core``, starting at ``now`` (POSIX seconds)."""

    def __init__(self, core: Core, now: float = 1_000_000.0) -> None:
        self.core = core
        self.now = now
        self.out: list[Any] = []
        self.told: list[str] = []

    def __rshift__(self, event: Event[Core] | After) -> Script[Core]:
        self._expect_silence()
        if isinstance(event, After):
            self.now += event.seconds
            self.out.extend(self.core.tick(self.now, self.out))  # type: ignore[attr-defined]
        else:
            event(self.core, self.now, self.out)
        self.told.append(f">> {event!r}")
        return self

    def __lshift__(self, expected: Expectation) -> Script[Core]:
        assert self.out, self._story(f"nothing came where {expected} should have")
        entry = self.out.pop(0)
        assert expected.holds(entry), self._story(f"{entry!r} came where {expected} should have")
        self.told.append(f"<< {expected}")
        return self

    def __bool__(self) -> bool:
        self._expect_silence()
        return True

    def _expect_silence(self) -> None:
        assert not self.out, self._story(f"not expected: {self.out!r}")

    def _story(self, problem: str) -> str:
        return "\n".join([problem, *self.told])


class After:
    """Let ``seconds`` pass in one step, then tick the core."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __repr__(self) -> str:
        return f"after({self.seconds})"


def after(seconds: float) -> After:
    """Return the event that ``seconds`` pass."""
    return After(seconds)
