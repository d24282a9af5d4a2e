"""TLS over one socket: the handshake, then encrypt and decrypt through memory buffers.

OpenSSL never sees the socket. The handshake runs in the connection's own greenlet and may
wait; ``encrypt`` runs inside the core's atomic step and may not, and with memory buffers it
never has to. The plaintext of a peer leaves this module only after ``establish`` has found
a trunk for it.

In TLS 1.3 a client's handshake is over before the server has looked at its certificate. So
an outbound session stays ``unconfirmed`` until the first record arrives, and what breaks it
before that is a failed handshake, not a closed connection (RFC 8446 4.4.4, 6.2).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from gevent import socket
from OpenSSL import SSL

from sbc.base import Address
from sbc.flow import Flow, TlsFacts
from sbc.net.handler import Handler
from sbc.net.revocation.inquiry import Revocation
from sbc.net.source import Ended
from sbc.net.system.sockets import acknowledge
from sbc.net.system.turn import readable
from sbc.net.tls.context import (
    decrypt,
    drain,
    encrypt,
    feed,
    go_on,
    group_of,
    presented_by_peer,
    reasons_of,
    session_reused,
    verify_text,
    version_of,
)
from sbc.net.tls.hello import Peek
from sbc.net.tls.records import Records
from sbc.tls.diagnosis import Evidence, Failure, classify
from sbc.tls.events import Admitted, Handshake, HandshakeFailed
from sbc.tls.judge import Judge
from sbc.tls.match import match_anonymous
from sbc.tls.material.authorities import spelled

HELLO_LIMIT = 20480
# OpenSSL takes 100 KiB of certificates and a ClientHello of 128 KiB; nobody needs both.
HANDSHAKE_LIMIT = 262144
# Key updates, session tickets and warnings are records without data; no peer sends many in a row.
BARREN = 32
_HANDSHAKE_READ = 16384
_RECORD_HANDSHAKE = 0x16

Ending = Literal["", "timeout", "reset", "eof", "plain"]


class HandshakeError(Exception):
    """A handshake that failed; ``evidence`` says all that is known, without names of trunks."""

    def __init__(
        self, ended: Ending = "", reasons: tuple[str, ...] = (), decided: Failure | None = None
    ) -> None:
        super().__init__(ended or "; ".join(reasons) or "refused")
        self.ended: Ending = ended
        self.reasons = reasons
        self.decided = decided


class TlsSession:
    """One TLS session over one socket: a channel's Cipher and a connection's Source.

    ``hello`` has been read already. ``turn`` is that of whoever reads.
    """

    __slots__ = (
        "_connection",
        "_records",
        "_sock",
        "confirmed",
        "judge",
        "on_confirmed",
        "sni",
        "turn",
        "write",
    )

    def __init__(
        self, sock: socket.socket, connection: SSL.Connection, judge: Judge, sni: str, hello: bytes = b""
    ) -> None:
        self._sock = sock
        self._records = Records(sock, hello)
        self.turn = self._records.turn
        self._connection = connection
        self.judge = judge
        self.sni = sni
        self.write: Callable[[bytes], object] = sock.sendall
        self.confirmed = judge.admission.direction == "inbound"
        self.on_confirmed: Callable[[], object] | None = None

    def establish(self) -> str:
        """Handshake; returns the trunk. Raises HandshakeError."""
        connection, records = self._connection, self._records
        octets = 0
        try:
            while not go_on(connection):
                if not records.held:
                    self._flush()
                data = records.take()
                if not data:
                    raise HandshakeError("eof")
                octets += len(data)
                if octets > HANDSHAKE_LIMIT:
                    raise HandshakeError(reasons=("the handshake is too long",))
                feed(connection, data)
        except SSL.Error as error:
            self._flush()
            raise HandshakeError(reasons=reasons_of(error)) from None
        except OSError:
            raise HandshakeError("reset") from None
        trunk = self._admitted()
        if not self.confirmed and self.version == "TLSv1.2":
            self.confirmed = True  # both sides have judged each other before the last Finished
        if not self._flush():
            acknowledge(self._sock)
        return trunk

    @property
    def version(self) -> str:
        """The version agreed so far."""
        return version_of(self._connection)

    def learn_name(self) -> str:
        """The SNI that the peer sent, "" for none (inbound)."""
        name = self._connection.get_servername()
        self.sni = "" if name is None else name.decode("ascii", "replace")
        return self.sni

    def _admitted(self) -> str:
        judge = self.judge
        if session_reused(self._connection):
            raise HandshakeError(reasons=("a session was resumed",))
        if judge.presented is not None and judge.decided is None and judge.trunk is not None:
            return judge.trunk
        if judge.presented is not None or judge.admission.demands:
            raise HandshakeError(decided=judge.decided)
        verdict = match_anonymous(judge.admission, self.version, group_of(self._connection))
        if verdict.trunk is None:
            raise HandshakeError(decided=verdict.failure)
        return verdict.trunk

    def _flush(self) -> bool:
        data = drain(self._connection)
        if data:
            try:
                sent = self._sock.send(data)
                if sent < len(data):
                    self._sock.sendall(data[sent:])
            except OSError:
                pass  # what the peer sent before it went away says more
        return bool(data)

    def facts(self) -> TlsFacts:
        """What the handshake agreed."""
        judge = self.judge
        peer, version = None, None
        if judge.presented is not None and judge.leaf is not None:
            peer, version = judge.leaf.verified, judge.presented.version
        return TlsFacts(
            version=version or self.version,
            cipher=self._connection.get_cipher_name() or "",
            group=group_of(self._connection),
            sni=self.sni,
            identity=judge.admission.identity or "",
            peer=peer,
            own=self._connection.get_context().get_app_data() or "",
        )

    def presented(self) -> tuple[bytes, ...]:
        """The certificates that the peer sent, as DER, leaf first; () for none."""
        chain = self.judge.chain
        return presented_by_peer(self._connection, chain[0] if chain else b"")

    def requested(self) -> tuple[str, ...] | None:
        """The CAs that the peer's CertificateRequest named (RFC 4514); None where it asked for none."""
        if not self.judge.asked:
            return None
        return tuple(map(spelled, (name.der() for name in self._connection.get_client_ca_list())))

    def encrypt(self, data: bytes) -> bytes:
        """The records that carry ``data``; b"" once the session is over."""
        return encrypt(self._connection, data)

    def farewell(self) -> bytes:
        """The close_notify record."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            return b""
        return drain(self._connection)

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
        connection, records = self._connection, self._records
        barren = 0
        try:
            feed(connection, self._fill())
            while not (data := decrypt(connection)):
                if records.whole:
                    self._answer()
                    barren += 1
                    if barren > BARREN:
                        raise Ended(f"over {BARREN} TLS records in a row without data")
                feed(connection, self._fill())
        except SSL.ZeroReturnError:
            raise Ended("closed by the peer") from None
        except SSL.Error as error:
            self._answer()
            if not self.confirmed and self.judge.alert_received is not None:
                raise HandshakeError(reasons=reasons_of(error)) from None
            raise Ended(f"TLS failed: {'; '.join(reasons_of(error)) or 'closed'}") from None
        if not self.confirmed:
            self.confirmed = True
            if self.on_confirmed is not None:
                self.on_confirmed()
        return data

    def _fill(self) -> bytes:
        try:
            data = self._records.take()
        except OSError as error:
            if not self.confirmed:
                raise HandshakeError("reset") from None
            raise Ended(f"connection lost: {error.strerror or error}") from None
        if not data:
            raise Ended("closed by the peer without close_notify")
        return data

    def _answer(self) -> None:
        # A key update or an alert of ours, not part of any message.
        data = drain(self._connection)
        if data:
            self.write(data)


def receive(sock: socket.socket) -> bytes:
    """The next bytes of a handshake; HandshakeError at its end or reset."""
    try:
        readable(sock)
        data: bytes = sock.recv(_HANDSHAKE_READ)
    except OSError:
        raise HandshakeError("reset") from None
    if not data:
        raise HandshakeError("eof")
    return data


def plain_alert(number: int) -> bytes:
    """A fatal alert record in the clear, as before any ServerHello (RFC 8446 6)."""
    return bytes((0x15, 3, 3, 0, 2, 2, number))


def first_record(sock: socket.socket) -> bytes:
    """The first bytes of a connection; HandshakeError where they cannot begin a ClientHello."""
    data = receive(sock)
    if data[0] != _RECORD_HANDSHAKE:
        raise HandshakeError("plain")
    return data


def read_hello(sock: socket.socket, peek: Peek, taken: bytes) -> tuple[str, bytes]:
    """The SNI and every byte read so far of a ClientHello, however it is split; HandshakeError."""
    sni = peek.feed(taken)
    while sni is None:
        if peek.failure is not None:
            raise HandshakeError(reasons=peek.failure)
        if len(taken) > HELLO_LIMIT:
            raise HandshakeError(reasons=("the ClientHello is too long",))
        data = receive(sock)
        taken += data
        sni = peek.feed(data)
    return sni, taken


def handshake_event(session: TlsSession, flow: Flow, at: float) -> Handshake:
    """The event of a handshake that ended in ``flow``; ``at`` in POSIX seconds."""
    assert flow.tls is not None and flow.trunk is not None, "an admitted TLS flow"
    chain = session.presented()
    for each in chain[1:]:
        session.judge.cache.learn(each)
    return Handshake(
        "outbound" if flow.outbound else "inbound", flow.listener, flow.trunk, flow.remote, flow.tls,
        chain, session.judge.anchor, session.requested(), at,
    )  # fmt: skip


def let_in(session: TlsSession, revocation: Revocation, handler: Handler, asked: Admitted) -> None:
    """Settle what a good handshake left open and let ``handler`` look at the peer; HandshakeError refuses it.

    Each of the two has a time limit of its own.
    """
    failure = revocation.settle(session.judge, asked.remote) or handler.objection(asked)
    if failure is not None:
        session.dismiss()
        raise HandshakeError(decided=failure)


def failed_event(
    error: HandshakeError, session: TlsSession | None, *, direction: Literal["inbound", "outbound"],
    listener: str, candidates: tuple[str, ...], remote: Address, sni: str, at: float,
    alert_sent: int | None = None,
) -> HandshakeFailed:  # fmt: skip
    """The event of one failed handshake; ``session`` is None where it failed before the context."""
    if session is None:
        evidence = Evidence(
            direction, error.decided, alert_sent=alert_sent, reasons=error.reasons,
            ended=error.ended, trunks=candidates,
        )  # fmt: skip
        return HandshakeFailed(
            direction, listener, candidates, remote, sni, classify(evidence), at, alert_sent
        )
    judge = session.judge
    who = judge.leaf.identity if judge.leaf is not None else None
    evidence = Evidence(
        direction, error.decided or judge.decided, judge.verify_code, judge.verify_depth,
        verify_text(judge.verify_code), judge.alert_sent, judge.alert_received, error.reasons,
        error.ended, candidates, who.subject if who is not None else "",
        judge.no_issuer(),
    )  # fmt: skip
    return HandshakeFailed(
        direction, listener, candidates, remote, sni, classify(evidence), at, judge.alert_sent,
        judge.alert_received, judge.verify_code, session.version, who, judge.chain,
    )  # fmt: skip
