"""What revocation costs: a handshake with the whole policy beside one without, and reading a long list.

The policy: a CA, obligatory names, that CA's list of a hundred thousand entries in a file, and an OCSP answer
fetched and kept, on a hard trunk. Both servers run with the same certificates, interleaved. How long
nobody else runs while the list is read is measured by a greenlet that does nothing but wake.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import gevent
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from bench.handshake import client_context, cost_of
from bench.measure import LOAD_CORE, SERVER_CORE, on_core, resident_bytes
from bench.report import Row
from sbc.base import LocalError
from sbc.net.revocation.sources import read_off_hub
from sbc.tls.revocation.issuer import read_issuer
from tests.peers.lab import Credentials
from tests.peers.openssl_ca import OpensslCa
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_port

ENTRIES = 100_000
_NAME = "server.lab.example"
_SETTINGS = """\
listeners: {{trunk-tls: {{bind: "127.0.0.1:{port}", transport: tls}}}}
identities: {{own: {{chain: tls/own.pem, key: tls/own.key}}}}
trust: {{lab: {{ca: tls/ca.pem, crl: {crl}}}}}
revocation: {{allow_private: [127.0.0.0/8]}}
"""
_TRUNK = """\
trunk: caller
sources: [127.0.0.1]
listener: trunk-tls
tls: {{server_identity: own, trust: [lab], {policy}}}
srtp: accept
"""
_POLICIES = {
    "without": ("[]", "revocation: {mode: off}"),
    "with": ("tls/list.crl", "names: [caller.lab.example], revocation: {mode: hard, methods: [crl, ocsp]}"),
}


@contextmanager
def _responder(port: int, answer: bytes) -> Iterator[list[int]]:
    """Gives one OCSP answer to whoever asks on loopback; yields about whom."""
    asked: list[int] = []

    class Responder(BaseHTTPRequestHandler):
        """One request."""

        def do_POST(self) -> None:
            """Answer it."""
            request = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(ocsp.load_der_ocsp_request(request).serial_number)
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", port), Responder)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield asked
    finally:
        server.shutdown()
        server.server_close()


def policies(count: int = 500, runs: int = 3, entries: int = ENTRIES) -> list[Row]:
    """Interleave ``runs`` runs of ``count`` handshakes for each policy; LocalError where OCSP has no part."""
    costs: dict[str, list[float]] = {name: [] for name in _POLICIES}
    with TemporaryDirectory(prefix="bench-") as root:
        port = free_port()
        ca = OpensslCa(Path(root, "ca"), "http://127.0.0.1/", f"http://127.0.0.1:{port}/answers")
        own, peer = ca.issue(_NAME), ca.issue("caller.lab.example")
        answer = ca.answer(ca.question(peer))
        serial = x509.load_pem_x509_certificate(peer.cert.read_bytes()).serial_number
        ca.revoke_many(entries)
        files = {"own.pem": own.cert.read_bytes(), "own.key": own.key.read_bytes()}
        files |= {"ca.pem": ca.own.cert.read_bytes(), "list.crl": ca.list()}
        caller = Credentials("caller", peer.cert, peer.key, ca.own.cert)
        with _responder(port, answer) as asked:
            for number in range(runs):
                for name in _POLICIES:
                    where = Path(root, f"{name}-{number}")
                    (where / "tls").mkdir(parents=True)
                    for file, data in files.items():
                        (where / "tls" / file).write_bytes(data)
                    costs[name].append(_measure(where, name, caller, count) * 1e6)
    times = asked.count(serial)
    if times != runs:
        raise LocalError(f"the responder was asked {times} times in {runs} runs: not the whole policy")
    work = f"TLS 1.3 handshake, mutual, revocation ({entries:,} entries, OCSP)"
    return [Row(work, name, tuple(each), "us CPU") for name, each in costs.items()]


def _measure(where: Path, name: str, caller: Credentials, count: int) -> float:
    port, (crl, policy) = free_port(), _POLICIES[name]
    (where / "trunks.d").mkdir()
    (where / "sbc.yaml").write_text(_SETTINGS.format(port=port, crl=crl))
    (where / "trunks.d" / "caller.yaml").write_text(_TRUNK.format(policy=policy))
    context = client_context(caller)
    with Portcullis("portcullis", where, tcp=[port], cpu=SERVER_CORE) as server, on_core(LOAD_CORE):
        return cost_of(server, context, port, count)


def reading(runs: int = 3, entries: int = ENTRIES) -> list[Row]:
    """Read a long list off the hub: how long it takes, and how long at most nobody else runs."""
    took, stopped, idle, memory = list[float](), list[float](), list[float](), list[float]()
    with TemporaryDirectory(prefix="bench-") as root:
        ca = OpensslCa(Path(root, "ca"), "http://x/", "http://x/")
        ca.revoke_many(entries)
        data = ca.list()
        certificate = x509.load_pem_x509_certificate(ca.own.cert.read_bytes())
        issuer = read_issuer(certificate.public_bytes(Encoding.DER))
        kept = []
        for _ in range(runs):
            before = resident_bytes(_session())
            with _longest_stop(stopped):
                began = time.perf_counter()
                kept.append(read_off_hub(data, (issuer,), time.time()))
                took.append((time.perf_counter() - began) * 1e3)
            memory.append((resident_bytes(_session()) - before) / 2**20)
            with _longest_stop(idle):
                gevent.sleep(took[-1] / 1e3)
    note = f"{len(data) / 2**20:.1f} MB"
    return [
        Row(f"read a list of {entries:,} entries", "in the thread pool", tuple(took), "ms", note),
        Row("longest stop of the others meanwhile", "nothing is read", tuple(idle), "ms"),
        Row("longest stop of the others meanwhile", "the list is read", tuple(stopped), "ms"),
        Row("memory of the list", "set of serial numbers", tuple(memory), "MB"),
    ]


@contextmanager
def _longest_stop(stops: list[float]) -> Iterator[None]:
    longest, running = 0.0, True

    def wake() -> None:
        nonlocal longest
        while running:
            began = time.perf_counter()
            gevent.sleep(0.001)
            longest = max(longest, time.perf_counter() - began - 0.001)

    waker = gevent.spawn(wake)
    gevent.sleep(0.05)
    longest = 0.0
    yield
    running = False
    waker.join()
    stops.append(longest * 1e3)


def _session() -> int:
    return os.getsid(0)
