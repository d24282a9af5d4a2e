"""TLS over one socket: the handshake, then encrypt and decrypt through memory buffers.

OpenSSL never sees the socket. The handshake runs in the connection's own greenlet and may
wait; ``encrypt`` runs inside the core's atomic step and may not, and with memory buffers it
never has to. The plaintext of a peer leaves this module only after ``establish`` has found
a trunk for it.

OpenSSL reads on by itself while records decrypt to nothing: 64 KiB of key updates are two thousand of
them in one call. Fed one record at a time (``Records``), it comes back after each. A handshake is over with
the record that ends it, and takes the few records of a peer's turn in one step.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

import gevent
from gevent import socket
from gevent.lock import BoundedSemaphore
from OpenSSL import SSL

from sbc.net.source import Ended
from sbc.net.system.sockets import acknowledge
from sbc.net.system.turn import PAUSE, Turn
from sbc.net.tls.end import WITHOUT_A_WORD, HandshakeError, TlsEnd
from sbc.tls.judge import Judge

# Key updates, session tickets and warnings are records without data; no peer sends many in a row.
BARREN = 32
# ChangeCipherSpec, Certificate, CertificateVerify and Finished come together (RFC 8446 4.4, D.4).
_FLIGHT: Final = 4
_READ: Final = 65536
_HEADER: Final = 5
_monotonic: Final = time.monotonic
# How much work of many handshakes is done in one go, beside the step that reaches it.
_TOGETHER: Final = 0.001

T = TypeVar("T")


class OneByOne:
    """For steps that are much work and of which many may be due at once: they share one turn among them.

    Each of twenty handshakes is short enough; twenty in one round of the loop are not.
    """

    __slots__ = ("_lock", "_spent")

    def __init__(self) -> None:
        self._lock = BoundedSemaphore(1)
        self._spent = 0.0

    def run(self, step: Callable[..., T], *arguments: object) -> T:
        """What ``step`` returns or raises, after those who were here before."""
        with self._lock:
            began = _monotonic()
            try:
                return step(*arguments)
            finally:
                self._spent += _monotonic() - began
                if self._spent > _TOGETHER:
                    self._spent = 0.0
                    gevent.sleep(PAUSE)


#: What handshakes take, of all listeners and of all that we dial.
STEPS: Final = OneByOne()


class TlsSession(TlsEnd):
    """One TLS session over one socket: a channel's Cipher and a connection's Plaintext.

    ``hello`` has been read already. ``turn`` is that of whoever reads. ``_behind``: OpenSSL still has what
    came together with the end of the handshake.
    """

    __slots__ = ("_behind", "_records", "_sock", "turn", "write")

    def __init__(
        self, sock: socket.socket, connection: SSL.Connection, judge: Judge, sni: str, hello: bytes = b""
    ) -> None:
        self._sock = sock
        self._behind = False
        self._records = Records(sock, hello)
        self.turn = self._records.turn
        self.write: Callable[[bytes], object] = sock.sendall
        super().__init__(connection, judge, sni)

    def establish(self) -> str:
        """Handshake; returns the trunk. Raises HandshakeError."""
        records = self._records
        try:
            over = STEPS.run(self.advance)
            while not over:
                if not records.held:
                    self._flush()
                data = records.take()
                if not data:
                    raise HandshakeError("eof")
                more = _FLIGHT - 1
                while more and records.held:
                    data += records.take()
                    more -= 1
                over = STEPS.run(self.advance, data)
        except HandshakeError:
            self._flush()
            raise
        except OSError:
            raise HandshakeError("reset") from None
        self._behind = self.has_unread()
        trunk = self.admitted()
        if not self._flush():
            acknowledge(self._sock)
        return trunk

    def _flush(self) -> bool:
        data = self.drain()
        if data:
            try:
                sent = self._sock.send(data)
                if sent < len(data):
                    self._sock.sendall(data[sent:])
            except OSError:
                pass  # what the peer sent before it went away says more
        return bool(data)

    def release(self) -> None:
        """Let go of whoever used the session: its connection is closed."""
        self.write, self.on_confirmed = self._sock.sendall, None

    def dismiss(self) -> None:
        """Say close_notify before there is a channel to say it through."""
        self._sock.setblocking(False)
        try:
            self._sock.send(self.farewell())
        except OSError:
            pass  # it would have been a courtesy
        self._sock.setblocking(True)

    def read(self) -> bytes:
        """The next plaintext, never empty; raises Ended, and HandshakeError for a late rejection."""
        barren = 0
        while True:
            data = b"" if self._behind else self._take()
            try:
                plain = self.decrypt(data)
            except (Ended, HandshakeError):
                self._answer()
                raise
            if self._behind:
                self._behind = self.has_unread()
            if plain:
                return plain
            if self._behind or self._records.whole:
                self._answer()
                barren += 1
                if barren > BARREN:
                    raise Ended(f"over {BARREN} TLS records in a row without data")

    def _take(self) -> bytes:
        try:
            data = self._records.take()
        except OSError as error:
            if not self.confirmed:
                raise HandshakeError("reset") from None
            raise Ended(f"connection lost: {error.strerror or error}") from None
        if not data:
            raise Ended("closed by the peer without close_notify" if self.confirmed else WITHOUT_A_WORD)
        return data

    def _answer(self) -> None:
        # A key update or an alert of ours, not part of any message.
        data = self.drain()
        if data:
            self.write(data)


class Records:
    """Reads one socket, after ``held``: what was read already, and can be taken without waiting.

    ``whole``: what was taken last ends a record (RFC 8446 5.1). ``turn`` is the reader's, and it is shared
    wherever nothing has to be waited for.
    """

    __slots__ = ("_at", "_header", "_left", "_recv", "_sock", "held", "turn", "whole")

    def __init__(self, sock: socket.socket, data: bytes) -> None:
        self.turn = Turn()
        self.whole = False
        self._sock = sock
        self._recv = sock.recv
        self.held, self._at = data, 0
        self._header, self._left = b"", 0

    def take(self) -> bytes:
        """The next octets, of one record, as many as are there; b"" at the end of the stream; OSError."""
        if self.held:
            if _monotonic() > self.turn.end:
                self.turn.share()
        else:
            self.turn.wait(self._sock)
            self.held = self._recv(_READ)
            if not self.held:
                return b""
        data, at = self.held, self._at
        end = self._end(data, at)
        if end == len(data):
            self.held, self._at = b"", 0
        else:
            self._at = end
        return data[at:end] if at or end != len(data) else data

    def _end(self, data: bytes, at: int) -> int:
        """Where the record that goes on at ``at`` ends, or else what there is of it."""
        if not self._left:
            missing = _HEADER - len(self._header)
            header = self._header + data[at : at + missing]
            if len(header) < _HEADER:
                self._header, self.whole = header, False
                return len(data)
            self._header = b""
            self._left = missing + (header[3] << 8 | header[4])
        end = min(at + self._left, len(data))
        self._left -= end - at
        self.whole = not self._left
        return end
