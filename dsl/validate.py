"""Whether a decision that the language did not make (a hook's) keeps the language's promises.

Every field is judged by its exact type and range. True is no number, a list is no tuple, and a subclass may
answer something else each time it is asked; what gets through here is carried out by code that is compiled
in one build and not in the other, and must mean the same to both. What rules themselves decide always
passes, for a hook may return it changed in one field.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import tzinfo
from typing import get_args

from dsl.check_actions import MOST_CALLS, MOST_DAYS, MOST_LONGEST, MOST_RING, PARTS, param_refusal
from dsl.compile import CONTROLS
from dsl.decision import (
    AnswerAs,
    Challenge,
    Codecs,
    CopyHeader,
    Counted,
    Group,
    Hop,
    Limit,
    Redirect,
    Reject,
    RemoveHeader,
    Route,
    SetHeader,
    SetParam,
    SetPart,
    Turn,
    Window,
)
from dsl.definitions import HEAVIEST
from dsl.ownership import copy_refusal, remove_refusal, set_refusal
from dsl.patterns import MAX_TEXT

MOST_SECONDS = 31 * 86_400

_CONTROL = re.compile(rf"[{CONTROLS}]")
_CODEC = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,63}")
_TARGET = re.compile(r'(?:sips?|tel):[^\s<>",]*')
_ALLOWED = {
    "from.host": re.compile(r"[A-Za-z0-9._:\[\]-]*"),
    "to.host": re.compile(r"[A-Za-z0-9._:\[\]-]*"),
    "from.type": re.compile(r"[A-Za-z]*"),
    "to.type": re.compile(r"[A-Za-z]*"),
    "from.scheme": re.compile(r"(?:tel|sip)?"),
    "to.scheme": re.compile(r"(?:tel|sip)?"),
}
_POLICIES = {
    "srtp": ("off", "accept", "offer", "required"),
    "downgrade": ("allow", "warn", "forbid"),
    "redirects": ("refuse", "pass", "follow"),
}


def refusal(decision: object, known_trunks: Collection[str]) -> str | None:
    """Why a decision cannot be carried out, in words without any value of the call; None if it can."""
    if type(decision) is Route:
        return _route_refusal(decision, known_trunks) or _said_refusal(decision)
    if type(decision) is Reject:
        if not _is_number(decision.status, 400, 699):
            return "a call is rejected with 400 to 699"
        if not is_clean(decision.reason, MAX_TEXT):
            return "the reason is not a text of one line"
        return _said_refusal(decision)
    if type(decision) is Redirect:
        policy = _policy_refusal(decision, "downgrade")
        return _targets_refusal(decision.targets) or policy or _said_refusal(decision)
    if type(decision) is Challenge:
        return "a hook cannot ask for a password: a rule does, with challenge"
    return f"{name_of(decision)} is not a decision"


def name_of(value: object) -> str:
    """What the type of a foreign value is called, in a few letters."""
    name: str = type.__dict__["__name__"].__get__(type(value))
    return name[:64]


def _said_refusal(decision: Route | Reject | Redirect) -> str | None:
    """What is wrong with what a decision says of itself."""
    if not is_clean(decision.rule):
        return "the rule is not a text of one line"
    return None if _are_clean(decision.tags) else "tags are a tuple of texts of one line"


def _targets_refusal(targets: object) -> str | None:
    if type(targets) is not tuple or not targets:
        return "a redirect needs a tuple of targets"
    good = all(is_clean(each, MAX_TEXT) and _TARGET.fullmatch(each) for each in targets)
    return None if good else "a redirect target is not a SIP URI"


def _route_refusal(route: Route, known_trunks: Collection[str]) -> str | None:
    if type(route.hops) is not tuple or not route.hops:
        return "a route needs a tuple of hops"
    for hop in route.hops:
        why = _hop_refusal(hop, known_trunks)
        if why is not None:
            return why
    policy = next((why for name in _POLICIES if (why := _policy_refusal(route, name))), None)
    return policy or edits_refusal(route.edits) or _extras_refusal(route)


def _policy_refusal(decision: Route | Redirect, name: str) -> str | None:
    chosen, choices = getattr(decision, name), _POLICIES[name]
    if chosen is None or (type(chosen) is str and chosen in choices):
        return None
    return f"{name} is one of None, {', '.join(choices)}"


def _hop_refusal(hop: object, known_trunks: Collection[str]) -> str | None:
    if type(hop) is not Hop or type(hop.trunk) is not str:
        return "a hop of the route is not a Hop"
    if type(hop.on) is not tuple or not all(_is_failure(each) for each in hop.on):
        return "a hop's failures are a tuple of 300 to 599, 3xx to 5xx, timeout or unreachable"
    if hop.edits != () and (why := edits_refusal(hop.edits)):
        return why
    if type(hop.registered) is not str or hop.registered not in ("", "together", "one by one"):
        return "registered of a hop is empty, together or one by one"
    if hop.registered:
        return None if not hop.trunk and hop.group is None else "a hop to a user's phones names no trunk"
    if hop.group is None:
        return _trunk_refusal(hop.trunk, known_trunks)
    group = hop.group
    if type(group) is not Group or not is_clean(group.name):
        return "the group of a hop is not a Group"
    members = group.members
    if type(members) is not tuple or not members or not all(_is_member(each) for each in members):
        return f"the members of a group are a tuple of pairs: a trunk, and a weight of 1 to {HEAVIEST}"
    return next((why for name, _ in members if (why := _trunk_refusal(name, known_trunks))), None)


def _trunk_refusal(name: str, known_trunks: Collection[str]) -> str | None:
    return None if name in known_trunks else f"there is no trunk {name[:64]!r}"


def _is_failure(failure: object) -> bool:
    if type(failure) is str:
        return failure in ("timeout", "unreachable", "3xx", "4xx", "5xx")
    return _is_number(failure, 300, 599)


def _is_member(member: object) -> bool:
    return (
        type(member) is tuple
        and len(member) == 2
        and type(member[0]) is str
        and _is_number(member[1], 1, HEAVIEST)
    )


def edits_refusal(edits: object) -> str | None:
    """Why these are no edits that can be made; None if they are."""
    if type(edits) is not tuple:
        return "the edits are not a tuple"
    return next((why for edit in edits if (why := _edit_refusal(edit))), None)


def _extras_refusal(route: Route) -> str | None:
    if not _are_clean(route.hooks):
        return "hooks are a tuple of texts of one line"
    if type(route.limits) is not tuple:
        return "the limits are not a tuple of Limit"
    for limit in route.limits:
        why = _limit_refusal(limit)
        if why is not None:
            return why
    if route.codecs is not None and not _are_codecs(route.codecs):
        return "the codecs are not a Codecs of tuples of names in capitals"
    if type(route.record) is not bool:
        return "record is True or False"
    if type(route.tone) is not bool or (route.tone and not route.record):
        return "tone is True or False, and True only with record"
    if type(route.remember) is not tuple or not all(_is_remembered(each) for each in route.remember):
        return f"remember is a tuple of pairs: a text of one line, and days, 1 to {MOST_DAYS}"
    if route.ring is not None and not _is_number(route.ring, 1, MOST_RING):
        return f"ring is a number of seconds, 1 to {MOST_RING}"
    if route.longest is not None and not _is_number(route.longest, 1, MOST_LONGEST):
        return f"longest is a number of seconds, 1 to {MOST_LONGEST}"
    if type(route.answers) is not tuple or not all(_is_answer(each) for each in route.answers):
        return (
            "the answers are a tuple of AnswerAs, of 400 to 699 or 4xx to 6xx, as 400 to 699 but 401 and 407"
        )
    return None


def _is_remembered(pair: object) -> bool:
    return (
        type(pair) is tuple
        and len(pair) == 2
        and is_clean(pair[0], MAX_TEXT)
        and _is_number(pair[1], 1, MOST_DAYS)
    )


def _is_answer(answer: object) -> bool:
    if type(answer) is not AnswerAs:
        return False
    of = answer.of
    known = of in ("4xx", "5xx", "6xx") if type(of) is str else _is_number(of, 400, 699)
    told = _is_number(answer.status, 400, 699) and answer.status not in (401, 407)
    return known and told and is_clean(answer.reason, MAX_TEXT)


def _limit_refusal(limit: object) -> str | None:
    if type(limit) is not Limit:
        return "the limits are not a tuple of Limit"
    if type(limit.key) is not str or not limit.key:
        return "the key of a limit is a text"
    if not _is_number(limit.calls, 0, MOST_CALLS) or not _is_number(limit.seconds, 0, MOST_SECONDS):
        return f"a limit is a whole number of calls, up to {MOST_CALLS}, and of seconds, up to {MOST_SECONDS}"
    if not _is_number(limit.status, 400, 699):
        return "a limit refuses with 400 to 699"
    if limit.window is not None and not _is_window(limit.window):
        return "the window of a limit is a Window of calls or of time, by the hour or the day, in a time zone"
    if type(limit.name) is not str:
        return "the name of a limit is a text"
    return None if is_clean(limit.reason, MAX_TEXT) else "the reason is not a text of one line"


def _is_window(window: object) -> bool:
    return (
        type(window) is Window
        and _is_one_of(window.of, get_args(Counted))
        and _is_one_of(window.per, get_args(Turn))
        and isinstance(window.zone, tzinfo | None)
        and type(window.hard) is bool
    )


def _is_one_of(word: object, words: tuple[str, ...]) -> bool:
    return type(word) is str and word in words


def _are_codecs(codecs: object) -> bool:
    if type(codecs) is not Codecs:
        return False
    return all(
        type(names) is tuple and all(type(each) is str and _CODEC.fullmatch(each) for each in names)
        for names in (codecs.allow, codecs.deny, codecs.prefer)
    )


def _edit_refusal(edit: object) -> str | None:
    if type(edit) is SetPart:
        return _part_refusal(edit)
    if type(edit) is SetParam:
        return _param_refusal(edit)
    if type(edit) is SetHeader and type(edit.name) is str:
        refused = set_refusal(edit.name)
        if refused is None and not is_clean(edit.value):
            return f"{edit.name} is set to what is not a text of one line"
    elif type(edit) is RemoveHeader and type(edit.glob) is str:
        refused = remove_refusal(edit.glob)
    elif type(edit) is CopyHeader and type(edit.glob) is str and type(edit.name) is str:
        refused = copy_refusal(edit.glob, bool(edit.name)) or (set_refusal(edit.name) if edit.name else None)
    else:
        return "an edit is not a SetPart, SetParam, SetHeader, RemoveHeader or CopyHeader"
    return refused[0] if refused else None


def _param_refusal(edit: SetParam) -> str | None:
    if type(edit.side) is not str or edit.side not in ("to", "from") or type(edit.name) is not str:
        return "a parameter that cannot be set"
    if not is_clean(edit.value):
        return "a parameter is set to what is not a text of one line"
    refused = param_refusal(edit.name)
    return refused[0] if refused is not None else None


def _part_refusal(edit: SetPart) -> str | None:
    if type(edit.part) is not str or edit.part not in PARTS:
        return "a part that cannot be set"
    if not is_clean(edit.value):
        return f"{edit.part} is set to what is not a text of one line"
    allowed = _ALLOWED.get(edit.part)
    if allowed is not None and not allowed.fullmatch(edit.value):
        return f"{edit.part} is set to what it cannot be"
    return None


def _is_number(value: object, low: int, high: int) -> bool:
    return type(value) is int and low <= value <= high


def _are_clean(texts: object) -> bool:
    return type(texts) is tuple and all(is_clean(text) for text in texts)


def is_clean(value: object, most: int = 0) -> bool:
    """Whether it is a text without line breaks and other control characters, of at most ``most`` characters.

    Surrogates that no octet of a peer stands for count as control characters: they cannot be written.
    """
    return type(value) is str and not _CONTROL.search(value) and (most == 0 or len(value) <= most)
