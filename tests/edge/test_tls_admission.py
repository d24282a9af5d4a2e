"""Several trunks, modes and tenants on one port: nobody gets in through somebody else's door."""

from __future__ import annotations

import base64
import re
from typing import Any

import gevent
import pytest
from gevent import socket, ssl

from sbc.demo.pki import LabAuthority
from tests.edge.tls_lab import OPTIONS, Lab, client_context, try_options
from tests.edge.tls_pair import Door, Pair
from tests.peers.waiting import until


def arrived_as(lab: Lab) -> list[str | None]:
    return [flow.trunk for flow, _ in lab.recorder.messages]


def two_tenants(lab: Lab) -> None:
    """Tenant strict wants a certificate of its own CA; tenant lax wants none."""
    lab.anchor("strict-ca", lab.other_ca)
    lab.identity("strict-id", lab.ca.issue(dns=["sip.strict.example"]))
    lab.identity("lax-id", lab.ca.issue(dns=["sip.lax.example"]))
    lab.tenant("strict", "sip.strict.example", identity="strict-id")
    lab.tenant("lax", "*.lax.example", identity="lax-id")
    lab.trunk("strict", {"trust": ("strict-ca",)}, tenant="strict")
    lab.trunk("lax", {"mode": "server"}, tenant="lax")


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_strict_tenant_is_not_entered_through_a_lax_one(lab: Lab, version: str) -> None:
    two_tenants(lab)
    door = Door(lab)
    nobody = client_context(lab, None, version)
    assert door.admits(nobody, "sip.lax.example") == "lax"
    assert door.admits(nobody, "sip.strict.example") is None and door.reason == "no-certificate"
    wrong = client_context(lab, lab.ca.issue(dns=["peer.example"]), version)
    assert door.admits(wrong, "sip.strict.example") is None and door.reason == "unknown-ca"


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_session_of_one_tenant_is_worth_nothing_at_another(lab: Lab, version: str) -> None:
    two_tenants(lab)
    lab.start()
    context = client_context(lab, None, version)
    kept: Any = None
    for sni, enters in (("sip.lax.example", True), ("sip.strict.example", False), ("sip.lax.example", True)):
        answered, session, reused = _resume(lab, context, sni, kept)
        assert answered is enters
        assert not reused
        kept = session if enters else kept
    assert kept is not None
    assert arrived_as(lab) == ["lax", "lax"]


def _resume(lab: Lab, context: Any, sni: str, session: Any) -> tuple[bool, Any, bool]:
    with socket.create_connection(lab.address(), 3) as sock:
        try:
            options = {} if session is None else {"session": session}
            with context.wrap_socket(sock, server_hostname=sni, **options) as secured:
                secured.sendall(OPTIONS)
                answered = bool(secured.recv(100))
                return answered, secured.session, secured.session_reused
        except OSError:
            return False, None, False


def test_sni_picks_the_tenants_certificate(lab: Lab) -> None:
    two_tenants(lab)
    lab.start()
    presented = []
    for sni in ("sip.lax.example", "sip.strict.example"):
        context = client_context(lab, lab.other_ca.issue(dns=["p.example"]) if "strict" in sni else None)
        with (
            socket.create_connection(lab.address()) as sock,
            context.wrap_socket(sock, server_hostname=sni) as up,
        ):
            presented.append(ssl.DER_cert_to_PEM_cert(up.getpeercert(binary_form=True)).encode())
    expected = [lab.identities[each].chain_pem for each in ("lax-id", "strict-id")]
    assert [_body(each) for each in presented] == [_body(each) for each in expected]


def _body(pem: bytes) -> bytes:
    return base64.b64decode(b"".join(pem.split(b"-----")[2].split()))


