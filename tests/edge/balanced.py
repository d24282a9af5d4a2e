"""An SBC behind a load balancer that speaks the PROXY protocol, and what may be said to it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gevent
from gevent import socket, ssl

from sbc.demo.pki import write_lab
from sbc.demo.process import whole_lines
from sbc.policy.proxy_header import SIGNATURE
from sbc.sip.message import Response
from sbc.sip.stream import MessageStream
from tests.peers.asking import ask
from tests.peers.portcullis import Portcullis
from tests.peers.ports import free_ports

BALANCER, LIAR, PEER = "127.0.0.5", "127.0.0.6", "203.0.113.9"
SETTINGS = """\
listeners:
  tcp: {{bind: 127.0.0.1:{tcp}, transport: tcp, proxy_protocol: [127.0.0.5], handshake_timeout: 2s,
    handshakes_in_flight: 5}}
  tls: {{bind: 127.0.0.1:{tls}, transport: tls, proxy_protocol: [127.0.0.5], handshake_timeout: 2s}}
  six: {{bind: "[::1]:{six}", transport: tcp, proxy_protocol: ["::1"]}}
identities:
  sbc: {{chain: tls/sbc.pem, key: tls/sbc.key}}
trust:
  lab-ca: {{ca: tls/lab-ca.pem}}
media: {{address: 127.0.0.1, ports: 21000-21009}}
caps: {{connections_per_source: 2}}
acl: acl.d
"""
FILES = {
    "trunks.d/tcp.yaml": "trunk: plain\nlistener: tcp\nsources: [203.0.113.0/24, 127.0.0.6]\n",
    "trunks.d/tls.yaml": (
        "trunk: office\nlistener: tls\nsources: [203.0.113.0/24, 127.0.0.6]\n"
        "tls: {mode: required, server_identity: sbc, trust: [lab-ca], names: [office.lab.example]}\n"
    ),
    "trunks.d/six.yaml": "trunk: six\nlistener: six\nsources: ['2001:db8::/32']\n",
    "routes.d/10.yaml": "rules: [{name: all, when: true, then: reject 486}]\n",
    "acl.d/10.yaml": "rules: [{deny: {address: 203.0.113.66}}]\n",
}


def header(host: str = PEER, port: int = 4444, command: int = 0x21) -> bytes:
    """A PROXY header of version 2 that names an address."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    there: bytes = socket.inet_pton(family, host)
    ports = port.to_bytes(2, "big") + (5061).to_bytes(2, "big")
    addresses = there + bytes(len(there)) + ports
    kind = 0x21 if ":" in host else 0x11
    return SIGNATURE + bytes((command, kind)) + len(addresses).to_bytes(2, "big") + addresses


class Lab:
    """An SBC whose listeners believe the balancer 127.0.0.5, and ::1."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        tcp, tls, six = free_ports(3)
        self.where = {"tcp": ("127.0.0.1", tcp), "tls": ("127.0.0.1", tls), "six": ("::1", six)}
        write_lab(directory, time.time())
        for name, text in (FILES | {"sbc.yaml": SETTINGS.format(tcp=tcp, tls=tls, six=six)}).items():
            (directory / name).parent.mkdir(exist_ok=True)
            (directory / name).write_text(text)
        self.sbc = Portcullis("sbc", directory, tcp=[tcp, tls, six])

    def __enter__(self) -> Lab:
        self.sbc.start()
        self.sbc.ready()
        return self

    def __exit__(self, *_: object) -> None:
        self.sbc.stop()

    def connect(self, listener: str, source: str = BALANCER) -> Any:
        """A bare connection from ``source``."""
        where = self.where[listener]
        return socket.create_connection(where, 5, ("::1" if listener == "six" else source, 0))

    @contextmanager
    def changed(self, name: str, before: str, after: str) -> Iterator[None]:
        """A file of the configuration with other words in it, for a while."""
        path = self.directory / name
        text = path.read_text()
        path.write_text(text.replace(before, after))
        try:
            ask(self.directory / "run" / "sbc.sock", "reload")
            yield
        finally:
            path.write_text(text)
            ask(self.directory / "run" / "sbc.sock", "reload")

    def stats(self, listener: str) -> dict[str, int]:
        """What the listener has counted."""
        status = ask(self.directory / "run" / "sbc.sock", "status")
        found: dict[str, int] = next(each for each in status["listeners"] if each["name"] == listener)[
            "inbound"
        ]
        return found

    def log(self) -> str:
        """The journal so far."""
        return whole_lines(self.sbc.log)

    def secure(self, sock: Any) -> Any:
        """Mutual TLS over a connection whose header has been sent."""
        tls = self.directory / "tls"
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(tls / "lab-ca.pem")
        context.load_cert_chain(tls / "office.pem", tls / "office.key")
        return context.wrap_socket(sock, server_hostname="sbc.lab.example")


def answer(sock: Any, transport: str = "TCP") -> Response:
    """What an OPTIONS over ``sock`` is answered."""
    call_id = os.urandom(8).hex()
    sock.sendall(
        f"OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/{transport} 10.9.9.9:5999;rport;branch=z9hG4bK{call_id}\r\n"
        f"Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:x>\r\nCall-ID: {call_id}\r\n"
        "CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n".encode()
    )
    messages = MessageStream()
    with gevent.Timeout(10):
        while True:
            data = sock.recv(65536)
            assert data, "closed"
            found = [each for each in messages.feed(data) if isinstance(each, Response)]
            if found:
                return found[0]


def turned_away(lab: Lab, listener: str, sent: bytes = b"", source: str = BALANCER) -> bool:
    """Whether the SBC closes a connection, perhaps before it is made, and says nothing on it."""
    try:
        sock = lab.connect(listener, source)
        sock.sendall(sent)
    except ConnectionError:
        return True
    return ended(sock)


def ended(sock: Any) -> bool:
    """Whether the SBC closes the connection, and says nothing on it."""
    with gevent.Timeout(10):
        try:
            return bool(sock.recv(1) == b"")
        except ConnectionError:
            return True
        finally:
            sock.close()
