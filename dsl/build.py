"""What each rule of the grammar becomes: lark calls the entry of its name while it parses.

No tree of lark's is made on the way: of a file of ten thousand rules that alone was a third of the work.
Every token reaches the entry, so that a node begins where its first one does; words that only make the
grammar readable are dropped here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date
from types import SimpleNamespace
from typing import Any, NamedTuple

from lark import Token

from dsl import syntax
from dsl.facts import DAYS
from dsl.scope import TABLE
from dsl.services import LOOKUP

_ESCAPE = re.compile(r'\\(["\\])')


def _unquote(token: str) -> str:
    return _ESCAPE.sub(r"\1", token[1:-1])


def _number(text: str) -> int | float:
    return float(text) if "." in text else int(text[:18])


def _minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes) if int(hours) < 24 and int(minutes) < 60 else -1


def _calendar(text: str) -> int:
    try:
        return int(date.fromisoformat(text).strftime("%Y%m%d"))
    except ValueError:
        return -1


def _name(start: int, end: int, name: str) -> syntax.Node:
    if name in DAYS:
        return syntax.Day(start, end, DAYS.index(name) + 1)
    if name.startswith(LOOKUP):
        return syntax.VariableRef(start, end, name)
    return syntax.FactRef(start, end, name)


def _limit(start: int, end: int, children: list[Any]) -> syntax.LimitAction:
    words = {each.type: str(each) for each in children if isinstance(each, Token)}
    calls, key, *rest = [each for each in children if not isinstance(each, Token)]
    to = rest.pop(0).node if rest and isinstance(rest[0], _Towards) else None
    refusal, period = rest[0] if rest else None, words.get("PERIOD", "")
    return syntax.LimitAction(
        start, end, calls, period, key, refusal, words.get("UNIT", ""), to, "HARD" in words
    )


def _towards(start: int, end: int, options: list[Any]) -> _Towards:
    """The condition that ``to.user`` begins with one of these texts, or is in one of these tables."""
    user = syntax.FactRef(start, end, "to.user")
    tables = tuple([each for each in options if _is_table(each)])
    texts = tuple([each for each in options if not _is_table(each)])
    found: list[syntax.Node] = [syntax.Affix(start, end, user, True, texts)] if texts else []
    found += [syntax.Member(start, end, user, tables, False)] if tables else []
    return _Towards(start, end, found[0] if len(found) == 1 else syntax.AnyOf(start, end, tuple(found)))


def _is_table(node: syntax.Node) -> bool:
    return isinstance(node, syntax.FactRef) and node.name.startswith(TABLE)


def _answer(start: int, end: int, children: list[Any]) -> syntax.AnswerAction:
    of = tuple([each for each in children if isinstance(each, syntax.FailureWord)])
    status, *reason = children[len(of) :]
    return syntax.AnswerAction(start, end, of, status, reason[0] if reason else None)


def _edits_first(children: list[Any]) -> tuple[tuple[syntax.Node, ...], list[Any]]:
    """The edits of a hop that stand first among ``children``, none where there are none, and the others."""
    if children and isinstance(children[0], _Edited):
        return children[0].edits, children[1:]
    return (), children


def _hop(start: int, end: int, children: list[Any]) -> syntax.HopClause:
    edits, on = _edits_first(children[1:])
    return syntax.HopClause(start, end, children[0], tuple(on), edits)


def _route(start: int, end: int, children: list[Any]) -> syntax.RouteAction:
    target = children[0]
    edits, hops = _edits_first(children[1:])
    first = syntax.HopClause(target.start, target.end, target, (), edits)
    return syntax.RouteAction(start, end, (first, *hops))


_Build = Callable[[int, int, list[Any]], Any]
_BUILD: dict[str, _Build] = {
    "any_of": lambda s, e, c: syntax.AnyOf(s, e, tuple(c)),
    "all_of": lambda s, e, c: syntax.AllOf(s, e, tuple(c)),
    "negation": lambda s, e, c: syntax.Not(s, e, c[0]),
    "compare": lambda s, e, c: syntax.Compare(s, e, str(c[1]), c[0], c[2]),
    "matches": lambda s, e, c: syntax.Matches(
        s, e, c[0], syntax.Regex(int(c[1].start_pos), int(c[1].end_pos), str(c[1])[1:-1])
    ),
    "starts_with": lambda s, e, c: syntax.Affix(s, e, c[0], True, tuple(c[1:])),
    "ends_with": lambda s, e, c: syntax.Affix(s, e, c[0], False, tuple(c[1:])),
    "member": lambda s, e, c: syntax.Member(s, e, c[0], tuple(c[1:]), False),
    "not_member": lambda s, e, c: syntax.Member(s, e, c[0], tuple(c[1:]), True),
    "has_header": lambda s, e, c: syntax.HasHeader(s, e, c[0]),
    "concat": lambda s, e, c: syntax.Concat(s, e, tuple(c)),
    "text": lambda s, e, c: syntax.Text(s, e, _unquote(c[0])),
    "number": lambda s, e, c: syntax.Number(s, e, _number(c[0]), str(c[0])),
    "truth": lambda s, e, c: syntax.Truth(s, e, str(c[0]) == "true"),
    "fact": lambda s, e, c: _name(s, e, str(c[0])),
    "clock": lambda s, e, c: syntax.Clock(s, e, _minutes(c[0])),
    "date": lambda s, e, c: syntax.Date(s, e, _calendar(c[0])),
    "lookup": lambda s, e, c: syntax.Lookup(s, e, str(c[0]), c[1], str(c[2])[1:]),
    "span": lambda s, e, c: syntax.Span(s, e, c[0], c[1]),
    "network": lambda s, e, c: syntax.Network(s, e, str(c[0])),
    "regex": lambda s, e, c: syntax.Regex(s, e, str(c[0])[1:-1]),
    "call": lambda s, e, c: syntax.Call(s, e, str(c[0]), tuple(c[1:])),
    "failure": lambda s, e, c: syntax.FailureWord(s, e, str(c[0])),
    "registered": lambda s, e, c: syntax.Registered(s, e, bool(c)),
    "hop": _hop,
    "route": _route,
    "edited": lambda s, e, c: _Edited(s, e, tuple(c)),
    "reject": lambda s, e, c: syntax.RejectAction(s, e, c[0], c[1] if len(c) > 1 else None),
    "redirect": lambda s, e, c: syntax.RedirectAction(s, e, tuple(c)),
    "set_header": lambda s, e, c: syntax.SetHeaderAction(s, e, c[0], c[1]),
    "set_part": lambda s, e, c: syntax.SetPartAction(s, e, c[0], c[1]),
    "set_param": lambda s, e, c: syntax.SetParamAction(s, e, str(c[0]), c[1], c[2]),
    "remove_header": lambda s, e, c: syntax.RemoveHeaderAction(s, e, c[0]),
    "copy_header": lambda s, e, c: syntax.CopyHeaderAction(s, e, c[0], c[1] if len(c) > 1 else None),
    "challenge": lambda s, e, c: syntax.ChallengeAction(s, e, c[0]),
    "codecs": lambda s, e, c: syntax.CodecsAction(s, e, str(c[0]), tuple(c[1:])),
    "ring": lambda s, e, c: syntax.RingAction(s, e, c[0], str(c[1])),
    "longest": lambda s, e, c: syntax.LongestAction(s, e, c[0], str(c[1])),
    "answer": _answer,
    "limit": _limit,
    "towards": _towards,
    "remember": lambda s, e, c: syntax.RememberAction(s, e, c[0], c[1]),
    "tag": lambda s, e, c: syntax.TagAction(s, e, c[0]),
    "record": lambda s, e, c: syntax.RecordAction(s, e, bool(c)),
    "hook": lambda s, e, c: syntax.HookAction(s, e, c[0]),
    "ask": lambda s, e, c: syntax.AskAction(s, e, c[0], c[1] if len(c) > 1 else None),
    "srtp": lambda s, e, c: syntax.SrtpAction(s, e, str(c[0])),
    "downgrade": lambda s, e, c: syntax.DowngradeAction(s, e, str(c[0])),
    "redirects": lambda s, e, c: syntax.RedirectsAction(s, e, str(c[0])),
    "proceed": lambda s, e, c: syntax.ContinueAction(s, e),
    "enclosed": lambda s, e, c: _Enclosed(s, e, c[0]),
    "condition": lambda s, e, c: c[0],
    "actions": lambda s, e, c: tuple(c),
}
# The tokens that say something; all others are words and signs of the grammar alone.
_TELLING = frozenset((
    "ACCEPT", "ALLOW", "CLASS", "CLOCK", "COLUMN", "COMPARE", "DATE", "DENY", "FALSE", "FOLLOW", "FORBID",
    "GROUPED", "HARD", "NAME", "NETWORK", "NO", "NUMBER", "OFFER", "ONE_BY_ONE", "PASS", "PERIOD",
    "PREFER", "REFUSE", "REGEX", "REQUIRE", "STRING", "TABLED", "TRUE", "UNIT", "WARN", "WITH_TONE",
))  # fmt: skip


class _Enclosed(NamedTuple):
    """A node in parentheses: it begins after them, what it is a part of does not."""

    start: int
    end: int
    node: syntax.Node


class _Towards(NamedTuple):
    """The condition that stands behind the ``to`` of a limit."""

    start: int
    end: int
    node: syntax.Node


class _Edited(NamedTuple):
    """What stands in braces behind a target."""

    start: int
    end: int
    edits: tuple[syntax.Node, ...]


def _placed(make: _Build) -> Callable[[list[Any]], Any]:
    def build(children: list[Any]) -> Any:
        first, last = children[0], children[-1]
        start: Any = first.start_pos if type(first) is Token else first.start
        end: Any = last.end_pos if type(last) is Token else last.end
        telling = []
        for each in children:
            if type(each) is _Enclosed:
                telling.append(each.node)
            elif type(each) is not Token or each.type in _TELLING:
                telling.append(each)
        return make(start, end, telling)

    return build


BUILDERS: Any = SimpleNamespace(**{name: _placed(make) for name, make in _BUILD.items()})
"""What lark takes for a transformer: a function of the children for each rule, by the rule's name."""