@pytest.mark.parametrize("sni", ["nobody.example", "a.b.lax.example", "lax.example"])
def test_an_unknown_name_reaches_no_tenant(lab: Lab, sni: str) -> None:
    two_tenants(lab)
    lab.start()
    assert try_options(lab.address(), client_context(lab, None), sni) is not None
    until(lambda: lab.recorder.failures)
    event = lab.recorder.failures[0]
    assert (event.failure.kind, event.alert_sent, event.sni) == ("unknown-sni", 112, sni)
    assert lab.recorder.heard_nothing
    said = re.match(r"let the peer use (\S+) or (\S+), or add", event.failure.remedy)
    assert said is not None
    peer = client_context(lab, lab.other_ca.issue(dns=["peer.example"]))
    names = [each.replace("*", "sip") for each in said.groups()]
    assert [try_options(lab.address(), peer, each) for each in names] == [None, None]


def test_no_sni_is_ambiguous_between_two_tenants(lab: Lab) -> None:
    two_tenants(lab)
    lab.start()
    assert try_options(lab.address(), client_context(lab, None), None) is not None
    until(lambda: lab.recorder.failures)
    assert lab.recorder.failures[0].failure.kind == "unknown-sni"


def test_a_trunk_without_tenant_serves_any_name_but_not_a_strict_tenants(lab: Lab) -> None:
    lab.trunk("open", {"mode": "server"})
    two_tenants(lab)
    door = Door(lab)
    nobody = client_context(lab, None)
    assert door.admits(nobody, "nobody.example") == "open"
    assert door.admits(nobody, None) == "open"
    assert door.admits(nobody, "sip.strict.example") is None


def test_modes_live_side_by_side_on_one_port(lab: Lab) -> None:
    lab.anchor("other", lab.other_ca)
    lab.trunk("a-required", {"mode": "required", "names": ("a.example",)})
    lab.trunk("b-optional", {"mode": "optional", "trust": ("other",)})
    door = Door(lab)
    assert door.enters(lab.ca.issue(dns=["a.example"])) == "a-required"
    assert door.event.facts.peer is not None
    assert door.enters(lab.other_ca.issue(dns=["whoever.example"])) == "b-optional"
    assert door.event.facts.peer is not None
    assert door.enters(None) == "b-optional"
    assert door.event.facts.peer is None
    assert door.enters(lab.ca.issue(dns=["b.example"])) is None
    assert door.enters(LabAuthority("stranger").issue(dns=["a.example"])) is None


def test_the_certificate_request_names_exactly_the_acceptable_cas(lab: Lab) -> None:
    lab.anchor("other", lab.other_ca)
    lab.trunk("a", {"trust": ("other",)})
    lab.trunk("elsewhere", {"trust": ("good",)}, sources=("192.0.2.1",))
    door = Door(lab)
    client = door.outbound("elsewhere")
    Pair(door.inbound(), client).drive()
    assert client.end is not None and client.end.requested() == ("CN=other CA",)


def test_a_server_only_certificate_where_the_trunk_says_so(lab: Lab) -> None:
    lab.trunk(
        "teams", {"client_eku": "allow-server-auth", "names": ("*.pstn.example",), "name_match": "rfc2818"}
    )
    door = Door(lab)
    assert door.enters(lab.ca.issue(dns=["*.pstn.example"], eku=("server",))) == "teams"


def test_pins_accept_one_key_or_one_leaf_and_nothing_else(lab: Lab) -> None:
    stranger = LabAuthority("stranger")
    keyed, filed, third = (stranger.issue(dns=[name]) for name in ("keyed", "filed", "third"))
    lab.identity("tmp", keyed)
    lab.anchor_file("key-pin", pin=lab.identities["tmp"].pin)
    lab.anchor_file("leaf-pin", leaf=lab.write("filed.pem", filed.cert_pem))
    lab.trunk("by-key", {"trust": ("key-pin",)})
    lab.trunk("by-leaf", {"trust": ("leaf-pin",)})
    door = Door(lab)
    assert door.enters(keyed) == "by-key"
    assert door.enters(filed) == "by-leaf"
    assert door.enters(third) is None and door.reason == "unknown-ca"


