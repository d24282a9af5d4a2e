"""From the files of routes.d to a RuleSet, or to every mistake in all of them at once.

Files are read in the order of their names, rules in the order in which they stand. A file
that is broken in one place is still searched for mistakes in all others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from zoneinfo import ZoneInfo

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dsl import syntax
from dsl.atoms import atoms_of, reads
from dsl.breath import breathe
from dsl.cases import read_test
from dsl.check import Checker
from dsl.check_actions import ActionChecker
from dsl.compile import condition
from dsl.definitions import Definitions, read_zone
from dsl.errors import Diagnostic
from dsl.names import Known, suggest
from dsl.outcome import compile_outcome
from dsl.parse import Problem, parse_actions, parse_condition
from dsl.ruleset import Rule, RuleSet
from dsl.scope import NOTHING_NAMED
from dsl.shadow import report_shadowed
from dsl.simulate import RouteTest
from dsl.source import Source, places, text_of
from dsl.unasked import report_unasked

# A comment, behind what may have a # in it; a network goes first, for its / begins no pattern.
_TOKEN = re.compile(r'"(?:\\.|[^"\\])*"?|(?<![0-9A-Fa-f.:])[0-9A-Fa-f.:]++/[0-9]|/(?:\\.|[^/\\])+/?|(#.*)')
_RULE_KEYS = ("name", "when", "then")
_FILE_KEYS = ("rules", "tests", "lists", "groups", "zone")


def load(texts: Mapping[str, str], known: Known | None = None) -> tuple[RuleSet | None, list[Diagnostic]]:
    """Read rule files (text by path); the RuleSet is None when any diagnostic is an error."""
    loader = _Loader(known or Known())
    for path in sorted(texts):
        loader.define(Source(path, texts[path]))
    loader.read()
    diagnostics = loader.diagnostics()
    if any(each.severity == "error" for each in diagnostics):
        return None, diagnostics
    return RuleSet(loader.rules, loader.tests), diagnostics


class _Loader:
    """What has been read so far, over all files: first what they define by name, then rules and tests."""

    def __init__(self, known: Known) -> None:
        self.rules: list[Rule] = []
        self.tests: list[RouteTest] = []
        self._known = known
        self._definitions = Definitions(known)
        self._files: list[tuple[Source, dict[str, Node], ZoneInfo | None]] = []
        self._sources: list[Source] = []
        self._names: dict[str, str] = {}
        self._scope = NOTHING_NAMED

    def diagnostics(self) -> list[Diagnostic]:
        """Everything found, in the order of files, lines and columns."""
        found = [each for source in self._sources for each in source.diagnostics]
        return sorted(found, key=lambda each: (each.path, each.line, each.col))

    def define(self, source: Source) -> None:
        """Read what a file defines, and keep the rest of it for ``read``."""
        self._sources.append(source)
        if not source.text.strip():
            hint = "a file that is being written begins so; remove it, or begin it with rules:"
            source.report_at(0, 0, "the file is empty", hint)
            return
        root = source.compose()
        if root is None or (isinstance(root, ScalarNode) and not text_of(root)):
            return
        if not isinstance(root, MappingNode):
            source.report(root, "a rule file is a mapping of rules and tests", "begin it with rules:")
            return
        sections: dict[str, Node] = {}
        for key, value in source.items(root):
            if key.value in _FILE_KEYS:
                sections[key.value] = value
            else:
                source.report(key, f"a rule file has no {key.value!r}", suggest(key.value, _FILE_KEYS))
        zone = read_zone(source, sections["zone"]) if "zone" in sections else None
        if "lists" in sections:
            self._definitions.read_lists(source, sections["lists"])
        if "groups" in sections:
            self._definitions.read_groups(source, sections["groups"])
        self._files.append((source, sections, zone))

    def read(self) -> None:
        """Read the rules and tests of every file."""
        for source, sections, zone in self._files:
            self._scope = self._definitions.scope(zone)
            for node in _entries(source, sections, "rules"):
                self._rule(source, node)
            for node in _entries(source, sections, "tests"):
                breathe()
                test = read_test(source, node, self._known, zone)
                if test is not None:
                    self.tests.append(test)
        sources = {source.path: source for source in self._sources}
        report_shadowed(self.rules, sources)
        report_unasked(self.rules, sources)

    def _rule(self, source: Source, node: Node) -> None:
        breathe()
        fields = _fields(source, node)
        name = self._name(source, fields.get("name"))
        when = self._when(source, fields["when"]) if "when" in fields else None
        then = self._then(source, fields["then"]) if "then" in fields else None
        if name is None or when is None or then is None:
            return
        line, col = source.place(node.start_mark.index)
        scope, text = self._scope, text_of(fields["when"])
        outcome = compile_outcome(then, f"{name} ({source.path}:{line})", scope)
        test = condition(when, scope)
        atoms, method = atoms_of(when, scope), "method" in reads(when)
        place = (source.path, line, col)
        self.rules.append(Rule(name, *place, when, text, then, test, outcome, scope, atoms, method))

    def _name(self, source: Source, node: ScalarNode | None) -> str | None:
        if node is None:
            return None
        name = " ".join(text_of(node).split())
        if not name:
            source.report(node, "the name is empty", "name what the rule is for")
            return None
        if name in self._names:
            source.report(
                node, f"there is another rule {name!r}, at {self._names[name]}", "choose another name"
            )
            return None
        self._names[name] = f"{source.path}:{source.place(node.start_mark.index)[0]}"
        return name

    def _when(self, source: Source, node: ScalarNode) -> syntax.Node | None:
        text = text_of(node)
        if not node.style and text.lower() in ("true", "false"):
            text = text.lower()  # YAML's own True is as good as ours
        _tell_swallowed(source, node, text)
        tree, problems = parse_condition(text)
        checker = Checker(self._known, self._scope)
        if tree is not None:
            checker.condition(tree)
            if isinstance(tree, syntax.Truth) and not tree.value:
                checker.problems.append(Problem(tree.start, "this rule never holds", "remove it", "warning"))
        good = _report_all(source, node, (*problems, *checker.problems))
        return tree if good and not checker.broken else None

    def _then(self, source: Source, node: ScalarNode) -> tuple[syntax.Node, ...] | None:
        text = text_of(node)
        _tell_swallowed(source, node, text)
        actions, problems = parse_actions(text)
        checker = ActionChecker(self._known, self._scope)
        if actions is not None:
            checker.actions(actions)
        good = _report_all(source, node, (*problems, *checker.problems))
        return actions if good and not checker.broken else None


def _entries(source: Source, sections: dict[str, Node], name: str) -> list[Node]:
    """The entries of one section of a file; one that is no list is reported."""
    node = sections.get(name)
    if isinstance(node, SequenceNode):
        entries: list[Node] = node.value
        return entries
    if node is not None and not _is_empty(node):
        source.report(node, f"{name} is a list", "begin each entry with a hyphen")
    return []


def _tell_swallowed(source: Source, node: ScalarNode, text: str) -> None:
    """Report a comment that goes on where YAML has folded the next line behind it: that says nothing then."""
    if "#" not in text or node.style == "|":
        return
    spots = places(source.text, node)
    for token in _TOKEN.finditer(text):
        if token[1] is None:
            continue
        first, last = (
            source.place(spots[at])[0] for at in (token.start(), token.start() + len(token[1]) - 1)
        )
        if first != last:
            hint = "write a | after the key, which keeps its lines apart, or move the comment to the end"
            message = f"this comment takes in what stands up to line {last}, for YAML makes one line of them"
            source.report_in(node, token.start(), message, hint)


def _report_all(source: Source, node: ScalarNode, problems: Iterable[Problem]) -> bool:
    """Report every problem of a text; whether none of them is an error."""
    good = True
    for problem in problems:
        source.report_in(node, *problem)
        good = good and problem.severity != "error"
    return good


def _fields(source: Source, node: Node) -> dict[str, ScalarNode]:
    """The name, when and then of a rule, as far as they are there and in form."""
    if not isinstance(node, MappingNode):
        source.report(node, "a rule is a mapping of name, when and then")
        return {}
    fields: dict[str, ScalarNode] = {}
    written: set[str] = set()
    for key, value in source.items(node):
        written.add(key.value)
        if key.value not in _RULE_KEYS:
            source.report(key, f"a rule has no {key.value!r}", suggest(key.value, _RULE_KEYS))
        elif isinstance(value, ScalarNode):
            fields[key.value] = value
        else:
            source.report(value, f"{key.value} is text", "write it after a | with the text indented below")
    for missing in _RULE_KEYS:
        if missing not in written:
            source.report(node, f"this rule has no `{missing}`", _MISSING[missing])
    return fields


_MISSING = {
    "name": "name what the rule is for; traces and records show it",
    "when": "write `when: true` for a rule that takes every call",
    "then": 'such as then: route "carrier"',
}


def _is_empty(node: Node) -> bool:
    return isinstance(node, ScalarNode) and not text_of(node)
