"""What rule files define by name: ``lists`` and ``groups`` for all files, and each file's own ``zone``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from zoneinfo import ZoneInfo, available_timezones

from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from dsl.decision import Group
from dsl.names import Known, suggest
from dsl.scope import Scope
from dsl.source import Source, text_of

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
HEAVIEST = 1000


@dataclass(slots=True)
class Definitions:
    """All that was defined so far, over all files."""

    known: Known
    lists: dict[str, tuple[str, ...]] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    _places: dict[str, str] = field(default_factory=dict)

    def scope(self, zone: ZoneInfo | None) -> Scope:
        """What the rules of a file in ``zone`` see."""
        return Scope(self.lists, self.groups, self.known.tables, self.known.services, zone)

    def read_lists(self, source: Source, node: Node) -> None:
        """Read ``lists:``, names of texts."""
        for name, value in self._named(source, node, "list"):
            texts = tuple(
                _texts(source, value, "a list is written [a, b], or one entry a line after a hyphen")
            )
            self.lists[name] = texts
            if not texts:
                source.report(value, f"the list {name!r} is empty", "give it an entry, or remove it")
            for text in (
                sorted({text for text in texts if texts.count(text) > 1}) if len(texts) < 1000 else ()
            ):
                source.report(value, f'"{text}" stands twice in the list', "leave one out", "warning")

    def read_groups(self, source: Source, node: Node) -> None:
        """Read ``groups:``, names of trunks with or without weights."""
        for name, value in self._named(source, node, "group"):
            members = tuple(self._members(source, value))
            if not members:
                source.report(
                    value, f"the group {name!r} is empty", "such as carriers: [carrier-a, carrier-b]"
                )
            same = next(
                (each for each in self.groups.values() if _trunks(each.members) == _trunks(members)), None
            )
            if same is not None and members:
                message = f"the groups {same.name!r} and {name!r} have the same trunks"
                source.report(value, message, "one group would do", "warning")
            self.groups[name] = Group(name, members)

    def _members(self, source: Source, node: Node) -> Iterator[tuple[str, int]]:
        if isinstance(node, MappingNode):
            pairs: list[tuple[Node, int]] = [
                (key, self._weight(source, value)) for key, value in source.items(node)
            ]
        elif isinstance(node, SequenceNode):
            pairs = [(each, 1) for each in node.value]
        else:
            source.report(
                node, "a group is a list of trunks", "or {carrier-a: 3, carrier-b: 1}, with weights"
            )
            return
        seen: set[str] = set()
        for each, weight in pairs:
            name = text_of(each) if isinstance(each, ScalarNode) else ""
            trunks = self.known.trunks
            if not isinstance(each, ScalarNode):
                source.report(each, "a trunk's name is needed here")
            elif trunks is not None and name not in trunks:
                source.report(each, f'there is no trunk "{name}"', suggest(name, trunks))
            elif name in seen:
                source.report(each, f'"{name}" stands twice in the group', "give it twice the weight instead")
            else:
                yield name, weight
            seen.add(name)

    def _weight(self, source: Source, node: Node) -> int:
        text = text_of(node) if isinstance(node, ScalarNode) else ""
        if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= HEAVIEST:
            return int(text)
        source.report(node, f"a weight is a whole number from 1 to {HEAVIEST}", "such as 3")
        return 1

    def _named(self, source: Source, node: Node, what: str) -> Iterator[tuple[str, Node]]:
        if not isinstance(node, MappingNode):
            if not (isinstance(node, ScalarNode) and not text_of(node)):
                source.report(node, f"{what}s are a mapping of names", f"such as my_{what}: [...]")
            return
        for key, value in source.items(node):
            name = str(key.value)
            if not _NAME.fullmatch(name):
                source.report(key, f"{name!r} cannot be the name of a {what}", "letters, digits and _")
            elif f"{what} {name}" in self._places:
                there = self._places[f"{what} {name}"]
                source.report(key, f"there is another {what} {name!r}, at {there}", "choose another name")
            else:
                self._places[f"{what} {name}"] = f"{source.path}:{source.place(key.start_mark.index)[0]}"
                yield name, value


def read_zone(source: Source, node: Node) -> ZoneInfo | None:
    """Read ``zone:``; None where it names no zone, which is reported."""
    name = text_of(node) if isinstance(node, ScalarNode) else ""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        hint = suggest(name, available_timezones()) or "such as Europe/Berlin"
        source.report(node, f"{name!r} is no time zone", hint)
        return None


def _trunks(members: tuple[tuple[str, int], ...]) -> frozenset[str]:
    return frozenset(name for name, _ in members)


def _texts(source: Source, node: Node, usage: str) -> Iterator[str]:
    if not isinstance(node, SequenceNode):
        source.report(node, "a list is needed here", usage)
        return
    for each in node.value:
        if isinstance(each, ScalarNode) and text_of(each):
            yield text_of(each)
        else:
            source.report(each, "a text is needed here", usage)
