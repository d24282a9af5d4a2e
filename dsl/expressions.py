"""From a checked expression to a closure that gives its value for a call.

Every closure is pure and total: it reads one draft, never raises and never loops, for any call at all. Where
a value is not what a function hopes for, the answer is empty, unchanged or no number, not an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from dsl import syntax
from dsl.clock import CLOCK_FACTS, NOT_A_NUMBER, reader
from dsl.draft import Draft
from dsl.facts import FACTS
from dsl.numbers import e164
from dsl.patterns import MAX_TEXT, compiled
from dsl.scope import TABLE, Scope

Test = Callable[[Draft], bool]
Value = Callable[[Draft], Any]

# Also the surrogates that no octet of a peer stands for: they could not be written.
CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udc7f\udd00-\udfff"
_CONTROL = re.compile(rf"[{CONTROLS}]+")
_DECIMAL = re.compile(r"[0-9]{1,18}\.[0-9]{1,9}")
# The functions that give a text of the call by its name in quotes.
ASKED = ("header", "to.param", "from.param")
# What rules can change is read from the draft, everything else from the facts themselves.
DRAFTED = frozenset(("ruri_user", "ruri_host", "from_user", "from_host", "from_display"))


def value(node: syntax.Node, scope: Scope) -> Value:
    """Compile a checked expression."""
    match node:
        case syntax.Text() | syntax.Number() | syntax.Truth() | syntax.Clock() | syntax.Day() | syntax.Date():
            constant = node.value
            return lambda draft: constant
        case syntax.FactRef():
            return fact(node.name, scope)
        case syntax.Call():
            return _call(node, scope)
        case syntax.Lookup():
            return _lookup(node, scope)
        case syntax.Concat():
            parts = tuple(value(part, scope) for part in node.parts)
            return lambda draft: "".join([part(draft) for part in parts])[:MAX_TEXT]
    from dsl.compile import condition  # a truth in brackets; conditions are made of expressions

    return condition(node, scope)


def fact(name: str, scope: Scope) -> Value:
    """Compile the look-up of a fact by its name in the language."""
    if name in CLOCK_FACTS:
        read = reader(name, scope.zone)
        return lambda draft: read(draft.facts.now)
    if name == "calls":
        return lambda draft: draft.facts.calls("")
    if name == "call.tags":
        return lambda draft: draft.facts.tags + draft.tags
    attribute = FACTS[name].attribute
    return attrgetter(attribute if attribute in DRAFTED else f"facts.{attribute}")


def _lookup(node: syntax.Lookup, scope: Scope) -> Value:
    table = scope.tables[node.table.removeprefix(TABLE)]
    key, column, row = value(node.key, scope), table.columns.index(node.column), table.row

    def find(draft: Draft) -> str:
        found = row(key(draft))
        return "" if found is None else found[column]

    return find


def _call(node: syntax.Call, scope: Scope) -> Value:
    if node.name == "calls" or node.name in ASKED:
        (name,) = node.args
        assert isinstance(name, syntax.Text), "the checker lets only text in quotes through"
        return asked(node.name, name.value)
    first = value(node.args[0], scope)
    match node.name, node.args[1:]:
        case "replace", (syntax.Regex(source=source), syntax.Text(value=replacement)):
            replace = compiled(source).replacer(replacement)
            return lambda draft: replace(first(draft))
        case "replace_prefix", (syntax.Text(value=old), syntax.Text(value=new)):
            return lambda draft: _replace_prefix(first(draft), old, new)
        case "strip_prefix", (syntax.Text(value=prefix),):
            return lambda draft: first(draft).removeprefix(prefix)
        case "add_prefix", (syntax.Text(value=prefix),):
            return lambda draft: _add_prefix(first(draft), prefix)
        case "e164", (syntax.Text(value=country),):
            return lambda draft: e164(first(draft), country)
        case "lower", _:
            return lambda draft: first(draft).lower()
        case "length", _:
            return lambda draft: len(first(draft))
        case _:
            return lambda draft: _number(first(draft))


def asked(function: str, name: str) -> Value:
    """What a function asks of the call by a name in quotes."""
    small = name.lower()
    match function:
        case "header":
            return lambda draft: draft.header(name) or ""
        case "to.param":
            return lambda draft: draft.facts.ruri_param(small) or ""
        case "from.param":
            return lambda draft: draft.facts.from_param(small) or ""
        case _:
            return lambda draft: draft.facts.calls(name)


def _add_prefix(text: str, prefix: str) -> str:
    return text if text.startswith(prefix) else (prefix + text)[:MAX_TEXT]


def _replace_prefix(text: str, old: str, new: str) -> str:
    return (new + text[len(old) :])[:MAX_TEXT] if text.startswith(old) else text


def _number(text: str) -> Any:
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else NOT_A_NUMBER


def clean(node: syntax.Node, scope: Scope, unwanted: re.Pattern[str] = _CONTROL) -> Callable[[Draft], str]:
    """Compile a text that leaves in a message; what matches ``unwanted`` is dropped from it.

    No value, whatever a peer has sent, may add a line to a message.
    """
    make = value(node, scope)
    search = unwanted.search

    def cleaned(draft: Draft) -> str:
        text: str = make(draft)
        return unwanted.sub("", text) if search(text) else text

    return cleaned
