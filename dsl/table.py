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
from dsl.numbers import number

Row = tuple[str, ...]

PREFIX = "prefix"
ANY = "*"
_MOST_TOLD = 20
_REMEMBERED = 10_000

Cell = tuple[int, int, str]
"""Line and column of a cell, both from 1, and what is in it."""


class Table:
    """One table, immutable once it is filled."""

    __slots__ = ("__weakref__", "_lengths", "_lines", "_rows", "_words", "columns", "name", "path")

    def __init__(self, name: str, path: str, columns: Row, reading: _Reading):
        self.name = name
        self.path = path
        self.columns = columns
        self._rows = rows = reading.rows
        self._lines = reading.lines
        self._words = tuple(map(tuple, reading.words))
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

    def words(self, column: str) -> tuple[Cell, ...]:
        """The first cells of a column that are no numbers."""
        return self._words[self.columns.index(column)]


def read_table(name: str, path: str, text: str) -> tuple[Table | None, list[Diagnostic]]:
    """Read a table; None where the file has a mistake. ``path`` is how the operator is shown it."""
    reading = _Reading(path)
    if text and not text.endswith(("\n", "\r")):
        line, hint = text.count("\n") + 1, "end every line with a line break, the last one too"
        reading.tell(line, "the last line does not end: is the file cut short?", hint)
    lines = csv.reader(_raw(text, reading), skipinitialspace=True)
    columns = reading.header(next(_records(lines, reading), (0, [])))
    if columns is None:
        return None, reading.diagnostics
    reading.rows_of(columns, _records(lines, reading))
    if reading.diagnostics:
        return None, reading.diagnostics
    return Table(name, path, columns, reading), []


def _records(lines: Iterable[list[str]], reading: _Reading) -> Iterator[tuple[int, list[str]]]:
    """Each line that says something, with its number; comments begin with ``#``."""
    try:
        for record in lines:
            breathe()
            if record and not record[0].startswith("#"):
                yield lines.line_num, record  # type: ignore[attr-defined]
    except csv.Error as error:
        reading.tell(lines.line_num, f"this is not CSV: {error}", "")  # type: ignore[attr-defined]


def _raw(text: str, reading: _Reading) -> Iterator[str]:
    """The lines of a file; ``reading`` has the last one."""
    for line in StringIO(text):
        reading.raw = line
        yield line


class _Reading:
    """A table on its way in, with what is wrong with it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.diagnostics: list[Diagnostic] = []
        self.rows: dict[str, Row] = {}
        self.lines: list[dict[str, int]] = []
        self.words: list[list[Cell]] = []
        self.raw = ""

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
        numbers: set[str] = set()
        self.lines = [{} for _ in columns]
        self.words = [[] for _ in columns]
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
                if len(words := self.words[index]) < _MOST_TOLD and value not in numbers:
                    if number(value) is None:
                        words.append((line, _place(self.raw, index), value))
                    else:
                        numbers.add(value)
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


def _place(line: str, index: int) -> int:
    """At which character, from 1, the cell of an index begins; 1 where the row has several lines."""
    at = 0
    for _ in range(index):
        while line.startswith(" ", at):
            at += 1
        if line.startswith('"', at):
            at = line.find('"', at + 1)
            while at >= 0 and line.startswith('""', at):
                at = line.find('"', at + 2)
        at = line.find(",", at) + 1 if at >= 0 else 0
        if not at:
            return 1
    while line.startswith(" ", at):
        at += 1
    return at + 1
