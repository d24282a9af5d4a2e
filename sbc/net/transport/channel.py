"""The writing half of a stream connection: one write a turn, queue what the kernel will not take.

``send`` is called from any greenlet, inside the core's atomic step, so it must never switch.
What one turn of the loop sends to a peer goes out together when the turn ends, before the loop
waits again: one record and one system call for all of it, and the peer too is woken once.
The socket nearly always takes everything. What is left over waits in a bounded queue, and
a writer greenlet that lives only as long as the queue empties it. A peer that reads too slowly
overruns the bound and loses the connection: memory is not spent on a peer that does not listen.

The reading greenlet (connection.py) owns the socket. ``close`` only lets what was sent go
out, says goodbye (close_notify, FIN) and wakes the reader, which then waits briefly for the
peer's FIN, because closing a socket with unread input resets it and the peer would lose the
answer that explains the closing.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final, Protocol

import gevent
from gevent import socket

from sbc.flow import Flow

QUEUE_LIMIT: Final = 1 << 20
WRITE_STALL = 10.0
LINGER: Final = 1.0
RECORD: Final = 16384  # the most plaintext that one TLS record holds (RFC 8446 5.1)


class Cipher(Protocol):
    """What a channel needs of an established TLS session."""

    def encrypt(self, data: bytes) -> bytes:
        """The records that carry ``data``; "" when the session is over."""

    def farewell(self) -> bytes:
        """The close_notify record."""

    def release(self) -> None:
        """Let go of the channel: it is closed."""


class StreamChannel:
    """Writes to one TCP or TLS connection without ever blocking the caller.

    ``reason`` is None while it is open. ``heard`` is set by the reader and cleared by the
    idle sweep, and ``barren`` counts keepalives and malformed messages between two sweeps;
    ``last_heard`` and ``pinged_at`` belong to that sweep; ``ponged`` says that the peer has ever
    answered a ping (RFC 5626 3.5.1).
    """

    __slots__ = (
        "_at_end_of_turn",
        "_dead",
        "_messages",
        "_queue",
        "_queued",
        "_raw",
        "_size",
        "_writing",
        "barren",
        "cipher",
        "flow",
        "heard",
        "last_heard",
        "pinged_at",
        "ponged",
        "reason",
        "sock",
    )  # fmt: skip

    def __init__(self, sock: socket.socket, cipher: Cipher | None = None, now: float = 0.0) -> None:
        self.sock = sock
        self.cipher = cipher
        self.reason: str | None = None
        self.heard = True
        self.barren = 0
        self.last_heard = now
        self.pinged_at: float | None = None
        self.ponged = False
        self.flow: Flow | None = None
        self._raw: Any = sock._sock
        self._at_end_of_turn = gevent.get_hub().loop.run_callback
        self._messages: list[bytes] = []
        self._size = 0
        self._queue: deque[bytes] = deque()
        self._queued = 0
        self._writing = False
        self._dead = False

    def is_open(self) -> bool:
        """Whether nobody has closed it; asked anew each time, for whoever runs in between may close it."""
        return self.reason is None

    def send(self, data: bytes) -> None:
        """Send ``data`` when this turn of the loop ends, or once the kernel takes it; nothing once closed."""
        if self.reason is not None:
            return
        messages = self._messages
        if not messages:
            self._at_end_of_turn(self._flush)
        messages.append(data)
        self._size += len(data)
        if self._size >= RECORD:
            self._flush()

    def _flush(self) -> None:
        if self._messages:
            data = b"".join(self._messages)
            self._messages.clear()
            self._size = 0
            self.put(data if self.cipher is None else self.cipher.encrypt(data))

    def put(self, data: bytes) -> None:
        """Write raw bytes (already encrypted where the connection is TLS)."""
        if self._dead:
            return
        if not self._queue:
            try:
                sent = self._raw.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                self._broken()
                return
            if sent == len(data):
                return
            data = data[sent:]
        self._enqueue(data)

    def close(self, reason: str) -> None:
        """Close once what was sent has gone out, at most a few seconds from now."""
        if not self._mark(reason):
            return
        self._flush()
        if self.cipher is not None:
            self.put(self.cipher.farewell())
        if not self._queue:
            self._half_close()

    def abort(self, reason: str) -> None:
        """Close at once; what is queued is lost."""
        self._mark(reason)
        self._drop_queue()
        self._shutdown(socket.SHUT_RDWR)
        self._dead = True

    def _mark(self, reason: str) -> bool:
        if self.reason is not None:
            return False
        self.reason = reason
        if self.flow is not None:
            self.flow.alive = False
        return True

    def _enqueue(self, data: bytes) -> None:
        if self._queued + len(data) > QUEUE_LIMIT:
            self.abort(f"the peer reads too slowly: {self._queued} bytes are waiting for it")
            return
        self._queue.append(data)
        self._queued += len(data)
        if not self._writing:
            self._writing = True
            gevent.spawn(self._write_queue)

    def _write_queue(self) -> None:
        try:
            while self._queue:
                with gevent.Timeout(WRITE_STALL):
                    self.sock.sendall(self._queue[0])
                if self._queue:
                    self._queued -= len(self._queue.popleft())
            if self.reason is not None:
                self._half_close()
        except gevent.Timeout:
            self.abort(f"the peer took no data for {WRITE_STALL:.0f} s")
        except OSError:
            self._broken()
        finally:
            self._writing = False

    def _broken(self) -> None:
        # The reader learns why: an alert or a reset is waiting in its direction.
        if not self._dead:
            self._dead = True
            self._drop_queue()
            gevent.spawn_later(LINGER, self.abort, "the connection broke while writing")

    def _drop_queue(self) -> None:
        self._messages.clear()
        self._size = 0
        self._queue.clear()
        self._queued = 0

    def _half_close(self) -> None:
        self._shutdown(socket.SHUT_WR)
        gevent.spawn_later(LINGER, self._shutdown, socket.SHUT_RDWR)

    def _shutdown(self, how: int) -> None:
        try:
            self._raw.shutdown(how)
        except OSError:
            self._dead = True

    def finish(self, reason: str) -> None:
        """Close the socket itself; only the reading greenlet calls this, when it has read the last."""
        self._flush()
        if self._mark(reason) and self.cipher is not None:
            self.put(self.cipher.farewell())
        self._dead = True
        self._drop_queue()
        self.sock.close()
        # What refers to us no longer needs to: reference counts alone free a connection.
        self.flow = None
        if self.cipher is not None:
            self.cipher.release()
