"""Revocation against OpenSSL's own CA, responder, server and client, in both directions and versions."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import subprocess

from sbc.demo.pki import Issued
from sbc.flow import Flow
from sbc.net.system.clock import Clock
from sbc.net.transport.dial import DialFailed
from tests.edge.revocation_lab import RevocationLab, revocation_lab
from tests.edge.tls_lab import OPTIONS
from tests.edge.web import response
from tests.peers.needs import needs
from tests.peers.openssl_ca import OpensslCa, Pair
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_port
from tests.peers.process import PeerProcess, find, listening
from tests.peers.product import command
from tests.peers.waiting import until

pytestmark = [pytest.mark.interop, pytest.mark.slow]

VERSIONS = ["1.2", "1.3"]
Prepare = Callable[["Published", Pair], None]


class Later(Clock):
    """A clock that may be put forward."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = 0.0
        self.now = lambda: time.time() + self.ahead


class Published(RevocationLab):
    """The edge, and a CA of OpenSSL whose list and responder are served on loopback."""

    ca_of_openssl: OpensslCa
    signer: Pair | None = None
    replay: Pair | None = None

    def publish(self) -> None:
        self.ca_of_openssl = OpensslCa(self.directory / "ca", self.web.url("/list"), self.web.url("/answers"))
        self.anchor_file("openssl", ca="ca/ca.pem")
        self.web.pages["/list"] = lambda sock, _: sock.sendall(response(self.ca_of_openssl.list()))
        self.web.pages["/answers"] = lambda sock, body: sock.sendall(response(self.answers(body)))
        self.settings["revocation"]["timeout"] = "2s"
        self.clock = Later()
        self.recorder.answer = b"SIP/2.0 200 OK\r\n\r\n"

    def answers(self, question: bytes) -> bytes:
        if self.replay is not None:
            question = self.ca_of_openssl.question(self.replay)
        return self.ca_of_openssl.answer(question, self.signer)

    def policy(self, mode: str, *methods: str) -> dict[str, Any]:
        return {
            "trust": ("openssl",),
            "revocation": {"mode": mode, **({"methods": methods} if methods else {})},
        }


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Published]:
    needs("openssl")
    with revocation_lab(tmp_path, Published) as made:
        assert isinstance(made, Published)
        made.publish()
        yield made


@contextmanager
def s_client(lab: Published, pair: Pair, version: str, *more: str) -> Iterator[Any]:
    """``openssl s_client`` that presents a certificate and says OPTIONS."""
    host, port = lab.address()
    argv = [find("openssl"), "s_client", "-connect", f"{host}:{port}", "-servername", "sbc.example", "-quiet"]
    argv += ["-cert", str(pair.cert), "-key", str(pair.key), f"-tls{version.replace('.', '_')}", *more]
    pipes: Any = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(argv, **pipes)
    try:
        process.stdin.write(OPTIONS)
        process.stdin.flush()
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


class Sserver(PeerProcess):
    """``openssl s_server``, which may staple."""

    def __init__(self, directory: Path, pair: Pair, version: str, *more: str) -> None:
        self.port = free_port()
        argv = [find("openssl"), "s_server", "-accept", f"127.0.0.1:{self.port}", "-quiet"]
        argv += ["-cert", str(pair.cert), "-key", str(pair.key), f"-tls{version.replace('.', '_')}", *more]
        # Without a standard input that stays open it says goodbye at once.
        super().__init__("s_server", directory, argv, pipes=True)
        self._heard = b""

    def ready(self) -> None:
        """Wait until it listens."""
        self.wait_until(lambda: listening(self.port), 30, f"listening port {self.port}")

    def heard(self) -> bytes:
        """What was said to it."""
        out = self.process.stdout
        assert out is not None
        os.set_blocking(out.fileno(), False)
        with contextlib.suppress(BlockingIOError):
            self._heard += os.read(out.fileno(), 65536)
        return self._heard


def good(lab: Published, pair: Pair) -> None:
    pass


def revoked(lab: Published, pair: Pair) -> None:
    lab.ca_of_openssl.revoke(pair)


def unknown(lab: Published, pair: Pair) -> None:
    lab.ca_of_openssl.forget()


def down(lab: Published, pair: Pair) -> None:
    lab.web.close()


