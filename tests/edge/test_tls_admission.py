"""Several trunks, modes and tenants on one port: nobody gets in through somebody else's door."""

from __future__ import annotations

import base64
from typing import Any

import gevent
import pytest
from gevent import socket, ssl

from sbc.demo.pki import LabAuthority
from tests.edge.tls_lab import OPTIONS, Lab, client_context, try_options
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
    lab.start()


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_strict_tenant_is_not_entered_through_a_lax_one(lab: Lab, version: str) -> None:
    two_tenants(lab)
    nobody = client_context(lab, None, version)
    assert try_options(lab.address(), nobody, "sip.lax.example") is None
    assert try_options(lab.address(), nobody, "sip.strict.example") is not None
    until(lambda: lab.recorder.failures)
    assert lab.recorder.failures[0].failure.kind == "no-certificate"
    wrong = client_context(lab, lab.ca.issue(dns=["peer.example"]), version)
    assert try_options(lab.address(), wrong, "sip.strict.example") is not None
    assert arrived_as(lab) == ["lax"]


@pytest.mark.parametrize("version", ["1.2", "1.3"])
def test_a_session_of_one_tenant_is_worth_nothing_at_another(lab: Lab, version: str) -> None:
    two_tenants(lab)
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
    assert try_options(lab.address(), client_context(lab, None), sni) is not None
    until(lambda: lab.recorder.failures)
    event = lab.recorder.failures[0]
    assert (event.failure.kind, event.alert_sent, event.sni) == ("unknown-sni", 112, sni)
    assert lab.recorder.heard_nothing


def test_no_sni_is_ambiguous_between_two_tenants(lab: Lab) -> None:
    two_tenants(lab)
    assert try_options(lab.address(), client_context(lab, None), None) is not None
    until(lambda: lab.recorder.failures)
    assert lab.recorder.failures[0].failure.kind == "unknown-sni"


def test_a_trunk_without_tenant_serves_any_name_but_not_a_strict_tenants(lab: Lab) -> None:
    lab.trunk("open", {"mode": "server"})
    two_tenants(lab)
    nobody = client_context(lab, None)
    assert try_options(lab.address(), nobody, "nobody.example") is None
    assert try_options(lab.address(), nobody, None) is None
    assert try_options(lab.address(), nobody, "sip.strict.example") is not None
    assert arrived_as(lab) == ["open", "open"]


def test_modes_live_side_by_side_on_one_port(lab: Lab) -> None:
    lab.anchor("other", lab.other_ca)
    lab.trunk("a-required", {"mode": "required", "names": ("a.example",)})
    lab.trunk("b-optional", {"mode": "optional", "trust": ("other",)})
    lab.start()
    named = client_context(lab, lab.ca.issue(dns=["a.example"]))
    other = client_context(lab, lab.other_ca.issue(dns=["whoever.example"]))
    wrong = client_context(lab, lab.ca.issue(dns=["b.example"]))
    stranger = client_context(lab, LabAuthority("stranger").issue(dns=["a.example"]))
    assert try_options(lab.address(), named) is None
    assert try_options(lab.address(), other) is None
    assert try_options(lab.address(), client_context(lab, None)) is None
    assert try_options(lab.address(), wrong) is not None
    assert try_options(lab.address(), stranger) is not None
    assert arrived_as(lab) == ["a-required", "b-optional", "b-optional"]
    peers = [flow.tls.peer is not None for flow, _ in lab.recorder.messages if flow.tls is not None]
    assert peers == [True, True, False]


def test_the_certificate_request_names_exactly_the_acceptable_cas(lab: Lab) -> None:
    lab.anchor("other", lab.other_ca)
    lab.trunk("a", {"trust": ("other",)})
    lab.trunk("elsewhere", {"trust": ("good",)}, sources=("192.0.2.1",))
    lab.start()
    from OpenSSL import SSL

    context = SSL.Context(SSL.TLS_METHOD)
    sock = socket.create_connection(lab.address())
    client = SSL.Connection(context, None)
    client.set_connect_state()
    for _ in range(3):
        try:
            client.do_handshake()
        except SSL.WantReadError:
            sock.sendall(client.bio_read(65536))
            client.bio_write(sock.recv(65536))
    assert [name.CN for name in client.get_client_ca_list()] == ["other CA"]
    sock.close()


def test_a_server_only_certificate_where_the_trunk_says_so(lab: Lab) -> None:
    lab.trunk(
        "teams", {"client_eku": "allow-server-auth", "names": ("*.pstn.example",), "name_match": "rfc2818"}
    )
    lab.start()
    server_only = lab.ca.issue(dns=["*.pstn.example"], eku=("server",))
    assert try_options(lab.address(), client_context(lab, server_only)) is None
    assert arrived_as(lab) == ["teams"]


def test_pins_accept_one_key_or_one_leaf_and_nothing_else(lab: Lab) -> None:
    stranger = LabAuthority("stranger")
    keyed, filed, third = (stranger.issue(dns=[name]) for name in ("keyed", "filed", "third"))
    lab.identity("tmp", keyed)
    lab.anchor_file("key-pin", pin=lab.identities["tmp"].pin)
    lab.anchor_file("leaf-pin", leaf=lab.write("filed.pem", filed.cert_pem))
    lab.trunk("by-key", {"trust": ("key-pin",)})
    lab.trunk("by-leaf", {"trust": ("leaf-pin",)})
    lab.start()
    assert try_options(lab.address(), client_context(lab, keyed)) is None
    assert try_options(lab.address(), client_context(lab, filed)) is None
    assert try_options(lab.address(), client_context(lab, third)) is not None
    assert arrived_as(lab) == ["by-key", "by-leaf"]
    assert lab.recorder.failures[0].failure.kind == "unknown-ca"


def test_an_intermediate_is_followed_and_a_missing_one_is_refused(lab: Lab) -> None:
    middle = LabAuthority("middle", issuer=lab.ca)
    lab.trunk("a", {})
    lab.start()
    whole = middle.issue(dns=["a.example"])
    torn = type(whole)(whole.cert_pem, whole.cert_pem, whole.key_pem)
    assert try_options(lab.address(), client_context(lab, torn)) is not None
    assert lab.recorder.failures[0].failure.kind == "unknown-ca"
    assert try_options(lab.address(), client_context(lab, whole)) is None
    # Now that the intermediate was seen, its absence has a name.
    assert try_options(lab.address(), client_context(lab, torn)) is not None
    assert lab.recorder.failures[-1].failure.kind == "missing-intermediate"


def test_a_chain_over_the_cap_is_refused(lab: Lab) -> None:
    authority = lab.ca
    for depth in range(11):
        authority = LabAuthority(f"level {depth}", issuer=authority)
    lab.trunk("a", {})
    lab.start()
    assert try_options(lab.address(), client_context(lab, authority.issue(dns=["a.example"]))) is not None
    assert lab.recorder.failures[0].failure.kind == "chain-too-long"
    assert lab.recorder.heard_nothing


def test_a_trunk_can_demand_version_and_group(lab: Lab) -> None:
    lab.trunk("pq", {"min_version": "1.3", "groups": ("X25519MLKEM768",)})
    lab.start()
    peer = lab.ca.issue(dns=["a.example"])
    assert try_options(lab.address(), client_context(lab, peer, "1.2")) is not None
    assert try_options(lab.address(), client_context(lab, peer, "1.3")) is not None
    kinds = [event.failure.kind for event in lab.recorder.failures]
    assert kinds == ["no-shared-version", "no-shared-group"]
    assert lab.recorder.heard_nothing


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
