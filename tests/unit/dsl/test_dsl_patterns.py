"""Patterns: linear in time whatever they are, and the same whichever matcher runs them."""

from __future__ import annotations

import pytest

from dsl.patterns import Pattern, PatternError
from tests.peers.runaway import no_runaway

SIMPLE = [
    r"^\+1[2-9]\d{9}$",
    "^00",
    "[^0-9]",
    r"^(\+|00)49",
    "(sales|help)",
    r"^\d+$",
    r"a\$",
    r"^x?y{1,3}$",
    r"a\\$",
]
EXACT = [
    "^a*b*$",
    "a+",
    "(a|b)+",
    "(a(b))",
    r"\w",
    "é",
    "x|y",
    r"\bx",
    "^(a|b|c|d)?x{1,9}(e|f|g)$",
    "a{1,99}",
]


@pytest.mark.parametrize("source", SIMPLE)
def test_simple_patterns_run_without_re2(source: str) -> None:
    assert Pattern(source)._simple is not None


@pytest.mark.parametrize("source", EXACT)
def test_others_are_left_to_re2(source: str) -> None:
    assert Pattern(source)._simple is None


@pytest.mark.parametrize(
    "source", ["(a+)+$", "^(a|a)*$", "(.*)(.*)(.*)(.*)x", "^(a?){20}a{20}$", "([a-z]+)*\\d"]
)
def test_no_pattern_hangs(source: str) -> None:
    pattern = Pattern(source)
    with no_runaway():
        pattern.search("a" * 20_000 + "!")


@pytest.mark.parametrize("source", [*SIMPLE, *EXACT])
def test_any_text_can_be_searched_and_replaced(source: str) -> None:
    pattern = Pattern(source)
    for text in ("", "\ud800\udc80\x00", "é\n", "aab00+49" * 9):
        pattern.search(text)
        assert isinstance(pattern.replacer("-")(text), str)


@pytest.mark.parametrize(
    ("source", "text", "found"),
    [
        ("^a$", "a\n", False),
        ("a.b", "a\nb", False),
        (r"^\d$", "\u0663", False),
        ("[^a]", "\n", True),
        ("", "", True),
    ],
)
def test_the_corners_where_matchers_differ(source: str, text: str, found: bool) -> None:
    assert bool(Pattern(source).search(text)) is found


@pytest.mark.parametrize(
    ("source", "replacement", "text", "result"),
    [
        ("^00", "+", "0000", "+00"),
        ("0", "", "0a0b0", "ab"),
        ("(a)(b)?", r"[\2\1]", "abc", "[ba]c"),
        ("x*", "-", "axé", "-a-é-"),
        ("^", "+", "1", "+1"),
        ("$", "#", "1", "1#"),
        ("é", "e", "éé\udc80", "ee?"),
        ("a", r"\\1", "a", r"\1"),
        ("a", r"\d", "a", r"\d"),
    ],
)
def test_replacing(source: str, replacement: str, text: str, result: str) -> None:
    assert Pattern(source).replacer(replacement)(text) == result


@pytest.mark.parametrize(
    "source", ["(", "*", r"(a)\1", "(?=a)", "(?<!a)", "a{1001}", "[b-a]", "((a{99}){99}){99}"]
)
def test_what_cannot_be_linear_is_refused(source: str) -> None:
    with pytest.raises(PatternError):
        Pattern(source)


@pytest.mark.parametrize("replacement", [r"\1", r"\0", r"\2"])
def test_groups_must_exist(replacement: str) -> None:
    pattern = Pattern("(a)" if replacement != r"\1" else "a")
    with pytest.raises(PatternError, match="no group"):
        pattern.replacer(replacement)
