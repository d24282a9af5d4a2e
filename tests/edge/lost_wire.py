"""Two ends and an SBC between them whose connections close in one of three ways."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from gevent import socket

from sbc.base import Address
from sbc.demo.lab import HOST
from sbc.demo.link import Link
from sbc.flow import TlsFacts
from tests.edge.attacked import Attacked
from tests.edge.test_lost_connections import Scripted
from tests.peers.ports import free_port

HOSTS = {"office": HOST, "carrier": "127.0.0.2"}
TCP_TRUNK = """\
trunk: {name}
peers: [{host}:{port}]
sources: [{host}]
listener: tcp
srtp: accept
ring_timeout: 3
response_timeout: 3
"""
#: How connections close: TLS with its goodbye, plain TCP with a FIN, and plain TCP with a reset.
WAYS = ("tls", "tcp", "reset")


class ClearStream:
    """A plain TCP connection, in the place of the agents' TLS."""

    def __init__(self, sock: Any) -> None:
        self.sock = sock
        self.local = Address(*sock.getsockname()[:2])
        self.resets = False

    def recv(self) -> bytes:
        """The next bytes; b"" once the SBC has closed."""
        try:
            received: bytes = self.sock.recv(65536)
        except OSError:
            return b""
        return received

    def send(self, data: bytes) -> None:
        """Send all of ``data``; a broken connection shows itself at ``recv``."""
        with suppress(OSError):
            self.sock.sendall(data)

    def close(self) -> None:
        """Close with a FIN, or without a word."""
        if self.resets and not self.sock.closed:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def facts(self) -> TlsFacts:
        """No TLS, nobody known."""
        return TlsFacts("", "", "", "", "", None)


class InTheClear(Scripted):
    """The same on plain TCP, where only their addresses tell the two apart."""

    def __init__(self, name: str, *rest: Any) -> None:
        super().__init__(name, *rest, host=HOSTS[name])

    def dial(self, server: Address, name: str) -> Link:
        """Connect to ``server``."""
        sock = socket.create_connection((server.host, server.port), source_address=(self.host, 0))
        return self._link(ClearStream(sock))

    def _on_connection(self, sock: Any, address: tuple[str, int]) -> None:
        self._link(ClearStream(sock)).wait_closed(3600)


class Wire(Attacked):
    """An SBC whose office and carrier are reached by one of the ``WAYS``."""

    def __init__(self, directory: Path, way: str) -> None:
        self.way = way
        self.transport = "tls" if way == "tls" else "tcp"
        self.kind = Scripted if way == "tls" else InTheClear
        self.tcp = free_port()
        super().__init__(directory, srtp="accept", carrier=self.kind)

    @property
    def address(self) -> Address:
        """Where the SBC takes SIP."""
        return super().address if self.way == "tls" else Address(HOST, self.tcp)

    def _configure(self, srtp: str, office_srtp: str) -> None:
        super()._configure(srtp, office_srtp)
        if self.way == "tls":
            return
        settings = self.directory / "sbc.yaml"
        listener = f"listeners:\n  tcp: {{bind: {HOST}:{self.tcp}, transport: tcp}}"
        settings.write_text(settings.read_text().replace("listeners:", listener))
        for name, port in (("office", self.ports.office), ("carrier", self.ports.carrier)):
            text = TCP_TRUNK.format(name=name, host=HOSTS[name], port=port)
            (self.directory / "trunks.d" / f"{name}.yaml").write_text(text)
