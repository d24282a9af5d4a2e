"""The rules of every file, in order, and the decision that they take about a call.

The first rule that holds and does not end in ``continue`` decides. Which rules are tried at all is a matter
of how they are filed (``dsl.index``); ``explain`` tries every one, and tells why.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from dsl import syntax
from dsl.atoms import Atom, reads
from dsl.breath import breathe
from dsl.compile import Test
from dsl.decision import NO_ROUTE, Decision, Reject
from dsl.draft import Draft
from dsl.errors import Diagnostic
from dsl.facts import Facts
from dsl.index import Demands, Entry, Item, arrange, demands_of
from dsl.outcome import Outcome
from dsl.question import Question
from dsl.scope import Scope
from dsl.services import UNANSWERED, Answer, Answers
from dsl.simulate import RouteTest, run_test
from dsl.trace import deciding, describe

# Of this module, which is compiled: another's is looked for by its name, each time.
_NOBODY_ASKED: Final = UNANSWERED


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: where it is written, what it asks and what it does.

    ``names_method``: it asks for the method; only then it is asked about what begins no call.
    """

    name: str
    path: str
    line: int
    col: int
    when: syntax.Node
    when_text: str
    then: tuple[syntax.Node, ...]
    test: Test
    outcome: Outcome
    scope: Scope
    atoms: tuple[Atom, ...]
    names_method: bool

    @property
    def place(self) -> str:
        """``name (file:line)``, as decisions and traces name it."""
        return self.outcome.place


