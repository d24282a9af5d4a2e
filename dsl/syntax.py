"""The syntax tree of a rule: frozen nodes, each with its place in the text it was written in.

Nothing here knows what a name means; ``dsl.check`` does, and ``dsl.compile`` after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields


@dataclass(frozen=True, slots=True)
class Node:
    """What was written from ``start`` up to ``end``, offsets into the text of the when or then."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Text(Node):
    """A quoted string, unquoted."""

    value: str


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A number; ``value`` is a float only where a decimal point was written, ``written`` has its zeros."""

    value: int | float
    written: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Truth(Node):
    """``true`` or ``false``."""

    value: bool


@dataclass(frozen=True, slots=True)
class Network(Node):
    """An address or a CIDR block, as written."""

    value: str


@dataclass(frozen=True, slots=True)
class Clock(Node):
    """A time of day; ``value`` is in minutes since midnight, -1 for one that no clock shows."""

    value: int


@dataclass(frozen=True, slots=True)
class Day(Node):
    """A day of the week; ``value`` is 1 for Monday to 7 for Sunday."""

    value: int


@dataclass(frozen=True, slots=True)
class Date(Node):
    """A date; ``value`` is a number such as 20261224, -1 for one that no calendar has."""

    value: int


@dataclass(frozen=True, slots=True)
class Regex(Node):
    """A pattern without its slashes."""

    source: str


@dataclass(frozen=True, slots=True)
class FactRef(Node):
    """The name of a fact, or of a list, table or group (``list.premium``)."""

    name: str


@dataclass(frozen=True, slots=True)
class VariableRef(Node):
    """What a service has answered: ``name`` is ``lookup.NAME.VARIABLE``, whole."""

    name: str

    @property
    def service(self) -> str:
        """The name of the service."""
        return self.name.split(".")[1]

    @property
    def variable(self) -> str:
        """The name of the variable; empty where only a service is named."""
        return self.name.partition(".")[2].partition(".")[2]


@dataclass(frozen=True, slots=True)
class Call(Node):
    """A function and its arguments."""

    name: str
    args: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Lookup(Node):
    """``table.rates[key].column``; ``table`` is the whole name."""

    table: str
    key: Node
    column: str


@dataclass(frozen=True, slots=True)
class Span(Node):
    """``low..high``, both ends included."""

    low: Node
    high: Node


@dataclass(frozen=True, slots=True)
class Concat(Node):
    """Texts joined with ``+``."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Compare(Node):
    """``==``, ``!=``, ``<``, ``<=``, ``>`` or ``>=`` between two expressions."""

    op: str
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Matches(Node):
    """``left matches /regex/``."""

    left: Node
    regex: Regex


@dataclass(frozen=True, slots=True)
class Affix(Node):
    """``left starts with`` (or ``ends with``, when not ``starts``) any of ``options``."""

    left: Node
    starts: bool
    options: tuple[Text | FactRef | VariableRef, ...]


@dataclass(frozen=True, slots=True)
class Member(Node):
    """``left in`` (or ``not in``) any of ``options``."""

    left: Node
    options: tuple[Node, ...]
    negated: bool


@dataclass(frozen=True, slots=True)
class HasHeader(Node):
    """``has header "X"``."""

    name: Text


@dataclass(frozen=True, slots=True)
class Not(Node):
    """``not of``."""

    of: Node


