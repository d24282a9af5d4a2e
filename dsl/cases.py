"""Reading one entry of ``tests:``: the call that is given, and what is expected of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dsl.check import PARTS, Known, suggest
from dsl.facts import FACTS, Facts
from dsl.simulate import Expectation, RouteTest
from dsl.source import Source, text_of

_SHORT = ("to", "from", "time", "headers")
_EXPECT = ("route", "reject", "reason", "redirect", "srtp", "downgrade", "rule", "headers", *PARTS)
_CHOICES = {
    "srtp": ("off", "accept", "offer", "required"),
    "downgrade": ("allow", "warn", "forbid"),
}


def read_test(source: Source, node: Node, known: Known) -> RouteTest | None:
    """Read one test; None when its form is wrong, with the mistakes reported to ``source``."""
    before = len(source.diagnostics)
    if not isinstance(node, MappingNode):
        source.report(node, "a test is a mapping of given and expect")
        return None
    halves: dict[str, Node] = {}
    for key, value in source.items(node):
        if key.value in ("given", "expect"):
            halves[key.value] = value
        else:
            source.report(key, f"a test has no {key.value!r}", suggest(key.value, ("given", "expect")))
    for name in ("given", "expect"):
        if not isinstance(halves.get(name), MappingNode):
            source.report(halves.get(name, node), f"a test needs a mapping `{name}`")
    if len(source.diagnostics) > before:
        return None
    facts = _read_given(source, halves["given"], known)
    expected = tuple(_read_expect(source, halves["expect"], known))
    return RouteTest(source.path, facts, expected) if len(source.diagnostics) == before else None


def _read_given(source: Source, node: Node, known: Known) -> Facts:
    fields: dict[str, Any] = {}
    for key, value in source.items(node) if isinstance(node, MappingNode) else ():
        name = key.value
        if name in _SHORT:
            fields.update(_read_short(source, name, value))
        elif name in FACTS and not name.startswith("time."):
            fields[FACTS[name].attribute] = _read_fact(source, name, value, known)
        else:
            source.report(key, f"a call has no {name!r}", suggest(name, (*FACTS, *_SHORT)))
    return Facts(**fields)


def _read_short(source: Source, name: str, value: Node) -> dict[str, Any]:
    if name == "headers":
        return {"header": _lookup(_mapping(source, value))}
    text = _scalar(source, value)
    if name == "time":
        return {"now": _moment(source, value, text)}
    uri = text.partition(";")[0]
    scheme, colon, rest = uri.partition(":")
    if not colon or scheme not in ("sip", "sips", "tel"):
        scheme, rest = "sip", uri
    user, at, host = rest.rpartition("@")
    user, host = (user, host) if at else (rest, "")
    if name == "from":
        return {"from_user": user, "from_host": host}
    return {"ruri_user": user, "ruri_host": host, "ruri_scheme": scheme}


def _read_fact(source: Source, name: str, value: Node, known: Known) -> Any:
    fact = FACTS[name]
    if fact.type == "list":
        return tuple(_scalars(source, value))
    text = _scalar(source, value)
    if fact.type == "truth":
        if text not in ("true", "false"):
            source.report(value, f"{name} is true or false")
        return text == "true"
    names = {"trunk": known.trunks, "listener": known.listeners, "tenant": known.tenants}.get(name)
    if names is not None and text and text not in names:
        source.report(value, f'there is no {name} "{text}"', suggest(text, names))
    elif fact.values and text not in fact.values:
        source.report(value, f'{name} is never "{text}"', suggest(text, fact.values))
    return text


def _read_expect(source: Source, node: Node, known: Known) -> list[Expectation]:
    expected: list[Expectation] = []
    for key, value in source.items(node) if isinstance(node, MappingNode) else ():
        name = key.value
        if name not in _EXPECT:
            source.report(key, f"nothing is known about {name!r}", suggest(name, _EXPECT))
        elif name == "headers":
            for header, text in _mapping(source, value).items():
                expected.append(_expectation(source, key, f"header {header}", (text,)))
        else:
            wanted = tuple(_scalars(source, value))
            _check_expected(source, value, name, wanted, known)
            expected.append(_expectation(source, key, name, wanted))
    if not node.value:
        source.report(node, "this test expects nothing", "such as expect: {route: [carrier]}")
    return expected


def _check_expected(source: Source, value: Node, name: str, wanted: tuple[str, ...], known: Known) -> None:
    choices = known.trunks if name == "route" else _CHOICES.get(name)
    for each in wanted if choices is not None else ():
        if each not in (choices or ()):
            what = "there is no trunk" if name == "route" else f"{name} is never"
            source.report(value, f'{what} "{each}"', suggest(each, choices or ()))


def _expectation(source: Source, key: Node, name: str, wanted: tuple[str, ...]) -> Expectation:
    line, col = source.place(key.start_mark.index)
    return Expectation(name, wanted, line, col, source.shown(line))


def _moment(source: Source, node: Node, text: str) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError, OSError):
        source.report(node, f'"{text}" is not a time', "such as 2026-07-01 09:30, in the server's time zone")
        return 0.0


def _lookup(headers: Mapping[str, str]) -> Callable[[str], str | None]:
    lower = {name.lower(): value for name, value in headers.items()}
    return lambda name: lower.get(name.lower())


def _scalar(source: Source, node: Node) -> str:
    if isinstance(node, ScalarNode):
        return text_of(node)
    source.report(node, "a single value is needed here")
    return ""


def _scalars(source: Source, node: Node) -> list[str]:
    if isinstance(node, SequenceNode):
        return [_scalar(source, each) for each in node.value]
    return [_scalar(source, node)]


def _mapping(source: Source, node: Node) -> dict[str, str]:
    if isinstance(node, MappingNode):
        return {key.value: _scalar(source, value) for key, value in source.items(node)}
    source.report(node, "a mapping is needed here, such as {X-Customer: gold}")
    return {}
