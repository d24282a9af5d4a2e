"""Tables of number prefixes: a CSV file whose longest fitting prefix gives a row of columns.

The first line names the columns, one of which is ``prefix``. A million rows fit in less than 200 MB because
equal texts and equal rows are kept once; a look-up is one slice and one dictionary probe for each length
that any prefix has.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from io import StringIO

from dsl.addresses import canonical_user
from dsl.breath import breathe
from dsl.errors import Diagnostic

Row = tuple[str, ...]

PREFIX = "prefix"
ANY = "*"
_MOST_TOLD = 20
_REMEMBERED = 10_000


class Table:
    """One table, immutable once it is filled."""

    __slots__ = ("__weakref__", "_lengths", "_lines", "_rows", "columns", "name", "path")

    def __init__(self, name: str, path: str, columns: Row, rows: dict[str, Row], lines: list[dict[str, int]]):
        self.name = name
        self.path = path
        self.columns = columns
        self._rows = rows
        self._lines = lines
        self._lengths = tuple(sorted({len(prefix) for prefix in rows}, reverse=True))

    def __len__(self) -> int:
        return len(self._rows)

    def row(self, text: str) -> Row | None:
        """The row of the longest prefix that ``text`` begins with; None where none fits."""
        rows, size = self._rows, len(text)
        for length in self._lengths:
            if length <= size:
                found = rows.get(text[:length])
                if found is not None:
                    return found
        return None

    def values(self, column: str) -> Iterator[tuple[str, int]]:
        """Each distinct value of a column and the line where it stands first, 0 where that is not known."""
        index = self.columns.index(column)
        if len(self._lines[index]) < _REMEMBERED:
            yield from self._lines[index].items()
        else:
            yield from ((value, 0) for value in {row[index] for row in self._rows.values()})


def read_table(name: str, path: str, text: str) -> tuple[Table | None, list[Diagnostic]]:
    """Read a table; None where the file has a mistake. ``path`` is how the operator is shown it."""
    reading = _Reading(path)
    lines = csv.reader(StringIO(text), skipinitialspace=True)
    columns = reading.header(next(_records(lines, reading), (0, [])))
    if columns is None:
        return None, reading.diagnostics
    reading.rows_of(columns, _records(lines, reading))
    if reading.diagnostics:
        return None, reading.diagnostics
    return Table(name, path, columns, reading.rows, reading.lines), []


def _records(lines: Iterable[list[str]], reading: _Reading) -> Iterator[tuple[int, list[str]]]:
    """Each line that says something, with its number; comments begin with ``#``."""
    try:
        for record in lines:
            breathe()
            if record and not record[0].startswith("#"):
                yield lines.line_num, record  # type: ignore[attr-defined]
    except csv.Error as error:
        reading.tell(lines.line_num, f"this is not CSV: {error}", "")  # type: ignore[attr-defined]


class _Reading:
    """A table on its way in, with what is wrong with it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.diagnostics: list[Diagnostic] = []
        self.rows: dict[str, Row] = {}
        self.lines: list[dict[str, int]] = []

    def tell(self, line: int, message: str, hint: str) -> None:
        """Add a mistake; one wrong habit of a big file is not told a million times."""
        if len(self.diagnostics) < _MOST_TOLD:
            self.diagnostics.append(Diagnostic(self._path, line, 1 if line else 0, message, hint))

    def header(self, first: tuple[int, list[str]]) -> Row | None:
        """The names of the columns; None where they cannot be used."""
        line, names = first
        columns = tuple(name.strip() for name in names)
        if PREFIX not in columns:
            hint = "such as prefix,trunk,cost"
            self.tell(line, f"the first line names no column {PREFIX!r}", hint)
            return None
        for name in columns:
            if not (name.isidentifier() and name.isascii()):
                self.tell(line, f"{name!r} cannot be the name of a column", "letters, digits and _")
            elif columns.count(name) > 1:
                self.tell(line, f"there are two columns {name!r}", "give each its own name")
        return None if self.diagnostics else columns

    def rows_of(self, columns: Row, records: Iterator[tuple[int, list[str]]]) -> None:
        """Enter every row; equal values and equal rows are kept once."""
        at, width = columns.index(PREFIX), len(columns)
        texts: dict[str, str] = {}
        known: dict[Row, Row] = {}
        self.lines = [{} for _ in columns]
        rows, others = self.rows, [index for index in range(width) if index != at]
        for line, record in records:
            breathe()
            if len(record) != width:
                self.tell(line, f"{len(record)} columns, not {width}", f"they are {', '.join(columns)}")
                continue
            prefix = record[at].strip()
            record[at] = ""
            for index in others:
                value = record[index].strip()
                record[index] = value = texts.setdefault(value, value)
                seen = self.lines[index]
                if len(seen) < _REMEMBERED:
                    seen.setdefault(value, line)
            row = tuple(record)
            self._enter(rows, line, prefix, known.setdefault(row, row))

    def _enter(self, rows: dict[str, Row], line: int, prefix: str, row: Row) -> None:
        if not prefix or " " in prefix:
            self.tell(line, f"{prefix!r} is no prefix", f"digits, with + or without; {ANY} fits every number")
            return
        prefix = "" if prefix == ANY else canonical_user(prefix)
        if prefix in rows:
            self.tell(line, f"the prefix {prefix or ANY!r} is there already", "keep one of the two lines")
        else:
            rows[prefix] = row
