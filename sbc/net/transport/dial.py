"""One attempt at one address of a trunk's peer: connect, and over TLS shake hands and be admitted."""

from __future__ import annotations

import gevent
from gevent import socket

from sbc.base import Address, LocalError
from sbc.config.model import Listener, Trunk
from sbc.flow import ReuseKey
from sbc.net.handler import Handler
from sbc.net.system.clock import Clock
from sbc.net.system.sockets import connect
from sbc.net.tls.contexts import Contexts
from sbc.net.tls.end import HandshakeError, failed_event
from sbc.net.tls.session import TlsSession
from sbc.observe.traffic import Stats
from sbc.tls.diagnosis import unreachable
from sbc.tls.events import Admitted, Unreached
from sbc.tls.failure import Failure
from sbc.tls.names import is_ip


class DialFailed(Exception):
    """No peer of a trunk could be reached; ``failure`` explains it where that is not ours."""

    def __init__(self, reason: str, failure: Failure | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.failure = failure


class Dial:
    """Within a time limit; what is left open after that has limits of its own."""

    __slots__ = (
        "_address",
        "_clock",
        "_contexts",
        "_handler",
        "_key",
        "_session",
        "_sock",
        "_stats",
        "_trunk",
    )

    def __init__(
        self, trunk: Trunk, key: ReuseKey, address: Address, contexts: Contexts, handler: Handler,
        clock: Clock, stats: Stats,
    ) -> None:  # fmt: skip
        self._trunk = trunk
        self._key = key
        self._address = address
        self._contexts = contexts
        self._handler = handler
        self._clock = clock
        self._stats = stats
        self._sock: socket.socket | None = None
        self._session: TlsSession | None = None

    def run(self, config: Listener, dscp: int, limit: float) -> tuple[socket.socket, TlsSession | None]:
        """The connected socket and, for TLS, its verified session within ``limit`` seconds; DialFailed."""
        error: HandshakeError
        trunk, shakes = self._trunk, self._key.transport == "tls"
        self._stats.in_flight += shakes
        try:
            with gevent.Timeout(limit):
                self._sock = connect(self._address, config.bind.host, dscp)
                if shakes:
                    self._session = self._secure(self._sock)
                    self._session.establish()
            if self._session is not None:
                facts = self._session.facts
                asked = Admitted("outbound", trunk.listener, trunk.trunk, self._address, facts)
                self._contexts.let_in(self._session, self._handler, asked)
            return self._sock, self._session
        except OSError as refused:
            raise self._unreached(refused.strerror or str(refused)) from None
        except LocalError as local:
            raise self._failed(str(local)) from None
        except gevent.Timeout:
            if self._session is None:
                raise self._unreached(f"nothing within {limit:g} s") from None
            error = HandshakeError("timeout")
        except HandshakeError as failed:
            error = failed
        except BaseException:
            self._close()
            raise
        finally:
            self._stats.in_flight -= shakes
        session = self._session
        event = failed_event(
            error, session, direction="outbound", listener=trunk.listener, candidates=(trunk.trunk,),
            remote=self._address, sni=session.sni if session is not None else "", at=self._clock.now(),
        )  # fmt: skip
        self._handler.on_handshake_failed(event)
        raise self._failed(str(event.failure), event.failure)

    def _secure(self, sock: socket.socket) -> TlsSession:
        """A session ready to handshake with the peer."""
        host = self._key.target.host
        admission = self._contexts.table.outbound(self._trunk.trunk, host)
        if admission is None:
            raise DialFailed(f"trunk {self._trunk.trunk} has no TLS policy, and its listener is TLS")
        sni = "" if is_ip(host) else host
        connection, judge = self._contexts.open(admission, self._clock.now(), sni)
        return TlsSession(sock, connection, judge, sni)

    def _unreached(self, why: str) -> DialFailed:
        failure = unreachable(why)
        if self._key.transport == "tls":
            host = self._key.target.host
            self._handler.on_unreached(
                Unreached(
                    self._trunk.trunk,
                    self._trunk.listener,
                    str(self._address),
                    host,
                    failure,
                    self._clock.now(),
                )
            )
        return self._failed(failure.detail, failure)

    def _failed(self, reason: str, failure: Failure | None = None) -> DialFailed:
        self._close()
        return DialFailed(f"{self._key.target} ({self._address}): {reason}", failure)

    def _close(self) -> None:
        if self._sock is not None:
            self._sock.close()
