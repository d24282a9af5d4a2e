"""The HTTP-01 responder (RFC 8555 8.3): it is bound while an order is pending, and knows its answers only.

An open port 80 that nobody needs is a port to attack, so there is none between orders. While there
is one, strangers will come too: who asks for anything but the path of a pending challenge gets an
empty 404, and a connection costs as little as http_server.py lets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import gevent

from sbc.base import Address, LocalError
from sbc.net.system.http_server import HttpServer

PREFIX = "/.well-known/acme-challenge/"
LIFE = 5.0


class Challenges:
    """Answers the pending challenges on ``listen``, for the length of a ``with`` block."""

    def __init__(self, listen: Address) -> None:
        self._listen = listen
        self._answers: dict[str, bytes] = {}
        self._server = _Server(listen, self._respond)

    def __enter__(self) -> Challenges:
        try:
            self._server.start()
        except OSError as error:
            raise LocalError(
                f"cannot bind {self._listen} for HTTP-01: {error.strerror or error}; free the port, let this "
                "user bind it (CAP_NET_BIND_SERVICE), or set acme.listen and forward port 80 there"
            ) from None
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.clear()
        self._server.stop()

    @property
    def address(self) -> Address:
        """Where it is bound."""
        return self._server.address

    def expect(self, token: str, answer: str) -> None:
        """Answer the challenge ``token`` with its key authorization (RFC 8555 8.1)."""
        self._answers[token] = answer.encode()

    def _respond(self, request: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        path = request["PATH_INFO"]
        answer = self._answers.get(path.removeprefix(PREFIX)) if path.startswith(PREFIX) else None
        if answer is None or request["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start("404 Not Found", [("Content-Length", "0")])
            return []
        start("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(answer)))])
        return [answer] if request["REQUEST_METHOD"] == "GET" else []


class _Server(HttpServer):
    def serve(self, sock: Any, peer: Any) -> None:
        """One connection, for ``LIFE`` seconds at most."""
        with gevent.Timeout(LIFE, False):
            super().serve(sock, peer)
