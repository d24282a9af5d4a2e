"""One form for all spellings of a URI: RFC 3261 19.1.4 and 25.1, RFC 3966 5.1.1, RFC 4904."""

from __future__ import annotations

import pytest

from dsl.addresses import (
    canonical_addresses,
    canonical_host,
    canonical_user,
    escape_user,
    no_param,
    party,
    read_party,
    read_user,
)
from sbc.sip.uri import parse_uri


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("+19005551234", "+19005551234"),
        ("+1%39005551234", "+19005551234"),
        ("%2B1900", "+1900"),
        ("%2b1%2d900", "+1900"),
        ("+1-900-555-1234", "+19005551234"),
        ("(1)900.555-1234", "19005551234"),
        ("(+1)9005551234", "+19005551234"),
        ("john-smith", "john-smith"),
        ("j%6Fhn%2Dsmith", "john-smith"),
        ("1.2-b", "1.2-b"),
        ("-.()", "-.()"),
        ("+", "+"),
        ("", ""),
        ("a%40b", "a%40b"),
        ("a%3bb", "a%3Bb"),
        ("+1900%3bx", "+1900%3Bx"),
        ("%2539", "%2539"),
        ("%252539", "%252539"),
        ("%c3%a9", "%C3%A9"),
        ("%00", "%00"),
        ("a%0d%0aEvil%3a%201", "a%0D%0AEvil%3A%201"),
        ("%7f%80%ff", "%7F%80%FF"),
        ("*21%23", "*21#"),
        ("%2A21#", "*21#"),
        ("alice;day=tuesday", "alice;day=tuesday"),
        ("+1-900;phone-context=a-b.c", "+1900;phone-context=a-b.c"),
        ("100%", "100%"),
        ("%3", "%3"),
    ],
)
def test_a_user_has_one_form(written: str, read: str) -> None:
    assert canonical_user(written) == read
    assert canonical_user(read) == read, "and that form is its own"


@pytest.mark.parametrize(
    ("scheme", "user", "seen"),
    [
        ("sip", "+1-900;tgrp=x;trunk-context=y", ("+1900", "tgrp=x;trunk-context=y")),
        ("sips", "1900;phone-context=+1", ("1900", "phone-context=+1")),
        ("sip", "alice;day=tuesday", ("alice;day=tuesday", "")),
        ("tel", "+1-900-555", ("+1900555", "")),
        ("tel", "A-1*#", ("A1*#", "")),
        ("urn", "service:sos", ("service:sos", "")),
    ],
)
def test_parameters_behind_a_number_are_no_part_of_it(scheme: str, user: str, seen: tuple[str, str]) -> None:
    assert read_user(scheme, user) == seen


def test_a_party_is_asked_for_parameters_of_the_uri_and_of_its_number() -> None:
    written = (("USER", "phone"), ("%74ransport", "T%4CS"), ("lr", None))
    found = party("sip", "+1-900;tgrp=LAB;ext=7;phone-context=+1-2", "EXAMPLE.com", 5070, written)
    assert (found.user, found.host, found.port, found.type) == ("+1900", "example.com", 5070, "phone")
    names = ("transport", "lr", "tgrp", "ext", "phone-context", "x")
    assert [found.param(name) for name in names] == ["tls", "", "lab", "7", "+12", None]


def test_of_one_parameter_written_twice_that_of_the_uri_counts() -> None:
    assert party("sip", "+1;tgrp=b", "h", 0, (("tgrp", "a"),)).param("tgrp") == "a"


def test_a_tel_uri_is_a_telephone_number() -> None:
    found = party("tel", "1-900", "", 0, (("phone-context", "+1-2"),))
    assert (found.user, found.host, found.type, found.param("phone-context")) == ("1900", "", "phone", "+12")


