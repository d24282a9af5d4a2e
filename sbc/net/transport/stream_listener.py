"""A TCP or TLS listener: accept, admit, shake hands, converse.

Refusing costs nothing: an address that is blocked, unknown or over a limit is reset before
any greenlet or OpenSSL object is made for it. The handshake limit counts from accept and
covers everything up to the admitted peer, so a peer that sends a byte a second holds a slot
for so long and no longer. No address and no trunk has all the slots (shares.py).
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Container
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import gevent
from gevent import socket

from sbc.base import Address, LocalError, is_wildcard
from sbc.config.entrances import entrances
from sbc.config.model import Listener
from sbc.flow import Allowances, Flow
from sbc.net.handler import Handler
from sbc.net.system.clock import Clock
from sbc.net.system.sockets import bind, family_of, normal_host, reset, step_aside
from sbc.net.system.turn import Turn, discard
from sbc.net.tls.contexts import Contexts
from sbc.net.tls.end import HandshakeError, failed_event, handshake_event, plain_alert
from sbc.net.tls.hello import read_hello
from sbc.net.tls.session import STEPS, TlsSession
from sbc.net.transport.balancers import Balancers
from sbc.net.transport.channel import StreamChannel
from sbc.net.transport.connection import PlainSource, converse
from sbc.net.transport.recycle import Recycler
from sbc.net.transport.refusals import STRANGER, Gate, Refusals
from sbc.observe.traffic import Stats
from sbc.policy.acl import why
from sbc.policy.shares import Party, Shares, source_of
from sbc.tls.admission import Admission
from sbc.tls.diagnosis import quarantined, unknown_sni
from sbc.tls.events import Admitted, HandshakeFailed
from sbc.tls.failure import Failure

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot

_OUT_OF_DESCRIPTORS = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
_LINGER = 0.5
# Seconds in a row: what is accepted has still to be begun, which takes several times as long.
_ACCEPTING: Final = 0.001
_monotonic = time.monotonic
UNRECOGNIZED_NAME, INTERNAL_ERROR = 112, 80


class StreamListener:
    """Accepts on one bound socket; one greenlet for each connection."""

    def __init__(
        self, name: str, config: Listener, snapshot: Snapshot, contexts: Contexts, handler: Handler,
        clock: Clock, ids: Callable[[], int], stats: Stats, recycler: Recycler, allowances: Allowances,
        gate: Gate | None = None, succeeds: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.config = config
        self._stats = stats
        self.flows: dict[int, Flow] = {}
        self._snapshot = snapshot
        self._alone = _is_alone(name, snapshot)
        self.contexts = contexts
        self._handler = handler
        self.clock = clock
        self._ids = ids
        self._recycler = recycler
        self._allowances = allowances
        self._gate = gate
        self._refusals = Refusals(name, handler, clock)
        self._connections = Shares(
            "connections are open", "connections", "connections_per_source", "connections_per_peer"
        )
        self._handshakes = Shares(
            "handshakes are in flight", "handshakes_in_flight", "handshakes_per_source", "handshakes_per_peer"
        )
        self.sock = bind(name, config, succeeds, snapshot.settings.dscp.sip)
        self.local = Address(*self.sock.getsockname()[:2])
        host = normal_host(self.local.host)
        self._reached = Address(host, self.local.port) if not is_wildcard(host) else None
        self._family = family_of(config.bind.host)
        self._balancers = Balancers(config.proxy_protocol, self._unwrapped)
        self._greenlet: gevent.Greenlet | None = None

    def start(self) -> None:
        """Begin to accept."""
        self._greenlet = gevent.spawn(self._accept)

    def close(self, reason: str = "the listener is closed") -> None:
        """Stop accepting and close every connection once what was sent has gone out."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
        step_aside(self.sock)
        self.sock.close()
        for flow in list(self.flows.values()):
            flow.channel.close(reason)

    def apply(self, snapshot: Snapshot, config: Listener) -> None:
        """Admit by the new snapshot from now on; flows that it no longer admits are closed.

        Those that were shown another certificate than they would be shown now are recycled.
        """
        self._snapshot, self.config = snapshot, config
        self._balancers.apply(config.proxy_protocol)
        self._alone = _is_alone(self.name, snapshot)
        self._refusals.forget()
        for flow in list(self.flows.values()):
            if not self._readmitted(flow):
                flow.channel.close("its trust was withdrawn")
            elif flow.trunk in snapshot.disabled:
                self._recycler.add(flow, f"trunk {flow.trunk} is disabled")

    def cut(self, source: str, proven: Container[Flow]) -> None:
        """Close the connections of ``source``, an address as it counts, but those that are ``proven``."""
        for flow in [each for each in self.flows.values() if source_of(each.remote.host) == source]:
            if not flow.trusted and flow not in proven:
                flow.channel.close("its address is blocked")

    def _readmitted(self, flow: Flow) -> bool:
        if flow.tls is None or flow.trunk is None:
            self._recycler.spare(flow)
            trunk = self._snapshot.trunk_for(self.name, flow.remote.host)
            return trunk == flow.trunk and not self._bars(flow.remote, trunk)
        admission = self.contexts.table.admit(self.name, flow.remote.host, flow.tls.sni)
        session: TlsSession = flow.channel.cipher
        if self._bars(flow.remote, flow.trunk):
            return False
        if admission is session.judge.admission:
            return True  # of the same table: nothing has changed since it was judged
        if admission is None or not session.readmit(flow.trunk, admission, self.clock.now()):
            return False
        if self.contexts.shown(admission) != flow.tls.own:
            self._recycler.add(flow, "another certificate of ours is in use now")
        elif session.judge.led_anew:
            self._recycler.add(flow, "its CA is trusted by another certificate now")
        elif session.judge.unsettled:
            self._recycler.add(flow, "its trunk demands more about revocation now")
        else:
            self._recycler.spare(flow)
        return True

    def _bars(self, remote: Address, trunk: str | None) -> bool:
        """Whether the access list does not let in a peer of ``trunk`` at ``remote``, or any more."""
        return self._snapshot.shuts_out(self.name, remote.host, trunk or "", self.clock.now())

    def _accept(self) -> None:
        turn, idle = Turn(_ACCEPTING), False
        while True:
            try:
                if idle:
                    turn.wait(self.sock)
                # As the kernel has it: a socket for gevent costs three times the accepting.
                descriptor, peer = self.sock._accept()
            except BlockingIOError:
                idle = True
                continue
            except OSError as error:
                if error.errno in _OUT_OF_DESCRIPTORS:
                    self._refusals.note(self.local, f"cannot accept: {error.strerror}")
                    gevent.sleep(0.1)
                elif self.sock.closed:
                    return
            else:  # otherwise the peer gave up while it was in the queue
                self._arrived(descriptor, Address(normal_host(peer[0]), peer[1]))
            idle = False
            if _monotonic() > turn.end:
                turn.share()

    def _arrived(self, descriptor: int, remote: Address) -> None:
        """Admit it as itself, or as whom a balancer says it passes on."""
        if not self.config.proxy_protocol or not self._balancers.names(remote.host):
            self._admit(descriptor, remote)
        elif not self._balancers.unwrap(descriptor, remote, self.config):
            self._stats.accepted += 1
            self._stats.crowded += 1
            self._refuse(descriptor, remote, "too many connections wait for their PROXY header")

    def _unwrapped(self, descriptor: int, remote: Address, wrong: str) -> None:
        """``remote`` is whom a balancer has passed on, or the balancer itself; or what is ``wrong``."""
        if self.sock.closed:
            reset(descriptor)
        elif wrong:
            self._stats.accepted += 1
            self._refuse(descriptor, remote, wrong)
        else:
            self._admit(descriptor, remote)

    def _admit(self, descriptor: int, remote: Address) -> None:
        self._stats.accepted += 1
        if self._gate is not None and self._gate.blocked(remote.host):
            self._stats.refused += 1  # and no line: there was one when it was blocked
            reset(descriptor)
            return
        config, caps = self.config, self._snapshot.settings.caps
        secure = config.transport == "tls"
        if secure:
            trunks = self.contexts.table.candidates_by_source(self.name, remote.host)
        else:
            trunk = self._snapshot.trunk_for(self.name, remote.host)
            trunks = (trunk,) if trunk is not None else ()
        rule = None
        if self._snapshot.acl.rules:
            meant = trunks
            if trunks and not secure:
                meant = self._snapshot.meant_by(remote.host, trunks[0])
            rule = self._snapshot.barred(self.name, remote.host, meant, self.clock.now())
        if rule is not None or not trunks:
            self._refuse(descriptor, remote, why(rule) if rule is not None else STRANGER)
            return
        off = self._snapshot.disabled
        if off and all([each in off for each in trunks]):
            self._refuse(descriptor, remote, f"trunk {trunks[0]} is disabled: {off[trunks[0]]}")
            return
        party = Party(source_of(remote.host), trunks)
        objection = self._objection(
            self._connections, party, config.connections, caps.connections_per_source,
            caps.connections_per_peer,
        )  # fmt: skip
        if objection is None and secure:
            objection = self._objection(
                self._handshakes, party, config.handshakes_in_flight, caps.handshakes_per_source,
                caps.handshakes_per_peer,
            )  # fmt: skip
        if objection is not None:
            self._stats.crowded += 1
            self._refuse(descriptor, remote, objection)
            return
        # Counted here: a burst of accepts comes before any of their greenlets runs.
        self._connections.take(party)
        if secure:
            self._handshakes.take(party)
            self._stats.in_flight += 1
        sock = socket.socket(self._family, socket.SOCK_STREAM, 0, fileno=descriptor)
        gevent.spawn(self._serve, sock, remote, party)

    def _objection(self, places: Shares, party: Party, total: int, most: int, named: int) -> str | None:
        """Why ``party`` gets no place: its address has ``most``, or ``named`` if a trunk names it singly.

        That is never more than half of all: another host of the same trunk has to have something left.
        """
        by, named = "", min(named, total // 2)
        if named > most and self._gate is not None and places.of_source(party.source) >= most:
            by = self._gate.named(party.source)
        return places.objection(party, total, named if by else most, self._alone, by)

    def _refuse(self, descriptor: int, remote: Address, reason: str) -> None:
        self._stats.refused += 1
        reset(descriptor)
        if reason is STRANGER:
            self._refusals.stranger(remote, self._snapshot)
        else:
            self._refusals.note(remote, reason)

    def _serve(self, sock: socket.socket, remote: Address, party: Party) -> None:
        snapshot = self._snapshot
        try:
            if self.config.transport == "tcp":
                trunk = snapshot.trunk_for(self.name, remote.host)
                if trunk is not None:
                    self._converse(sock, remote, trunk, None, snapshot)
                return
            secured = self._handshake(sock, remote, party)
            if secured is not None:
                # Whose it is, is known now.
                self._connections.give(party)
                party = Party(party.source, (secured[0],))
                self._connections.take(party)
                self._converse(sock, remote, *secured, snapshot)
        finally:
            self._connections.give(party)
            sock.close()

    def _handshake(self, sock: socket.socket, remote: Address, party: Party) -> tuple[str, TlsSession] | None:
        attempt = _Attempt(self, sock, remote, party.trunks)
        error: HandshakeError
        try:
            with gevent.Timeout(self.config.handshake_timeout):
                trunk, session = attempt.run()
            asked = Admitted("inbound", self.name, trunk, remote, session.facts)
            self.contexts.let_in(session, self._handler, asked)
            return trunk, session
        except gevent.Timeout:
            error = HandshakeError("timeout")
        except HandshakeError as failed:
            error = failed
        except OSError:
            error = HandshakeError("reset")
        except LocalError as local:
            remedy = "correct the identity and reload"
            error = HandshakeError(decided=Failure("no-identity", str(local), remedy))
        finally:
            self._handshakes.give(party)
            self._stats.in_flight -= 1
        # Those that say nothing are all given up at once.
        STEPS.run(self._give_up, attempt, error, sock)
        del error  # its traceback leads here: a circle that would keep the session until the collector comes
        # Our alert is still on its way; closing with input unread would reset it away.
        with gevent.Timeout(_LINGER, False):
            discard(sock)
        STEPS.run(sock.close)
        return None

    def _give_up(self, attempt: _Attempt, error: HandshakeError, sock: socket.socket) -> None:
        self._handler.on_handshake_failed(attempt.event(error, self.clock.now()))
        with suppress(OSError):
            sock.shutdown(socket.SHUT_WR)

    def _converse(
        self, sock: socket.socket, remote: Address, trunk: str, session: TlsSession | None, former: Snapshot
    ) -> None:
        """Serve a peer that was admitted under ``former``, or a later snapshot."""
        at = self.clock.monotonic()
        unwelcome = self._unwelcome(remote, trunk, session is not None)
        local = self._reached or Address(normal_host(sock.getsockname()[0]), self.local.port)
        channel = StreamChannel(sock, session, at)
        flow = Flow(
            self._ids(), self.config.transport, local, remote, listener=self.name, trunk=trunk,
            tls=session.facts() if session is not None else None, opened_at=at, channel=channel,
            allowance=self._allowances.of(trunk, source_of(remote.host), at),
        )  # fmt: skip
        channel.flow = flow
        if session is not None:
            session.write = channel.put
        if unwelcome:  # its address alone did not say whose it is
            self._stats.refused += 1
            self._refusals.note(remote, unwelcome)
            channel.finish(unwelcome)
            return
        reason = "an internal error"
        withdrawn = former is not self._snapshot and not self._readmitted(flow)
        if withdrawn or (session is not None and session.judge.revoked(self.clock.now())):
            # A reload or a revocation withdrew its trust while it shook hands.
            channel.finish("its trust was withdrawn")
            return
        self.flows[flow.id] = flow
        self._stats.open += 1
        try:
            event = handshake_event(session, flow, self.clock.now()) if session is not None else None
            self._handler.on_open(flow)
            if event is not None:
                self._handler.on_handshake(event)
            source = session if session is not None else PlainSource(sock)
            reason = converse(flow, source, self._handler, self.config.max_message, self._stats)
        finally:
            flow.alive, flow.ended = False, reason
            channel.finish(reason)
            del self.flows[flow.id]
            self._stats.open -= 1
            self._handler.on_close(flow, reason)

    def _unwelcome(self, remote: Address, trunk: str, secure: bool) -> str:
        """Why whoever turns out to be of ``trunk`` is not served after all; "" where it is."""
        off = self._snapshot.disabled.get(trunk)
        if off is not None:
            return f"trunk {trunk} is disabled: {off}"
        if not secure or not self._snapshot.acl.tenants or not self._bars(remote, trunk):
            return ""
        meant = self._snapshot.meant_by(remote.host, trunk)
        rule = self._snapshot.barred(self.name, remote.host, meant, self.clock.now())
        return why(rule) if rule is not None else ""


class _Attempt:
    """One inbound handshake and what is known of it so far, for the event if it fails."""

    __slots__ = ("_listener", "_remote", "_session", "_sni", "_sock", "_trunks")

    def __init__(
        self, listener: StreamListener, sock: socket.socket, remote: Address, trunks: tuple[str, ...]
    ) -> None:
        self._listener = listener
        self._sock = sock
        self._remote = remote
        self._session: TlsSession | None = None
        self._sni = ""
        self._trunks = trunks

    def run(self) -> tuple[str, TlsSession]:
        """Read the name where names matter, admit, shake hands; HandshakeError or LocalError."""
        listener, contexts = self._listener, self._listener.contexts
        self._sni, hello = read_hello(self._sock, contexts.table.by_name)
        admission = contexts.table.admit(listener.name, self._remote.host, self._sni)
        if admission is None:
            raise self._nobody()
        self._trunks = admission.names
        session = self._session = STEPS.run(self._begin, admission, hello)
        try:
            trunk = session.establish()
        finally:
            self._sni = session.learn_name()
        self._trunks = (trunk,)
        return trunk, session

    def _begin(self, admission: Admission, hello: bytes) -> TlsSession:
        connection, judge = self._listener.contexts.open(admission, self._listener.clock.now())
        return TlsSession(self._sock, connection, judge, self._sni, hello)

    def _nobody(self) -> HandshakeError:
        contexts = self._listener.contexts
        stopped = contexts.table.quarantined(self._listener.name, self._remote.host, self._sni)
        alert = INTERNAL_ERROR if stopped else UNRECOGNIZED_NAME
        self._sock.sendall(plain_alert(alert))
        if stopped:
            self._trunks = stopped
            decided = quarantined(stopped, contexts.snapshot.why_quarantined(stopped[0]))
        else:
            decided = unknown_sni(self._sni, self._trunks, contexts.table.domains(self._trunks))
        return HandshakeError(decided=decided, alert=alert)

    def event(self, error: HandshakeError, at: float) -> HandshakeFailed:
        """The event that reports ``error``."""
        return failed_event(
            error, self._session, direction="inbound", listener=self._listener.name, candidates=self._trunks,
            remote=self._remote, sni=self._sni, at=at,
            entrances=entrances(self._listener.contexts.snapshot.settings),
        )  # fmt: skip


def _is_alone(listener: str, snapshot: Snapshot) -> bool:
    """Whether there is one trunk at most that may connect."""
    return sum(trunk.listener == listener and bool(trunk.sources) for trunk in snapshot.trunks.values()) < 2
