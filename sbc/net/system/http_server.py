"""A small HTTP server: one request a connection, of which the head alone is read, within seconds.

Whoever can reach a port can send it requests without end, bodies in chunks of an octet, or half a request
and nothing more. So the head is bounded and read fairly, no body is read (no page of ours takes one), the
connection is closed after the answer, it lasts for seconds whatever it does, and there are only so many.

A page in the operator's browser may reach whatever the operator can, under a name of its own that it lets
lead here. So only names that are ours are answered, where ``names`` says which.
"""

from __future__ import annotations

import contextlib
import re
import sys
from collections.abc import Collection
from io import BytesIO
from typing import TYPE_CHECKING, Any
from wsgiref.handlers import SimpleHandler
from wsgiref.simple_server import WSGIRequestHandler

import gevent
from gevent import socket
from gevent.pool import Pool
from gevent.server import StreamServer

from sbc.base import Address
from sbc.net.system.sockets import normal_host
from sbc.net.system.turn import discard, readable
from sbc.tls.names import normal_name

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

LIFE = 10.0
HEAD = 16384
CONNECTIONS = 32
_LINGER = 0.5
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
_NAME = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]{1,253})(?::[0-9]{0,5})?")


class HttpServer:
    """Serves ``application`` on ``listen``: under any name, or under ``names`` and the address reached.

    ``section`` of sbc.yaml is where more names are listed.
    """

    def __init__(
        self,
        listen: Address,
        application: WSGIApplication,
        names: Collection[str] | None = None,
        section: str = "admin",
    ) -> None:
        self.application = application
        self.section = section
        self.names = None if names is None else {normal_name(each) for each in names}
        self._server = StreamServer(tuple(listen), self.serve, spawn=Pool(CONNECTIONS))

    def start(self) -> None:
        """Bind and serve; OSError."""
        self._server.start()

    def stop(self) -> None:
        """Serve no more; what is being answered has a moment to end."""
        self._server.stop(timeout=_LINGER)

    @property
    def address(self) -> Address:
        """Where it is bound."""
        return Address(*self._server.address[:2])

    def serve(self, sock: socket.socket, peer: Any) -> None:
        """One connection, whatever it does."""
        with contextlib.suppress(OSError), gevent.Timeout(LIFE, False):
            head = _read_head(sock)
            answer = _TOO_LONG if len(head) > HEAD else self._answer(head, sock, peer)
            if answer:
                sock.sendall(answer)
            sock.shutdown(socket.SHUT_WR)
            with gevent.Timeout(_LINGER, False):
                discard(sock)

    def _answer(self, head: bytes, sock: socket.socket, peer: Any) -> bytes:
        reached = normal_host(sock.getsockname()[0])
        names = None if self.names is None else self.names | {reached}
        site = _Site(self.application, names, reached, self.address.port, self.section)
        return _Request(head, peer, site).answer


def _read_head(sock: socket.socket) -> bytes:
    """The request line and the header; b"" where the end did not come, over HEAD octets where it is far."""
    data = b""
    while (end := data.find(b"\r\n\r\n")) < 0:
        if len(data) > HEAD:
            return data
        readable(sock)
        more = sock.recv(4096)
        if not more:
            return b""
        data += more
    return data[: end + 4]


class _Site:
    """What a request asks of its server."""

    def __init__(
        self, application: WSGIApplication, names: Collection[str] | None, host: str, port: int, section: str
    ) -> None:
        self.application = application
        self.section = section
        self.names = names
        self.base_environ = {"SERVER_NAME": host, "SERVER_PORT": str(port), "SCRIPT_NAME": ""}

    def objection(self, request: _Request) -> tuple[int, str] | None:
        """The status and the explanation for a request that is not answered; None for one that is."""
        if self.names is None:
            return None
        hosts = request.headers.get_all("Host", [])
        if not hosts and request.request_version != "HTTP/1.1":
            return None  # no browser; RFC 9112 3.2
        found = _NAME.fullmatch(hosts[0].strip()) if len(hosts) == 1 else None
        if found is None:
            return 400, "A request names its host, once."
        if normal_name(found[1]) in self.names:
            return None
        explanation = f"Nothing is served here under {found[1]}."
        if not found[1].startswith("["):
            explanation += f" If that is meant, list it in sbc.yaml: {self.section}: {{hosts: [{found[1]}]}}"
        return 421, explanation


class _Request(WSGIRequestHandler):
    """One request in memory, and what is to be sent back."""

    error_content_type = "text/plain"
    error_message_format = "%(code)d %(message)s\n%(explain)s\n"

    def __init__(self, head: bytes, peer: Any, site: _Site) -> None:
        self._head, self._site = head, site
        self._out = BytesIO()
        super().__init__(None, peer or ("", 0), site)  # type: ignore[arg-type]

    def setup(self) -> None:
        """The request is here, and its answer is not sent from here."""
        self.rfile, self.wfile = BytesIO(self._head), self._out

    def handle(self) -> None:
        """Answer it."""
        self.raw_requestline = self.rfile.readline()
        if not self.raw_requestline or not self.parse_request():
            return  # what is wrong has been written
        objection = self._site.objection(self)
        if objection is not None:
            self.send_error(objection[0], explain=objection[1])
            return
        _Answer(BytesIO(), self._out, sys.stderr, self.get_environ(), False).run(self._site.application)

    def finish(self) -> None:
        """Nothing is left to do."""

    @property
    def answer(self) -> bytes:
        """What is to be sent; b"" for nothing."""
        return self._out.getvalue()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


class _Answer(SimpleHandler):
    """The answer of the application, after which the connection is closed."""

    http_version = "1.1"
    os_environ: dict[str, str] = {}

    def send_preamble(self) -> None:
        """The status line and the headers that are ours."""
        super().send_preamble()
        if self.client_is_modern():
            self._write(b"Connection: close\r\n")
