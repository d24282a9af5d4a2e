"""What rules make of services in vain: answers that nobody has asked for, questions where nobody waits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dsl import syntax
from dsl.atoms import reads
from dsl.breath import breathe
from dsl.ruleset import Rule, is_of_calls
from dsl.services import LOOKUP
from dsl.source import Source


def report_unasked(rules: Iterable[Rule], sources: Mapping[str, Source]) -> None:
    """Warn of every rule that uses an answer before any asks for it, or asks about what begins no call."""
    asked: set[str] = set()
    for rule in rules:
        breathe()
        wanted = _services(rule.when) - asked
        for action in rule.then:
            wanted |= _services(action) - asked
            if isinstance(action, syntax.AskAction):
                asked.add(action.name.value)
        source = sources[rule.path]
        for name in sorted(wanted):
            message = f"what {LOOKUP}{name} answers is not known here: nothing asks it before"
            hint = f'let an earlier rule say: ask "{name}" else continue'
            source.report_at(rule.line, rule.col, message, hint, "warning")
        if rule.outcome.asks and rule.names_method and not is_of_calls(rule.atoms):
            message = "a service is asked about calls alone: of all else the `else` counts at once"
            source.report_at(rule.line, rule.col, message, 'add `method == "INVITE" and`', "warning")


def _services(node: syntax.Node) -> set[str]:
    """The services whose answers a condition or an action uses."""
    return {each.removeprefix(LOOKUP) for each in reads(node) if each.startswith(LOOKUP)}
