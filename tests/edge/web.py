"""A small HTTP server on loopback that answers as a test says, rightly or wrongly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer

# What a path gives: a body, or whatever the function does with the socket and the body that was posted.
Page = bytes | Callable[[socket.socket, bytes], object]


class Web:
    """Pages by path; ``asked`` are the paths that were asked for, in order."""

    def __init__(self) -> None:
        self.pages: dict[str, Page] = {}
        self.asked: list[str] = []
        self._server = StreamServer(("127.0.0.1", 0), self._serve)
        self._server.start()
        self.port = int(self._server.server_port)

    def url(self, path: str) -> str:
        """The address of a page."""
        return f"http://127.0.0.1:{self.port}{path}"

    def count(self, path: str) -> int:
        """How often a page was asked for."""
        return self.asked.count(path)

    def close(self) -> None:
        """Serve no more."""
        self._server.stop(timeout=0.1)

    def _serve(self, sock: socket.socket, _peer: object) -> None:
        try:
            path, body = _read(sock)
            self.asked.append(path)
            page = self.pages.get(path)
            if callable(page):
                page(sock, body)
            elif page is None:
                sock.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            else:
                sock.sendall(response(page))
        except OSError:
            pass
        finally:
            sock.close()


def _read(sock: socket.socket) -> tuple[str, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        more = sock.recv(65536)
        if not more:
            raise OSError("closed")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = 0
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    while len(body) < length:
        more = sock.recv(65536)
        if not more:
            raise OSError("closed")
        body += more
    return head.split(b" ")[1].decode(), body


def response(body: bytes, content_type: str = "application/octet-stream") -> bytes:
    """A whole good response."""
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def redirect(to: str) -> Callable[[Any, bytes], None]:
    """A page that leads elsewhere."""

    def page(sock: Any, _body: bytes) -> None:
        sock.sendall(f"HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n".encode())

    return page


def silent(sock: Any, _body: bytes) -> None:
    """A page that never answers."""
    gevent.sleep(30)


@contextmanager
def web() -> Iterator[Web]:
    """A Web for the length of a block."""
    made = Web()
    try:
        yield made
    finally:
        made.close()
