"""What the conditions and actions of the language do, each as a small rule over literal facts."""

from __future__ import annotations

from datetime import datetime
from textwrap import indent

import pytest

from dsl.decision import (
    DEFAULT_FAILURES,
    NO_ROUTE,
    Decision,
    Hop,
    Redirect,
    Reject,
    RemoveHeader,
    Route,
    SetHeader,
    SetPart,
)
from dsl.facts import Facts
from dsl.load import load
from dsl.ruleset import RuleSet


def ruleset(*rules: tuple[str, str]) -> RuleSet:
    text = "rules:\n"
    for number, (when, then) in enumerate(rules, 1):
        text += f"  - name: r{number}\n    when: |\n{indent(when, '      ')}\n"
        text += f"    then: |\n{indent(then, '      ')}\n"
    loaded, diagnostics = load({"a.yaml": text})
    assert loaded is not None, "\n".join(map(str, diagnostics))
    return loaded


def holds(when: str, facts: Facts) -> bool:
    return ruleset((when, "reject 403")).decide(facts) != NO_ROUTE


def decide(then: str, facts: Facts | None = None) -> Decision:
    return ruleset(("true", then)).decide(facts or CALL)


def route(then: str, facts: Facts | None = None) -> Route:
    decision = decide(then + '\nroute "a"', facts)
    assert isinstance(decision, Route)
    return decision


HEADERS = {"x-customer": "gold", "x-priority": "7"}
CALL = Facts(
    trunk="teams",
    tenant="acme",
    listener="trunk-tls",
    source="10.1.2.3",
    transport="tls",
    ruri_user="004930123456",
    ruri_host="SBC.Example.NET",
    from_user="+12125550100",
    from_host="teams.example",
    from_display='Bob "B" Smith',
    sips=True,
    peer_verified=True,
    peer_sans=("dns:sip.acme.example", "uri:sip:acme.example"),
    tls_group="X25519MLKEM768",
    sdp_codecs=("PCMA", "opus"),
    sdp_srtp="required",
    tags=("vip", "known"),
    now=datetime(2026, 7, 1, 9, 30).timestamp(),
    header=lambda name: HEADERS.get(name.lower()),
)


@pytest.mark.parametrize(
    "when",
    [
        "true",
        "sips",
        "not not sips",
        "sips == true",
        "sips != false",
        "not (sips and false)",
        'trunk == "teams"',
        'trunk != "other"',
        'trunk == "teams" and sips and peer.verified and true',
        'trunk == "x" or trunk == "teams"',
        'trunk == "x" or trunk == "y" or sips',
        'trunk == "x" and false or sips',
        'not trunk == "x"',
        'trunk in ["x", "teams"]',
        'trunk not in ["x", "y"]',
        'trunk in "teams"',
        'to.host == "sbc.example.net"',
        'to.host in ["sbc.EXAMPLE.net"]',
        'to.host ends with ".example.net"',
        'to.host starts with "sbc."',
        'to.user starts with ["+", "00"]',
        'from.user ends with "0100"',
        "to.user matches /^0049(30|40)/",
        "from.user matches /^\\+1[2-9]\\d{9}$/",
        "source in 10.0.0.0/8",
        "source in [192.168.0.0/16, 10.1.2.3]",
        'source in "10.1.0.0/16"',
        "source not in 2001:db8::/32",
        'source == "10.1.2.3"',
        'peer.san == "dns:sip.acme.example"',
        'peer.san != "dns:other.example"',
        'peer.san in ["dns:x", "uri:sip:acme.example"]',
        "peer.san matches /acme/",
        'peer.san ends with ".acme.example"',
        'sdp.codecs == "PCMA" and not sdp.codecs == "PCMU"',
        'sdp.srtp == "required"',
        'tls.group == "X25519MLKEM768"',
        'call.tags == "known" and call.tags in ["x", "vip"] and not call.tags == "y"',
        'has header "X-CUSTOMER"',
        'header("X-Customer") == "gold"',
        'header("X-None") == ""',
        'number(header("X-Priority")) > 3',
        "length(to.user) >= 12 and length(to.user) <= 12",
        'lower("ABC") == "abc"',
        '"+" + to.user == "+004930123456"',
        "time.hour >= 9 and time.hour < 17 and time.minute == 30",
        "time.weekday in [1, 2, 3]",
        'trunk == "teams" # the desk\n  and sips',
    ],
)
def test_conditions_that_hold(when: str) -> None:
    assert holds(when, CALL)
    assert not holds(f"not ({when}\n)", CALL)


