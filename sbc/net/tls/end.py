"""One end of a TLS session on octets alone: the handshake, what is learned in it, and who was admitted.

Octets of the peer go in and octets for the peer come out; nothing here knows a socket, waits or looks at a
clock. ``sbc.net.tls.session`` moves the octets.

pyOpenSSL's own methods do what is done here below its interface for two to three times the CPU: they copy
twice, and tell "nothing yet" by an exception. Two things more need what is below. The verify callback must
be able to name its own error, so that the peer gets the alert that fits (a wrong name is bad_certificate,
not internal_error). The info callback is called some forty times a handshake, so it must drop what is no
alert before Python does any work. No callback may switch greenlets; OpenSSL's error queue is one per thread.

In TLS 1.3 a client's handshake is over before the server has looked at its certificate. So
an outbound session stays ``unconfirmed`` until the first record arrives, and what breaks it
before that is a failed handshake, not a closed connection (RFC 8446 4.4.4, 6.2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final, Literal
from weakref import ref

from OpenSSL import SSL

from sbc.base import Address
from sbc.flow import Flow, TlsFacts
from sbc.net.source import Ended
from sbc.tls.diagnosis import classify
from sbc.tls.events import Handshake, HandshakeFailed
from sbc.tls.evidence import NOWHERE, Ending, Entrances, Evidence, Offer, Ours
from sbc.tls.failure import Direction, Failure
from sbc.tls.groups import normal_group
from sbc.tls.judge import Agreed, Judge
from sbc.tls.match import Admission, match_anonymous
from sbc.tls.material.authorities import spelled
from sbc.tls.material.certificate import MAX_CHAIN

_lib: Any = SSL._lib
_ffi: Any = SSL._ffi
# What runs for each read and write has names of its own: _lib looks them up anew each time.
_ssl_read: Final = _lib.SSL_read
_ssl_write: Final = _lib.SSL_write
_buffer: Final = _ffi.buffer
_bio_read: Final = _lib.BIO_read
_bio_write: Final = _lib.BIO_write
_pending: Final = _lib.BIO_get_mem_data
# Where OpenSSL writes what came and what is to be sent, and where it tells the address of that; used up
# before anything can switch.
_SCRATCH: Final = 65536
_scratch: Final = _ffi.new("char[]", _SCRATCH)
_start: Final = _ffi.new("char **")
# A certificate that OpenSSL writes for us: a buffer of its own, for a callback runs within a read.
_certificate: Final = _ffi.new("char[]", _SCRATCH)
_bio: Final = _lib.BIO_new(_lib.BIO_s_mem())

_CB_ALERT, _CB_WRITE = 0x4000, 0x08
_SSL_OF_STORE: Final = _lib.SSL_get_ex_data_X509_STORE_CTX_idx()

# OpenSSL takes 100 KiB of certificates and a ClientHello of 128 KiB; nobody needs both.
HANDSHAKE_LIMIT = 262144

# What is kept of a handshake to explain it: a whole ClientHello, and the beginning of what a server says.
HELLO_LIMIT = 20480
_BEGINNING = 64
# A TLS 1.3 server judges our certificate last, and some do not say what they think of it.
WITHOUT_A_WORD = "closed by the peer before it said anything: it may not take our certificate"


class HandshakeError(Exception):
    """A handshake that failed: how it ended, OpenSSL's reasons, what we decided.

    ``first`` is what the peer had sent, and ``alert`` what it was told, where no session knows that yet.
    """

    def __init__(
        self, ended: Ending = "", reasons: tuple[str, ...] = (), decided: Failure | None = None,
        first: bytes = b"", alert: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(ended or "; ".join(reasons) or "refused")
        self.ended: Ending = ended
        self.reasons = reasons
        self.decided = decided
        self.first = first
        self.alert = alert


class TlsEnd:
    """One end of one session: first ``advance`` until it is over, then who was ``admitted``, then data.

    ``sni`` is the name that a client asked for, "" for none.
    """

    __slots__ = (
        "_connection",
        "_first",
        "_keep",
        "_octets",
        "confirmed",
        "judge",
        "on_confirmed",
        "over",
        "sni",
    )

    def __init__(self, connection: SSL.Connection, judge: Judge, sni: str) -> None:
        self._connection = connection
        self._octets = 0
        self.judge = judge
        self.sni = sni
        self.over = False
        self.confirmed = judge.admission.direction == "inbound"
        self._first, self._keep = b"", HELLO_LIMIT if self.confirmed else _BEGINNING
        self.on_confirmed: Callable[[], object] | None = None

    def advance(self, data: bytes = b"") -> bool:
        """Take the handshake as far as ``data`` of the peer reaches; True once it is over; HandshakeError.

        Whatever comes of it, there may be something to ``drain``: an alert too.
        """
        connection, ssl = self._connection, self._connection._ssl
        self._octets += len(data)
        if self._octets > HANDSHAKE_LIMIT:
            raise HandshakeError(reasons=("the handshake is too long",))
        if data:
            if len(self._first) < self._keep:
                self._first += data[: self._keep - len(self._first)]
            _bio_write(connection._into_ssl, data, len(data))
        result = _lib.SSL_do_handshake(ssl)
        over = self.over = bool(result > 0)
        if not over and _lib.SSL_get_error(ssl, result) != _lib.SSL_ERROR_WANT_READ:
            try:
                connection._raise_ssl_error(ssl, result)
            except SSL.Error as error:
                raise HandshakeError(reasons=reasons_of(error)) from None
        if over and self.version == "TLSv1.2":
            self.confirmed = True  # both sides have judged each other before the last Finished
        if over and self.confirmed:
            self._first = b""
        return over

    def admitted(self) -> str:
        """The trunk that the peer proved to be in a handshake that is over; HandshakeError for none."""
        judge = self.judge
        if _lib.SSL_session_reused(self._connection._ssl):  # which no context of ours permits
            raise HandshakeError(reasons=("a session was resumed",))
        if judge.presented is not None and judge.decided is None and judge.trunk is not None:
            return judge.trunk
        if judge.presented is not None or judge.admission.demands:
            raise HandshakeError(decided=judge.decided)
        verdict = match_anonymous(judge.admission, self.version, group_of(self._connection))
        if verdict.trunk is None:
            raise HandshakeError(decided=verdict.failure)
        return verdict.trunk

    def has_unread(self) -> bool:
        """Whether OpenSSL has octets of the peer that it has not looked at yet."""
        return bool(_pending(self._connection._into_ssl, _start) > 0)

    def drain(self) -> bytes:
        """What is to be sent to the peer; b"" for nothing."""
        return drain(self._connection)

    def decrypt(self, data: bytes) -> bytes:
        """The plaintext that ``data`` completes, of one record at most; b"" for none yet.

        Raises Ended, and HandshakeError for a late rejection.
        """
        connection, ssl = self._connection, self._connection._ssl
        _bio_write(connection._into_ssl, data, len(data))
        size = _ssl_read(ssl, _scratch, _SCRATCH)
        if size <= 0:
            try:
                if _lib.SSL_get_error(ssl, size) != _lib.SSL_ERROR_WANT_READ:
                    connection._raise_ssl_error(ssl, size)
            except SSL.ZeroReturnError:
                raise Ended("closed by the peer" if self.confirmed else WITHOUT_A_WORD) from None
            except SSL.Error as error:
                if not self.confirmed and self.judge.alert_received is not None:
                    raise HandshakeError(reasons=reasons_of(error)) from None
                raise Ended(f"TLS failed: {'; '.join(reasons_of(error)) or 'closed'}") from None
            return b""
        plain: bytes = _buffer(_scratch, size)[:]
        if not self.confirmed:
            self.confirmed = True
            if self.on_confirmed is not None:
                self.on_confirmed()
        return plain

    def encrypt(self, data: bytes) -> bytes:
        """The records that carry ``data``; b"" once the session is over."""
        if _ssl_write(self._connection._ssl, data, len(data)) <= 0:
            _lib.ERR_clear_error()
            return b""
        return drain(self._connection)

    def farewell(self) -> bytes:
        """The close_notify record."""
        try:
            self._connection.shutdown()
        except SSL.Error:
            return b""
        return drain(self._connection)

    # What is told of it

    @property
    def version(self) -> str:
        """The version agreed so far."""
        return version_of(self._connection)

    def learn_name(self) -> str:
        """The SNI that the peer sent, "" for none (inbound)."""
        name = self._connection.get_servername()
        self.sni = "" if name is None else name.decode("ascii", "replace")
        return self.sni

    def facts(self) -> TlsFacts:
        """What the handshake agreed."""
        judge = self.judge
        peer, version, ours = None, None, self._ours()
        if judge.presented is not None and judge.leaf is not None:
            peer, version = judge.leaf.verified, judge.presented.version
        return TlsFacts(
            version=version or self.version,
            cipher=self._connection.get_cipher_name() or "",
            group=group_of(self._connection),
            sni=self.sni,
            identity=judge.admission.identity or "",
            peer=peer,
            own=ours.thumbprint if ours is not None else "",
            revocation=judge.news or "",
        )

    def _ours(self) -> Ours | None:
        """The certificate that we show, None for none: its context has it."""
        ours: Ours | None = self._connection.get_context().get_app_data()
        return ours

    def readmit(self, trunk: str, admission: Admission, now: float) -> bool:
        """Whether the peer is still good for ``trunk`` after a reload, under ``admission``."""
        return self.judge.readmit(trunk, admission, now, self.presented)

    def presented(self) -> tuple[bytes, ...]:
        """The certificates that the peer sent, as DER, leaf first; () for none."""
        chain = self.judge.chain
        return presented_by_peer(self._connection, chain[0] if chain else b"")

    def requested(self) -> tuple[str, ...] | None:
        """The CAs that the peer's CertificateRequest named (RFC 4514); None where it asked for none."""
        if not self.judge.asked:
            return None
        return tuple(map(spelled, (name.der() for name in self._connection.get_client_ca_list())))

    def evidence(self) -> Evidence:
        """What is known of a handshake that failed, but for how it ended."""
        judge, admission = self.judge, self.judge.admission
        offer = Offer(admission.min_version, admission.groups, self._ours(), self.sni, judge.asked)
        late = self.over and not self.confirmed
        known = judge.evidence(verify_text(judge.verify_code))
        return replace(known, offer=offer, first=self._first, late=late)


