"""A service that rules ask, on loopback: it answers, lies, hangs or goes away, as a test says."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent import socket, ssl
from gevent.server import StreamServer

# What becomes of a question: octets to be sent, or None to close the connection without a word.
Reply = Callable[[Any, bytes], bytes | None]


def said(body: object, status: str = "200 OK", *more: str) -> bytes:
    """A whole response: JSON, or octets as they are."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = (f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(data)}", *more)
    return "\r\n".join((*head, "", "")).encode() + data


class Service:
    """``questions`` are the bodies that were posted, ``heads`` what stood before them.

    ``connections`` counts those that were accepted, ``closed`` those that are over.
    """

    def __init__(self, reply: Reply, context: ssl.SSLContext | None = None, port: int = 0) -> None:
        self.reply = reply
        self.questions: list[dict[str, Any]] = []
        self.heads: list[str] = []
        self.connections = self.closed = 0
        self._context = context
        self._server = StreamServer(("127.0.0.1", port), self._serve)
        self._open: list[Any] = []
        self._server.start()
        self.port = int(self._server.server_port)

    def url(self, secure: bool = False, host: str = "127.0.0.1") -> str:
        """Where it is asked."""
        return f"http{'s' if secure else ''}://{host}:{self.port}/route?key=hidden"

    def close(self) -> None:
        """Go away: nobody is listened to, and every connection is closed."""
        self._server.stop(timeout=0.1)
        for sock in self._open:
            sock.close()

    def _serve(self, sock: Any, _peer: object) -> None:
        self.connections += 1
        self._open.append(sock)
        try:
            if self._context is not None:
                sock = self._context.wrap_socket(sock, server_side=True)
            self._converse(sock)
        except OSError:
            pass
        finally:
            self.closed += 1
            sock.close()

    def _converse(self, sock: Any) -> None:
        data = b""
        while True:
            while b"\r\n\r\n" not in data:
                data += _more(sock)
            head, _, data = data.partition(b"\r\n\r\n")
            lines = head.decode().split("\r\n")
            length = next(int(each[16:]) for each in lines if each.lower().startswith("content-length: "))
            while len(data) < length:
                data += _more(sock)
            body, data = data[:length], data[length:]
            self.heads.append(head.decode())
            self.questions.append(json.loads(body))
            answer = self.reply(sock, body)
            if answer is None:
                return
            sock.sendall(answer)


def _more(sock: Any) -> bytes:
    data: bytes = sock.recv(65536)
    if not data:
        raise OSError("closed")
    return data


@contextmanager
def service(reply: Reply, context: ssl.SSLContext | None = None) -> Iterator[Service]:
    """A service for the length of a block."""
    made = Service(reply, context)
    try:
        yield made
    finally:
        made.close()


def always(body: object, *more: str) -> Reply:
    """Whatever is asked, this is the answer."""
    return lambda _sock, _body: said(body, "200 OK", *more)


def hangs(_sock: Any, _body: bytes) -> None:
    """No answer ever."""
    gevent.sleep(60)


def drips(sock: Any, _body: bytes) -> None:
    """A response that goes on and on, an octet at a time."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while True:
        sock.sendall(b" ")
        gevent.sleep(0.01)


def huge(sock: Any, _body: bytes) -> None:
    """Ten million octets."""
    sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n")
    for _ in range(200):
        sock.sendall(b"x" * 50_000)


def always_continues(sock: Any, _body: bytes) -> None:
    """Interim responses without end."""
    while True:
        sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n" * 500)


def breaks_off(sock: Any, _body: bytes) -> None:
    """Closed in the middle of the body."""
    sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"number":')
    sock.shutdown(socket.SHUT_RDWR)
