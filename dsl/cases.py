"""Reading one entry of ``tests:``: the call that is given, and what is expected of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from ipaddress import ip_address
from typing import Any

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dsl.addresses import Party, canonical_user, read_party
from dsl.answers import NoAnswer, read_answer
from dsl.arrival import NOBODY, NOWHERE, written
from dsl.check_actions import PARTS
from dsl.clock import CLOCK_FACTS
from dsl.facts import FACTS, Facts
from dsl.names import Known, suggest
from dsl.scope import GROUP, TO_REGISTERED
from dsl.services import Answer, Answers
from dsl.simulate import AT, Expectation, RouteTest
from dsl.source import Source, text_of

LOOKUPS = "lookups"
SHORT = ("to", "from", "time", "headers", "calls", "login", "registered", "remembered")
# Those that describe the INVITE, by what ``dsl.arrival.written`` calls them.
_CALL = {"to": "called", "from": "caller", "headers": "headers"}
EXPECT = (
    "route", "reject", "reason", "redirect", "challenge", "srtp", "downgrade", "redirects", "codecs", "ring",
    "longest", "answers", "limits", "remember", "tags", "record", "tone", "hooks", "rule", "headers", "hops",
    *PARTS,
)  # fmt: skip
_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,17})(?:\.\d{1,17})?", re.ASCII)
CHOICES = {
    "srtp": ("off", "accept", "offer", "required"),
    "downgrade": ("allow", "warn", "forbid"),
    "redirects": ("refuse", "pass", "follow"),
    "record": ("true", "false"),
    "tone": ("true", "false"),
}


def read_test(source: Source, node: Node, known: Known, zone: tzinfo | None = None) -> RouteTest | None:
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
    answers = _read_answers(source, halves["given"], known)
    facts = _read_given(source, halves["given"], known, zone)
    expected = tuple(_read_expect(source, halves["expect"], known))
    return RouteTest(source.path, facts, expected, answers) if len(source.diagnostics) == before else None


def _read_given(source: Source, node: Node, known: Known, zone: tzinfo | None) -> Facts:
    fields: dict[str, Any] = {}
    short: dict[str, Any] = {}
    for key, value in source.items(node) if isinstance(node, MappingNode) else ():
        name = key.value
        if name in _CALL:
            short[_CALL[name]] = _mapping(source, value) if name == "headers" else _party(source, value)
        elif name in SHORT:
            fields.update(_read_short(source, name, value, zone))
        elif name in FACTS and name not in CLOCK_FACTS:
            fields[FACTS[name].attribute] = _read_fact(source, name, value, known)
        elif name != LOOKUPS:
            source.report(key, f"a call has no {name!r}", suggest(name, (*FACTS, *SHORT, LOOKUPS)))
    arrival = known.arrivals.get(fields.get("trunk", ""), NOWHERE)
    called = short.get("called", NOBODY)
    urgent = known.emergency(called._replace(user=fields.get("ruri_user", called.user)))
    fields["unchallenged"] = fields.setdefault("emergency", urgent)
    return written(arrival, **short, **fields)


def _read_answers(source: Source, node: Node, known: Known) -> Answers:
    """What services answer in a test: those that are not named do not answer."""
    answers: dict[str, Answer] = {}
    for key, value in source.items(node) if isinstance(node, MappingNode) else ():
        if key.value != LOOKUPS:
            continue
        if not isinstance(value, MappingNode):
            source.report(value, "lookups are a mapping of answers", 'such as {crm: {number: "+1..."}}')
            continue
        for name, said in source.items(value):
            service = known.services.get(name.value)
            if name.value in known.broken_services:
                continue
            if service is None:
                hint = suggest(name.value, known.services)
                source.report(name, f'there is no lookup "{name.value}"', hint)
                continue
            try:
                answers[name.value] = read_answer(_json(source, said), service, known.trunks or ())
            except NoAnswer as why:
                hint = "a service that does not answer is left out here"
                source.report(said, f"this is no answer of {name.value}: {why}", hint)
    return answers


def _json(source: Source, node: Node) -> Any:
    """What a value of YAML is in JSON."""
    if isinstance(node, MappingNode):
        return {str(key.value): _json(source, value) for key, value in source.items(node)}
    if isinstance(node, SequenceNode):
        return [_json(source, each) for each in node.value]
    text = _scalar(source, node)
    if isinstance(node, ScalarNode) and node.style:
        return text
    if text in ("true", "false"):
        return text == "true"
    if text in ("null", "~", ""):
        return None
    if _NUMBER.fullmatch(text):
        return float(text) if "." in text else int(text)
    return text


def _party(source: Source, node: Node) -> Party:
    text = _scalar(source, node)
    return read_party(text) if text else NOBODY


def _read_short(source: Source, name: str, value: Node, zone: tzinfo | None) -> dict[str, Any]:
    if name == "calls":
        return {"calls": _counts(source, value)}
    if name == "registered":
        users = frozenset([canonical_user(each) for each in _scalars(source, value)])
        return {"registered": users.__contains__}
    if name == "remembered":
        return {"remembered": frozenset(_scalars(source, value)).__contains__}
    text = _scalar(source, value)
    if name == "time":
        return {"now": _moment(source, value, text, zone)}
    user, _, realm = text.partition("@")
    return {"auth_user": user, "auth_realm": realm}


def _read_fact(source: Source, name: str, value: Node, known: Known) -> Any:
    fact = FACTS[name]
    if fact.type == "list":
        return tuple(_scalars(source, value))
    text = _scalar(source, value)
    if fact.type == "number":
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            source.report(value, f"{name} is a number", "digits, nine at most")
            return 0
        return int(text)
    if fact.type == "address" and text:
        try:
            return str(ip_address(text))
        except ValueError:
            source.report(value, f'"{text}" is not an address', "such as 203.0.113.9")
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
        if name not in EXPECT:
            source.report(key, f"nothing is known about {name!r}", suggest(name, EXPECT))
        elif name == "headers":
            for header, text in _mapping(source, value).items():
                expected.append(_expectation(source, key, f"header {header}", (text,)))
        elif name == "hops":
            expected += _read_hops(source, value, known)
        else:
            wanted = tuple(_scalars(source, value))
            _check_expected(source, value, name, wanted, known)
            expected.append(_expectation(source, key, name, wanted))
    if not node.value:
        source.report(node, "this test expects nothing", "such as expect: {route: [carrier]}")
    return expected


def _read_hops(source: Source, node: Node, known: Known) -> Iterator[Expectation]:
    """``hops: {carrier: {from.user: ...}}``: what leaves at one target."""
    if not isinstance(node, MappingNode):
        source.report(node, "a mapping is needed here, such as {carrier: {from.user: ...}}")
        return
    for target, value in source.items(node):
        _check_expected(source, target, "route", (target.value,), known)
        if not isinstance(value, MappingNode):
            source.report(value, "a mapping is needed here, such as {from.user: ...}")
            continue
        for key, wanted in source.items(value):
            if key.value == "headers":
                for header, text in _mapping(source, wanted).items():
                    yield _expectation(source, key, f"{AT}{target.value} header {header}", (text,))
            elif key.value in PARTS:
                yield _expectation(source, key, f"{AT}{target.value} {key.value}", (_scalar(source, wanted),))
            else:
                source.report(
                    key, f"nothing leaves as {key.value!r}", suggest(key.value, ("headers", *PARTS))
                )


def _check_expected(source: Source, value: Node, name: str, wanted: tuple[str, ...], known: Known) -> None:
    choices = known.trunks if name == "route" else CHOICES.get(name)
    if name == "route":
        wanted = tuple(each for each in wanted if not each.startswith(GROUP))
        wanted = tuple(each for each in wanted if each not in TO_REGISTERED.values())
    for each in wanted if choices is not None else ():
        if each not in (choices or ()):
            what = "there is no trunk" if name == "route" else f"{name} is never"
            source.report(value, f'{what} "{each}"', suggest(each, choices or ()))


def _expectation(source: Source, key: Node, name: str, wanted: tuple[str, ...]) -> Expectation:
    line, col = source.place(key.start_mark.index)
    return Expectation(name, wanted, line, col, source.shown(line))


def _counts(source: Source, node: Node) -> Callable[[str], int]:
    """``calls: 7`` in all, or ``calls: {carrier: 7}`` by trunk."""
    written = _mapping(source, node) if isinstance(node, MappingNode) else {"": _scalar(source, node)}
    counts: dict[str, int] = {}
    for name, text in written.items():
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            source.report(node, "a number of calls is needed here", "such as 7, or {carrier: 7}")
        else:
            counts[name] = int(text)
    counts.setdefault("", sum(counts.values()))
    return lambda name: counts.get(name, 0)


def _moment(source: Source, node: Node, text: str, zone: tzinfo | None) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp()
    except (ValueError, OverflowError, OSError):
        source.report(node, f'"{text}" is not a time', "such as 2026-07-01 09:30, in the server's time zone")
        return 0.0


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
