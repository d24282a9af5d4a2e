"""What is said of a failure for which no handshake is needed; and evidence that a hostile peer makes up."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from sbc.config.entrances import came_wrongly, dialled_wrongly
from sbc.tls.diagnosis import classify
from sbc.tls.evidence import Entrances, Evidence, NoIssuer, Offer, Ours, Pinned
from sbc.tls.failure import Failure
from sbc.tls.material.constraints import violation
from tests.unit.tls.certs import DAY, GOOD, NOW, der

OURS = Ours("sbc", "00", "CN=sbc", "CN=Our CA", ("dns:sbc.example",), "P-256", NOW - DAY, NOW + DAY)
OFFER = Offer("1.2", ("X25519", "P-256"), OURS, "peer.example")
PORTS: Entrances = {"SIP": "listener lan (192.0.2.1:5060)", "HTTP": "http://127.0.0.1:8080"}


def said(direction: Any = "outbound", **facts: Any) -> Failure:
    facts.setdefault("offer", OFFER)
    return classify(Evidence(direction, now=NOW, trunks=("acme",), **facts))


@pytest.mark.parametrize(
    ("facts", "detail", "remedy"),
    [
        ({"alert_received": 45}, "is valid until", "compare both machines' clocks"),
        ({"alert_received": 44}, "for revoked; we showed identity sbc", "compare our identity"),
        ({"alert_received": 250}, "alert 250", "compare our identity"),
        (
            {"alert_received": 42, "offer": replace(OFFER, ours=replace(OURS, not_before=NOW + 60))},
            "our own certificate, identity sbc (CN=sbc), is not valid before", "this machine's clock",
        ),
        (
            {"alert_received": 40, "offer": replace(OFFER, ours=None, asked=True)},
            "it wants a client certificate and we showed none", "`client_identity`",
        ),
        ({"ended": "timeout"}, "did not go on in time where its ServerHello was due", "`sbc doctor acme`"),
        ({"ended": "eof", "first": b"\x16\x03\x03"}, "in the middle of its answer", "`sbc doctor acme`"),
        (
            {"ended": "reset", "first": b"\x16\x03\x03", "late": True},
            "after our certificate, which it may not accept", "the peer's log for this moment",
        ),
        ({"first": b"220 mail.example", "reasons": ("wrong version number",)}, "mail or FTP", "in `peers`"),
    ],
)  # fmt: skip
def test_outbound(facts: dict[str, Any], detail: str, remedy: str) -> None:
    failure = said(**facts)
    assert detail in failure.detail, failure
    assert remedy in failure.remedy, failure


def test_a_certificate_of_ours_that_is_over_explains_no_other_alert() -> None:
    over = replace(OFFER, ours=replace(OURS, not_after=NOW - 1))
    assert "our own certificate" in said(alert_received=46, offer=over).detail
    assert "our own certificate" not in said(alert_received=112, offer=over).detail


@pytest.mark.parametrize(
    ("first", "what", "remedy"),
    [
        (b"INVITE sip:a SIP/2.0\r\n", "SIP", "without TLS to listener lan (192.0.2.1:5060)"),
        (b"GET / HTTP/1.1\r\n", "HTTP", "the admin pages are at http://127.0.0.1:8080"),
        (b"PROXY TCP4 ", "the PROXY protocol", "switch it off at the load balancer"),
        (b"hello", "not TLS", "let the peer use TLS for this port"),
    ],
)
def test_what_is_no_tls(first: bytes, what: str, remedy: str) -> None:
    failure = said("inbound", ended="plain", first=first, entrances=PORTS)
    assert failure.kind == "not-tls" and what in failure.detail and remedy in failure.remedy
    alone = said("inbound", ended="plain", first=first)
    assert "192.0.2.1" not in alone.remedy and "8080" not in alone.remedy and alone.remedy


def test_what_is_no_sip_on_a_tcp_port() -> None:
    assert "give sbc.yaml a listener of transport tls" in came_wrongly("TLS", {})
    assert "switch it off" in came_wrongly("the PROXY protocol", {})
    assert "let the peer speak SIP to this port" in came_wrongly("SSH", {})
    assert "a listener of transport tls" in dialled_wrongly("TLS", {})
    assert dialled_wrongly("HTTP", PORTS) == "correct the port in `peers`"


def test_of_many_pins_two_are_shown() -> None:
    pins = tuple(f"sha256/{number}" for number in range(4))
    pinned = (Pinned("a", "pin", pins), Pinned("b", "leaf", ("CN=x until 2027-01-01",)))
    lacking = NoIssuer("CN=CA", pinned=pinned)
    failure = said("inbound", verify_code=20, who="CN=p", pin="sha256/new", no_issuer=lacking)
    assert "pins the key sha256/0 or sha256/1 or 2 more (and 1 more entries do)" in failure.detail
    assert failure.key == "trust.a.pin" and "`pin: sha256/new`" in failure.remedy


def limited(permitted: list[x509.GeneralName], excluded: list[x509.GeneralName]) -> bytes:
    """An authority with name constraints."""
    limits = x509.NameConstraints(permitted or None, excluded or None)
    old = GOOD.certificate
    return (
        x509.CertificateBuilder().subject_name(old.subject).issuer_name(old.issuer)
        .public_key(old.public_key()).serial_number(1).not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc).add_extension(limits, critical=True)
        .sign(GOOD.key, hashes.SHA256()).public_bytes(Encoding.DER)
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "permitted", "excluded", "found"),
    [
        ({"dns": ["a.example"]}, ["example"], [], ""),
        ({"dns": ["a.example"]}, [".example"], [], ""),
        ({"dns": ["anexample"]}, ["example"], [], "dns:anexample permits dns:example only"),
        ({"dns": ["a.bad.example"]}, [], ["bad.example"], "dns:a.bad.example excludes dns:bad.example"),
        ({"ips": ["192.0.2.1"]}, ["example"], [], ""),
        ({}, ["example"], [], ""),
    ],
)
def test_which_name_is_forbidden(
    names: dict[str, list[str]], permitted: list[str], excluded: list[str], found: str
) -> None:
    authority = limited([x509.DNSName(each) for each in permitted], [x509.DNSName(each) for each in excluded])
    seen = violation((der(GOOD.issue(cn="x", **names).cert_pem), authority))  # type: ignore[arg-type]
    assert (f"{seen.name} {seen.why}" if seen is not None else "") == found


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_whatever_a_peer_makes_up_is_told_and_raises_nothing() -> None:
    chance = random.Random(7)
    leaf = der(GOOD.issue(dns=["peer.example"]).cert_pem)
    for _ in range(2000):
        data = bytearray(leaf)
        for _ in range(chance.randrange(4)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        first = b"\x16\x03\x01" + chance.randbytes(chance.randrange(80))
        failure = said(
            chance.choice(("inbound", "outbound")), chain=(bytes(data), leaf)[: chance.randrange(3)],
            verify_code=chance.choice((0, 7, 9, 10, 18, 26, 47, 48, 66, 68)),
            verify_depth=chance.randrange(3), first=first, alert_sent=chance.choice((None, 40, 47, 70)),
            reasons=chance.choice(((), ("wrong curve",), ("no shared cipher",))),
        )  # fmt: skip
        assert failure.detail and failure.remedy
