"""A lab for the edge tests: our listeners and dialer, and peers made of Python's ssl, in one process.

The peers use the interpreter's own OpenSSL through ``gevent.ssl``, so that what one side
believes of a handshake is held against another implementation's view.
"""

from __future__ import annotations

import time
from base64 import encodebytes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from gevent import socket, ssl
from gevent.server import StreamServer

from sbc.base import Address
from sbc.config.model import Identity, Listener, Settings, Tenant, Trunk, TrustAnchor
from sbc.config.snapshot import Snapshot
from sbc.demo.pki import Issued, LabAuthority
from sbc.flow import Flow
from sbc.net.system.clock import Clock
from sbc.net.tls.contexts import Contexts
from sbc.net.transport.dialer import Dialer
from sbc.net.transport.listener import Listeners
from sbc.net.transport.refusals import Gate
from sbc.observe.traffic import Tally
from sbc.sip.message import Message
from sbc.sip.parse import ParseError
from sbc.tls.events import Admitted, Handshake, HandshakeFailed, Unreached
from sbc.tls.failure import ALERTS, Failure
from sbc.tls.material.anchors import AnchorMaterial, load_anchor
from sbc.tls.material.identity import IdentityMaterial, load_identity
from sbc.tls.revocation.files import FileList, load_lists
from tests.edge.no_names import no_names

OPTIONS = (
    b"OPTIONS sip:sbc.example SIP/2.0\r\nVia: SIP/2.0/TLS peer.example;branch=z9hG4bK1\r\n"
    b"From: <sip:a@peer.example>;tag=1\r\nTo: <sip:sbc.example>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\n"
    b"Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
)
OK = b"SIP/2.0 200 OK\r\n\r\n"
VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
NO_RULES: Any = None


class Recorder:
    """A handler that writes down what it is told; ``answer`` is sent back for each message."""

    def __init__(self) -> None:
        self.messages: list[tuple[Flow, Message]] = []
        self.malformed: list[tuple[Flow, ParseError]] = []
        self.opened: list[Flow] = []
        self.closed: list[tuple[Flow, str]] = []
        self.handshakes: list[Handshake] = []
        self.failures: list[HandshakeFailed] = []
        self.unreached: list[Unreached] = []
        self.asked: list[Admitted] = []
        self.against: Failure | None = None
        self.refused: list[tuple[str, Address, str]] = []
        self.floods: list[Flow] = []
        self.answer: bytes = b""
        self.busy_flows: set[int] = set()
        self.in_use_asked = 0

    def on_message(self, flow: Flow, message: Message) -> None:
        self.messages.append((flow, message))
        if self.answer:
            flow.channel.send(self.answer)

    def on_malformed(self, flow: Flow, error: ParseError) -> None:
        self.malformed.append((flow, error))
        flow.channel.send(b"SIP/2.0 400 Bad Request\r\n\r\n")

    def on_open(self, flow: Flow) -> None:
        self.opened.append(flow)

    def on_close(self, flow: Flow, reason: str) -> None:
        self.closed.append((flow, reason))

    def objection(self, asked: Admitted) -> Failure | None:
        self.asked.append(asked)
        return self.against

    def on_handshake(self, event: Handshake) -> None:
        self.handshakes.append(event)

    def on_handshake_failed(self, event: HandshakeFailed) -> None:
        self.failures.append(event)

    def on_unreached(self, event: Unreached) -> None:
        self.unreached.append(event)

    def busy(self, flow: Flow) -> bool:
        return flow.id in self.busy_flows

    def in_use(self) -> list[Flow]:
        self.in_use_asked += 1
        return [flow for flow, _ in self.messages if flow.id in self.busy_flows]

    def on_refused(self, listener: str, address: Address, reason: str) -> None:
        self.refused.append((listener, address, reason))

    def on_flood(self, flow: Flow) -> None:
        self.floods.append(flow)

    @property
    def heard_nothing(self) -> bool:
        """True where no flow was opened and no byte of SIP was looked at."""
        return not (self.messages or self.malformed or self.opened)


