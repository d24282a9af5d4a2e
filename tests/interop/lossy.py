"""A bad network: UDP on the way to one address, of which the first copy of everything is lost."""

from __future__ import annotations

import select
import socket
import threading
from types import TracebackType
from typing import Self

from tests.peers.ports import free_port


class LosesFirstCopies:
    """Forwards datagrams between whoever sends to ``port`` and ``address``:``target``, on their second try.

    It is at ``address`` itself. One sender is served; ``lost`` are the datagrams dropped, each once.
    """

    def __init__(self, address: str, target: int) -> None:
        self.port = free_port()
        self.lost: set[bytes] = set()
        self._target = (address, target)
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sender: tuple[str, int] | None = None
        self._done = False
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        while not self._done:
            for ready in select.select([self._near, self._far], [], [], 0.1)[0]:
                data, source = ready.recvfrom(65536)
                if ready is self._near:
                    self._sender = source
                self._forward(data, ready is self._near)

    def _forward(self, data: bytes, inward: bool) -> None:
        if data not in self.lost:
            self.lost.add(data)
        elif inward:
            self._far.sendto(data, self._target)
        elif self._sender is not None:
            self._near.sendto(data, self._sender)

    def __enter__(self) -> Self:
        self._near.bind((self._target[0], self.port))
        self._far.bind((self._target[0], 0))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done = True
        self._thread.join()
        self._near.close()
        self._far.close()
