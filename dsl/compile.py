"""From a checked syntax tree to closures over ``Facts``.

Every closure is pure and total: it reads one frozen record, never raises and never loops, for
any record at all. Where a value is not what a function hopes for, the answer is a false
comparison, not an error. Closures are made once, at load; a call only runs them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address, ip_network
from operator import attrgetter
from typing import Any

from dsl import syntax
from dsl.facts import FACTS, Facts
from dsl.patterns import MAX_TEXT, Pattern

Test = Callable[[Facts], bool]
Value = Callable[[Facts], Any]
Network = IPv4Network | IPv6Network

NOT_A_NUMBER = float("nan")
CONTROLS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_CONTROL = re.compile(rf"[{CONTROLS}]+")


def condition(node: syntax.Node) -> Test:
    """Compile a checked when."""
    match node:
        case syntax.AllOf():
            return _all_of(tuple(condition(part) for part in node.parts))
        case syntax.AnyOf():
            return _any_of(tuple(condition(part) for part in node.parts))
        case syntax.Not():
            inner = condition(node.of)
            return lambda facts: not inner(facts)
        case syntax.HasHeader():
            name = node.name.value
            return lambda facts: facts.header(name) is not None
        case syntax.Compare():
            return _compare(node)
        case syntax.Matches():
            return _matches(node)
        case syntax.Affix():
            return _affix(node)
        case syntax.Member():
            return _member(node)
        case _:
            result: Test = value(node)
            return result


def _matches(node: syntax.Matches) -> Test:
    search = Pattern(node.regex.source).search
    if _is_list(node.left):
        return _each(node.left, lambda text: search(text) is not None)
    get = value(node.left)
    return lambda facts: search(get(facts)) is not None


def _all_of(tests: tuple[Test, ...]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda facts: first(facts) and second(facts)
    if len(tests) == 3:
        first, second, third = tests
        return lambda facts: first(facts) and second(facts) and third(facts)
    return lambda facts: all([test(facts) for test in tests])


def _any_of(tests: tuple[Test, ...]) -> Test:
    if len(tests) == 2:
        first, second = tests
        return lambda facts: first(facts) or second(facts)
    return lambda facts: any([test(facts) for test in tests])


def _compare(node: syntax.Compare) -> Test:
    if node.op == "!=":
        equal = _equal(node)
        return lambda facts: not equal(facts)
    if node.op == "==":
        return _equal(node)
    left, right = value(node.left), value(node.right)
    match node.op:
        case "<":
            return lambda facts: bool(left(facts) < right(facts))
        case "<=":
            return lambda facts: bool(left(facts) <= right(facts))
        case ">":
            return lambda facts: bool(left(facts) > right(facts))
        case _:
            return lambda facts: bool(left(facts) >= right(facts))


def _equal(node: syntax.Compare) -> Test:
    left, right = value(node.left), value(node.right)
    if _is_list(node.left):
        return lambda facts: right(facts) in left(facts)
    if _is_host(node.left) or _is_host(node.right):  # RFC 3261 19.1.4: hosts in any case
        return lambda facts: bool(left(facts).lower() == right(facts).lower())
    if isinstance(node.right, syntax.Text):
        wanted = _address_text(node.right.value) if _is_address(node.left) else node.right.value
        return lambda facts: left(facts) == wanted
    return lambda facts: left(facts) == right(facts)


def _each(node: syntax.Node, test: Callable[[Any], bool]) -> Test:
    """Ask ``test`` about a value, or about each value of a list until one says yes."""
    get = value(node)
    if _is_list(node):
        return lambda facts: any([test(each) for each in get(facts)])
    return lambda facts: test(get(facts))


def _affix(node: syntax.Affix) -> Test:
    options = tuple(option.value for option in node.options)
    if _is_host(node.left):
        options = tuple(option.lower() for option in options)
        if node.starts:
            return _each(node.left, lambda text: text.lower().startswith(options))
        return _each(node.left, lambda text: text.lower().endswith(options))
    if node.starts:
        return _each(node.left, lambda text: text.startswith(options))
    return _each(node.left, lambda text: text.endswith(options))


def _member(node: syntax.Member) -> Test:
    test = _inside(node) if _is_address(node.left) else _listed(node)
    if node.negated:
        return lambda facts: not test(facts)
    return test


def _listed(node: syntax.Member) -> Test:
    if _is_host(node.left):
        hosts = frozenset(str(option.value).lower() for option in node.options)
        return _each(node.left, lambda text: text.lower() in hosts)
    values = frozenset(option.value for option in node.options)
    return _each(node.left, lambda each: each in values)


def _inside(node: syntax.Member) -> Test:
    networks = tuple(ip_network(str(option.value)) for option in node.options)

    @lru_cache(maxsize=1024)
    def inside(text: str) -> bool:
        return _in_networks(text, networks)

    return _each(node.left, inside)


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


def value(node: syntax.Node) -> Value:
    """Compile a checked expression."""
    match node:
        case syntax.Text() | syntax.Number() | syntax.Truth():
            constant = node.value
            return lambda facts: constant
        case syntax.FactRef():
            return _CLOCK.get(node.name) or attrgetter(FACTS[node.name].attribute)
        case syntax.Call():
            return _call(node)
        case syntax.Concat():
            parts = tuple(value(part) for part in node.parts)
            return lambda facts: "".join([part(facts) for part in parts])[:MAX_TEXT]
        case _:
            return condition(node)


def _call(node: syntax.Call) -> Value:
    first = value(node.args[0])
    match node.name, node.args[1:]:
        case "header", _:
            return lambda facts: facts.header(first(facts)) or ""
        case "replace", (syntax.Regex(source=source), syntax.Text(value=replacement)):
            replace = Pattern(source).replacer(replacement)
            return lambda facts: replace(first(facts))
        case "strip_prefix", (syntax.Text(value=prefix),):
            return lambda facts: first(facts).removeprefix(prefix)
        case "add_prefix", (syntax.Text(value=prefix),):
            return lambda facts: _add_prefix(first(facts), prefix)
        case "lower", _:
            return lambda facts: first(facts).lower()
        case "length", _:
            return lambda facts: len(first(facts))
        case _:
            return lambda facts: _number(first(facts))


def _add_prefix(text: str, prefix: str) -> str:
    return text if text.startswith(prefix) else (prefix + text)[:MAX_TEXT]


def _number(text: str) -> float:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else NOT_A_NUMBER


def _local(now: float) -> datetime | None:
    try:
        return datetime.fromtimestamp(now)
    except (ValueError, OverflowError, OSError):
        return None


def _clock(pick: Callable[[datetime], int]) -> Value:
    def read(facts: Facts) -> float:
        moment = _local(facts.now)
        return NOT_A_NUMBER if moment is None else pick(moment)

    return read


_CLOCK: dict[str, Value] = {
    "time.hour": _clock(lambda moment: moment.hour),
    "time.minute": _clock(lambda moment: moment.minute),
    "time.weekday": _clock(lambda moment: moment.isoweekday()),
}


def clean(node: syntax.Node, unwanted: re.Pattern[str] = _CONTROL) -> Callable[[Facts], str]:
    """Compile a text that leaves in a message; what matches ``unwanted`` is dropped from it.

    No value, whatever a peer has sent, may add a line to a message.
    """
    make = value(node)
    search = unwanted.search

    def cleaned(facts: Facts) -> str:
        text: str = make(facts)
        return unwanted.sub("", text) if search(text) else text

    return cleaned


def _is_list(node: syntax.Node) -> bool:
    return isinstance(node, syntax.FactRef) and FACTS[node.name].type == "list"


def _is_host(node: syntax.Node) -> bool:
    return isinstance(node, syntax.FactRef) and FACTS[node.name].type == "host"


def _is_address(node: syntax.Node) -> bool:
    return isinstance(node, syntax.FactRef) and FACTS[node.name].type == "address"
