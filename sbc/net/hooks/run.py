"""Running hooks, each in a greenlet of its own and with a time limit.

A hook is the operator's code and may do anything: raise, hang, burn CPU, return nonsense. All
of it ends in ``HookFailure``, which rejects the call and names the file and line, unless the file
says that it is to be skipped then. The caller waits in its own greenlet, so a hook that swallows
its timeout holds up no call; one that never yields is ended by the watchdog. A failure is told by
its type and place only: the text of a foreign exception may hold anything.
"""

from __future__ import annotations

import sys
from collections.abc import Collection
from dataclasses import replace
from time import monotonic
from types import FrameType, TracebackType
from typing import Any

import gevent
from gevent import Greenlet

from dsl.decision import Decision, Edit, Route
from dsl.facts import Facts
from dsl.outcome import edited
from sbc.b2bua.commands import Invited
from sbc.base import LocalError
from sbc.config.hook_import import failing_line, name_of
from sbc.config.hook_set import Hook
from sbc.hookapi.arguments import Answer, End, Handshake, Registration, apart
from sbc.hookapi.results import Amend, HangUp, Refuse, decided_by, result_refusal
from sbc.net.hooks.costs import HookCosts, Told
from sbc.net.hooks.watchdog import OutOfTime, Watchdog

GRACE = 0.1
HELD_UP = 0.05

_WATCHDOG = Watchdog()
_COSTS = HookCosts()


class HookFailure(LocalError):
    """A hook failed, in ``line`` or the function that begins there; ``skipped``: its file says to go on."""

    def __init__(self, hook: Hook, line: int, reason: str) -> None:
        super().__init__(f"{hook.path}:{line}: {reason}")
        self.file = hook.path
        self.line = line
        self.reason = reason
        self.skipped = hook.on_failure == "skip"

    def tell(self, told: Told) -> None:
        """Say it to whoever keeps the journal."""
        event = "hook-skipped" if self.skipped else "hook-failed"
        told(event, {"file": self.file, "line": self.line, "reason": self.reason})


class HookRun:
    """One pass through the hooks of one point; ``told`` hears of failures and of what hooks cost."""

    __slots__ = ("_hooks", "_known_trunks", "_told")

    def __init__(
        self,
        hooks: tuple[Hook, ...],
        told: Told,
        known_trunks: Collection[str] = (),
    ) -> None:
        self._hooks = hooks
        self._told = told
        self._known_trunks = known_trunks

    def ask(self, facts: Facts, about: Decision | Answer | End | None) -> Invited | Decision | HangUp | None:
        """What the hooks of a call say at their point; HookFailure."""
        match about:
            case None:
                return self.invite(facts)
            case Answer():
                return self.answer(facts, about)
            case End():
                self.end(facts, about)
                return None
            case _:
                return self.route(facts, about)

    def invite(self, facts: Facts) -> Invited:
        """A new call, before the rules: the first decision ends it, amendments add up; HookFailure."""
        edits: tuple[Edit, ...] = ()
        for hook in self._hooks:
            result = self._answer(hook, facts)
            if isinstance(result, Amend):
                edits += result.edits
                facts = _amended(facts, result)
            elif result is not None:
                return Invited(facts, edits, decided_by(result, "", hook.place))
        return Invited(facts, edits)

    def route(self, facts: Facts, decision: Decision) -> Decision:
        """What the rules have decided goes through each hook in turn; HookFailure."""
        for hook in self._hooks:
            result = self._answer(hook, facts, decision)
            if result is None or result is decision:
                continue
            fresh: Decision = decided_by(result, decision.rule, hook.place)
            if isinstance(fresh, Route) and isinstance(decision, Route):
                fresh = replace(fresh, hooks=decision.hooks)
            decision = fresh
        return decision

    def answer(self, facts: Facts, answer: Answer) -> HangUp | None:
        """A call is up: the first that says so ends it; HookFailure."""
        found: HangUp | None = self._first(facts, answer)
        return found

    def end(self, facts: Facts, end: End) -> None:
        """A call is over: everyone is told. Nothing is left to reject, so a failure is only told."""
        for hook in self._hooks:
            try:
                self._answer(hook, facts, end)
            except HookFailure:
                pass  # told already

    def handshake(self, handshake: Handshake) -> Refuse | None:
        """A TLS handshake has ended: the first that says so refuses the connection; HookFailure."""
        found: Refuse | None = self._first(handshake)
        return found

    def register(self, facts: Facts, registration: Registration) -> Refuse | None:
        """A phone registers: the first that says so refuses it; HookFailure."""
        found: Refuse | None = self._first(facts, registration)
        return found

    def _first(self, *arguments: object) -> Any:
        """What the first hook says that says anything, with the hook named in its reason."""
        for hook in self._hooks:
            result = self._answer(hook, *arguments)
            if result is not None:
                return replace(result, reason=f"{hook.place}: {result.reason}".removesuffix(": "))
        return None

    def _answer(self, hook: Hook, *arguments: object) -> Any:
        """What a hook says; the same as one of its arguments says means that argument."""
        handed = tuple([apart(each) for each in arguments])
        try:
            result = run_hook(hook, handed, self._known_trunks, self._told)
        except HookFailure as failure:
            failure.tell(self._told)
            if not failure.skipped:
                raise
            return None
        return next((argument for argument in arguments if argument == result), result)