@pytest.mark.parametrize(
    "when",
    [
        "number(to.host) > 0 or number(to.host) <= 0 or number(to.host) == number(to.host)",
        "source in 10.0.0.0/8",
        'header("X-Customer") != ""',
        "peer.verified",
        "time.hour >= 0",
    ],
)
def test_what_cannot_be_answered_is_false(when: str) -> None:
    facts = Facts(source="not an address", ruri_host="12x", now=float("nan"))
    assert not holds(when, facts)


def test_an_ipv4_address_inside_ipv6_is_the_ipv4_address() -> None:
    assert holds("source in 10.0.0.0/8", Facts(source="::ffff:10.1.2.3"))


def test_an_address_is_compared_however_it_is_written() -> None:
    assert holds('source == "2001:DB8:0::1"', Facts(source="2001:db8::1"))


def test_route_with_failover() -> None:
    assert decide('route "a" then "b" on 503, 408, timeout then "c"') == Route(
        (Hop("a"), Hop("b", (503, 408, "timeout")), Hop("c", DEFAULT_FAILURES)), rule="r1 (a.yaml:2)"
    )


def test_next_hop_is_the_first_later_one_that_takes_the_failure() -> None:
    decision = decide('route "a" then "b" on 503 then "c" on timeout')
    assert isinstance(decision, Route)
    assert [decision.next_hop(0, failure) for failure in (503, "timeout", 486)] == [1, 2, None]
    assert decision.next_hop(1, 503) is None


def test_reject_and_redirect() -> None:
    assert decide('reject 603 "Declined"') == Reject(603, "Declined", "r1 (a.yaml:2)")
    assert decide("reject 404") == Reject(404, "", "r1 (a.yaml:2)")
    assert decide('redirect "sip:" + to.user + "@b.example", "sips:c.example"') == Redirect(
        ("sip:004930123456@b.example", "sips:c.example"), "r1 (a.yaml:2)"
    )


@pytest.mark.parametrize(
    ("action", "srtp", "downgrade"),
    [
        ("require srtp", "required", None),
        ("offer srtp", "offer", None),
        ("accept srtp", "accept", None),
        ("no srtp", "off", None),
        ("forbid downgrade", None, "forbid"),
        ("warn downgrade; allow downgrade", None, "allow"),
    ],
)
def test_policies(action: str, srtp: str | None, downgrade: str | None) -> None:
    decision = route(action)
    assert (decision.srtp, decision.downgrade) == (srtp, downgrade)


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ('"x"', "x"),
        ("to.user", "004930123456"),
        ('"+" + strip_prefix(to.user, "00")', "+4930123456"),
        ('replace(to.user, /^00/, "+")', "+4930123456"),
        (r'replace(to.user, /^00(\d\d)(\d+)$/, "+\1-\2-\\")', r"+49-30123456-\\".replace("\\\\", "\\")),
        ('replace(to.user, /0/, "")', "493123456"),
        ('replace(to.user, /0*/, "")', "493123456"),
        ('add_prefix(from.user, "+")', "+12125550100"),
        ('add_prefix(to.user, "9")', "9004930123456"),
        ('strip_prefix(to.user, "1")', "004930123456"),
        ('header("X-Customer") + header("X-None")', "gold"),
    ],
)
def test_expressions(expression: str, result: str) -> None:
    assert route(f'set header "X-A" = {expression}').edits == (SetHeader("X-A", result),)


def test_actions_see_what_those_before_them_set() -> None:
    decision = route(
        'set to.user = replace(to.user, /^00/, "+")\nset from.display = to.user\n'
        'set header "X-A" = header("X-Customer") + "!"\nset header "X-B" = header("x-a")\n'
        'remove header "X-Cust*"\nset header "X-C" = header("X-Customer")'
    )
    assert decision.edits == (
        SetPart("to.user", "+4930123456"),
        SetPart("from.display", "+4930123456"),
        SetHeader("X-A", "gold!"),
        SetHeader("X-B", "gold!"),
        RemoveHeader("X-Cust*"),
        SetHeader("X-C", ""),
    )


