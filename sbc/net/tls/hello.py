"""A ClientHello, before there is a context for the handshake: whether it is one, and the name in it.

The SNI must be known before the context is chosen, because neither verify mode nor versions
nor groups follow when a context is exchanged in an SNI callback: a throwaway connection reads
the ClientHello and stops at its certificate callback, and the bytes are replayed into the
real one.
"""

from __future__ import annotations

from typing import Any

from gevent import socket
from OpenSSL import SSL

from sbc.base import LocalError
from sbc.net.system.turn import readable
from sbc.net.tls.end import HELLO_LIMIT, HandshakeError, attend, drain, info_callback, reasons_of

_HANDSHAKE_READ = 16384
_RECORD_HANDSHAKE = 0x16

_lib: Any = SSL._lib
_ffi: Any = SSL._ffi
# Kept for the life of the process: OpenSSL holds the bare function pointer.
_stop_callback = _ffi.callback("int (*)(SSL *, void *)", lambda _ssl, _arg: -1, error=-1)


def _peek_context() -> SSL.Context:
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_options(SSL.OP_NO_TICKET)
    _lib.SSL_CTX_set_cert_cb(context._context, _stop_callback, _ffi.NULL)
    _lib.SSL_CTX_set_info_callback(context._context, info_callback)
    return context


_PEEK = _peek_context()


def read_hello(sock: socket.socket, by_name: bool) -> tuple[str, bytes]:
    """The SNI and every byte read so far of a ClientHello, however it is split; HandshakeError.

    Where it is not to be told ``by_name`` who is meant, its first bytes will do, and the SNI is "".
    """
    taken = receive(sock)
    if taken[0] != _RECORD_HANDSHAKE:
        raise HandshakeError("plain", first=taken)
    if not by_name:
        return "", taken
    peek = Peek()
    sni = peek.feed(taken)
    while sni is None:
        if peek.failure is not None:
            if peek.answer:
                sock.sendall(peek.answer)
            raise HandshakeError(reasons=peek.failure, first=taken, alert=peek.alert_sent)
        if len(taken) > HELLO_LIMIT:
            raise HandshakeError(reasons=("the ClientHello is too long",))
        data = receive(sock)
        taken += data
        sni = peek.feed(data)
    return sni, taken


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


class Peek:
    """Reads a ClientHello, however it is split, as far as its SNI.

    ``failure`` holds the reasons and ``answer`` OpenSSL's own alert where it is none that
    any of our contexts could accept.
    """

    __slots__ = ("__weakref__", "_connection", "alert_received", "alert_sent", "answer", "failure")

    def __init__(self) -> None:
        self._connection = SSL.Connection(_PEEK, None)
        attend(self._connection, self)
        self._connection.set_accept_state()
        self.failure: tuple[str, ...] | None = None
        self.answer = b""
        self.alert_sent: int | None = None
        self.alert_received: int | None = None

    def feed(self, data: bytes) -> str | None:
        """Take the next bytes; the SNI ("" for none) once known, None while incomplete or failed."""
        connection = self._connection
        connection.bio_write(data)
        try:
            connection.do_handshake()
        except SSL.WantX509LookupError:
            name = connection.get_servername()
            return "" if name is None else name.decode("ascii", "replace")
        except SSL.WantReadError:
            return None
        except SSL.Error as error:
            self.failure = reasons_of(error)
            self.answer = drain(connection)
            return None
        raise LocalError("a ClientHello was answered without a certificate")
