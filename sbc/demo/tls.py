"""Mutual TLS for the demo's agents: a blocking stream for greenlets over pyOpenSSL.

It shares no socket code with the SBC's own TLS on purpose: what one side believes of the handshake can
then be held against what the other believes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import gevent
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from gevent import socket
from OpenSSL import SSL

from sbc.base import Address
from sbc.flow import PeerIdentity, TlsFacts
from sbc.tls.failure import alert_name
from sbc.tls.material.certificate import read_certificate

READ_SIZE = 65536
HANDSHAKE_LIMIT = 10.0  # seconds


@dataclass(frozen=True, slots=True)
class Credentials:
    """An agent's certificate chain and key, PEM files."""

    chain: Path
    key: Path


class Refused(Exception):
    """The handshake failed, or the peer rejected it later; ``alert`` is its name, "" where none came."""

    def __init__(self, reason: str, alert: str = "") -> None:
        super().__init__(f"{reason} ({alert})" if alert else reason)
        self.alert = alert


class TlsStream:
    """One TLS connection; ``recv`` gives b"" at the end, ``Refused`` where the peer said no."""

    def __init__(self, sock: Any, connection: SSL.Connection) -> None:
        self._sock = sock
        self._connection = connection
        self.local = Address(*sock.getsockname()[:2])
        self.remote = Address(*sock.getpeername()[:2])
        self.alert = ""

    def handshake(self) -> None:
        """Shake hands within HANDSHAKE_LIMIT seconds; raises Refused."""
        try:
            with gevent.Timeout(HANDSHAKE_LIMIT):
                self._until_done(self._connection.do_handshake)
        except gevent.Timeout:
            self.close()
            raise Refused("the handshake took too long") from None
        except (SSL.Error, OSError) as error:
            self.close()
            raise Refused("the handshake failed", self.alert or str(error)) from None

    def recv(self) -> bytes:
        """The next bytes; b"" once the peer has closed."""
        try:
            received: bytes = self._until_done(partial(self._connection.recv, READ_SIZE))
        except SSL.ZeroReturnError:
            return b""
        except (SSL.Error, OSError):
            if self.alert and self.alert != "close_notify":
                raise Refused("the peer ended the connection", self.alert) from None
            return b""
        return received

    def send(self, data: bytes) -> None:
        """Send all of ``data``; a broken connection shows itself at ``recv``."""
        try:
            while data:
                data = data[self._until_done(partial(self._connection.send, data)) :]
        except (SSL.Error, OSError):
            return

    def close(self) -> None:
        """Say goodbye and close."""
        try:
            self._connection.shutdown()
        except (SSL.Error, OSError):
            self.alert = self.alert or "close_notify"
        self._sock.close()

    def facts(self) -> TlsFacts:
        """What the handshake agreed, and who the peer's certificate says it is."""
        connection = self._connection
        return TlsFacts(
            connection.get_protocol_version_name(),
            connection.get_cipher_name() or "",
            connection.get_group_name() or "",
            "",
            "",
            _identity(connection.get_peer_certificate(as_cryptography=True)),
        )

    def on_info(self, where: int, value: int) -> None:
        """Remember the last fatal or warning alert that was received."""
        if where & SSL.SSL_CB_ALERT and where & SSL.SSL_CB_READ:
            self.alert = alert_name(value & 0xFF)

    def _until_done(self, step: Callable[[], Any]) -> Any:
        while True:
            try:
                return step()
            except SSL.WantReadError:
                socket.wait_read(self._sock.fileno())
            except SSL.WantWriteError:
                socket.wait_write(self._sock.fileno())


def connect(
    server: Address, name: str, trust: Path, credentials: Credentials | None, local_host: str = ""
) -> TlsStream:
    """Connect to ``server`` and insist that its certificate names ``name``; raises Refused."""
    source = (local_host, 0) if local_host else None
    try:
        sock = socket.create_connection((server.host, server.port), timeout=5, source_address=source)
    except OSError as error:
        raise Refused(f"no connection to {server}", error.strerror or "") from None
    stream = _stream(sock, trust, credentials, server_side=False, name=name)
    stream.handshake()
    peer = stream.facts().peer
    if peer is None or f"dns:{name}" not in peer.sans:
        stream.close()
        raise Refused(f"the certificate of {server} does not name {name}")
    return stream


def accept(sock: Any, trust: Path, credentials: Credentials) -> TlsStream:
    """Take a connection and insist on a client certificate; raises Refused."""
    stream = _stream(sock, trust, credentials, server_side=True)
    stream.handshake()
    return stream


def _stream(
    sock: Any, trust: Path, credentials: Credentials | None, *, server_side: bool, name: str = ""
) -> TlsStream:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    context = SSL.Context(SSL.TLS_SERVER_METHOD if server_side else SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.load_verify_locations(str(trust))
    context.set_verify(SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    if credentials is not None:
        context.use_certificate_chain_file(str(credentials.chain))
        context.use_privatekey_file(str(credentials.key))
    streams: list[TlsStream] = []
    context.set_info_callback(lambda _, where, value: streams[0].on_info(where, value))
    connection = SSL.Connection(context, sock)
    streams.append(TlsStream(sock, connection))
    if server_side:
        connection.set_accept_state()
    else:
        connection.set_tlsext_host_name(name.encode())
        connection.set_connect_state()
    return streams[0]


def _identity(certificate: x509.Certificate | None) -> PeerIdentity | None:
    if certificate is None:
        return None
    return replace(read_certificate(certificate.public_bytes(Encoding.DER)).identity, verified=True)
