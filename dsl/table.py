"""Tables: a CSV file, of which a number, a name or a date gives a row of columns.

The first line names the columns. One of them says how a row is found: ``prefix``, by the longest number that
what is asked begins with; ``key``, by what is asked itself, as a trunk's name; ``date``, by a day or a range
of days. A million rows of prefixes fit in less than 200 MB because equal texts and equal rows are kept once;
a look-up is one slice and one dictionary probe for each length that any prefix has.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Iterator
from datetime import date, timedelta
from io import StringIO

from ruamel.yaml.nodes import MappingNode, ScalarNode

from dsl.addresses import canonical_user
from dsl.breath import breathe
from dsl.errors import Diagnostic
from dsl.numbers import number
from dsl.source import Source, text_of

Row = tuple[str, ...]

PREFIX, KEY, DATE = "prefix", "key", "date"
KINDS = (PREFIX, KEY, DATE)
_LONGEST_RANGE = 3700
ANY = "*"
_MOST_TOLD = 20
_CSV_HINT = 'a quote (") stands before and behind a whole cell; within one it is written twice'
_REMEMBERED = 10_000

Cell = tuple[int, int, str]
"""Line and column of a cell, both from 1, and what is in it."""


class Table:
    """One table, immutable once it is filled."""

    __slots__ = (
        "__weakref__", "_any", "_lengths", "_lines", "_rows", "_words", "columns", "kind", "name", "path"
    )  # fmt: skip

    def __init__(self, name: str, path: str, columns: Row, reading: _Reading):
        self.name = name
        self.path = path
        self.columns = columns
        self.kind = next(each for each in KINDS if each in columns)
        self._rows = rows = reading.rows
        self._lines = reading.lines
        self._words = tuple(map(tuple, reading.words))
        self._any = rows.get("") if self.kind == KEY else None
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

    @property
    def find(self) -> Callable[[str], Row | None]:
        """What gives the row of a text, or of a date as ``20261224``; None where none fits."""
        return self.row if self.kind == PREFIX else self._exactly

    def _exactly(self, text: str) -> Row | None:
        return self._rows.get(text) or self._any

    def keys(self) -> Iterator[str]:
        """What its rows are found by, but for the one that fits everything."""
        return filter(None, self._rows)

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
    if path.endswith((".yaml", ".yml")):
        found = _from_yaml(Source(path, text), reading)
        if reading.diagnostics:
            return None, reading.diagnostics
        return Table(name, path, found, reading), []
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
    begins = lines.line_num + 1  # type: ignore[attr-defined]
    try:
        for record in lines:
            breathe()
            if record and not record[0].startswith("#"):
                if reading.quotes % 2 and any("\n" in cell for cell in record):
                    reading.tell(begins, 'a quote (") begins a cell and never ends', _CSV_HINT)
                yield lines.line_num, record  # type: ignore[attr-defined]
            begins, reading.quotes = lines.line_num + 1, 0  # type: ignore[attr-defined]
    except csv.Error as error:
        reading.tell(begins, f"this is not CSV: {error}", _CSV_HINT)


def _from_yaml(source: Source, reading: _Reading) -> Row:
    """Enter what a mapping says; the columns are those of all its entries, empty where one has none."""
    rows = list(_written_in_yaml(source, reading))
    columns = (KEY, *dict.fromkeys(name for _, _, row in rows for name in row))
    if not reading.diagnostics and reading.header((1, list(columns))) is not None:
        records = ((line, [key, *[row.get(each, "") for each in columns[1:]]]) for line, key, row in rows)
        reading.rows_of(columns, records)
    return columns


def _written_in_yaml(source: Source, reading: _Reading) -> Iterator[tuple[int, str, dict[str, str]]]:
    """The line, the key and the columns of each entry of ``office: {number: "+4930100"}``."""
    root = source.compose()
    reading.diagnostics += source.diagnostics
    if not isinstance(root, MappingNode):
        if not reading.diagnostics:
            reading.tell(0, "no table", 'a mapping of keys to columns, such as office: {number: "+4930100"}')
        return
    for key, value in source.items(root):
        line = source.place(key.start_mark.index)[0]
        if not isinstance(value, MappingNode):
            reading.tell(line, f"{key.value!r} has no columns", 'write such as office: {number: "+4930100"}')
            continue
        row: dict[str, str] = {}
        for name, cell in source.items(value):
            if isinstance(cell, ScalarNode):
                row[name.value] = text_of(cell)
            else:
                reading.tell(line, f"{name.value} of {key.value!r} is no single value", "write one text")
        yield line, key.value, row
    reading.diagnostics += [each for each in source.diagnostics if each not in reading.diagnostics]


def _raw(text: str, reading: _Reading) -> Iterator[str]:
    """The lines of a file; ``reading`` has the last one."""
    for line in StringIO(text):
        reading.raw = line
        reading.quotes += line.count('"')
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
        self.quotes = 0
        self._kind = PREFIX

    def tell(self, line: int, message: str, hint: str) -> None:
        """Add a mistake; one wrong habit of a big file is not told a million times."""
        if len(self.diagnostics) < _MOST_TOLD:
            self.diagnostics.append(Diagnostic(self._path, line, 1 if line else 0, message, hint))

    def header(self, first: tuple[int, list[str]]) -> Row | None:
        """The names of the columns; None where they cannot be used."""
        line, names = first
        columns = tuple(name.strip() for name in names)
        found_by = [each for each in KINDS if each in columns]
        if len(found_by) != 1:
            hint = "one of prefix, key and date says how a row is found, such as prefix,trunk,cost"
            named = " and ".join(map(repr, found_by)) or "no column 'prefix'"
            self.tell(line, f"the first line names {named}", hint)
            return None
        self._kind = found_by[0]
        for name in columns:
            if not (name.isidentifier() and name.isascii()):
                self.tell(line, f"{name!r} cannot be the name of a column", "letters, digits and _")
            elif columns.count(name) > 1:
                self.tell(line, f"there are two columns {name!r}", "give each its own name")
        return None if self.diagnostics else columns

    def rows_of(self, columns: Row, records: Iterator[tuple[int, list[str]]]) -> None:
        """Enter every row; equal values and equal rows are kept once."""
        at, width = columns.index(self._kind), len(columns)
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
            if self._kind == PREFIX:
                self._enter(rows, line, prefix, known.setdefault(row, row))
            else:
                for each in self._days(line, prefix) if self._kind == DATE else self._key(line, prefix):
                    if each in rows:
                        self.tell(line, f"{prefix or ANY!r} is there already", "keep one of the two lines")
                        break
                    rows[each] = known.setdefault(row, row)

    def _key(self, line: int, text: str) -> tuple[str, ...]:
        """What a row is found by; a number in the form that rules see, "" for what fits everything."""
        if not text:
            self.tell(line, "this row has no key", f"a name or a number; {ANY} fits every other")
            return ()
        return ("" if text == ANY else canonical_user(text),)

    def _days(self, line: int, text: str) -> Iterator[str]:
        """Each day of ``2026-12-24`` or ``2026-12-24..2026-12-26``, as rules count them."""
        first, dots, last = text.partition("..")
        try:
            day = date.fromisoformat(first.strip())
            end = date.fromisoformat(last.strip()) if dots else day
        except ValueError:
            self.tell(line, f"{text!r} is no date", "such as 2026-12-24, or 2026-12-24..2026-12-26")
            return
        if not 0 <= (end - day).days <= _LONGEST_RANGE:
            self.tell(line, f"{text!r} is no range of dates", "the first day, two points, the last one")
            return
        while day <= end:
            yield day.strftime("%Y%m%d")
            day += timedelta(1)

    def _enter(self, rows: dict[str, Row], line: int, prefix: str, row: Row) -> None:
        if not prefix or " " in prefix:
            self.tell(line, f"{prefix!r} is no prefix", f"digits, with + or without; {ANY} fits every number")
            return
        if prefix[0] in "+0123456789" and not (prefix.isascii() and prefix[-1] != ANY):
            odd = prefix[-1] if prefix.isascii() else next(each for each in prefix if not each.isascii())
            hint = "digits, with + or without; what stands behind a prefix is left out"
            self.tell(line, f"no number has {odd!r} in it", hint)
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
