from __future__ import annotations

import pytest

from dsl.addresses import escape_user
from sbc.base import PeerError
from sbc.sip.uri import Uri, parse_uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("sip:bob@biloxi.example", Uri("sip", "bob", None, "biloxi.example")),
        ("SIPS:bob:pw@h.example:5061", Uri("sips", "bob", "pw", "h.example", 5061)),
        ("sip:h.example;lr;transport=tls", Uri("sip", host="h.example", params=(("lr", None), ("transport",
        "tls")))),
        ("sip:u@[2001:db8::10]:5070", Uri("sip", "u", None, "2001:db8::10", 5070)),
        ("sip:a@h?Subject=x&To=y", Uri("sip", "a", None, "h", headers="Subject=x&To=y")),
        ("sip:user;par=u%40x@h", Uri("sip", "user;par=u%40x", None, "h")),
        ("sip:*21#@h", Uri("sip", "*21#", None, "h")),
        ("sip:@h".replace("@", "a@"), Uri("sip", "a", None, "h")),
        ("tel:+1-212-555;phone-context=x.example", Uri("tel", "+1-212-555", params=(("phone-context",
        "x.example"),))),
        ("urn:service:sos", Uri("urn", "service:sos")),
        ("http://www.example.com/?q=1", Uri("http", "//www.example.com/?q=1")),
        ("sip:h;x=", Uri("sip", host="h", params=(("x", ""),))),
    ],
)  # fmt: skip
def test_a_uri_is_read_and_written_back(text: str, uri: Uri) -> None:
    assert parse_uri(text) == uri
    assert parse_uri(str(uri)) == uri
    scheme, colon, rest = text.partition(":")
    assert str(uri) == scheme.lower() + colon + rest


@pytest.mark.parametrize(
    "text",
    [
        "", "sip:", "sip", ":x", "sip:@", "sip:@@h", "sip::pw@h", "sip:@h?x=a@b",
        "sip:a@", "sip:a@b@c", "sip:a b@h", "sip:a@h ", " sip:a@h",
        "sip:a@h;",
        "sip:a@h;;x", "sip:a@h;=1", "sip:a@h:", "sip:a@h:65536", "sip:a@h:5o60", "sip:a@h:٥", "sip:a%4@h",
        "sip:a%zz@h", "sip:2001:db8::10", "sip:[2001:db8:::1]", "sip:[fe80::1%eth0]", "sip:[::1",
        "sip:a\r\n@h",
        "sip:a@h\n", "sip:a<b@h", 'sip:a"b@h', "sip:é@h", "sip:a@é", "tel:", "tel:abc xyz", "tel:٣",
        "<sip:a@h>",
        "sip:a@h?", "sip:h?x=a@", "sip:h:5060?x=a@b", "sip:h;x:y?x=a@b",
        "alan@jasomi.com", "nö:x", "x:", "sip:a@h;x=1,2",
    ],
)  # fmt: skip
def test_what_is_no_uri_is_a_peer_error(text: str) -> None:
    with pytest.raises(PeerError) as caught:
        parse_uri(text)
    assert caught.value.status == 400


@pytest.mark.parametrize("rest", ["h.example", "[2001:db8::1]:5070;transport=tls"])
def test_a_host_alone_may_have_an_at_before_it(rest: str) -> None:
    """Gateways leave the user of an unknown caller out and the @ there; the host is the same to everybody."""
    assert parse_uri(f"sip:@{rest}") == parse_uri(f"sip:{rest}")
    assert str(parse_uri(f"sip:@{rest}")) == f"sip:{rest}"


def test_parameters_are_found_in_any_case() -> None:
    uri = parse_uri("sip:h;Transport=TLS;lr")
    assert uri.param("transport") == "TLS"
    assert uri.param("lr") == ""
    assert uri.param("maddr") is None


def test_other_parts_can_be_put_in() -> None:
    uri = parse_uri("sip:bob@biloxi.example;transport=tls")
    assert str(uri.with_(user="+1", host="2001:db8::1", port=5061, params=())) == "sip:+1@[2001:db8::1]:5061"
    assert str(uri.with_(user="a b@c>\r\n")) == "sip:a%20b%40c%3E%0D%0A@biloxi.example;transport=tls"
    assert str(uri.with_(user="")) == "sip:biloxi.example;transport=tls"


@pytest.mark.parametrize(
    "changes",
    [
        {"host": "a b"}, {"host": "x>;y"}, {"host": "h\r\nX: y"}, {"host": "h;maddr=evil"}, {"port": 70000},
        {"params": (("a;b", None),)}, {"params": (("x", "1>"),)}, {"headers": "a b"}, {"scheme": "http"},
    ],
)  # fmt: skip
def test_parts_that_make_no_uri_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="do not make"):
        parse_uri("sip:bob@biloxi.example").with_(**changes)


def test_escapes_that_are_there_stay() -> None:
    assert escape_user("a%20b%zz") == "a%20b%25zz"
    assert escape_user("é\udcff") == "%C3%A9%FF"


def test_a_password_is_not_in_the_repr() -> None:
    assert "hunter2" not in repr(parse_uri("sip:bob:hunter2@h"))