class Lab:
    """A directory of keys and a running edge; everything is closed by ``close``."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.ca = LabAuthority("good CA")
        self.other_ca = LabAuthority("other CA")
        self.identities: dict[str, IdentityMaterial] = {}
        self.anchors: dict[str, AnchorMaterial] = {}
        self.lists: dict[str, tuple[FileList, ...]] = {}
        self.settings: dict[str, Any] = {"listeners": {}, "tenants": {}}
        self.trunks: dict[str, Trunk] = {}
        self.recorder = Recorder()
        self.clock = Clock()
        self.gate: Gate | None = None
        self.anchor("good", self.ca)
        self.identity("sbc", self.ca.issue(dns=["sbc.example", "localhost"]))
        self.listeners: Listeners
        self.dialer: Dialer

    def write(self, name: str, data: bytes) -> str:
        (self.directory / name).write_bytes(data)
        return name

    def identity(self, name: str, issued: Issued) -> None:
        files = Identity(
            chain=self.write(name + ".pem", issued.chain_pem), key=self.write(name + ".key", issued.key_pem)
        )
        material, problems = load_identity(name, files, self.directory, time.time())
        assert material is not None, problems
        self.identities[name] = material

    def anchor(self, name: str, authority: LabAuthority, **options: Any) -> None:
        self.anchor_file(name, ca=self.write(name + "-ca.pem", authority.cert_pem), **options)

    def anchor_file(self, name: str, **options: Any) -> None:
        entry = TrustAnchor(**options)
        material, problems = load_anchor(name, entry, self.directory, time.time())
        assert material is not None, problems
        self.anchors[name] = material
        self.lists[name], _ = load_lists(name, entry.crl, material.certificates, self.directory, time.time())

    def listener(self, name: str, transport: str = "tls", **options: Any) -> None:
        options.setdefault("bind", "127.0.0.1:0")
        self.settings["listeners"][name] = Listener.model_validate({"transport": transport, **options})

    def tenant(self, name: str, *domains: str, identity: str = "sbc") -> None:
        self.settings["tenants"][name] = Tenant(domains=domains, server_identity=identity)

    def trunk(self, name: str, tls: dict[str, Any] | None = None, **options: Any) -> Trunk:
        options.setdefault("listener", "tls")
        options.setdefault("sources", ("127.0.0.1",))
        if tls is not None:
            tls = {"server_identity": "sbc", "client_identity": "sbc", "trust": ("good",), **tls}
        self.trunks[name] = Trunk.model_validate({"trunk": name, "tls": tls, **options})
        return self.trunks[name]

    def snapshot(self) -> Snapshot:
        settings = Settings(**self.settings)
        return Snapshot(
            "000000000000",
            self.directory,
            settings,
            self.trunks,
            NO_RULES,
            identities=self.identities,
            anchors=self.anchors,
            lists=self.lists,
        )

    def start(self) -> None:
        snapshot = self.snapshot()
        self.listeners = Listeners(
            snapshot, Contexts(snapshot), self.recorder, self.clock, Tally(), self.gate
        )
        self.listeners.start()
        self.dialer = Dialer(self.listeners, self.recorder, self.clock, no_names(self.clock))
        self.dialer.start()

    def reload(self) -> Snapshot:
        snapshot = self.snapshot()
        self.listeners.apply(snapshot)
        self.dialer.apply(snapshot)
        return snapshot

    def address(self, listener: str = "tls") -> tuple[str, int]:
        return self.listeners.address(listener)

    def close(self) -> None:
        if hasattr(self, "listeners"):
            self.dialer.close()
            self.listeners.close()
            gevent.sleep(0.01)


def forged_key(certificate_pem: bytes) -> bytes:
    """A P-256 key file that claims a certificate's public key with a private scalar that is not its own.

    OpenSSL compares the public halves at load and signs with the private one, so this is a
    peer that shows a certificate without holding its key (RFC 5915 gives the encoding).
    """
    public = x509.load_pem_x509_certificate(certificate_pem).public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    scalar = ec.generate_private_key(ec.SECP256R1()).private_numbers().private_value.to_bytes(32, "big")
    curve = bytes.fromhex("a00a06082a8648ce3d030107")
    bits = b"\x03" + bytes([len(point) + 1, 0]) + point
    body = b"\x02\x01\x01\x04\x20" + scalar + curve + b"\xa1" + bytes([len(bits)]) + bits
    der = b"\x30" + bytes([len(body)]) + body
    return b"-----BEGIN EC PRIVATE KEY-----\n" + encodebytes(der) + b"-----END EC PRIVATE KEY-----\n"


def client_context(
    lab: Lab, issued: Issued | None, version: str | None = None, key_pem: bytes | None = None
) -> Any:
    """A client that trusts anybody and shows ``issued``, on one TLS version where given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    if issued is not None:
        _load(lab, context, issued, key_pem)
    return context


