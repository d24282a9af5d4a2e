"""Hooks that hear calls: each file in a thread of its own, so that no packet and no other call waits for it.

A greenlet of the file takes what has come of its calls, hands it to the thread and waits until the hook has
returned. A hook that is slower than people talk falls behind: then packets are dropped and counted, and the
journal says so when the call is over. One that never returns hears nothing more, and nothing else happens.
A failure is told by its type and place, and ends the hearing of that call.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import TracebackType

import gevent
from gevent.threadpool import ThreadPool

from dsl.facts import Facts
from sbc.config.hook_import import failing_line, name_of
from sbc.config.hook_set import Hook
from sbc.hookapi.arguments import Frame, apart
from sbc.hookapi.results import result_refusal
from sbc.media.overhearing import Overhearing
from sbc.net.hooks.costs import Told
from sbc.net.hooks.run import HookFailure

#: Seconds between two looks at what has come.
_TICK = 0.1


class _Hearing:
    """One hook that hears one call."""

    __slots__ = ("ended", "facts", "heard", "hook", "told")

    def __init__(self, hook: Hook, facts: Facts, heard: Overhearing, told: Told) -> None:
        self.hook = hook
        self.facts = facts
        self.heard = heard
        self.told = told
        self.ended = False


class MediaHooks:
    """All hearings of this process, by call."""

    def __init__(self) -> None:
        self._hearings: dict[str, list[_Hearing]] = {}
        self._files: dict[str, _File] = {}

    def hear(
        self, call: str, hooks: tuple[Hook, ...], facts: Facts, told: Told, at: float
    ) -> Iterator[Overhearing]:
        """Let ``hooks`` hear a call from now on, each what is given here."""
        for hook in hooks:
            hearing = _Hearing(hook, facts, Overhearing(at), told)
            self._hearings.setdefault(call, []).append(hearing)
            file = self._files.get(hook.path)
            if file is None:
                file = self._files[hook.path] = _File()
            file.add(hearing)
            yield hearing.heard

    def end(self, call: str) -> None:
        """The call is over; what came of it is still heard, and what was missed is told."""
        for hearing in self._hearings.pop(call, ()):
            hearing.ended = True
            missed = hearing.heard.missed
            if missed:
                place: dict[str, object] = {"file": hearing.hook.path, "line": hearing.hook.line}
                hearing.told("hook-missed", {**place, "frames": missed})


class _File:
    """The thread of one hook file, and the calls that it hears."""

    __slots__ = ("_greenlet", "_hearings", "_pool")

    def __init__(self) -> None:
        self._pool = ThreadPool(1)
        self._hearings: list[_Hearing] = []
        self._greenlet: gevent.Greenlet | None = None

    def add(self, hearing: _Hearing) -> None:
        self._hearings.append(hearing)
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while self._hearings:
            gevent.sleep(_TICK)
            for hearing in list(self._hearings):
                self._serve(hearing)
        self._greenlet = None

    def _serve(self, hearing: _Hearing) -> None:
        ended, heard = hearing.ended, hearing.heard
        frames = heard.take()
        if frames:
            failure = self._pool.apply(_hear, (hearing.hook, hearing.facts, frames))
            if failure is not None:
                failure.tell(hearing.told)
                heard.stop()
        if ended or heard.over:
            self._hearings.remove(hearing)


def _hear(hook: Hook, facts: Facts, frames: tuple[Frame, ...]) -> HookFailure | None:
    """In the thread: call the hook."""
    attempt = _Attempt(hook)
    with attempt:
        result = hook.function(apart(facts), frames)
        why = result_refusal(hook.point, result, ())
        if why is not None:
            attempt.failure = HookFailure(hook, hook.line, why)
    return attempt.failure


class _Attempt:
    """One run: whatever foreign code raises ends here, and is asked nothing."""

    __slots__ = ("_hook", "failure")

    def __init__(self, hook: Hook) -> None:
        self._hook = hook
        self.failure: HookFailure | None = None

    def __enter__(self) -> _Attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, passed: TracebackType | None
    ) -> bool:
        if kind is not None:
            hook = self._hook
            line = failing_line(passed, hook.path) or hook.line
            self.failure = HookFailure(hook, line, f"{hook.point} raised {name_of(kind)}")
        return True
