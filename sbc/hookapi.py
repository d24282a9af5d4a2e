"""All that a hook needs to import: the facts of a call, the decisions, and short ways to make them.

A hook is a file in hooks/ that defines ``on_route(facts, decision)``. It returns None when it
has no opinion, or the decision that replaces the one it was given::

    from dataclasses import replace
    from sbc.hookapi import Route, reject

    def on_route(facts, decision):
        if facts.from_user == "anonymous":
            return reject(433, "Anonymity Disallowed")
        if isinstance(decision, Route) and facts.sips:
            return replace(decision, downgrade="forbid")
"""

from __future__ import annotations

from dsl.decision import (
    DEFAULT_FAILURES,
    Decision,
    Edit,
    Failure,
    Hop,
    Redirect,
    Reject,
    RemoveHeader,
    Route,
    SetHeader,
    SetPart,
)
from dsl.facts import Facts

__all__ = [
    "DEFAULT_FAILURES",
    "Decision",
    "Edit",
    "Facts",
    "Failure",
    "Hop",
    "Redirect",
    "Reject",
    "RemoveHeader",
    "Route",
    "SetHeader",
    "SetPart",
    "redirect",
    "reject",
    "route",
    "with_edits",
]


def route(*trunks: str, on: tuple[Failure, ...] = DEFAULT_FAILURES, edits: tuple[Edit, ...] = ()) -> Route:
    """Send the call to ``trunks`` in turn, to the next one upon the failures ``on``."""
    return Route(tuple(Hop(trunk, on if at else ()) for at, trunk in enumerate(trunks)), edits)


def reject(status: int, reason: str = "") -> Reject:
    """Answer the call with ``status`` (400 to 699) and ``reason``."""
    return Reject(status, reason)


def redirect(*targets: str) -> Redirect:
    """Answer 302 with these SIP URIs, the first choice first."""
    return Redirect(targets)


def with_edits(decision: Route, *edits: Edit) -> Route:
    """The same route with more edits after those it has; trunks and policies stay."""
    return Route(decision.hops, (*decision.edits, *edits), decision.srtp, decision.downgrade, decision.rule)
