"""URIs that are equivalent get the same decision, wherever rules meet them (RFC 3261 19.1.4, RFC 3966 5.1.1).

The spellings are made from the RFCs: a character that is not reserved for its escape, hexadecimal digits in
either case, separators between the digits of a number, hosts and parameters in any case and order. A rule
for each of the users, hosts and parameters tells them apart, so no decision is the same by chance.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dsl.addresses import canonical_user, read_party
from dsl.arrival import NOWHERE, written
from dsl.decision import Decision, Reject
from dsl.load import load
from dsl.ruleset import RuleSet
from sbc.b2bua.facts import facts_of
from sbc.b2bua.replay import facts_of_record
from sbc.base import Address
from sbc.flow import Flow
from sbc.sip.message import Request
from sbc.sip.parse import parse_message, validate
from tests.playbook.stage import Stage, snapshot

pytestmark = pytest.mark.slow

UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.!~*'()"
USERS = (
    "+19005551234", "+1900", "19005551234", "112", "alice", "Alice", "john-smith", "johnsmith", "*21#", "1-a",
    "a%40b", "a%3Bb", "+1900%3Bx", "%2539", "9", "%C3%A9", "%00", "_", "alice;day=monday", "a&b=c",
)  # fmt: skip
HOSTS = ("sbc.example", "sbc.example.net", "192.0.2.1", "[2001:db8::1]")
PARAMS = (("tgrp", "lab"), ("tgrp", "lab-2"), ("x", ""), ("cic", "+1288"), ("user", "phone"), ("ext", "%20a"))
# How a rule finds a user in the text of a header.
PATTERN = r"/<sips?:{}[;@]/"
ADDRESSES = ("P-Asserted-Identity", "Diversion", "Referred-By", "History-Info")


def rules() -> RuleSet:
    """A rule for everything that can be asked; the reason says which."""
    found: list[tuple[str, str]] = []
    for user in USERS:
        found += [
            (f"{fact} == {json.dumps(user)}", f"{fact} {user}")
            for fact in ("to.user", "from.user", "to_header.user")
        ]
        quoted = "".join(rf"\{each}" if each in "+*.&=" else each for each in user.replace("#", "%23"))
        found += [
            (f'header("{name}") matches {PATTERN.format(quoted)}', f"{name} {user}") for name in ADDRESSES
        ]
    found += [(f'to.host == "{host.strip("[]")}"', host) for host in HOSTS]
    for side in ("to", "from"):
        found += [
            (f'{side}.param("{name}") == "{value}"', f"{side} {value}") for name, value in PARAMS if value
        ]
        found += [(f'{side}.type == "phone"', f"{side} a phone")]
    text = "rules:\n"
    for at, (when, tag) in enumerate(found):
        then = json.dumps(f"tag {json.dumps(tag)} continue")
        text += f"  - name: rule {at}\n    when: {json.dumps(when)}\n    then: {then}\n"
    ruleset, problems = load({"a.yaml": text})
    assert ruleset is not None, problems
    return ruleset


RULES = rules()
FLOW = Flow(1, "udp", Address("192.0.2.1", 5060), Address("198.51.100.1", 5060))


@st.composite
def spelled(draw: st.DrawFn, text: str) -> str:
    """``text`` of a URI with some characters escaped, and escapes in it in either case."""
    out, at = [], 0
    while at < len(text):
        if text[at] == "%":
            out.append(draw(st.sampled_from((text[at : at + 3], text[at : at + 3].lower()))))
            at += 3
            continue
        code = f"%{ord(text[at]):02X}"
        choices = (text[at], code, code.lower()) if text[at] in UNRESERVED + "#" else (text[at],)
        out.append(draw(st.sampled_from(choices)))
        at += 1
    return "".join(out)


def is_telephone_number(user: str) -> bool:
    return user.startswith("+") or user.isdigit()


@st.composite
def users(draw: st.DrawFn, user: str) -> str:
    """Another spelling of a user; between the digits of a number there may be separators."""
    if is_telephone_number(user):
        cut = draw(st.integers(1, len(user)))
        if "%" not in user[:cut][-2:]:
            user = user[:cut] + draw(st.sampled_from(("", "-", ".", "(", ")", "-("))) + user[cut:]
    return draw(spelled(user))


def in_any_case(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from((text, text.upper(), text.title() if "%" not in text else text))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    """Two spellings of one SIP URI, the plain one first."""
    user, host = draw(st.sampled_from(USERS)), draw(st.sampled_from(HOSTS))
    params = draw(st.lists(st.sampled_from(PARAMS), unique_by=lambda each: each[0], max_size=3))
    scheme = draw(st.sampled_from(("sip", "sips")))
    plain = f"{scheme}:{user}@{host}" + "".join(f";{name}={value}" for name, value in params)
    other = f"{draw(in_any_case(scheme))}:{draw(users(user))}@{draw(in_any_case(host))}"
    for name, value in draw(st.permutations(params)):
        other += f";{draw(spelled(draw(in_any_case(name))))}={draw(spelled(draw(in_any_case(value))))}"
    return plain, other


def request(**uris: str) -> Request:
    fields = {"to": "sip:sbc.example", "from": "sip:a.example", "ruri": "sip:sbc.example"} | uris
    extra = "".join(f"{name}: <{uris[name]}>\r\n" for name in ADDRESSES if name in uris)
    message = parse_message(
        f"INVITE {fields['ruri']} SIP/2.0\r\n"
        "Via: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n"
        f"From: <{fields['from']}>;tag=1\r\nTo: <{fields['to']}>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
        f"Contact: <sip:a@a.example>\r\n{extra}Content-Length: 0\r\n\r\n".encode()
    )
    validate(message)
    assert isinstance(message, Request)
    return message


def decided(**uris: str) -> Decision:
    facts = facts_of(request(**uris), FLOW, None, 0.0)
    decision = RULES.decide(facts)
    assert decision == RULES.explain(facts)[0]
    return decision


@settings(max_examples=300, deadline=None)
@given(pairs(), st.sampled_from(("ruri", "from", "to", *ADDRESSES)))
@example(("sip:+1900@sbc.example", "sip:+1%3900@SBC.example"), "ruri")
@example(("sip:*21#@sbc.example", "sip:%2a21%23@sbc.example"), "Diversion")
def test_equivalent_uris_get_the_same_decision(pair: tuple[str, str], where: str) -> None:
    plain, other = pair
    first = decided(**{where: plain})
    assert first == decided(**{where: other})
    assert isinstance(first, Reject)
    assert first.tags, "each of the users is told apart by a rule"


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(USERS), st.sampled_from(USERS), st.data())
def test_different_users_are_never_taken_for_one(one: str, two: str, data: st.DataObject) -> None:
    same = decided(ruri=f"sip:{data.draw(users(one))}@h") == decided(ruri=f"sip:{data.draw(users(two))}@h")
    assert same == (one == two)


@settings(max_examples=150, deadline=None)
@given(pairs(), pairs())
def test_a_call_that_is_written_down_is_decided_like_one_that_arrives(
    called: tuple[str, str], caller: tuple[str, str]
) -> None:
    arrived = decided(ruri=called[0], to=called[0], **{"from": caller[0]})
    for to, from_ in zip(called, caller, strict=True):
        facts = written(NOWHERE, read_party(to), read_party(from_))
        assert RULES.decide(facts).tags == arrived.tags


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(USERS), st.sampled_from(USERS), st.data())
def test_a_record_is_replayed_as_it_was_decided(called: str, caller: str, data: st.DataObject) -> None:
    leg: dict[str, Any] = dict.fromkeys(("tls", "media"))
    leg |= {"trunk": "office", "remote": "192.0.2.1:5060", "transport": "udp"}
    tags = []
    for there, here in ((called, caller), (data.draw(users(called)), data.draw(users(caller)))):
        record = {"a": leg, "called": there, "caller": here, "started": "2026-05-01T10:00:00+00:00"}
        tags.append(RULES.decide(facts_of_record(snapshot(), record)).tags)
    assert tags[0] == tags[1] and len(tags[0]) == 2


@settings(max_examples=60, deadline=None)
@given(pairs(), pairs())
def test_what_goes_on_is_what_was_judged(called: tuple[str, str], caller: tuple[str, str]) -> None:
    out = []
    for to, from_ in zip(called, caller, strict=True):
        there = Stage()
        there.office.request("INVITE", to, From=f"<{from_}>;tag=1")
        request = there.carrier.hears_request("INVITE")
        out.append(
            (request.uri, request.headers.get("To"), (request.headers.get("From") or "").partition(";tag")[0])
        )
        assert canonical_user(request.target.user) == there.engine.calls.popitem()[1].called
    assert out[0] == out[1]