def drain(connection: SSL.Connection) -> bytes:
    """What OpenSSL wants written; b"" for nothing."""
    pending = _pending(connection._from_ssl, _start)
    if pending <= 0:
        return b""
    if pending > _SCRATCH:
        whole: bytes = connection.bio_read(pending)
        return whole
    data: bytes = _buffer(_scratch, _bio_read(connection._from_ssl, _scratch, pending))[:]
    return data


def plain_alert(number: int) -> bytes:
    """A fatal alert record in the clear, as before any ServerHello (RFC 8446 6)."""
    return bytes((0x15, 3, 3, 0, 2, 2, number))


def handshake_event(session: TlsEnd, flow: Flow, at: float) -> Handshake:
    """The event of a handshake that ended in ``flow``; ``at`` in POSIX seconds."""
    assert flow.tls is not None and flow.trunk is not None, "an admitted TLS flow"
    asked, chain = session.requested(), session.presented()
    for each in chain[1:]:
        session.judge.cache.learn(each)
    return Handshake(
        "outbound" if flow.outbound else "inbound", flow.listener, flow.trunk, flow.remote, flow.tls,
        chain, session.judge.anchor, asked, at,
    )  # fmt: skip


def failed_event(
    error: HandshakeError, session: TlsEnd | None, *, direction: Direction,
    listener: str, candidates: tuple[str, ...], remote: Address, sni: str, at: float,
    entrances: Entrances = NOWHERE,
) -> HandshakeFailed:  # fmt: skip
    """The event of one failed handshake; ``session`` is None where it failed before the context."""
    if session is None:
        evidence = Evidence(direction, alert_sent=error.alert, first=error.first)
        version, code, who = "", 0, None
    else:
        judge = session.judge
        evidence = session.evidence()
        version, code = session.version, judge.verify_code
        who = judge.leaf.identity if judge.leaf is not None else None
    evidence = replace(
        evidence, decided=error.decided or evidence.decided, reasons=error.reasons, ended=error.ended,
        trunks=candidates, entrances=entrances,
    )  # fmt: skip
    return HandshakeFailed(
        direction, listener, candidates, remote, sni, classify(evidence), at, evidence.alert_sent,
        evidence.alert_received, code, version, who, evidence.chain,
    )  # fmt: skip


