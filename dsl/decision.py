"""What routing decides about a call: send it on, refuse it, or name another place."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import tzinfo
from typing import Final, Literal

Class = Literal["3xx", "4xx", "5xx", "6xx"]
Failure = int | Class | Literal["timeout", "unreachable"]
Srtp = Literal["off", "accept", "offer", "required"]
Downgrade = Literal["allow", "warn", "forbid"]
Redirects = Literal["refuse", "pass", "follow"]
Registered = Literal["", "together", "one by one"]
Part = Literal[
    "from.user", "from.host", "from.type", "from.display", "to.user", "to.host", "to.type",
    "from.scheme", "to.scheme", "asserted.user", "asserted.display",
]  # fmt: skip

Counted = Literal["calls", "seconds", "minutes", "hours"]
Turn = Literal["hour", "day"]

DEFAULT_FAILURES: tuple[Failure, ...] = (408, 500, 502, 503, 504, "timeout", "unreachable")
#: The times in which a limit lets so many calls begin, by their seconds.
PERIODS: Final = {1: "second", 60: "minute", 3600: "hour"}
#: What leads on besides where a hop before it is a user's phones: there is no such user, or it has none.
ABSENT_FAILURES: tuple[Failure, ...] = (404, 480)


def class_of(status: int) -> str:
    """The class of a status, such as ``5xx`` (RFC 3261 21)."""
    return f"{status // 100}xx"


@dataclass(frozen=True, slots=True)
class SetPart:
    """Write one part of the From header (``from.*``), of the request target (``to.*``) or of what we assert.

    A type is ``phone``, which says ``user=phone`` in the URI, or empty; the scheme ``tel`` is for numbers.
    """

    part: Part
    value: str


@dataclass(frozen=True, slots=True)
class SetParam:
    """Give the called (``to``) or the calling (``from``) one's URI a parameter; empty takes it away.

    One that is set to its own name has no value. Those of a number stand behind it (RFC 4904, RFC 4694).
    """

    side: Literal["to", "from"]
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class SetHeader:
    """Give the outgoing request one header field of this name, in place of any it had."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class RemoveHeader:
    """Leave out every header whose name matches ``glob`` (``*`` and ``?``, in any case)."""

    glob: str


@dataclass(frozen=True, slots=True)
class CopyHeader:
    """Let the caller's headers whose name matches ``glob`` cross, named ``name`` where that is not empty."""

    glob: str
    name: str = ""


Edit = SetPart | SetParam | SetHeader | RemoveHeader | CopyHeader


@dataclass(frozen=True, slots=True)
class Group:
    """Trunks that share calls by their weights: in turn where all weigh the same."""

    name: str
    members: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Hop:
    """One trunk to try; ``on`` are the failures of an earlier hop that lead here (first hop: none).

    A hop to a ``group`` names no trunk: whose turn it is is found out when the call is sent. Neither does one
    to where the called user is ``registered``: with phones that it prefers alike ``together``, or one by one.
    ``edits`` are made for this hop alone, after those of the route.
    """

    trunk: str
    on: tuple[Failure, ...] = ()
    group: Group | None = None
    edits: tuple[Edit, ...] = ()
    registered: Registered = ""


