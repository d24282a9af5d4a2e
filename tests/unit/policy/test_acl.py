"""The access list: the first rule that matches decides, whatever it compares and however many there are."""

from __future__ import annotations

import sys
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.addresses import Party, read_party
from sbc.policy.acl import Acl, Patterns, Rule, Scope, has_no_end, meets, why
from sbc.policy.exempt import EXEMPT_TEXTS, exempt

NOW = 1_800_000_000.0
NOBODY = read_party("sip:nobody@nowhere.example")
ELSEWHERE = Scope(listeners=("other",))


def deny(kind: str, *values: str, scope: Scope = Scope(), until: float = float("inf")) -> Rule:
    return Rule(False, kind, values, scope, f"acl.d/10.yaml:{values[0]}", until=until)


def allow(kind: str, *values: str, scope: Scope = Scope()) -> Rule:
    return Rule(True, kind, values, scope, "acl.d/10.yaml:1")


def lets_in(acl: Acl, host: str, tenant: str = "", now: float = NOW) -> bool:
    return acl.at_door("tls", host, (tenant,), now) is None


def verdict(
    acl: Acl, called: str, caller: str = "sip:nobody@nowhere.example", host: str = "192.0.2.1"
) -> str:
    rule = acl.judge("tls", host, "", read_party(called), read_party(caller), NOW)
    return "-" if rule is None else "allow" if rule.allow else "deny"


@pytest.mark.parametrize(
    ("rule", "in_", "out"),
    [
        (deny("address", "192.0.2.9"), "192.0.2.9", "192.0.2.8"),
        (deny("address", "2001:db8::9"), "2001:db8::9", "2001:db8::8"),
        (deny("address", "public"), "203.0.113.1", "10.1.2.3"),
        (deny("address", "public"), "2001:db8::1", "fd00::1"),
        (deny("cidr", "192.0.2.0/25"), "192.0.2.127", "192.0.2.128"),
        (deny("cidr", "2001:db8::/32"), "2001:db8:ffff::1", "2001:db9::1"),
        (deny("cidr", "0.0.0.0/0"), "192.0.2.1", "2001:db8::1"),
        (deny("glob", "192.0.2.*"), "192.0.2.200", "192.0.20.2"),
        (deny("glob", "192.0.?.1"), "192.0.2.1", "192.0.22.1"),
        (deny("glob", "*:beef"), "2001:db8::beef", "2001:db8::beef:1"),
        (deny("glob", "*.0.*"), "192.0.2.1", "192.2.2.1"),
    ],
)
def test_an_address_is_barred_by_what_it_matches(rule: Rule, in_: str, out: str) -> None:
    acl = Acl([rule])
    assert not lets_in(acl, in_) and lets_in(acl, out)
    assert acl.bars("tls", in_, "", NOW) and not acl.bars("tls", out, "", NOW)


@pytest.mark.parametrize(
    ("rule", "called", "caller", "expected"),
    [
        (deny("sip-user", "alice"), "sip:alice@a.example", "sip:b@c", "deny"),
        (deny("sip-user", "alice"), "sip:%61lice@a.example", "sip:b@c", "deny"),
        (deny("sip-user", "alice"), "sip:alic@a.example", "sip:b@c", "-"),
        (deny("sip-user", "alice"), "sip:bob@a.example", "sip:alice@c", "-"),
        (deny("sip-user", "*@a.example"), "sip:bob@A.example", "sip:b@c", "deny"),
        (deny("sip-user", "*@a.example"), "sip:bob@b.example", "sip:b@c", "-"),
        (deny("sip-user", "*.example"), "sip:bob@b.example", "sip:b@c", "-"),
        (deny("sip-user", "*"), "sip:a.example", "sip:b@c", "deny"),
        (deny("sip-from", "1000"), "sip:bob@a", "sip:1000@b", "deny"),
        (deny("sip-from", "1000"), "sip:1000@a", "sip:bob@b", "-"),
        (deny("sip-from", "*@scan.example"), "sip:bob@a", "sip:x@scan.example", "deny"),
        (deny("sip-did", "+4990*"), "sip:+49-90-1@a", "sip:b@c", "deny"),
        (deny("sip-did", "+4990*"), "tel:+49(90)1", "sip:b@c", "deny"),
        (deny("sip-did", "+4990*"), "sip:+4980@a", "sip:b@c", "-"),
        (deny("sip-did", "*"), "sip:alice@a", "sip:b@c", "-"),
        (deny("sip-did", "*"), "sip:0049@a", "sip:b@c", "deny"),
        (deny("sip-did", "0900*"), "sip:0900123#@a", "sip:b@c", "deny"),
        (deny("sip-did", "0900*"), "sip:0-900-123%23@a", "sip:b@c", "deny"),
        (deny("sip-did", "0900*"), "sip:0900123*1;ext=2@a", "sip:b@c", "deny"),
        (deny("sip-did", "0900*"), "tel:0(900)123#", "sip:b@c", "deny"),
        (deny("sip-did", "+4990*"), "sip:+4990123#@a", "sip:b@c", "deny"),
        (deny("sip-did", "*"), "sip:0900x#@a", "sip:b@c", "-"),
        (deny("address", "192.0.2.1"), "sip:0049@a", "sip:b@c", "deny"),
    ],
)
def test_a_request_is_judged_by_what_it_asks_for_and_who_it_says_calls(
    rule: Rule, called: str, caller: str, expected: str
) -> None:
    assert verdict(Acl([rule]), called, caller) == expected


