"""Colour and line drawing where the terminal has them, plain text everywhere else."""

from __future__ import annotations

import os
from typing import TextIO

_CODES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}


class Paint:
    """How to write to ``out``: colour only on a terminal and without NO_COLOR, lines only in UTF-8."""

    def __init__(self, out: TextIO) -> None:
        self.out = out
        self.colour = out.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.unicode = (out.encoding or "").lower().replace("-", "") == "utf8"

    def __call__(self, style: str, text: str) -> str:
        """``text`` in a style: bold, dim, red, green, yellow or cyan."""
        return f"\x1b[{_CODES[style]}m{text}\x1b[0m" if self.colour and text else text

    def say(self, text: str = "") -> None:
        """Write a line, at once."""
        print(text if self.unicode else text.encode("ascii", "replace").decode(), file=self.out, flush=True)

    def tick(self, good: bool) -> str:
        """A mark for good or bad."""
        marks = ("✓", "✗") if self.unicode else ("ok", "FAILED")
        return self("green", marks[0]) if good else self("red", marks[1])
