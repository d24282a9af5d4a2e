"""A cable that can be cut: TCP connections to one address, forwarded until they are broken off."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from types import TracebackType
from typing import Self

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER by which a close resets."""


class Cable:
    """Forwards each connection to ``port`` on to ``target``; ``cut`` resets those that stand."""

    def __init__(self, target: tuple[str, int]) -> None:
        self.connections = 0
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._server.getsockname()[1])
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Reset every connection, both ways; new ones are accepted as before."""
        pairs, self._pairs = self._pairs, []
        for each in (end for pair in pairs for end in pair):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            with contextlib.suppress(OSError):  # its peer may have been quicker
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            pair = near, socket.create_connection(self._target)
            self._pairs.append(pair)
            self.connections += 1
            threading.Thread(target=_forward, args=pair, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        self.cut()


def _forward(near: socket.socket, far: socket.socket) -> None:
    try:
        while True:
            for ready in select.select([near, far], [], [])[0]:
                data = ready.recv(65536)
                if not data:
                    return
                (far if ready is near else near).sendall(data)
    except (OSError, ValueError):
        return  # it was cut