def wrong_signer(lab: Published, pair: Pair) -> None:
    other = OpensslCa(lab.directory / "other", "http://x/", "http://x/")
    lab.signer = other.own
    lab.web.pages["/list"] = lambda sock, _: sock.sendall(response(other.list()))


def stale(lab: Published, pair: Pair) -> None:
    assert isinstance(lab.clock, Later)
    lab.clock.ahead = 2 * 86400


def replayed(lab: Published, pair: Pair) -> None:
    lab.replay = lab.ca_of_openssl.issue("else.example")


# The method, what happens, what a hard and what a soft trunk says, and the reason.
CASES: dict[str, tuple[str, Prepare, str, str, str]] = {
    "crl good": ("crl", good, "", "", ""),
    "crl revoked": ("crl", revoked, "revoked", "revoked", "it is on the revocation list of CN=openssl CA"),
    "crl down": ("crl", down, "stale-revocation", "", "refused"),
    "crl wrong signer": ("crl", wrong_signer, "stale-revocation", "", "not signed by CN=openssl CA"),
    "crl stale": ("crl", stale, "stale-revocation", "", "out of date since"),
    "ocsp good": ("ocsp", good, "", "", ""),
    "ocsp revoked": ("ocsp", revoked, "revoked", "revoked", "its CA's responder says so"),
    "ocsp unknown": ("ocsp", unknown, "stale-revocation", "", "its CA's responder does not know it"),
    "ocsp down": ("ocsp", down, "stale-revocation", "", "refused"),
    "ocsp wrong signer": ("ocsp", wrong_signer, "stale-revocation", "", "sign"),
    "ocsp stale": ("ocsp", stale, "stale-revocation", "", "out of date since"),
    "ocsp replayed": ("ocsp", replayed, "stale-revocation", "", "about another certificate: a replay"),
}


def check(lab: Published, case: tuple[str, Prepare, str, str, str], mode: str) -> None:
    """What was refused, or let pass and told."""
    expected, reason = (case[2] if mode == "hard" else case[3]), case[4]
    failures = [each.failure for each in lab.recorder.failures]
    assert [each.kind for each in failures] == ([expected] if expected else [])
    if expected:
        assert reason.lower() in failures[0].detail.lower()
    else:
        passes = [each.found.reason for each in lab.told.passes]
        assert len(passes) == (1 if reason else 0) and all(reason.lower() in each.lower() for each in passes)


