"""Whoever may not speak to us does not get a byte of SIP read: every refusal, on both TLS versions."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from sbc.demo.pki import Issued, LabAuthority
from sbc.tls.failure import Failure
from tests.edge.tls_lab import Lab, alert_seen, client_context, forged_key, try_options
from tests.peers.waiting import until, until_equal

DAY = 86400.0


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.listener("tls")
    made.trunk("acme", {"mode": "required", "names": ("peer.example",)})
    made.start()
    yield made
    made.close()


def good(lab: Lab, **options: Any) -> Issued:
    options.setdefault("dns", ["peer.example"])
    return lab.ca.issue(**options)


# name of the case: (certificate, kind, verify code, alert sent on TLS 1.2, on TLS 1.3)
CASES: dict[str, tuple[Any, str, int, int, int]] = {
    "none": (lambda lab: None, "no-certificate", 0, 40, 116),
    "other CA": (lambda lab: lab.other_ca.issue(dns=["peer.example"]), "unknown-ca", 20, 48, 48),
    "same name of CA": (
        lambda lab: LabAuthority("good CA").issue(dns=["peer.example"]), "unknown-ca", 20, 48, 48,
    ),
    "expired": (
        lambda lab: good(lab, not_before=time.time() - 9 * DAY, not_after=time.time() - DAY),
        "expired", 10, 45, 45,
    ),
    "not yet valid": (
        lambda lab: good(lab, not_before=time.time() + DAY, not_after=time.time() + 9 * DAY),
        "not-yet-valid", 9, 42, 42,
    ),
    "wrong name": (lambda lab: good(lab, dns=["evil.example"]), "name-mismatch", 62, 42, 42),
    "name in CN only": (lambda lab: good(lab, dns=[], cn="peer.example"), "name-mismatch", 62, 42, 42),
    "server only": (lambda lab: good(lab, eku=("server",)), "wrong-purpose", 26, 43, 43),
}  # fmt: skip


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("case", CASES)
def test_a_bad_certificate_is_refused_before_sip(lab: Lab, case: str, version: str) -> None:
    issue, kind, code, alert_12, alert_13 = CASES[case]
    error = try_options(lab.address(), client_context(lab, issue(lab), version))
    assert error is not None
    until(lambda: lab.recorder.failures)
    event = lab.recorder.failures[0]
    assert (event.failure.kind, event.verify_code) == (kind, code)
    alert = alert_12 if version == "1.2" else alert_13
    assert (event.alert_sent, alert_seen(error)) == (alert, alert)
    assert event.direction == "inbound"
    assert event.candidates == ("acme",)
    assert event.sni == "sbc.example"
    assert event.remote.host == "127.0.0.1"
    assert event.failure.remedy
    assert lab.recorder.heard_nothing
    assert len(lab.recorder.failures) == 1


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_certificate_without_its_key_is_a_security_event(lab: Lab, version: str) -> None:
    stolen = good(lab)
    context = client_context(lab, stolen, version, key_pem=forged_key(stolen.cert_pem))
    assert try_options(lab.address(), context) is not None
    until(lambda: lab.recorder.failures)
    event = lab.recorder.failures[0]
    assert event.failure.kind == "key-not-held"
    assert event.failure.security_event
    assert event.alert_sent == 51
    assert event.peer is not None and event.peer.sans == ("dns:peer.example",)
    assert lab.recorder.heard_nothing


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_right_certificate_gets_its_message_through(lab: Lab, version: str) -> None:
    lab.recorder.answer = b"SIP/2.0 200 OK\r\n\r\n"
    assert try_options(lab.address(), client_context(lab, good(lab), version)) is None
    ((flow, message),) = lab.recorder.messages
    assert flow.trunk == "acme"
    assert message.is_request
    assert flow.tls is not None and flow.tls.version == "TLSv" + version
    assert flow.tls.peer is not None and flow.tls.peer.verified
    assert flow.tls.identity == "sbc"
    assert not lab.recorder.failures


def test_an_unknown_peer_certificate_is_named_in_the_event(lab: Lab) -> None:
    try_options(lab.address(), client_context(lab, lab.other_ca.issue(dns=["peer.example"])))
    until(lambda: lab.recorder.failures)
    peer = lab.recorder.failures[0].peer
    assert peer is not None
    assert (peer.issuer, peer.verified) == ("CN=other CA", False)


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_peer_that_tls_admits_and_we_refuse_gets_no_byte_of_sip_read(lab: Lab, version: str) -> None:
    lab.recorder.against = Failure("refused-by-hook", "not today", "come back tomorrow")
    error = try_options(lab.address(), client_context(lab, good(lab), version))
    assert isinstance(error, ConnectionError) and str(error) == "closed", (
        "told by close_notify, not by a reset"
    )
    (asked,) = lab.recorder.asked
    assert (asked.direction, asked.listener, asked.trunk) == ("inbound", "tls", "acme")
    facts = asked.facts()
    assert facts.version == "TLSv" + version and facts.peer is not None and facts.peer.verified
    (event,) = lab.recorder.failures
    assert (event.failure.kind, event.candidates) == ("refused-by-hook", ("acme",))
    assert event.peer is not None and event.peer.sans == ("dns:peer.example",)
    assert lab.recorder.heard_nothing
    assert not lab.recorder.handshakes and lab.listeners.tally.of("tls", "inbound").in_flight == 0


@pytest.mark.slow
@pytest.mark.parametrize("case", ["good", "other CA", "wrong name", "none"])
@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_connection_that_ended_is_freed_by_its_reference_counts(lab: Lab, case: str, version: str) -> None:
    """Each holds tens of kilobytes of OpenSSL's: strangers make them faster than the collector comes by."""
    lab.recorder.answer = b"SIP/2.0 200 OK\r\n\r\n"
    issued = good(lab) if case == "good" else CASES[case][0](lab)
    context = client_context(lab, issued, version)
    try_options(lab.address(), context)
    gc.collect()
    gc.disable()
    try:
        before = set(SSL.Connection._reverse_mapping)
        for _ in range(3):
            assert (try_options(lab.address(), context) is None) == (case == "good")
        until_equal(lambda: len(lab.recorder.closed) + len(lab.recorder.failures), 4)
        lab.recorder.__init__()  # type: ignore[misc]  # forgets the flows
        until(lambda: set(SSL.Connection._reverse_mapping) <= before)
    finally:
        gc.enable()
