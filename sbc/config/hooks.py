"""Loading the hook files of a configuration, with every mistake in them."""

from __future__ import annotations

from collections.abc import Mapping

from dsl.errors import Diagnostic
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
