"""The pages: what they show, what they escape, what their headers forbid."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from flask.testing import FlaskClient

from sbc.observe.edge_views import AclView, CapView, LoadView
from sbc.observe.metrics import exposition
from sbc.observe.trust import TrustView
from sbc.observe.views import PeerView, RecordingsView, RecordsView, StatusView
from sbc.policy.allowances import SpentView
from tests.unit.observe.pictures import CALL, FAILURE, LEGACY, NOT_REGISTERED, NOW, TLS_PORT, picture, trust
from webui import create_app


class Showing:
    """An admin that shows one picture."""

    def __init__(self, status: StatusView) -> None:
        self.picture = status

    def status(self) -> StatusView:
        return self.picture

    def trust(self) -> tuple[TrustView, ...]:
        return trust()

    def metrics(self) -> str:
        return exposition(self.picture)


def client(status: StatusView | None = None) -> FlaskClient:
    return create_app(Showing(status or picture())).test_client()


def page(status: StatusView | None = None) -> str:
    answer = client(status).get("/")
    assert answer.status_code == 200
    return answer.get_data(as_text=True)


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def test_the_status_page_says_what_is_going_on() -> None:
    text = text_of(page())
    for phrase in (
        "listening", "1 live calls", "17 TLS handshakes", "5 refused handshakes", "✓ required", "✗ off",
        "its private key does not match", "sip:alice@office.lab.example", "TLSv1.3, AEAD_AES_128_GCM",
        "no TLS, no SRTP", "downgraded", "no-certificate", "no certificate was presented",
        "give the peer a client certificate from a CA of this trunk", "40 days", "9 days", "[::]:5060",
    ):  # fmt: skip
        assert phrase in text, phrase


def test_a_peer_that_rests_is_shown_with_the_end_of_its_rest() -> None:
    until = 1_777_630_125.0
    asked = PeerView("192.0.2.7:5060", "resting", "503 Service Unavailable", until)
    silent = PeerView("192.0.2.8:5060", "up", "", until)
    trunk = replace(LEGACY, peers=(asked.address, silent.address), peer_states=(asked, silent))
    text = text_of(page(picture(trunks=(trunk,))))
    assert "192.0.2.7:5060 resting until 10:08:45 UTC" in text
    assert "192.0.2.8:5060 tried last until 10:08:45 UTC" in text


def test_how_good_a_call_is_and_what_became_of_those_of_each_trunk() -> None:
    text = text_of(page())
    assert "MOS 4.2, 1.2 % lost, jitter 4 ms, round trip 48 ms" in text
    assert "office calls from it 4 75 % 1 min 35 s 0.4 s 200: 3, 486: 1" in text
    assert "office received from it 4 4.2 0.4 % 3 ms 48 ms" in text
    assert "office sent to it, as it reports 1 – 25.0 % – –" in text
    quiet = text_of(page(picture(trunks=(LEGACY,))))
    assert "Calls of each trunk" not in quiet and "Quality of each trunk" not in quiet


def test_of_very_many_calls_the_page_shows_some_and_says_how_many_more_there_are() -> None:
    """A page is made in one go, and the packets of all calls wait meanwhile."""
    calls = tuple(replace(CALL, id=f"c{number}", caller=f"sip:{number}@office") for number in range(503))
    html = page(picture(calls=calls))
    assert html.count("@office</code>") == 500 and "503 live calls" in text_of(html)
    assert "And 3 more: sbc calls shows them all." in text_of(html)
    assert " more: sbc calls" not in text_of(page(picture(calls=calls[:500])))


def test_an_sbc_with_nothing_to_show() -> None:
    text = text_of(page(picture(trunks=(), calls=(), failures=())))
    assert "No trunk is configured" in text and "No call at the moment." in text
    assert "None was refused." in text


def test_registrations_are_shown_where_there_are_any() -> None:
    text = text_of(page())
    for phrase in ("Registrations", "sip:4930123@office.lab.example", "50 min 0 s", "403 Forbidden"):
        assert phrase in text, phrase
    assert "<b>7</b>" not in page()
    assert "Registrations" not in text_of(page(picture(registrations=())))


def test_the_access_list_shows_what_it_kept_out_and_which_rules_did() -> None:
    text = text_of(page())
    assert "Access list 3 rules; kept out since the start: cidr 7." in text
    assert "acl.d/10.yaml:2 deny cidr 198.51.100.0/24 &lt;scanners&gt; 7 1 min ago" in text
    assert "Access list" not in text_of(page(picture(acl=AclView())))


def test_phones_are_counted_where_there_are_any() -> None:
    assert "desk 12 14 13" in " ".join(text_of(page()).split())
    assert "Phones" not in text_of(page(picture(phones=())))


def test_limits_that_are_nearly_spent_are_shown_and_escaped() -> None:
    assert "nearly spent" not in page(picture())
    near = SpentView("guard #0 <b>alice</b>", "60 minutes a day", 54.0, 60, 2, NOW + 3600, True)
    text = page(picture(limits=(near,)))
    assert "guard #0 &lt;b&gt;alice&lt;/b&gt;" in text and "90 %" in text and "60 minutes a day, hard" in text
    assert "1 h" in text


def test_domains_and_their_servers_are_shown_where_there_are_any() -> None:
    text = text_of(page())
    for phrase in ("Domains", "carrier.example over tls, for office", "192.0.2.1:5061", "1 min 30 s",
                   "10.0.0.53:53 does not answer", "none known"):  # fmt: skip
        assert phrase in text, phrase
    assert "<i>a</i>" not in page()
    assert "Domains" not in text_of(page(picture(names=())))


def test_a_server_of_a_domain_that_rests_is_shown_with_it() -> None:
    server = PeerView("192.0.2.1:5061", "resting", "503 Service Unavailable", 1_777_630_125.0)
    trunk = replace(LEGACY, peers=("carrier.example",), peer_states=(server,))
    assert "192.0.2.1:5061 resting until 10:08:45 UTC" in text_of(page(picture(trunks=(trunk,))))


def test_records_that_wait_or_are_lost_are_shown() -> None:
    assert "call records" not in page()
    full = page(picture(records=RecordsView(5, 2, "No space left on device")))
    assert "<strong>5</strong> call records wait: No space left on device" in full
    assert "<strong>2</strong> call records lost" in full


def test_recordings_that_end_before_their_calls_are_an_alarm() -> None:
    assert "recordings end" not in page()
    full = page(picture(recordings=RecordingsView(1, 2, 3, 4, "No space left on device")))
    assert "recordings end before their calls: No space left on device" in full


def test_what_peers_sent_is_escaped() -> None:
    evil = "<script>alert(1)</script>"
    status = picture(
        calls=(replace(CALL, caller=evil),),
        failures=(replace(FAILURE, detail=evil, peer='"><img src=x>'),),
        trunks=(replace(LEGACY, name=evil, reason=evil),),
    )
    html = page(status)
    assert "<script" not in html and "<img src=x" not in html
    assert html.count("&lt;script&gt;") == 4


def test_octets_of_a_peer_that_are_no_utf_8_take_no_page_away() -> None:
    """RFC 3261 25.1 has UTF-8 in a reason phrase; who answers in Latin-1 must not blind the operator."""
    odd = b"403 Verboten f\xfcr \xe2\x80\xaesie".decode("utf-8", "surrogateescape")
    status = picture(
        calls=(replace(CALL, caller=odd),),
        failures=(replace(FAILURE, detail=odd, peer=odd),),
        registrations=(replace(NOT_REGISTERED, reason=odd),),
        trunks=(replace(LEGACY, state="down", reason=odd),),
    )
    html = page(status)
    assert html.count(r"403 Verboten f\xfcr \u202esie") >= 4
    assert "\u202e" not in html


@pytest.mark.parametrize(
    "path", ["/", "/sip-tls/health", "/metrics", "/nothing-here", "/static/portcullis.css"]
)
def test_every_answer_carries_the_strict_headers(path: str) -> None:
    headers = client().get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy and "unsafe" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert (headers.get("Cache-Control") == "no-store") == (not path.endswith(".css"))


def test_the_page_asks_nothing_of_other_hosts_and_has_no_script_or_inline_style() -> None:
    html = page()
    assert re.findall(r'(?:src|href)="(?!/|#)[^"]*"', html) == []
    assert "<script" not in html and "<style" not in html and " style=" not in html


def test_headings_and_tables_are_marked_up_for_readers() -> None:
    html = page()
    assert html.count("<h1") == 1 and '<html lang="en">' in html
    assert re.findall(r"<th(?! scope=)[ >]", html) == []
    for name in re.findall(r'aria-labelledby="([^"]+)"', html):
        assert f'id="{name}"' in html


@pytest.mark.parametrize(("state", "status"), [("listening", 200), ("failed", 503)])
def test_health_answers_503_only_when_down(state: str, status: int) -> None:
    port = replace(TLS_PORT, state=state)  # type: ignore[arg-type]
    answer = client(picture(listeners=(port,), trunks=())).get("/sip-tls/health")
    assert answer.status_code == status
    assert answer.get_json()["status"] == ("listening" if status == 200 else "down")


def test_metrics_are_prometheus_text() -> None:
    answer = client().get("/metrics")
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert 'sbc_tls_handshakes_total{direction="inbound"} 12' in answer.get_data(as_text=True)


def test_an_unknown_page_is_404_and_nothing_can_be_posted() -> None:
    assert client().get("/nothing-here").status_code == 404
    assert client().post("/").status_code == 405


def test_every_request_sees_the_present() -> None:
    admin = Showing(picture())
    browser = create_app(admin).test_client()
    browser.get("/")
    admin.picture = picture(version="ffffffffffff", now=NOW + 60)
    assert "ffffffffffff" in browser.get("/").get_data(as_text=True)


def test_the_trust_page_says_who_trusts_whom() -> None:
    answer = client().get("/trust")
    assert answer.status_code == 200
    html = answer.get_data(as_text=True)
    assert "<b>evil" not in html
    text = text_of(html)
    for phrase in (
        "carrier TLS required", "NOC +1 212 555 0100", "names carrier.lab.example (rfc5922)",
        "revocation soft: staple, crl, ocsp", "one way only: outbound works", "Inbound: the peer connects",
        "Outbound: we dial", "CN=Carrier CA,O=Carrier", "900 days, pki@carrier.example", "a public key",
        "CN=sbc.lab.example", "40 days", "CN=Carrier Clients CA", "observed", "peer_trusts declares it",
        "CN=carrier.lab.example by carrier-ca", "9 days", "refused", "expired", "1 min ago",
        "TLSv1.3, X25519MLKEM768; 7 in all", "unknown-ca", "alert sent 48 unknown_ca; 3 in all",
        "add that CA to the truststore", "trunks.d/carrier.yaml:9 (tls.trust)", "names not checked",
        "it asks for no certificate",
    ):  # fmt: skip
        assert phrase in text, phrase


def test_the_pages_lead_to_each_other() -> None:
    assert 'href="/trust"' in page()
    assert 'href="/"' in client().get("/trust").get_data(as_text=True)


def test_every_certificate_is_listed_with_its_days_and_what_they_mean() -> None:
    text = text_of(page())
    for phrase in ("Certificates", "CN=office", "9 incident office", "trust/lab-ca rotation", "-1 expired"):
        assert phrase in text, (phrase, text)


def test_the_page_shows_what_is_at_its_limit_and_that_it_cannot_keep_up() -> None:
    caps = (CapView("office", "limits.rates.invite", 4812, NOW, True),)
    text = text_of(page(picture(caps=caps, load=LoadView(0.7, NOW))))
    assert "limits.rates.invite office 4812 now" in text and "overloaded since 10:06:40 UTC" in text
    quiet = text_of(page())
    assert "Caps that refused something" not in quiet and "overloaded" not in quiet
