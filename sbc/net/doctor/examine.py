"""Dialling a trunk's peer to find out what is wrong: ``sbc doctor``.

Each address is dialled as the SBC dials it, with its identity, its trust and the whole check; over what
that admits goes one OPTIONS, which also waits for a peer that judges our certificate late (TLS 1.3).
Then it is dialled once more without verification, only to look (look.py).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from typing import Any, Literal

import gevent
from gevent import socket
from gevent.pool import Pool

from sbc.b2bua.leg import Leg, local_address
from sbc.b2bua.probe import options
from sbc.base import Address, LocalError, PeerError
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow, ReuseKey
from sbc.ids import Ids
from sbc.net.dns.ask import Asker
from sbc.net.dns.names import AT_ONCE, Name, search
from sbc.net.doctor.look import Look, Only, chain_facts, seen
from sbc.net.doctor.probe import offers
from sbc.net.revocation.inquiry import Revocation
from sbc.net.source import Ended
from sbc.net.system.clock import Clock
from sbc.net.system.resolver import ResolveFailed, resolve
from sbc.net.system.sockets import connect, normal_host
from sbc.net.tls.contexts import Contexts
from sbc.net.tls.end import HandshakeError, failed_event
from sbc.net.tls.session import TlsSession
from sbc.observe.examination import Ours, PeerReport, Seen, Visit
from sbc.sip.message import Response, serialize
from sbc.sip.stream import MessageStream
from sbc.tls.judge import Judge
from sbc.tls.match import Admission
from sbc.tls.material.authorities import chain_ders, issuers_of
from sbc.tls.names import is_ip, matching_name
from sbc.tls.revocation.policy import SoftPass

ANSWER_WITHIN = 5.0
# How long DNS may take to name the servers of a domain: the SBC asks ahead, and its calls do not wait for it.
LOCATED_WITHIN = 30.0
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
    """Examines the peers of one trunk of a snapshot; nothing of it touches a running SBC.

    ``probing`` asks each for all versions and groups that it takes, which is a handful of handshakes more.
    """

    def __init__(self, snapshot: Snapshot, trunk: Trunk, clock: Clock, *, probing: bool = False) -> None:
        self._probing = probing
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
        return Ours(
            name,
            chain_facts(chain_ders(identity.chain_pem), self._contexts.certificates),
            issuers_of(identity.chain_pem),
        )

    def examine(self, peer: Address) -> PeerReport:
        """What every address of ``peer`` shows."""
        try:
            with gevent.Timeout(self._trunk.dial_timeout if peer.port else LOCATED_WITHIN):
                addresses = resolve(peer) if peer.port or is_ip(peer.host) else self._located(peer)
        except ResolveFailed as error:
            return PeerReport(str(peer), trouble=str(error))
        except gevent.Timeout:
            trouble = f"{peer.host} did not resolve in time"
            return PeerReport(str(peer), trouble=trouble)
        visits = tuple(self._visit(peer, each) for each in addresses[:_MOST_ADDRESSES])
        return PeerReport(str(peer), visits)

    def _located(self, domain: Address) -> list[Address]:
        """Where the servers of a domain are, by what DNS says now; ResolveFailed."""
        asker = Asker(lambda: self._snapshot.settings.dns.servers)
        found = search(Name(domain.host, self._listener.transport), asker, Pool(AT_ONCE))
        if not found.targets:
            why = found.failure or "; ".join(found.remarks)
            raise ResolveFailed(f"{domain.host} has no server in DNS: {why}")
        return [each.address for each in found.targets]

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
        looked, trouble = self._look(peer, address, admission)
        found = None
        if self._probing and looked is not None:
            found = offers(looked, lambda only: self._look(peer, address, admission, only))
        return Visit(
            str(address), milliseconds, looked=looked, look_trouble=trouble, offers=found, **verified
        )

    def _connect(self, address: Address) -> socket.socket:
        limit = self._trunk.dial_timeout
        with gevent.Timeout(limit, TimeoutError(0, f"nothing within {limit:g} s")):
            return connect(address, self._listener.bind.host, self._snapshot.settings.dscp.sip)

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
            known = self._contexts.certificates
            found["seen"] = seen(connection, session.presented(), session.requested(), known)
            found["anchor"] = judge.anchor or ""
            found["name"] = self._name(judge, peer)
            if (failure := self._contexts.revocation.objection(judge, address)) is not None:
                raise HandshakeError(decided=failure)
            found["doubts"] = tuple(self._doubts.passes)
            found["answer"], found["silence"] = self._ask(session, sock, peer, address)
        except HandshakeError as error:
            failure = failed_event(
                error, session, direction="outbound", listener=self._trunk.listener,
                candidates=(self._trunk.trunk,), remote=address, sni=sni, at=self._clock.now(),
            ).failure  # fmt: skip
            # Whoever reads it here has asked the doctor, and of a bare HOST:PORT there is no trunk to name.
            remedy = failure.remedy.partition("; `sbc doctor ")[0]
            found["failure"] = dataclasses.replace(failure, remedy=remedy)
        return found

    def _name(self, judge: Judge, peer: Address) -> str:
        """Which of the expected names the peer's certificate carries; "" for none."""
        tls, presented = self._trunk.tls, judge.presented
        if tls is None or presented is None:
            return ""
        sans, expected = presented.leaf.identity.sans, tls.names or (peer.host,)
        return matching_name(sans, expected, tls.name_match, presented.excluded) or ""

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
        leg = Leg("b", trunk, flow, local_address(self._listener, trunk, flow), trunk.scheme, peer)
        ids = self._ids
        return serialize(options(leg, ids.branch(), ids.tag(), ids.call_id()))

    def _look(
        self, peer: Address, address: Address, admission: Admission, only: Only | None = None
    ) -> tuple[Seen | None, str]:
        """What the peer shows to whoever comes, and why that handshake did not finish either."""
        try:
            sock = self._connect(address)
        except OSError as error:
            return None, error.strerror or str(error)
        sni = "" if is_ip(peer.host) else peer.host
        look = Look(self._snapshot, self._contexts.certificates, admission, sni, self._clock.now(), only)
        trouble = ""
        try:
            with gevent.Timeout(self._trunk.dial_timeout, HandshakeError("timeout")):
                look.shake(sock)
        except HandshakeError as error:
            trouble = str(error)
        finally:
            sock.close()
        return look.seen(), trouble


def _answer(session: TlsSession) -> tuple[str, str]:
    stream = MessageStream()
    while True:
        for item in stream.feed(session.read()):
            session.turn.share()
            if isinstance(item, Response) and item.status >= 200:
                return f"{item.status} {item.reason}", ""
            if isinstance(item, PeerError):
                return "", f"what the peer says is no SIP: {item.reason}"
