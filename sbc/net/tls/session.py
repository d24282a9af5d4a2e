"""TLS over one socket: the handshake, then encrypt and decrypt through memory buffers.

OpenSSL never sees the socket. The handshake runs in the connection's own greenlet and may
wait; ``encrypt`` runs inside the core's atomic step and may not, and with memory buffers it
never has to. The plaintext of a peer leaves this module only after ``establish`` has found
a trunk for it.
"""

from __future__ import annotations

from collections.abc import Callable

from gevent import socket
from OpenSSL import SSL

from sbc.net.handler import Handler
from sbc.net.revocation.inquiry import Revocation
from sbc.net.source import Ended
from sbc.net.system.sockets import acknowledge
from sbc.net.system.turn import OneByOne
from sbc.net.tls.end import WITHOUT_A_WORD, HandshakeError, TlsEnd
from sbc.net.tls.records import Records
from sbc.tls.events import Admitted
from sbc.tls.judge import Judge

# Key updates, session tickets and warnings are records without data; no peer sends many in a row.
BARREN = 32
_STEPS = OneByOne()


class TlsSession(TlsEnd):
    """One TLS session over one socket: a channel's Cipher and a connection's Source.

    ``hello`` has been read already. ``turn`` is that of whoever reads.
    """

    __slots__ = ("_records", "_sock", "turn", "write")

    def __init__(
        self, sock: socket.socket, connection: SSL.Connection, judge: Judge, sni: str, hello: bytes = b""
    ) -> None:
        super().__init__(connection, judge, sni)
        self._sock = sock
        self._records = Records(sock, hello)
        self.turn = self._records.turn
        self.write: Callable[[bytes], object] = sock.sendall

    def establish(self) -> str:
        """Handshake; returns the trunk. Raises HandshakeError."""
        records = self._records
        try:
            over = _STEPS.run(self.advance)
            while not over:
                if not records.held:
                    self._flush()
                data = records.take()
                if not data:
                    raise HandshakeError("eof")
                over = _STEPS.run(self.advance, data)
        except HandshakeError:
            self._flush()
            raise
        except OSError:
            raise HandshakeError("reset") from None
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
            data = self._fill()
            try:
                plain = self.decrypt(data)
            except (Ended, HandshakeError):
                self._answer()
                raise
            if plain:
                return plain
            if self._records.whole:
                self._answer()
                barren += 1
                if barren > BARREN:
                    raise Ended(f"over {BARREN} TLS records in a row without data")

    def _fill(self) -> bytes:
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


def let_in(session: TlsSession, revocation: Revocation, handler: Handler, asked: Admitted) -> None:
    """Settle what a good handshake left open and let ``handler`` look at the peer; HandshakeError refuses it.

    Each of the two has a time limit of its own.
    """
    failure = revocation.settle(session.judge, asked.remote) or handler.objection(asked)
    if failure is not None:
        session.dismiss()
        raise HandshakeError(decided=failure)
