"""A condition: something that an operator wants to be told of while it lasts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from sbc.observe.text import printable, redact

Urgency = Literal["info", "warning", "urgent"]
_MOST_SHOWN: Final = 200
# What mail and chat would take for a link, a mention or emphasis.
_PLAIN: Final = str.maketrans({"<": "‹", ">": "›", "[": "(", "]": ")", "`": "'", "*": "∗", "|": "¦"})


@dataclass(frozen=True, slots=True)
class Condition:
    """What is so, under a ``key`` by which it is known again; told anew where its ``rank`` grows.

    ``good`` is said when it is over, ``remedy`` is what to do about it.
    """

    key: str
    urgency: Urgency
    title: str
    detail: str = ""
    remedy: str = ""
    good: str = ""
    rank: int = 1


def plain(text: str) -> str:
    """What somebody else wrote, harmless in a message: one line, no secret, neither link nor mention."""
    shown = printable(redact(text)).translate(_PLAIN)
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}..."
