"""Telephone numbers: from what is dialled in a country to E.164, and number blocks; and plain numbers."""

from __future__ import annotations

import re

# Country code to (international prefix, national prefix) where they are not 00 and 0 (ITU-T, dialling
# procedures in accordance with E.164).
_DIALLING = {
    "1": ("011", "1"), "7": ("810", "8"), "30": ("00", ""), "34": ("00", ""), "39": ("00", ""),
    "45": ("00", ""), "47": ("00", ""), "48": ("00", ""), "52": ("00", ""), "61": ("0011", "0"),
    "65": ("000", ""),
    "81": ("010", "0"), "82": ("001", "0"), "351": ("00", ""), "352": ("00", ""),
    "420": ("00", ""),
    "852": ("001", ""),
}  # fmt: skip
_SEPARATORS = re.compile(r"[ ().-]+")
_DECIMAL = re.compile(r"[0-9]{1,18}\.[0-9]{1,9}")
_DIGITS = re.compile(r"\+?[0-9]+")
_SHORT = 6
_LONGEST = 15


def e164(text: str, country: str) -> str:
    """The number as ``+COUNTRY...``, dialled in the country of that code.

    What is no number, service numbers of up to six digits (112) and what would be longer than
    fifteen digits stay as they are.
    """
    digits = _SEPARATORS.sub("", text)
    if not _DIGITS.fullmatch(digits):
        return text
    international, national = _DIALLING.get(country, ("00", "0"))
    if digits.startswith("+"):
        number = digits[1:]
    elif digits.startswith(international) and len(digits) > _SHORT:
        number = digits[len(international) :]
    elif len(digits) <= _SHORT:
        return text
    elif national and digits.startswith(national):
        number = country + digits[len(national) :]
    else:
        number = country + digits
    return "+" + number if 0 < len(number) <= _LONGEST else text


def in_block(text: str, low: str, high: str) -> bool:
    """Whether a number lies between two numbers of its own length, both included."""
    return len(text) == len(low) and low <= text <= high


def number(text: str) -> int | float | None:
    """The number that a text says: digits, with a point between them or without; None where it says none."""
    if text.isascii() and text.isdigit() and len(text) <= 18:
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) else None
