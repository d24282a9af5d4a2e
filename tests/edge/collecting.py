"""Collectors of the test's own: they keep what they are told, over UDP, TCP or TLS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent import socket
from gevent.server import StreamServer

from sbc.demo.lab import HOST


class Datagrams:
    """A collector over UDP; ``port`` 0 takes any."""

    def __init__(self, port: int = 0) -> None:
        self.heard: list[bytes] = []
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self._sock.bind((HOST, port))
        self.port = int(self._sock.getsockname()[1])
        self._reader = gevent.spawn(self._read)

    def _read(self) -> None:
        while True:
            self.heard.append(self._sock.recv(65536))

    def close(self) -> None:
        """Be gone."""
        self._reader.kill()
        self._sock.close()


class Streams:
    """A collector over TCP, or TLS with ``context``; what each connection said is in ``heard``.

    ``cut`` says of what was read whether the connection is closed then; one that is ``deaf`` reads nothing.
    """

    def __init__(
        self, port: int = 0, context: Any = None, cut: Callable[[bytes], bool] = lambda _: False,
        deaf: bool = False,
    ) -> None:  # fmt: skip
        self.heard: list[bytes] = []
        self.peers: list[Any] = []
        self._cut = cut
        self._deaf = deaf
        self._open: list[Any] = []
        self._context = context
        self._server = StreamServer((HOST, port), self._serve)
        self._server.start()
        self.port = int(self._server.server_port)

    def _serve(self, sock: Any, _: Any) -> None:
        if self._context is not None:
            try:
                sock = self._context.wrap_socket(sock, server_side=True)
            except OSError:
                return  # who it was did not like us
        at = len(self.heard)
        self.heard.append(b"")
        self.peers.append(sock.getpeercert(True) if hasattr(sock, "getpeercert") else None)
        self._open.append(sock)
        while self._deaf:
            gevent.sleep(0.05)
        try:
            while data := sock.recv(65536):
                self.heard[at] += data
                if self._cut(self.heard[at]):
                    sock.close()
                    return
        except OSError:
            pass

    @property
    def all(self) -> bytes:
        """What every connection said, in their order."""
        return b"".join(self.heard)

    def close(self) -> None:
        """Be gone, with every connection."""
        self._server.stop(0)
        for each in self._open:
            each.close()


def messages(stream: bytes) -> list[bytes]:
    """The messages of a stream with their lengths before them (RFC 5425 4.3); ValueError where it is none."""
    found = []
    while stream:
        length, _, rest = stream.partition(b" ")
        if len(rest) < int(length):
            break
        found.append(rest[: int(length)])
        stream = rest[int(length) :]
    return found
