"""Running the hooks over a decision, each in a greenlet of its own and with a time limit.

A hook is the operator's code and may do anything: raise, hang, burn CPU, return nonsense. All
of it ends in ``HookFailure``, which rejects the call and names the file and line. The caller
waits in its own greenlet, so a hook that swallows its timeout holds up no call; one that
never yields is ended by the watchdog. A failure is told by its type and place only: the text
of a foreign exception may hold anything.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from dataclasses import replace
from types import FrameType, TracebackType

import gevent
from gevent import Greenlet, Timeout

from dsl.decision import Decision
from dsl.facts import Facts
from dsl.validate import refusal
from sbc.base import LocalError
from sbc.config.hooks import Hook, failing_line
from sbc.net.watchdog import OutOfTime, Watchdog

GRACE = 0.1

_WATCHDOG = Watchdog()


class HookFailure(LocalError):
    """A hook failed; the call is rejected. ``line`` is 0 when it is not known."""

    def __init__(self, file: str, line: int, reason: str) -> None:
        super().__init__(f"{file}:{line}: {reason}")
        self.file = file
        self.line = line
        self.reason = reason


def run_hooks(
    hooks: Iterable[Hook],
    facts: Facts,
    decision: Decision,
    timeout: float,
    known_trunks: Collection[str],
) -> Decision:
    """Give ``decision`` to each hook in turn, ``timeout`` seconds each; HookFailure on any failure."""
    for hook in hooks:
        result = _run(hook, facts, decision, timeout)
        if result is None or result is decision:
            continue
        why = refusal(result, known_trunks)
        if why is not None:
            raise HookFailure(hook.path, hook.line, why)
        decision = _signed(result, decision, hook)
    return decision


def _signed(result: Decision, former: Decision, hook: Hook) -> Decision:
    """Name the hook as the one that decided, after the rule where there was one."""
    place = f"hook ({hook.path}:{hook.line})"
    kept = result.rule if isinstance(result.rule, str) else ""
    rule = f"{kept or former.rule}, then {place}" if kept or former.rule else place
    return replace(result, rule=rule)


class _Attempt:
    """One run of one hook: what it returned, or where and why it failed."""

    __slots__ = ("failure", "hook", "result", "timeout")

    def __init__(self, hook: Hook, timeout: float) -> None:
        self.hook = hook
        self.timeout = timeout
        self.result: Decision | None = None
        self.failure: HookFailure | None = None

    def __enter__(self) -> _Attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        """Keep whatever foreign code raised as a failure; only Ctrl-C goes on up."""
        _WATCHDOG.release(gevent.getcurrent())
        if sys.gettrace() is not None and isinstance(error, OutOfTime):
            sys.settrace(None)
        if error is not None:
            self.fail(failing_line(error, self.hook.path), self._reason(error))
        return not isinstance(error, KeyboardInterrupt)

    def _reason(self, error: BaseException) -> str:
        if isinstance(error, OutOfTime | Timeout):
            return f"on_route did not end in {self.timeout:g} s"
        return f"on_route raised {type(error).__name__}"

    def fail(self, line: int, reason: str) -> None:
        """Note the first failure."""
        if self.failure is None:
            self.failure = HookFailure(self.hook.path, line, reason)

    def run(self, facts: Facts, decision: Decision) -> None:
        """Call the hook; the body of its greenlet."""
        with self:
            _WATCHDOG.watch(gevent.getcurrent(), self.timeout + GRACE)
            self.result = self.hook.on_route(facts, decision)  # type: ignore[assignment]


def _run(hook: Hook, facts: Facts, decision: Decision, timeout: float) -> Decision | None:
    attempt = _Attempt(hook, timeout)
    runner = Greenlet.spawn(attempt.run, facts, decision)
    try:
        runner.join(timeout)
        if not runner.ready():
            attempt.fail(_waiting_line(runner.gr_frame, hook.path), f"on_route did not end in {timeout:g} s")
    finally:
        if not runner.ready():
            runner.kill(block=False)
    if attempt.failure is not None:
        raise attempt.failure
    return attempt.result


def _waiting_line(frame: FrameType | None, path: str) -> int:
    """The line of the file at ``path`` in which a suspended greenlet waits; 0 when unknown."""
    while frame is not None:
        if frame.f_code.co_filename == path:
            return frame.f_lineno
        frame = frame.f_back
    return 0
