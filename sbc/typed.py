"""What came as JSON, held against the types that its receiver declares.

Whoever reads a state file or a request takes a string for a number only once, and far from where it came in.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from inspect import Parameter, Signature
from math import isfinite
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

# The years 1 to 9999, in POSIX seconds: no date and no time of ours lies outside.
_FIRST, _LAST = -62135596800.0, 253402300799.0
T = TypeVar("T")


def record(kind: type[T], values: Mapping[str, Any]) -> T:
    """The dataclass ``kind`` of ``values``; TypeError where a field is of a wrong type, missing or new."""
    declared: Any = kind
    hints = _hints(declared)
    for name, value in values.items():
        if name in hints and not fits(value, hints[name]):
            raise TypeError(f"{name} is no {hints[name]}")
    return kind(**values)


def wrong_argument(declared: Signature, arguments: Mapping[str, Any]) -> str:
    """The first of ``arguments`` that is not of the type which a parameter declares; "" for none.

    ``declared`` has types and not their names (``eval_str``).
    """
    hints = {name: each.annotation for name, each in declared.parameters.items()}
    return next((name for name, value in arguments.items() if not fits(value, hints[name])), "")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def fits(value: object, hint: Any) -> bool:
    """Whether ``value`` is of the type ``hint``: a class, a literal, a union, a dict or a tuple of one type.

    A float is a number within the range of dates.
    """
    kind = get_origin(hint)
    if hint in (Any, Parameter.empty):
        return True
    if kind is Literal:
        return any(type(value) is type(each) and value == each for each in get_args(hint))
    if kind in (Union, UnionType):
        return any(fits(value, each) for each in get_args(hint))
    if kind is tuple:
        return isinstance(value, tuple) and all(fits(each, get_args(hint)[0]) for each in value)
    if kind is dict:
        names, values = get_args(hint)
        return isinstance(value, dict) and all(
            fits(name, names) and fits(each, values) for name, each in value.items()
        )
    if hint is float:
        return type(value) in (int, float) and _is_time(value)
    if hint is None or hint is type(None):
        return value is None
    return type(value) is hint


def _is_time(value: Any) -> bool:
    return isfinite(value) and _FIRST <= value <= _LAST
