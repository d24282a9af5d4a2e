"""A running SBC and two peers on one port, each with an authority and a truststore of its own.

The peers are Python's ssl: they verify us as a carrier's SBC would, call in from 127.0.0.2 and
127.0.0.3, and are dialled, since the SBC probes them with OPTIONS.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
from gevent import socket, ssl
from gevent.server import StreamServer

from sbc.base import Address
from sbc.demo.lab import SBC_NAME
from sbc.demo.pki import Issued, LabAuthority
from sbc.demo.process import whole_lines
from sbc.sip.message import Request, response_to, serialize
from sbc.sip.stream import MessageStream
from sbc.tls.material.certificate import thumbprint_of
from tests.edge.sbc_command import Outcome, sbc
from tests.edge.tls_lab import OPTIONS
from tests.peers.asking import ask
from tests.peers.faults import Sbc
from tests.peers.ports import free_ports
from tests.peers.waiting import PATIENCE

SOURCES = {"first": "127.0.0.2", "second": "127.0.0.3"}
_SETTINGS = """\
listeners:
  tls: {{bind: 127.0.0.1:{port}, transport: tls}}
identities:
  sbc: {{chain: tls/sbc.pem, key: tls/sbc.key}}
trust:
  first-ca: {{ca: tls/first-ca.pem}}
  second-ca: {{ca: tls/second-ca.pem}}
