"""What is written on one leg from what was read on the other: escaping, edits, bodies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsl.addresses import escape_user
from dsl.decision import Edit, RemoveHeader, Route, SetHeader, SetPart
from sbc.b2bua.bodies import carried_body, content_type
from sbc.b2bua.leg import Leg
from sbc.b2bua.translate import (
    address_invite,
    extensions,
    invite,
    parts_after,
    quote_display,
)
from sbc.base import Address, PeerError
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.sip.headers import Headers
from sbc.sip.message import Request, serialize
from sbc.sip.parse import parse_message, validate

TRUNK = Trunk.model_validate({"trunk": "carrier", "listener": "main"})


def leg(transport: str = "tls", scheme: str = "sip") -> Leg:
    flow = Flow(1, transport, Address("192.0.2.1", 5061), Address("198.51.100.1", 5061))  # type: ignore[arg-type]
    made = Leg("b", TRUNK, flow, "sbc.example:5061", scheme)
    made.call_id, made.local_tag = "ours", "tag"
    return made


def request(body: bytes = b"", **headers: str) -> Request:
    fields = {
        "Via": "SIP/2.0/TLS a.example;branch=z9hG4bK1",
        "From": '"Alice" <sip:alice@a.example>;tag=1',
        "To": "<sip:+1212@sbc.example>",
        "Call-ID": "1",
        "CSeq": "1 INVITE",
        "Max-Forwards": "70",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("INVITE", "sip:+1212@sbc.example", Headers(list(fields.items())), body)


def written(edits: tuple[Edit, ...] = (), target: Address | None = None, **headers: str) -> Request:
    """The INVITE for the other leg, read again from its bytes."""
    route = Route((), edits=edits)
    out = invite(
        leg(), request(b"", **headers), route, target or Address("c.example", 5061), "z9hG4bKx", b"", leg()
    )
    parsed = parse_message(serialize(out))
    validate(parsed)
    assert isinstance(parsed, Request)
    return parsed


@pytest.mark.parametrize(
    ("user", "escaped"),
    [
        ("+12125550100", "+12125550100"),
        ("a;phone-context=x", "a;phone-context=x"),
        ("50%", "50%25"),
        ("a%20b", "a%20b"),
        ("a b", "a%20b"),
        ("a@evil.example", "a%40evil.example"),
        ('x>\r\nEvil: 1<"', "x%3E%0D%0AEvil%3A%201%3C%22"),
        ("ä", "%C3%A4"),
        ("", ""),
    ],
)
def test_users_are_escaped(user: str, escaped: str) -> None:
    assert escape_user(user) == escaped


@pytest.mark.parametrize(
    ("display", "quoted"),
    [
        ("", ""),
        ("Alice", '"Alice" '),
        ('A "B" \\C', '"A \\"B\\" \\\\C" '),
        ("a\r\nEvil: 1", '"aEvil: 1" '),
        ("\x7f", '"" '),
        ("Grüße", '"Grüße" '),
    ],
)
def test_display_names_are_quoted(display: str, quoted: str) -> None:
    assert quote_display(display) == quoted


@given(st.text(max_size=30), st.text(max_size=30))
def test_nothing_that_a_rule_sets_breaks_out_of_its_place(user: str, display: str) -> None:
    edits = (SetPart("from.user", user), SetPart("to.user", user), SetPart("from.display", display))
    out = written(edits)
    assert len(out.headers.fields) == len(written().headers.fields)
    assert out.from_.uri.host == "sbc.example"
    assert out.target.host == "c.example"


def test_the_callers_host_stays_behind() -> None:
    assert parts_after(request(), ())["from.host"] == ""
    out = written()
    assert str(out.from_.uri) == "sip:alice@sbc.example"
    assert out.from_.display == "Alice"
    assert out.uri == "sip:+1212@c.example;transport=tls"


@pytest.mark.parametrize("host", ["evil.example>\r\nX: 1", "a b", "", "a@b", "a;b"])
def test_a_host_that_is_none_is_not_written(host: str) -> None:
    out = written((SetPart("from.host", host), SetPart("to.host", host)))
    assert out.from_.uri.host == "sbc.example" and out.target.host == "c.example"


@pytest.mark.parametrize("host", ["other.example", "192.0.2.7", "[2001:db8::1]"])
def test_a_rule_may_set_hosts(host: str) -> None:
    out = written((SetPart("from.host", host), SetPart("to.host", host)))
    assert out.from_.uri.host == host.strip("[]")
    assert out.target.host == host.strip("[]")


def test_targets_are_written_with_brackets_and_without_the_transports_own_port() -> None:
    assert written(target=Address("2001:db8::1", 5061)).uri == "sip:+1212@[2001:db8::1];transport=tls"
    assert written(target=Address("c.example", 5071)).uri == "sip:+1212@c.example:5071;transport=tls"
    udp = leg("udp")
    assert address_invite(udp, request(), Route(()), Address("c.example", 5060)) == "sip:+1212@c.example"
    assert udp.contact == "<sip:alice@sbc.example:5061>"
    assert address_invite(leg(scheme="sips"), request(), Route(()), Address("c", 5061)).startswith("sips:")


def test_header_edits_come_in_their_order_and_after_the_allow_list() -> None:
    edits = (
        RemoveHeader("sub*"),
        SetHeader("X-Account", "7"),
        SetHeader("Priority", "urgent"),
        RemoveHeader("X-Acc*"),
        SetHeader("x-account", "8"),
    )
    out = written(edits, Subject="hello", Priority="normal", X_Secret="1", Reason="SIP;cause=200")
    assert "Subject" not in out.headers and "X-Secret" not in out.headers
    assert out.headers.get_all("Priority") == ["urgent"]
    assert out.headers.get_all("X-Account") == ["8"]
    assert out.headers.get("Reason") == "SIP;cause=200"


def test_only_extensions_that_we_carry_are_passed_on() -> None:
    both = request(Supported="timer, 100rel, replaces", Require="100rel")
    assert extensions(both, "Supported") == extensions(both, "Require") == "100rel"
    assert extensions(request(Supported="timer"), "Supported") == ""
    assert extensions(request(), "Supported") == ""
    assert written(Supported="timer, 100rel").headers.get("Supported") == "100rel"


@pytest.mark.parametrize(
    ("kind", "body", "carried"),
    [
        ("application/sdp", b"v=0", b"v=0"),
        ("Application/SDP; charset=x", b"v=0", b"v=0"),
        ("text/plain", b"v=0", b""),
        ("", b"v=0", b""),
        (
            'multipart/mixed; boundary="x y"',
            b"--x y\r\nContent-Type: text/plain\r\n\r\nhi\r\n"
            b"--x y\r\ncontent-type: application/sdp\r\n\r\nv=0\r\n--x y--",
            b"v=0",
        ),
        ("multipart/mixed; boundary=x", b"--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x--", b""),
    ],
)
def test_the_sdp_of_a_body(kind: str, body: bytes, carried: bytes) -> None:
    message = request(body, Content_Type=kind) if kind else request(body)
    assert carried_body(message) == carried


@pytest.mark.parametrize(
    "parameters",
    [
        "", ";", "; boundary", "; boundary=", '; boundary=""', '; boundary="x "', "; boundary=\udc80",
        '; boundary="\udc80"', "; boundary=\u20ac", '; boundary="a;b"', "; boundary=" + "x" * 71, "; x=y",
        '; boundary="x', "; boundary=x; boundary=y", "; boundary=a*b",
    ],
)  # fmt: skip
def test_a_boundary_that_rfc_2046_does_not_know_is_no_body(parameters: str) -> None:
    message = request(b"--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--")
    message.headers.add("Content-Type", f"multipart/mixed{parameters}")
    with pytest.raises(PeerError) as caught:
        carried_body(message)
    assert caught.value.status == 400


@pytest.mark.parametrize("boundary", ["x", "x" * 70, "'()+_,-./:=?", "a b", "=_0"])
def test_every_boundary_of_rfc_2046_is_read(boundary: str) -> None:
    body = f"--{boundary}\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--{boundary}--".encode()
    kind = f'multipart/mixed; charset=x; boundary="{boundary}"'
    assert carried_body(request(body, Content_Type=kind)) == b"v=0"


def test_content_types_are_compared_in_small_letters() -> None:
    assert content_type(request(Content_Type=" Text/HTML ;a=b")) == ("text/html", "a=b")
    assert content_type(request()) == ("", "")


def test_hops_are_counted() -> None:
    assert written(Max_Forwards="10").max_forwards == 9


def test_octets_of_a_peer_may_become_a_user() -> None:
    assert escape_user("caf\udce9\u20ac") == "caf%E9%E2%82%AC"
