"""``answers`` of a trunk: which statuses its callers are told in place of others, such as ``{603: 486}``."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema

_OF = re.compile(r"[4-6](?:[0-9]{2}|xx)").fullmatch
_CHALLENGES = (401, 407)


def parse_answers(value: object) -> dict[str, int]:
    """Read statuses, or classes such as ``5xx``, and what is told instead; ValueError otherwise."""
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} says of no status what is told instead: write such as {{603: 486}}")
    answers: dict[str, int] = {}
    for key, told in value.items():
        of, instead = str(key), "" if isinstance(told, bool) else str(told)
        if not _OF(of):
            raise ValueError(f"{of!r} is no refusal: write a status of 400 to 699, or 4xx, 5xx or 6xx")
        if not _OF(instead) or not instead.isdigit():
            raise ValueError(f"{instead!r} is no refusal: write a status of 400 to 699, such as 486")
        if int(instead) in _CHALLENGES:
            raise ValueError(f"{instead} asks for a password: a rule does that, with challenge")
        answers[of] = int(instead)
    return answers


Answers = Annotated[
    dict[str, int],
    BeforeValidator(parse_answers),
    WithJsonSchema(
        {
            "type": "object",
            "propertyNames": {"pattern": "^[4-6]([0-9]{2}|xx)$"},
            "additionalProperties": {"type": "integer", "minimum": 400, "maximum": 699},
            "examples": [{"603": 486, "5xx": 503}],
        }
    ),
]
