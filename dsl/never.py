"""Patterns that no text can match: a beginning behind something, something behind the end, an empty class.

The walk keeps, for each way through the pattern, whether it can still stand at the text's beginning and
whether it must stand at its end. Where no way is left, nothing can match. What it does not know it takes as
possible.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

_parser: Any = re._parser

State = tuple[bool, bool]
_SAMPLE = [*map(chr, range(256)), "\u20ac", "\u4e00"]
_MOST_TURNS = 3


@lru_cache(maxsize=4096)
def never_matches(source: str) -> bool:
    """Whether no text has a match of ``source``; False where it cannot be told."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            pieces = _parser.parse(source)
    except (re.error, OverflowError, RecursionError, ValueError):
        return False
    return not _walk(pieces, {(True, False)})


def _walk(pieces: Iterable[tuple[Any, Any]], states: set[State]) -> set[State]:
    for kind, value in pieces:
        states = _step(str(kind), value, states)
        if not states:
            break
    return states


def _step(kind: str, value: Any, states: set[State]) -> set[State]:
    match kind:
        case "LITERAL" | "NOT_LITERAL" | "ANY":
            return {(False, False) for _, ended in states if not ended}
        case "IN":
            return {(False, False) for _, ended in states if not ended} if _has_member(value) else set()
        case "AT" if str(value) in ("AT_BEGINNING", "AT_BEGINNING_STRING"):
            return {state for state in states if state[0]}
        case "AT" if str(value) in ("AT_END", "AT_END_STRING"):
            return {(begun, True) for begun, _ in states}
        case "BRANCH":
            return {state for branch in value[1] for state in _walk(branch, states)}
        case "SUBPATTERN":
            return _walk(value[-1], states)
        case "MAX_REPEAT" | "MIN_REPEAT":
            least, most, inner = value
            return _repeated(int(least), int(most), inner, states)
    return states


def _repeated(least: int, most: int, inner: Any, states: set[State]) -> set[State]:
    found = set(states) if least == 0 else set()
    for turn in range(1, min(most, least + 1, _MOST_TURNS) + 1):
        states = _walk(inner, states)
        if turn >= min(least, _MOST_TURNS):
            found |= states
    return found


def _has_member(members: list[tuple[Any, Any]]) -> bool:
    negated = bool(members) and str(members[0][0]) == "NEGATE"
    return any(negated is not any(_is_in(char, *each) for each in members) for char in _SAMPLE)


def _is_in(char: str, kind: Any, value: Any) -> bool:
    match str(kind):
        case "LITERAL":
            return ord(char) == int(value)
        case "RANGE":
            return int(value[0]) <= ord(char) <= int(value[1])
        case "CATEGORY":
            return _in_category(char, str(value))
    return False


def _in_category(char: str, name: str) -> bool:
    plain = name.removeprefix("CATEGORY_").removeprefix("NOT_")
    holds = {"DIGIT": char.isdigit(), "SPACE": char.isspace(), "WORD": char.isalnum() or char == "_"}.get(
        plain
    )
    return holds is None or holds is not ("NOT_" in name)
