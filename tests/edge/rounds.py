"""How much others do before everybody has had a turn: counted in rounds of the loop, not in seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
from gevent import subprocess


class Rounds:
    """Looks at ``measure`` in each round of the loop, when sockets and timers have been looked at.

    ``most`` is the most that it has grown by between two rounds: whoever waits meanwhile waits for so much.
    """

    def __init__(self, measure: Callable[[], int]) -> None:
        self.count = 0
        self.most = 0
        self._measure = measure
        self._greenlet = gevent.spawn(self._look)

    def _look(self) -> None:
        seen = self._measure()
        while True:
            gevent.sleep(1e-6)
            now = self._measure()
            self.count += 1
            self.most = max(self.most, now - seen)
            seen = now

    def stop(self) -> None:
        """Look no more."""
        self._greenlet.kill()


@contextmanager
def rounds(measure: Callable[[], int]) -> Iterator[Rounds]:
    """A Rounds for the length of a block."""
    made = Rounds(measure)
    try:
        yield made
    finally:
        made.stop()


_FLOOD = """
import socket, sys
host, port, source, first, chunk, most = sys.argv[1:]
first, chunk = (open(each, "rb").read() for each in (first, chunk))
sock = socket.create_connection((host, int(port)), 10, (source, 0))
sock.settimeout(20)
sent = 0
try:
    sock.sendall(first)
    while sent < int(most):
        sent += sock.send(chunk[sent % len(chunk):])
    print(sent, "all")
except OSError as error:
    print(sent, type(error).__name__)
"""


class Flood:
    """A process that sends ``first``, then ``chunk`` over and over as fast as it can, ``most`` octets of it.

    It is another process, so that it always has more to say than we can read.
    """

    def __init__(
        self, directory: Any, address: tuple[str, int], first: bytes, chunk: bytes, most: int,
        source: str = "127.0.0.1",
    ) -> None:  # fmt: skip
        (directory / "first").write_bytes(first)
        (directory / "chunk").write_bytes(chunk)
        files = [str(directory / name) for name in ("first", "chunk")]
        argv = [sys.executable, "-c", _FLOOD, address[0], str(address[1]), source, *files, str(most)]
        self._process = subprocess.Popen(argv, stdout=subprocess.PIPE)

    @property
    def going_on(self) -> bool:
        """Whether it still sends."""
        return self._process.poll() is None

    def sent(self, seconds: float = 60) -> int:
        """How many octets of ``chunk`` it got rid of in the end."""
        with gevent.Timeout(seconds):
            out, _ = self._process.communicate()
        return int(out.split()[0])

    def stop(self) -> None:
        """End it."""
        if self.going_on:
            self._process.kill()
        self._process.wait()


@contextmanager
def flood(*arguments: Any, **options: Any) -> Iterator[Flood]:
    """A Flood for the length of a block."""
    made = Flood(*arguments, **options)
    try:
        yield made
    finally:
        made.stop()
