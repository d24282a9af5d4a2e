"""What a simulation of a call leaves out: facts that the rules ask for and nobody has said, and hooks."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from dsl.atoms import reads
from dsl.clock import CLOCK_FACTS
from dsl.decision import Decision, Route
from dsl.facts import FACTS
from dsl.ruleset import RuleSet
from sbc.config.hook_set import HookSet, called_by

# By the attributes of ``Facts``, how the language says it.
_NAMES: Final = {
    **{fact.attribute: name for name, fact in FACTS.items() if name not in CLOCK_FACTS},
    "header": "headers", "ruri_param": "to.param", "from_param": "from.param",
    "remembered": "remembered",
}  # fmt: skip


def unsaid(rules: RuleSet, said: Collection[str]) -> dict[str, str]:
    """What the rules ask beside ``said``, by the attributes of ``Facts``: how the language names it."""
    asked = {name for rule in rules.rules for node in (rule.when, *rule.then) for name in reads(node)}
    return {name: _NAMES[name] for name in sorted(asked.difference(said)) if name in _NAMES}


def left_out(hooks: HookSet, decision: Decision | None = None) -> list[str]:
    """The hooks that a call would be put to and a simulation is not; of any call where none is decided."""
    before = [f"{hook.path} (before the rules)" for hook in hooks.invite]
    named = decision.hooks if isinstance(decision, Route) else ()
    chosen = hooks.route if decision is None else called_by(hooks.route, named)
    return before + [f"{hook.path} (after the rules)" for hook in chosen]


def told_of_hooks(names: list[str]) -> list[str]:
    """The line that says so; none where there is nothing to say."""
    return [f"hooks are not run here, and may decide otherwise: {', '.join(names)}"] if names else []
