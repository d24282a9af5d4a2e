"""Dialling a trunk's peer to find out what is wrong: ``sbc doctor``.

Each address is dialled as the SBC dials it, with its identity, its trust and the whole check; over what
that admits goes one OPTIONS, which also waits for a peer that judges our certificate late (TLS 1.3).
Then it is dialled once more without verification, only to look: what the peer presents, which CAs it
names, what it staples. On that connection nothing is sent but the handshake, and of ours it sees no
certificate.
"""

from __future__ import annotations

import contextlib
import os
from typing import Any, Literal

import gevent
from gevent import socket
from OpenSSL import SSL

from sbc.b2bua.leg import Leg, local_address
from sbc.b2bua.probe import options
from sbc.base import Address, LocalError, PeerError
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow, ReuseKey
from sbc.ids import Ids
from sbc.net.clock import Clock
from sbc.net.connection import Ended
from sbc.net.contexts import Contexts
from sbc.net.judge import group_of, version_of
from sbc.net.resolver import ResolveFailed, resolve
from sbc.net.revocation import Revocation
from sbc.net.sockets import connect, normal_host
from sbc.net.tls_context import (
    drain,
    observe,
    open_session,
    presented_by_peer,
    reasons_of,
)
from sbc.net.tls_session import HandshakeError, TlsSession, failed_event, receive
from sbc.observe.examination import CertificateFacts, Ours, PeerReport, Seen, Visit
from sbc.sip.message import Response
from sbc.sip.serialize import serialize
from sbc.sip.stream import MessageStream
from sbc.tls.authorities import chain_ders, issuers_of
from sbc.tls.certificate import Certificate
from sbc.tls.names import is_ip, matching_name
from sbc.tls.revocation.finding import Unusable
from sbc.tls.revocation.issuer import read_issuer
from sbc.tls.revocation.link import read_link
from sbc.tls.revocation.ocsp import read_answer
from sbc.tls.revocation.policy import SoftPass
from sbc.tls.trust import Admission

ANSWER_WITHIN = 5.0
_MOST_ADDRESSES = 8


class _Doubts:
    """Hears of certificates that a soft trunk lets pass, though nothing says that they are not revoked."""

    def __init__(self) -> None:
        self.passes: list[str] = []

    def soft_pass(self, event: SoftPass) -> None:
        """A certificate of which too little is known was let pass."""
        self.passes.append(f"{event.subject}: {event.found.reason}")

    def revocation(self, level: Literal["INF", "WRN", "ERR"], fields: dict[str, Any], now: float) -> None:
        """What becomes of a source; it is told with the certificate that needs it."""