def test_the_first_that_matches_decides_across_kinds() -> None:
    acl = Acl(
        [
            allow("address", "192.0.2.1"),
            deny("sip-user", "00*"),
            allow("sip-from", "boss"),
            deny("cidr", "192.0.2.0/24"),
        ]
    )
    assert verdict(acl, "sip:0049@a") == "allow", "its address is allowed before"
    assert verdict(acl, "sip:0049@a", "sip:boss@x", "192.0.2.2") == "deny"
    assert verdict(acl, "sip:1@a", "sip:boss@x", "192.0.2.2") == "allow"
    assert not lets_in(acl, "192.0.2.2"), "what a request would say is never heard of a barred address"
    assert lets_in(acl, "192.0.2.1") and lets_in(acl, "198.51.100.1")


def test_a_later_rule_of_a_narrower_network_changes_nothing() -> None:
    acl = Acl([deny("cidr", "192.0.2.0/24"), allow("address", "192.0.2.1")])
    assert not lets_in(acl, "192.0.2.1")
    acl = Acl([allow("address", "192.0.2.1"), deny("cidr", "192.0.2.0/24")])
    assert lets_in(acl, "192.0.2.1") and not lets_in(acl, "192.0.2.2")


def test_a_rule_is_over_with_its_day_and_holds_before_it_again_if_the_clock_is_set_back() -> None:
    acl = Acl(
        [deny("address", "192.0.2.1", until=NOW), allow("cidr", "192.0.2.0/24"), deny("address", "public")]
    )
    assert not lets_in(acl, "192.0.2.1", now=NOW - 0.1)
    assert lets_in(acl, "192.0.2.1", now=NOW)
    assert not lets_in(acl, "192.0.2.1", now=NOW - 1)


def test_rules_of_a_tenant_and_of_a_listener_are_nobody_else_s() -> None:
    acl = Acl(
        [deny("address", "192.0.2.1", scope=Scope("acme")), deny("address", "192.0.2.2", scope=ELSEWHERE)]
    )
    assert lets_in(acl, "192.0.2.1") and lets_in(acl, "192.0.2.1", "bolt")
    assert not lets_in(acl, "192.0.2.1", "acme")
    assert lets_in(acl, "192.0.2.2") and acl.at_door("other", "192.0.2.2", ("",), NOW) is not None


def test_who_may_be_of_several_tenants_is_barred_where_each_bars_it() -> None:
    both = [deny("address", "192.0.2.1", scope=Scope(each)) for each in ("acme", "bolt")]
    acl = Acl(both)
    assert acl.at_door("tls", "192.0.2.1", ("acme", "bolt"), NOW) is both[0]
    assert acl.at_door("tls", "192.0.2.1", ("acme", "bolt", ""), NOW) is None
    assert [rule.count.hits for rule in both] == [1, 0], "who is judged again is not counted yet"
    mixed = Acl([allow("address", "192.0.2.1", scope=Scope("acme")), deny("cidr", "192.0.2.0/24")])
    assert mixed.at_door("tls", "192.0.2.1", ("acme", "bolt"), NOW) is None
    assert mixed.at_door("tls", "192.0.2.1", ("bolt",), NOW) is not None
    assert mixed.at_door("tls", "192.0.2.1", (), NOW) is not None, "a stranger is no tenant's"


