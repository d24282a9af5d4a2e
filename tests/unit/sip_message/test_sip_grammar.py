"""What every header shares: decimal numbers, and values that are kept for when they come again."""

from __future__ import annotations

import pytest

from sbc.sip.grammar import LONGEST_KEPT, RECENT, ParseError, decimal, forget_recent, recent


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("0070", 70), ("9999999999", 9_999_999_999), ("0" * 6000, 0), ("0" * 6000 + "12", 12)],
)
def test_a_number_is_ascii_digits_after_any_zeros(text: str, number: int) -> None:
    assert decimal(text) == number


@pytest.mark.parametrize(
    "text", ["", "-1", "+1", " 1", "1 ", "1_0", "٣", "²", "0x1", "10000000000", "9" * 6000]
)
def test_what_is_no_number_or_too_large_is_none(text: str) -> None:
    assert decimal(text) is None


def test_a_value_is_made_once_until_it_is_forgotten_or_others_take_its_place() -> None:
    asked: list[str] = []

    def parse(text: str) -> str:
        asked.append(text)
        if text == "bad":
            raise ParseError("malformed")
        return text.upper()

    kept = recent(parse)
    assert [kept("a"), kept("a")] == ["A", "A"] and asked == ["a"]
    forget_recent()
    assert kept("a") == "A" and asked == ["a", "a"]
    for number in range(RECENT):
        kept(str(number))
    kept("a")
    assert asked.count("a") == 3
    for _ in range(2):
        with pytest.raises(ParseError):
            kept("bad")
    assert asked.count("bad") == 2, "a refusal is not kept"
    assert LONGEST_KEPT <= 256, "the bound of what is kept is RECENT times this"
