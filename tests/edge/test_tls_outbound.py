"""A dialled peer that is not the right one never sees a byte of SIP: every refusal, on both TLS versions."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from sbc.base import Address
from sbc.demo.pki import Issued
from sbc.flow import Flow
from sbc.net.transport.dial import DialFailed
from tests.edge.tls_lab import OPTIONS, Lab, alert_seen, forged_key, server_context, serving
from tests.edge.tls_pair import Door
from tests.peers.waiting import until, until_equal

DAY = 86400.0


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.listener("tls")
    made.listener("tcp", "tcp")
    made.start()
    yield made
    made.close()


def dial(
    lab: Lab, port: int, tls: dict[str, Any] | None = None, host: str = "localhost", **options: Any
) -> Flow:
    trunk = lab.trunk("acme", tls or {}, peers=(f"{host}:{port}",), **options)
    return lab.dialer.connect(trunk, lab.reload())


def good(lab: Lab, **options: Any) -> Issued:
    options.setdefault("dns", ["localhost"])
    return lab.ca.issue(**options)


# name of the case: (certificate, kind, alert sent)
CASES: dict[str, tuple[Any, str, int]] = {
    "other CA": (lambda lab: lab.other_ca.issue(dns=["localhost"]), "unknown-ca", 48),
    "expired": (
        lambda lab: good(lab, not_before=time.time() - 9 * DAY, not_after=time.time() - DAY), "expired", 45,
    ),
    "not yet valid": (
        lambda lab: good(lab, not_before=time.time() + DAY, not_after=time.time() + 9 * DAY),
        "not-yet-valid", 42,
    ),
    "wrong name": (lambda lab: good(lab, dns=["evil.example"]), "name-mismatch", 42),
    "client only": (lambda lab: good(lab, eku=("client",)), "wrong-purpose", 43),
}  # fmt: skip


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("case", CASES)
def test_a_bad_server_is_refused_in_the_handshake(lab: Lab, case: str, version: str) -> None:
    issue, kind, alert = CASES[case]
    with serving(server_context(lab, issue(lab), version)) as server:
        with pytest.raises(DialFailed) as failed:
            dial(lab, server.port)
        (event,) = lab.recorder.failures
        assert event.failure.kind == kind
        assert failed.value.failure == event.failure
        assert event.alert_sent == alert
        assert (event.direction, event.candidates, event.sni) == ("outbound", ("acme",), "localhost")
        until(lambda: server.errors)
        assert alert_seen(server.errors[0]) == alert
        assert server.heard == b""
        assert lab.recorder.heard_nothing


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_server_without_its_key_is_a_security_event(lab: Lab, version: str) -> None:
    stolen = good(lab)
    with serving(server_context(lab, stolen, version, key_pem=forged_key(stolen.cert_pem))) as server:
        with pytest.raises(DialFailed):
            dial(lab, server.port)
        assert lab.recorder.failures[0].failure.kind == "key-not-held"
        assert server.heard == b""


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_the_right_server_hears_us(lab: Lab, version: str) -> None:
    with serving(server_context(lab, good(lab), version, demand=lab.ca)) as server:
        flow = dial(lab, server.port)
        flow.channel.send(OPTIONS)
        until_equal(lambda: server.heard, OPTIONS)
        assert server.sni == ["localhost"]
        assert flow.outbound and flow.trunk == "acme"
        assert flow.tls is not None and flow.tls.peer is not None and flow.tls.peer.verified


def test_an_address_is_checked_against_ip_sans_and_gets_no_sni(lab: Lab) -> None:
    with serving(server_context(lab, lab.ca.issue(ips=["127.0.0.1"]))) as server:
        assert dial(lab, server.port, host="127.0.0.1").alive
        assert server.sni == [None]
    with serving(server_context(lab, good(lab))) as server:
        with pytest.raises(DialFailed):
            dial(lab, server.port, host="127.0.0.1")


def test_names_replace_the_host_name(lab: Lab) -> None:
    lab.trunk("acme", {"names": ("peer.example",)}, peers=("localhost:5061",))
    door = Door(lab)
    assert door.reaches("acme", lab.ca.issue(uris=["sip:peer.example"])) == "acme"
    assert door.reaches("acme", good(lab)) is None and door.reason == "name-mismatch"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_server_that_does_not_accept_us_is_a_failed_handshake(lab: Lab, version: str) -> None:
    """TLS 1.3 tells us only after our side has finished (RFC 8446 4.4.2.4)."""
    with serving(server_context(lab, good(lab), version, demand=lab.other_ca)) as server:
        try:
            flow = dial(lab, server.port)
            flow.channel.send(OPTIONS)
        except DialFailed:
            assert version == "1.2"
        until(lambda: lab.recorder.failures)
        (event,) = lab.recorder.failures
        assert event.failure.kind == "rejected-by-peer"
        assert event.alert_received == 48
        assert event.direction == "outbound"
        if version == "1.3":
            until(lambda: lab.recorder.closed)
            ((flow, reason),) = lab.recorder.closed
            assert reason.startswith("rejected-by-peer")
            assert not flow.alive
        assert server.heard == b""


def test_client_identity_none_shows_no_certificate(lab: Lab) -> None:
    lab.trunk("acme", {"client_identity": "none"}, peers=("localhost:5061",))
    door = Door(lab)
    door.dial("acme", server_context(lab, good(lab), "1.3", demand=lab.ca)).drive()
    assert door.ours.failure().alert_received == 116


def test_the_next_peer_is_dialled_when_the_first_fails(lab: Lab) -> None:
    with (
        serving(server_context(lab, lab.other_ca.issue(dns=["localhost"]))) as bad,
        serving(server_context(lab, good(lab))) as right,
    ):
        trunk = lab.trunk("acme", {}, peers=(f"localhost:{bad.port}", f"localhost:{right.port}"))
        flow = lab.dialer.connect(trunk, lab.reload())
        assert flow.remote.port == right.port
        assert lab.recorder.failures[0].failure.kind == "unknown-ca"
        assert bad.heard == b""


def test_a_connection_is_reused_only_for_the_same_trust(lab: Lab) -> None:
    with serving(server_context(lab, good(lab))) as server:
        first = dial(lab, server.port)
        assert dial(lab, server.port) is first
        second = dial(lab, server.port, {"names": ("localhost", "other.example")})
        assert second is not first and first.alive
        other = lab.trunk("globex", {}, peers=(f"localhost:{server.port}",))
        assert lab.dialer.lookup(other, lab.reload()) is None


def test_one_dial_at_a_time_serves_all_who_wait(lab: Lab) -> None:
    with serving(server_context(lab, good(lab))) as server:
        trunk = lab.trunk("acme", {}, peers=(f"localhost:{server.port}",))
        snapshot = lab.reload()
        dials = [gevent.spawn(lab.dialer.connect, trunk, snapshot) for _ in range(5)]
        gevent.joinall(dials, 3)
        assert len({each.value for each in dials}) == 1
        until(lambda: server.handshakes)
        gevent.sleep(0.02)
        assert server.handshakes == 1


def test_withdrawn_trust_closes_the_connection(lab: Lab) -> None:
    with serving(server_context(lab, good(lab))) as server:
        flow = dial(lab, server.port)
        lab.anchors.pop("good")
        lab.reload()
        until(lambda: lab.recorder.closed)
        assert not flow.alive


def test_a_peer_that_never_answers_is_given_up(lab: Lab) -> None:
    silent = socket.create_server(("127.0.0.1", 0))
    try:
        with pytest.raises(DialFailed) as failed:
            dial(lab, silent.getsockname()[1], dial_timeout=0.2)
        assert failed.value.failure is not None and failed.value.failure.kind == "timeout"
    finally:
        silent.close()


def test_a_closed_port_is_a_failed_dial_and_no_handshake(lab: Lab) -> None:
    unused = socket.create_server(("127.0.0.1", 0))
    port = unused.getsockname()[1]
    unused.close()
    with pytest.raises(DialFailed, match="refused"):
        dial(lab, port)
    assert not lab.recorder.failures


# Where a caller's connection came from is no peer's address, or one behind a peer's name


def dial_back(lab: Lab, port: int, peers: tuple[str, ...], tls: dict[str, Any] | None = None) -> Flow:
    trunk = lab.trunk("acme", tls or {}, peers=peers)
    return lab.dialer.connect(trunk, lab.reload(), (Address("127.0.0.1", port),))


def test_a_caller_is_dialled_in_the_name_of_the_peer_that_lives_there(lab: Lab) -> None:
    with serving(server_context(lab, good(lab))) as server:
        flow = dial_back(lab, server.port, ("localhost:1",))
        assert dial_back(lab, server.port, ("localhost:1",)) is flow, "the next one shares it"
        assert server.sni == ["localhost"]
    with serving(server_context(lab, lab.ca.issue(ips=["127.0.0.1"]))) as server:
        with pytest.raises(DialFailed):
            dial_back(lab, server.port, ("localhost:1",))
        assert server.heard == b""


def test_one_dial_serves_all_answers_that_go_back_to_one_caller(lab: Lab) -> None:
    """Its connection may have carried thousands of calls."""
    with serving(server_context(lab, good(lab))) as server:
        trunk, home = lab.trunk("acme", {}, peers=("localhost:1",)), (Address("127.0.0.1", server.port),)
        snapshot = lab.reload()
        dials = [gevent.spawn(lab.dialer.connect, trunk, snapshot, home) for _ in range(5)]
        gevent.joinall(dials, 3)
        assert len({each.value for each in dials}) == 1
        until(lambda: server.handshakes)
        gevent.sleep(0.02)
        assert server.handshakes == 1


def test_a_caller_that_is_no_peer_must_bear_the_trunks_names(lab: Lab) -> None:
    with serving(server_context(lab, lab.ca.issue(uris=["sip:peer.example"]))) as server:
        assert dial_back(lab, server.port, ("nowhere.invalid:1",), {"names": ("peer.example",)}).alive
    with serving(server_context(lab, lab.ca.issue(ips=["127.0.0.1"]))) as server:
        with pytest.raises(DialFailed):
            dial_back(lab, server.port, ("nowhere.invalid:1",), {"names": ("peer.example",)})
        with pytest.raises(DialFailed, match="no peer of trunk acme"):
            dial_back(lab, server.port, ("nowhere.invalid:1",))
        assert server.heard == b""


def test_a_caller_of_a_trunk_without_names_is_known_by_its_address(lab: Lab) -> None:
    with serving(server_context(lab, lab.ca.issue(ips=["127.0.0.1"]))) as server:
        assert dial_back(lab, server.port, ()).alive
    with serving(server_context(lab, good(lab))) as server:
        with pytest.raises(DialFailed):
            dial_back(lab, server.port, ())
        assert server.heard == b""