def _amended(facts: Facts, amend: Amend) -> Facts:
    facts = edited(facts, amend.edits)
    return replace(facts, tags=tuple(dict.fromkeys((*facts.tags, *amend.tags)))) if amend.tags else facts


class _Attempt:
    """One run of one hook: what it returned, or where and why it failed."""

    __slots__ = ("failure", "hook", "result", "told")

    def __init__(self, hook: Hook, told: Told) -> None:
        self.hook = hook
        self.told = told
        self.result: object = None
        self.failure: HookFailure | None = None

    def __enter__(self) -> _Attempt:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, passed: TracebackType | None
    ) -> bool:
        """Keep whatever foreign code raised as a failure; nothing goes on up.

        KeyboardInterrupt or SystemExit would end the process, and is no signal here: those arrive otherwise.
        The error itself is asked nothing, for its answer would be foreign code too.
        """
        _WATCHDOG.release(gevent.getcurrent())
        if kind is None:
            return True
        burnt = issubclass(kind, OutOfTime)
        if burnt and sys.gettrace() is not None:
            sys.settrace(None)
        self.fail(failing_line(passed, self.hook.path) or self.hook.line, self._reason(kind, burnt))
        return True

    def _reason(self, kind: type[BaseException], burnt: bool) -> str:
        point = self.hook.point
        if burnt:
            return f"{point} burnt CPU and did not end in {self.hook.limit:g} s"
        return f"{point} raised {name_of(kind)}"

    def fail(self, line: int, reason: str) -> None:
        """Note the first failure."""
        if self.failure is None:
            self.failure = HookFailure(self.hook, line, reason)

    def run(self, arguments: tuple[object, ...], known_trunks: Collection[str]) -> None:
        """Call the hook and look at its answer; the body of its greenlet."""
        with self:
            hook = self.hook
            _WATCHDOG.watch(gevent.getcurrent(), hook.limit + GRACE)
            before = _COSTS.begin()
            result = hook.function(*arguments)
            _COSTS.end(hook, before, self.told)
            # Here, because what it answered is foreign too: it may raise when it is looked at.
            why = result_refusal(hook.point, result, known_trunks)
            if why is None:
                self.result = apart(result)  # what it keeps of it, it may still change
            else:
                self.fail(hook.line, why)


def run_hook(hook: Hook, arguments: tuple[object, ...], known_trunks: Collection[str], told: Told) -> object:
    """What one hook answers, once it has been found to be an answer; HookFailure, skipped or not."""
    attempt = _Attempt(hook, told)
    due = monotonic() + hook.limit
    runner = Greenlet.spawn(attempt.run, arguments, known_trunks)
    try:
        runner.join(hook.limit)
        if not runner.ready() and (late := monotonic() - due) > HELD_UP:
            runner.join(late)  # another one held everything up: the time was not this hook's
        if not runner.ready():
            line = _waiting_line(runner.gr_frame, hook.path) or hook.line
            attempt.fail(line, f"{hook.point} did not end in {hook.limit:g} s")
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
