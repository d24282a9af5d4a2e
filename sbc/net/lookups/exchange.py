"""One question over HTTP and its answer, on a connection that may have carried others.

The request is written in one piece, and what comes back is read by the library, from a file that ends where
an answer has become too long: whatever the other side sends, it is a bounded number of octets, and the time
limit of whoever asks ends the waiting for them. No redirect is followed and nothing is compressed; only 200
with a body is an answer.
"""

from __future__ import annotations

import io
from http.client import HTTPException, HTTPResponse
from typing import Any, Final
from urllib.parse import urlsplit

from gevent import socket, ssl

from sbc.base import Address
from sbc.net.system.resolver import resolve
from sbc.net.system.sockets import reach
from sbc.net.system.turn import readable
from sbc.policy.inquiries import BROKEN_OFF, NO_ANSWER, SERVER_ERROR

#: The longest body of an answer, and what may stand around it.
LARGEST: Final = 64 << 10
TOO_LONG: Final = f"its answer is over {LARGEST} bytes long"
_AROUND: Final = 32 << 10
_OK: Final = 200
_ILL: Final = 500


class NotAnswered(Exception):
    """There is no answer: ``ending`` is one of ``sbc.policy.inquiries``, the text says why.

    ``unread``: the connection ended before anything of an answer had come.
    """

    def __init__(self, ending: str, reason: str, unread: bool = False) -> None:
        super().__init__(reason)
        self.ending = ending
        self.unread = unread


class _Bounded(io.RawIOBase):
    """What a socket gives to one exchange, up to a limit."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.left = LARGEST + _AROUND
        self.taken = 0

    def readable(self) -> bool:
        """Yes: the library asks."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read what is there, with the others' turn first; NotAnswered where it has become too much."""
        if self.left <= 0:
            raise NotAnswered(NO_ANSWER, TOO_LONG)
        pending = getattr(self._sock, "pending", None)
        if pending is None or not pending():
            readable(self._sock)
        size = int(self._sock.recv_into(memoryview(buffer)[: self.left]))
        self.left -= size
        self.taken += size
        return size


class Connection:
    """A connection to a service; ``used`` once it has carried a question. OSError, ResolveFailed for none."""

    def __init__(self, url: str, context: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        self._sock: Any = reach(resolve(Address(host, port)))
        self.used = False
        try:
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if secure:
                assert context is not None, "whoever speaks TLS has a context"
                self._sock = context.wrap_socket(self._sock, server_hostname=host)
        except BaseException:
            self._sock.close()
            raise
        self._raw = _Bounded(self._sock)

    def makefile(self, *_: Any, **__: Any) -> io.BufferedReader:
        """What the library reads from."""
        return io.BufferedReader(self._raw)

    def ask(self, request: bytes) -> tuple[bytes, bool]:
        """The body that answers ``request``, and whether the connection can be used again; NotAnswered."""
        raw = self._raw = _Bounded(self._sock)
        used, self.used = self.used, True
        try:
            self._sock.sendall(request)
            response = HTTPResponse(self, method="POST")  # type: ignore[arg-type]
            response.begin()
            body = response.read(LARGEST + 1)
        except (OSError, HTTPException, ValueError) as error:
            why = getattr(error, "strerror", None) or type(error).__name__
            raise NotAnswered(BROKEN_OFF, f"its answer broke off: {why}", used and not raw.taken) from None
        if response.status >= _ILL:
            raise NotAnswered(SERVER_ERROR, f"HTTP {response.status}")
        if response.status != _OK:
            raise NotAnswered(NO_ANSWER, f"HTTP {response.status}")
        if len(body) > LARGEST:
            raise NotAnswered(NO_ANSWER, TOO_LONG)
        if response.length:  # the library says nothing of an end that came too early
            raise NotAnswered(BROKEN_OFF, "its answer broke off")
        return body, not response.will_close

    def close(self) -> None:
        """Close it, at once."""
        self._sock.close()


def request_of(url: str, body: bytes, token: str) -> bytes:
    """The whole request that asks ``url`` about ``body``, which is JSON."""
    parts = urlsplit(url)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [
        f"POST {path} HTTP/1.1", f"Host: {parts.netloc}", "Content-Type: application/json",
        "Accept: application/json", "Accept-Encoding: identity", "User-Agent: Portcullis",
        f"Content-Length: {len(body)}",
    ]  # fmt: skip
    if token:
        lines.append(f"Authorization: Bearer {token}")
    return "\r\n".join((*lines, "", "")).encode("ascii") + body
