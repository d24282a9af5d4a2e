"""Everything about a rule that its grammar cannot say: names, types, what may be set, the order.

Each expression is given a type; a comparison that could never be true (a truth with a text, a
trunk that does not exist, a certificate name without its kind) is a mistake to be told now, not
a rule that silently never matches.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from ipaddress import ip_address, ip_network

from dsl import syntax
from dsl.facts import FACTS, Fact
from dsl.functions import FUNCTIONS
from dsl.ownership import read_refusal, remove_refusal, set_refusal
from dsl.parse import Problem
from dsl.patterns import Pattern, PatternError

TEXTUAL = ("text", "host", "address")
PARTS = {
    "from.user": "from_user",
    "from.host": "from_host",
    "from.display": "from_display",
    "to.user": "ruri_user",
    "to.host": "ruri_host",
}
_KINDS = {
    "text": "text",
    "host": "text",
    "address": "an address",
    "list": "a list",
    "truth": "true or false",
    "number": "a number",
}


@dataclass(frozen=True, slots=True)
class Known:
    """The names that rules may use; None leaves a kind of name unchecked."""

    trunks: frozenset[str] | None = None
    listeners: frozenset[str] | None = None
    tenants: frozenset[str] | None = None
    hooks: frozenset[str] | None = None


def suggest(name: str, names: Iterable[str]) -> str:
    """A hint for a name that does not exist: the nearest one, or all when they are few."""
    all_names = sorted(names)
    near = get_close_matches(name, all_names, 1, 0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    return "there are: " + ", ".join(all_names) if 0 < len(all_names) <= 12 else ""


class Checker:
    """Collects the problems of one text, a when or a then, in ``problems``."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self.problems: list[Problem] = []

    def _report(self, node: syntax.Node, message: str, hint: str = "") -> None:
        self.problems.append(Problem(node.start, message, hint))

    def condition(self, node: syntax.Node) -> None:
        """Check a node that must be true or false."""
        kind = self.type_of(node)
        if kind not in (None, "truth"):
            hint = {
                "text": 'compare it, such as == "..."',
                "host": 'compare it, such as == "..."',
                "address": "compare it, such as in 10.0.0.0/8",
                "list": 'compare it, such as == "...", which asks each of its values',
                "number": "compare it, such as > 5",
            }
            self._report(node, f"this is {_KINDS[kind or 'text']}, not a condition", hint[kind or "text"])

    def type_of(self, node: syntax.Node) -> str | None:
        """The type of an expression; None when a problem with it was reported."""
        match node:
            case syntax.Text():
                return "text"
            case syntax.Number():
                return "number"
            case syntax.Truth():
                return "truth"
            case syntax.FactRef():
                return self._fact(node)
            case syntax.Call():
                return self._call(node)
            case syntax.Concat():
                for part in node.parts:
                    self.text(part)
                return "text"
            case _:
                self._truth(node)
                return "truth"

    def _truth(self, node: syntax.Node) -> None:
        match node:
            case syntax.AllOf() | syntax.AnyOf():
                for part in node.parts:
                    self.condition(part)
            case syntax.Not():
                self.condition(node.of)
            case syntax.HasHeader():
                self._refuse(node.name, _name_only(node.name.value))
            case syntax.Compare():
                self._compare(node)
            case syntax.Matches():
                self._searchable(node.left, "matches")
                self.pattern(node.regex)
            case syntax.Affix():
                self._searchable(node.left, "starts with" if node.starts else "ends with")
            case syntax.Member():
                self._member(node)

    def text(self, node: syntax.Node) -> None:
        """Check an expression that must be text."""
        kind = self.type_of(node)
        if kind in TEXTUAL or kind is None:
            return
        hint = f'write "{node.value}"' if isinstance(node, syntax.Number) else ""
        self._report(node, f"this is {_KINDS[kind]}; text is needed here", hint)

    def pattern(self, node: syntax.Regex) -> Pattern | None:
        """Compile a pattern; None when it was reported."""
        try:
            return Pattern(node.source)
        except PatternError as error:
            hint = "patterns are RE2's, which run in linear time: no backreferences, no look-around"
            self._report(node, f"this pattern cannot be used: {error}", hint)
            return None

    def _fact(self, node: syntax.FactRef) -> str | None:
        fact = FACTS.get(node.name)
        if fact is not None:
            return fact.type
        hint = suggest(node.name, FACTS) or f'text is written in quotes: "{node.name}"'
        self._report(node, f"there is no fact {node.name!r}", hint)
        return None

    def _call(self, node: syntax.Call) -> str | None:
        function = FUNCTIONS.get(node.name)
        if function is None:
            self._report(node, f"there is no function {node.name!r}", suggest(node.name, FUNCTIONS))
            return None
        if len(node.args) != len(function.takes):
            found = f"{node.name} takes {len(function.takes)} arguments, not {len(node.args)}"
            self._report(node, found, f"write {function.usage}")
            return None
        before = len(self.problems)
        pattern = None
        for arg, wanted in zip(node.args, function.takes, strict=True):
            if wanted == "pattern" and isinstance(arg, syntax.Regex):
                pattern = self.pattern(arg)
            elif wanted == "pattern" or isinstance(arg, syntax.Regex):
                self._report(
                    arg, "a /pattern/ is needed here" if wanted == "pattern" else "text is needed here"
                )
            elif wanted == "literal" and not isinstance(arg, syntax.Text):
                self._report(arg, "text in quotes is needed here")
            else:
                self.text(arg)
        if node.name == "header" and isinstance(node.args[0], syntax.Text):
            self._refuse(node.args[0], read_refusal(node.args[0].value))
        if pattern is not None and isinstance(node.args[2], syntax.Text):
            try:
                pattern.replacer(node.args[2].value)
            except PatternError as error:
                self._report(node.args[2], str(error), "\\1 to \\9 stand for the (groups) of the pattern")
        return function.gives if len(self.problems) == before else None

    def _compare(self, node: syntax.Compare) -> None:
        left, right = self.type_of(node.left), self.type_of(node.right)
        if left is None or right is None:
            return
        if node.op not in ("==", "!="):
            for side, kind in ((node.left, left), (node.right, right)):
                if kind != "number":
                    hint = "number(...) reads a number from text" if kind in TEXTUAL else ""
                    self._report(side, f"{node.op} compares numbers; this is {_KINDS[kind]}", hint)
            return
        if "list" in (left, right):
            if left != "list" or right not in TEXTUAL:
                self._report(node, "a list is compared with text, the list on the left")
            else:
                self._values(node.left, (node.right,))
        elif _family(left) != _family(right):
            self._report(
                node.right,
                f"{_KINDS[left]} is compared with {_KINDS[right]}; that is never equal",
                _mismatch_hint(node, left, right),
            )
        else:
            self._values(node.left, (node.right,))
            self._values(node.right, (node.left,))

    def _member(self, node: syntax.Member) -> None:
        kind = self.type_of(node.left)
        if kind is None:
            return
        for option in node.options:
            if kind == "address":
                self._network(option)
            elif isinstance(option, syntax.Network):
                self._report(option, "only an address is in a network", "source in 10.0.0.0/8")
            elif kind == "truth" or isinstance(option, syntax.Number) != (kind == "number"):
                self._report(option, f"{_KINDS[kind]} is never this")
        if kind != "address":
            self._values(node.left, node.options)

    def _network(self, option: syntax.Text | syntax.Number | syntax.Network) -> None:
        try:
            ip_network(str(option.value))
        except ValueError as error:
            self._report(option, str(error), "an address or a network, such as 10.0.0.0/8")

    def _searchable(self, node: syntax.Node, verb: str) -> None:
        kind = self.type_of(node)
        if kind in ("truth", "number"):
            self._report(node, f"{verb} needs text; this is {_KINDS[kind]}")

    def _values(self, node: syntax.Node, values: Iterable[syntax.Node]) -> None:
        """Check that a fact can have these values at all."""
        if not isinstance(node, syntax.FactRef):
            return
        fact = FACTS[node.name]
        for value in values:
            if isinstance(value, syntax.Text):
                self._value(node.name, fact, value)

    def _value(self, name: str, fact: Fact, value: syntax.Text) -> None:
        known = {
            "trunk": self._known.trunks,
            "listener": self._known.listeners,
            "tenant": self._known.tenants,
        }.get(name)
        if known is not None and value.value and value.value not in known:
            self._report(value, f'there is no {name} "{value.value}"', suggest(value.value, known))
        elif fact.values and value.value not in fact.values:
            self._report(value, f'{name} is never "{value.value}"', suggest(value.value, fact.values))
        elif fact.prefixes and not value.value.startswith(fact.prefixes) and value.value:
            hint = f'such as "{fact.prefixes[0]}{value.value}"'
            self._report(value, f"a value of {name} begins with {' or '.join(fact.prefixes)}", hint)
        elif fact.type == "address" and value.value and not _is_address(value.value):
            self._report(
                value, f'"{value.value}" is not an address', "networks are asked with in, names are not"
            )

    def _refuse(self, node: syntax.Node, refusal: tuple[str, str] | None) -> None:
        if refusal:
            self._report(node, *refusal)

    def actions(self, actions: tuple[syntax.Node, ...]) -> None:
        """Check a whole then: each action, and that it ends in exactly one of the four endings."""
        for action in actions:
            self._action(action)
        endings = [action for action in actions if isinstance(action, syntax.TERMINALS)]
        if not endings:
            hint = "end it in route, reject or redirect, or in continue to try the next rules"
            self._report(actions[-1], "this then does not say what becomes of the call", hint)
        elif actions[-1] is not endings[0]:
            after = actions[actions.index(endings[0]) + 1]
            self._report(after, "nothing can follow route, reject, redirect or continue", "move it before")

    def _action(self, action: syntax.Node) -> None:
        match action:
            case syntax.RouteAction():
                for hop in action.hops:
                    self._hop(hop)
                self._twice(action.hops)
            case syntax.RejectAction():
                if not 400 <= action.status.value <= 699:
                    hint = (
                        "3xx is what redirect is for" if 300 <= action.status.value < 400 else "such as 403"
                    )
                    self._report(action.status, "a call is rejected with 400 to 699", hint)
            case syntax.RedirectAction():
                for target in action.targets:
                    self._target(target)
            case syntax.SetPartAction():
                if action.part.name not in PARTS:
                    self._report(
                        action.part, f"{action.part.name} cannot be set", suggest(action.part.name, PARTS)
                    )
                self.text(action.value)
            case syntax.SetHeaderAction():
                self._refuse(action.name, set_refusal(action.name.value))
                self.text(action.value)
            case syntax.RemoveHeaderAction():
                self._refuse(action.glob, remove_refusal(action.glob.value))

    def _hop(self, hop: syntax.HopClause) -> None:
        trunks, name = self._known.trunks, hop.trunk.value
        if trunks is not None and name not in trunks:
            self._report(hop.trunk, f'there is no trunk "{name}"', suggest(name, trunks))
        for failure in hop.on:
            word = failure.value
            if word.startswith("6") and len(word) == 3:
                self._report(
                    failure, f"{word} ends the whole call", "a 6xx is final everywhere (RFC 3261 21.6)"
                )
            elif word not in ("timeout", "unreachable") and not (
                word.isdigit() and 300 <= int(word[:9]) < 600
            ):
                self._report(
                    failure, f"{word} is not a failure", "a status of 300 to 599, timeout or unreachable"
                )

    def _twice(self, hops: tuple[syntax.HopClause, ...]) -> None:
        seen: set[str] = set()
        for hop in hops:
            if hop.trunk.value in seen:
                self._report(hop.trunk, f'the route goes to "{hop.trunk.value}" twice', "leave one out")
            seen.add(hop.trunk.value)

    def _target(self, target: syntax.Node) -> None:
        self.text(target)
        first = target.parts[0] if isinstance(target, syntax.Concat) else target
        schemes = ("sip:", "sips:", "tel:")
        if not isinstance(first, syntax.Text) or not first.value.startswith(schemes):
            self._report(
                target, "a redirect target is a SIP URI", 'such as "sip:" + to.user + "@example.net"'
            )


def _family(kind: str) -> str:
    return "text" if kind in TEXTUAL else kind


def _mismatch_hint(node: syntax.Compare, left: str, right: str) -> str:
    if "truth" in (left, right):
        fact = node.left if left == "truth" else node.right
        return f"ask `{fact.name}` or `not {fact.name}`" if isinstance(fact, syntax.FactRef) else ""
    if isinstance(node.right, syntax.Number):
        return f'write "{node.right.value}"'
    return "number(...) reads a number from text" if left in TEXTUAL else ""


def _name_only(name: str) -> tuple[str, str] | None:
    refusal = read_refusal(name)
    return refusal if refusal and "is not the name" in refusal[0] else None


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
