"""Lines for a terminal: at most 100 columns, and nothing in them that moves the cursor."""

from __future__ import annotations

import textwrap

from sbc.observe.text import printable

WIDTH = 100


def wrapped(head: str, text: str) -> list[str]:
    """``head`` and ``text``, wrapped under the place where the text begins."""
    lines = textwrap.wrap(
        printable(text), WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
    )
    return lines or [head.rstrip()]
