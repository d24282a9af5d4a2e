"""Loading the hook files of a configuration, with every mistake in them and in how rules call them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dsl import syntax
from dsl.breath import breathe
from dsl.errors import Diagnostic
from dsl.ruleset import RuleSet
from sbc.config.hook_file import HookFile
from sbc.config.hook_set import Hook, HookSet, hook_set


def load_hooks(texts: Mapping[str, str], limit: float = 0.5) -> tuple[HookSet, list[Diagnostic]]:
    """Load hook files (text by path) in the order of their paths; hooks only of good files.

    ``limit`` is how many seconds a hook may take whose file does not say.
    """
    hooks: list[Hook] = []
    diagnostics: list[Diagnostic] = []
    for path in sorted(texts):
        file = HookFile(path, texts[path], limit)
        hooks += file.load()
        diagnostics += file.diagnostics
    return hook_set(hooks), diagnostics


def check_calls(hooks: HookSet, rules: RuleSet) -> Iterator[Diagnostic]:
    """Warnings of what would surprise: a named hook that no rule calls, a call that changes nothing."""
    files = {hook.name: hook for hook in reversed((*hooks.route, *hooks.answer, *hooks.end, *hooks.media))}
    called = set()
    for rule in rules.rules:
        breathe()
        for action in rule.then:
            if isinstance(action, syntax.HookAction):
                called.add(action.name.value)
                hook = files.get(action.name.value)
                if hook is not None and not hook.named:
                    message = f'the hook "{hook.name}" runs for every call: to call it changes nothing'
                    hint = f'write WHEN = "named" in {hook.path}'
                    yield Diagnostic(rule.path, rule.line, rule.col, message, hint, "", "warning")
    for name, hook in files.items():
        if hook.named and name not in called:
            message = "no rule calls this hook, so it never runs"
            hint = f'let one say: call hook "{name}"'
            yield Diagnostic(hook.path, hook.line, 1, message, hint, "", "warning")
