"""YAML with places: what the operator wrote, and the line and column of every key and value.

The text is only composed into nodes, never constructed into Python objects by the YAML
library. Thus no tag can make an object, every repeated key is found (the library's own
constructor stops at the first), and each node still has its mark when a later check, however
far from the file, wants to say where the mistake is. Scalars follow YAML 1.2: ``off`` and ``no``
are words, which matters in a language where ``srtp: off`` is a choice, and no other spelling of false.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dsl.errors import Diagnostic
from dsl.yaml_errors import explained

Place = tuple[int, int]
Loc = Sequence[str | int]

_TAG = "tag:yaml.org,2002:"
_WORDS = {_TAG + each for each in ("str", "timestamp", "binary", "value")}
_COLLECTIONS = {_TAG + "map", _TAG + "seq"}
_MOST_NODES = 200_000
# Where alerts go: an address of these is a password as a whole.
_ADDRESS = re.compile(r"\b((?:mailtos?|slack|workflows?|jsons?)://)\S+", re.IGNORECASE)
_SETTING = re.compile(r"(\s*(?:-\s+)?[\"']?(\w+)[\"']?\s*:\s*)\S").match
_SECRET = ("pass", "secret", "token")


class Document:
    """One YAML file: its text, its plain data, and the place of each of its nodes.

    ``path`` is how it is shown to the operator. Mistakes of form are in ``diagnostics``; where
    the file cannot be read as YAML at all, ``data`` is None.
    """

    __slots__ = ("_folded", "_root", "_text", "data", "diagnostics", "lines", "path")

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.lines = text.splitlines()
        self.diagnostics: list[Diagnostic] = []
        self._text, self._folded = text, False
        self._root = self._compose(text)
        self.data: Any = _Plain(self).value(self._root) if self._root is not None else None

    def place(self, loc: Loc, *, key: bool = False) -> Place:
        """Line and column, from 1, of the value at ``loc``, or of its key; the nearest parent's if absent.

        The value of a block is found at its key: an arrow at its first child would mislead.
        """
        if self._folded:
            self._root, self._folded = self._compose(self._text), False
        node, key_node = self._root, None
        for step in loc:
            child = _child(node, step)
            if child is None:
                return _mark(key_node or node)
            key_node, node = child
        at_key = key or not (isinstance(node, ScalarNode) and node.value)
        return _mark(key_node if at_key and key_node is not None else node)

    def fold(self) -> None:
        """Let go of the nodes, some kilobytes a line; they are made again when a place is asked for."""
        self._root, self._folded = None, True

    def problem(
        self, loc: Loc, message: str, hint: str = "", *, key: bool = False, severity: str = "error"
    ) -> Diagnostic:
        """The diagnostic for a mistake at ``loc``."""
        return self.problem_at(self.place(loc, key=key), message, hint, severity)

    def problem_at(self, place: Place, message: str, hint: str = "", severity: str = "error") -> Diagnostic:
        """The diagnostic for a mistake at a line and column."""
        line, col = place
        source = self.lines[line - 1] if 0 < line <= len(self.lines) else ""
        source = _ADDRESS.sub(r"\1***", source)
        setting = _SETTING(source)
        if setting and any(each in setting[2].lower() for each in _SECRET):
            source = f"{setting[1]}***"
        return Diagnostic(self.path, line, col, message, hint, source.replace("\t", " "), severity)

    def _compose(self, text: str) -> Node | None:
        try:
            root: Node | None = YAML(typ="safe", pure=True).compose(text)
        except MarkedYAMLError as error:
            self.diagnostics.append(self._malformed(error))
            return None
        except YAMLError as error:
            self.diagnostics.append(self._unreadable(text, error))
            return None
        except RecursionError:
            hint = "is a bracket left open?"
            self.diagnostics.append(self.problem_at((1, 1), "the file is nested too deep", hint))
            return None
        return root

    def _malformed(self, error: MarkedYAMLError) -> Diagnostic:
        return self.problem_at(*explained(error, self.lines))

    def _unreadable(self, text: str, error: YAMLError) -> Diagnostic:
        offset = getattr(error, "position", 0)
        before = text[: offset if isinstance(offset, int) else 0]
        place = (before.count("\n") + 1, len(before) - before.rfind("\n"))
        return self.problem_at(place, "the file has a control character", "remove it; YAML is plain text")


class _Plain:
    """Nodes to dicts, lists and scalars; mistakes go to the document's diagnostics."""

    __slots__ = ("_count", "_document", "_open")

    def __init__(self, document: Document) -> None:
        self._document = document
        self._open: set[int] = set()
        self._count = 0

    def value(self, node: Node) -> Any:
        """The plain value of ``node``; aliases of aliases stop where they would fill the memory."""
        self._count += 1
        if self._count > _MOST_NODES:
            if self._count == _MOST_NODES + 1:
                self._complain(node, "the file is too large with its aliases", "write fewer of them")
            return None
        if isinstance(node, ScalarNode):
            return self._scalar(node)
        if node.tag not in _COLLECTIONS:
            return self._complain(node, f"tag {node.tag!s} is not supported", "write the plain value")
        if id(node) in self._open:
            return self._complain(node, "an alias stands inside its own anchor", "write the value out")
        self._open.add(id(node))
        plain = self._mapping(node) if isinstance(node, MappingNode) else self._sequence(node)
        self._open.discard(id(node))
        return plain

    def _sequence(self, node: Node) -> list[Any]:
        plain = []
        for each in node.value:
            if self._count > _MOST_NODES:
                break
            plain.append(self.value(each))
        return plain

    def _mapping(self, node: MappingNode) -> dict[Any, Any]:
        plain: dict[Any, Any] = {}
        first: dict[Any, int] = {}
        for key_node, value_node in node.value:
            if self._count > _MOST_NODES:
                break
            if not isinstance(key_node, ScalarNode):
                self._complain(key_node, "a key must be a word", "quote it if it has brackets")
                continue
            if key_node.tag == _TAG + "merge":
                self._complain(key_node, "merge keys (<<) are not supported", "write the keys out")
                continue
            key = str(key_node.value)
            if key in first:
                hint = f"it is already on line {first[key]}; keep one of them"
                self._complain(key_node, f"key {key!r} is given twice", hint)
                continue
            first[key] = key_node.start_mark.line + 1
            plain[key] = self.value(value_node)
        return plain

    def _scalar(self, node: ScalarNode) -> Any:
        text: str = node.value
        if node.tag in _WORDS:
            return text
        if node.tag == _TAG + "null":
            return None
        if node.tag == _TAG + "bool":
            # Whatever `%YAML 1.1` or a tag makes of it, `no` is a word.
            small = text.lower()
            return small == "true" if small in ("true", "false") else text
        if node.tag == _TAG + "int":
            return _integer(text)
        if node.tag == _TAG + "float":
            return _real(text)
        return self._complain(node, f"tag {node.tag!s} is not supported", "write the plain value")

    def _complain(self, node: Node, message: str, hint: str) -> None:
        self._document.diagnostics.append(self._document.problem_at(_mark(node), message, hint))


class Written(int):
    """A number and how it is written, for whom 0110 and 110 are not the same."""

    text: str


def _integer(text: str) -> int | str:
    digits = text.replace("_", "")
    try:
        if not digits.lstrip("+-").isdecimal():
            return int(digits, 0)
        if text[0] not in "0+":
            return int(digits)
        written = Written(digits)
        written.text = text
        return written
    except ValueError:
        return text


def _real(text: str) -> float | str:
    try:
        return float(text.replace("_", "").replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        return text


def _child(node: Node | None, step: str | int) -> tuple[Node | None, Node] | None:
    if isinstance(node, MappingNode):
        for key_node, value_node in node.value:
            if isinstance(key_node, ScalarNode) and key_node.value == str(step):
                return key_node, value_node
    if isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.value):
        return None, node.value[step]
    return None


def _mark(node: Node | None) -> Place:
    if node is None:
        return (1, 1)
    return (node.start_mark.line + 1, node.start_mark.column + 1)