@dataclass(frozen=True, slots=True)
class Codecs:
    """Which codecs an offer may name, and which come first; in capitals, empty tuples change nothing."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    prefer: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """The hours or days of a zone (None: the server's own), each with an allowance of its own.

    ``of`` is what is counted in it: calls that begin, or the time that is talked, and in which unit. A
    ``hard`` one ends the calls that run when its time is used up.
    """

    of: Counted
    per: Turn
    zone: tzinfo | None = None
    hard: bool = False


@dataclass(frozen=True, slots=True)
class Limit:
    """At most ``calls`` at once, or begun in ``seconds`` where that is not 0, for all calls of one ``key``.

    With a ``window`` so many calls, or so much time, are the allowance of each hour or day. One call more is
    refused with ``status`` and ``reason``. ``name`` is the key without what it is counted for, such as a
    caller.
    """

    key: str
    calls: int
    seconds: int = 0
    status: int = 503
    reason: str = ""
    window: Window | None = None
    name: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """How it is written, such as ``60 minutes a day``."""
        if self.window is not None:
            return f"{self.calls} {self.window.of} a {self.window.per}"
        if not self.seconds:
            return f"{self.calls} calls"
        period = PERIODS.get(self.seconds)
        return f"{self.calls} calls {'a ' + period if period else f'in {self.seconds} seconds'}"


@dataclass(frozen=True, slots=True)
class AnswerAs:
    """A caller hears ``status`` where the last failure was ``of``, a status or a class of them.

    An empty ``reason`` is that of the status.
    """

    of: int | Class
    status: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Route:
    """Send the call to ``hops`` in turn; None leaves a policy to the trunk.

    ``rule`` names who decided, as ``name (file:line)``; ``hooks`` are the named hooks that it called.
    ``tags`` go to the call's record; ``ring`` is how many seconds a hop may ring,
    ``redirects`` what becomes of a callee's 3xx. ``longest`` is how many seconds the call may last from its
    answer on, ``answers`` are how its refusal is told to the caller: a status before its class, the last
    first. With ``record`` what is said is kept in files, and with ``tone`` both sides hear that it is.
    Once it is answered, each text of ``remember`` is remembered for so many days.
    """

    hops: tuple[Hop, ...]
    edits: tuple[Edit, ...] = ()
    srtp: Srtp | None = None
    downgrade: Downgrade | None = None
    rule: str = ""
    hooks: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    codecs: Codecs | None = None
    ring: int | None = None
    limits: tuple[Limit, ...] = ()
    redirects: Redirects | None = None
    longest: int | None = None
    answers: tuple[AnswerAs, ...] = ()
    record: bool = False
    tone: bool = False
    remember: tuple[tuple[str, int], ...] = ()

    def at(self, index: int) -> Route:
        """The route with the edits of ``hops[index]`` among its own: what leaves there."""
        own = self.hops[index].edits
        return replace(self, edits=self.edits + own) if own else self

    def next_hop(self, index: int, failure: Failure) -> int | None:
        """Index of the next hop to try after ``hops[index]`` failed so; None ends the call."""
        kind = class_of(failure) if isinstance(failure, int) else failure
        for later in range(index + 1, len(self.hops)):
            if failure in self.hops[later].on or kind in self.hops[later].on:
                return later
        return None


_new: Final = Route.__new__
# What a frozen class does to fill itself, name by name, takes twice as long.
(
    _hops, _edits, _srtp, _downgrade, _rule, _hooks, _tags, _codecs, _ring, _limits, _redirects, _longest,
    _answers, _record, _tone, _remember,
) = [vars(Route)[each.name].__set__ for each in fields(Route)]  # fmt: skip


def route_of(
    hops: tuple[Hop, ...], edits: tuple[Edit, ...], srtp: Srtp | None, downgrade: Downgrade | None, rule: str,
    hooks: tuple[str, ...], tags: tuple[str, ...], codecs: Codecs | None, ring: int | None,
    limits: tuple[Limit, ...], redirects: Redirects | None, longest: int | None,
    answers: tuple[AnswerAs, ...], record: bool, tone: bool, remember: tuple[tuple[str, int], ...],
) -> Route:  # fmt: skip
    """A route of all its values: what a rule makes for every call."""
    made = _new(Route)
    _hops(made, hops)
    _edits(made, edits)
    _srtp(made, srtp)
    _downgrade(made, downgrade)
    _rule(made, rule)
    _hooks(made, hooks)
    _tags(made, tags)
    _codecs(made, codecs)
    _ring(made, ring)
    _limits(made, limits)
    _redirects(made, redirects)
    _longest(made, longest)
    _answers(made, answers)
    _record(made, record)
    _tone(made, tone)
    _remember(made, remember)
    return made


@dataclass(frozen=True, slots=True)
class Reject:
    """AnswerAs the call with this final SIP status (400 to 699)."""

    status: int
    reason: str = ""
    rule: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Challenge:
    """Ask the caller for a name and password of ``realm`` (RFC 3261 22): nobody has proved one yet."""

    realm: str
    rule: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    """AnswerAs 302 with these SIP URIs as contacts, the first being the first choice.

    ``downgrade`` says which of them a caller may be told who came over TLS; None warns of those without.
    """

    targets: tuple[str, ...]
    rule: str = ""
    tags: tuple[str, ...] = ()
    downgrade: Downgrade | None = None


Decision = Route | Reject | Redirect | Challenge

NO_ROUTE = Reject(404, "No route", "no rule matched")


def ending(decision: Decision) -> str:
    """What was decided, in a line for an operator; without the hops of a route."""
    match decision:
        case Reject(status=status, reason=reason):
            return f"reject {status} {reason}".rstrip()
        case Redirect(targets=targets):
            return "redirect " + ", ".join(targets)
        case Challenge(realm=realm):
            return f"challenge: 407, a password for {realm}"
        case _:
            return "route"
