"""A StatusView to show, with one of everything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sbc.base import Address
from sbc.media.quality import Quality
from sbc.observe.edge_views import AclRuleView, AclView, BlocklistView, ExportView
from sbc.observe.traffic import Stats
from sbc.observe.trust import DirectionView, Roll, TrustView
from sbc.observe.views import (
    CallView,
    CertificateView,
    CountersView,
    FailureView,
    HistogramView,
    LifeView,
    ListenerView,
    NameView,
    OutcomeView,
    PhonesView,
    QualityView,
    RegistrationView,
    ServerView,
    StatusView,
    TrunkView,
)
from sbc.tls.ledger import Bad, Good

NOW = 1_777_630_000.0
DAY = 86400.0
OWN = CertificateView("sbc-2026", "CN=sbc.lab.example", "ab" * 32, NOW + 40.5 * DAY)
PEER = CertificateView("dns:office.lab.example", "CN=office.lab.example", "cd" * 32, NOW + 9.5 * DAY)

TLS_PORT = ListenerView(
    "trunk-tls", "tls", Address("0.0.0.0", 5061), certificates=(OWN,),
    inbound=Stats(accepted=14, handshakes=12, failures=1, in_flight=1, open=3),
    outbound=Stats(handshakes=5, failures=4, in_flight=2, open=1),
)  # fmt: skip
UDP_PORT = ListenerView("trunk-udp", "udp", Address("::", 5060))
OFFICE = TrunkView(
    "office", "trunk-tls", ("office.lab.example:5061",), mode="required", srtp="required", sips="forbid",
    state="up", calls=1, call_limit=200, media_ports=2, own=OWN, peer=PEER, failures=(("expired", 2),),
    outcomes=(
        OutcomeView(
            "inbound", (("200", 3), ("486", 1)), 4, 3, 0.75, 2, 190.0, 95.0, 0.4,
            HistogramView((0.25, 0.5), (1, 1, 1), 1.2),
        ),
    ),
    quality=(
        QualityView(
            "received", 4.2, 0.004, 0.0031, 0.048, HistogramView((4.0, 4.3), (1, 2, 1), 16.8),
            HistogramView((0.0, 0.01), (2, 1, 1), 0.016), HistogramView((0.005,), (4, 0), 0.0124),
            HistogramView((0.05, 0.1), (1, 0, 0), 0.048),
        ),
        QualityView("sent", loss=0.25, losses=HistogramView((0.5,), (1, 0), 0.25)),
    ),
)  # fmt: skip
LEGACY = TrunkView("legacy", "trunk-udp", ("192.0.2.7:5060",), transport="udp", srtp="off")
BROKEN = TrunkView(
    "broken", "trunk-tls", mode="required", state="quarantined", reason="its private key does not match"
)
CALL = CallView(
    "c1", "sip:alice@office.lab.example", "sip:+12125550100@sbc", "office", "legacy", "up", NOW - 65,
    NOW - 60, a_tls="TLSv1.3", a_srtp="AEAD_AES_128_GCM", downgraded=True,
    a_quality=Quality(0.0123, 0.0042, 0.0091, 4.16, 0.048),
)  # fmt: skip
FAILURE = FailureView(
    NOW - 30, "198.51.100.4:40000", "office", "inbound", "no-certificate", "no certificate was presented",
    "give the peer a client certificate from a CA of this trunk", "certificate_required",
)  # fmt: skip
REGISTERED = RegistrationView(
    "office", "sip:4930123@office.lab.example", "office.lab.example:5061", "registered",
    contact="<sip:4930123@sbc:5061;transport=tls>", since=NOW - 600, until=NOW + 3000, due=NOW + 2400,
    associated=("<sip:+4930123@office.lab.example>",), service_route=("<sip:edge.lab.example;lr>",),
)  # fmt: skip
NAME = NameView(
    "carrier.example", "tls", (ServerView("<i>a</i>.example", "192.0.2.1:5061", 10, 60),), NOW + 90,
    trunks=("office",),
)  # fmt: skip
LOST_NAME = NameView(
    "lost.example", "udp", problem="10.0.0.53:53 does not answer", failing=True, trunks=("b",)
)
NOT_REGISTERED = RegistrationView(
    "legacy", "sip:<b>7</b>@192.0.2.7", "192.0.2.7:5060", "failed", "403 Forbidden \x1b[2J", due=NOW + 45
)


LIVES = (
    LifeView(
        "ours", "sbc-2026", "CN=sbc.lab.example", "ab" * 32, NOW + 40.5 * DAY, 40, "reminder", ("office",)
    ),
    LifeView(
        "theirs", "office", "CN=office.lab.example", "cd" * 32, NOW + 9.5 * DAY, 9, "incident", ("office",)
    ),
    LifeView("window", "trust/lab-ca", "", "ef" * 32, NOW - DAY, -1, "expired"),
)


def picture(**changes: Any) -> StatusView:
    """The status at NOW, with ``changes``."""
    status = StatusView(
        version="0123456789ab",
        started=NOW - 3600,
        listeners=(TLS_PORT, UDP_PORT),
        trunks=(OFFICE, LEGACY, BROKEN),
        calls=(CALL,),
        counters=CountersView(
            Stats(accepted=14, handshakes=12, failures=1),
            Stats(handshakes=5, failures=4),
            7,
            9,
            1,
            (("call-ended", 7), ("sips-arrival", 9)),
        ),
        now=NOW,
        release="0.1.0",
        failures=(FAILURE,),
        certificates=LIVES,
        registrations=(REGISTERED, NOT_REGISTERED),
        acl=AclView(
            3,
            (("address", 0), ("cidr", 7)),
            (AclRuleView("acl.d/10.yaml:2", "deny cidr 198.51.100.0/24", "<scanners>", 7, NOW - 60),),
        ),
        phones=(PhonesView("desk", 12, 14, 13),),
        registers=(("registered", 14), ("refused", 2)),
        names=(NAME, LOST_NAME),
        exports=(ExportView("syslog", "tls:log.lab.example:6514", 3, 900, 2, "connection refused"),),
        blocklist=BlocklistView(2, 9, 40, (("handshake", 8), ("operator", 1)), "more than 15"),
    )
    return replace(status, **changes)


def trust() -> tuple[TrustView, ...]:
    """The trust of a trunk that works one way, with everything that can be shown."""
    anchors = (
        Roll("ca", "carrier-ca", "CN=Carrier CA,O=Carrier", NOW + 900.5 * DAY, "pki@carrier.example"),
        Roll("pin", "carrier-key", "a public key", 0.0),
    )
    ours = Roll("ours", "sbc", "CN=sbc.lab.example", NOW + 40.5 * DAY)
    shown = (
        Roll("theirs", "carrier-ca", "CN=carrier.lab.example", NOW + 9.5 * DAY),
        Roll("theirs", "refused", "CN=<b>evil</b>", NOW - 3.5 * DAY),
    )
    good = Good(
        NOW - 60, "198.51.100.7:5061", "TLSv1.3", "TLS_AES_256_GCM_SHA384", "X25519MLKEM768", "carrier-ca"
    )
    bad = Bad(
        NOW - 30, "198.51.100.4:40000", "unknown-ca", "CN=<b>evil</b> was issued by CN=Evil CA",
        "if it is the peer's, add that CA to the truststore", "sent 48 unknown_ca",
        where="trunks.d/carrier.yaml:9 (tls.trust)",
    )  # fmt: skip
    inbound = DirectionView("inbound", anchors, ours, shown, (), "", None, bad, 0, 3)
    outbound = DirectionView(
        "outbound", anchors, ours, shown[:1], ("CN=Carrier Clients CA",), "observed", good, None, 7, 0
    )
    warnings = ("one way only: outbound works, inbound fails since (unknown-ca, we refuse the peer)",)
    view = TrustView(
        "carrier", "NOC +1 212 555 0100", "required", ("carrier.lab.example",), "rfc5922",
        "soft: staple, crl, ocsp", (inbound, outbound), warnings,
    )  # fmt: skip
    bare = DirectionView("outbound", anchors[:1], None, (), (), "asks for none", None, None, 0, 0)
    return view, replace(view, trunk="bare", contact="", names=(), directions=(bare,), warnings=())
