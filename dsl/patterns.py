"""Regular expressions that cannot hang a call.

A backtracking matcher lets one pattern and one hostile number freeze every call in the
process. Every pattern is therefore checked and compiled by RE2, whose time is linear in the
text. RE2 costs microseconds a match from Python, so a pattern simple enough to be linear under
any matcher is run by the standard library: no groups, no alternatives, and either no repeat of
varying length at all, or one in a pattern anchored with ``^``. Both give the same answers;
tests/property/test_rules.py holds them to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import re2  # type: ignore[import-untyped, unused-ignore]

MAX_TEXT = 4096

_ATOM = (
    r"(?:[A-Za-z0-9 _@:,;=&%~#!\"'<>-]"  # a character for itself
    r"|\\[+.*?()\[\]{}|^$/\\-]|\\d|\."
    r"|\[\^?(?:[A-Za-z0-9]-[A-Za-z0-9]|[A-Za-z0-9_+.#*@:])+\])"
    r"(?:\{\d{1,2}\})?"
)
_VARY = r"(?:\{\d{1,2},\d{1,2}\}|[?*+])"
_SIMPLE = re.compile(rf"(\^?)(?:{_ATOM}{_VARY}?)*(\$?)")
_ATOMS = re.compile(rf"{_ATOM}({_VARY}?)")
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

    def replacer(self, replacement: str) -> Callable[[str], str]:
        r"""Make a function that replaces every match; ``\1`` to ``\9`` stand for groups.

        Only the first 4096 characters of text and result count. PatternError when a group
        does not exist.
        """
        pieces = self._pieces(replacement)
        exact, simple = self._exact, self._simple
        if simple and (self._anchored or not simple.search("")):
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


def _replace(exact: re2._Regexp, pieces: list[str | int], text: str) -> str:
    if not text.isascii():
        text = text.encode("utf-8", "replace").decode("utf-8")  # RE2 refuses lone surrogates
    out: list[str] = []
    at = 0
    for found in exact.finditer(text):
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
    varying = sum(1 for atom in _ATOMS.finditer(body) if atom[1])
    if varying > (1 if shape[1] else 0):
        return None
    # In Python a $ also matches before a last newline; \Z is what RE2 means by $.
    return re.compile(shape[1] + body + (r"\Z" if shape[2] else ""), re.ASCII)