def server_context(
    lab: Lab, issued: Issued | None, version: str | None = None, key_pem: bytes | None = None,
    demand: LabAuthority | None = None,
) -> Any:  # fmt: skip
    """A server that shows ``issued``; with ``demand`` it wants a client certificate of that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if version is not None:
        context.minimum_version = context.maximum_version = VERSIONS[version]
    if issued is not None:
        _load(lab, context, issued, key_pem)
    if demand is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=demand.cert_pem.decode())
    return context


def alert_seen(error: Exception | None) -> int | None:
    """The alert that a peer made of Python's ssl met in ``error``; None where it was none."""
    reason = getattr(error, "reason", None) or ""
    found = [number for number, name in ALERTS.items() if reason.endswith("ALERT_" + name.upper())]
    return found[0] if found else None


def _load(lab: Lab, context: Any, issued: Issued, key_pem: bytes | None) -> None:
    chain = lab.directory / lab.write("peer.pem", issued.chain_pem)
    key = lab.directory / lab.write("peer.key", key_pem if key_pem is not None else issued.key_pem)
    context.load_cert_chain(chain, key)


def try_options(
    address: tuple[str, int], context: Any, sni: str | None = "sbc.example", source: str = "127.0.0.1"
) -> Exception | None:
    """Connect, send OPTIONS at once and read an answer; returns the error that this met, if any."""
    sock = socket.create_connection(address, 3, (source, 0))
    sock.settimeout(3)
    try:
        with context.wrap_socket(sock, server_hostname=sni) as secured:
            secured.sendall(OPTIONS)
            if not secured.recv(4096):
                return ConnectionError("closed")
    except OSError as error:
        return error
    finally:
        sock.close()
    return None


class Server:
    """A TLS server for the dialer to reach; ``heard`` is all plaintext it was sent, ``says`` its answer."""

    def __init__(self, context: Any) -> None:
        self.heard = b""
        self.says = b""
        self.errors: list[OSError] = []
        self.handshakes = 0
        self.sni: list[str | None] = []
        self._context = context
        context.sni_callback = lambda _sock, name, _context: self.sni.append(name)
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def _serve(self, sock: Any, _peer: object) -> None:
        try:
            secured = self._context.wrap_socket(sock, server_side=True)
            self.handshakes += 1
            while data := secured.recv(4096):
                self.heard += data
                if self.says:
                    secured.sendall(self.says)
        except OSError as error:
            self.errors.append(error)

    def close(self) -> None:
        self._server.stop(timeout=0.1)


@contextmanager
def serving(context: Any) -> Iterator[Server]:
    """A Server for the length of a block."""
    server = Server(context)
    try:
        yield server
    finally:
        server.close()
