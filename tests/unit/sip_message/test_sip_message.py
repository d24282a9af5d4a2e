from __future__ import annotations

import pytest

from sbc.base import PeerError
from sbc.sip.headers import CSeq, Headers
from sbc.sip.message import Request, Response, response_to
from sbc.sip.parse import parse_message
from tests.unit.sip_message.sample import INVITE, bent


def invite(old: bytes = b"", new: bytes = b"") -> Request:
    message = parse_message(bent(old, new))
    assert isinstance(message, Request)
    return message


def test_the_typed_views_of_a_request() -> None:
    request = invite()
    assert request.is_request and request.method == "INVITE"
    assert (request.via.host, request.via.branch) == ("pc33.atlanta.example", "z9hG4bK776asdhds")
    assert request.call_id == "a84b4c76e66710@pc33.atlanta.example"
    assert request.cseq == CSeq(314159, "INVITE") and str(request.cseq) == "314159 INVITE"
    assert request.from_.display == "Alice A." and request.from_tag == "1928301774"
    assert request.to.uri.user == "bob" and request.to_tag == ""
    assert request.contact is not None and request.contact.uri.port == 5061
    assert request.max_forwards == 70
    assert request.routes == [] and request.record_routes == []
    assert request.target.param("transport") == "tls"


def test_the_views_follow_changes() -> None:
    request = invite()
    assert request.from_tag == "1928301774" and request.target.host == "biloxi.example"
    request.headers.set("From", "<sip:x@y>;tag=new")
    request.headers.remove("Max-Forwards")
    request.uri = "sip:other.example"
    assert request.from_tag == "new" and request.max_forwards is None
    assert request.target.host == "other.example"
    request.headers.fields.append(("Route", "<sip:r;lr>"))
    request.changed()
    assert [str(route) for route in request.routes] == ["<sip:r;lr>"]


def test_the_top_via_of_several_on_one_line_and_the_routes_of_several_lines() -> None:
    request = invite(b"Via: ", b"Via: SIP/2.0/UDP top;branch=1, ")
    assert request.via.host == "top"
    request.headers.add("Route", "<sip:a;lr>, <sip:b;lr>")
    request.headers.add("Route", "<sip:c;lr>")
    request.headers.add("Record-Route", '"x, y" <sip:d;lr>')
    assert [route.uri.host for route in request.routes] == ["a", "b", "c"]
    assert [route.display for route in request.record_routes] == ["x, y"]


def test_a_star_contact_is_no_address() -> None:
    assert invite(b"<sip:alice@pc33.atlanta.example:5061;transport=tls>", b"*").contact is None


@pytest.mark.parametrize("name", ["via", "from", "to", "call-id", "cseq"])
def test_a_missing_header_is_a_peer_error_that_names_it(name: str) -> None:
    request = invite()
    request.headers.remove(name)
    with pytest.raises(PeerError, match=name):
        getattr(request, {"from": "from_", "call-id": "call_id"}.get(name, name))


@pytest.mark.parametrize(
    "value",
    ["", "INVITE", "1", "1INVITE", "-1 INVITE", "2147483648 INVITE", "36893488147419103232 INVITE",
     "٣ INVITE",
     "1 INVITE x", "1 IN/VITE", " 1 INVITE", "0x1 INVITE"],
)  # fmt: skip
def test_malformed_cseqs(value: str) -> None:
    with pytest.raises(PeerError, match="CSeq"):
        Request("INVITE", "sip:x", Headers([("CSeq", value)])).cseq  # noqa: B018


@pytest.mark.parametrize(
    ("value", "number"), [("0 X", 0), ("2147483647 X", 2**31 - 1), (f"{'0' * 5000}9\t X", 9)]
)
def test_cseqs(value: str, number: int) -> None:
    assert Request("X", "sip:x", Headers([("CSeq", value)])).cseq == CSeq(number, "X")


