from __future__ import annotations

import pytest

from sbc.b2bua.screening import required_but_unknown
from sbc.sip.message import Request
from sbc.sip.parse import ParseError, parse_message, validate
from tests.unit.sip_message.sample import INVITE, RINGING, bent


def refused(data: bytes) -> ParseError:
    message = parse_message(data)
    with pytest.raises(ParseError) as caught:
        validate(message)
    assert caught.value.message is message
    return caught.value


def test_sound_messages_pass() -> None:
    validate(parse_message(INVITE))
    validate(parse_message(RINGING))


@pytest.mark.parametrize("header", [b"Via", b"From", b"To", b"Call-ID", b"CSeq"])
def test_mandatory_headers(header: bytes) -> None:
    error = refused(bent(b"\r\n" + header + b": ", b"\r\nX-Was: "))
    assert error.status == 400 and error.answerable is (header != b"Via")
    assert not refused(RINGING.replace(b"\r\n" + header + b": ", b"\r\nX-Was: ")).answerable


def test_max_forwards_may_be_missing() -> None:
    validate(parse_message(bent(b"Max-Forwards: 70\r\n", b"")))


@pytest.mark.parametrize(
    "line",
    [b"From: <sip:x@y>;tag=2", b"t: <sip:x@y>", b"i: other", b"CSEQ: 314159 INVITE", b"Max-Forwards: 70",
     b"c: application/sdp", b"Expires: 1\r\nExpires: 2", b"r: <sip:a@b>\r\nRefer-To: <sip:c@d>",
     b"x: 90\r\nx: 91"],
)  # fmt: skip
def test_single_headers_must_not_occur_twice(line: bytes) -> None:
    assert refused(bent(b"Content-Length", line + b"\r\nContent-Length")).status == 400


def test_headers_that_may_occur_twice() -> None:
    more = (
        b"Via: SIP/2.0/UDP h\r\nRoute: <sip:a;lr>\r\nRoute: <sip:b;lr>\r\nX-A: 1\r\nX-A: 2\r\nContent-Length"
    )
    validate(parse_message(bent(b"Content-Length", more)))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"314159 INVITE", b"314159 BYE"), (b"314159 INVITE", b"2147483648 INVITE"), (b"314159 INVITE",
        b"x INVITE"),
        (b": 70", b": 256"), (b": 70", b": seventy"), (b"branch=z9hG4bK776asdhds", b"branch=z9hG4bK"),
        (b"SIP/2.0/TLS pc33", b"SIP/1.0/TLS pc33"), (b"To: <", b'To: "Bob <'), (b"tag=19", b"tag"),
        (b";rport", b";;"),
        (b"Contact: <sip:", b"Contact: < sip:"), (b"transport=tls SIP", b"transport=tls?Route=x SIP"),
        (b"Content-Type", b"Route: <sip:a\r\nContent-Type"), (b"Content-Type",
        b"Record-Route: ,<>\r\nContent-Type"),
        (b"Call-ID: a84b", b"Call-ID: a b"), (b"sip:bob@biloxi.example;", b"sip:2001:db8::1;"),
        (b"sip:bob@biloxi.example;", b"sip:bob@evil@biloxi.example;"),
    ],
)  # fmt: skip
def test_what_makes_a_request_bad(old: bytes, new: bytes) -> None:
    error = refused(bent(old, new).replace(b"tag28301774", b"tag=;x"))
    assert (error.status, error.answerable) == (400, True)


@pytest.mark.parametrize(
    "uri", [b"http://example.com/", b"urn:nena:service:sos", b"soap.beep://192.0.2.103:3002"]
)
def test_an_unknown_scheme_is_416(uri: bytes) -> None:
    assert refused(bent(b"sip:bob@biloxi.example;transport=tls", uri)).status == 416


def test_tel_and_sips_are_known() -> None:
    for uri in (b"tel:+12125550100", b"sips:bob@biloxi.example"):
        validate(parse_message(bent(b"sip:bob@biloxi.example;transport=tls", uri)))


def test_an_address_of_record_has_a_scheme_that_we_know() -> None:
    register = INVITE.replace(b"INVITE", b"REGISTER").replace(
        b"To: <sip:bob@biloxi.example>", b"To: isbn:2983792873"
    )
    assert refused(register).status == 400
    validate(parse_message(bent(b"To: <sip:bob@biloxi.example>", b"To: isbn:2983792873")))


def test_a_star_contact_passes() -> None:
    validate(parse_message(bent(b"<sip:alice@pc33.atlanta.example:5061;transport=tls>", b"*")))


def test_the_extensions_that_are_required_and_not_supported() -> None:
    request = parse_message(
        bent(b"Content-Type", b"Require: 100rel, Foo\r\nRequire: timer,bar\r\nContent-Type")
    )
    plain = parse_message(INVITE)
    assert isinstance(request, Request) and isinstance(plain, Request)
    assert required_but_unknown(request) == ["Foo", "bar"]
    assert required_but_unknown(plain) == []
