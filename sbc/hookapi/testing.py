"""Testing a hook with pytest and without a server: loaded, limited and judged as the server does it.

    from sbc.hookapi import reject
    from sbc.hookapi.testing import facts, load

    def test_nobody_calls_a_premium_number():
        hook = load("hooks/blocklist.py")
        assert hook.on_invite(facts(ruri_user="+19005550100")) == reject(603, "Declined")

Each method returns what the hook answered, once it has been found to be an answer. What would be
told in the journal is raised instead: ``HookFailure`` with ``line`` and ``reason``. Under a server
sockets and ``time.sleep`` let other calls go on; here they simply wait.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dsl.arrival import NOWHERE, written
from dsl.decision import Decision, Redirect, Reject
from dsl.facts import Facts
from sbc.base import ConfigError
from sbc.config.hook_set import Hook, HookSet
from sbc.config.hooks import load_hooks
from sbc.hookapi.arguments import Answer, End, Frame, Handshake, Registration
from sbc.hookapi.results import Amend, HangUp, Refuse
from sbc.net.hooks.run import HookFailure, run_hook

__all__ = ["HookFailure", "HookFile", "facts", "load"]


class _AnyTrunk(Collection[str]):
    """Every name is a trunk's."""

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class HookFile:
    """One hook file, ready to be asked; a function that it does not define is an AssertionError."""

    def __init__(self, path: str, hooks: HookSet, trunks: Collection[str]) -> None:
        self._path = path
        self._hooks = hooks
        self._trunks = trunks

    def on_handshake(self, handshake: Handshake) -> Refuse | None:
        """What it says of a peer that TLS has admitted; HookFailure."""
        said: Refuse | None = self._ask(self._hooks.handshake, handshake)
        return said

    def on_invite(self, facts: Facts) -> Amend | Reject | Redirect | None:
        """What it says of a new call before the rules; HookFailure."""
        said: Amend | Reject | Redirect | None = self._ask(self._hooks.invite, facts)
        return said

    def on_route(self, facts: Facts, decision: Decision) -> Decision | None:
        """What it says of a decision of the rules; HookFailure."""
        said: Decision | None = self._ask(self._hooks.route, facts, decision)
        return said

    def on_answer(self, facts: Facts, answer: Answer) -> HangUp | None:
        """What it says of a call that has come up; HookFailure."""
        said: HangUp | None = self._ask(self._hooks.answer, facts, answer)
        return said

    def on_end(self, facts: Facts, end: End) -> None:
        """Tell it of a call that is over; HookFailure."""
        self._ask(self._hooks.end, facts, end)

    def on_register(self, facts: Facts, registration: Registration) -> Refuse | None:
        """What it says of a phone that registers; HookFailure."""
        said: Refuse | None = self._ask(self._hooks.register, facts, registration)
        return said

    def on_media(self, facts: Facts, frames: tuple[Frame, ...]) -> None:
        """Let it hear these; HookFailure."""
        self._ask(self._hooks.media, facts, frames)

    def _ask(self, hooks: tuple[Hook, ...], *arguments: object) -> Any:
        assert hooks, f"{self._path} does not define this hook"
        return run_hook(hooks[0], arguments, self._trunks, lambda event, fields: None)


def load(path: str | Path, trunks: Collection[str] | None = None, limit: float = 0.5) -> HookFile:
    """Load one hook file; ConfigError with every mistake in it, warnings too.

    ``trunks`` are those that it may route to, by default any; ``limit`` is ``hooks: {timeout: ...}``
    of sbc.yaml, in seconds.
    """
    name = str(path)
    hooks, diagnostics = load_hooks({name: Path(path).read_text("utf-8-sig")}, limit)
    if diagnostics:
        raise ConfigError(tuple(diagnostics))
    return HookFile(name, hooks, _AnyTrunk() if trunks is None else trunks)


def facts(headers: Mapping[str, str] | None = None, **fields: Any) -> Facts:
    """The facts of a made-up call: ``fields`` are those of ``Facts``, ``headers`` its headers in any case."""
    return written(NOWHERE, headers=headers, **fields)
