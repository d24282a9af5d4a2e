"""A compiled then: the edits it makes, the policies it sets, and how it ends.

Actions happen in the order in which they are written: what one sets, the next ones see, and
after ``continue`` the rules that follow see it too. A then into which no fact enters is one
decision, made at load.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, cast

from dsl import syntax
from dsl.addresses import canonical_host, canonical_user, read_user
from dsl.check_actions import PARTS, SIDES, UNITS
from dsl.compile import CONTROLS, Value, clean, condition, value
from dsl.decision import (
    ABSENT_FAILURES,
    DEFAULT_FAILURES,
    PERIODS,
    AnswerAs,
    Challenge,
    Class,
    CopyHeader,
    Counted,
    Decision,
    Downgrade,
    Edit,
    Failure,
    Hop,
    Limit,
    Part,
    Redirect,
    Redirects,
    Reject,
    RemoveHeader,
    SetHeader,
    SetParam,
    SetPart,
    Srtp,
    Turn,
    Window,
    route_of,
)
from dsl.draft import Draft, EditedHeaders, with_param
from dsl.facts import USERS, Facts
from dsl.question import Ending, Question, asking
from dsl.scope import GROUP, TABLE, Scope, target_of

SRTP: dict[str, Srtp] = {"require": "required", "offer": "offer", "accept": "accept", "no": "off"}
_PERIODS = {"": 0, **{period: seconds for seconds, period in PERIODS.items()}}

# What may not stand in a part of a URI (RFC 3261 25.1) or in a quoted display name.
_UNWANTED = {
    "from.user": re.compile(rf'[{CONTROLS}\s<>"@]+'),
    "to.user": re.compile(rf'[{CONTROLS}\s<>"@]+'),
    "from.host": re.compile(r"[^A-Za-z0-9._:\[\]-]+"),
    "to.host": re.compile(r"[^A-Za-z0-9._:\[\]-]+"),
    "from.type": re.compile(r"[^A-Za-z]+"),
    "to.type": re.compile(r"[^A-Za-z]+"),
    "from.display": re.compile(rf'[{CONTROLS}"\\]+'),
    "from.scheme": re.compile(r"[^a-z]+"),
    "to.scheme": re.compile(r"[^a-z]+"),
    "asserted.user": re.compile(rf'[{CONTROLS}\s<>"@]+'),
    "asserted.display": re.compile(rf'[{CONTROLS}"\\]+'),
}
_UNWANTED_IN_PARAM = re.compile(rf'[{CONTROLS}\s<>"]+')
_UNWANTED_IN_TARGET = re.compile(rf'[{CONTROLS}\s<>",]+')

Step = Callable[[Draft], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """One then, compiled; ``ending`` is None for ``continue``.

    ``fixed`` is the decision where no fact and no earlier rule enters into it; ``trunks`` are
    those that it can route to, beside where a user is ``registered``; ``realm`` is whose password it asks
    for, empty for none. ``asks`` are the services that it asks; ``ends``: no rule after it is asked about a
    call that it takes.
    """

    steps: tuple[Step, ...]
    ending: Ending | None
    fixed: Decision | None
    trunks: tuple[str, ...]
    realm: str
    place: str
    asks: tuple[str, ...] = ()
    ends: bool = True
    registered: bool = False

    def run(self, draft: Draft) -> Decision | Question | None:
        """Do the actions; None where the next rule is to be asked, a question where a service is first."""
        facts = draft.facts
        if self.realm and not facts.unchallenged and not (facts.auth_user and facts.auth_realm == self.realm):
            return Challenge(self.realm, self.place, draft.tags)
        for step in self.steps:
            step(draft)
        return None if self.ending is None else self.ending(draft)


def compile_outcome(actions: tuple[syntax.Node, ...], place: str, scope: Scope, before: int = 0) -> Outcome:
    """Compile a checked then; ``place`` is what its decisions say in ``rule``.

    ``before`` are the actions of the same then that stand before these.
    """
    name = place.rpartition(" (")[0]  # counts go on when a reload has moved the rule
    asked = [at for at, action in enumerate(actions) if isinstance(action, syntax.AskAction)]
    first = actions[: asked[0]] if asked else actions
    made = [_step(action, f"{name} #{at}", scope) for at, action in enumerate(first, before)]
    steps = tuple(step for step in made if step is not None)
    last = actions[-1]
    realm = next((each.realm.value for each in actions if isinstance(each, syntax.ChallengeAction)), "")
    if asked:
        rest = actions[asked[0] + 1 :] or (syntax.ContinueAction(last.end, last.end),)
        behind = compile_outcome(rest, place, scope, before + len(first) + 1)
        return _asking(actions[asked[0]], steps, behind, realm, scope)
    ending = _ending(last, place, scope)
    trunks = _trunks(last, scope)
    fixed = None
    if ending is not None and not realm and all(_is_constant(action) for action in actions):
        draft = Draft(Facts())
        for step in steps:
            step(draft)
        ended = ending(draft)
        fixed = ended if not isinstance(ended, Question) else None
    return Outcome(steps, ending, fixed, trunks, realm, place, (), ending is not None, _rings(last))


def _asking(
    action: syntax.Node, steps: tuple[Step, ...], behind: Outcome, realm: str, scope: Scope
) -> Outcome:
    """A then that asks a service after ``steps``, and goes on as ``behind`` when that has answered."""
    assert isinstance(action, syntax.AskAction) and action.otherwise is not None, "the checker saw to it"
    service = scope.services[action.name.value]
    otherwise = _ending(action.otherwise, behind.place, scope)
    ask = asking(service, behind.place, behind.run, otherwise)
    trunks = tuple(dict.fromkeys((*_trunks(action.otherwise, scope), *behind.trunks)))
    ends = behind.ends and otherwise is not None
    asks, rings = (service.name, *behind.asks), behind.registered or _rings(action.otherwise)
    return Outcome(steps, ask, None, trunks, realm, behind.place, asks, ends, rings)


def _trunks(last: syntax.Node, scope: Scope) -> tuple[str, ...]:
    """Every trunk that an ending can route to."""
    if not isinstance(last, syntax.RouteAction):
        return ()
    return tuple(dict.fromkeys(name for hop in last.hops for name in _targets(hop.target, scope)))


def _rings(last: syntax.Node) -> bool:
    """Whether an ending can route to where a user is registered."""
    return isinstance(last, syntax.RouteAction) and any(
        isinstance(hop.target, syntax.Registered) for hop in last.hops
    )


def _is_constant(action: syntax.Node) -> bool:
    """Whether an action does the same for every call."""
    match action:
        case (
            syntax.SetPartAction(value=text)
            | syntax.SetHeaderAction(value=text)
            | syntax.SetParamAction(value=text)
            | syntax.TagAction(text=text)
        ):
            return isinstance(text, syntax.Text)
        case syntax.LimitAction() | syntax.RememberAction() | syntax.RedirectAction():
            return False
        case syntax.RouteAction(hops=hops):
            return not any(isinstance(hop.target, syntax.Lookup) for hop in hops) and all(
                _is_constant(edit) for hop in hops for edit in hop.edits
            )
    return True


def _step(action: syntax.Node, place: str, scope: Scope) -> Step | None:
    match action:
        case syntax.SetPartAction() | syntax.SetHeaderAction():
            return _setting(action, scope)
        case syntax.SetParamAction():
            return _setting_param(action, scope)
        case syntax.RemoveHeaderAction():
            return _editing(RemoveHeader(action.glob.value))
        case syntax.CopyHeaderAction():
            return _editing(CopyHeader(action.glob.value, action.name.value if action.name else ""))
        case syntax.LimitAction():
            return _limiting(action, place, scope)
        case syntax.RememberAction():
            return _remembering(action, scope)
        case syntax.TagAction():
            make = clean(action.text, scope)

            def tag(draft: Draft) -> None:
                draft.tags += (make(draft),)

            return tag
    return _policy(action)


def _setting(action: syntax.SetPartAction | syntax.SetHeaderAction, scope: Scope) -> Step:
    if isinstance(action, syntax.SetPartAction):
        part = cast(Part, action.part.name)
        attribute, make = PARTS[part], clean(action.value, scope, _UNWANTED[part])

        def set_part(draft: Draft) -> None:
            text = make(draft)
            draft.edits.append(SetPart(part, text))
            setattr(draft, attribute, text)

        def set_user(draft: Draft) -> None:
            text = canonical_user(make(draft))
            draft.edits.append(SetPart(part, text))
            setattr(draft, attribute, read_user("sip", text)[0])

        def set_host(draft: Draft) -> None:
            text = make(draft)
            draft.edits.append(SetPart(part, text))
            setattr(draft, attribute, canonical_host(text.strip("[]")))

        if attribute in USERS:
            return set_user
        return set_host if part in ("from.host", "to.host") else set_part
    name, write = action.name.value, clean(action.value, scope)

    def set_header(draft: Draft) -> None:
        draft.edit_headers(SetHeader(name, write(draft)))

    return set_header


def _setting_param(action: syntax.SetParamAction, scope: Scope) -> Step:
    side, name, make = SIDES[action.whose], action.name.value, clean(action.value, scope, _UNWANTED_IN_PARAM)
    return lambda draft: draft.edit_param(SetParam(side, name, make(draft)))


def _editing(edit: RemoveHeader | CopyHeader) -> Step:
    return lambda draft: draft.edit_headers(edit)


def _remembering(action: syntax.RememberAction, scope: Scope) -> Step:
    make, days = value(action.text, scope), int(action.days.value)

    def remember(draft: Draft) -> None:
        draft.remember += ((make(draft), days),)

    return remember


def _limiting(action: syntax.LimitAction, place: str, scope: Scope) -> Step:
    key, window = value(action.key, scope), _window(action, scope)
    seconds = _PERIODS[action.period] if window is None else 0
    refusal, status, reason = action.refusal, 503 if window is None else 403, ""
    if refusal is not None:
        status, reason = int(refusal.status.value), refusal.reason.value if refusal.reason else ""

    if isinstance(action.calls, syntax.Lookup):
        find = value(action.calls, scope)

        def limit_found(draft: Draft) -> None:
            most = int(find(draft) or 0)  # whom the table does not know has none
            draft.limits += (Limit(f"{place} {key(draft)}", most, seconds, status, reason, window, place),)

        limit: Step = limit_found
    else:
        calls = int(action.calls.value)

        def limit_all(draft: Draft) -> None:
            draft.limits += (Limit(f"{place} {key(draft)}", calls, seconds, status, reason, window, place),)

        limit = limit_all
    if action.to is None:
        return limit
    meant = condition(action.to, scope)

    def limit_some(draft: Draft) -> None:
        if meant(draft):
            limit(draft)

    return limit_some


def _window(action: syntax.LimitAction, scope: Scope) -> Window | None:
    """Hours and days by the clock: of time always, of calls the days alone."""
    if not action.unit and action.period != "day":
        return None
    of = action.unit.rstrip("s") + "s" if action.unit else "calls"
    return Window(cast(Counted, of), cast(Turn, action.period), scope.zone, action.hard)


def _policy(action: syntax.Node) -> Step | None:
    """What sets one attribute of the draft, whatever the call."""
    match action:
        case syntax.SrtpAction():
            return _put("srtp", SRTP[action.verb])
        case syntax.DowngradeAction():
            return _put("downgrade", cast(Downgrade, action.verb))
        case syntax.RedirectsAction():
            return _put("redirects", cast(Redirects, action.verb))
        case syntax.CodecsAction():
            return _put(action.verb, tuple(name.value.upper() for name in action.names))
        case syntax.RingAction():
            return _put("ring", int(action.amount.value) * UNITS[action.unit])
        case syntax.LongestAction():
            return _put("longest", int(action.amount.value) * UNITS[action.unit])
        case syntax.AnswerAction():
            return _answering(action)
        case syntax.RecordAction():
            return _record_with_tone if action.tone else _put("record", True)
        case syntax.HookAction():
            name = action.name.value

            def call_hook(draft: Draft) -> None:
                draft.hooks += (name,)

            return call_hook
    return None


def _answering(action: syntax.AnswerAction) -> Step:
    status, reason = int(action.status.value), action.reason.value if action.reason else ""
    more = tuple(
        AnswerAs(int(each.value) if each.value.isdigit() else cast(Class, each.value), status, reason)
        for each in action.of
    )

    def answer(draft: Draft) -> None:
        draft.answers += more

    return answer


def _record_with_tone(draft: Draft) -> None:
    draft.record = draft.tone = True


def _put(attribute: str, setting: object) -> Step:
    return lambda draft: setattr(draft, attribute, setting)


def _ending(last: syntax.Node, place: str, scope: Scope) -> Ending | None:
    match last:
        case syntax.RouteAction():
            return _routing(last, place, scope)
        case syntax.RejectAction():
            status, reason = int(last.status.value), last.reason.value if last.reason else ""
            return lambda draft: Reject(status, reason, place, draft.tags)
        case syntax.RedirectAction():
            targets = tuple(clean(target, scope, _UNWANTED_IN_TARGET) for target in last.targets)
            return lambda draft: Redirect(
                tuple([make(draft) for make in targets]), place, draft.tags, draft.downgrade
            )
    return None


def _routing(action: syntax.RouteAction, place: str, scope: Scope) -> Ending:
    fixed = tuple(_hop(hop, action.hops[:at], scope) for at, hop in enumerate(action.hops))
    finders: list[tuple[Value | None, Hop]] = [
        (value(hop.target, scope) if isinstance(hop.target, syntax.Lookup) else None, known)
        for hop, known in zip(action.hops, fixed, strict=True)
    ]
    asks = any(find is not None for find, _ in finders)
    edits = tuple(tuple(_steps(hop.edits, scope)) for hop in action.hops)
    if any(edits):
        return _routing_with(finders, edits, place)

    def route(draft: Draft) -> Decision:
        hops = _found(finders, draft) if asks else fixed
        return _route(hops, place, draft)

    return route


def _route(hops: tuple[Hop, ...], place: str, draft: Draft) -> Decision:
    if not hops:
        return Reject(404, "No route", place, draft.tags)
    return route_of(
        hops, tuple(draft.edits), draft.srtp, draft.downgrade, place, draft.hooks, draft.tags, draft.codecs,
        draft.ring, draft.limits, draft.redirects, draft.longest, draft.answers, draft.record,
        draft.tone, draft.remember,
    )  # fmt: skip


def _routing_with(
    finders: list[tuple[Value | None, Hop]], edits: tuple[tuple[Step, ...], ...], place: str
) -> Ending:
    """A route of which some hops have edits of their own: each begins with what the rules have made."""

    def route(draft: Draft) -> Decision:
        own = [
            (find, replace(hop, edits=_aside(steps, draft)) if steps else hop)
            for (find, hop), steps in zip(finders, edits, strict=True)
        ]
        return _route(_found(own, draft), place, draft)

    return route


def _aside(steps: tuple[Step, ...], draft: Draft) -> tuple[Edit, ...]:
    """The edits that ``steps`` make, of which the draft of the call sees nothing."""
    other = Draft(edited(draft.facts, draft.edits))
    other.tags, other.said = draft.tags, draft.said
    for step in steps:
        step(other)
    return tuple(other.edits)


def _steps(edits: tuple[syntax.Node, ...], scope: Scope) -> Iterator[Step]:
    for edit in edits:
        step = _step(edit, "", scope)
        if step is not None:
            yield step


def _found(finders: list[tuple[Value | None, Hop]], draft: Draft) -> tuple[Hop, ...]:
    """The hops of this call: a table's empty cell is none, and no trunk is tried twice."""
    hops: dict[str, Hop] = {}
    for find, hop in finders:
        name = find(draft) if find is not None else hop.trunk
        if hop.group is not None or hop.registered:
            hops.setdefault(target_of(hop), hop)
        elif name:
            hops.setdefault(name, Hop(name, hop.on, None, hop.edits))
    return tuple(hops.values())