def test_what_decides_is_counted_and_counted_on_after_a_reload() -> None:
    first, second = deny("address", "192.0.2.1"), allow("sip-user", "alice")
    acl = Acl([first, second])
    for at in (1.0, 2.0):
        assert not lets_in(acl, "192.0.2.1", now=at)
    called = read_party("sip:alice@x")
    rule = acl.judge("tls", "192.0.2.9", "", called, NOBODY, 3.0)
    assert rule is second and rule.count.hits == 0, "to judge is not to count"
    acl.decided(rule, 3.0)
    assert (first.count.hits, first.count.last, second.count.hits, second.count.last) == (2, 2.0, 1, 3.0)
    assert acl.denied == {"address": 2, "cidr": 0, "glob": 0, "sip-user": 0, "sip-from": 0, "sip-did": 0}
    fresh = Acl(
        [deny("cidr", "198.51.100.0/24"), allow("sip-user", "alice"), deny("address", "192.0.2.1")], acl
    )
    assert [rule.count.hits for rule in fresh.rules] == [0, 1, 2]
    without = Acl([], fresh)
    assert without.denied["address"] == 2, "a total never falls"
    assert Acl([deny("address", "192.0.2.1")], without).rules[0].count.hits == 0, (
        "what was removed begins anew"
    )


def test_an_address_that_a_rule_allows_is_counted_at_the_door_alone() -> None:
    acl = Acl([allow("address", "192.0.2.1"), deny("sip-user", "*")])
    assert lets_in(acl, "192.0.2.1")
    rule = acl.judge("tls", "192.0.2.1", "", NOBODY, NOBODY, NOW)
    assert rule is not None
    acl.decided(rule, NOW)
    assert rule.count.hits == 1


def test_what_is_kept_of_addresses_is_bounded() -> None:
    acl = Acl([deny("cidr", "203.0.113.0/24")])
    for number in range(20_000):
        lets_in(acl, f"198.18.{number >> 8 & 255}.{number & 255}")
    assert len(acl._recent) <= 4096


def test_why_names_the_rule_and_its_note() -> None:
    rule = Rule(
        False,
        "cidr",
        ("1.0.0.0/8", "2.0.0.0/8", "3.0.0.0/8", "4.0.0.0/8"),
        Scope(),
        "acl.d/a.yaml:3",
        "noise",
    )
    assert why(rule) == (
        "acl.d/a.yaml:3 denies it: deny cidr 1.0.0.0/8, 2.0.0.0/8, 3.0.0.0/8 and 1 more (noise)"
    )


def many(rules: int) -> Acl:
    """So many rules of each kind."""
    kinds = {
        "address": "198.18.{0}.{1}", "cidr": "10.{0}.{1}.0/24", "glob": "172.{0:03}.{1:03}.*",
        "sip-user": "u{0:03}{1:03}*", "sip-from": "*@{0:03}-{1:03}.example", "sip-did": "+49{0:03}{1:03}*",
    }  # fmt: skip
    places = [(number >> 8, number & 255) for number in range(rules)]
    return Acl([deny(kind, form.format(*place)) for place in places for kind, form in kinds.items()])


def calls(step: Callable[[], object]) -> int:
    """How many functions ``step`` calls."""
    seen: list[str] = []
    sys.setprofile(lambda frame, event, arg: seen.append(event))
    try:
        step()
    finally:
        sys.setprofile(None)
    return len(seen)


@pytest.mark.slow
def test_ten_thousand_rules_are_looked_up_and_not_tried() -> None:
    few, all_ = many(10), many(10_000)
    for host in ("198.18.39.15", "10.39.15.1", "172.039.015.1"):
        assert not lets_in(all_, host) and lets_in(few, host)
    for called, caller in (("u039015x", "a@b"), ("x", "a@039-015.example"), ("+49039015000", "a@b")):
        assert verdict(all_, f"sip:{called}@z", f"sip:{caller}") == "deny"
    for acl in (few, all_):
        acl.matching("192.0.2.1", NOBODY, NOBODY)  # what is made once is made
    for host in ("203.0.113.1", "2001:db8::1"):
        cost = [calls(partial(acl.matching, host, party("+4999"), NOBODY)) for acl in (few, all_)]
        assert cost[1] <= cost[0]


TEXTS = st.text("ab@.", max_size=6)
PATTERNS = st.text("ab@.*?", min_size=1, max_size=6)


@given(st.lists(PATTERNS, max_size=8), TEXTS)
def test_patterns_are_found_as_if_each_were_tried(patterns: list[str], text: str) -> None:
    rules = [deny("sip-user", each) for each in patterns]
    found = Patterns(zip(patterns, rules, strict=True)).find(text)
    expected = [rule for each, rule in zip(patterns, rules, strict=True) if fnmatchcase(text, each)]
    assert sorted(map(id, found)) == sorted(map(id, expected))


@given(PATTERNS, PATTERNS, TEXTS)
def test_what_matches_two_patterns_makes_them_meet(one: str, other: str, text: str) -> None:
    if fnmatchcase(text, one) and fnmatchcase(text, other):
        assert meets(one, other) and meets(other, one)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("*", "10.*", True),
        ("1*.9", "10.*", True),
        ("1?.0.0.1", "10.*", True),
        ("2*", "10.*", False),
        ("*.5", "10.*", True),
        ("10", "10.*", False),
        ("*b", "a*", True),
        ("a?", "?b", True),
        ("a", "b", False),
        ("", "*", True),
        ("?", "", False),
        ("ab*", "a*c", True),
    ],
)
def test_patterns_meet_where_one_text_matches_both(one: str, other: str, expected: bool) -> None:
    assert meets(one, other) is expected and meets(other, one) is expected


