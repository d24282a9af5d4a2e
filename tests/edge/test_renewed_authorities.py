"""A CA that is renewed or cross-signed: who still has the key that is trusted goes on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from gevent import socket

from sbc.demo.pki import Issued, LabAuthority
from sbc.flow import Flow
from sbc.net.rotation.without import Without
from sbc.net.tls.verify import Search
from sbc.net.transport import recycle
from sbc.tls.lifetime.staged import beside
from tests.edge.test_forged_chains import count
from tests.edge.test_trust_models import issue_ca, permitting
from tests.edge.tls_lab import Lab, client_context, server_context, serving
from tests.edge.tls_pair import Door
from tests.peers.waiting import until


def sent_with(leaf: Issued, *issuers: Any) -> Issued:
    """A certificate as a peer sends it that has other certificates of its issuers beside it."""
    pem = b"".join(each.public_bytes(Encoding.PEM) for each in issuers)
    return replace(leaf, chain_pem=leaf.cert_pem + pem)


def test_a_peer_that_sends_its_issuer_cross_signed_needs_the_old_root_no_more(lab: Lab) -> None:
    """It keeps its certificate and is given its issuer's by the new root, in the place of the former."""
    fresh = LabAuthority("fresh CA")
    middle = LabAuthority("middle", issuer=lab.ca)
    crossed, _ = issue_ca("middle", fresh, key=middle.key)
    leaf = middle.issue(dns=["peer.example"])
    lab.anchor("fresh", fresh)
    lab.anchors["good"] = beside(lab.anchors["good"], lab.anchors.pop("fresh"))
    lab.trunk("a", {})
    door = Door(lab)
    clock: Any = door.clock
    without, key = Without(clock), ("trust", "good")
    snapshot = door.contexts.snapshot

    def does_without() -> bool:
        return without.good(snapshot, key, door.event)  # type: ignore[arg-type]

    assert door.enters(leaf) == "a" and not does_without()
    assert door.enters(sent_with(leaf, crossed)) == "a" and does_without()
    assert door.enters(leaf) == "a" and not does_without(), "it has gone back"


# Connections that stand when an entry of the truststore is exchanged


def renewed(authority: LabAuthority) -> LabAuthority:
    """The same CA, by name and key, with another certificate."""
    fresh = copy(authority)
    fresh.certificate = fresh._certify_itself()
    assert fresh.certificate != authority.certificate
    return fresh


@contextmanager
def connected(lab: Lab, issued: Issued) -> Iterator[Flow]:
    """A peer that has come in on trunk ``a`` and has a call on its connection."""
    before = len(lab.recorder.opened)
    context = client_context(lab, issued)
    with context.wrap_socket(socket.create_connection(lab.address(), 3), server_hostname="sbc.example"):
        until(lambda: len(lab.recorder.opened) > before)
        flow = lab.recorder.opened[-1]
        lab.recorder.busy_flows.add(flow.id)
        yield flow


def ending(lab: Lab, flow: Flow) -> str:
    """As what the end of a connection is told, once there is no call on it any more."""
    lab.recorder.busy_flows.clear()
    until(lambda: [each for each, _ in lab.recorder.closed if each is flow])
    return next(reason for each, reason in lab.recorder.closed if each is flow)


@pytest.fixture
def started(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Lab:
    for name, seconds in (("POLL", 0.02), ("QUIET", 0.05)):
        monkeypatch.setattr(recycle, name, seconds)
    lab.trunk("a", {})
    lab.start()
    return lab


@pytest.mark.slow
def test_a_call_outlasts_the_renewal_of_its_peers_ca(started: Lab) -> None:
    """A trust anchor is a name and a key (RFC 5280 6.1.1 d), and these do not change with the certificate."""
    lab = started
    with connected(lab, lab.ca.issue(dns=["peer.example"])) as flow:
        for _ in range(2):
            lab.anchor("good", renewed(lab.ca))
            lab.reload()
            assert flow.alive
        assert ending(lab, flow) == "its CA is trusted by another certificate now", "it is verified anew soon"


@pytest.mark.slow
def test_a_call_outlasts_the_exchange_of_an_intermediate_for_its_root(started: Lab) -> None:
    lab, middle = started, LabAuthority("middle", issuer=started.ca)
    lab.anchor("good", middle)
    lab.reload()
    with connected(lab, middle.issue(dns=["peer.example"])) as flow:
        lab.anchor("good", lab.ca)
        lab.reload()
        assert flow.alive
        assert ending(lab, flow) == "its CA is trusted by another certificate now"


@pytest.mark.slow
def test_another_ca_of_the_same_name_is_another(started: Lab) -> None:
    lab = started
    with connected(lab, lab.ca.issue(dns=["peer.example"])) as flow:
        lab.anchor("good", LabAuthority("good CA"))
        lab.reload()
        assert not flow.alive
        assert ending(lab, flow) == "its trust was withdrawn"


def test_what_the_renewed_one_forbids_is_forbidden(started: Lab) -> None:
    lab, others = started, started.ca.issue(dns=["other.example"])
    with connected(lab, others) as within, connected(lab, lab.ca.issue(dns=["peer.example"])) as flow:
        narrower = copy(lab.ca)
        narrower.certificate, _ = issue_ca("good CA", lab.ca, permitting("other.example"), key=lab.ca.key)
        lab.anchor("good", narrower)
        lab.reload()
        assert within.alive and not flow.alive


def test_a_dialled_connection_outlasts_it_too(started: Lab) -> None:
    lab = started
    with serving(server_context(lab, lab.ca.issue(dns=["localhost"]))) as server:
        trunk = lab.trunk("b", {}, sources=(), peers=(f"localhost:{server.port}",))
        snapshot = lab.reload()
        flow = lab.dialer.connect(trunk, snapshot)
        lab.recorder.busy_flows.add(flow.id)
        lab.anchor("good", renewed(lab.ca))
        lab.reload()
        assert flow.alive
        lab.anchor("good", lab.other_ca)
        lab.reload()
        assert not flow.alive


def test_of_many_connections_under_one_ca_one_is_verified(
    started: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = started
    with ExitStack() as stack:
        leaves = [lab.ca.issue(dns=["peer.example"]) for _ in range(12)]
        flows = [stack.enter_context(connected(lab, each)) for each in leaves]
        made = count(monkeypatch)
        lab.anchor("good", renewed(lab.ca))
        lab.reload()
        assert all(each.alive for each in flows) and len(made) == 1
        monkeypatch.setattr(Search, "KINDS", 3)
        lab.anchor("good", LabAuthority("good CA"))
        lab.reload()
        assert not any(each.alive for each in flows) and len(made) == 1 + 3