admin: {{bind: 127.0.0.1:{admin}}}
"""
_TRUNK = """\
trunk: {name}
peers: [127.0.0.1:{port}]
sources: [{source}]
listener: tls
tls: {{server_identity: sbc, client_identity: sbc, trust: [{name}-ca], names: [{name}.example]}}
options: {{every: 200ms}}
"""
_ROUTES = "rules:\n  - name: all\n    when: true\n    then: reject 404\n"


class Peer:
    """One trunk's other side; ``certificate`` and ``accepts`` may be exchanged while it runs."""

    def __init__(self, name: str, directory: Path, accepts: bytes) -> None:
        self.name = name
        self.directory = directory
        self.authority = LabAuthority(f"{name} CA")
        self.certificate = self.issue()
        self.accepts = accepts
        self.shown: list[str] = []
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()

    @property
    def port(self) -> int:
        """Where it is dialled."""
        return int(self._server.server_port)

    def issue(self, authority: LabAuthority | None = None) -> Issued:
        """A certificate of its own, of ``authority`` or of the one that it has."""
        return (authority or self.authority).issue(dns=[f"{self.name}.example"], ips=["127.0.0.1"])

    def context(self, server: bool) -> Any:
        """What it shows and accepts now."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cadata=self.accepts.decode())
        context.verify_mode = ssl.CERT_REQUIRED
        chain, key = self.directory / f"{self.name}.pem", self.directory / f"{self.name}.key"
        chain.write_bytes(self.certificate.chain_pem)
        key.write_bytes(self.certificate.key_pem)
        context.load_cert_chain(chain, key)
        return context

    def call_in(self, address: Address) -> Any:
        """A connection to the SBC, from its own address, verified, with one OPTIONS answered."""
        plain = socket.create_connection(address, 3, source_address=(SOURCES[self.name], 0))
        secured = self.context(server=False).wrap_socket(plain, server_hostname=SBC_NAME)
        secured.settimeout(3)
        secured.sendall(OPTIONS)
        assert secured.recv(4096).startswith(b"SIP/2.0 200")
        return secured

    def _serve(self, sock: Any, _peer: object) -> None:
        with contextlib.suppress(OSError):
            secured = self.context(server=True).wrap_socket(sock, server_side=True)
            self.shown.append(shown(secured))
            stream = MessageStream()
            while data := secured.recv(4096):
                for message in stream.feed(data):
                    if isinstance(message, Request):
                        secured.sendall(serialize(response_to(message, 200, "OK", "tag")))

    def close(self) -> None:
        """No longer to be dialled."""
        self._server.stop(timeout=0.1)


class RotationLab:
    """The SBC, its directory and the two peers."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tls = directory / "tls"
        for name in ("tls", "trunks.d", "routes.d", "peers"):
            (directory / name).mkdir()
        self.authority = LabAuthority("our CA")
        self.new_authority = LabAuthority("our next CA")
        self.own = self.authority.issue(dns=[SBC_NAME])
        self.next = self.new_authority.issue(dns=[SBC_NAME])
        both = self.authority.cert_pem + self.new_authority.cert_pem
        self.first, self.second = (Peer(name, directory / "peers", both) for name in SOURCES)
        port, admin = free_ports(2)
        self.address = Address("127.0.0.1", port)
        self._admin = Address("127.0.0.1", admin)
        self._write()
        self.start()

    def _write(self) -> None:
        settings = _SETTINGS.format(port=self.address.port, admin=self._admin.port)
        (self.directory / "sbc.yaml").write_text(settings)
        (self.directory / "routes.d" / "10.yaml").write_text(_ROUTES)
        put(self.tls / "sbc", self.own)
        for peer in (self.first, self.second):
            (self.tls / f"{peer.name}-ca.pem").write_bytes(peer.authority.cert_pem)
            text = _TRUNK.format(name=peer.name, port=peer.port, source=SOURCES[peer.name])
            (self.directory / "trunks.d" / f"{peer.name}.yaml").write_text(text)

    def start(self) -> None:
        """Start the SBC."""
        self.sbc = Sbc(self.directory, self._admin)
        self.sbc.wait_ready()

    def kill(self) -> None:
        """End the SBC at once, as a power cut does."""
        self.sbc._process.kill()
        self.sbc._process.wait()

    def close(self) -> int:
        """Stop everything; the exit status of the SBC."""
        for peer in (self.first, self.second):
            peer.close()
        return self.sbc.stop()

    def certs(self, *words: str) -> Outcome:
        """``sbc certs WORDS``."""
        return sbc(self.directory, "certs", *words)

    def good(self, *words: str) -> str:
        """The same, which must succeed; what it printed."""
        done = self.certs(*words)
        assert done.status == 0, done
        return done.out

    def stage(self, issued: Issued | None = None) -> str:
        """Stage our next certificate by the command."""
        put(self.directory / "given", issued or self.next)
        chain, key = (str(self.directory / f"given.{end}") for end in ("pem", "key"))
        return self.good("stage", "sbc", "--chain", chain, "--key", key)

    def states(self, name: str) -> dict[str, str]:
        """How far each trunk is, by ``sbc certs ready``."""
        found = json.loads(self.good("ready", name, "--json"))
        return {each["trunk"]: each["state"] for each in found["trunks"]}

    def status(self) -> dict[str, Any]:
        """The SBC's own picture."""
        found: dict[str, Any] = ask(self.directory / "run" / "sbc.sock", "status")
        return found

    def seen_by(self, peer: Peer) -> str:
        """Which of our certificates a peer that calls in is shown: ``own``, ``next`` or another."""
        with contextlib.closing(peer.call_in(self.address)) as secured:
            return self.called(shown(secured))

    def dialled(self, peer: Peer) -> str:
        """Which of our certificates a peer was shown that we dialled last; "" before the first time."""
        return self.called(peer.shown[-1]) if peer.shown else ""

    def called(self, thumbprint: str) -> str:
        """The name that a test has for a certificate."""
        names = {print_of(self.own): "own", print_of(self.next): "next"}
        return names.get(thumbprint, thumbprint)

    def journal(self, tag: str) -> list[str]:
        """The lines of the journal with ``tag``."""
        return [line for line in whole_lines(self.sbc.log).splitlines() if tag in line]


def put(stem: Path, issued: Issued, ending: str = "") -> None:
    """Write a chain and its key, the chain first."""
    for end, data in (("pem", issued.chain_pem), ("key", issued.key_pem)):
        stem.with_name(f"{stem.name}.{end}{ending}").write_bytes(data)


def shown(secured: Any) -> str:
    """The thumbprint of what the other side of a connection showed."""
    return thumbprint_of(secured.getpeercert(binary_form=True))


def print_of(issued: Issued) -> str:
    """The thumbprint of an issued leaf."""
    return thumbprint_of(ssl.PEM_cert_to_DER_cert(issued.cert_pem.decode()))


def closes(secured: Any, within: float = PATIENCE) -> bool:
    """Whether the SBC ends a connection in time."""
    secured.settimeout(within)
    try:
        return bool(secured.recv(4096) == b"")
    except TimeoutError:
        return False


@contextlib.contextmanager
def running(directory: Path) -> Iterator[RotationLab]:
    """A lab for the length of a block, whose SBC must end well."""
    lab = RotationLab(directory)
    try:
        yield lab
    finally:
        status = lab.close()
    assert status == 0, lab.sbc.log.read_text()[-3000:]
    gevent.sleep(0)