@pytest.mark.parametrize(
    ("host", "one"),
    [("SBC.Example", "sbc.example"), ("2001:DB8:0::1", "2001:db8::1"), ("192.0.2.1", "192.0.2.1"), ("", "")],
)
def test_a_host_has_one_form(host: str, one: str) -> None:
    assert canonical_host(host) == one


@pytest.mark.parametrize(
    ("user", "escaped"),
    [
        ("+1900", "+1900"),
        ("50%", "50%25"),
        ("a%20b%zz", "a%20b%25zz"),
        ("é\udcff\udc80", "%C3%A9%FF%80"),
        ("#[]^`{|}", "%23%5B%5D%5E%60%7B%7C%7D"),
        ("a:b@c", "a%3Ab%40c"),
        ("\ud800", "%3F"),
        ("\x00\r\n", "%00%0D%0A"),
    ],
)
def test_what_a_uri_cannot_hold_is_escaped(user: str, escaped: str) -> None:
    assert escape_user(user) == escaped


@pytest.mark.parametrize(
    ("value", "read"),
    [
        ("<sip:+1%39005551234@a.example>;x=%39", "<sip:+19005551234@a.example>;x=%39"),
        ('"a sip:+1-9@b" <SIPS:+1-900@C-d>;X=Y', '"a sip:+1-9@b" <sips:+1900@c-d>;X=Y'),
        ('"a \\" <sip:1-2@b>" <sip:1-2@b>', '"a \\" <sip:1-2@b>" <sip:12@b>'),
        ("<sip:+1-2@a>, <tel:+1-900-5>, sip:1-3@c", "<sip:+12@a>, <tel:+19005>, sip:13@c"),
        ("sip:1-2@a,sip:3-4@b", "sip:12@a,sip:34@b"),
        ("<sip:h-1>;x=y, sip:1-2@a", "<sip:h-1>;x=y, sip:12@a"),
        ("<sip:1-2:p-w@a-b>", "<sip:12:p-w@a-b>"),
        ("<sip:john-smith@a>", "<sip:john-smith@a>"),
        ("<sip:%2A21#@a?Privacy=1-2>", "<sip:*21%23@a?Privacy=1-2>"),
        ("https://x/?to=sip:1-2@h", "https://x/?to=sip:1-2@h"),
        ("call-1-2@host", "call-1-2@host"),
        ('"open <sip:1-2@a>', '"open <sip:1-2@a>'),
        ("tel:+1-900%2d5;phone-context=1-2", "tel:+19005;phone-context=1-2"),
        ("", ""),
    ],
)
def test_addresses_in_a_header_are_read_and_nothing_else_is(value: str, read: str) -> None:
    assert canonical_addresses(value) == read
    assert canonical_addresses(read) == read


@pytest.mark.parametrize(
    "text",
    [
        "sip:100@host.example:25160",
        "sip:alice;day=monday@H.example;x=Y?subject=a@b.example",
        "sip:a?b@h.example?c=d",
        "sip:alice:secret@h.example",
        "sip:example.com;transport=tls",
        "sips:[2001:db8::0:1]:5061",
        "SIP:+1%3900@H.example",
        "sip:+49-30;tgrp=Lab@h.example;user=phone",
        "tel:+49-30-12;phone-context=X",
    ],
)
def test_a_uri_that_somebody_writes_down_is_read_as_that_of_a_call(text: str) -> None:
    written, arrived = read_party(text), parse_uri(text).party
    assert written._replace(param=no_param) == arrived._replace(param=no_param)
    for name in ("x", "tgrp", "user", "phone-context", "transport", "day", "subject"):
        assert written.param(name) == arrived.param(name)


def test_a_name_a_number_and_an_address_without_a_scheme() -> None:
    assert read_party("alice;day=monday")[:4] == ("alice;day=monday", "", "sip", 0)
    number = read_party("+1-900;tgrp=Lab")
    assert (number.user, number.host, number.param("tgrp")) == ("+1900", "", "lab")
    assert read_party("bob@H.example:5070;x=1")[:4] == ("bob", "h.example", "sip", 5070)
