"""However a peer spells a number, rules judge one, and what they judged is what is sent on and recorded."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sbc.config.hooks import load_hooks
from sbc.sip.message import Request, Response
from sbc.sip.uri import parse_name_addr, parse_uri
from tests.playbook.stage import Stage, snapshot

NUMBER = "+19005551234"
SPELLINGS = [
    "+1%39005551234",
    "+1-900-555-1234",
    "%2B1(900)555.1234",
    "+19005551234;ext=1",
    "+%31900555%31234",
]


def stage(when: str, then: str = "reject 403", hook: str = "") -> Stage:
    lines = "\n      ".join(then.split("\n"))
    rules = (
        "lists: {premium: ['+1-900-555-1234']}\n"
        f"rules:\n  - name: judged\n    when: {when}\n    then: |\n      {lines}\n"
        '  - name: the rest\n    when: trunk == "office"\n    then: route "carrier"\n'
    )
    configuration = snapshot(rules)
    if hook:
        hooks, problems = load_hooks({"hooks/judge.py": hook})
        assert not problems
        configuration = replace(configuration, hooks=hooks)
    return Stage(configuration)


def becomes(there: Stage, text: str = "", **headers: Any) -> int:
    """The status of the answer to an INVITE; 0 where it went on."""
    there.office.request("INVITE", text, **headers)
    while there.office.heard:
        heard = there.office.heard.popleft()
        if isinstance(heard, Response) and heard.status >= 200:
            return heard.status
    return 0


def sent(there: Stage) -> Request:
    return there.carrier.hears_request("INVITE")


@pytest.mark.parametrize("user", SPELLINGS)
@pytest.mark.parametrize(
    "when",
    [
        'to.user starts with "+1900"',
        f'to.user == "{NUMBER}"',
        "to.user in list.premium",
        'to.user in ["+1 900", "+1-900-555-1234"]',
        'to.user == "+1-900-555-1234"',
        'to.user starts with "+1-900"',
        r"to.user matches /^\+1900\d{7}$/",
        'e164(to.user, "1") == "+19005551234"',
        'to.user in "+19005550000".."+19005559999"',
        "length(to.user) == 12",
    ],
)
def test_a_rule_about_the_called_number_holds_for_every_spelling(when: str, user: str) -> None:
    assert becomes(stage(when), f"sip:{user}@sbc.example") == 403


@pytest.mark.parametrize(
    "uri", ["tel:+1-900-555-1234", "TEL:+1(900)5551234;x=y", "sip:+1%39005551234:pw@sbc.example"]
)
def test_tel_uris_and_passwords_do_not_hide_a_number(uri: str) -> None:
    assert becomes(stage(f'to.user == "{NUMBER}"'), uri) == 403


def test_a_tel_uri_with_an_escape_is_none() -> None:
    assert becomes(stage("false"), "tel:+1%39005551234") == 400


@pytest.mark.parametrize("user", SPELLINGS)
@pytest.mark.parametrize(
    ("when", "header"),
    [
        (f'from.user == "{NUMBER}"', "From"),
        (f'to_header.user == "{NUMBER}"', "To"),
        ('header("P-Asserted-Identity") starts with "<sip:+19005551234"', "P-Asserted-Identity"),
        (r'header("Diversion") matches /sip:\+1900/', "Diversion"),
        (r'header("Referred-By") matches /sip:\+1900/', "Referred-By"),
        (r'header("From") matches /sip:\+1900/', "From"),
    ],
)
def test_a_rule_about_another_address_does(when: str, header: str, user: str) -> None:
    value = f"<sip:{user}@office.example>" + (";tag=1" if header == "From" else "")
    assert becomes(stage(when), **{header.replace("-", "_"): value}) == 403


@pytest.mark.parametrize("user", SPELLINGS)
def test_what_is_sent_on_is_what_was_judged(user: str) -> None:
    there = stage("false")
    From = f'"+1-900" <sip:{user}@office.example>;tag=1'
    assert (
        becomes(there, f"sip:{user}@sbc.example", From=From, P_Asserted_Identity=f"<sip:{user}@o.example>")
        == 0
    )
    request = sent(there)
    assert request.target.user == request.from_.uri.user == request.to.uri.user == NUMBER
    assert request.from_.display == "+1-900"
    assert request.contact is not None and request.contact.uri.user == NUMBER
    identity = parse_name_addr(request.headers.get("P-Asserted-Identity") or "").uri.user
    assert identity.partition(";")[0] == NUMBER
    there.carrier.respond(request, 486)
    (ended,) = there.noted("call-ended")
    assert (ended.fields["caller"], ended.fields["called"]) == (NUMBER, NUMBER)


@pytest.mark.parametrize(
    ("user", "out"),
    [
        ("%2539", "%2539"),
        ("a%40b", "a%40b"),
        ("a%3bb", "a%3Bb"),
        ("%00%0d%0a", "%00%0D%0A"),
        ("j%C3%b6rg-x", "j%C3%B6rg-x"),
        ("*21#", "*21%23"),
        ("*21%23", "*21%23"),
        ("john-sm%69th", "john-smith"),
        ("alice;day=tuesday", "alice;day=tuesday"),
    ],
)
def test_what_is_no_number_is_kept(user: str, out: str) -> None:
    there = stage("false")
    assert becomes(there, f"sip:{user}@sbc.example") == 0
    assert sent(there).target.user == out


def test_parameters_of_the_number_are_asked_for_and_stay_unless_a_rule_sends_them() -> None:
    uri = "sip:+1900;tgrp=LAB;trunk-context=y@sbc.example;user=phone"
    assert becomes(stage('to.param("tgrp") == "lab" and to.param("trunk-context") == "Y"'), uri) == 403
    there = stage("true", 'set to.user = to.user + ";tgrp=" + to.param("tgrp")\nroute "carrier"')
    assert becomes(there, uri) == 0
    assert sent(there).target.user == "+1900;tgrp=lab"
    there = stage("false")
    assert becomes(there, uri) == 0
    assert sent(there).target.user == "+1900"


def test_rules_read_in_one_form_what_rules_have_set() -> None:
    then = 'set to.user = header("X-Number")\ncontinue'
    there = stage("true", then)
    assert becomes(there, X_Number="+1%39-00;ext=1") == 0
    assert sent(there).target.user == "+1900;ext=1"
    rules = (
        "rules:\n  - {name: a, when: 'true', then: 'set to.user = header(\"X-Number\") continue'}\n"
        "  - {name: b, when: 'to.user == \"+1900\"', then: reject 403}\n"
    )
    assert becomes(Stage(snapshot(rules)), X_Number="+1%39-00;ext=1") == 403


def test_hooks_see_the_number_and_what_they_set_is_read_too() -> None:
    hook = (
        "from sbc.hookapi import SetPart, amend, reject\n\n\n"
        "def on_invite(facts):\n"
        "    if facts.ruri_user == '+1900':\n        return reject(603)\n"
        "    return amend(SetPart('to.user', '+1-9%3001'))\n"
    )
    assert becomes(stage("false", hook=hook), "sip:+1%3900@sbc.example") == 603
    assert becomes(stage('to.user == "+19001"', hook=hook), "sip:+1901@sbc.example") == 403
    there = stage("false", hook=hook)
    assert becomes(there, "sip:+1901@sbc.example") == 0
    assert sent(there).target.user == "+19001"


@pytest.mark.parametrize("kept", ["Diversion", "History-Info", "P-Asserted-Identity"])
def test_numbers_in_headers_cross_in_the_form_in_which_they_were_judged(kept: str) -> None:
    there = stage("false")
    value = '"a 1-2@b" <sip:+1%39-00@office.example>;x=1-2'
    assert becomes(there, **{kept.replace("-", "_"): value}) == 0
    behind = "" if kept == "P-Asserted-Identity" else ";x=1-2"  # which has no parameters (RFC 3325 9.1)
    assert sent(there).headers.get(kept) == f'"a 1-2@b" <sip:+1900@office.example>{behind}'


def test_numbers_in_copied_headers_do_too() -> None:
    there = stage("true", 'copy header "X-From"\nroute "carrier"')
    assert becomes(there, X_From="<sip:+1%39-00@office.example>") == 0
    assert sent(there).headers.get("X-From") == "<sip:+1900@office.example>"


# user=phone


def test_that_a_user_is_a_number_crosses() -> None:
    there = stage("false")
    From = "<sip:+12125550199@office.example;user=phone>;tag=1"
    assert becomes(there, "sip:+1900@sbc.example;USER=Phone;x=y", From=From) == 0
    request = sent(there)
    assert [uri.param("user") for uri in (request.target, request.from_.uri, request.to.uri)] == ["phone"] * 3
    assert request.target.param("x") is None
    there = stage("false")
    assert becomes(there, "tel:+1-900") == 0
    request = sent(there)
    assert (request.target.user, request.target.param("user")) == ("+1900", "phone")
    assert request.from_.uri.param("user") is None


def test_a_rule_sets_it_and_takes_it_away_and_no_name_bears_it() -> None:
    there = stage("true", 'set to.type = "phone"\nset from.type = "phone"\nroute "carrier"')
    assert becomes(there) == 0
    request = sent(there)
    assert request.target.param("user") == request.to.uri.param("user") == "phone"
    assert request.from_.uri.user == "alice" and request.from_.uri.param("user") is None
    there = stage('to.type == "phone"', 'set to.type = ""\nroute "carrier"')
    assert becomes(there, "sip:+1900@sbc.example;user=phone") == 0
    request = sent(there)
    assert request.target.param("user") is None and request.to.uri.param("user") is None
    there = stage("true", 'set to.user = "alice"\nroute "carrier"')
    assert becomes(there, "sip:+1900@sbc.example;user=phone") == 0
    assert sent(there).target.param("user") is None


# What rules make of a peer's text

ODD = [
    "\udc80",
    "\udcff\udcfe",
    "caf\u00e9 \udce9",
    "\u0663\u4e00",
    "50%",
    "%zz%",
    "%\udc80",
    "a:b",
    "x,<y>@z",
    "",
]


@pytest.mark.parametrize("text", ODD)
@pytest.mark.parametrize("part", ["from.user", "from.display", "from.host", "to.user", "to.host"])
@pytest.mark.parametrize("source", ['header("X-Number")', "from.display", "user_agent"])
def test_a_peers_text_in_a_part_of_a_uri_makes_a_uri(source: str, part: str, text: str) -> None:
    there = stage("true", f'set {part} = {source}\nroute "carrier"')
    From = f'"{text}" <sip:alice@office.example>;tag=1'
    assert becomes(there, From=From, X_Number=text, User_Agent=text) == 0
    request = sent(there)
    for uri in (request.target, request.from_.uri, request.to.uri):
        assert str(uri).isascii() and parse_uri(str(uri)) == uri
    assert request.contact is not None
    assert not there.noted("internal-error")


def test_octets_that_are_no_text_are_escaped_one_by_one() -> None:
    there = stage("true", 'set to.user = header("X-Number")\nroute "carrier"')
    assert becomes(there, X_Number="caf\u00e9\udc80\udcff%41") == 0
    assert sent(there).target.user == "caf%C3%A9%80%FFA"


@pytest.mark.parametrize("text", ["", "a@b", "\udc80", "a b\udcff", "%", "a>,<sip:evil@x"])
def test_a_redirect_to_what_is_no_uri_is_refused_and_says_where_it_is_written(text: str) -> None:
    there = stage("true", 'redirect "sip:ok@a.example", "sip:" + header("X-Where") + "@b.example"')
    assert becomes(there, X_Where=text) == 500
    (note,) = there.noted("redirect-refused")
    assert note.fields["rule"] == "judged (test.yaml:3)"
    (ended,) = there.noted("call-ended")
    assert "judged (test.yaml:3)" in ended.fields["reason"]


def test_a_hooks_redirect_is_judged_alike() -> None:
    hook = (
        "from sbc.hookapi import redirect\n\n\n"
        "def on_invite(facts):\n    return redirect('sip:' + facts.header('X-Where') + '@b.example')\n"
    )
    there = stage("false", hook=hook)
    assert becomes(there, X_Where="a@b") == 500
    (note,) = there.noted("redirect-refused")
    assert "hooks/judge.py" in note.fields["rule"]


def test_a_good_redirect_names_a_uri_that_everybody_reads() -> None:
    there = stage("true", 'redirect "sip:" + to.user + "@b.example;x=y", "tel:+1-900"')
    there.office.request("INVITE", "sip:*21#@sbc.example")
    there.office.hears(100)
    contacts = there.office.hears_response(302).headers.get_all("Contact")
    assert contacts == ["<sip:*21%23@b.example;x=y>", "<tel:+1-900>"]