def _hop(hop: syntax.HopClause, before: tuple[syntax.HopClause, ...], scope: Scope) -> Hop:
    on = _failures(hop, before) if before else ()
    match hop.target:
        case syntax.Registered(one_by_one=one_by_one):
            return Hop("", on, registered="one by one" if one_by_one else "together")
        case syntax.Text(value=name):
            return Hop(name, on)
        case syntax.FactRef(name=name):
            return Hop("", on, scope.groups[name.removeprefix(GROUP)])
    return Hop("", on)


def _targets(target: syntax.Node, scope: Scope) -> Iterator[str]:
    """Every trunk that a target of a route can be."""
    match target:
        case syntax.Text(value=name):
            yield name
        case syntax.FactRef(name=name):
            yield from (member for member, _ in scope.groups[name.removeprefix(GROUP)].members)
        case syntax.Lookup(table=table, column=column):
            yield from (name for name, _ in scope.tables[table.removeprefix(TABLE)].values(column) if name)


def _failures(hop: syntax.HopClause, before: tuple[syntax.HopClause, ...]) -> tuple[Failure, ...]:
    if not hop.on:
        absent = any(isinstance(each.target, syntax.Registered) for each in before)
        return (*DEFAULT_FAILURES, *ABSENT_FAILURES) if absent else DEFAULT_FAILURES
    return tuple(int(word.value) if word.value.isdigit() else cast(Failure, word.value) for word in hop.on)


def edited(facts: Facts, edits: Iterable[Edit]) -> Facts:
    """The facts of a call as they are after ``edits``, where there is no draft of it."""
    changed: dict[str, Any] = {}
    headers: EditedHeaders | None = None
    for edit in edits:
        if isinstance(edit, SetPart):
            attribute = PARTS[edit.part]
            changed[attribute] = read_user("sip", edit.value)[0] if attribute in USERS else edit.value
        elif isinstance(edit, SetParam):
            attribute = "ruri_param" if edit.side == "to" else "from_param"
            changed[attribute] = with_param(changed.get(attribute, getattr(facts, attribute)), edit)
        else:
            headers = headers or EditedHeaders(facts.header)
            headers.apply(edit)
    if headers is not None:
        changed["header"] = headers.get
    return replace(facts, **changed)
