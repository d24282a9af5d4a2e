"""The torture tests of RFC 4475: what the message layer makes of each, against the answer that is due.

What needs more than a message to decide is left to the layers above and only checked to get that far:
an unknown extension (420), an unknown body (415, 406), credentials (401), hops used up (483), a
response that matches no transaction (dropped).
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sbc.b2bua.screening import required_but_unknown
from sbc.sip.message import Request, response_to, serialize
from sbc.sip.parse import ParseError, parse_message, validate
from sbc.sip.stream import MessageStream

CORPUS = Path(__file__).parents[3] / "shared" / "corpora" / "rfc4475"
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason=f"the RFC 4475 messages are not at {CORPUS}")

EXPECTED = json.loads((CORPUS / "expected.json").read_text()) if CORPUS.is_dir() else {}
# "test" is none of the RFC's: it has neither a SIP version nor a Via, and a line without a colon.
NAMES = sorted(set(EXPECTED) - {"test"})
DECIDED_ABOVE = {"bext01", "invut", "regaut01", "sdp01", "zeromf", "bcast"}


def octets(name: str) -> bytes:
    return (CORPUS / f"{name}.dat").read_bytes()


def verdict(data: bytes) -> int | str:
    try:
        validate(parse_message(data))
    except ParseError as error:
        return error.status if error.answerable else "drop"
    return "process"


@pytest.mark.parametrize("name", NAMES)
def test_verdict(name: str) -> None:
    expected = ["process"] if name in DECIDED_ABOVE else EXPECTED[name]["expect"]
    assert verdict(octets(name)) in expected


@pytest.mark.parametrize("name", NAMES)
def test_what_is_accepted_goes_out_in_one_meaning(name: str) -> None:
    data = octets(name)
    if verdict(data) != "process":
        return
    message = parse_message(data)
    again = parse_message(serialize(message))
    validate(again)
    kept = [field for field in message.headers.fields if field[0].lower() not in ("content-length", "l")]
    assert [f for f in again.headers.fields if f[0].lower() not in ("content-length", "l")] == kept
    assert again.body == message.body
    assert serialize(again) == serialize(message)


@pytest.mark.parametrize("name", NAMES)
def test_what_is_refused_can_be_answered(name: str) -> None:
    try:
        validate(parse_message(octets(name)))
    except ParseError as error:
        if isinstance(error.message, Request) and error.answerable:
            answer = parse_message(serialize(response_to(error.message, error.status, to_tag="ours")))
            assert answer.headers.get_all("via") == error.message.headers.get_all("via")


@pytest.mark.parametrize("name", ["clerr", "mcl01", "ncl", "inv2543"])
def test_a_stream_ends_where_framing_is_in_doubt(name: str) -> None:
    stream = MessageStream()
    items = stream.feed(octets(name))
    if name == "clerr":
        assert items == [] and stream.waiting
    else:
        assert isinstance(items[0], ParseError) and items[0].fatal and stream.failed


def test_a_stream_finds_both_requests_where_a_datagram_holds_one() -> None:
    methods = [item.method for item in MessageStream().feed(octets("dblreq")) if isinstance(item, Request)]
    assert methods == ["REGISTER", "INVITE"]


def test_the_odd_invite_means_what_section_3_1_1_1_says() -> None:
    request = parse_message(octets("wsinv"))
    assert isinstance(request, Request)
    assert request.to_tag == "1918181833n" and request.from_tag == "98asjd8"
    assert request.from_.display == 'J Rosenberg \\"'
    assert request.max_forwards == 68 and str(request.cseq) == "9 INVITE"
    vias = request.headers.values("via")
    assert request.via.host == "192.0.2.2" and request.via.branch == "390skdjuw" and len(vias) == 3
    assert request.contact is not None and request.contact.display == 'Quoted string ""'
    assert request.contact.param("secondparam") == "" and request.contact.param("newparam") == "newvalue"
    assert request.routes[0].uri.param("unknownwith") == "value"
    assert request.headers.get("NewFangledHeader") == "newfangled value continued newfangled value"


def test_escapes_do_not_change_what_a_uri_means() -> None:
    request = parse_message(octets("esc01"))
    assert isinstance(request, Request)
    assert (request.target.user, request.target.host) == ("sips%3Auser%40example.com", "example.net")
    semicolon = parse_message(octets("semiuri"))
    assert isinstance(semicolon, Request)
    assert semicolon.target.user == "user;par=u%40example.net" and semicolon.target.params == ()


def test_a_method_and_a_header_name_are_never_unescaped() -> None:
    request = parse_message(octets("esc02"))
    assert isinstance(request, Request) and request.method == "RE%47IST%45R"
    assert len(request.headers.get_all("Contact")) == 2


def test_contact_parameters_with_and_without_brackets() -> None:
    outside, inside = parse_message(octets("cparam01")).contact, parse_message(octets("cparam02")).contact
    assert outside is not None and inside is not None
    assert (outside.param("unknownparam"), outside.uri.param("unknownparam")) == ("", None)
    assert (inside.param("unknownparam"), inside.uri.param("unknownparam")) == (None, "")


def test_unsupported_extensions_are_listed() -> None:
    request = parse_message(octets("bext01"))
    assert isinstance(request, Request)
    assert required_but_unknown(request) == [
        *("nothingSupportsThis", "nothingSupportsThisEither"),
        *("noProxiesSupportThis", "norDoAnyProxiesSupportThis"),
    ]


def test_binary_bodies_and_utf8_reasons_are_untouched() -> None:
    data = octets("mpart01")
    assert parse_message(data).body == data.partition(b"\r\n\r\n")[2][:553]
    assert serialize(parse_message(octets("unreason"))).startswith(octets("unreason").partition(b"\r\n")[0])
