"""Hooks that look at a phone which registers: they refuse it, or fail closed."""

from __future__ import annotations

from sbc.b2bua.commands import AskRegister
from sbc.net.hooks.costs import Told
from sbc.net.hooks.run import HookFailure, HookRun


def asked(command: AskRegister, told: Told) -> tuple[str, str]:
    """Why the hooks refuse a registration, "" where they do not; and ``file:line`` of one that failed."""
    run = HookRun(command.hooks, told, command.snapshot.trunks)
    try:
        refused = run.register(command.facts, command.registration)
    except HookFailure as failure:
        return "", f"{failure.file}:{failure.line}"
    return (refused.reason if refused is not None else ""), ""
