"""The tests beside the rules: what can be given, what can be expected, and how failures are told."""

from __future__ import annotations

import pytest

from dsl.errors import Diagnostic
from dsl.load import load
from dsl.names import Known

RULES = r"""rules:
  - name: night
    when: trunk == "teams" and time.hour >= 22
    then: reject 480 "Closed"
  - name: gold
    when: header("X-Tier") == "gold" and sips and peer.san == "dns:a.example"
    then: |
      set to.user = add_prefix(to.user, "+")
      set header "X-Gold" = "1"
      require srtp
      forbid downgrade
      route "a" then "b"
  - name: moved
    when: to.host == "old.example" and to.scheme == "sips" and from.user == "bob"
    then: redirect "sip:" + to.user + "@new.example"
"""
KNOWN = Known(trunks=frozenset(("teams", "a", "b")))


def check(given: str, expect: str) -> list[Diagnostic]:
    text = f"{RULES}tests:\n  - given: {given}\n    expect: {expect}\n"
    rules, diagnostics = load({"a.yaml": text}, KNOWN)
    if rules is None:
        return diagnostics
    assert len(rules.tests) == 1
    return rules.run_tests()


GOLD = '{to: "49", headers: {x-tier: gold}, sips: true, peer.san: [dns:b, "dns:a.example"]}'


@pytest.mark.parametrize(
    ("given", "expect"),
    [
        ("{trunk: teams, time: 2026-07-01 23:10}", "{reject: 480, reason: Closed, rule: night}"),
        (GOLD, "{route: [a, b], srtp: required, downgrade: forbid, rule: gold}"),
        (GOLD, '{to.user: "+49", from.user: "", headers: {X-GOLD: "1"}}'),
        ('{to: "sips:alice@old.example;x=y", from: bob@b.example}', '{redirect: "sip:alice@new.example"}'),
        ("{trunk: teams, time: 2026-07-01 09:10}", "{reject: 404, rule: no rule matched}"),
    ],
)
def test_expectations_that_are_met(given: str, expect: str) -> None:
    assert check(given, expect) == []


@pytest.mark.parametrize(
    ("given", "expect", "message"),
    [
        (GOLD, "{route: a}", 'expected route "a", but it is "a", "b"'),
        (GOLD, "{route: [b, a]}", 'expected route "b", "a", but it is "a", "b"'),
        (GOLD, "{srtp: off}", 'expected srtp "off", but it is "required"'),
        (GOLD, "{to.user: x}", 'expected to.user "x", but it is "+49"'),
        (GOLD, "{headers: {X-None: x}}", 'expected header X-None "x", but it is not set'),
        (GOLD, "{reject: 404}", 'expected reject "404", but it is not set'),
        ("{trunk: a}", "{route: a}", 'expected route "a", but it is not set'),
        ("{trunk: a}", "{reject: 403}", 'expected reject "403", but it is "404"'),
        ("{trunk: a}", "{rule: gold}", 'expected rule "gold", but it is "no rule matched"'),
    ],
)
def test_expectations_that_are_not(given: str, expect: str, message: str) -> None:
    (found,) = check(given, expect)
    assert found.message == message
    assert found.hint.startswith("decided by ")
    assert (found.path, found.line, found.col) == ("a.yaml", 18, 14)
    assert found.source == f"    expect: {expect}"


@pytest.mark.parametrize(
    ("given", "expect", "message", "hint"),
    [
        ("{trunc: teams}", "{route: a}", "a call has no 'trunc'", 'did you mean "trunk"?'),
        ("{trunk: team}", "{route: a}", 'there is no trunk "team"', 'did you mean "teams"?'),
        ("{transport: tsl}", "{route: a}", 'transport is never "tsl"', 'did you mean "tls"?'),
        ("{sips: maybe}", "{route: a}", "sips is true or false", ""),
        ("{trunk: [a]}", "{route: a}", "a single value is needed here", ""),
        ("{headers: x}", "{route: a}", "a mapping is needed here, such as {X-Customer", ""),
        ("{time: noon}", "{route: a}", '"noon" is not a time', "2026"),
        ("{time.hour: 5}", "{route: a}", "a call has no 'time.hour'", ""),
        ("{trunk: a}", "{rout: a}", "nothing is known about 'rout'", 'did you mean "route"?'),
        ("{trunk: a}", "{route: c}", 'there is no trunk "c"', "there are: a, b, teams"),
        ("{trunk: a}", "{srtp: on}", 'srtp is never "on"', "off"),
        ("{trunk: a}", "{}", "this test expects nothing", "route"),
        ("x", "{route: a}", "a test needs a mapping `given`", ""),
    ],
)
def test_mistakes_in_a_test(given: str, expect: str, message: str, hint: str) -> None:
    (found,) = check(given, expect)
    assert found.message.startswith(message) and hint in found.hint
    assert found.line in (17, 18)


def test_what_a_redirect_says_of_downgrades_can_be_expected() -> None:
    text = (
        "rules:\n"
        "  - {name: moved, when: true, then: 'forbid downgrade; redirect \"sips:b.example\"'}\n"
        "tests:\n"
        '  - {given: {to: "1"}, expect: {redirect: "sips:b.example", downgrade: forbid}}\n'
        '  - {given: {to: "1"}, expect: {downgrade: warn}}\n'
    )
    rules, problems = load({"a.yaml": text}, KNOWN)
    assert rules is not None, problems
    (failure,) = rules.run_tests()
    assert failure.message == 'expected downgrade "warn", but it is "forbid"'


@pytest.mark.parametrize("port", ["1" * 10, "1" * 5000, "\u0665", "-1", "many"])
def test_a_number_that_is_none_is_told(port: str) -> None:
    (told,) = check(f"{{trunk: teams, to.port: {port}}}", "{reject: 404}")
    assert (told.message, told.hint) == ("to.port is a number", "digits, nine at most")


@pytest.mark.parametrize("source", ["10.0.0.0/8", "300.0.0.1", "gw.example"])
def test_a_source_that_is_no_address_is_told(source: str) -> None:
    (told,) = check(f"{{trunk: teams, source: {source}}}", "{reject: 404}")
    assert (told.message, told.hint) == (f'"{source}" is not an address', "such as 203.0.113.9")


def test_given_a_number_with_blanks_it_is_the_number() -> None:
    assert check(GOLD.replace('to: "49"', "to: 49 30"), '{to.user: "+4930"}') == []
