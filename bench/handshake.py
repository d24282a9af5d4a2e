"""Server CPU per full mutual-TLS 1.3 handshake: connect, handshake, say nothing, close.

The same clients drive both servers with the same certificates. Neither resumes: each connection
is a client's first. ``s_server`` runs as it comes, and sends the two session tickets that OpenSSL's servers
send by default; Portcullis sends none.

Eight clients at once keep the server busy. With one, it sleeps several times in each handshake, and half
of what is measured is waking up with cold caches; both are measured, for both are an SBC's life.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import ssl
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measure import LOAD_CORE, SERVER_CORE, cpu_seconds, on_core
from bench.report import Row
from bench.servers import NAME, portcullis
from sbc.demo.pki import KeyKind
from tests.peers.lab import Credentials, Lab
from tests.peers.ports import free_port
from tests.peers.process import PeerProcess, find, listening

_KEYS: dict[KeyKind, str] = {"ec": "EC P-256", "rsa": "RSA-2048"}
_CLIENTS = (8, 1)


class OpensslServer(PeerProcess):
    """``openssl s_server`` that demands a certificate and verifies it."""

    def __init__(self, directory: Path, own: Credentials, port: int) -> None:
        self.port = port
        argv = [find("openssl"), "s_server", "-accept", f"127.0.0.1:{port}", "-quiet", "-verify_quiet"]
        argv += ["-cert", str(own.cert), "-key", str(own.key), "-CAfile", str(own.ca), "-tls1_3"]
        argv += ["-Verify", "4", "-verify_return_error"]
        super().__init__("s_server", directory, argv, cpu=SERVER_CORE)

    def ready(self) -> None:
        """Wait until it listens."""
        self.wait_until(lambda: listening(self.port), 30, f"listening port {self.port}")


def _openssl(directory: Path, lab: Lab, port: int) -> PeerProcess:
    return OpensslServer(directory, lab.issue(NAME), port)


def _portcullis(directory: Path, lab: Lab, port: int) -> PeerProcess:
    return portcullis(directory, lab, port, free_port())


HandshakeServer = Callable[[Path, Lab, int], PeerProcess]
_SERVERS: dict[str, HandshakeServer] = {
    "openssl s_server": _openssl,
    "portcullis": _portcullis,
}


def handshakes(
    who: Sequence[str] = tuple(_SERVERS),
    kinds: Sequence[KeyKind] = ("ec", "rsa"),
    count: int = 500,
    runs: int = 3,
) -> list[Row]:
    """Interleave ``runs`` runs of ``count`` handshakes for each server, kind of key and number of clients."""
    rows = []
    for kind, clients in itertools.product(kinds, _CLIENTS):
        costs: dict[str, list[float]] = {name: [] for name in who}
        for _ in range(runs):
            for name in who:
                costs[name].append(measure(name, kind, count, clients) * 1e6)
        work = f"TLS 1.3 handshake, mutual, {_KEYS[kind]}, {clients} at once"
        rows += [Row(work, name, tuple(each), "us CPU") for name, each in costs.items()]
    return rows


def measure(name: str, kind: KeyKind, count: int, clients: int = 1) -> float:
    """CPU seconds of a fresh server for each of ``count`` handshakes of so many ``clients`` at once."""
    return measure_server(_SERVERS[name], kind, count, clients)


def measure_server(make: HandshakeServer, kind: KeyKind, count: int, clients: int) -> float:
    """The same for the server that ``make`` makes."""
    with TemporaryDirectory(prefix="bench-") as root:
        lab, port = Lab(Path(root, "tls"), kind), free_port()
        context = client_context(lab.issue("caller"))
        with make(Path(root, "server"), lab, port) as server, on_core(LOAD_CORE):
            return cost_of(server, context, port, count, clients)


def cost_of(server: PeerProcess, context: ssl.SSLContext, port: int, count: int, clients: int = 1) -> float:
    """CPU seconds of a running server for each of ``count`` handshakes, after a few that do not count."""
    with ThreadPoolExecutor(clients) as pool:
        _shake_all(pool, context, port, 10 * clients)
        before = cpu_seconds(server.pid)
        _shake_all(pool, context, port, count)
        return (cpu_seconds(server.pid) - before) / count


def _shake_all(pool: ThreadPoolExecutor, context: ssl.SSLContext, port: int, count: int) -> None:
    for _ in pool.map(lambda _: shake(context, port), range(count)):
        pass  # one that failed raises here


def client_context(own: Credentials) -> ssl.SSLContext:
    """A client of TLS 1.3 that presents ``own`` and verifies the server."""
    context = ssl.create_default_context(cafile=str(own.ca))
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(own.cert, own.key)
    return context


def shake(context: ssl.SSLContext, port: int) -> None:
    """One handshake, closed in order: that the server ends its side proves that it has finished too."""
    with socket.create_connection(("127.0.0.1", port), 5) as plain:
        with context.wrap_socket(plain, server_hostname=f"{NAME}.lab.example") as secured:
            with contextlib.suppress(ssl.SSLEOFError):
                secured.unwrap()
