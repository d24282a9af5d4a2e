"""A compiled then: the edits it makes, the policies it sets, and how it ends.

Actions happen in the order in which they are written: what one sets, the next ones see, and
after ``continue`` the rules that follow see it too. A then into which no fact enters is one
decision, made at load.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import cast

from dsl import syntax
from dsl.check import PARTS
from dsl.compile import CONTROLS, clean
from dsl.decision import (
    DEFAULT_FAILURES,
    Decision,
    Downgrade,
    Edit,
    Failure,
    Hop,
    Part,
    Redirect,
    Reject,
    RemoveHeader,
    Route,
    SetHeader,
    SetPart,
    Srtp,
)
from dsl.facts import Facts
from dsl.ownership import matches_glob

_SRTP: dict[str, Srtp] = {"require": "required", "offer": "offer", "accept": "accept", "no": "off"}

# What may not stand in a part of a URI (RFC 3261 25.1) or in a quoted display name.
_UNWANTED = {
    "from.user": re.compile(rf'[{CONTROLS}\s<>"@]+'),
    "to.user": re.compile(rf'[{CONTROLS}\s<>"@]+'),
    "from.host": re.compile(r"[^A-Za-z0-9._:\[\]-]+"),
    "to.host": re.compile(r"[^A-Za-z0-9._:\[\]-]+"),
    "from.display": re.compile(rf'[{CONTROLS}"\\]+'),
}
_UNWANTED_IN_TARGET = re.compile(rf'[{CONTROLS}\s<>",]+')


@dataclass(slots=True)
class Pending:
    """What the rules so far have set for a call that is not decided yet."""

    edits: list[Edit] = field(default_factory=list)
    srtp: Srtp | None = None
    downgrade: Downgrade | None = None


Ending = Callable[[Facts, Pending], Decision]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One then, compiled; ``ending`` is None for ``continue``.

    ``fixed`` is the decision where no fact and no earlier rule enters into it; ``trunks`` are
    those it routes to. A step is an edit and whether anything after it can see it.
    """

    steps: tuple[tuple[Callable[[Facts], Edit], bool], ...]
    srtp: Srtp | None
    downgrade: Downgrade | None
    ending: Ending | None
    fixed: Decision | None
    trunks: tuple[str, ...]

    def run(self, facts: Facts, pending: Pending) -> Facts:
        """Do the edits and policies; returns the facts as the next action or rule sees them."""
        for make, seen in self.steps:
            edit = make(facts)
            pending.edits.append(edit)
            if seen:
                facts = edited(facts, edit)
        pending.srtp = self.srtp or pending.srtp
        pending.downgrade = self.downgrade or pending.downgrade
        return facts


def compile_outcome(actions: tuple[syntax.Node, ...], place: str) -> Outcome:
    """Compile a checked then; ``place`` is what its decisions say in ``rule``."""
    srtp: Srtp | None = None
    downgrade: Downgrade | None = None
    for action in actions:
        if isinstance(action, syntax.SrtpAction):
            srtp = _SRTP[action.verb]
        elif isinstance(action, syntax.DowngradeAction):
            downgrade = cast(Downgrade, action.verb)
    last = actions[-1]
    steps = tuple(
        (step, _is_seen(actions[at + 1 :]))
        for at, action in enumerate(actions)
        if (step := _step(action)) is not None
    )
    hops = _hops(last) if isinstance(last, syntax.RouteAction) else ()
    ending = _ending(last, hops, place)
    fixed = None
    if ending is not None and all(_is_constant(action) for action in actions):
        fixed = ending(Facts(), Pending([make(Facts()) for make, _ in steps], srtp, downgrade))
    return Outcome(steps, srtp, downgrade, ending, fixed, tuple(hop.trunk for hop in hops))


def _is_seen(later: tuple[syntax.Node, ...]) -> bool:
    """Whether an edit can still be seen by a later action, or by later rules."""
    return any(isinstance(action, syntax.ContinueAction) or not _is_constant(action) for action in later)


def _is_constant(action: syntax.Node) -> bool:
    """Whether an action does the same for every call."""
    if isinstance(action, syntax.SetPartAction | syntax.SetHeaderAction):
        return isinstance(action.value, syntax.Text)
    return not isinstance(action, syntax.RedirectAction)


def _step(action: syntax.Node) -> Callable[[Facts], Edit] | None:
    match action:
        case syntax.SetPartAction():
            part = cast(Part, action.part.name)
            make = clean(action.value, _UNWANTED[part])
            return lambda facts: SetPart(part, make(facts))
        case syntax.SetHeaderAction():
            name, text = action.name.value, clean(action.value)
            return lambda facts: SetHeader(name, text(facts))
        case syntax.RemoveHeaderAction():
            removal = RemoveHeader(action.glob.value)
            return lambda facts: removal
    return None


def _ending(last: syntax.Node, hops: tuple[Hop, ...], place: str) -> Ending | None:
    match last:
        case syntax.RouteAction():
            return lambda facts, pending: Route(
                hops, tuple(pending.edits), pending.srtp, pending.downgrade, place
            )
        case syntax.RejectAction():
            refusal = Reject(last.status.value, last.reason.value if last.reason else "", place)
            return lambda facts, pending: refusal
        case syntax.RedirectAction():
            targets = tuple(clean(target, _UNWANTED_IN_TARGET) for target in last.targets)
            return lambda facts, pending: Redirect(tuple([make(facts) for make in targets]), place)
    return None


def _hops(route: syntax.RouteAction) -> tuple[Hop, ...]:
    first, *rest = route.hops
    return (Hop(first.trunk.value), *(Hop(hop.trunk.value, _failures(hop)) for hop in rest))


def _failures(hop: syntax.HopClause) -> tuple[Failure, ...]:
    if not hop.on:
        return DEFAULT_FAILURES
    return tuple(int(word.value) if word.value.isdigit() else cast(Failure, word.value) for word in hop.on)


def edited(facts: Facts, edit: Edit) -> Facts:
    """The facts of a call as they are after ``edit``."""
    match edit:
        case SetPart(part, value):
            return _with(facts, PARTS[part], value)
        case SetHeader(name, value):
            return _with(facts, "header", _with_header(facts.header, name.lower(), value))
        case RemoveHeader(glob):
            return _with(facts, "header", _without_headers(facts.header, glob))


_FIELDS = [each.name for each in fields(Facts)]
_ALL = attrgetter(*_FIELDS)
_INDEX = {name: at for at, name in enumerate(_FIELDS)}


def _with(facts: Facts, attribute: str, value: object) -> Facts:
    """A copy with one field changed; a third of the cost of dataclasses.replace."""
    values = list(_ALL(facts))
    values[_INDEX[attribute]] = value
    return Facts(*values)


def _with_header(header: Callable[[str], str | None], wanted: str, value: str) -> Callable[[str], str | None]:
    return lambda name: value if name.lower() == wanted else header(name)


def _without_headers(header: Callable[[str], str | None], glob: str) -> Callable[[str], str | None]:
    return lambda name: None if matches_glob(name, glob) else header(name)
