"""A document against its model: every mistake with its place, and what can be salvaged.

pydantic finds all mistakes of one file at once; here each becomes a sentence for an operator at
the line that is wrong. Then the wrong keys are taken out and the rest is read again, so that
the checks across files still run over what is right. What was taken out is remembered as
``broken``: a check that needs it stays silent rather than report a consequence of a mistake
that has been reported already.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from dsl.errors import Diagnostic
from sbc.config.yaml_reader import Document

M = TypeVar("M", bound=BaseModel)
Loc = tuple[int | str, ...]

_EXAMPLES = {
    "listeners": "listeners: {trunk-tls: {bind: 0.0.0.0:5061, transport: tls}}",
    "bind": "bind: 0.0.0.0:5061",
    "transport": "transport: tls",
    "chain": "chain: tls/sbc.pem",
    "key": "key: tls/sbc.key",
    "host": "host: sip.carrier.example",
    "port": "port: 5061",
    "ca": "ca: tls/peer-ca.pem",
    "domains": "domains: [sbc.example.net]",
    "server_identity": "server_identity: sbc",
    "trunk": "trunk: carrier",
    "listener": "listener: trunk-tls",
    "user": 'user: "4930123456"',
    "realm": "realm: sip.carrier.example",
    "password_file": "password_file: secrets/carrier",
    "url": "url: https://crm.example/route",
    "facts": "facts: [from.user, to.user]",
}
# What has another name now.
_FORMER: dict[Loc, str] = {("limits", "messages"): "rates: {message: 10/s, notify: 10/s}"}
_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?![0-9:.])").match
# What YAML 1.1 and people call them.
_TRUTHS = {
    **dict.fromkeys(("yes", "y", "on", "1", "true"), "true"),
    **dict.fromkeys(("no", "n", "off", "0", "false"), "false"),
}
_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
}


@dataclass(frozen=True, slots=True)
class Reading(Generic[M]):
    """What a document gave: the model where enough was right, and the places left out of it."""

    value: M | None
    diagnostics: tuple[Diagnostic, ...] = ()
    broken: frozenset[Loc] = frozenset()


def read(document: Document, model: type[M], depth: dict[str, int] | None = None) -> Reading[M]:
    """Validate ``document``; ``depth`` says how many steps below a key a mistake is cut out (default 1)."""
    if not isinstance(document.data, dict):
        return Reading(None, _not_a_mapping(document))
    try:
        return Reading(model.model_validate(document.data))
    except ValidationError as invalid:
        errors = _causes(invalid.errors(include_url=False))
    found = tuple(_diagnose(document, model, error) for error in errors)
    broken = frozenset(_cut(error, depth or {}) for error in errors)
    return Reading(_salvage(document.data, model, broken), found, broken)


def suggest(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The hint for an unknown name: the nearest known one, or all of them, or ``otherwise``."""
    names = sorted(known)
    near = difflib.get_close_matches(name.lower(), [each.lower() for each in names], 1, 0.6)
    if near:
        return f"did you mean {next(each for each in names if each.lower() == near[0])!r}?"
    return f"known: {', '.join(names)}" if names else otherwise


