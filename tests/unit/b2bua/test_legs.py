"""Legs' addresses, media floors, screening and facts."""

from __future__ import annotations

from typing import Any, get_args

import pytest

from dsl.decision import Downgrade, Srtp
from sbc.b2bua.facts import facts_of
from sbc.b2bua.leg import (
    Leg,
    callee_srtp,
    caller_srtp,
    format_host,
    format_target,
    leg_policy,
    local_address,
    other,
)
from sbc.b2bua.screening import refuse
from sbc.base import Address
from sbc.config.model import Listener, Trunk
from sbc.flow import Flow, PeerIdentity, TlsFacts
from sbc.media import sdp
from sbc.media.sdp import describe_offer
from sbc.policy.downgrade import effective_downgrade
from sbc.sip.headers import Headers
from sbc.sip.message import Request

PEER = PeerIdentity("CN=a", "CN=ca", ("dns:a.example",), "sha256/00", "00", 0.0, 1.0, True)
TLS = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256", "X25519", "sbc.example", "sbc", PEER)


def listener(bind: str, advertise: str | None = None) -> Listener:
    return Listener.model_validate({"bind": bind, "transport": "tls", "advertise": advertise})


def trunk(**options: object) -> Trunk:
    return Trunk.model_validate({"trunk": "t", "listener": "main", **options})


def flow(transport: str = "tls", local: str = "192.0.2.1", tls: TlsFacts | None = TLS) -> Flow:
    remote = Address("198.51.100.1", 40000)
    return Flow(1, transport, Address(local, 39999), remote, listener="main", trunk="t", tls=tls)  # type: ignore[arg-type]


def request(
    method: str = "INVITE", uri: str = "sip:+1212@sbc.example", body: bytes = b"", **more: str
) -> Request:
    fields = {
        "Via": "SIP/2.0/TLS a.example;branch=z9hG4bK1",
        "From": '"Alice" <sip:alice@a.example>;tag=1',
        "To": "<sip:bob@b.example>",
        "Call-ID": "1",
        "CSeq": f"1 {method}",
    }
    fields |= {name.replace("_", "-"): value for name, value in more.items()}
    return Request(method, uri, Headers(list(fields.items())), body)


# Addresses


@pytest.mark.parametrize(
    ("config", "options", "local", "shown"),
    [
        (listener("192.0.2.1:5061"), {}, "192.0.2.1", "192.0.2.1:5061"),
        (listener("0.0.0.0:5061"), {}, "192.0.2.9", "192.0.2.9:5061"),
        (listener("[::]:5061"), {}, "2001:db8::9", "[2001:db8::9]:5061"),
        (listener("[2001:db8::1]:5061"), {}, "2001:db8::1", "[2001:db8::1]:5061"),
        (listener("0.0.0.0:5061", "sbc.example:6061"), {}, "10.0.0.1", "sbc.example:6061"),
        (listener("0.0.0.0:5061", "[2001:db8::5]:6061"), {}, "10.0.0.1", "[2001:db8::5]:6061"),
        (listener("0.0.0.0:5061"), {"domain": "sbc.acme.example"}, "10.0.0.1", "sbc.acme.example:5061"),
    ],
)
def test_where_a_peer_finds_us_again(
    config: Listener, options: dict[str, str], local: str, shown: str
) -> None:
    assert local_address(config, trunk(**options), flow(local=local)) == shown


def test_hosts_and_targets() -> None:
    assert format_host("2001:db8::1") == "[2001:db8::1]" and format_host("a.example") == "a.example"
    assert format_target(Address("2001:db8::1", 5060), "udp") == "[2001:db8::1]"
    assert format_target(Address("2001:db8::1", 5060), "tls") == "[2001:db8::1]:5060"
    assert (other("a"), other("b")) == ("b", "a")


def test_a_legs_contact_and_via() -> None:
    tls = Leg("b", trunk(), flow(), "[2001:db8::1]:5061", "sips")
    tls.contact = tls.address_of("+1212")
    assert tls.contact == "<sips:+1212@[2001:db8::1]:5061;transport=tls>"
    assert tls.via("z9hG4bKx") == "SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bKx"
    udp = Leg("a", trunk(), flow("udp", tls=None), "192.0.2.1:5060", "sip")
    udp.contact = udp.address_of("")
    assert udp.contact == "<sip:192.0.2.1:5060>"
    assert udp.via("z9hG4bKx") == "SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bKx"


