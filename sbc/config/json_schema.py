"""JSON Schemas of the configuration's files, for editors: completion and marks while one types.

An editor's mark is a first help only; ``sbc check`` knows more. ``python -m sbc.config.json_schema DIR``
writes the four files; those in ``schemas/`` are held fresh by a test.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from dsl.cases import CHOICES, EXPECT, LOOKUPS, SHORT
from dsl.check_actions import PARTS
from dsl.clock import CLOCK_FACTS
from dsl.facts import FACTS
from sbc.config.acl import AclFile
from sbc.config.model import Settings, Trunk

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_NAME = {"propertyNames": {"pattern": "^[A-Za-z_][A-Za-z0-9_]*$"}}
_SCALAR = {"type": ["string", "number", "boolean"]}
_SEVERAL = {"anyOf": [_SCALAR, {"type": "array", "items": _SCALAR}]}
_TEXT_OR_COUNTS = {
    "anyOf": [{"type": "integer"}, {"type": "object", "additionalProperties": {"type": "integer"}}]
}


def schemas() -> dict[str, dict[str, Any]]:
    """The schema of each kind of file, by the name of the schema's file."""
    return {
        "sbc.schema.json": {"$schema": _DIALECT, **_plain(Settings.model_json_schema())},
        "trunks.schema.json": {"$schema": _DIALECT, **_plain(Trunk.model_json_schema())},
        "acl.schema.json": {"$schema": _DIALECT, **_plain(AclFile.model_json_schema())},
        "routes.schema.json": {"$schema": _DIALECT, **_routes()},
    }


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Without what only repeats the keys: titles, and defaults that are null."""
    cleaned: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "title" and isinstance(value, str):
            continue
        if key == "default" and value is None:
            continue
        cleaned[key] = _each(value)
    return cleaned


def _each(value: Any) -> Any:
    if isinstance(value, dict):
        return _plain(value)
    return [_each(each) for each in value] if isinstance(value, list) else value


def _routes() -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            "zone": {
                "type": "string",
                "description": "time zone of the rules and tests, such as Europe/Berlin",
            },
            "lists": {"type": "object", "additionalProperties": {"type": "array", "items": _SCALAR}, **_NAME},
            "groups": {"type": "object", "additionalProperties": _group(), **_NAME},
            "rules": {"type": ["array", "null"], "items": _rule()},
            "tests": {"type": ["array", "null"], "items": _test()},
        },
    }


def _group() -> dict[str, Any]:
    weights = {"type": "integer", "minimum": 1, "maximum": 1000}
    return {
        "anyOf": [
            {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True},
            {"type": "object", "additionalProperties": weights, "minProperties": 1},
        ]
    }


def _rule() -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["name", "when", "then"],
        "properties": {
            "name": {"type": "string", "minLength": 1, "description": "shown by traces and records"},
            "when": {"type": ["string", "boolean"], "description": "the condition, see docs/language.md"},
            "then": {"type": "string", "description": "the actions, the last of which ends or continues"},
        },
    }


def _test() -> dict[str, Any]:
    facts = {name: {"description": fact.doc, **_given(fact.type)} for name, fact in FACTS.items()}
    given = {name: fact for name, fact in facts.items() if name not in CLOCK_FACTS}
    short: dict[str, Any] = {name: _SCALAR for name in SHORT}
    short |= {"headers": {"type": "object", "additionalProperties": _SCALAR}, "calls": _TEXT_OR_COUNTS}
    short["registered"] = short["remembered"] = _SEVERAL
    short[LOOKUPS] = {"type": "object", "description": "what services answer, by their names"}
    expect: dict[str, Any] = {name: _SEVERAL for name in EXPECT}
    expect["headers"] = {"type": "object", "additionalProperties": _SCALAR}
    leaves: dict[str, Any] = {name: _SCALAR for name in PARTS} | {"headers": expect["headers"]}
    at = {"type": "object", "additionalProperties": False, "properties": leaves}
    expect["hops"] = {"type": "object", "additionalProperties": at}
    expect |= {name: {"enum": list(choices)} for name, choices in CHOICES.items()}
    return {
        "type": "object",
        "additionalProperties": False,
        "required": ["given", "expect"],
        "properties": {
            "given": {"type": "object", "additionalProperties": False, "properties": given | short},
            "expect": {
                "type": "object", "additionalProperties": False, "properties": expect, "minProperties": 1,
            },
        },
    }  # fmt: skip


def _given(kind: str) -> dict[str, Any]:
    if kind == "list":
        return _SEVERAL
    return {"type": "boolean"} if kind == "truth" else _SCALAR


def write(directory: Path) -> None:
    """Write every schema into ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, schema in schemas().items():
        (directory / name).write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
