"""The rules of every file, in order, and the decision that they take about a call.

The first rule that holds and does not end in ``continue`` decides. Most rules ask first which
trunk a call came from, so the rules are filed by that question once, at load: a call from one
trunk never sees the rules of another, however many there are.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from dsl import syntax
from dsl.compile import Test
from dsl.decision import NO_ROUTE, Decision
from dsl.errors import Diagnostic
from dsl.facts import Facts
from dsl.outcome import Outcome, Pending
from dsl.simulate import RouteTest, run_test
from dsl.trace import deciding, describe


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: where it is written, what it asks and what it does."""

    name: str
    path: str
    line: int
    when: syntax.Node
    when_text: str
    test: Test
    outcome: Outcome

    @property
    def place(self) -> str:
        """``name (file:line)``, as decisions and traces name it."""
        return f"{self.name} ({self.path}:{self.line})"


class RuleSet:
    """All rules, immutable; deciding neither changes anything nor raises."""

    __slots__ = ("_by_trunk", "_general", "rules", "tests")

    def __init__(self, rules: Iterable[Rule], tests: Iterable[RouteTest] = ()) -> None:
        self.rules = tuple(rules)
        self.tests = tuple(tests)
        asked = [(rule, _trunks_asked(rule.when)) for rule in self.rules]
        names = {name for _, trunks in asked for name in trunks or ()}
        self._general = _ready(rule for rule, trunks in asked if trunks is None)
        self._by_trunk = {
            name: _ready(rule for rule, trunks in asked if trunks is None or name in trunks) for name in names
        }

    def __len__(self) -> int:
        return len(self.rules)

    def decide(self, facts: Facts) -> Decision:
        """The decision of the first rule that holds; 404 when none does."""
        pending: Pending | None = None
        for test, outcome in self._by_trunk.get(facts.trunk, self._general):
            if not test(facts):
                continue
            if pending is None:
                if outcome.fixed is not None:
                    return outcome.fixed
                pending = Pending()
            facts = outcome.run(facts, pending)
            if outcome.ending is not None:
                return outcome.ending(facts, pending)
        return NO_ROUTE

    def explain(self, facts: Facts) -> tuple[Decision, list[str]]:
        """The same decision, and a line for each rule: whether it held and what decided that."""
        pending = Pending()
        trace: list[str] = []
        for rule in self.rules:
            held = rule.test(facts)
            cause = describe(deciding(rule.when, facts, held), rule.when_text, facts)
            if not held:
                trace.append(f"{rule.place}: no, because {cause}")
                continue
            facts = rule.outcome.run(facts, pending)
            if rule.outcome.ending is None:
                trace.append(f"{rule.place}: yes, because {cause}; it continues")
                continue
            trace.append(f"{rule.place}: yes, because {cause}; it decides")
            return rule.outcome.ending(facts, pending), trace
        trace.append("no rule matched: 404 No route")
        return NO_ROUTE, trace

    def run_tests(self) -> list[Diagnostic]:
        """Run the tests written in the files; a diagnostic for each expectation that fails."""
        return [failure for test in self.tests for failure in run_test(test, self.explain)]


def _ready(rules: Iterable[Rule]) -> tuple[tuple[Test, Outcome], ...]:
    return tuple((rule.test, rule.outcome) for rule in rules)


def _trunks_asked(node: syntax.Node) -> frozenset[str] | None:
    """The only trunks for which a condition can hold; None when it can hold for any."""
    match node:
        case syntax.AllOf(parts=parts):
            for part in parts:
                trunks = _trunks_asked(part)
                if trunks is not None:
                    return trunks
        case syntax.Compare(op="==", left=syntax.FactRef(name="trunk"), right=syntax.Text(value=name)):
            return frozenset((name,))
        case syntax.Member(left=syntax.FactRef(name="trunk"), negated=False, options=options):
            return frozenset(str(option.value) for option in options)
    return None