class Examiner:
    """Examines the peers of one trunk of a snapshot; nothing of it touches a running SBC."""

    def __init__(self, snapshot: Snapshot, trunk: Trunk, clock: Clock) -> None:
        self._snapshot = snapshot
        self._trunk = trunk
        self._clock = clock
        self._listener = snapshot.settings.listeners[trunk.listener]
        self._doubts = _Doubts()
        self._contexts = Contexts(snapshot, Revocation(clock, self._doubts))
        self._ids = Ids(os.urandom)

    def ours(self) -> Ours | None:
        """What we show to the peers of the trunk; None for nothing."""
        tls = self._trunk.tls
        name = self._snapshot.shown_to(self._trunk.trunk, tls.client_identity) if tls is not None else "none"
        identity = self._snapshot.identities.get(name)
        if identity is None:
            return None
        return Ours(name, self._facts(chain_ders(identity.chain_pem)), issuers_of(identity.chain_pem))

    def examine(self, peer: Address) -> PeerReport:
        """What every address of ``peer`` shows."""
        try:
            with gevent.Timeout(self._trunk.dial_timeout):
                addresses = resolve(peer)
        except ResolveFailed as error:
            return PeerReport(str(peer), trouble=str(error))
        except gevent.Timeout:
            trouble = f"{peer.host} did not resolve within {self._trunk.dial_timeout:g} s"
            return PeerReport(str(peer), trouble=trouble)
        visits = tuple(self._visit(peer, each) for each in addresses[:_MOST_ADDRESSES])
        return PeerReport(str(peer), visits)

    def _visit(self, peer: Address, address: Address) -> Visit:
        admission = self._contexts.table.outbound(self._trunk.trunk, peer.host)
        if admission is None:
            raise LocalError(f"trunk {self._trunk.trunk} is quarantined: `sbc check` says why")
        begun = self._clock.monotonic()
        try:
            sock = self._connect(address)
        except OSError as error:
            return Visit(str(address), trouble=error.strerror or str(error))
        milliseconds = (self._clock.monotonic() - begun) * 1000
        try:
            verified = self._verified(sock, peer, address, admission)
        finally:
            sock.close()
        looked, trouble = self._look(peer, address)
        return Visit(str(address), milliseconds, looked=looked, look_trouble=trouble, **verified)

    def _connect(self, address: Address) -> socket.socket:
        limit = self._trunk.dial_timeout
        with gevent.Timeout(limit, TimeoutError(0, f"nothing within {limit:g} s")):
            return connect(address, self._listener.bind.host)

    # As the SBC does it

    def _verified(
        self, sock: socket.socket, peer: Address, address: Address, admission: Admission
    ) -> dict[str, Any]:
        sni = "" if is_ip(peer.host) else peer.host
        connection, judge = self._contexts.open(admission, self._clock.now(), sni)
        session = TlsSession(sock, connection, judge, sni)
        self._doubts.passes.clear()
        found: dict[str, Any] = {}
        try:
            with gevent.Timeout(self._trunk.dial_timeout, HandshakeError("timeout")):
                session.establish()
            found["seen"] = self._seen(connection, session.requested())
            found["anchor"] = judge.anchor or ""
            sans = judge.leaf.identity.sans if judge.leaf is not None else ()
            tls = self._trunk.tls
            expected = tls.names if tls is not None and tls.names else (peer.host,)
            found["name"] = (
                matching_name(sans, expected, tls.name_match if tls is not None else "rfc5922") or ""
            )
            self._contexts.revocation.settle(judge, address)
            found["doubts"] = tuple(self._doubts.passes)
            found["answer"], found["silence"] = self._ask(session, sock, peer, address)
        except HandshakeError as error:
            found["failure"] = failed_event(
                error, judge, direction="outbound", listener=self._trunk.listener,
                candidates=(self._trunk.trunk,), remote=address, sni=sni, at=self._clock.now(),
            ).failure  # fmt: skip
        return found

    def _ask(
        self, session: TlsSession, sock: socket.socket, peer: Address, address: Address
    ) -> tuple[str, str]:
        """The status line of the answer to OPTIONS, or why there is none; HandshakeError, told late."""
        with contextlib.suppress(OSError):  # where the peer is gone already, its alert says more
            sock.sendall(session.encrypt(self._options(session, sock, peer, address)))
        try:
            with gevent.Timeout(ANSWER_WITHIN):
                return _answer(session)
        except gevent.Timeout:
            return "", f"nothing within {ANSWER_WITHIN:g} s"
        except Ended as ended:
            return "", str(ended)

    def _options(self, session: TlsSession, sock: socket.socket, peer: Address, address: Address) -> bytes:
        host, port = sock.getsockname()[:2]
        trunk, facts = self._trunk, session.facts()
        key = ReuseKey(trunk.trunk, "tls", peer, facts.identity, "")
        flow = Flow(
            1, "tls", Address(normal_host(host), port), address, listener=trunk.listener, trunk=trunk.trunk,
            tls=facts, outbound=True, reuse=key,
        )  # fmt: skip
        leg = Leg("b", trunk, flow, local_address(self._listener, trunk, flow), trunk.scheme)
        ids = self._ids
        return serialize(options(leg, ids.branch(), ids.tag(), ids.call_id()))

    # Only to look

    def _look(self, peer: Address, address: Address) -> tuple[Seen | None, str]:
        admission = self._contexts.table.outbound(self._trunk.trunk, peer.host)
        assert admission is not None, "it was there a moment ago"
        staples: list[bytes] = []
        context = _blind_context(staples)
        sni = "" if is_ip(peer.host) else peer.host
        connection, judge = open_session(
            context, admission, self._contexts.certificates, self._clock.now(), "client", sni
        )
        connection.request_ocsp()
        trouble = ""
        try:
            sock = self._connect(address)
        except OSError as error:
            return None, error.strerror or str(error)
        try:
            with gevent.Timeout(self._trunk.dial_timeout, HandshakeError("timeout")):
                _shake(sock, connection)
        except HandshakeError as error:
            trouble = str(error)
        finally:
            sock.close()
        requested = TlsSession(sock, connection, judge, sni).requested()
        seen = self._seen(connection, requested, staples[0] if staples else b"")
        return (seen, trouble) if seen.chain else (None, trouble)

    # What was seen

    def _seen(
        self, connection: SSL.Connection, requested: tuple[str, ...] | None, staple: bytes = b""
    ) -> Seen:
        chain = presented_by_peer(connection)
        cipher = connection.get_cipher_name() or ""
        words = self._judge_staple(chain, staple) if staple else "none"
        return Seen(
            version_of(connection), cipher, group_of(connection), self._facts(chain), requested, words
        )

    def _judge_staple(self, chain: tuple[bytes, ...], staple: bytes) -> str:
        try:
            link = read_link(chain[0], read_issuer(self._issuer(chain)))
            answer = read_answer(staple, link, self._clock.now(), lambda _serial: False)
        except Unusable as error:
            return f"{error.reason}; {error.remedy}"
        if not answer.fresh(self._clock.now()):
            return "it is out of date"
        return answer.state if answer.state == "good" else f"it says that the certificate is {answer.state}"

    def _issuer(self, chain: tuple[bytes, ...]) -> bytes:
        """The certificate that issued the leaf: the next one sent, or one of the truststore."""
        known = self._contexts.certificates
        issuer = known.read(chain[0]).identity.issuer
        trusted = (der for anchor in self._snapshot.anchors.values() for der in anchor.certificates)
        for der in (*chain[1:], *trusted):
            if known.read(der).identity.subject == issuer:
                return der
        raise Unusable(f"the certificate of {issuer}, which signs it, is not there", "let the peer send it")

    def _facts(self, chain: tuple[bytes, ...]) -> tuple[CertificateFacts, ...]:
        facts = []
        for der in chain:
            try:
                facts.append(_facts_of(self._contexts.certificates.read(der)))
            except PeerError as error:
                facts.append(CertificateFacts(f"({error.reason})", "", (), 0.0, 0.0, (), False))
        return tuple(facts)


