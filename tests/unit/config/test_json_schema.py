"""The schemas for editors: fresh, valid, and of one mind with what is read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from sbc.config.json_schema import schemas

ROOT = Path(__file__).parents[3]
SCHEMAS = schemas()
COOKBOOK = (ROOT / "docs" / "cookbook.md").read_text("utf-8")
ROUTES = [
    *re.findall(r"^```yaml\n(.*?)^```$", COOKBOOK, re.MULTILINE | re.DOTALL),
    *(path.read_text() for path in sorted((ROOT / "routes.d").glob("*.yaml"))),
]


def read(text: str) -> Any:
    """YAML as an editor reads it: with dates and the like as plain text."""
    yaml = YAML(typ="safe", pure=True)
    return json.loads(json.dumps(yaml.load(text), default=str))


def mistakes(name: str, text: str) -> list[str]:
    validator = Draft202012Validator(SCHEMAS[name])
    return [
        f"{'/'.join(map(str, each.absolute_path))}: {each.message}"
        for each in validator.iter_errors(read(text))
    ]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_files_are_fresh_and_valid(name: str) -> None:
    Draft202012Validator.check_schema(SCHEMAS[name])
    written = json.loads((ROOT / "schemas" / name).read_text())
    assert written == json.loads(json.dumps(SCHEMAS[name])), "python -m sbc.config.json_schema schemas"


def test_the_configuration_of_the_checkout_passes() -> None:
    assert mistakes("sbc.schema.json", (ROOT / "sbc.yaml").read_text()) == []
    for path in sorted((ROOT / "trunks.d").glob("*.yaml")):
        assert mistakes("trunks.schema.json", path.read_text()) == []


def test_a_peer_is_an_address_or_keys_and_values() -> None:
    peers = "[a.example:5061, {host: b.example, port: 5061, priority: 1, weight: 3, try_for: 4s}]"
    assert mistakes("trunks.schema.json", f"trunk: a\nlistener: x\npeers: {peers}\n") == []


@pytest.mark.parametrize("text", ROUTES)
def test_every_case_of_the_cookbook_passes(text: str) -> None:
    assert mistakes("routes.schema.json", text) == []


@pytest.mark.parametrize(
    ("name", "text", "place"),
    [
        ("trunks.schema.json", "trunk: a\nlistener: x\nsips: maybe\n", "sips"),
        ("trunks.schema.json", "trunk: a\nlistener: x\npears: [a:1]\n", ""),
        ("trunks.schema.json", "trunk: a\nlistener: x\npeers: a:1\n", "peers"),
        ("trunks.schema.json", "trunk: a\nlistener: x\npeers: [{port: 1}]\n", "peers/0"),
        ("trunks.schema.json", "trunk: a\nlistener: x\npeers: [{host: a, port: 1, wait: 4s}]\n", "peers/0"),
        ("trunks.schema.json", "trunk: a\n", ""),
        ("sbc.schema.json", "listeners: {a: {bind: 'x:1', transport: sctp}}\n", "listeners/a/transport"),
        ("routes.schema.json", "rulez: []\n", ""),
        ("routes.schema.json", "rules: [{name: a, when: true}]\n", "rules/0"),
        ("routes.schema.json", "groups: {a: {b: 0}}\n", "groups/a"),
        ("routes.schema.json", "groups: {a-b: [x]}\n", "groups"),
        ("routes.schema.json", "tests: [{given: {trnk: a}, expect: {reject: 404}}]\n", "tests/0/given"),
        ("routes.schema.json", "tests: [{given: {}, expect: {srtp: maybe}}]\n", "tests/0/expect/srtp"),
    ],
)
def test_what_is_wrong_is_marked(name: str, text: str, place: str) -> None:
    (found,) = mistakes(name, text)
    assert found.partition(": ")[0] == place