def test_continue_keeps_edits_and_policies_and_later_rules_see_them() -> None:
    rules = ruleset(
        (
            'to.user starts with "00"',
            'set to.user = "+" + strip_prefix(to.user, "00")\nrequire srtp\ncontinue',
        ),
        ('to.user starts with "00"', "reject 500"),
        ('to.user starts with "+49"', 'set from.host = "sbc.example"\nforbid downgrade\nroute "de"'),
    )
    assert rules.decide(CALL) == Route(
        (Hop("de"),),
        (SetPart("to.user", "+4930123456"), SetPart("from.host", "sbc.example")),
        "required",
        "forbid",
        "r3 (a.yaml:14)",
    )


def test_no_rule_is_404() -> None:
    assert ruleset(("false", "reject 403")).decide(CALL) == Reject(404, "No route", "no rule matched")
    empty, diagnostics = load({})
    assert empty is not None and not diagnostics
    assert empty.decide(CALL) == NO_ROUTE


@pytest.mark.parametrize(
    ("target", "value", "written"),
    [
        ('header "X-A"', "a\r\nEvil: 1\x00\x7f", "aEvil: 1"),
        ("to.user", 'a b<c>"@evil.example\r\n', "abcevil.example"),
        ("to.host", "evil.example>;x=\r\ny", "evil.examplexy"),
        ("from.display", 'Bob" <sip:evil>\\\n', "Bob <sip:evil>"),
    ],
)
def test_no_value_can_break_out_of_its_place(target: str, value: str, written: str) -> None:
    call = Facts(header=lambda name: value)
    (edit,) = route(f'set {target} = header("X-Evil")', call).edits
    assert isinstance(edit, SetPart | SetHeader) and edit.value == written


def test_a_redirect_target_cannot_be_broken_out_of() -> None:
    call = Facts(ruri_user='x@evil>,<sip:y"\r\n')
    decision = decide('redirect "sip:" + to.user + "@b.example"', call)
    assert decision == Redirect(("sip:x@evilsip:y@b.example",), "r1 (a.yaml:2)")


def test_values_do_not_grow_without_bound() -> None:
    nested = "to.user"
    for _ in range(12):
        nested = f'replace({nested}, /./, "aaaaaaaaaa")'
    (edit,) = route(f"set from.display = {nested}").edits
    assert isinstance(edit, SetPart) and len(edit.value) == 4096


def test_rules_of_other_trunks_are_not_asked_and_order_is_kept() -> None:
    rules = ruleset(
        ('trunk == "a" and sips', "reject 401"),
        ('to.user starts with "00"', "reject 402"),
        ('sips and trunk in ["b", "teams"]', "reject 403"),
        ('trunk == "teams" or sips', "reject 404"),
    )
    for trunk, user, status in [("a", "", 401), ("teams", "", 403), ("teams", "00", 402), ("c", "", 404)]:
        facts = Facts(trunk=trunk, ruri_user=user, sips=True)
        decision = rules.decide(facts)
        assert isinstance(decision, Reject) and decision.status == status
        assert rules.explain(facts)[0] == decision


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "when"),
    [
        ("c90", 'header("X-Customer") == "c{}"'),
        ("c90", 'header("X-Customer") in ["c{}", "x"] and not sips'),
        ("+4990 rest", 'header("X-Customer") starts with "+49{} "'),
        ("c90", 'header("X-Customer") matches /^c{}$/'),
    ],
)
def test_many_rules_about_one_header_are_looked_up_and_not_tried(text: str, when: str) -> None:
    rules = ruleset(*((when.format(number), f"reject {400 + number}") for number in range(99)))
    asked: list[str] = []

    def header(name: str) -> str:
        asked.append(name)
        return text

    decision = rules.decide(Facts(header=header))
    assert isinstance(decision, Reject) and decision.status == 490
    assert len(asked) < 15, "once to look up, and once for each rule that can hold"
