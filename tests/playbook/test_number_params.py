"""Parameters of numbers and URIs, read and written in their places (RFC 3966, RFC 4694, RFC 4904)."""

from __future__ import annotations

import pytest

from dsl.decision import SetParam
from dsl.validate import edits_refusal
from sbc.b2bua.uri_params import placed
from sbc.sip.message import Request
from tests.playbook.stage import SDP, Stage, snapshot


def sent(then: str, uri: str = "sip:+12125550100@sbc.example", when: str = "true", **headers: str) -> Request:
    """The INVITE that goes on."""
    lines = f'rules:\n  - name: out\n    when: {when}\n    then: |\n      {then}; route "carrier"\n'
    stage = Stage(snapshot(lines))
    stage.office.request("INVITE", uri, SDP, **headers)
    stage.office.hears(100)
    return stage.carrier.hears_request("INVITE")


@pytest.mark.parametrize(
    ("then", "uri"),
    [
        ('set to.param("rn") = "+12125550000"', "+12125550100;rn=+12125550000@carrier.example"),
        ('set to.param("npdi") = "npdi"', "+12125550100;npdi@carrier.example"),
        (
            'set to.param("trunk-context") = "x.example"; set to.param("TGRP") = "tg-1"',
            "+12125550100;tgrp=tg-1;trunk-context=x.example@carrier.example",
        ),
        ('set to.param("cause") = "302"', "+12125550100@carrier.example;cause=302"),
        ('set to.param("x") = "x"; set to.type = "phone"', "+12125550100@carrier.example;user=phone;x"),
        ('set to.param("rn") = "1"; set to.param("rn") = ""', "+12125550100@carrier.example"),
        ('set to.param("x") = "a;b=c@d>"', "+12125550100@carrier.example;x=a%3Bb%3Dc%40d"),
        ('set to.param("rn") = "a;b"', "+12125550100;rn=a%3Bb@carrier.example"),
        ('set to.user = "desk"; set to.param("rn") = "1"', "desk@carrier.example;rn=1"),
        (
            'set to.user = to.user + ";tgrp=a"; set to.param("tgrp") = "b"',
            "+12125550100;tgrp=b@carrier.example",
        ),
        (
            'set to.user = "100"; set to.param("npdi") = "npdi"; set to.param("phone-context") = "+4930"; '
            'set to.param("ext") = "7"',
            "100;ext=7;phone-context=+4930;npdi@carrier.example",
        ),
    ],
)
def test_what_a_rule_writes_stands_in_its_place(then: str, uri: str) -> None:
    invite = sent(then)
    assert invite.uri == f"sip:{uri};transport=tls" and invite.headers.get("To") == f"<sip:{uri}>"


@pytest.mark.parametrize(
    "uri",
    [
        "sip:+12125550100;npdi;rn=+1-212-555-0000@sbc.example;user=phone",
        "sip:+12125550100@sbc.example;npdi;rn=+12125550000",
        "tel:+1-212-555-0100;rn=+12125550000;npdi",
    ],
)
def test_what_a_network_looked_up_is_read_and_goes_on(uri: str) -> None:
    then = 'set to.param("rn") = to.param("rn"); set to.param("npdi") = to.param("npdi")'
    invite = sent(then, uri, """'to.param("npdi") == "npdi" and to.param("rn") == "+12125550000"'""")
    assert invite.target.user == "+12125550100;npdi;rn=+12125550000"


def test_what_is_not_there_reads_as_nothing_and_stays_away() -> None:
    invite = sent('set to.param("npdi") = to.param("npdi")', when="""'to.param("npdi") == ""'""")
    assert invite.target.user == "+12125550100"


def test_an_originating_trunk_group_is_in_from_and_contact() -> None:
    """RFC 4904 5: it says where the call came from, in the Contact."""
    then = 'set from.param("tgrp") = "tg-1"; set from.param("trunk-context") = "sbc.example"'
    invite = sent(then, From="<sip:+12125550111@office.example>;tag=1")
    assert invite.from_.uri.user == "+12125550111;tgrp=tg-1;trunk-context=sbc.example"
    assert invite.contact is not None and invite.contact.uri.user == invite.from_.uri.user


def test_who_is_withheld_has_none() -> None:
    then = 'set from.param("tgrp") = "tg-1"; set header "Privacy" = "user"'
    rules = f'rules:\n  - name: out\n    when: true\n    then: |\n      {then}; route "plain"\n'
    stage = Stage(snapshot(rules))
    stage.office.invite(SDP)
    invite = stage.plain.hears_request("INVITE")
    assert invite.from_.uri.user == "anonymous" and "tg-1" not in str(invite.headers.fields)


def test_later_rules_see_what_was_set() -> None:
    rules = """
rules:
  - name: one
    when: true
    then: set to.param("rn") = "+1999"; continue
  - name: two
    when: to.param("rn") == "+1999"
    then: route "carrier"
"""
    stage = Stage(snapshot(rules))
    stage.office.invite(SDP)
    stage.office.hears(100)
    assert stage.carrier.hears_request("INVITE").target.user == "+12125550100;rn=+1999"


@pytest.mark.parametrize("user", ["", "+1", "a;b", "+1;;tgrp", "+1;=;a=b=c"])
def test_whatever_stands_behind_a_number_makes_a_user(user: str) -> None:
    assert placed(user, {}) == (user, "")
    written, params = placed(user, {"rn": "1", "x": "y"})
    assert "@" not in written and params.endswith(";x=y")


@pytest.mark.parametrize(
    ("edit", "refused"),
    [
        (SetParam("to", "rn", "+1"), False),
        (SetParam("from", "TGRP", ""), False),
        (SetParam("via", "rn", "1"), True),  # type: ignore[arg-type]
        (SetParam("to", "transport", "udp"), True),
        (SetParam("to", "user", "phone"), True),
        (SetParam("to", "a b", "1"), True),
        (SetParam("to", "rn", "1\r\nX: 1"), True),
        (SetParam("to", None, "1"), True),  # type: ignore[arg-type]
        (SetParam("to", "rn", None), True),  # type: ignore[arg-type]
    ],
)
def test_what_a_hook_may_set(edit: SetParam, refused: bool) -> None:
    assert (edits_refusal((edit,)) is not None) is refused
