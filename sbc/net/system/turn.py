"""A reader's turn: how everything that reads what a peer sends lets the others run.

A greenlet that finds octets whenever it reads never waits, and while it does not wait no timer fires and
no other socket is looked at: not even its own time limit ends it. ``gevent.sleep(0)`` is no help, for the
hub runs fifty such steps before it looks again. So a reader waits for its socket before each read, which
takes the loop round once, whatever there is to read; and where one read gives it much to do, it pauses
after ``LENGTH``.
"""

from __future__ import annotations

import time
from typing import Final

import gevent
from gevent import socket

LENGTH: Final = 0.005
# What is closed with input unread is reset, and our last word with it; who sends more than this loses it.
DISCARDED: Final = 1 << 20
_SIZE: Final = 65536
# The shortest that makes the loop look at its sockets and timers; it costs some 4 µs.
PAUSE: Final = 1e-6

_monotonic: Final = time.monotonic


class Turn:
    """The time since a greenlet last let the loop look at every socket and timer; it is up at ``end``."""

    __slots__ = ("_length", "end")

    def __init__(self, length: float = LENGTH) -> None:
        self._length = length
        self.end = _monotonic() + length

    def wait(self, sock: socket.socket) -> None:
        """Wait until ``sock`` can be read; everybody else whose turn has come goes first."""
        readable(sock)
        self.end = _monotonic() + self._length

    def share(self) -> None:
        """Let the others run where this turn has been long enough."""
        if _monotonic() > self.end:
            gevent.sleep(PAUSE)
            self.end = _monotonic() + self._length

    def rest(self, seconds: float) -> None:
        """Let the others run for so long."""
        gevent.sleep(seconds)
        self.end = _monotonic() + self._length


def readable(sock: socket.socket) -> None:
    """Wait until ``sock`` can be read, at least once round the loop; OSError where it is closed meanwhile."""
    sock._wait(sock._read_event)


def discard(sock: socket.socket) -> None:
    """Read and forget what the peer still sends, to its end, an error, or a bounded number of octets."""
    size = 0
    try:
        while size < DISCARDED:
            readable(sock)
            data = sock.recv(_SIZE)
            if not data:
                return
            size += len(data)
    except OSError:
        return