def test_an_intermediate_is_followed_and_a_missing_one_is_refused(lab: Lab) -> None:
    middle = LabAuthority("middle", issuer=lab.ca)
    lab.trunk("a", {})
    door = Door(lab)
    whole = middle.issue(dns=["a.example"])
    torn = type(whole)(whole.cert_pem, whole.cert_pem, whole.key_pem)
    assert door.enters(torn) is None and door.reason == "unknown-ca"
    assert door.enters(whole) == "a"
    # Now that the intermediate was seen, its absence has a name.
    assert door.enters(torn) is None and door.reason == "missing-intermediate"


def test_a_chain_over_the_cap_is_refused(lab: Lab) -> None:
    authority = lab.ca
    for depth in range(11):
        authority = LabAuthority(f"level {depth}", issuer=authority)
    lab.trunk("a", {})
    door = Door(lab)
    assert door.enters(authority.issue(dns=["a.example"])) is None
    assert door.reason == "chain-too-long"


def test_a_trunk_can_demand_version_and_group(lab: Lab) -> None:
    lab.trunk("pq", {"min_version": "1.3", "groups": ("X25519MLKEM768",)})
    door = Door(lab)
    peer = lab.ca.issue(dns=["a.example"])
    assert door.enters(peer, "1.2") is None and door.reason == "no-shared-version"
    assert door.enters(peer, "1.3") is None and door.reason == "no-shared-group"


def test_an_address_outside_every_trunk_is_reset(lab: Lab) -> None:
    lab.trunk("elsewhere", {}, sources=("192.0.2.0/24",))
    lab.start()
    assert try_options(lab.address(), client_context(lab, None)) is not None
    until(lambda: lab.recorder.refused)
    assert not lab.recorder.failures and lab.recorder.heard_nothing


def test_a_missing_identity_is_told_and_refuses(lab: Lab) -> None:
    lab.trunk("a", {"server_identity": "never-loaded"})
    lab.start()
    assert try_options(lab.address(), client_context(lab, None)) is not None
    until(lambda: lab.recorder.failures)
    assert lab.recorder.failures[0].failure.kind == "no-identity"


def test_trust_withdrawn_during_a_handshake_counts(lab: Lab) -> None:
    lab.trunk("a", {})
    lab.start()
    lab.anchor("other", lab.other_ca)
    context = client_context(lab, lab.ca.issue(dns=["x.example"]), "1.2")
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="sbc.example")
    with socket.create_connection(lab.address()) as sock:
        sock.settimeout(2)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        sock.sendall(outgoing.read())
        incoming.write(sock.recv(65536))
        lab.trunk("a", {"trust": ("other",)})
        lab.reload()
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        sock.sendall(outgoing.read())
        incoming.write(sock.recv(65536))
        client.do_handshake()
        client.write(OPTIONS)
        sock.sendall(outgoing.read())
        while sock.recv(65536):
            pass
    assert lab.recorder.heard_nothing


@pytest.mark.slow
def test_withdrawn_trust_closes_live_connections_at_once(lab: Lab) -> None:
    lab.anchor("other", lab.other_ca)
    lab.trunk("a", {"trust": ("good",)})
    lab.trunk("b", {"trust": ("other",)})
    lab.start()
    connections: list[Any] = []
    for authority in (lab.ca, lab.other_ca):
        context = client_context(lab, authority.issue(dns=["x.example"]))
        up = context.wrap_socket(socket.create_connection(lab.address()), server_hostname="sbc.example")
        up.settimeout(2)
        up.sendall(OPTIONS)
        assert up.recv(100)
        connections.append(up)
    lab.trunk("a", {"trust": ("other",)})
    lab.reload()
    assert connections[0].recv(100) == b""
    connections[1].sendall(OPTIONS)
    assert connections[1].recv(100)
    until(lambda: lab.recorder.closed)
    assert [flow.trunk for flow, _ in lab.recorder.closed] == ["a"]
    for each in connections:
        each.close()
    gevent.sleep(0)
