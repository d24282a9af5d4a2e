"""The HTTP-01 responder (RFC 8555 8.3): it is bound while an order is pending, and knows its answers only.

An open port 80 that nobody needs is a port to attack, so there is none between orders. While there
is one, strangers will come too: who asks for anything but the path of a pending challenge gets an
empty 404, a connection lasts for seconds whatever it does, and there are only so many of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import gevent
from gevent.pool import Pool
from gevent.pywsgi import WSGIHandler, WSGIServer

from sbc.base import Address, LocalError

PREFIX = "/.well-known/acme-challenge/"
LIFE = 5.0
_CONNECTIONS = 32


class Challenges:
    """Answers the pending challenges on ``listen``, for the length of a ``with`` block."""

    def __init__(self, listen: Address) -> None:
        self._listen = listen
        self._answers: dict[str, bytes] = {}
        self._server = _Server(
            tuple(listen),
            self._respond,
            spawn=Pool(_CONNECTIONS),
            log=None,
            error_log=None,
            handler_class=_Handler,
        )

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
        self._server.stop(timeout=0.5)

    @property
    def address(self) -> Address:
        """Where it is bound."""
        return Address(*self._server.address[:2])

    def expect(self, token: str, answer: str) -> None:
        """Answer the challenge ``token`` with its key authorization (RFC 8555 8.1)."""
        self._answers[token] = answer.encode()

    def _respond(self, request: dict[str, Any], start: Callable[..., object]) -> Iterable[bytes]:
        path = request["PATH_INFO"]
        answer = self._answers.get(path.removeprefix(PREFIX)) if path.startswith(PREFIX) else None
        if answer is None or request["REQUEST_METHOD"] not in ("GET", "HEAD"):
            start("404 Not Found", [("Content-Length", "0"), ("Connection", "close")])
            return [b""]
        kind, length = ("Content-Type", "application/octet-stream"), ("Content-Length", str(len(answer)))
        start("200 OK", [kind, length, ("Connection", "close")])
        return [answer]


class _Handler(WSGIHandler):  # type: ignore[misc]
    def handle_error(self, kind: Any, error: Any, trace: Any) -> None:
        """Close where a stranger's time is over, which is nothing to tell; tell of anything else."""
        if issubclass(kind, gevent.Timeout):
            self.close_connection = True
        else:
            super().handle_error(kind, error, trace)


class _Server(WSGIServer):  # type: ignore[misc]
    def handle(self, client: Any, address: Any) -> None:
        """Serve one connection, whatever it does, for ``LIFE`` seconds at most."""
        with gevent.Timeout(LIFE, False):
            super().handle(client, address)
