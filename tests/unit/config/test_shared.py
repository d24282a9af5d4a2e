"""Trunks that share an address: what is right, and what two of them claim with the same right."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from sbc.config.load import build_snapshot
from tests.unit.config.configuration import CARRIER, SBC, Write
from tests.unit.config.test_config_wrong import told

PAGE = (Path(__file__).parents[3] / "docs" / "customers.md").read_text()
HEAD = "trunk: {name}\nlistener: udp\nsources: [192.0.2.7]\n"
OVER_TLS = """\
trunk: {name}
listener: tls
sources: [192.0.2.7]
tls: {{mode: required, server_identity: sbc, trust: [carrier-ca]{more}}}
"""
REGISTER = 'peers: [192.0.2.7:5060]\nregister: {{user: "{user}", realm: r, password_file: secret{more}}}\n'


def two(one: str, other: str, head: str = HEAD) -> dict[str, str]:
    """Trunks ``a`` and ``b``, which have an address in common, with what each says beside."""
    return {
        "trunks.d/a.yaml": head.format(name="a", more="") + one,
        "trunks.d/b.yaml": head.format(name="b", more="") + other,
        "secret": "word",
    }


RIGHT = {
    "a longer number": ('match: {number: "+4930"}', 'match: {number: "+49301"}'),
    "blocks side by side": (
        'match: {number: ["+4930100..+4930149"]}', 'match: {number: ["+4930150..+4930199"]}',
    ),
    "a block within what begins alike": (
        'match: {number: "+4930"}', 'match: {number: "+4930150..+4930199"}',
    ),
    "two domains": ("match: {to.host: a.example}", "match: {to.host: [b.example, c.example]}"),
    "a domain and a caller's": ("match: {to.host: a.example}", "match: {from.host: a.example}"),
    "one number at two domains": (
        'match: {number: "1", to.host: a.example}', 'match: {number: "1", to.host: b.example}',
    ),
    "the rest": ('match: {number: "+4930"}', ""),
    "two accounts": (REGISTER.format(user="1", more=""), REGISTER.format(user="2", more="")),
    "an account and the rest": (REGISTER.format(user="1", more=""), ""),
}  # fmt: skip


@pytest.mark.parametrize("case", RIGHT.values(), ids=RIGHT.keys())
def test_what_tells_them_apart(write: Write, case: tuple[str, str]) -> None:
    assert [each for each in told(write, two(*case)) if "error" in each] == []


WRONG = {
    "one number": (
        two('match: {number: ["+4930", "+4940"]}', 'match: {number: "+49-40"}'),
        "trunks.d/b.yaml:4:17: error: number +4940 is also that of trunk 'a'"
        " | trunks.d/a.yaml:4 has it too, at the same address: leave it to one of them, or add what tells"
        " them apart",
    ),
    "blocks that overlap": (
        two('match: {number: "+4930100..+4930150"}', 'match: {number: "+4930140..+4930199"}'),
        "trunks.d/b.yaml:4:17: error: number +4930140 is also that of trunk 'a'"
        " | trunks.d/a.yaml:4 has it too, at the same address: leave it to one of them, or add what tells"
        " them apart",
    ),
    "a number within a block": (
        two('match: {number: "+4930100..+4930150"}', 'match: {number: "+4930144"}'),
        "trunks.d/b.yaml:4:17: error: number +4930144 is also that of trunk 'a'"
        " | trunks.d/a.yaml:4 has it too, at the same address: leave it to one of them, or add what tells"
        " them apart",
    ),
    "one domain": (
        two("match: {to.host: [x.example, A.example]}", "match: {to.host: a.EXAMPLE}"),
        "trunks.d/b.yaml:4:18: error: this to.host is also that of trunk 'a'"
        " | trunks.d/a.yaml:4 has it too, at the same address: leave it to one of them, or add what tells"
        " them apart",
    ),
    "one account": (
        two(REGISTER.format(user="4930", more=""), REGISTER.format(user="4930", more="")),
        "trunks.d/b.yaml:5:12: error: user '4930' is also that of trunk 'a'"
        " | trunks.d/a.yaml:5 has it too, at the same address: write `match` in both, such as number:"
        ' ["+4930100"]',
    ),
    "two bulk accounts over UDP": (
        two(REGISTER.format(user="1", more=", bulk: true"), REGISTER.format(user="2", more=", bulk: true")),
        "trunks.d/b.yaml:5:1: error: a bulk registration is also that of trunk 'a'"
        " | trunks.d/a.yaml:5 has it too, at the same address: write `match` in both, such as number:"
        ' ["+4930100"]',
    ),
    "one proof over TLS": (
        two('match: {number: "+4930"}', 'match: {number: "+4930"}', OVER_TLS),
        "trunks.d/b.yaml:5:17: error: number +4930 is also that of trunk 'a'"
        " | trunks.d/a.yaml:5 has it too, at the same address: leave it to one of them, or add what tells"
        " them apart",
    ),
    "two that take the rest": (
        two("", ""),
        "trunks.d/b.yaml:3:11: error: source 192.0.2.7/32 is also that of trunk 'a'"
        " | without TLS only the address tells them apart: give each its own, or one `match`",
    ),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG.keys())
def test_what_two_claim_with_the_same_right(write: Write, case: tuple[dict[str, str], str]) -> None:
    files, expected = case
    assert [each for each in told(write, files) if "error" in each] == [expected]


def test_other_certificates_tell_them_apart(write: Write) -> None:
    files = two('match: {number: "+4930"}', "")
    files["trunks.d/a.yaml"] = OVER_TLS.format(name="a", more=", names: [a.example]") + "match: {number: '1'}"
    files["trunks.d/b.yaml"] = OVER_TLS.format(name="b", more=", names: [b.example]") + "match: {number: '1'}"
    assert [each for each in told(write, files) if "error" in each] == []


def test_other_addresses_tell_them_apart(write: Write) -> None:
    files = two("match: {number: '1'}", "match: {number: '1'}")
    files["trunks.d/b.yaml"] = files["trunks.d/b.yaml"].replace("192.0.2.7", "192.0.2.8")
    assert [each for each in told(write, files) if "error" in each] == []


VALUES = {
    "a number without quotes": ("{number: 4930}", "number: 4930 is not a text | put numbers in quotes"),
    "a name": ("{number: office}", "number: 'office' is not a number | write its beginning, such as"),
    "a block backwards": ('{number: "39..30"}', "number: '39..30' is no block of numbers | write the first"),
    "a block of two lengths": ('{number: "3..10"}', "number: '3..10' is no block of numbers | write the"),
    "nothing": ("{}", "match: it names nothing | write to.host, from.host or number, such as"),
    "a misspelt key": ("{to.hosts: a.example}", "unknown key 'to.hosts' | did you mean 'to.host'?"),
    "a URI for a host": ("{to.host: 'sip:a.example'}", "'sip:a.example' is neither a host nor an address"),
}


@pytest.mark.parametrize("case", VALUES.values(), ids=VALUES.keys())
def test_a_match_that_says_nothing_right(write: Write, case: tuple[str, str]) -> None:
    given, expected = case
    errors = [each for each in told(write, two(f"match: {given}", "")) if "error" in each]
    assert len(errors) == 1
    assert errors[0].startswith("trunks.d/a.yaml:4:")
    assert expected.partition(": ")[2].partition(" | ")[0] in errors[0]
    assert expected.partition(" | ")[2] in errors[0]


def test_an_ordinary_configuration_has_none_of_this(write: Write) -> None:
    assert not build_snapshot(write({}), time.time()).customers


def test_the_examples_of_the_page_are_right(write: Write) -> None:
    examples = dict(re.findall(r"```yaml\n# (\S+)\n(.*?)```", PAGE, re.DOTALL))
    settings = SBC.replace("  tls: {bind", "  trunk-tls: {bind") + examples.pop("sbc.yaml")
    carrier = CARRIER.replace("listener: tls", "listener: trunk-tls")
    snapshot = build_snapshot(
        write({"sbc.yaml": settings, "trunks.d/carrier.yaml": carrier, **examples}), time.time()
    )
    assert [each.message for each in snapshot.warnings if "no intermediate" not in each.message] == []
    assert snapshot.customers["acme"] is snapshot.customers["bolt"]
    assert "carrier" in snapshot.customers  # its demands are the same; its address is another


def test_the_page_knows_every_key() -> None:
    assert [key for key in ("to.host", "from.host", "number") if f"| `{key}` |" not in PAGE] == []
