"""Revocation over real handshakes: who is refused and with which alert; who passes, and that it is told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from gevent import socket
from gevent.event import Event

from sbc.demo.pki import Issued, LabAuthority
from sbc.flow import Flow
from sbc.net.transport.dial import DialFailed
from sbc.tls.revocation.policy import DEFAULT_POLICY
from tests.edge.revocation_lab import RevocationLab, closed, inbound, revocation_lab, started
from tests.edge.tls_lab import OPTIONS, Server, client_context, server_context, serving
from tests.edge.web import redirect, silent
from tests.peers.waiting import PATIENCE, until, until_equal
from tests.unit.tls.revoking import (
    Delegate,
    certificate_of,
    link_of,
    list_points,
    responder_at,
    revocation_list,
)

pytestmark = pytest.mark.slow

HARD: dict[str, Any] = {"revocation": {"mode": "hard"}}
VERSIONS = ["1.2", "1.3"]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[RevocationLab]:
    with revocation_lab(tmp_path) as made:
        yield made


def dialled(lab: RevocationLab, server: Server, mode: str = "hard", *methods: str) -> Flow:
    policy: dict[str, Any] = {"mode": mode, **({"methods": methods} if methods else {})}
    trunk = lab.trunk("acme", {"revocation": policy}, peers=(f"localhost:{server.port}",))
    if not hasattr(lab, "dialer"):
        lab.start()
    return lab.dialer.connect(trunk, lab.reload())


# What the CA publishes, and what comes of it in hard and in soft mode: "" for admitted.
def good(lab: RevocationLab, issued: Issued) -> None:
    pass


def revoked(lab: RevocationLab, issued: Issued) -> None:
    lab.publisher.revoked.append(issued)


def stale(lab: RevocationLab, issued: Issued) -> None:
    lab.publisher.ends = -3600.0


def wrong_signer(lab: RevocationLab, issued: Issued) -> None:
    lab.publisher.signer = LabAuthority("good CA")


def down(lab: RevocationLab, issued: Issued) -> None:
    lab.web.pages.clear()


def slow(lab: RevocationLab, issued: Issued) -> None:
    lab.web.pages.update(dict.fromkeys(lab.web.pages, silent))


def unknown(lab: RevocationLab, issued: Issued) -> None:
    lab.publisher.unknown = True


def replayed(lab: RevocationLab, issued: Issued) -> None:
    lab.publisher.replay = lab.publisher.issue("else.example")


def page(lab: RevocationLab, issued: Issued) -> None:
    lab.web.pages.update(dict.fromkeys(lab.web.pages, b"<!DOCTYPE html><html>maintenance</html>"))


STATES: dict[str, tuple[Any, str, str, str]] = {
    "good": (good, "", "", ""),
    "revoked": (revoked, "revoked", "revoked", ""),
    "stale": (stale, "stale-revocation", "", "out of date since"),
    "wrong signer": (wrong_signer, "stale-revocation", "", "signed"),
    "responder down": (down, "stale-revocation", "", "HTTP 404"),
    "responder slow": (slow, "stale-revocation", "", "no answer within"),
    "web page": (page, "stale-revocation", "", "this is"),
}
BY_OCSP = {
    "unknown": (unknown, "stale-revocation", "", "does not know it"),
    "replayed": (replayed, "stale-revocation", "", "a replay"),
}


@pytest.mark.parametrize("mode", ["hard", "soft"])
@pytest.mark.parametrize("source", ["crl", "ocsp"])
@pytest.mark.parametrize("name", STATES)
def test_inbound(lab: RevocationLab, name: str, source: str, mode: str) -> None:
    _inbound(lab, STATES[name], source, mode, "1.3")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", BY_OCSP)
def test_inbound_by_ocsp_alone(lab: RevocationLab, name: str, version: str) -> None:
    _inbound(lab, BY_OCSP[name], "ocsp", "hard", version)


def _inbound(
    lab: RevocationLab, case: tuple[Any, str, str, str], source: str, mode: str, version: str
) -> None:
    prepare, hard, soft, reason = case
    peer = lab.publisher.issue("peer.example", **{source: True})
    prepare(lab, peer)
    started(lab, mode)
    error, expected = inbound(lab, peer, version), hard if mode == "hard" else soft
    assert (error is None) == (expected == "")
    failures = [each.failure for each in lab.recorder.failures]
    assert [each.kind for each in failures] == ([expected] if expected else [])
    assert lab.recorder.heard_nothing == bool(expected)
    if expected:
        assert reason in failures[0].detail and failures[0].remedy
    elif name_of(case) != "good":
        (told,) = lab.told.passes
        assert (told.trunk, told.direction, told.subject) == ("acme", "inbound", "CN=peer.example")
        assert reason in told.found.reason
    else:
        assert lab.told.passes == []


def name_of(case: tuple[Any, str, str, str]) -> str:
    return str(case[0].__name__)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", ["good", "revoked", "stale", "responder down"])
def test_outbound(lab: RevocationLab, name: str, version: str) -> None:
    prepare, expected, _, reason = STATES[name]
    issued = lab.publisher.issue("localhost", crl=True, ocsp=True)
    prepare(lab, issued)
    with serving(server_context(lab, issued, version)) as server:
        if not expected:
            flow = dialled(lab, server)
            flow.channel.send(OPTIONS)
            until_equal(lambda: server.heard, OPTIONS)
            return
        with pytest.raises(DialFailed) as failed:
            dialled(lab, server)
        gevent.sleep(0.05)
        assert server.heard == b""
    assert failed.value.failure is not None and failed.value.failure.kind == expected
    assert reason in failed.value.failure.detail


@pytest.mark.parametrize(("mode", "crl", "known"), [
    ("hard", True, "good"), ("soft", True, "good"), ("soft", False, "no-source"), ("off", True, ""),
])  # fmt: skip
def test_what_was_known_is_told_of_the_connection(
    lab: RevocationLab, mode: str, crl: bool, known: str
) -> None:
    """Every call record of it says so."""
    issued = lab.publisher.issue("localhost", crl=crl)
    with serving(server_context(lab, issued, "1.3")) as server:
        flow = dialled(lab, server, mode)
    assert flow.tls is not None and flow.tls.revocation == known


@pytest.mark.parametrize("version", VERSIONS)
def test_who_is_known_to_be_revoked_is_refused_in_the_handshake_with_the_alert(
    lab: RevocationLab, version: str
) -> None:
    peer = lab.publisher.issue("peer.example", crl=True)
    lab.publisher.revoked.append(peer)
    started(lab, "soft")
    inbound(lab, peer, version)  # learns the list, too late for the handshake
    error = inbound(lab, peer, version)
    assert "certificate revoked" in str(error).lower().replace("_", " ")
    first, second = lab.recorder.failures
    assert (first.failure.kind, first.alert_sent) == ("revoked", None)
    assert (second.failure.kind, second.alert_sent, second.verify_code) == ("revoked", 44, 23)


def test_the_list_is_asked_for_once_however_many_connect(lab: RevocationLab) -> None:
    peer = lab.publisher.issue("peer.example", crl=True)
    started(lab)
    waiting = [gevent.spawn(inbound, lab, peer) for _ in range(10)]
    gevent.joinall(waiting, 5)
    assert [each.value for each in waiting] == [None] * 10
    assert lab.web.asked == ["/crl"]


def test_an_intermediate_is_asked_about_too(lab: RevocationLab) -> None:
    middle = LabAuthority("middle CA", issuer=lab.ca)
    started(lab, "hard")
    lab.settings["trust"] = {"good": {"ca": "good-ca.pem", "crl": lab.publisher.list_url}}
    lab.publisher.revoked.append(middle.certificate.serial_number)
    lab.reload()
    until(lambda: lab.web.count("/crl"))
    inbound(lab, middle.issue(dns=["peer.example"]))
    failure = lab.recorder.failures[-1].failure
    assert failure.kind == "revoked" and "CN=middle CA is revoked" in failure.detail


def test_off_asks_nobody(lab: RevocationLab) -> None:
    peer = lab.publisher.issue("peer.example", crl=True, ocsp=True)
    lab.publisher.revoked.append(peer)
    started(lab, "off")
    assert inbound(lab, peer) is None
    assert lab.web.asked == [] and lab.told.passes == []


def test_only_the_methods_of_the_trunk_are_asked(lab: RevocationLab) -> None:
    peer = lab.publisher.issue("peer.example", crl=True, ocsp=True)
    started(lab, "hard", "crl")
    assert inbound(lab, peer) is None
    assert lab.web.asked == ["/crl"]


def test_a_pinned_peer_is_not_asked_about(lab: RevocationLab) -> None:
    peer = lab.publisher.issue("peer.example", crl=True)
    lab.publisher.revoked.append(peer)
    lab.anchor_file("pinned", leaf=(lab.write("pinned.pem", peer.cert_pem),))
    lab.trunk("acme", {"trust": ("pinned",), **HARD})
    lab.recorder.answer = b"SIP/2.0 200 OK\r\n\r\n"
    lab.start()
    assert inbound(lab, peer) is None and lab.web.asked == []


def test_without_a_source_hard_refuses_and_soft_counts(lab: RevocationLab) -> None:
    peer = lab.publisher.issue("peer.example")
    started(lab, "soft")
    assert inbound(lab, peer) is None
    assert lab.told.passes[0].found.state == "no-source"
    lab.trunk("acme", HARD)
    lab.reload()
    assert inbound(lab, peer) is not None
    assert "`crl`" in lab.recorder.failures[0].failure.remedy


def test_a_responder_with_a_certificate_of_its_own_is_believed(lab: RevocationLab) -> None:
    peer = lab.publisher.issue("peer.example", ocsp=True)
    lab.publisher.signer = Delegate(lab.ca, time.time())
    started(lab)
    assert inbound(lab, peer) is None


def test_a_revocation_ends_an_open_connection(lab: RevocationLab) -> None:
    peer = lab.publisher.issue("peer.example", crl=True)
    lab.settings["revocation"]["refresh"] = "0.2s"
    started(lab)
    sock = socket.create_connection(lab.address(), 3)
    with client_context(lab, peer).wrap_socket(sock, server_hostname="sbc.example") as secured:
        secured.sendall(OPTIONS)
        assert secured.recv(100)
        lab.publisher.revoked.append(peer)
        assert closed(secured)
    until(lambda: lab.recorder.closed)
    assert "its certificate was revoked: CN=peer.example" in lab.recorder.closed[0][1]
    assert lab.told.events("connection-ended")[0]["trunk"] == "acme"


def test_a_revocation_ends_a_dialled_connection(lab: RevocationLab) -> None:
    issued = lab.publisher.issue("localhost", ocsp=True)
    lab.settings["revocation"]["refresh"] = "0.2s"
    with serving(server_context(lab, issued)) as server:
        flow = dialled(lab, server)
        lab.publisher.revoked.append(issued)
        until(lambda: not flow.alive)


def opened(lab: RevocationLab, issued: Issued) -> Any:
    sock = socket.create_connection(lab.address(), 3)
    secured = client_context(lab, issued).wrap_socket(sock, server_hostname="sbc.example")
    secured.sendall(OPTIONS)
    assert secured.recv(100)
    return secured


@pytest.mark.parametrize(("before", "after"), [("off", "soft"), ("off", "hard"), ("soft", "hard")])
def test_a_trunk_that_demands_more_has_its_open_connections_settled_anew(
    lab: RevocationLab, before: str, after: str
) -> None:
    peer = lab.publisher.issue("peer.example", crl=True)
    started(lab, before)
    if before == "soft":
        del lab.web.pages["/crl"]
    else:
        lab.publisher.revoked.append(peer)
    with opened(lab, peer) as secured:
        lab.trunk("acme", {"revocation": {"mode": after}})
        lab.reload()
        assert closed(secured)
    until(lambda: lab.recorder.closed)
    assert lab.recorder.closed[0][1] == "its trunk demands more about revocation now"
    assert inbound(lab, peer) is not None


def test_who_is_known_to_be_revoked_is_cut_off_as_soon_as_the_trunk_asks(lab: RevocationLab) -> None:
    peer, other = (lab.publisher.issue(f"{name}.example", crl=True) for name in ("peer", "other"))
    started(lab, "off")
    lab.trunk("strict", HARD, sources=("127.0.0.2",))
    lab.publisher.revoked.append(peer)
    lab.reload()
    sock = socket.create_connection(lab.address(), 3, ("127.0.0.2", 0))
    with client_context(lab, other).wrap_socket(sock, server_hostname="sbc.example") as secured:
        secured.sendall(OPTIONS)
        assert secured.recv(100), "the list is known now"
    with opened(lab, peer) as secured:
        lab.trunk("acme", {"revocation": {"mode": "soft"}})
        lab.reload()
        assert closed(secured)
    until(lambda: lab.told.events("connection-ended"))


def test_a_trunk_that_asks_no_more_keeps_the_connections_of_the_revoked(lab: RevocationLab) -> None:
    peer = lab.publisher.issue("peer.example", crl=True)
    lab.settings["revocation"]["refresh"] = "0.1s"
    started(lab, "hard")
    with opened(lab, peer) as secured:
        lab.trunk("acme", {"revocation": {"mode": "off"}})
        lab.reload()
        lab.publisher.revoked.append(peer)
        link, cache = link_of(peer, lab.ca), lab.revocation.cache
        until_equal(lambda: cache.look(link, DEFAULT_POLICY.methods, time.time()).state, "revoked")
        secured.sendall(OPTIONS)
        assert secured.recv(100)


def test_while_it_is_settled_no_byte_of_sip_is_read(lab: RevocationLab) -> None:
    peer = lab.publisher.issue("peer.example", crl=True)
    whole = lab.publisher.list()
    held = gevent.event.Event()

    def later(sock: Any, _body: bytes) -> None:
        held.wait(PATIENCE)
        sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(whole) + whole)

    lab.web.pages["/crl"] = later
    lab.settings["revocation"]["timeout"] = "5s"
    started(lab)
    one = gevent.spawn(inbound, lab, peer)
    until(lambda: lab.web.asked)
    gevent.sleep(0.1)
    assert lab.recorder.heard_nothing and not one.ready()
    held.set()
    one.join(PATIENCE)
    assert one.value is None and len(lab.recorder.messages) == 1


def test_after_a_failure_nobody_waits_until_it_is_asked_again(lab: RevocationLab) -> None:
    peer = lab.publisher.issue("peer.example", crl=True)
    slow(lab, peer)
    # Longer than the peer has patience: who waited would see it give up.
    lab.settings["revocation"]["wait"] = "20s"
    started(lab, "soft")
    assert inbound(lab, peer) is None
    assert inbound(lab, peer) is None
    assert lab.web.asked == ["/crl"]
    assert len(lab.told.passes) == 2 and len(lab.told.events("source-failed")) == 1
    assert lab.told.events("source-failed")[0]["problem"].startswith(lab.publisher.list_url + ": no answer")


def huge(sock: Any, _body: bytes) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(1600):
        sock.sendall(bytes(65536))


def endless(sock: Any, _body: bytes) -> None:
    sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        sock.sendall(b"x")
        gevent.sleep(0.05)


BAD: dict[str, tuple[Any, str]] = {
    "100 MB": (huge, "bytes; raise `revocation.max_bytes`"),
    "without end": (endless, "no answer within 0.3 s"),
    "a redirect in a circle": (redirect("/ocsp"), "it redirects in a circle"),
    "a redirect inside": (redirect("http://10.0.0.1/"), "which is no public address"),
    "a web page": (b"<!DOCTYPE html><html>sorry</html>", "this is"),
    "nothing": (b"", "is"),
}


@pytest.mark.parametrize("source", ["crl", "ocsp"])
@pytest.mark.parametrize("name", BAD)
def test_a_source_that_goes_bad_is_named_and_what_was_known_stays(
    lab: RevocationLab, name: str, source: str
) -> None:
    page, reason = BAD[name]
    if name == "a redirect in a circle":
        page = redirect(f"/{source}")
    peer = lab.publisher.issue("peer.example", **{source: True})
    lab.settings["revocation"].update(refresh="0.1s", max_bytes=200_000)
    started(lab)
    assert inbound(lab, peer) is None
    lab.web.pages[f"/{source}"] = page
    until(lambda: lab.told.events("source-failed"))
    (said,) = lab.told.events("source-failed")
    assert said["problem"].startswith(lab.web.url(f"/{source}")) and reason in said["problem"]
    assert inbound(lab, peer) is None and lab.told.passes == []


def test_an_older_list_does_not_take_the_place_of_a_newer(lab: RevocationLab) -> None:
    peer, gone = (lab.publisher.issue(name, crl=True) for name in ("peer.example", "gone.example"))
    before = revocation_list(lab.ca, time.time(), begins=-600)
    lab.publisher.revoked.append(gone)
    lab.settings["revocation"]["refresh"] = "0.1s"
    started(lab)
    assert inbound(lab, peer) is None
    lab.web.pages["/crl"] = before
    until(lambda: lab.told.events("source-failed"))
    assert "older than the one before" in lab.told.events("source-failed")[0]["problem"]
    assert "revoked" in str(inbound(lab, gone)).lower()


def test_the_lists_of_the_cas_that_we_trust_are_fetched_before_anybody_connects(lab: RevocationLab) -> None:
    middle = LabAuthority("middle CA", issuer=lab.ca)
    named = lab.publisher.issue("x", crl=True)
    # An intermediate that names its list: the lab's authorities name none, so that one is made by hand.
    whole = certificate_of(middle)
    builder = lab.ca._signed_by_us(
        "middle CA", middle.key, whole.not_valid_before_utc, whole.not_valid_after_utc
    )
    for each in (
        *whole.extensions,
        certificate_of(named).extensions.get_extension_for_class(x509.CRLDistributionPoints),
    ):
        if each.oid.dotted_string not in ("2.5.29.14", "2.5.29.35"):
            builder = builder.add_extension(each.value, each.critical)
    made = builder.sign(lab.ca.key, hashes.SHA256())
    lab.anchor_file("both", ca=lab.write("both.pem", lab.ca.cert_pem + made.public_bytes(Encoding.PEM)))
    started(lab)
    until(lambda: lab.web.count("/crl"))


def test_that_our_own_certificate_is_revoked_is_said(lab: RevocationLab) -> None:
    own = lab.publisher.issue("sbc.example", ocsp=True)
    lab.identity("sbc", own)
    lab.publisher.revoked.append(own)
    started(lab)
    until(lambda: lab.told.events("own-certificate-revoked"))
    assert lab.told.events("own-certificate-revoked")[0]["of"] == "CN=sbc.example"


def test_addresses_that_never_answer_hold_up_their_own_trunk_alone(lab: RevocationLab) -> None:
    """A certificate may name eight of them, and a customer's own CA issues as many as he likes."""
    over = Event()
    hanging = [f"/hangs{number}" for number in range(8)]
    lab.web.pages.update(dict.fromkeys(hanging, lambda _sock, _body: over.wait()))
    urls = [lab.web.url(each) for each in hanging]
    responders = x509.AuthorityInformationAccess([each for url in urls[4:] for each in responder_at(url)])
    stranger = lab.other_ca.issue(dns=["other.example"], extensions=[list_points(*urls[:4]), responders])
    lab.settings["revocation"]["timeout"] = "60s"
    lab.anchor("other", lab.other_ca)
    lab.trunk("other", {"trust": ("other",), "revocation": {"mode": "soft"}})
    started(lab)
    assert inbound(lab, stranger) is None
    assert [each.trunk for each in lab.told.passes] == ["other"]
    assert inbound(lab, lab.publisher.issue("peer.example", ocsp=True)) is None
    assert lab.recorder.handshakes[-1].trunk == "acme"
    over.set()
    until(lambda: set(lab.web.asked) >= {*hanging}, "the others are asked in turn")
