"""The names that rules use, and what each stands for: a trunk, a table, a list, a group, a hook, a realm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from dsl import syntax
from dsl.addresses import Party
from dsl.arrival import Arrival
from dsl.decision import Group
from dsl.parse import Problem
from dsl.scope import GROUP, LIST, TABLE, Scope
from dsl.services import ANSWERED, LOOKUP, Service, VariableType
from dsl.table import Table


def no_emergency(called: Party) -> bool:
    """Answer where no number is that of an emergency service."""
    return False


@dataclass(frozen=True, slots=True)
class Known:
    """The names that rules may use; None leaves a kind of name unchecked. ``tables`` could be read.

    ``services`` are those that rules may ask, but for ``broken_services``; ``phones``: users can register.
    ``arrivals`` says of each trunk how calls come from it, and ``emergency`` which calls are emergency calls,
    for the tests beside the rules; ``recordings`` whether there is a place for them.
    """

    trunks: frozenset[str] | None = None
    listeners: frozenset[str] | None = None
    tenants: frozenset[str] | None = None
    hooks: frozenset[str] | None = None
    tables: Mapping[str, Table] = field(default_factory=dict)
    broken_tables: frozenset[str] = frozenset()
    services: Mapping[str, Service] = field(default_factory=dict)
    broken_services: frozenset[str] = frozenset()
    realms: frozenset[str] | None = None
    phones: bool = True
    arrivals: Mapping[str, Arrival] = field(default_factory=dict)
    emergency: Callable[[Party], bool] = no_emergency
    recordings: bool | None = None

    def named(self, fact: str) -> frozenset[str] | None:
        """What the values of ``fact`` may be called; None where they are no names, or nobody checks them."""
        return {"trunk": self.trunks, "listener": self.listeners, "tenant": self.tenants}.get(fact)


def suggest(name: str, names: Iterable[str]) -> str:
    """A hint for a name that does not exist: the nearest one, or all when they are few."""
    all_names = sorted(names)
    near = get_close_matches(name, all_names, 1, 0.6)
    if near:
        return f'did you mean "{near[0]}"?'
    return "there are: " + ", ".join(all_names) if 0 < len(all_names) <= 12 else ""


class Names:
    """Finds what each name in one text, a when or a then, stands for; ``problems`` has what is wrong."""

    def __init__(self, known: Known, scope: Scope) -> None:
        self._known = known
        self._scope = scope
        self.broken = False  # something it needs could not be read, which was told where that is
        self.problems: list[Problem] = []

    def report(self, node: syntax.Node, message: str, hint: str = "") -> None:
        """Add a problem at ``node``."""
        self.problems.append(Problem(node.start, message, hint))

    def trunk(self, node: syntax.Node) -> None:
        """Check text in quotes that names a trunk."""
        trunks = self._known.trunks
        if isinstance(node, syntax.Text) and trunks is not None and node.value not in trunks:
            self.report(node, f'there is no trunk "{node.value}"', suggest(node.value, trunks))

    def table(self, node: syntax.Node, name: str) -> Table | None:
        """The table of this name; None where it was reported, or could not be read."""
        if not name.startswith(TABLE):
            hint = (
                f"write {TABLE}{name}" if name in self._known.tables else "such as table.rates[to.user].trunk"
            )
            self.report(node, f"{name} is no table", hint)
            return None
        short = name.removeprefix(TABLE)
        self.broken = self.broken or short in self._known.broken_tables
        if short not in self._known.tables and short not in self._known.broken_tables:
            hint = suggest(short, self._known.tables) or "name its file under `tables:` in sbc.yaml"
            self.report(node, f"there is no table {short!r}", hint)
        return self._known.tables.get(short)

    def named_list(self, node: syntax.FactRef) -> tuple[str, ...] | None:
        """The texts of a named list; None when it was reported."""
        short = node.name.removeprefix(LIST)
        found = self._scope.lists.get(short)
        if not node.name.startswith(LIST):
            hint = (
                f"write {LIST}{short}" if found is not None else f'text is written in quotes: "{node.name}"'
            )
            self.report(node, f"{node.name} is neither a value nor a list", hint)
            return None
        if found is None:
            hint = suggest(short, self._scope.lists) or "define it under `lists:`"
            self.report(node, f"there is no list {short!r}", hint)
        return found

    def group(self, node: syntax.Node, name: str) -> Group | None:
        """The group of this name; None when it was reported."""
        short = name.removeprefix(GROUP)
        found = self._scope.groups.get(short)
        if found is None:
            hint = suggest(short, self._scope.groups) or "define it under `groups:`"
            self.report(node, f"there is no group {short!r}", hint)
        return found

    def hook(self, name: syntax.Text) -> None:
        """Check text in quotes that names a hook."""
        hooks = self._known.hooks
        if hooks is not None and name.value not in hooks:
            hint = suggest(name.value, hooks) or f"it would be hooks/{name.value}.py"
            self.report(name, f'there is no hook "{name.value}"', hint)

    def service(self, node: syntax.Node, name: str) -> Service | None:
        """The service of this name; None where it was reported, or could not be read."""
        found = self._known.services.get(name)
        if name in self._known.broken_services:
            self.broken = True
        elif found is None:
            hint = suggest(name, self._known.services) or "give its URL under `lookups:` in sbc.yaml"
            self.report(node, f'there is no lookup "{name}"', hint)
        return found

    def variable(self, node: syntax.VariableRef) -> VariableType | None:
        """The type of a variable; None where it was reported, or its service could not be read."""
        service = self.service(node, node.service)
        if service is None:
            return None
        kind = service.type_of(node.variable)
        if kind is None:
            known = (*service.answers, ANSWERED)
            named = node.variable or "VARIABLE"
            hint = suggest(named, known) if len(known) > 1 and node.variable else ""
            hint = hint or f"write answers: {{{named}: text}} under `{LOOKUP}{service.name}` in sbc.yaml"
            self.report(node, f"the lookup {service.name} answers no {node.variable!r}", hint)
        return kind

    def realm(self, realm: syntax.Text) -> None:
        """Check the realm of a challenge."""
        realms = self._known.realms
        if not realm.value or '"' in realm.value:
            self.report(realm, "a realm is a name without quotes", 'such as "example.net"')
        elif realms is not None and realm.value not in realms:
            hint = suggest(realm.value, realms) or "name the file of users under `users:` in sbc.yaml"
            self.report(realm, f'nobody has a password for the realm "{realm.value}"', hint)

    def refuse(self, node: syntax.Node, refusal: tuple[str, str] | None) -> None:
        """Report why a header may not be used so, where there is a reason."""
        if refusal:
            self.report(node, *refusal)
