"""From what a service said to an answer that rules can use, or to the reason why it is none.

A service is believed no further than a hook: it names known trunks, sets what rules may set, and writes no
line of its own into a message. Whoever asks for variables gets each of them, of its type; else it is as
though the service had not answered. The reasons have no value in them, for they are written to the journal.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any, Final, cast

from dsl.addresses import canonical_user
from dsl.check_actions import PARTS
from dsl.clock import NOT_A_NUMBER
from dsl.decision import (
    DEFAULT_FAILURES,
    Downgrade,
    Edit,
    Hop,
    Part,
    Redirect,
    Reject,
    Route,
    SetHeader,
    SetPart,
    Srtp,
)
from dsl.facts import USERS
from dsl.services import Answer, Said, Service, VariableType
from dsl.validate import is_clean, refusal

#: How an answer decides: with exactly one of these.
ENDINGS: Final = ("route", "reject", "redirect")
_BESIDE: Final = {
    "route": ("set", "headers", "srtp", "downgrade", "ring", "tags"),
    "reject": ("reason", "tags"),
    "redirect": ("downgrade", "tags"),
}
#: The words of a decision, which are no names of variables.
WORDS: Final = frozenset((*ENDINGS, *(word for words in _BESIDE.values() for word in words)))
LONGEST_TEXT: Final = 1024
_MOST_NAMES: Final = 32
_MOST_DIGITS: Final = 10**15


class NoAnswer(Exception):
    """What a service said is no answer; the text says why, without any value."""


def parse_answer(data: bytes, service: Service, trunks: Collection[str]) -> Answer:
    """The answer that a body of JSON is; NoAnswer."""
    try:
        said = json.loads(data, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise NoAnswer("it is not JSON") from None
    return read_answer(said, service, trunks)


def read_answer(said: object, service: Service, trunks: Collection[str]) -> Answer:
    """The answer that JSON types are; NoAnswer."""
    if type(said) is not dict or not all(type(each) is str for each in said):
        raise NoAnswer("it is not a JSON object")
    chosen = [each for each in ENDINGS if each in said]
    if chosen:
        if not service.decides:
            raise NoAnswer(f"it decides, and only variables are taken from {service.name}")
        if len(chosen) > 1:
            raise NoAnswer(f"{' and '.join(chosen)} together")
        return _decision(chosen[0], said, trunks)
    if not service.answers:
        raise NoAnswer("neither route nor reject nor redirect is in it")
    variables: dict[str, Said] = {}
    for name, kind in service.answers.items():
        if name not in said:
            raise NoAnswer(f"{name} is missing")
        variables[name] = _variable(name, kind, said[name])
    return Answer(variables, None, {name: said[name] for name in service.answers})


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice")
    return found


def _no_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def _variable(name: str, kind: VariableType, value: object) -> Said:
    """The value of one variable; null is no text, and no number."""
    if kind == "text":
        if value is None:
            return ""
        if type(value) is str and is_clean(value, LONGEST_TEXT):
            return value
        raise NoAnswer(f"{name} is not a text of one line")
    if kind == "truth":
        if type(value) is bool:
            return value
        raise NoAnswer(f"{name} is neither true nor false")
    if value is None:
        return NOT_A_NUMBER
    if type(value) is int and abs(value) <= _MOST_DIGITS:
        return value
    if type(value) is float and isfinite(value):
        return value
    raise NoAnswer(f"{name} is not a number")


def _decision(ending: str, said: Mapping[str, Any], trunks: Collection[str]) -> Answer:
    unknown = [each for each in said if each != ending and each not in _BESIDE[ending]]
    if unknown:
        raise NoAnswer(f"something else stands beside {ending}")
    value, tags = said[ending], _names(said.get("tags", []), "tags")
    decision: Route | Reject | Redirect
    if ending == "reject":
        decision = Reject(value, said.get("reason", ""), "", tags)
    elif ending == "redirect":
        policy = cast(Downgrade | None, said.get("downgrade"))
        decision = Redirect(_names(value, ending), "", tags, policy)
    else:
        hops = tuple(
            Hop(name, DEFAULT_FAILURES if at else ()) for at, name in enumerate(_names(value, ending))
        )
        decision = Route(
            hops, _edits(said), cast(Srtp | None, said.get("srtp")),
            cast(Downgrade | None, said.get("downgrade")), "", (), tags, None, said.get("ring"),
        )  # fmt: skip
    why = refusal(decision, trunks)
    if why is not None:
        raise NoAnswer(why)
    return Answer({}, decision, dict(said))


def _names(value: object, what: str) -> tuple[str, ...]:
    """Texts of one line: a list of them, or one alone."""
    if type(value) is str:
        value = [value]
    if type(value) is not list or len(value) > _MOST_NAMES:
        raise NoAnswer(f"{what} is not a list of at most {_MOST_NAMES} texts")
    if not all(is_clean(each, LONGEST_TEXT) for each in value):
        raise NoAnswer(f"{what} is not a list of texts of one line")
    return tuple(value)


def _edits(said: Mapping[str, Any]) -> tuple[Edit, ...]:
    parts, headers = _texts(said, "set"), _texts(said, "headers")
    edits: list[Edit] = []
    for part, text in parts.items():
        user = PARTS.get(part) in USERS
        edits.append(SetPart(cast(Part, part), canonical_user("".join(text.split())) if user else text))
    return (*edits, *(SetHeader(name, text) for name, text in headers.items()))


def _texts(said: Mapping[str, Any], what: str) -> dict[str, str]:
    """A mapping of texts of one line; where it is not there, none."""
    value = said.get(what, {})
    if type(value) is not dict or len(value) > _MOST_NAMES:
        raise NoAnswer(f"{what} is not an object of at most {_MOST_NAMES} texts")
    if not all(is_clean(each, LONGEST_TEXT) for each in value.values()):
        raise NoAnswer(f"{what} is not an object of texts of one line")
    return value
