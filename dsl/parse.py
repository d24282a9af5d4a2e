"""From the text of a when or a then to a syntax tree, or to problems with their offsets.

The parser is built once. Depth is bounded here, so that whoever
walks a tree may recurse. In a then, the search for mistakes goes on at the next line that
begins an action: the operator sees them all at once.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lark import Lark
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from dsl import syntax
from dsl.build import BUILDERS

MAX_LENGTH = 10_000
MAX_DEPTH = 40
_CACHED = 4096  # the same thens come again and again, and every file on each reload


class Problem(NamedTuple):
    """A mistake at ``offset`` characters into a text, with a hint and a severity."""

    offset: int
    message: str
    hint: str = ""
    severity: str = "error"


@cache
def _parser() -> Lark:
    """Built when it is first asked for: most commands read no rule, and building takes a while."""
    return Lark(
        (Path(__file__).parent / "grammar.lark").read_text("utf-8"),
        start=["condition", "actions"],
        parser="lalr",
        lexer="contextual",
        maybe_placeholders=False,
        keep_all_tokens=True,
        transformer=BUILDERS,
    )


_ACTION_WORDS = (
    "route|reject|redirect|challenge|set|remove|copy|require|offer|accept|no|forbid|warn|allow|deny|prefer|refuse"
    "|pass|follow|ring|at|answer|limit|remember|tag|record|call|ask|continue"
)
_ACTION_LINE = re.compile(rf"^[ \t]*(?:{_ACTION_WORDS})\b", re.MULTILINE)
_blanks = re.compile(r"[^\n]").sub


@lru_cache(maxsize=_CACHED)
def parse_condition(text: str) -> tuple[syntax.Node | None, tuple[Problem, ...]]:
    """Parse a when; None with the problems when it cannot be read."""
    node, problem = _read(text, "condition")
    return node, (problem,) if problem else ()


@lru_cache(maxsize=_CACHED)
def parse_actions(text: str) -> tuple[tuple[syntax.Node, ...] | None, tuple[Problem, ...]]:
    """Parse a then; None with every syntax error in it when it cannot be read."""
    problems: list[Problem] = []
    rest = text
    while True:
        actions, problem = _read(rest, "actions")
        if problem is None:
            break
        problems.append(problem)
        following = _ACTION_LINE.search(text, _line_end(text, _out_of_braces(text, problem.offset)))
        if following is None:
            return None, tuple(problems)
        rest = _blanks(" ", text[: following.start()]) + text[following.start() :]
    return None if problems else actions, tuple(problems)


def _out_of_braces(text: str, offset: int) -> int:
    """``offset``, or where the braces around it are closed: behind a mistake in them no action begins."""
    before = text[:offset]
    inside = before.count("{") > before.count("}")
    return max(text.find("}", offset), offset) if inside else offset


def _line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end


def _read(text: str, start: str) -> tuple[Any, Problem | None]:
    if not text.strip():
        what = "condition" if start == "condition" else "list of actions"
        return None, Problem(0, f"the {what} is empty", _EMPTY[start])
    if len(text) > MAX_LENGTH:
        return None, Problem(0, f"longer than {MAX_LENGTH} characters", "split it into several rules")
    try:
        read: Any = _parser().parse(text, start=start)
    except UnexpectedInput as error:
        return None, _explain(error, text, start)
    deepest = _too_deep(read if start == "actions" else (read,))
    if deepest is not None:
        return None, Problem(deepest, f"nested more than {MAX_DEPTH} deep", "split it into several rules")
    return read, None


def _too_deep(nodes: Iterable[syntax.Node]) -> int | None:
    """Offset of a node deeper than MAX_DEPTH, or None; without recursion, for any depth."""
    level, depth = list(nodes), 1
    while level:
        if depth > MAX_DEPTH:
            return level[0].start
        level, depth = [below for node in level for below in syntax.below(node)], depth + 1
    return None


_EMPTY = {
    "condition": "write `when: true` for a rule that takes every call",
    "actions": 'end it in one of route, reject, redirect or continue, such as route "carrier"',
}
_WORDS = {
    "STRING": 'text in quotes, such as "carrier"',
    "NUMBER": "a number",
    "NAME": "a name",
    "REGEX": "a /pattern/",
    "NETWORK": "a network, such as 10.0.0.0/8",
    "COMPARE": "== or !=",
    "CLOCK": "a time, such as 08:30",
    "DATE": "a date, such as 2026-12-24",
    "GROUPED": "a group, such as group.carriers",
    "TABLED": "a column, such as table.rates[to.user].trunk",
    "COLUMN": "a column, such as .trunk",
    "UNIT": "hours, minutes or seconds",
    "DAYS": "days",
    "CLASS": "a class, such as 5xx",
    "PERIOD": "second, minute, hour or day",
    "_A": "a",
    "$END": "the end",
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "COMMA": "a comma",
    "PLUS": "+",
    "EQUAL": "=",
    "SEMICOLON": ";",
    "LBRACE": "{",
    "RBRACE": "}",
}
_SLIPS = {
    "&": "write and",
    "|": "write or",
    "!": "write not",
    "'": 'quote text with "double quotes"',
    '"': "the closing quote is missing, or there is a control character in the text",
    "/": "the closing / of the pattern is missing; a / inside a pattern is written \\/",
}
_LOWER = ("and", "or", "not", "in", "matches", "true", "false", "starts", "ends", "with", "has")
_WORD = re.compile(r"[A-Za-z_][\w.-]*")
_ROUTED = re.compile(r'[ \t]*+route[ \t]++(?:"[^"]*+"|group\.\w++|registered)[ \t]*+').fullmatch
_DOTTED = re.compile(r"\d+(\.\d+)+").match


def _explain(error: UnexpectedInput, text: str, start: str) -> Problem:
    """Say what stood where something else was expected, and what to write instead."""
    if isinstance(error, UnexpectedToken):
        token, expected = error.token, set(error.accepts or error.expected)
        if token.type == "$END":
            return Problem(max(len(text.rstrip()) - 1, 0), "it ends too early", _expected(expected))
        offset, found = int(token.start_pos or 0), str(token)
    else:
        assert isinstance(error, UnexpectedCharacters)
        offset, expected = int(error.pos_in_stream or 0), set(error.allowed or ())
        found = text[offset]
    return Problem(offset, f"unexpected {found!r}", _hint(text, offset, found, expected, start))


# What other languages call it, and how it is said here.
_ELSEWHERE = {
    "is": "compare with ==",
    "equals": "compare with ==",
    "contains": "a text within another is found by a pattern: matches /abc/; a value of a list by ==",
    "like": "write matches /pattern/",
    "between": "write in, and a range: time in 08:00..18:00",
    "if": "a condition stands in the rule's `when`",
    "drop": "write reject 403",
    "return": "write continue, or how the call ends: route, reject or redirect",
}
_BEFORE_RANGE = re.compile(r"(?:\d|mon|tue|wed|thu|fri|sat|sun)\s*\Z").search
_DOTTED_DATE = re.compile(r"\d{1,2}\.\d{1,2}\.\d{4}").match


def _operator_slip(text: str, offset: int, found: str) -> str:
    """What to write instead of an operator, a range or a list as another language has it; "" for others."""
    before = text[:offset].rstrip()
    if found in _ELSEWHERE:
        return _ELSEWHERE[found]
    if text.startswith("=~", offset):
        return "write matches"
    if found == "-" and _BEFORE_RANGE(before):
        return "a range has two points: 08:00..18:00, mon..fri, 2026-12-24..2026-12-26"
    if before.endswith("matches") and found.startswith('"'):
        return f"a pattern stands between slashes: /{found[1:-1]}/"
    if before.endswith(("==", "!=")) and found[:1] in ("/", "["):
        return (
            "write matches in the place of ==" if found[:1] == "/" else "write in, or not in, before a list"
        )
    if (found == "(" and before.endswith((" in", "with"))) or (found == "," and '"' in before[-1:]):
        return 'several values stand in brackets: ["a", "b"]'
    if _DOTTED_DATE(text, len(text[:offset].rstrip("0123456789."))):
        return "a date is written year-month-day: 2026-12-24"
    return ""


def _hint(text: str, offset: int, found: str, expected: set[str], start: str) -> str:
    if slip := _operator_slip(text, offset, found):
        if start == "condition" or found in ("if", "drop", "return"):
            return slip
    if found in _SLIPS:
        return _SLIPS[found]
    if found == "=":
        return "compare with ==" if start == "condition" else "a value is set with one ="
    if found.lower() != found and found.lower() in (
        _LOWER if start == "condition" else _ACTION_WORDS.split("|")
    ):
        return f"words of the language are in lower case: {found.lower()}"
    if start == "actions" and (slip := _hop_slip(text[:offset], found)):
        return slip
    if _DOTTED(text, len(text[:offset].rstrip("0123456789."))):
        return 'compare networks with in: source in 10.0.0.0/8; or put an address in quotes: "10.0.0.1"'
    word = _WORD.match(text, offset)
    if word and "STRING" in expected and "NAME" not in expected:
        return f'put it in quotes: "{word[0]}"'
    return _expected(expected)


def _hop_slip(before: str, found: str) -> str:
    """What to write instead of a comma behind a target, or of an `on` that no `then` stands before."""
    action = before.rpartition("\n")[2].rpartition(";")[2]
    if found == "," and _ROUTED(action):
        return 'the next target stands behind then: route "a" then "b"'
    if found == "on" and _ROUTED(action):
        return 'on stands behind the target that comes next: route "a" then "b" on 503'
    return ""


def _expected(names: set[str]) -> str:
    if {"NAME", "LPAR"} <= names:
        return "expected a fact or a value" + (", or a /pattern/" if "REGEX" in names else "")
    if names == {"_A"}:
        return "expected a day, or an hour"
    words = sorted(_WORDS.get(name, name.lower()) for name in names)
    if not 0 < len(words) <= 12:
        return ""
    return "expected " + " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
