"""Whether a decision that the language did not make (a hook's) keeps the language's promises."""

from __future__ import annotations

import re
from collections.abc import Collection

from dsl.check_actions import PARTS
from dsl.compile import CONTROLS
from dsl.decision import (
    Challenge,
    Codecs,
    CopyHeader,
    Edit,
    Group,
    Hop,
    Limit,
    Redirect,
    Reject,
    RemoveHeader,
    Route,
    SetHeader,
    SetPart,
)
from dsl.ownership import copy_refusal, remove_refusal, set_refusal

_CONTROL = re.compile(rf"[{CONTROLS}]")
_POLICIES = {
    "srtp": (None, "off", "accept", "offer", "required"),
    "downgrade": (None, "allow", "warn", "forbid"),
}


def refusal(decision: object, known_trunks: Collection[str]) -> str | None:
    """Why a decision cannot be carried out, in words without any value of the call; None if it can."""
    match decision:
        case Route():
            return _route_refusal(decision, known_trunks)
        case Reject(status=status, reason=reason):
            if type(status) is not int or not 400 <= status <= 699:
                return "a call is rejected with 400 to 699"
            return None if is_clean(reason) else "the reason is not a text of one line"
        case Redirect(targets=targets):
            if not isinstance(targets, tuple) or not targets:
                return "a redirect needs a tuple of targets"
            clean = all(
                is_clean(target) and target.startswith(("sip:", "sips:", "tel:")) for target in targets
            )
            return None if clean else "a redirect target is not a SIP URI"
        case Challenge():
            return "a hook cannot ask for a password: a rule does, with challenge"
    return f"{type(decision).__name__} is not a decision"


def _route_refusal(route: Route, known_trunks: Collection[str]) -> str | None:
    if not isinstance(route.hops, tuple) or not route.hops:
        return "a route needs a tuple of hops"
    for hop in route.hops:
        if not isinstance(hop, Hop) or not isinstance(hop.trunk, str):
            return "a hop of the route is not a Hop"
        group = hop.group
        if group is not None and not isinstance(group, Group):
            return "the group of a hop is not a Group"
        for name in (hop.trunk,) if group is None else [member for member, _ in group.members]:
            if name not in known_trunks:
                return f"there is no trunk {name[:64]!r}"
    for name, choices in _POLICIES.items():
        if getattr(route, name) not in choices:
            return f"{name} is one of {', '.join(str(choice) for choice in choices)}"
    return edits_refusal(route.edits) or _extras_refusal(route)


def edits_refusal(edits: object) -> str | None:
    """Why these are no edits that can be made; None if they are."""
    if not isinstance(edits, tuple):
        return "the edits are not a tuple"
    return next((why for edit in edits if (why := _edit_refusal(edit))), None)


def _extras_refusal(route: Route) -> str | None:
    for name in ("tags", "hooks"):
        texts = getattr(route, name)
        if not isinstance(texts, tuple) or not all(is_clean(text) for text in texts):
            return f"{name} are a tuple of texts of one line"
    if not isinstance(route.limits, tuple) or not all(isinstance(each, Limit) for each in route.limits):
        return "the limits are not a tuple of Limit"
    if route.codecs is not None and not isinstance(route.codecs, Codecs):
        return "the codecs are not a Codecs"
    if route.ring is not None and (type(route.ring) is not int or route.ring < 1):
        return "ring is a number of seconds"
    return None


def _edit_refusal(edit: Edit) -> str | None:
    match edit:
        case SetPart(part=part, value=value):
            if part not in PARTS:
                return "a part that cannot be set"
            return None if is_clean(value) else f"{part} is set to what is not a text of one line"
        case SetHeader(name=str(name), value=value):
            refused = set_refusal(name)
            if refused:
                return refused[0]
            return None if is_clean(value) else f"{name} is set to what is not a text of one line"
        case RemoveHeader(glob=str(glob)):
            refused = remove_refusal(glob)
            return refused[0] if refused else None
        case CopyHeader(glob=str(glob), name=str(name)):
            refused = copy_refusal(glob, bool(name)) or (set_refusal(name) if name else None)
            return refused[0] if refused else None
    return "an edit is not a SetPart, SetHeader, RemoveHeader or CopyHeader"


def is_clean(value: object) -> bool:
    """Whether it is a text without line breaks and other control characters."""
    return isinstance(value, str) and not _CONTROL.search(value)
