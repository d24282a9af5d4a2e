"""Whether what a rule writes can be at all: a pattern that matches something, a value that a fact may have.

None of it asks for the type of an expression, which ``dsl.check`` does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from dsl import syntax
from dsl.compile import is_user
from dsl.facts import FACTS, USERS, Fact
from dsl.names import Names, suggest
from dsl.never import never_matches
from dsl.parse import Problem
from dsl.patterns import Pattern, PatternError, compiled
from dsl.scope import LIST, TABLE
from dsl.table import PREFIX, Table

_SCHEME = re.compile(r"(?:sips?|tel):", re.IGNORECASE).match
_NOT_OF_USERS = re.compile(r'[<>"@]').search
_STARRED = re.compile(r"\+?[0-9][0-9 ().-]*\*+").fullmatch
_HOST = re.compile(r"[A-Za-z0-9._-]+").fullmatch
# RE2 lets a place be repeated, as in /^+49/: that is any 49 at the beginning, and never +49.
_ESCAPES_AND_CLASSES = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]?")
_REPEATED = re.compile(r"[\^$]([*+])").search
_NO_ARGUMENT = re.compile(r"no argument for repetition operator: ([*+?])").match


class ValueChecker(Names):
    """Checks what is written out: patterns, moments, networks, keys, and the values of facts."""

    def pattern(self, node: syntax.Regex) -> Pattern | None:
        """Compile a pattern; None when it was reported."""
        if (repeated := _REPEATED(_ESCAPES_AND_CLASSES.sub("x", node.source))) is not None:
            self.report(node, f"in this pattern {repeated[1]} repeats nothing", _literally(repeated[1]))
            return None
        try:
            pattern = compiled(node.source)
        except PatternError as error:
            hint = "patterns are RE2's, which run in linear time: no backreferences, no look-around"
            if (said := _NO_ARGUMENT(str(error))) is not None:
                hint = _literally(said[1])
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
        """Check that a fact can have these values at all; of a list some may be another fact's."""
        if not isinstance(node, syntax.FactRef):
            return
        fact = FACTS[node.name]
        for value in values:
            if isinstance(value, syntax.Text):
                self.refuse(value, self._never(node.name, fact, value.value))
            elif isinstance(value, syntax.FactRef):
                self._members(node.name, fact, value)
            for each in (value.low, value.high) if isinstance(value, syntax.Span) else (value,):
                if isinstance(each, syntax.Number) and fact.span is not None:
                    least, greatest = fact.span
                    if not least <= each.value <= greatest:
                        self.report(each, f"{node.name} is never {each.written}", fact.doc)

    def _members(self, name: str, fact: Fact, option: syntax.FactRef) -> None:
        texts = self._scope.lists.get(option.name.removeprefix(LIST), ())
        refused = [each for text in texts if (each := self._never(name, fact, text)) is not None]
        for message, hint in refused[:3]:
            self.problems.append(Problem(option.start, f"in {option.name}: {message}", hint, "warning"))

    def _never(self, name: str, fact: Fact, text: str) -> tuple[str, str] | None:
        """Why a fact never has this value, and what may be meant; None where it may have it."""
        known = self._known.named(name)
        if known is not None and text and text not in known:
            return f'there is no {name} "{text}"', suggest(text, known)
        if fact.values and text not in fact.values:
            return f'{name} is never "{text}"', suggest(text, filter(None, fact.values))
        if fact.prefixes and not text.startswith(fact.prefixes) and text:
            hint = f'such as "{fact.prefixes[0]}{text}"'
            return f"a value of {name} begins with {' or '.join(fact.prefixes)}", hint
        if fact.type == "address" and text and not _is_address(text):
            return f'"{text}" is not an address', "networks are asked with in, names are not"
        if fact.attribute in USERS:
            return no_user(text)
        return no_host(text) if fact.type == "host" else None

    def stars(self, node: syntax.Node, option: syntax.Node) -> None:
        """A star behind a number, which stands for itself in a rule, as it does not in the access list."""
        texts: tuple[str, ...] = ()
        if isinstance(option, syntax.Text):
            texts = (option.value,)
        elif isinstance(option, syntax.FactRef):
            texts = self._scope.lists.get(option.name.removeprefix(LIST), ())
        if is_user(node):
            for text in [each for each in texts if _STARRED(each)][:3]:
                hint = f'if it is what numbers begin with: starts with "{text.rstrip("*")}"'
                message = f'the * of "{text}" stands for itself here'
                self.problems.append(Problem(option.start, message, hint, "warning"))

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


def _literally(char: str) -> str:
    return f"{char} says how often what stands before it is repeated; itself it is written \\{char}"


def no_user(text: str) -> tuple[str, str] | None:
    """Why no user is ever this; a number in it may be written with whatever helps the eye."""
    scheme = _SCHEME(text)
    rest = text[scheme.end() :] if scheme else text
    if scheme or (found := _NOT_OF_USERS(text)):
        user = rest.strip('<>"').partition("@")[0]
        what = scheme[0] if scheme else found[0] if found else ""
        return f'no user has "{what}" in it', f'a user stands before the @: write "{user}"'
    if text[:1] in ("+", *"0123456789") and not (bare := "".join(text.split())).isascii():
        odd = next(each for each in bare if not each.isascii())
        return f'no number has "{odd}" in it', 'write digits, and a plain hyphen: "+49-30"'
    return None


def no_host(text: str) -> tuple[str, str] | None:
    """Why no host is ever this."""
    bare = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not bare or _HOST(bare) or (":" in bare and _is_address(bare)):
        return None
    name, colon, port = bare.rpartition(":")
    if colon and port.isdigit() and _HOST(name):
        return f'no host has "{colon}{port}" in it', f'the port is none of it: write "{name}"'
    if bare.startswith("*."):
        return 'no host has "*" in it', f'a domain is asked with its end: ends with "{bare[1:]}"'
    return f'no host is "{text}"', "letters, digits, dots and hyphens, or an address"


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