@pytest.mark.parametrize("mode", ["hard", "soft"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_inbound(lab: Published, name: str, version: str, mode: str) -> None:
    case = CASES[name]
    peer = lab.ca_of_openssl.issue("peer.example")
    case[1](lab, peer)
    lab.trunk("acme", lab.policy(mode, case[0]))
    lab.start()
    with s_client(lab, peer, version):
        until(lambda: lab.recorder.messages or lab.recorder.failures)
    check(lab, case, mode)


@pytest.mark.parametrize("mode", ["hard", "soft"])
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", CASES)
def test_outbound(lab: Published, name: str, version: str, mode: str) -> None:
    case = CASES[name]
    pair = lab.ca_of_openssl.issue("localhost")
    case[1](lab, pair)
    with Sserver(lab.directory, pair, version) as server:
        flow = dialled(lab, server, lab.policy(mode, case[0]))
        if flow is not None:
            flow.channel.send(OPTIONS)
            until(lambda: OPTIONS.strip() in server.heard().replace(b"\n", b"\r\n").replace(b"\r\r", b"\r"))
        else:
            gevent.sleep(0.1)
            assert b"OPTIONS" not in server.heard()
    check(lab, case, mode)


def dialled(lab: Published, server: Sserver, tls: dict[str, Any]) -> Flow | None:
    trunk = lab.trunk("acme", tls, peers=(f"localhost:{server.port}",))
    lab.start()
    try:
        return lab.dialer.connect(trunk, lab.reload())
    except DialFailed:
        return None


def test_a_delegated_responder_is_believed(lab: Published) -> None:
    peer = lab.ca_of_openssl.issue("peer.example")
    lab.signer = lab.ca_of_openssl.issue("responder", "responder")
    lab.trunk("acme", lab.policy("hard", "ocsp"))
    lab.start()
    with s_client(lab, peer, "1.3"):
        until(lambda: lab.recorder.messages)


@pytest.mark.parametrize("method", ["crl", "ocsp"])
@pytest.mark.parametrize("version", VERSIONS)
def test_a_revocation_ends_an_open_connection(lab: Published, version: str, method: str) -> None:
    peer = lab.ca_of_openssl.issue("peer.example")
    lab.settings["revocation"]["refresh"] = "0.3s"
    lab.trunk("acme", lab.policy("hard", method))
    lab.start()
    with s_client(lab, peer, version) as client:
        until(lambda: lab.recorder.messages)
        lab.ca_of_openssl.revoke(peer)
        assert client.wait(8) is not None
    assert "its certificate was revoked" in lab.recorder.closed[0][1]


# Stapling


def stapled(lab: Published, about: Pair) -> tuple[str, str]:
    """The arguments with which a server staples the answer of this moment."""
    path = lab.directory / "staple.der"
    path.write_bytes(lab.ca_of_openssl.answer(lab.ca_of_openssl.question(about), lab.signer))
    return "-status_file", str(path)


STAPLES: dict[str, tuple[Prepare, str, str]] = {
    "good": (good, "", ""),
    "revoked": (revoked, "revoked", "its CA's responder says so"),
    "unknown": (unknown, "stale-revocation", "the stapled answer says: unknown"),
    "stale": (stale, "stale-revocation", "out of date since"),
    "wrong signer": (wrong_signer, "stale-revocation", "signed"),
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", STAPLES)
def test_what_a_server_staples_is_judged(lab: Published, name: str, version: str) -> None:
    prepare, expected, reason = STAPLES[name]
    pair = lab.ca_of_openssl.issue("localhost", "stapled")
    prepare(lab, pair)
    with Sserver(lab.directory, pair, version, *stapled(lab, pair)) as server:
        assert (dialled(lab, server, lab.policy("hard", "staple")) is None) == bool(expected)
    failures = [each.failure for each in lab.recorder.failures]
    assert [each.kind for each in failures] == ([expected] if expected else [])
    assert all(reason in each.detail for each in failures)
    assert lab.web.asked == [], "the staple alone answered"
    if name == "revoked":
        assert lab.recorder.failures[0].alert_sent == 113


@pytest.mark.parametrize("version", VERSIONS)
def test_another_certificates_staple_is_a_replay(lab: Published, version: str) -> None:
    pair, other = lab.ca_of_openssl.issue("localhost", "stapled"), lab.ca_of_openssl.issue("else.example")
    with Sserver(lab.directory, pair, version, *stapled(lab, other)) as server:
        assert dialled(lab, server, lab.policy("soft", "staple")) is None
    assert "a replay" in lab.recorder.failures[0].failure.detail


@pytest.mark.parametrize("version", VERSIONS)
def test_a_certificate_that_promises_a_staple_needs_one(lab: Published, version: str) -> None:
    pair = lab.ca_of_openssl.issue("localhost", "stapled")
    with Sserver(lab.directory, pair, version) as server:
        assert dialled(lab, server, lab.policy("soft")) is None
    failure = lab.recorder.failures[0].failure
    assert failure.kind == "stale-revocation" and "demands a stapled OCSP answer" in failure.detail
    assert "OCSP stapling" in failure.remedy


@pytest.mark.parametrize("version", VERSIONS)
def test_our_own_certificate_carries_a_staple(lab: Published, version: str) -> None:
    own = lab.ca_of_openssl.issue("sbc.example")
    chain = own.cert.read_bytes() + lab.ca_of_openssl.own.cert.read_bytes()
    lab.identity("sbc", Issued(own.cert.read_bytes(), chain, own.key.read_bytes()))
    lab.trunk("acme", lab.policy("soft"))
    lab.start()
    until(lambda: lab.told.events("source-answers"))
    peer = lab.ca_of_openssl.issue("peer.example")
    host, port = lab.address()
    argv = [
        find("openssl"),
        "s_client",
        "-connect",
        f"{host}:{port}",
        "-servername",
        "sbc.example",
        "-status",
    ]
    argv += ["-cert", str(peer.cert), "-key", str(peer.key), "-CAfile", str(lab.ca_of_openssl.own.cert)]
    done: Any = subprocess.run(
        [*argv, f"-tls{version.replace('.', '_')}"], stdin=subprocess.DEVNULL, capture_output=True, timeout=10
    )
    text = done.stdout.decode()
    assert "OCSP Response Status: successful" in text and "Cert Status: good" in text
    assert "Verify return code: 0 (ok)" in text


def test_a_list_of_a_hundred_thousand_is_read_while_others_go_on(lab: Published) -> None:
    ca, turns = lab.ca_of_openssl, 0
    peer, gone = ca.issue("peer.example"), ca.issue("gone.example")
    ca.revoke_many(100_000)
    ca.revoke(gone)
    whole = ca.list()
    lab.web.pages["/list"] = lambda sock, _: sock.sendall(response(whole))
    lab.trunk("acme", lab.policy("hard", "crl"))
    lab.settings["revocation"]["wait"] = "20s"
    lab.settings["revocation"]["timeout"] = "20s"
    lab.start()

    def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            gevent.sleep(0.001)

    other = gevent.spawn(turn)
    with s_client(lab, peer, "1.3"):
        until(lambda: lab.recorder.messages)
    other.kill()
    assert len(whole) > 4_000_000 and turns > 20
    with s_client(lab, gone, "1.3"):
        until(lambda: lab.recorder.failures)
    assert lab.recorder.failures[0].failure.kind == "revoked" and lab.recorder.failures[0].alert_sent == 44


# A running SBC

SETTINGS = """\
listeners: {{tls: {{bind: "127.0.0.1:{port}", transport: tls}}}}
identities: {{own: {{chain: own.pem, key: own.key}}}}
trust: {{carrier: {{ca: ca/ca.pem, crl: "{url}"}}}}
revocation: {{allow_private: [127.0.0.0/8], refresh: 1s}}
"""
TRUNK = """\
trunk: carrier
sources: [127.0.0.1]
listener: tls
tls: {{server_identity: own, trust: [carrier], revocation: {{mode: {mode}}}}}
"""


def client_of(lab: Published, port: int, pair: Pair) -> str:
    """What ``openssl s_client`` meets when it says nothing and listens for a moment."""
    argv = [find("openssl"), "s_client", "-connect", f"127.0.0.1:{port}", "-quiet", "-ign_eof"]
    argv += ["-cert", str(pair.cert), "-key", str(pair.key)]
    process: Any = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        process.wait(0.7)
        return str(process.stderr.read().decode())
    except subprocess.TimeoutExpired:
        return "connected"
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stderr.close()


def test_a_running_sbc_asks_ahead_refuses_tells_and_remembers(lab: Published) -> None:
    ca, port, where = lab.ca_of_openssl, free_port(), lab.directory
    own, peer, gone = (ca.issue(name) for name in ("sbc.example", "peer.example", "gone.example"))
    ca.revoke(gone)
    for file, data in {"own.pem": own.cert, "own.key": own.key}.items():
        (where / file).write_bytes(data.read_bytes())
    (where / "trunks.d").mkdir()
    (where / "sbc.yaml").write_text(SETTINGS.format(port=port, url=lab.web.url("/list")))
    (where / "trunks.d/carrier.yaml").write_text(TRUNK.format(mode="hard"))
    with Portcullis("sbc", where, tcp=[port]) as sbc:
        until(lambda: "event=source-answers" in sbc.log.read_text())
        assert client_of(lab, port, peer) == "connected"
        assert "alert certificate revoked" in client_of(lab, port, gone)
        status = status_of(lab)
        assert ("crl", lab.web.url("/list"), "") in {
            (each["kind"], each["source"], each["problem"]) for each in status["revocation"]
        }
    lab.web.close()
    with Portcullis("sbc", where, tcp=[port]) as sbc:
        assert client_of(lab, port, peer) == "connected", "the list was kept"
        assert "alert certificate revoked" in client_of(lab, port, gone)
    for saved in (*(where / "run").glob("crl-*"), *(where / "run").glob("state.db*")):
        saved.unlink()
    (where / "trunks.d/carrier.yaml").write_text(TRUNK.format(mode="soft"))
    with Portcullis("sbc", where, tcp=[port]) as sbc:
        assert client_of(lab, port, peer) == "connected"
        (trunk,) = status_of(lab)["trunks"]
        assert (trunk["revocation"], trunk["soft_passes"]) == ("soft", [["unanswered", 1]])
        assert "event=soft-pass trunk=carrier" in sbc.log.read_text()


def status_of(lab: Published) -> Any:
    """``sbc status --json``."""
    argv = command("status", "--json", "-c", str(lab.directory))
    done: Any = subprocess.run(argv, capture_output=True, timeout=20)
    return json.loads(done.stdout)
