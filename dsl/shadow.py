"""Rules that can never decide: they contradict themselves, or stand behind one that takes their calls.

A rule is shadowed by an earlier one that ends the matter and demands nothing that it does not demand itself,
unless a rule between them sets something that the earlier one asks about. Rules are filed by one of their
atoms, so that ten thousand of them are not compared with each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping
from itertools import combinations

from dsl import syntax
from dsl.atoms import Atom, contradicts, implies, keys_implied, keys_of
from dsl.breath import breathe
from dsl.check_actions import PARTS, SIDES
from dsl.facts import FACTS
from dsl.ruleset import Rule, is_of_calls
from dsl.services import LOOKUP
from dsl.source import Source

_ALWAYS = "always"


def report_shadowed(rules: Iterable[Rule], sources: Mapping[str, Source]) -> None:
    """Warn of every rule that no call can reach, or that can never hold.

    What begins no call is judged by the rules that name its method, and by no others.
    """
    of_calls, outside = _Shadows(), _Shadows()
    for index, rule in enumerate(rules):
        breathe()
        atoms = rule.atoms
        source = sources[rule.path]
        if any(contradicts(one, other) for one, other in combinations(atoms, 2)):
            hint = "two of its conditions can never be true together"
            source.report_at(rule.line, rule.col, "this rule never holds", hint, "warning")
        shadows = outside if rule.names_method and not is_of_calls(atoms) else of_calls
        taken = shadows.over(atoms)
        if taken is not None:
            what = "every call" if not taken.atoms else "all its calls"
            message = f"this rule is never reached: {taken.place} takes {what}"
            hint = "move it up, or narrow the rule that takes its calls"
            source.report_at(rule.line, rule.col, message, hint, "warning")
        elif rule.outcome.ends:
            of_calls.add(index, rule, atoms)
            if rule.names_method:
                outside.add(index, rule, atoms)
        for each in (of_calls, outside):
            each.note_writes(index, rule.then if not rule.outcome.ends else ())


class _Shadows:
    """The rules so far that end the matter, filed by the least common of their atoms."""

    def __init__(self) -> None:
        self._filed: dict[Hashable, list[tuple[int, Rule, tuple[Atom, ...]]]] = defaultdict(list)
        self._written: dict[str, int] = {}

    def add(self, index: int, rule: Rule, atoms: tuple[Atom, ...]) -> None:
        """File a rule; one that demands nothing goes where everybody looks."""
        keys: tuple[Hashable, ...] = (_ALWAYS,)
        if atoms:
            choices = [tuple(keys_of(atom)) for atom in atoms]
            keys = min(
                choices, key=lambda each: sum(len(self._filed.get(one, ())) for one in each) + len(each) / 1e6
            )
        for each in keys:
            self._filed[each].append((index, rule, atoms))

    def note_writes(self, index: int, actions: tuple[syntax.Node, ...]) -> None:
        """The rule at ``index`` goes on after it has set things."""
        for action in actions:
            if isinstance(action, syntax.SetPartAction):
                self._written[PARTS[action.part.name]] = index
            elif isinstance(action, syntax.SetParamAction):
                self._written["ruri_param" if SIDES[action.whose] == "to" else "from_param"] = index
            elif isinstance(
                action, syntax.SetHeaderAction | syntax.RemoveHeaderAction | syntax.CopyHeaderAction
            ):
                self._written["header"] = index
            elif isinstance(action, syntax.AskAction):
                self._written[LOOKUP + action.name.value] = index
            elif isinstance(action, syntax.TagAction):
                self._written[FACTS["call.tags"].attribute] = index

    def over(self, atoms: tuple[Atom, ...]) -> Rule | None:
        """The first rule that takes every call which meets ``atoms``; None where there is none."""
        found: tuple[int, Rule] | None = None
        for each in (_ALWAYS, *(one for atom in atoms for one in keys_implied(atom))):
            for index, rule, demands in self._filed.get(each, ()):
                if found is not None and found[0] <= index:
                    continue
                if self._takes(index, demands, atoms):
                    found = (index, rule)
        return found[1] if found else None

    def _takes(self, index: int, demands: tuple[Atom, ...], atoms: tuple[Atom, ...]) -> bool:
        if any(self._written.get(name, -1) > index for demand in demands for name in demand.reads):
            return False
        return all(any(implies(atom, demand) for atom in atoms) for demand in demands)