class RuleSet:
    """All rules, immutable; deciding neither changes anything nor raises.

    ``outside`` are those that are asked about what begins no call; ``remembers``: one asks what former calls
    had remembered.
    """

    __slots__ = ("_by_trunk", "_general", "outside", "realms", "remembers", "rules", "tests")

    def __init__(self, rules: Iterable[Rule], tests: Iterable[RouteTest] = ()) -> None:
        self.rules = tuple(rules)
        self.tests = tuple(tests)
        self.realms = frozenset(rule.outcome.realm for rule in self.rules if rule.outcome.realm)
        self.remembers = False
        filed: list[tuple[Entry, Demands]] = []
        for rule in self.rules:
            breathe()
            self.remembers = self.remembers or _remembers(rule)
            filed.append(((rule.test, rule.outcome), demands_of(rule.when, rule.atoms)))
        asked = []
        for rule in self.rules:
            breathe()
            asked.append(trunks_asked(rule.atoms))
        by_trunk: dict[str, list[tuple[Entry, Demands]]] = {
            name: [] for trunks in asked for name in trunks or ()
        }
        general: list[tuple[Entry, Demands]] = []
        for each, trunks in zip(filed, asked, strict=True):
            breathe()
            for name in by_trunk if trunks is None else trunks:
                by_trunk[name].append(each)
            if trunks is None:
                general.append(each)
        self.outside = tuple([(rule.test, rule.outcome) for rule in self.rules if rule.names_method])
        self._general: tuple[Item, ...] = arrange(general)
        self._by_trunk: dict[str, tuple[Item, ...]] = {name: arrange(each) for name, each in by_trunk.items()}

    def take_apart(self, most: int) -> bool:
        """Let go of up to ``most`` rules of a set that decides nothing any more; True while there are others.

        Ten thousand closures that are freed at once hold everything else up for a quarter of a second.
        """
        self._general, self._by_trunk, self.outside = (), {}, ()
        self.rules = self.rules[: max(0, len(self.rules) - most)]
        return bool(self.rules)

    def __len__(self) -> int:
        return len(self.rules)

    def decide(self, facts: Facts, answers: Answers = _NOBODY_ASKED) -> Decision:
        """The decision of the first rule that holds; 404 when none does.

        ``answers`` are those of the services that rules ask, of which no other is asked.
        """
        decision = self.begin(facts)
        while isinstance(decision, Question):
            decision = self.go_on(decision, answers.get(decision.service.name))
        return decision

    def begin(self, facts: Facts) -> Decision | Question:
        """The same, or the first question that is asked on the way to it."""
        draft = Draft(facts)
        if facts.method != "INVITE":
            return self._decide_outside(draft)
        return self._walk(self._by_trunk.get(facts.trunk, self._general), draft, False)

    def go_on(self, question: Question, answer: Answer | None) -> Decision | Question:
        """Go on from where a question was asked, with its answer; None where there is none."""
        decision = question.answered(answer)
        if decision is not None:
            return decision
        items = self._by_trunk.get(question.draft.facts.trunk, self._general)
        at = 0
        for item in items:
            at, outcome = at + 1, item[1]
            if outcome is not None and outcome.place == question.place:
                break
        return self._walk(items[at:], question.draft, True)

    def _walk(self, items: tuple[Item, ...], draft: Draft, touched: bool) -> Decision | Question:
        decision: Decision | Question | None
        for test, outcome, filed in items:
            if filed is not None:
                for _, (test, outcome) in filed.candidates(draft):
                    if test(draft):
                        decision = outcome.fixed if not touched else None
                        if decision is None:
                            decision = outcome.run(draft)
                        if decision is not None:
                            return decision
            elif test is not None and outcome is not None and test(draft):
                decision = outcome.fixed if not touched else None
                if decision is None:
                    decision = outcome.run(draft)
                if decision is not None:
                    return decision
                touched = True
        return NO_ROUTE if not draft.tags else _no_route(draft)

    def _decide_outside(self, draft: Draft) -> Decision:
        """The same of what begins no call: a rule that takes every call was never meant for it."""
        for test, outcome in self.outside:
            if test(draft):
                decision = outcome.run(draft)
                while isinstance(decision, Question):  # nobody waits with it
                    decision = decision.answered(None)
                if decision is not None:
                    return decision
        return NO_ROUTE if not draft.tags else _no_route(draft)

    def explain(self, facts: Facts, answers: Answers = _NOBODY_ASKED) -> tuple[Decision, list[str]]:
        """The same decision, and a line for each rule: whether it held and what decided that."""
        if facts.method != "INVITE":
            answers = _NOBODY_ASKED
        draft = Draft(facts)
        trace: list[str] = []
        for rule in self.rules:
            if facts.method != "INVITE" and not rule.names_method:
                trace.append(f"{rule.place}: no, because it does not name method")
                continue
            held = rule.test(draft)
            node = deciding(rule.when, draft, held, rule.scope)
            cause = describe(node, rule.when_text, draft, rule.scope)
            if not held:
                trace.append(f"{rule.place}: no, because {cause}")
                continue
            decision = rule.outcome.run(draft)
            while isinstance(decision, Question):
                asked = decision.service.name
                answer = answers.get(asked)
                cause += f"; {asked} is asked, and {'answers' if answer is not None else 'does not answer'}"
                decision = decision.answered(answer)
            if decision is None:
                trace.append(f"{rule.place}: yes, because {cause}; it continues")
                continue
            trace.append(f"{rule.place}: yes, because {cause}; it decides")
            return decision, trace
        trace.append("no rule matched: 404 No route")
        return NO_ROUTE if not draft.tags else _no_route(draft), trace

    def run_tests(self) -> list[Diagnostic]:
        """Run the tests written in the files; a diagnostic for each expectation that fails."""
        failures: list[Diagnostic] = []
        for test in self.tests:
            breathe()
            failures += run_test(test, self.explain)
        return failures


def _remembers(rule: Rule) -> bool:
    return any(["remembered" in reads(node) for node in (rule.when, *rule.then)])


def _no_route(draft: Draft) -> Decision:
    return Reject(NO_ROUTE.status, NO_ROUTE.reason, NO_ROUTE.rule, draft.tags)


def trunks_asked(atoms: Iterable[Atom]) -> tuple[str, ...] | None:
    """The only trunks for which a condition can hold; None when it can hold for any."""
    for atom in atoms:
        if atom.subject == ("fact", "trunk") and atom.kind == "is":
            return tuple(dict.fromkeys(str(each) for each in atom.options))
    return None


def is_of_calls(atoms: Iterable[Atom]) -> bool:
    """Whether a rule demands an INVITE: then those count before it that take every call."""
    return any(
        [
            atom.subject == ("fact", "method") and atom.kind == "is" and atom.options == ("INVITE",)
            for atom in atoms
        ]
    )
