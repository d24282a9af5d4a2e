"""YAML with exact places: every character of every value knows its line and column.

A rule is text inside a YAML scalar, and a mistake in it must point into the file, whatever
the scalar's style. YAML gives the place of the whole scalar only. ``places`` walks the value
and the file side by side from there: blanks and line breaks, which YAML folds, are skipped in
step; every other character of the value stands in the file as itself, or as an escape in
quotes.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingStartEvent,
    ScalarEvent,
    SequenceStartEvent,
)
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from dsl.breath import breathe
from dsl.errors import Diagnostic
from dsl.yaml_errors import explained

_ESCAPE_LENGTH = {"x": 4, "u": 6, "U": 10}
_BLANK = " \t\r\n"
_DEEPEST = 50
_TOO_DEEP, _TOO_DEEP_HINT = f"nested more than {_DEEPEST} deep", "is a bracket left open?"


class _TooDeep(Exception):
    """A node is nested deeper than anybody writes."""

    def __init__(self, index: int) -> None:
        self.index = index


class _Open:
    """A collection whose end has not come, with the key that waits for its value."""

    __slots__ = ("key", "node")

    def __init__(self, node: Node) -> None:
        self.node = node
        self.key: Node | None = None

    def add(self, child: Node) -> None:
        """Take an entry in: of a mapping first a key, then its value."""
        if isinstance(self.node, SequenceNode):
            self.node.value.append(child)
        elif self.key is None:
            self.key = child
        else:
            self.node.value.append((self.key, child))
            self.key = None


def _node(event: Event, anchors: dict[str, Node]) -> Node | None:
    """What an event begins; None for the frame of a document."""
    if isinstance(event, AliasEvent):
        if event.anchor not in anchors:
            raise YAMLError("an alias without an anchor")
        return anchors[event.anchor]
    marks = event.start_mark, event.end_mark
    node: Node
    if isinstance(event, ScalarEvent):
        node = ScalarNode(event.tag, event.value, *marks, style=event.style)
    elif isinstance(event, SequenceStartEvent):
        node = SequenceNode(event.tag, [], *marks)
    elif isinstance(event, MappingStartEvent):
        node = MappingNode(event.tag, [], *marks)
    else:
        return None
    if event.anchor:
        if event.anchor in anchors:
            raise YAMLError("an anchor twice")
        anchors[event.anchor] = node
    return node


@dataclass(slots=True)
class Source:
    """One file: its text, and the diagnostics found in it so far."""

    path: str
    text: str
    diagnostics: list[Diagnostic] = field(default_factory=list)
    lines: list[str] = field(init=False)
    _starts: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.lines = self.text.split("\n")
        self._starts = list(accumulate(map(len, self.lines), lambda at, length: at + length + 1, initial=0))

    def compose(self) -> Node | None:
        """Read the YAML; None for an empty or a broken file, the latter with a diagnostic.

        The reader in C is ten times as fast where it is installed; the one in Python explains better.
        """
        try:
            return self._compose()
        except _TooDeep as deep:
            self.report_at(*self.place(deep.index), _TOO_DEEP, _TOO_DEEP_HINT)
            return None
        except (YAMLError, ValueError):
            return self._compose_slowly()

    def _compose(self) -> Node | None:
        """The nodes of the one document, from the events of the reader.

        Its own composer calls itself, so that deep nesting would exhaust the stack, and holds the whole
        process for as long as a large file takes.
        """
        root: Node | None = None
        anchors: dict[str, Node] = {}
        open_nodes: list[_Open] = []
        for event in YAML(typ="safe").parse(self.text):
            breathe()
            if isinstance(event, CollectionEndEvent):
                done = open_nodes.pop()
                done.node.end_mark = event.end_mark
                continue
            node = _node(event, anchors)
            if node is None:
                continue
            if open_nodes:
                open_nodes[-1].add(node)
            elif root is None:
                root = node
            else:
                raise YAMLError("another document")
            if isinstance(event, CollectionStartEvent):
                if len(open_nodes) == _DEEPEST:
                    raise _TooDeep(event.start_mark.index)
                open_nodes.append(_Open(node))
        return root

    def _compose_slowly(self) -> Node | None:
        try:
            node: Node | None = YAML(typ="rt", pure=True).compose(self.text)
        except MarkedYAMLError as error:
            (line, col), message, hint = explained(error, self.lines)
            if "mapping values are not allowed" in str(error.problem):
                hint = "write the value as a block: a | after the key, the text indented below"
            self.report_at(line, col, f"this is not YAML: {message}", hint)
        except ReaderError as error:
            before = self.text[: error.position]
            line, col = before.count("\n") + 1, error.position - before.rfind("\n")
            hint = "remove it; YAML is plain text, saved as UTF-8"
            self.report_at(line, col, "this character is not allowed in YAML", hint)
        except (YAMLError, ValueError) as error:
            self.report_at(0, 0, f"this is not YAML: {str(error).splitlines()[0]}")
        else:
            return node
        return None

    def report(self, node: Node, message: str, hint: str = "", severity: str = "error") -> None:
        """Add a diagnostic that points at ``node``."""
        self.report_at(*self.place(node.start_mark.index), message, hint, severity)

    def report_at(self, line: int, col: int, message: str, hint: str = "", severity: str = "error") -> None:
        """Add a diagnostic at ``line`` and ``col``, both from 1."""
        shown = self.shown(line) if 0 < line <= len(self.lines) else ""
        self.diagnostics.append(Diagnostic(self.path, line, col, message, hint, shown, severity))

    def place(self, index: int) -> tuple[int, int]:
        """Line and column, both from 1, of a character of the file."""
        line = bisect_right(self._starts, index)
        return line, index - self._starts[line - 1] + 1

    def shown(self, line: int) -> str:
        """A line of the file, fit for a terminal; every character keeps its column."""
        return "".join(char if char.isprintable() else " " for char in self.lines[line - 1].rstrip("\r"))

    def report_in(
        self, node: ScalarNode, offset: int, message: str, hint: str = "", severity: str = "error"
    ) -> None:
        """Add a diagnostic that points at character ``offset`` of the value of ``node``."""
        spots = places(self.text, node)
        index = spots[min(offset, len(spots) - 1)] if spots else node.start_mark.index
        self.report_at(*self.place(index), message, hint, severity)

    def items(self, node: MappingNode) -> Iterator[tuple[ScalarNode, Node]]:
        """The entries of a mapping; keys that are not text or come twice are reported, not given."""
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.report(key, "a key must be a word")
            elif key.value in seen:
                self.report(key, f"{key.value!r} is written twice", "keep one of them")
            else:
                seen.add(key.value)
                if isinstance(value, ScalarNode) and not value.style and not value.value:
                    value.start_mark = key.start_mark  # nothing is written: point at the key
                yield key, value


def text_of(node: ScalarNode) -> str:
    """The value of a scalar as text; ruamel marks the folds of a ``>`` block, which go."""
    value: str = node.value
    return value.replace("\a", "") if node.style == ">" else value


def places(text: str, node: ScalarNode) -> list[int]:
    """For each character of the value of ``node``, the index in ``text`` where it is written."""
    value = text_of(node)
    style = node.style or ""
    at = node.start_mark.index
    if style in ("|", ">"):
        at = text.find("\n", at) + 1
    elif style in ("'", '"'):
        at += 1
    spots: list[int] = []
    for char in value:
        if char not in _BLANK:
            at = _next_written(text, at, style)
        spots.append(min(at, len(text)))
        at += _width(text, at, char, style)
    return spots


def _next_written(text: str, at: int, style: str) -> int:
    """Skip what YAML folds: blanks, and in double quotes a backslash at the end of a line."""
    while at < len(text):
        if text[at] in _BLANK:
            at += 1
        elif style == '"' and text[at] == "\\" and text[at + 1 : at + 2] in ("\n", "\r"):
            at += 2
        else:
            break
    return at


def _width(text: str, at: int, char: str, style: str) -> int:
    """How many characters of the file ``char`` takes, standing at ``at``."""
    written = text[at : at + 1]
    if style == '"' and written == "\\":
        return _ESCAPE_LENGTH.get(text[at + 1 : at + 2], 2)
    if style == "'" and written == "'":
        return 2
    if char in _BLANK and written != char:
        return 0
    return 1