def open_session(
    context: SSL.Context, judge: Judge, side: Literal["server", "client"], name: bytes = b""
) -> SSL.Connection:
    """A connection on memory buffers that runs under ``context``, judged by ``judge`` and at its ``now``.

    ``name`` is the server's as a client sends it, b"" for none.
    """
    connection = SSL.Connection(context, None)
    attend(connection, judge)
    # One moment for the dates of every certificate: OpenSSL would take the machine's clock.
    _lib.X509_VERIFY_PARAM_set_time(_lib.SSL_get0_param(connection._ssl), int(judge.now))
    if side == "server":
        connection.set_accept_state()
    else:
        if name:
            connection.set_tlsext_host_name(name)
        connection.set_connect_state()
    return connection


def verify_text(code: int) -> str:
    """OpenSSL's words for a verify code."""
    text: bytes = _ffi.string(_lib.X509_verify_cert_error_string(code))
    return text.decode()


def presented_by_peer(connection: SSL.Connection, leaf: bytes = b"") -> tuple[bytes, ...]:
    """The certificates that the peer sent, as DER, leaf first; () for none; ``leaf`` where it is known."""
    if not leaf:
        certificate = _lib.SSL_get_peer_certificate(connection._ssl)
        if certificate == _ffi.NULL:
            return ()
        leaf = _der(certificate)
        _lib.X509_free(certificate)
    sent = _ders(_lib.SSL_get_peer_cert_chain(connection._ssl))[:MAX_CHAIN]
    # A client's stack begins with the leaf, a server's does not have it.
    return (leaf, *(each for each in sent if each != leaf))