@dataclass(frozen=True, slots=True)
class AllOf(Node):
    """Conditions joined with ``and``."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class AnyOf(Node):
    """Conditions joined with ``or``."""

    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class FailureWord(Node):
    """One failure after ``on`` or ``answer``: a status in digits, a class such as ``5xx``, or a word."""

    value: str


@dataclass(frozen=True, slots=True)
class Registered(Node):
    """``registered``: where the called user is registered; ``one by one`` where that is written behind it."""

    one_by_one: bool


@dataclass(frozen=True, slots=True)
class HopClause(Node):
    """A target of a route and the failures that lead to it; no failures written is an empty tuple.

    The target is a trunk in quotes, a group, a table's column that names a trunk, or ``registered``;
    ``edits`` are for this hop alone.
    """

    target: Text | FactRef | Lookup | Registered
    on: tuple[FailureWord, ...]
    edits: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class RouteAction(Node):
    """``route "a" then "b" on 503``."""

    hops: tuple[HopClause, ...]


@dataclass(frozen=True, slots=True)
class RejectAction(Node):
    """``reject 403 "reason"``."""

    status: Number
    reason: Text | None


@dataclass(frozen=True, slots=True)
class RedirectAction(Node):
    """``redirect "sip:..."``."""

    targets: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class SetPartAction(Node):
    """``set from.user = ...``."""

    part: FactRef
    value: Node


@dataclass(frozen=True, slots=True)
class SetParamAction(Node):
    """``set to.param("rn") = ...``."""

    whose: str
    name: Text
    value: Node


@dataclass(frozen=True, slots=True)
class SetHeaderAction(Node):
    """``set header "X" = ...``."""

    name: Text
    value: Node


@dataclass(frozen=True, slots=True)
class RemoveHeaderAction(Node):
    """``remove header "X-*"``."""

    glob: Text


@dataclass(frozen=True, slots=True)
class CopyHeaderAction(Node):
    """``copy header "X-*"``, or ``copy header "X-A" to "X-B"``."""

    glob: Text
    name: Text | None


@dataclass(frozen=True, slots=True)
class ChallengeAction(Node):
    """``challenge "realm"``."""

    realm: Text


@dataclass(frozen=True, slots=True)
class CodecsAction(Node):
    """``allow codecs``, ``deny codecs`` or ``prefer codecs``."""

    verb: str
    names: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class RingAction(Node):
    """``ring for 30 seconds``; ``unit`` is the word as written."""

    amount: Number
    unit: str


@dataclass(frozen=True, slots=True)
class LongestAction(Node):
    """``at most 2 hours``; ``unit`` is the word as written."""

    amount: Number
    unit: str


@dataclass(frozen=True, slots=True)
class AnswerAction(Node):
    """``answer 603, 5xx as 486 "Busy"``."""

    of: tuple[FailureWord, ...]
    status: Number
    reason: Text | None


@dataclass(frozen=True, slots=True)
class LimitAction(Node):
    """``limit 10 calls per from.user`` or ``limit 2 calls a second per trunk``; ``period`` may be empty.

    ``calls`` may stand in a table. With a ``unit`` it is time: ``limit 60 minutes a day per from.user``.
    ``to`` is the condition that the called number fits what is written behind ``to``.
    """

    calls: Number | Lookup
    period: str
    key: Node
    refusal: RejectAction | None
    unit: str = ""
    to: Node | None = None
    hard: bool = False


@dataclass(frozen=True, slots=True)
class RememberAction(Node):
    """``remember auth.user + to.user for 30 days``."""

    text: Node
    days: Number


@dataclass(frozen=True, slots=True)
class TagAction(Node):
    """``tag "text"``."""

    text: Node


@dataclass(frozen=True, slots=True)
class HookAction(Node):
    """``call hook "name"``."""

    name: Text


@dataclass(frozen=True, slots=True)
class AskAction(Node):
    """``ask "name" else ...``; ``otherwise`` is what becomes of the call without an answer."""

    name: Text
    otherwise: Node | None


@dataclass(frozen=True, slots=True)
class SrtpAction(Node):
    """``require srtp``, ``offer srtp``, ``accept srtp`` or ``no srtp``."""

    verb: str


@dataclass(frozen=True, slots=True)
class DowngradeAction(Node):
    """``forbid downgrade``, ``warn downgrade`` or ``allow downgrade``."""

    verb: str


@dataclass(frozen=True, slots=True)
class RedirectsAction(Node):
    """``refuse redirects``, ``pass redirects`` or ``follow redirects``: those of a callee."""

    verb: str


@dataclass(frozen=True, slots=True)
class RecordAction(Node):
    """``record``: what is said in the call is kept; ``with tone``, both sides hear that it is."""

    tone: bool


@dataclass(frozen=True, slots=True)
class ContinueAction(Node):
    """``continue``: keep the edits, go on to the next rule."""


TERMINALS = (RouteAction, RejectAction, RedirectAction, ContinueAction)


_PARTS: dict[type[Node], tuple[str, ...]] = {}


def parts(kind: type[Node]) -> tuple[str, ...]:
    """The names of what a class of nodes is made of, its place apart."""
    if kind not in _PARTS:
        _PARTS[kind] = tuple(each.name for each in fields(kind) if each.name not in ("start", "end"))
    return _PARTS[kind]


def below(node: Node) -> Iterator[Node]:
    """The nodes right under one."""
    for name in parts(type(node)):
        value = getattr(node, name)
        for each in value if type(value) is tuple else (value,):
            if isinstance(each, Node):
                yield each
