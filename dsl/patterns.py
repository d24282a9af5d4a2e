"""Regular expressions that cannot hang a call.

A backtracking matcher lets one pattern and one hostile number freeze every call in the
process. Every pattern is therefore checked and compiled by RE2, whose time is linear in the
text. RE2 costs microseconds a match from Python, so a pattern that is linear under any matcher
is run by the standard library: one level of literal alternatives, at most 16 ways altogether to
try them and the bounded repeats, and an unbounded repeat only once, after ``^``. Both give the
same answers; tests/property/test_rules.py holds them to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from math import prod

import re2  # type: ignore[import-untyped, unused-ignore]

MAX_TEXT = 4096

_LITERAL = r"(?:[A-Za-z0-9 _@:,;=&%~#!\"'<>-]|\\[+.*?()\[\]{}|^$/\\-])"
_ATOM = (
    rf"(?:{_LITERAL}|\\d|\."
    r"|\[\^?(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_+.#*@:])+\])"
    r"(?:\{\d{1,2}\})?"
)
_VARY = r"(?:\{\d{1,2},\d{1,2}\}|[?*+])"
_GROUP = rf"\((?:\?:)?{_LITERAL}*(?:\|{_LITERAL}*)*\)"
_SIMPLE = re.compile(rf"(\^?)(?:{_GROUP}|{_ATOM}{_VARY}?)*(\$?)")
_PIECE = re.compile(rf"({_GROUP})|{_ATOM}({_VARY}?)")
_RANGE = re.compile(r"\{(\d+),(\d+)\}")
_ESCAPED = re.compile(r"\\.")
_WAYS = 16
# A group, or what only begins like one: that too is passed over as a whole, never read again.
_GROUPED = re.compile(r"\((?:\\.|[^()\\])*(\))?")
# A character that stands for itself, unless what follows says how often.
_PLAIN = re.compile(rf"{_LITERAL}(?![?*+{{])")
_REFERENCE = re.compile(r"\\([0-9\\])")


class PatternError(ValueError):
    """The pattern or the replacement cannot be used; the text says why."""


class Pattern:
    """One compiled pattern; matching takes time linear in the text and never raises."""

    __slots__ = ("_anchored", "_exact", "_simple", "groups", "search", "source")

    def __init__(self, source: str) -> None:
        """Compile ``source``; PatternError when RE2 refuses it."""
        self.source = source
        self._exact = _compile_re2(source)
        self.groups: int = self._exact.groups
        self._simple = _compile_simple(source)
        self._anchored = source.startswith("^")
        self.search: Callable[[str], object] = self._simple.search if self._simple else self._search

    def _search(self, text: str) -> object:
        return self._exact.search(text.encode("utf-8", "surrogatepass"))

    def capture(self, text: str) -> str:
        """The first group of the first match, without groups all of that; empty where there is none.

        Only the first 4096 characters count.
        """
        found = self._exact.search(_whole_characters(text[:MAX_TEXT]))
        return (found.group(1 if self.groups else 0) or "") if found is not None else ""

    def replacer(self, replacement: str) -> Callable[[str], str]:
        r"""Make a function that replaces every match; ``\1`` to ``\9`` stand for groups.

        Only the first 4096 characters of text and result count. PatternError when a group
        does not exist.
        """
        pieces = self._pieces(replacement)
        exact, simple = self._exact, self._simple
        if simple and not self.groups and (self._anchored or not simple.search("")):
            constant = "".join(str(piece) for piece in pieces)
            return lambda text: simple.sub(lambda _: constant, text[:MAX_TEXT])[:MAX_TEXT]
        return lambda text: _replace(exact, pieces, text[:MAX_TEXT])[:MAX_TEXT]

    def _pieces(self, replacement: str) -> list[str | int]:
        pieces: list[str | int] = []
        at = 0
        for found in _REFERENCE.finditer(replacement):
            pieces.append(replacement[at : found.start()])
            at = found.end()
            if found[1] == "\\":
                pieces.append("\\")
            elif 1 <= int(found[1]) <= self.groups:
                pieces.append(int(found[1]))
            else:
                raise PatternError(f"there is no group {found[0]} in the pattern")
        pieces.append(replacement[at:])
        return pieces


@lru_cache(maxsize=4096)
def compiled(source: str) -> Pattern:
    """The pattern of ``source``, made once; PatternError when RE2 refuses it."""
    return Pattern(source)


def literal_start(source: str) -> str:
    """The plain text that whatever matches begins with; empty where that is not certain."""
    if not source.startswith("^") or "|" in _ESCAPED.sub("", _GROUPED.sub(_ungrouped, source)):
        return ""
    start, at = "", 1
    for piece in _PLAIN.finditer(source, 1):
        if piece.start() != at:
            break
        start, at = start + piece[0][-1], piece.end()
    return start


def _ungrouped(found: re.Match[str]) -> str:
    return "" if found[1] else found[0]


def _whole_characters(text: str) -> str:
    """``text`` without lone surrogates, which RE2 refuses."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def _replace(exact: re2._Regexp, pieces: list[str | int], text: str) -> str:
    text = _whole_characters(text)
    out: list[str] = []
    at = 0
    for found in exact.finditer(text):
        if out and found.end() == at:
            continue  # an empty match where the one before ended is none
        out.append(text[at : found.start()])
        out += [(found.group(piece) or "") if isinstance(piece, int) else piece for piece in pieces]
        at = found.end()
    out.append(text[at:])
    return "".join(out)


def _compile_re2(source: str) -> re2._Regexp:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 1 << 20
    try:
        return re2.compile(source.encode("utf-8", "surrogatepass"), options)
    except re2.error as error:
        reason = error.args[0]
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(text) from None


def _compile_simple(source: str) -> re.Pattern[str] | None:
    shape = _SIMPLE.fullmatch(source)
    if not shape:
        return None
    body = source[len(shape[1]) : len(source) - len(shape[2])]
    pieces = _PIECE.findall(body)
    unbounded = sum(1 for _, vary in pieces if vary in ("*", "+"))
    if unbounded > len(shape[1]) or prod(_ways(*piece) for piece in pieces) > _WAYS:
        return None
    # In Python a $ also matches before a last newline; \Z is what RE2 means by $.
    return re.compile(shape[1] + body + (r"\Z" if shape[2] else ""), re.ASCII)


def _ways(group: str, vary: str) -> int:
    """In how many ways a matcher may try one piece of a pattern, unbounded repeats apart."""
    if group:
        return _ESCAPED.sub("", group).count("|") + 1
    bounds = _RANGE.fullmatch(vary)
    if bounds:
        return max(int(bounds[2]) - int(bounds[1]) + 1, 1)
    return 2 if vary == "?" else 1