def reasons_of(error: Exception) -> tuple[str, ...]:
    """OpenSSL's reason symbols, oldest first; () where the error is none of its."""
    if not error.args or not isinstance(error.args[0], (list, tuple)):
        return ()
    return tuple(str(entry[-1]) for entry in error.args[0])


# What OpenSSL's callbacks learn


def _on_verify(ok: int, store: Any) -> int:
    depth = _lib.X509_STORE_CTX_get_error_depth(store)
    if ok and depth > 0:
        return 1
    connection = _connection(_lib.X509_STORE_CTX_get_ex_data(store, _SSL_OF_STORE))
    judge = judge_of(connection)
    if judge.found_another:
        return 1
    outbound = judge.admission.direction == "outbound"
    agreed = judge.assumed
    if agreed is None:
        # A TLS 1.2 server names the group of its key only after its certificate.
        version = version_of(connection)
        agreed = Agreed(version, None if outbound and version == "TLSv1.2" else group_of(connection))
    if ok:
        code = judge.decide(_chain(store), agreed)
        if code:
            _lib.X509_STORE_CTX_set_error(store, code)
        return int(not code)
    code = _lib.X509_STORE_CTX_get_error(store)
    if judge.excuses(
        code, depth, lambda: _der(_lib.X509_STORE_CTX_get_current_cert(store)),
        lambda: _der(_lib.X509_STORE_CTX_get0_cert(store)),
    ):  # fmt: skip
        return 1
    # What a server sent is known when its chain is judged, what a client sent is not yet.
    if outbound and judge.finds_another(_ders(_lib.SSL_get_peer_cert_chain(connection._ssl)), agreed):
        return 1
    judge.refuse(code, depth, _chain(store))
    return 0


def _chain(store: Any) -> list[bytes]:
    """The chain as far as OpenSSL has built it, leaf first; over MAX_CHAIN of them: too long."""
    stack = _lib.X509_STORE_CTX_get1_chain(store)
    try:
        return _ders(stack)
    finally:
        for index in range(_lib.sk_X509_num(stack)):
            _lib.X509_free(_lib.sk_X509_value(stack, index))
        _lib.sk_X509_free(stack)


def _ders(stack: Any) -> list[bytes]:
    """The certificates of a stack as DER, MAX_CHAIN and one more at most; none where it is NULL."""
    return [_der(_lib.sk_X509_value(stack, at)) for at in range(min(_lib.sk_X509_num(stack), MAX_CHAIN + 1))]


def _der(certificate: Any) -> bytes:
    _lib.i2d_X509_bio(_bio, certificate)
    der = b""
    while (length := _bio_read(_bio, _certificate, _SCRATCH)) > 0:
        der += _buffer(_certificate, length)[:]
    return der


def version_of(connection: SSL.Connection) -> str:
    """The version agreed so far: ``TLSv1.2`` or ``TLSv1.3``."""
    return str(connection.get_protocol_version_name())


def group_of(connection: SSL.Connection) -> str:
    """The agreed key-exchange group in the configuration's spelling, "" for none."""
    return normal_group(connection.get_group_name() or "")


def attend(connection: SSL.Connection, observer: object) -> None:
    """Let ``observer`` learn what callbacks learn of the handshake; whoever runs it keeps it alive.

    The connection refers to it weakly: a circle with one that refers to the connection would keep what
    OpenSSL holds for it, tens of kilobytes, until the collector comes by.
    """
    connection.set_app_data(ref(observer))


def judge_of(connection: SSL.Connection) -> Judge:
    """Who attends to the handshake of ``connection``."""
    judge: Judge = connection.get_app_data()()
    return judge


def _connection(ssl: Any) -> SSL.Connection:
    return SSL.Connection._reverse_mapping[ssl]


def _on_info(ssl: Any, where: int, value: int) -> None:
    if where & _CB_ALERT and value & 0xFF:
        judge = judge_of(_connection(ssl))
        if where & _CB_WRITE:
            judge.alert_sent = value & 0xFF
        else:
            judge.alert_received = value & 0xFF


def _on_request(ssl: Any, _argument: Any) -> int:
    # OpenSSL asks a client for its certificate only where the server's CertificateRequest came.
    judge_of(_connection(ssl)).asked = True
    return 1


# Kept for the life of the process: OpenSSL holds the bare function pointers. What raises
# inside one counts as 0: a refusal.
verify_callback = _ffi.callback("int (*)(int, X509_STORE_CTX *)", _on_verify, error=0)
info_callback = _ffi.callback("void (*)(const SSL *, int, int)", _on_info)
request_callback = _ffi.callback("int (*)(SSL *, void *)", _on_request, error=0)
