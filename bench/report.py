"""The table that every benchmark ends in: one line of work, who did it, what it cost, beside whom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.measure import median


@dataclass(frozen=True, slots=True)
class Row:
    """One server's runs of one piece of work: ``costs`` in ``unit``, and what else is to be told."""

    work: str
    who: str
    costs: tuple[float, ...]
    unit: str
    note: str = ""


def table(rows: Sequence[Row]) -> str:
    """Lay the rows out; the ratio is to the first row of the same work, its reference."""
    head = ("work", "who", "median", "unit", "min to max", "ratio", "note")
    lines = [head, *(_cells(row, _reference(row, rows)) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    lines.insert(1, ("-" * width for width in widths))  # type: ignore[arg-type]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _reference(row: Row, rows: Sequence[Row]) -> float | None:
    """What the first of several did the same work for; None where nobody else did it, or it cost nothing."""
    same = [each for each in rows if (each.work, each.unit) == (row.work, row.unit)]
    return (median(same[0].costs) or None) if len(same) > 1 else None


def _cells(row: Row, reference: float | None) -> tuple[str, ...]:
    middle = median(row.costs)
    spread = f"{_figure(min(row.costs))} to {_figure(max(row.costs))}" if row.costs else ""
    ratio = f"{middle / reference:.2f}" if reference is not None else ""
    return (row.work, row.who, _figure(middle), row.unit, spread, ratio, row.note)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
