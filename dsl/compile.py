"""From a checked expression or condition to a closure that gives its value for a call.

Closures are made once, at load; a call only runs them. Every one is pure and total: it reads one draft,
never raises and never loops, for any call at all. Where a value is not what a function hopes for, the
answer is empty, unchanged or no number, not an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from operator import attrgetter
from typing import Any

from dsl import syntax
from dsl.addresses import canonical_host, canonical_user
from dsl.clock import CLOCK_FACTS, NOT_A_NUMBER, reader
from dsl.draft import Draft
from dsl.facts import FACTS, USERS
from dsl.functions import FUNCTIONS
from dsl.numbers import e164, in_block, number
from dsl.patterns import MAX_TEXT, compiled
from dsl.scope import LIST, TABLE, Scope
from dsl.table import DATE, Row

Test = Callable[[Draft], bool]
Value = Callable[[Draft], Any]

# Also the surrogates that no octet of a peer stands for: they could not be written.
CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udc7f\udd00-\udfff"
_CONTROL = re.compile(rf"[{CONTROLS}]+")
# The functions that give a text of the call by its name in quotes.
ASKED = ("header", "to.param", "from.param")
# What rules can change is read from the draft, everything else from the facts themselves.
DRAFTED = frozenset(
    (
        "ruri_user",
        "ruri_host",
        "ruri_type",
        "from_user",
        "from_host",
        "from_type",
        "from_display",
        "asserted_user",
        "asserted_display",
        "from_scheme",
        "ruri_scheme",
    )
)
Network = IPv4Network | IPv6Network
Check = Callable[[Any], bool]


# Conditions


def condition(node: syntax.Node, scope: Scope) -> Test:
    """Compile a checked when."""
    match node:
        case syntax.AllOf():
            return _all_of(tuple(condition(part, scope) for part in node.parts))
        case syntax.AnyOf():
            return _any_of(tuple(condition(part, scope) for part in node.parts))
        case syntax.Not():
            inner = condition(node.of, scope)
            return lambda draft: not inner(draft)
        case syntax.HasHeader():
            name = node.name.value
            return lambda draft: draft.header(name) is not None
        case syntax.Compare():
            return _compare(node, scope)
        case syntax.Matches():
            source = node.regex.source
            search = compiled(f"(?i){source}" if fact_type(node.left) == "host" else source).search
            return _each(node.left, lambda text: search(text) is not None, scope)
        case syntax.Affix():
            return _affix(node, scope)
        case syntax.Member():
            return _member(node, scope)
        case _:
            result: Test = value(node, scope)
            return result


def _all_of(tests: tuple[Test, ...]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda draft: first(draft) and second(draft)
    if len(tests) == 3:
        first, second, third = tests
        return lambda draft: first(draft) and second(draft) and third(draft)
    return lambda draft: all([test(draft) for test in tests])


def _any_of(tests: tuple[Test, ...]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda draft: first(draft) or second(draft)
    return lambda draft: any([test(draft) for test in tests])


def _compare(node: syntax.Compare, scope: Scope) -> Test:
    if node.op == "!=":
        equal = _equal(node, scope)
        return lambda draft: not equal(draft)
    if node.op == "==":
        return _equal(node, scope)
    left, right = value(node.left, scope), value(node.right, scope)
    match node.op:
        case "<":
            return lambda draft: bool(left(draft) < right(draft))
        case "<=":
            return lambda draft: bool(left(draft) <= right(draft))
        case ">":
            return lambda draft: bool(left(draft) > right(draft))
        case _:
            return lambda draft: bool(left(draft) >= right(draft))


def _equal(node: syntax.Compare, scope: Scope) -> Test:
    if isinstance(node.left, syntax.Text):
        return _equal_text(node.right, node.left.value, scope)
    if isinstance(node.right, syntax.Text):
        return _equal_text(node.left, node.right.value, scope)
    left, right = value(node.left, scope), value(node.right, scope)
    if fact_type(node.left) == "list":
        return lambda draft: right(draft) in left(draft)
    if "host" in (fact_type(node.left), fact_type(node.right)):  # RFC 3261 19.1.4: hosts in any case
        return lambda draft: bool(left(draft).lower() == right(draft).lower())
    return lambda draft: left(draft) == right(draft)


def _equal_text(node: syntax.Node, text: str, scope: Scope) -> Test:
    """Whether an expression is ``text``, or a list has it."""
    get, wanted = value(node, scope), spelled(node, text)
    match fact_type(node):
        case "list":
            return lambda draft: wanted in get(draft)
        case "host":
            return lambda draft: bool(get(draft).lower() == wanted)
        case "address":
            wanted = _address_text(wanted)
    return lambda draft: bool(get(draft) == wanted)


def _each(node: syntax.Node, check: Check, scope: Scope) -> Test:
    """Ask ``check`` about a value, or about each value of a list until one says yes."""
    get = value(node, scope)
    if fact_type(node) == "list":
        return lambda draft: any([check(each) for each in get(draft)])
    return lambda draft: check(get(draft))


def _affix(node: syntax.Affix, scope: Scope) -> Test:
    options = tuple(one for each in texts_of(node.options, scope) for one in ends_spelled(node.left, each))
    if fact_type(node.left) == "host":
        if node.starts:
            return _each(node.left, lambda text: text.lower().startswith(options), scope)
        return _each(node.left, lambda text: text.lower().endswith(options), scope)
    if node.starts:
        return _each(node.left, lambda text: text.startswith(options), scope)
    return _each(node.left, lambda text: text.endswith(options), scope)


def texts_of(options: tuple[syntax.Node, ...], scope: Scope) -> tuple[str, ...]:
    """The texts that options name, those of named lists included."""
    found: list[str] = []
    for option in options:
        if isinstance(option, syntax.FactRef):
            found += scope.lists.get(option.name.removeprefix(LIST), ())
        elif isinstance(option, syntax.Text | syntax.Network):
            found.append(option.value)
    return tuple(found)


def _member(node: syntax.Member, scope: Scope) -> Test:
    checks = _membership(node, scope)
    test = _each(node.left, checks[0], scope)
    if len(checks) > 1:
        test = _each(node.left, lambda each: any([check(each) for check in checks]), scope)
    if node.negated:
        return lambda draft: not test(draft)
    return test


def _membership(node: syntax.Member, scope: Scope) -> tuple[Check, ...]:
    """What to ask about a value: is it in the set, in a span, in a table."""
    texts, kind = texts_of(node.options, scope), fact_type(node.left)
    checks: list[Check] = [
        _span(node.left, option) for option in node.options if isinstance(option, syntax.Span)
    ]
    checks += [
        _in_table(option.name.removeprefix(TABLE), scope)
        for option in node.options
        if isinstance(option, syntax.FactRef) and option.name.startswith(TABLE)
    ]
    if kind == "address":
        checks.append(_inside(texts))
        return tuple(checks)
    points = [each.value for each in node.options if isinstance(each, _POINTS)]
    wanted = frozenset([*(spelled(node.left, each) for each in texts), *points])
    if wanted and kind == "host":
        checks.append(lambda text: text.lower() in wanted)
    elif wanted or not checks:
        checks.append(lambda each: each in wanted)
    return tuple(checks)


def spelled(node: syntax.Node, text: str) -> str:
    """A value as the fact that it is compared with spells it.

    Hosts are in canonical form, codecs in capitals, numbers without what only helps the eye; no user has
    a blank in it (RFC 3261 25.1), so blanks are that too.
    """
    if not isinstance(node, syntax.FactRef):
        return text.lower() if fact_type(node) == "host" else text
    if fact_type(node) == "host":
        return canonical_host(text[1:-1] if text.startswith("[") and text.endswith("]") else text)
    if is_user(node):
        return canonical_user("".join(text.split()))
    return text.upper() if node.name == "sdp.codecs" else text


def ends_spelled(node: syntax.Node, text: str) -> tuple[str, ...]:
    """The beginning or the end of a value in each way in which the fact may spell it.

    ``0900-1`` may begin a number, which has no separators, or a name, which has. What begins with one is of
    a name.
    """
    if fact_type(node) == "host":
        return (text.lower(),)
    written = "".join(text.split()) if is_user(node) else text
    read = written if written[:1] in ("-", ".", ")") else spelled(node, written)
    return (read,) if read == written or written.startswith("+") else (written, read)


def is_user(node: syntax.Node) -> bool:
    """Whether an expression is the user of a URI, a number or a name."""
    return isinstance(node, syntax.FactRef) and node.name in FACTS and FACTS[node.name].attribute in USERS


_POINTS = (syntax.Number, syntax.Clock, syntax.Day, syntax.Date)


def _in_table(name: str, scope: Scope) -> Check:
    table = scope.tables[name]
    find = table.find
    if table.kind == DATE:
        return lambda day: find(str(day)) is not None
    return lambda text: find(text) is not None


def _span(left: syntax.Node, span: syntax.Span) -> Check:
    first, last = getattr(span.low, "value", ""), getattr(span.high, "value", "")
    if isinstance(first, str) or isinstance(last, str):
        lowest, highest = spelled(left, str(first)), spelled(left, str(last))
        return lambda text: in_block(text, lowest, highest)
    low, high = first, last
    if isinstance(span.high, syntax.Clock):  # 08:00..18:00 is over when the clock shows 18:00
        high -= 1
    if low > high:  # over midnight, over the week's end
        return lambda number: number >= low or number <= high
    return lambda number: low <= number <= high


def _inside(texts: tuple[str, ...]) -> Check:
    networks = tuple(ip_network(text) for text in texts)

    @lru_cache(maxsize=1024)
    def inside(text: str) -> bool:
        return _in_networks(text, networks)

    return inside


def _in_networks(text: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ip_address(text)
    except ValueError:
        return False
    mapped: IPv4Address | None = getattr(address, "ipv4_mapped", None)
    return any(address in network or (mapped is not None and mapped in network) for network in networks)


def _address_text(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError:
        return text


def fact_type(node: syntax.Node) -> str:
    """The type of the fact or the parameter that an expression is; empty where it is neither."""
    if isinstance(node, syntax.Call):
        return "host" if FUNCTIONS[node.name].gives == "host" else ""
    return FACTS[node.name].type if isinstance(node, syntax.FactRef) and node.name in FACTS else ""


# Expressions


def value(node: syntax.Node, scope: Scope) -> Value:
    """Compile a checked expression."""
    match node:
        case syntax.Text() | syntax.Number() | syntax.Truth() | syntax.Clock() | syntax.Day() | syntax.Date():
            constant = node.value
            return lambda draft: constant
        case syntax.FactRef():
            return fact(node.name, scope)
        case syntax.VariableRef():
            return _variable(node, scope)
        case syntax.Call():
            return _call(node, scope)
        case syntax.Lookup():
            return _lookup(node, scope)
        case syntax.Concat():
            parts = tuple(value(part, scope) for part in node.parts)
            return lambda draft: "".join([part(draft) for part in parts])[:MAX_TEXT]
    return condition(node, scope)  # a condition in brackets


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


def _variable(node: syntax.VariableRef, scope: Scope) -> Value:
    name, kind = node.name, scope.services[node.service].type_of(node.variable)
    nothing: Any = "" if kind == "text" else False if kind == "truth" else NOT_A_NUMBER
    return lambda draft: draft.said.get(name, nothing)


def _lookup(node: syntax.Lookup, scope: Scope) -> Value:
    table = scope.tables[node.table.removeprefix(TABLE)]
    key, column, row = value(node.key, scope), table.columns.index(node.column), table.find
    if table.kind == DATE:
        return _of_day(key, column, row)

    def find(draft: Draft) -> str:
        found = row(key(draft))
        return "" if found is None else found[column]

    return find


def _of_day(day: Value, column: int, row: Callable[[str], Row | None]) -> Value:
    def find(draft: Draft) -> str:
        found = row(str(day(draft)))
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
        case "capture", (syntax.Regex(source=source),):
            capture = compiled(source).capture
            return lambda draft: capture(first(draft))
        case "replace_prefix", (syntax.Text(value=old), syntax.Text(value=new)):
            return lambda draft: _replace_prefix(first(draft), old, new)
        case "strip_prefix", (syntax.Text(value=prefix),):
            return lambda draft: first(draft).removeprefix(prefix)
        case "add_prefix", (syntax.Text(value=prefix),):
            return lambda draft: _add_prefix(first(draft), prefix)
        case "e164", (syntax.Text(value=country),):
            return lambda draft: e164(first(draft), country)
        case "remembered", _:
            return lambda draft: draft.facts.remembered(first(draft))
        case "lower", _:
            return lambda draft: first(draft).lower()
        case "registered", _:
            return lambda draft: draft.facts.registered(canonical_user(first(draft)))
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
            return lambda draft: said_param(draft.ruri_param, small)
        case "from.param":
            return lambda draft: said_param(draft.from_param, small)
        case _:
            return lambda draft: draft.facts.calls(name)


def said_param(lookup: Callable[[str], str | None], name: str) -> str:
    """A parameter as rules see it: empty where it is not there, its own name where it has no value."""
    found = lookup(name)
    return "" if found is None else found or name


def _add_prefix(text: str, prefix: str) -> str:
    return text if text.startswith(prefix) else (prefix + text)[:MAX_TEXT]


def _replace_prefix(text: str, old: str, new: str) -> str:
    return (new + text[len(old) :])[:MAX_TEXT] if text.startswith(old) else text


def _number(text: str) -> Any:
    found = number(text)
    return NOT_A_NUMBER if found is None else found


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
