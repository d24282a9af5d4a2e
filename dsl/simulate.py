"""Running the tests that stand beside the rules: given a call, expect a decision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from dsl.check_actions import PARTS
from dsl.decision import Challenge, Decision, Limit, Redirect, Reject, Route, SetHeader, SetPart
from dsl.errors import Diagnostic
from dsl.facts import Facts
from dsl.scope import target_of
from dsl.services import Answers

#: How what leaves at one target of a route is asked: ``at carrier from.user``.
AT = "at "
Explain = Callable[[Facts, Answers], tuple[Decision, list[str]]]


@dataclass(frozen=True, slots=True)
class Expectation:
    """One line of an ``expect``: what is asked (``route``, ``srtp``, ...), the answer, its place."""

    key: str
    wanted: tuple[str, ...]
    line: int
    col: int
    shown: str


@dataclass(frozen=True, slots=True)
class RouteTest:
    """One entry of ``tests:``: a call, what services answer, and what is expected to become of it."""

    path: str
    facts: Facts
    expected: tuple[Expectation, ...]
    answers: Answers = field(default_factory=dict)


def run_test(test: RouteTest, explain: Explain) -> list[Diagnostic]:
    """A diagnostic for each expectation that fails, the reason being the rule that decided."""
    decision, trace = explain(test.facts, test.answers)
    failures = []
    for each in test.expected:
        found = observe(decision, test.facts, each.key)
        if found != each.wanted:
            message = f"expected {each.key} {_show(each.wanted)}, but it is {_show(found)}"
            failures.append(
                Diagnostic(test.path, each.line, each.col, message, f"decided by {trace[-1]}", each.shown)
            )
    return failures


def observe(decision: Decision, facts: Facts, key: str) -> tuple[str, ...]:
    """What a decision says about ``key`` (as in ``expect``); empty where it says nothing."""
    if key == "rule":
        return (decision.rule.rpartition(" (")[0] or decision.rule,)
    if key == "tags":
        return decision.tags
    match decision:
        case Challenge(realm=realm):
            return (realm,) if key == "challenge" else ()
        case Reject(status=status, reason=reason):
            return {"reject": (str(status),), "reason": (reason,)}.get(key, ())
        case Redirect(targets=targets, downgrade=policy):
            return {"redirect": targets, "downgrade": (policy,) if policy else ()}.get(key, ())
        case Route():
            return _observe_route(decision, facts, key)


def _observe_route(route: Route, facts: Facts, key: str) -> tuple[str, ...]:
    if key.startswith(AT):
        target, _, what = key.removeprefix(AT).partition(" ")
        found = next((at for at, hop in enumerate(route.hops) if target_of(hop) == target), None)
        return _observe_route(route.at(found), facts, what) if found is not None else ()
    if key == "route":
        return tuple(map(target_of, route.hops))
    if key in ("codecs", "ring", "longest", "answers", "limits", "hooks", "record", "tone", "remember"):
        return _observe_more(route, key)
    if key in ("srtp", "downgrade", "redirects"):
        policies = {"srtp": route.srtp, "downgrade": route.downgrade, "redirects": route.redirects}
        policy = policies[key]
        return (policy,) if policy else ()
    if key in PARTS:
        written = [edit.value for edit in route.edits if isinstance(edit, SetPart) and edit.part == key]
        return (written[-1] if written else str(getattr(facts, PARTS[key])),)
    name = key.removeprefix("header ").lower()
    headers = [
        edit.value for edit in route.edits if isinstance(edit, SetHeader) and edit.name.lower() == name
    ]
    return (headers[-1],) if headers else ()


def _observe_more(route: Route, key: str) -> tuple[str, ...]:
    if key == "hooks":
        return route.hooks
    if key == "remember":
        return tuple([text for text, _ in route.remember])
    if key == "record":
        return ("true" if route.record else "false",)
    if key == "tone":
        return ("true" if route.tone else "false",)
    if key == "ring":
        return (str(route.ring),) if route.ring is not None else ()
    if key == "longest":
        return (str(route.longest),) if route.longest is not None else ()
    if key == "answers":
        return tuple(f"{each.of} as {each.status}" for each in route.answers)
    if key == "limits":
        return tuple(_allowed(limit) for limit in route.limits)
    codecs = route.codecs
    if codecs is None:
        return ()
    return (*(f"+{name}" for name in codecs.allow), *(f"-{name}" for name in codecs.deny), *codecs.prefer)


def _allowed(limit: Limit) -> str:
    """The number of calls alone, or time as it is written."""
    timed = limit.window is not None and limit.window.of != "calls"
    return limit.text if timed else str(limit.calls)


def _show(values: tuple[str, ...]) -> str:
    return ", ".join(f'"{value}"' for value in values) if values else "not set"
