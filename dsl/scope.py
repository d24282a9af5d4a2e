"""What rules may call by a name of the operator's: lists, groups, tables, and the zone of their clock."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo

from dsl.decision import Group, Hop
from dsl.services import Service
from dsl.table import Table

LIST, TABLE, GROUP = "list.", "table.", "group."
#: How a hop to where the called user is registered is written.
TO_REGISTERED = {"together": "registered", "one by one": "registered one by one"}


def target_of(hop: Hop) -> str:
    """A hop's target as a test of a route names it: a trunk without its quotes."""
    if hop.registered:
        return TO_REGISTERED[hop.registered]
    return GROUP + hop.group.name if hop.group is not None else hop.trunk


@dataclass(frozen=True, slots=True)
class Scope:
    """The names that one rule file's rules see; ``zone`` is None for the server's own."""

    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    services: Mapping[str, Service] = field(default_factory=dict)
    zone: tzinfo | None = None


NOTHING_NAMED = Scope()