# Floors

ORDER = {"off": 0, "accept": 1, "offer": 2, "required": 3}


@pytest.mark.parametrize("of_trunk", get_args(Srtp))
@pytest.mark.parametrize("of_rule", [None, *get_args(Srtp)])
def test_a_trunk_that_requires_srtp_cannot_be_overruled(of_trunk: Srtp, of_rule: Srtp | None) -> None:
    caller, callee = caller_srtp(of_trunk, of_rule), callee_srtp(of_trunk, of_rule)
    if of_trunk == "required" or of_rule == "required":
        assert caller == callee == "required"
    else:
        assert caller == of_trunk
        assert callee == (of_rule or of_trunk)


@pytest.mark.parametrize("of_trunk", get_args(Downgrade))
@pytest.mark.parametrize("of_rule", [None, *get_args(Downgrade)])
def test_a_trunk_that_forbids_downgrades_cannot_be_overruled(
    of_trunk: Downgrade, of_rule: Downgrade | None
) -> None:
    expected = "forbid" if of_trunk == "forbid" else of_rule or of_trunk
    assert effective_downgrade(of_trunk, of_rule) == expected


@pytest.mark.parametrize(
    ("transport", "options", "sdes"),
    [("tls", {}, True), ("udp", {}, False), ("tcp", {}, False), ("udp", {"sdes_in_clear": True}, True)],
)
def test_keys_cross_tls_alone(transport: str, options: dict[str, bool], sdes: bool) -> None:
    each = Leg("a", trunk(**options), flow(transport, tls=None), "sbc.example:5061", "sip")
    policy = leg_policy(each, "offer")
    assert (policy.srtp, policy.sdes, policy.signalling_host) == ("offer", sdes, "198.51.100.1")


@pytest.mark.parametrize(("options", "asymmetric"), [({}, False), ({"media": "asymmetric"}, True)])
def test_a_trunk_says_whether_its_peers_receive_where_they_send_from(
    options: dict[str, Any], asymmetric: bool
) -> None:
    each = Leg("a", trunk(**options), flow("udp", tls=None), "sbc.example:5061", "sip")
    assert leg_policy(each, "off").asymmetric is asymmetric


# Trust


@pytest.mark.parametrize(
    ("transport", "tls", "trusted"),
    [
        ("tls", TLS, True),
        ("tls", TlsFacts("TLSv1.3", "", "", "", "", None), False),
        ("tls", TlsFacts("TLSv1.3", "", "", "", "", PeerIdentity("", "", (), "", "", 0, 1, False)), False),
        ("tls", None, False),
        ("udp", None, False),
        ("tcp", TLS, False),
    ],
)
def test_a_flow_is_trusted_with_a_verified_certificate_only(
    transport: str, tls: TlsFacts | None, trusted: bool
) -> None:
    assert flow(transport, tls=tls).trusted is trusted


# Screening


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (request(), None),
        (request("OPTIONS", Max_Forwards="0"), None),
        (request("INVITE", Max_Forwards="0"), 483),
        (request("REFER"), 405),
        (request("WOT"), 501),
        (request(Require="100rel"), None),
        (request(Require="100rel, gruu"), 420),
        (request(Proxy_Require="privacy"), 420),
        (request(body=b"x", Content_Type="text/plain"), 415),
        (request(body=b"x"), 415),
        (request(body=b"x", Content_Type="application/sdp", Content_Encoding="gzip"), 415),
        (request(body=b"x", Content_Type="application/sdp", Content_Encoding="identity"), None),
        (request(body=b"--a\r\n\r\nx", Content_Type="multipart/mixed;boundary=a"), None),
        (request("INFO", body=b"x", Content_Type="text/plain"), None),
    ],
)
def test_what_is_refused_before_any_rule(asked: Request, status: int | None) -> None:
    refusal = refuse(asked, merged=False, looped=False)
    assert (refusal.status if refusal else None) == status


def test_a_refusal_explains_itself() -> None:
    refusal = refuse(request(Require="gruu, 100rel, path"), merged=False, looped=False)
    assert refusal is not None and dict(refusal.headers) == {"Unsupported": "gruu, path"}
    for flags, reason in (((True, False), "Request Merged"), ((False, True), "Loop Detected")):
        looped = refuse(request(), *flags)
        assert looped is not None and (looped.status, looped.reason) == (482, reason)


