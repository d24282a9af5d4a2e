"""What a condition demands, in a form that can be compared: the atoms that must all be true.

An atom asks one thing of one subject: that it is one of some values, begins with one of some texts, or
anything else, which is then only compared as it is written. ``implies`` says whether one atom can never be
true without another; where it cannot tell it says no.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from dsl import syntax
from dsl.clock import CLOCK_FACTS
from dsl.compile import ends_spelled, fact_type, spelled, texts_of
from dsl.facts import FACTS
from dsl.scope import LIST, Scope
from dsl.services import LOOKUP

_POINTS = (syntax.Number, syntax.Clock, syntax.Day, syntax.Date, syntax.Truth)


class Atom(NamedTuple):
    """``kind`` is ``is``, ``starts``, ``net`` or ``other``; one of ``options`` must fit ``subject``.

    ``reads`` are the attributes of the facts that it looks at; ``single``: the subject has one value.
    """

    subject: Hashable
    kind: str
    options: tuple[Hashable, ...]
    reads: frozenset[str]
    single: bool = True


def atoms_of(node: syntax.Node, scope: Scope) -> tuple[Atom, ...]:
    """The atoms that must all be true for a condition to hold; none for one that always holds."""
    match node:
        case syntax.AllOf(parts=parts):
            return tuple(atom for part in parts for atom in atoms_of(part, scope))
        case syntax.Truth(value=True):
            return ()
        case syntax.Compare(op="==", left=left, right=syntax.Text(value=text)):
            return (_atom(left, "is", (spelled(left, text),), scope),)
        case syntax.Compare(op="==", left=left, right=right) if isinstance(right, _POINTS):
            return (_atom(left, "is", (right.value,), scope),)
        case syntax.Member(left=left, negated=False):
            return (_member(node, left, scope),)
        case syntax.Affix(left=left, starts=True):
            texts = tuple(one for text in texts_of(node.options, scope) for one in ends_spelled(left, text))
            return (_atom(left, "starts", texts, scope),)
    return (Atom(key(node, scope), "other", (True,), reads(node)),)


def _member(node: syntax.Member, left: syntax.Node, scope: Scope) -> Atom:
    plain = all(
        isinstance(option, (syntax.Text, syntax.Network, *_POINTS))
        or (isinstance(option, syntax.FactRef) and option.name.startswith(LIST))
        for option in node.options
    )
    if not plain:
        return Atom(key(node, scope), "other", (True,), reads(node))
    texts = texts_of(node.options, scope)
    if fact_type(left) == "address":
        return _atom(left, "net", tuple(_network(text) for text in texts), scope)
    points = [option.value for option in node.options if isinstance(option, _POINTS)]
    return _atom(left, "is", (*(spelled(left, text) for text in texts), *points), scope)


def _atom(left: syntax.Node, kind: str, options: tuple[Hashable, ...], scope: Scope) -> Atom:
    if kind == "is" and fact_type(left) == "address":
        kind, options = "net", tuple(_network(str(option)) for option in options)
    return Atom(key(left, scope), kind, options, reads(left), fact_type(left) != "list")


@lru_cache(maxsize=4096)
def _network(text: str) -> IPv4Network | IPv6Network | str:
    try:
        return ip_network(text)
    except ValueError:
        return text


def implies(strong: Atom, weak: Atom) -> bool:
    """Whether ``weak`` is true whenever ``strong`` is."""
    if strong.subject != weak.subject:
        return False
    return all(
        any(_covers(weak.kind, wide, strong.kind, each) for wide in weak.options) for each in strong.options
    )


def _covers(wide_kind: str, wide: Hashable, kind: str, each: Hashable) -> bool:
    if wide_kind == "starts" and kind in ("is", "starts"):
        return isinstance(wide, str) and isinstance(each, str) and each.startswith(wide)
    if wide_kind == "net" == kind:
        return _within(each, wide)
    return wide_kind == kind and wide == each


def _within(each: Hashable, wide: Hashable) -> bool:
    if isinstance(each, IPv4Network) and isinstance(wide, IPv4Network):
        return each.subnet_of(wide)
    if isinstance(each, IPv6Network) and isinstance(wide, IPv6Network):
        return each.subnet_of(wide)
    return each == wide


def contradicts(one: Atom, other: Atom) -> bool:
    """Whether the two can never be true together."""
    if one.subject != other.subject or not (one.single and other.single) or "other" in (one.kind, other.kind):
        return False
    return not any(
        _covers(one.kind, left, other.kind, right) or _covers(other.kind, right, one.kind, left)
        for left in one.options
        for right in other.options
    )


def keys_of(atom: Atom) -> Iterator[Hashable]:
    """Under which keys a rule that demands ``atom`` is filed: one for each option."""
    for option in atom.options:
        yield (atom.subject, atom.kind, option)


def keys_implied(atom: Atom) -> Iterator[Hashable]:
    """The keys under which a rule may be filed whose atom ``atom`` implies."""
    if not atom.options:
        return
    first = atom.options[0]
    if isinstance(first, str) and atom.kind in ("is", "starts"):
        for length in range(len(first) + 1):
            yield (atom.subject, "starts", first[:length])
    if isinstance(first, IPv4Network | IPv6Network):
        for prefix in range(first.prefixlen + 1):
            yield (atom.subject, "net", first.supernet(new_prefix=prefix))
    elif atom.kind != "starts":
        yield (atom.subject, atom.kind, first)


def key(node: object, scope: Scope) -> Hashable:
    """What an expression says, wherever it is written; equal for equal meaning in the same scope."""
    if isinstance(node, tuple):
        return tuple(key(each, scope) for each in node)
    if not isinstance(node, syntax.Node):
        return node if isinstance(node, Hashable) else repr(node)
    if isinstance(node, syntax.FactRef):
        return ("fact", node.name, str(scope.zone)) if node.name in CLOCK_FACTS else ("fact", node.name)
    names = syntax.parts(type(node))
    return (type(node).__name__, *(key(getattr(node, name), scope) for name in names))


def reads(node: syntax.Node) -> frozenset[str]:
    """The attributes of the facts that an expression or an action looks at; ``header`` for any header.

    What a service has answered is ``lookup.NAME``.
    """
    if isinstance(node, syntax.FactRef):
        fact = FACTS.get(node.name)
        return frozenset((fact.attribute,)) if fact else frozenset()
    if isinstance(node, syntax.VariableRef):
        return frozenset((LOOKUP + node.service,))
    if isinstance(node, syntax.SetPartAction | syntax.SetParamAction):
        return reads(node.value)
    found = frozenset(name for each in syntax.below(node) for name in reads(each))
    if isinstance(node, (syntax.HasHeader, syntax.CopyHeaderAction)):
        return found | {"header"}
    if isinstance(node, syntax.Call) and node.name in _LOOKED_UP:
        return found | {_LOOKED_UP[node.name]}
    return found


_LOOKED_UP = {
    "header": "header", "to.param": "ruri_param", "from.param": "from_param", "calls": "calls",
    "registered": "registered", "remembered": "remembered",
}  # fmt: skip
