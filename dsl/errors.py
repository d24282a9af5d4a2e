"""What the operator is told about a mistake in a file: place, reason, remedy."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One mistake at ``path:line:col`` (both from 1; 0 means the whole file) with a hint."""

    path: str
    line: int
    col: int
    message: str
    hint: str = ""
    source: str = ""
    severity: str = "error"

    def __str__(self) -> str:
        """Format as ``path:line:col: severity: message``, the source line, a caret and the hint."""
        place = f"{self.path}:{self.line}:{self.col}" if self.line else self.path
        lines = [f"{place}: {self.severity}: {self.message}"]
        if self.source:
            lines += [f"    {self.source}", "    " + " " * (self.col - 1) + "^"]
        if self.hint:
            lines.append(f"    hint: {self.hint}")
        return "\n".join(lines)