@given(st.ip_addresses())
def test_the_texts_of_exempt_addresses_are_those_of_the_networks(address: object) -> None:
    if getattr(address, "ipv4_mapped", None) is not None:
        return  # such an address is known by its IPv4 form; how Python writes it depends on its version
    text = str(address)
    assert any(fnmatchcase(text, each) for each in EXEMPT_TEXTS) is exempt(text)


def test_a_pattern_without_an_end_is_one_that_says_neither() -> None:
    assert [each for each in ("*a*", "*", "?a?", "a*", "*a", "a", "*a?b") if has_no_end(each)] == [
        "*a*",
        "*",
        "?a?",
    ]


def party(user: str) -> Party:
    return read_party(f"sip:{user}@x")


def test_a_pattern_of_stars_does_not_take_forever() -> None:
    acl = Acl([deny("sip-user", "*a*a*a*a*a*a*a*a*b")])
    assert acl.judge("tls", "192.0.2.1", "", party("a" * 60_000), NOBODY, NOW) is None
    acl = Acl([deny("sip-user", f"*{number}?b*") for number in range(100)])
    assert acl.judge("tls", "192.0.2.1", "", party("1a" * 30_000), NOBODY, NOW) is None


HOSTS = ["192.0.2.1", "192.0.2.2", "10.0.0.1", "2001:db8::1", "fd00::1"]
RULE = st.tuples(
    st.booleans(),
    st.one_of(
        st.tuples(st.just("address"), st.sampled_from([*HOSTS, "public"])),
        st.tuples(st.just("cidr"), st.sampled_from(["192.0.2.0/24", "192.0.2.2/32", "0.0.0.0/0", "::/0"])),
        st.tuples(st.just("glob"), st.sampled_from(["192.*", "*1", "*", "fd??:*", "10.0.0.?"])),
        st.tuples(st.just("sip-user"), st.sampled_from(["a", "a*", "*b", "*@x", "?", "*"])),
        st.tuples(st.just("sip-from"), st.sampled_from(["a", "a*", "*b", "*@x", "?b", "*"])),
        st.tuples(st.just("sip-did"), st.sampled_from(["+1*", "1", "*", "*2"])),
    ),
    st.sampled_from([Scope(), Scope("acme"), Scope("", ("tls",)), Scope("bolt", ("udp", "tls")), ELSEWHERE]),
    st.sampled_from([float("inf"), NOW, NOW + 1]),
)


def matches(rule: Rule, host: str, called: Party, caller: Party) -> bool:
    (value,) = rule.values
    if rule.kind == "address":
        return not exempt(host) if value == "public" else host == value
    if rule.kind == "cidr":
        return ip_address(host) in ip_network(value)
    if rule.kind == "glob":
        return fnmatchcase(host, value)
    said = caller if rule.kind == "sip-from" else called
    if rule.kind == "sip-did" and not said.user.lstrip("+").isdigit():
        return False
    return fnmatchcase(f"{said.user}@{said.host}" if "@" in value else said.user, value)


@given(
    st.lists(RULE, max_size=10), st.sampled_from(HOSTS), st.sampled_from(["", "acme", "bolt"]),
    st.sampled_from(["a@x", "ab@y", "b@x", "+12@x", "1@y", "2@x"]), st.sampled_from(["a@x", "b@y", "ab@x"]),
)  # fmt: skip
def test_the_list_decides_as_if_each_rule_were_tried_in_its_order(
    given_: list[tuple[bool, tuple[str, str], Scope, float]], host: str, tenant: str, to: str, from_: str
) -> None:
    rules = [
        Rule(allows, kind, (value,), scope, "", "", until) for allows, (kind, value), scope, until in given_
    ]
    acl, called, caller = Acl(rules), read_party(f"sip:{to}"), read_party(f"sip:{from_}")
    applying = [rule for rule in rules if rule.applies("tls", tenant, NOW)]
    hit = [rule for rule in applying if matches(rule, host, called, caller)]
    assert acl.judge("tls", host, tenant, called, caller, NOW) is next(iter(hit), None)
    known = next((rule for rule in hit if rule.is_of_address), None)
    assert acl.of_address("tls", host, tenant, NOW) is known
    expected = known if known is not None and not known.allow else None
    assert acl.at_door("tls", host, (tenant,), NOW) is expected
