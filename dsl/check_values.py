"""Whether what a rule writes can be at all: a pattern that matches something, a value that a fact may have.

None of it asks for the type of an expression, which ``dsl.check`` does.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from dsl import syntax
from dsl.facts import FACTS, Fact
from dsl.names import Names, suggest
from dsl.never import never_matches
from dsl.parse import Problem
from dsl.patterns import Pattern, PatternError, compiled
from dsl.scope import TABLE
from dsl.table import PREFIX, Table


class ValueChecker(Names):
    """Checks what is written out: patterns, moments, networks, keys, and the values of facts."""

    def pattern(self, node: syntax.Regex) -> Pattern | None:
        """Compile a pattern; None when it was reported."""
        try:
            pattern = compiled(node.source)
        except PatternError as error:
            hint = "patterns are RE2's, which run in linear time: no backreferences, no look-around"
            self.report(node, f"this pattern cannot be used: {error}", hint)
            return None
        if never_matches(node.source):
            hint = "^ is the beginning and $ the end of the text"
            self.problems.append(Problem(node.start, "this pattern never matches", hint, "warning"))
        return pattern

    def moment(self, node: syntax.Clock | syntax.Day | syntax.Date) -> str | None:
        """The type of a moment; None where no clock or calendar shows it."""
        if node.value >= 0:
            return type(node).__name__.lower()
        if isinstance(node, syntax.Clock):
            hint = "from 00:00 to 23:59; a range until midnight ends with 00:00, such as 18:00..00:00"
            self.report(node, "no clock shows this time", hint)
        else:
            self.report(node, "no calendar has this date", "year, month, day: 2026-12-24")
        return None

    def fits(self, node: syntax.Node, regex: syntax.Regex, pattern: Pattern | None) -> None:
        """A pattern that is put to a fact of few values must match one of them."""
        values = FACTS[node.name].values if isinstance(node, syntax.FactRef) and node.name in FACTS else ()
        if pattern is not None and values and not any(pattern.search(each) for each in values):
            name = getattr(node, "name", "")
            self.report(regex, f"no value of {name} matches this", f"they are: {', '.join(values)}")

    def values(self, node: syntax.Node, values: Iterable[syntax.Node]) -> None:
        """Check that a fact can have these values at all."""
        if not isinstance(node, syntax.FactRef):
            return
        fact = FACTS[node.name]
        for value in values:
            if isinstance(value, syntax.Text):
                self._value(node.name, fact, value)
            for each in (value.low, value.high) if isinstance(value, syntax.Span) else (value,):
                if isinstance(each, syntax.Number) and fact.span and not _within(each.value, *fact.span):
                    self.report(each, f"{node.name} is never {each.written}", fact.doc)

    def _value(self, name: str, fact: Fact, value: syntax.Text) -> None:
        known = self._known.named(name)
        if known is not None and value.value and value.value not in known:
            self.report(value, f'there is no {name} "{value.value}"', suggest(value.value, known))
        elif fact.values and value.value not in fact.values:
            self.report(value, f'{name} is never "{value.value}"', suggest(value.value, fact.values))
        elif fact.prefixes and not value.value.startswith(fact.prefixes) and value.value:
            hint = f'such as "{fact.prefixes[0]}{value.value}"'
            self.report(value, f"a value of {name} begins with {' or '.join(fact.prefixes)}", hint)
        elif fact.type == "address" and value.value and not _is_address(value.value):
            self.report(
                value, f'"{value.value}" is not an address', "networks are asked with in, names are not"
            )

    def network(self, option: syntax.Node, text: str) -> None:
        """Check that ``text`` is an address or a network."""
        try:
            ip_network(text)
        except ValueError as error:
            self.report(option, str(error), "an address or a network, such as 10.0.0.0/8")

    def country(self, code: syntax.Text) -> None:
        """Check a country code (E.164)."""
        if not (
            code.value.isascii()
            and code.value.isdigit()
            and 1 <= len(code.value) <= 3
            and code.value[0] != "0"
        ):
            self.report(
                code, f'"{code.value}" is no country code', 'one to three digits without +, such as "49"'
            )

    def keys(self, node: syntax.Lookup, table: Table) -> None:
        """A key that names nothing is never found: perhaps it is misspelled."""
        what = node.key.name if isinstance(node.key, syntax.FactRef) else ""
        known = self._known.named(what)
        for each in [key for key in table.keys() if known is not None and key not in known][:3]:
            message = f'{table.path} has the key "{each}", and there is no {what} of that name'
            self.problems.append(Problem(node.start, message, suggest(each, known or ()), "warning"))

    def numbers(self, node: syntax.Node) -> None:
        """A cell that is no number compares with nothing, so a limit would let it pass: each must be one."""
        if not isinstance(node, syntax.Lookup) or node.column == PREFIX:
            return
        table = self._known.tables.get(node.table.removeprefix(TABLE))
        if table is None:
            return
        for line, col, value in table.words(node.column)[:3]:
            shown = f'"{value[:40]}"' if value else "an empty cell"
            message = f"{table.path}:{line}:{col} has {shown}, which is no number"
            self.report(node, message, "write digits and a point, such as 0.05")


def _within(value: float, low: int, high: int) -> bool:
    return low <= value <= high


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
