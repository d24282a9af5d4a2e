from __future__ import annotations

import pytest

from sbc.base import PeerError
from sbc.sip.headers import Via, parse_via


@pytest.mark.parametrize(
    ("text", "via"),
    [
        ("SIP/2.0/UDP h.example;branch=z9hG4bKx", Via("UDP", "h.example", None, (("branch", "z9hG4bKx"),))),
        ("SIP/2.0/tls 192.0.2.1:5061", Via("TLS", "192.0.2.1", 5061)),
        ("SIP / 2.0 / TCP   h  : 5060 ; branch = x ; rport", Via("TCP", "h", 5060, (("branch", "x"),
        ("rport", None)))),
        ("SIP/2.0/UDP [2001:db8::9:1]:6050", Via("UDP", "2001:db8::9:1", 6050)),
        ("SIP/2.0/UNKNOWN h", Via("UNKNOWN", "h")),
    ],
)  # fmt: skip
def test_vias(text: str, via: Via) -> None:
    assert parse_via(text) == via
    assert parse_via(str(via)) == via


@pytest.mark.parametrize(
    "text",
    [
        "", "SIP/2.0/UDP", "SIP/2.0/UDP ", "SIP/3.0/UDP h", "SIP/2.0 h", "HTTP/2.0/UDP h",
        "SIP/2.0/UDP 192.0.2.15;;,;,,",
        "SIP/2.0/UDP h;branch=", "SIP/2.0/UDP h:99999", "SIP/2.0/TLS h:65536;branch=z9hG4bKx",
        "SIP/2.0/UDP h:x", "SIP/2.0/UDP [::1",
        "SIP/2.0/UDP [:::1]",
        "SIP/2.0/UDP h x", "SIP/2.0/UDP h;branch=a;branch=b", "SIP/2.0/UDP h;Branch;branch=b",
        "SIP/2.0/UDP h;branch=a;BRANCH=b", "SIP/2.0/UDP h;branch=a;x;;y", "SIP/2.0/UDP h;x;branch=a;x",
        'SIP/2.0/UDP h;x="a;branch=b', "SIP/2.0/UDP h\n", "SIP/2.0/UDP h;branch=a\r",
    ],
)  # fmt: skip
def test_malformed_vias(text: str) -> None:
    with pytest.raises(PeerError):
        parse_via(text)


def test_the_views_of_the_parameters() -> None:
    via = parse_via("SIP/2.0/UDP h;Branch=z9hG4bKx;received=192.0.2.9;rport=5070;maddr=[::1]")
    assert (via.branch, via.received, via.rport, via.maddr) == ("z9hG4bKx", "192.0.2.9", 5070, "::1")
    bare = parse_via("SIP/2.0/UDP h")
    assert (bare.branch, bare.received, bare.rport, bare.maddr) == ("", None, None, None)
    assert parse_via("SIP/2.0/UDP h;rport").rport == 0


@pytest.mark.parametrize("text", ["received=2001:db8::9:255", "received=[2001:db8::9:255]"])
def test_received_is_read_with_and_without_brackets(text: str) -> None:
    assert parse_via(f"SIP/2.0/UDP h;{text}").received == "2001:db8::9:255"


@pytest.mark.parametrize("port", ["x", "65536", "123456", "-1"])
def test_a_malformed_rport_is_a_peer_error(port: str) -> None:
    with pytest.raises(PeerError):
        parse_via(f"SIP/2.0/UDP h;rport={port}").rport  # noqa: B018


@pytest.mark.parametrize("transport", ["TLS", "TCP", "UDP", "SCTP"])
@pytest.mark.parametrize(
    "place", ["sbc.example", "192.0.2.1:5061", "192.0.2.1:65535", "h:0", "h:00080", "[2001:db8::1]:5061"]
)
@pytest.mark.parametrize("before", ["", ";rport", ';x="a;branch=b"', ";received=192.0.2.9;rport=5"])
@pytest.mark.parametrize("after", ["", ";ttl=1", ";alias;y=z", ';y="a;branch=b"', ";Y=a;branchy=c"])
def test_the_common_form_says_what_the_odd_one_says(
    transport: str, place: str, before: str, after: str
) -> None:
    common = parse_via(f"SIP/2.0/{transport} {place}{before};branch=z9hG4bK-7~x{after}")
    odd = f"sip / 2.0 / {transport.lower()}  {place}{before} ; branch = z9hG4bK-7~x{after}"
    assert common == parse_via(odd) == parse_via(str(common))
    assert common.branch == "z9hG4bK-7~x"
