"""From the text of a when or a then to a syntax tree, or to problems with their offsets.

The parser is built once, when this module is imported. Depth is bounded here, so that whoever
walks a tree may recurse. In a then, the search for mistakes goes on at the next line that
begins an action: the operator sees them all at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedCharacters, UnexpectedInput, UnexpectedToken
from lark.visitors import Transformer_NonRecursive

from dsl import syntax

MAX_LENGTH = 10_000
MAX_DEPTH = 40


class Problem(NamedTuple):
    """A mistake at ``offset`` characters into a text, with a hint and a severity."""

    offset: int
    message: str
    hint: str = ""
    severity: str = "error"


_PARSER = Lark(
    (Path(__file__).parent / "grammar.lark").read_text("utf-8"),
    start=["condition", "actions"],
    parser="lalr",
    lexer="contextual",
    propagate_positions=True,
    maybe_placeholders=False,
)

_ACTION_LINE = re.compile(
    r"^[ \t]*(?:route|reject|redirect|set|remove|require|offer|accept|no|forbid|warn|allow|continue)\b",
    re.MULTILINE,
)
_ESCAPE = re.compile(r'\\(["\\])')


def parse_condition(text: str) -> tuple[syntax.Node | None, list[Problem]]:
    """Parse a when; None with the problems when it cannot be read."""
    tree, problem = _tree(text, "condition")
    if tree is None:
        return None, [problem] if problem else []
    node: syntax.Node = _Builder().transform(tree)
    return node, []


def parse_actions(text: str) -> tuple[tuple[syntax.Node, ...] | None, list[Problem]]:
    """Parse a then; None with every syntax error in it when it cannot be read."""
    problems: list[Problem] = []
    rest = text
    while True:
        tree, problem = _tree(rest, "actions")
        if tree is not None:
            break
        if problem is None:
            return None, problems
        problems.append(problem)
        following = _ACTION_LINE.search(text, _line_end(text, problem.offset))
        if following is None:
            return None, problems
        rest = re.sub(r"[^\n]", " ", text[: following.start()]) + text[following.start() :]
    if problems:
        return None, problems
    actions: tuple[syntax.Node, ...] = _Builder().transform(tree)
    return actions, []


def _line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end


def _tree(text: str, start: str) -> tuple[Tree[Token] | None, Problem | None]:
    if not text.strip():
        what = "condition" if start == "condition" else "list of actions"
        return None, Problem(0, f"the {what} is empty", _EMPTY[start])
    if len(text) > MAX_LENGTH:
        return None, Problem(0, f"longer than {MAX_LENGTH} characters", "split it into several rules")
    try:
        tree = _PARSER.parse(text, start=start)
    except UnexpectedInput as error:
        return None, _explain(error, text, start)
    deepest = _too_deep(tree)
    if deepest is not None:
        return None, Problem(deepest, f"nested more than {MAX_DEPTH} deep", "split it into several rules")
    return tree, None


def _too_deep(tree: Tree[Token]) -> int | None:
    """Offset of a node deeper than MAX_DEPTH, or None; without recursion, for any depth."""
    stack: list[tuple[Tree[Token], int]] = [(tree, 1)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            return int(node.meta.start_pos)
        stack += [(child, depth + 1) for child in node.children if isinstance(child, Tree)]
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
    "$END": "the end",
    "LPAR": "(",
    "RPAR": ")",
    "LSQB": "[",
    "RSQB": "]",
    "COMMA": "a comma",
    "PLUS": "+",
    "EQUAL": "=",
    "SEMICOLON": ";",
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
_DOTTED = re.compile(r"\d+(\.\d+)+")


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


def _hint(text: str, offset: int, found: str, expected: set[str], start: str) -> str:
    if found in _SLIPS:
        return _SLIPS[found]
    if found == "=":
        return "compare with ==" if start == "condition" else "a value is set with one ="
    if found.lower() != found and found.lower() in _LOWER:
        return f"words of the language are in lower case: {found.lower()}"
    dotted = re.search(r"[0-9.]*$", text[:offset])
    if _DOTTED.match(text, dotted.start() if dotted else offset):
        return 'compare networks with in: source in 10.0.0.0/8; or put an address in quotes: "10.0.0.1"'
    word = _WORD.match(text, offset)
    if word and "STRING" in expected and "NAME" not in expected:
        return f'put it in quotes: "{word[0]}"'
    return _expected(expected)


def _expected(names: set[str]) -> str:
    if {"NAME", "LPAR"} <= names:
        return "expected a fact or a value" + (", or a /pattern/" if "REGEX" in names else "")
    words = sorted(_WORDS.get(name, name.lower()) for name in names)
    if not 0 < len(words) <= 12:
        return ""
    return "expected " + " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _unquote(token: str) -> str:
    return _ESCAPE.sub(r"\1", token[1:-1])


class _Builder(Transformer_NonRecursive[Token, Any]):
    """Turns lark's tree into our nodes, each rule of the grammar by the method of its name."""

    def _call_userfunc(self, tree: Tree[Token], new_children: list[Any] | None = None) -> Any:
        children = tree.children if new_children is None else new_children
        return _BUILD[tree.data](tree.meta.start_pos, tree.meta.end_pos, children)


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
    "number": lambda s, e, c: syntax.Number(s, e, int(c[0][:18])),
    "truth": lambda s, e, c: syntax.Truth(s, e, str(c[0]) == "true"),
    "fact": lambda s, e, c: syntax.FactRef(s, e, str(c[0])),
    "network": lambda s, e, c: syntax.Network(s, e, str(c[0])),
    "regex": lambda s, e, c: syntax.Regex(s, e, str(c[0])[1:-1]),
    "call": lambda s, e, c: syntax.Call(s, e, str(c[0]), tuple(c[1:])),
    "failure": lambda s, e, c: syntax.FailureWord(s, e, str(c[0])),
    "hop": lambda s, e, c: syntax.HopClause(s, e, c[0], tuple(c[1:])),
    "route": lambda s, e, c: syntax.RouteAction(
        s, e, (syntax.HopClause(c[0].start, c[0].end, c[0], ()), *c[1:])
    ),
    "reject": lambda s, e, c: syntax.RejectAction(s, e, c[0], c[1] if len(c) > 1 else None),
    "redirect": lambda s, e, c: syntax.RedirectAction(s, e, tuple(c)),
    "set_header": lambda s, e, c: syntax.SetHeaderAction(s, e, c[0], c[1]),
    "set_part": lambda s, e, c: syntax.SetPartAction(s, e, c[0], c[1]),
    "remove_header": lambda s, e, c: syntax.RemoveHeaderAction(s, e, c[0]),
    "srtp": lambda s, e, c: syntax.SrtpAction(s, e, str(c[0])),
    "downgrade": lambda s, e, c: syntax.DowngradeAction(s, e, str(c[0])),
    "proceed": lambda s, e, c: syntax.ContinueAction(s, e),
    "actions": lambda s, e, c: tuple(c),
}