def _answer(session: TlsSession) -> tuple[str, str]:
    stream = MessageStream()
    while True:
        for item in stream.feed(session.read()):
            if isinstance(item, Response) and item.status >= 200:
                return f"{item.status} {item.reason}", ""
            if isinstance(item, PeerError):
                return "", f"what the peer says is no SIP: {item.reason}"


def _facts_of(certificate: Certificate) -> CertificateFacts:
    who = certificate.identity
    marks = (("clients", certificate.client_auth), ("servers", certificate.server_auth))
    return CertificateFacts(
        who.subject, who.issuer, who.sans, who.not_before, who.not_after,
        tuple(name for name, allowed in marks if allowed), certificate.is_ca,
    )  # fmt: skip


def _blind_context(staples: list[bytes]) -> SSL.Context:
    """A context that verifies nobody, accepts whatever OpenSSL can speak and shows no certificate."""

    def on_staple(_connection: SSL.Connection, staple: bytes, _data: object) -> bool:
        staples.append(staple)
        return True

    context = SSL.Context(SSL.TLS_METHOD)
    context.set_cipher_list(b"ALL:@SECLEVEL=0")
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.set_ocsp_client_callback(on_staple)
    observe(context, "outbound")
    return context


def _shake(sock: socket.socket, connection: SSL.Connection) -> None:
    """Handshake to its end, whoever it is; HandshakeError."""
    while True:
        try:
            connection.do_handshake()
            return
        except SSL.WantReadError:
            sock.sendall(drain(connection))
        except (SSL.Error, SSL.SysCallError) as error:
            raise HandshakeError(reasons=reasons_of(error)) from None
        connection.bio_write(receive(sock))