# Facts


@pytest.mark.parametrize(
    ("sdp", "codecs", "srtp"),
    [
        (b"", (), "none"),
        (b"v=0\r\nm=video 1 RTP/AVP 96\r\n", (), "none"),
        (b"v=0\r\nm=audio 1 RTP/AVP 0 8 101\r\na=rtpmap:101 telephone-event/8000\r\n",
         ("PCMU", "PCMA", "TELEPHONE-EVENT"), "none"),
        (b"v=0\r\nm=audio 1 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=crypto:1 X inline:y\r\n",
         ("PCMU",), "offered"),
        (b"v=0\r\nm=audio 1 RTP/SAVP 111\r\na=rtpmap:111 opus/48000/2\r\n", ("OPUS",), "required"),
        (b"v=0\nm=audio x RTP/AVP 0\n", (), "none"),
    ],
)  # fmt: skip
def test_what_an_offer_says(sdp: bytes, codecs: tuple[str, ...], srtp: str) -> None:
    assert describe_offer(sdp) == (codecs, srtp)


def test_what_an_offer_says_does_not_depend_on_the_offers_before() -> None:
    offer = b"v=0\r\nm=audio %d RTP/AVP %d 101\r\na=rtpmap:101 telephone-event/8000\r\n%s"
    plain, key = b"", b"a=crypto:1 X inline:y\r\n"
    for port in (4000, 4002):
        assert describe_offer(offer % (port, 0, plain)) == (("PCMU", "TELEPHONE-EVENT"), "none")
        assert describe_offer(offer % (port, 8, plain)) == (("PCMA", "TELEPHONE-EVENT"), "none")
        assert describe_offer(offer % (port, 8, key)) == (("PCMA", "TELEPHONE-EVENT"), "offered")
    video = b"v=0\r\nm=video 1 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
    assert describe_offer(video + (offer % (4000, 0, plain))[5:])[0] == ("PCMU", "H264", "TELEPHONE-EVENT")
    odd = offer.replace(b"m=audio ", b"m=Audio\t").replace(b"RTP/AVP ", b"RTP/SAVP  ")
    assert describe_offer(odd % (4000, 8, key)) == (("PCMA", "TELEPHONE-EVENT"), "required")
    session = b"v=0\r\na=crypto:1 X inline:y\r\n"
    assert describe_offer(session + (offer % (4000, 0, plain))[5:])[1] == "offered"


def test_an_offer_with_a_key_is_not_kept() -> None:
    before = sdp._described.cache_info()
    describe_offer(b"v=0\r\nm=audio 1 RTP/SAVP 0\r\na=crypto:1 X inline:secret\r\n")
    assert sdp._described.cache_info() == before


def test_the_facts_of_a_secured_request() -> None:
    facts = facts_of(request(uri="sips:+1212@sbc.example", User_Agent="X/1"), flow(), "acme", 5.0)
    assert (facts.trunk, facts.tenant, facts.listener, facts.source) == ("t", "acme", "main", "198.51.100.1")
    assert (facts.ruri_user, facts.ruri_host, facts.ruri_scheme, facts.sips) == (
        "+1212",
        "sbc.example",
        "sips",
        True,
    )
    assert (facts.from_user, facts.from_host, facts.from_display) == ("alice", "a.example", "Alice")
    assert (facts.to_header_user, facts.to_header_host) == ("bob", "b.example")
    assert (facts.tls_version, facts.tls_group, facts.peer_verified) == ("TLSv1.3", "X25519", True)
    assert (facts.peer_sans, facts.peer_pin) == (("dns:a.example",), "sha256/00")
    assert (facts.user_agent, facts.now, facts.header("user-agent")) == ("X/1", 5.0, "X/1")


def test_the_facts_of_a_plain_request_claim_nothing() -> None:
    facts = facts_of(request(uri="sips:+1212@sbc.example"), flow("udp", tls=None), None, 5.0)
    assert (facts.sips, facts.peer_verified, facts.tls_version, facts.peer_sans) == (False, False, "", ())
    assert facts.tenant == "" and facts.header("X-None") is None


def test_a_telephone_uri_has_no_user_part() -> None:
    facts = facts_of(request(uri="tel:+1212"), flow(), None, 5.0)
    assert (facts.ruri_scheme, facts.ruri_host) == ("tel", "")