@pytest.mark.parametrize("value", ["", "-1", "256", "300", "x", "7 0", "٣", "+7", "99999999999999999999"])
def test_malformed_max_forwards(value: str) -> None:
    with pytest.raises(PeerError, match="Max-Forwards"):
        Request("X", "sip:x", Headers([("Max-Forwards", value)])).max_forwards  # noqa: B018


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("255", 255), ("0068", 68), ("0" * 5000, 0)])
def test_max_forwards(value: str, number: int) -> None:
    assert Request("X", "sip:x", Headers([("Max-Forwards", value)])).max_forwards == number


@pytest.mark.parametrize("value", ["", "a b", "a\tb", "é", "a\0"])
def test_malformed_call_ids(value: str) -> None:
    with pytest.raises(PeerError, match="Call-ID"):
        Request("X", "sip:x", Headers([("i", value)])).call_id  # noqa: B018


def full() -> Request:
    request = invite()
    request.headers.add("Record-Route", "<sip:proxy;lr>")
    request.headers = Headers([("Via", "SIP/2.0/UDP top;branch=z9hG4bKtop"), *request.headers.fields])
    request.headers.add("Timestamp", "54")
    return request


def test_a_response_echoes_what_rfc_3261_8_2_6_2_says() -> None:
    request = full()
    response = response_to(request, 486, to_tag="our")
    assert isinstance(response, Response)
    assert (response.status, response.reason, response.is_request) == (486, "Busy Here", False)
    assert [name for name, _ in response.headers.fields] == ["Via", "Via", "From", "To", "Call-ID", "CSeq"]
    assert response.headers.get_all("Via") == request.headers.get_all("Via")
    assert response.to_tag == "our" and request.to_tag == ""
    assert response.headers.get("to") == "<sip:bob@biloxi.example>;tag=our"
    assert response.body == b""


def test_a_response_writes_names_out_and_leaves_out_what_the_request_lacks() -> None:
    fields = [
        ("t", "<sip:b@h>"),
        ("v", "SIP/2.0/UDP a"),
        ("X", "1"),
        ("f", "<sip:a@h>;tag=1"),
        ("v", "SIP/2.0/UDP b"),
    ]
    response = response_to(Request("BYE", "sip:b@h", Headers(fields)), 400, to_tag="our")
    assert response.headers.fields == [
        ("Via", "SIP/2.0/UDP a"),
        ("Via", "SIP/2.0/UDP b"),
        ("From", "<sip:a@h>;tag=1"),
        ("To", "<sip:b@h>;tag=our"),
    ]
    assert response_to(Request("BYE", "sip:b@h", Headers()), 400, to_tag="our").headers.fields == []


@pytest.mark.parametrize(
    ("status", "record_route", "timestamp", "tagged"),
    [
        (100, False, True, False),
        (180, True, False, True),
        (200, True, False, True),
        (302, False, False, True),
    ],
)
def test_record_route_timestamp_and_tag_by_status(
    status: int, record_route: bool, timestamp: bool, tagged: bool
) -> None:
    response = response_to(full(), status, to_tag="our")
    assert ("Record-Route" in response.headers) is record_route
    assert ("Timestamp" in response.headers) is timestamp
    assert bool(response.to_tag) is tagged


def test_a_to_tag_that_is_there_stays() -> None:
    request = invite(b"To: <sip:bob@biloxi.example>", b"To: <sip:bob@biloxi.example>;tag=theirs")
    assert response_to(request, 200, to_tag="our").headers.get("To") == "<sip:bob@biloxi.example>;tag=theirs"


def test_a_broken_request_can_still_be_answered() -> None:
    request = invite(b"To: <sip:bob@biloxi.example>", b'To: "unbalanced <sip:bob@biloxi.example>')
    request.headers.remove("Call-ID")
    response = response_to(request, 400, "Malformed To", to_tag="our")
    assert response.headers.get("To") == '"unbalanced <sip:bob@biloxi.example>'
    assert response.reason == "Malformed To" and "Call-ID" not in response.headers


def test_the_repr_shows_no_value() -> None:
    request = parse_message(INVITE)
    assert "alice" not in repr(request) and "INVITE" in repr(request)
    assert "180" in repr(Response(180, "Ringing", Headers()))