def _causes(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without the lists that are too short only because their items are wrong."""
    return [
        each
        for each in errors
        if each["type"] != "too_short"
        or not any(other is not each and other["loc"][: len(each["loc"])] == each["loc"] for other in errors)
    ]


def _not_a_mapping(document: Document) -> tuple[Diagnostic, ...]:
    if document.diagnostics:
        return ()
    if document.data is None:
        return (document.problem((), "the file is empty", "write keys and values, or remove the file"),)
    hint = "write `key: value` lines"
    return (document.problem((), f"expected keys and values, found {_kind(document.data)}", hint),)


def _salvage(data: dict[str, Any], model: type[M], broken: frozenset[Loc]) -> M | None:
    rest = dict(data)
    for loc in broken:
        if len(loc) == 1 or not isinstance(rest.get(str(loc[0])), dict):
            rest.pop(str(loc[0]), None)
        else:
            rest[str(loc[0])] = {k: v for k, v in rest[str(loc[0])].items() if k != loc[1]}
    try:
        return model.model_validate(rest)
    except ValidationError:
        return None


def _cut(error: ErrorDetails, depth: dict[str, int]) -> Loc:
    loc = error["loc"]
    return loc[: depth.get(str(loc[0]), 1)]


def _diagnose(document: Document, model: type[BaseModel], error: ErrorDetails) -> Diagnostic:
    kind, loc = error["type"], error["loc"]
    if kind == "extra_forbidden":
        message = f"unknown key {loc[-1]!r}"
        return document.problem(loc, message, _key_hint(model, loc), key=True)
    if kind == "missing":
        hint = f"write {_EXAMPLES[name]}" if (name := str(loc[-1])) in _EXAMPLES else ""
        return document.problem(loc[:-1], f"key {name!r} is missing", hint, key=True)
    if loc[-1] == "[key]":
        message, hint = _value_error(error)
        return document.problem(loc[:-1], message, hint, key=True)
    message, hint = _explain(error)
    return document.problem(loc, f"{_subject(loc)}: {message}", hint)


def _subject(loc: Loc) -> str:
    """``peers`` for an item of a list, else the key itself."""
    return str(next(step for step in reversed(loc) if isinstance(step, str)))


def _explain(error: ErrorDetails) -> tuple[str, str]:
    kind, given, context = error["type"], error["input"], error.get("ctx", {})
    if kind == "value_error":
        return _value_error(error)
    if kind == "literal_error":
        choices = _choices(str(context["expected"]))
        return f"{_shown(given)} is not a choice", _choice_hint(given, choices)
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}, found {_kind(given)}", _type_hint(kind, given)
    if kind == "greater_than_equal":
        return f"{given} is too small", f"the least is {context['ge']:g}"
    if kind == "less_than_equal":
        return f"{given} is too much", f"the most is {context['le']:g}"
    if kind in ("too_short", "string_too_short"):
        return "nothing is given", "give at least one, or remove the key"
    return str(error["msg"]), ""


def _value_error(error: ErrorDetails) -> tuple[str, str]:
    message, _, hint = str(error.get("ctx", {}).get("error", error["msg"])).partition(": ")
    return message, hint


def _choices(expected: str) -> list[str]:
    return [each.strip("' ") for each in expected.replace(" or ", ", ").split(",")]


def _choice_hint(given: object, choices: list[str]) -> str:
    hint = f"write one of {', '.join(choices)}"
    near = difflib.get_close_matches(str(given).lower(), choices, 1, 0.6)
    return f"did you mean {near[0]!r}? {hint}" if near else hint


def _type_hint(kind: str, given: object) -> str:
    if given is None:
        return "give it a value, or remove the key"
    if kind == "bool_type":
        return f"write {_TRUTHS[str(given).lower()]}" if str(given).lower() in _TRUTHS else ""
    if kind == "tuple_type" and not isinstance(given, (dict, list)):
        return f"write [{given}]"
    if kind in ("int_parsing", "float_parsing"):
        number = _NUMBER(str(given))
        return f"write {number[0]}, without what stands behind it" if number else "write a number"
    if kind == "string_type" and isinstance(given, (int, float)) and not isinstance(given, bool):
        return "put it in quotes"
    return ""


def _kind(value: object) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return f"the number {value}"
    if isinstance(value, str):
        return f"the text {_shown(value)}"
    return "a list" if isinstance(value, list) else "keys and values"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _key_hint(model: type[BaseModel], loc: Loc) -> str:
    name, here = str(loc[-1]), _model_at(model, loc[:-1])
    if loc[-2:] in _FORMER:
        return f"write {_FORMER[loc[-2:]]}"
    for field, info in _keys(here).items():
        below = _model_in(info.annotation)
        if below is not None and name in _keys(below) and get_origin(info.annotation) is not dict:
            return f"it belongs under `{field}:`"
    return suggest(name, _keys(here))


def _keys(model: type[BaseModel]) -> dict[str, FieldInfo]:
    """The fields of a model by the keys that the operator writes."""
    return {info.alias or name: info for name, info in model.model_fields.items()}


def _model_at(model: type[BaseModel], loc: Loc) -> type[BaseModel]:
    """The model that describes the keys at ``loc``; the steps of a dict's own keys are passed over."""
    for step in loc:
        info = _keys(model).get(str(step))
        below = _model_in(info.annotation) if info is not None else None
        model = below or model
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for each in get_args(annotation) if (found := _model_in(each))), None)
