"""Outbound: find the live connection to a trunk's peer, or open one.

A connection is used again only where trunk, transport, peer, our identity and the trust
generation are all the same (RFC 5923, and the reason for it: a connection verified for one
name must not carry another's calls). The peer is its configured name, not the address it
resolved to. Whoever asks while a dial to the same peer is under way waits for that one's
outcome instead of dialling again.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import gevent
from gevent import socket
from gevent.event import AsyncResult

from sbc.base import Address
from sbc.config.model import Listener, Trunk
from sbc.flow import Flow, ReuseKey
from sbc.net.dns.names import Names
from sbc.net.handler import Handler
from sbc.net.system.clock import Clock
from sbc.net.system.resolver import ResolveFailed, resolve
from sbc.net.system.sockets import normal_host
from sbc.net.tls.end import HandshakeError, failed_event, handshake_event
from sbc.net.tls.session import TlsSession
from sbc.net.transport import sweep
from sbc.net.transport.aliases import Aliases
from sbc.net.transport.channel import StreamChannel
from sbc.net.transport.connection import PlainSource, converse
from sbc.net.transport.dial import Dial, DialFailed
from sbc.net.transport.listener import Listeners
from sbc.net.transport.udp import UdpListener
from sbc.policy.shares import source_of
from sbc.tls.diagnosis import unresolved
from sbc.tls.events import Unreached
from sbc.tls.names import is_ip
from sbc.tls.sources import share_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from sbc.config.snapshot import Snapshot


RESOLVE_AGAIN = 60.0
# How long a peer over UDP has to take a TCP connection for what is too long for a datagram, in seconds.
STREAM_WITHIN = 1.0


class Dialer:
    """Opens and keeps the outbound connections of every trunk."""

    def __init__(self, listeners: Listeners, handler: Handler, clock: Clock, names: Names) -> None:
        self._listeners = listeners
        self._names = names
        self._handler = handler
        self._clock = clock
        self._live: dict[ReuseKey, Flow] = {}
        self._found_at: dict[ReuseKey, float] = {}  # when the name behind a live UDP flow was looked up
        self._dialling: dict[tuple[ReuseKey, Address | None], AsyncResult[Flow]] = {}
        self._flows: dict[int, Flow] = {}
        # The last UDP flow to each peer, also to one that has left its trunk.
        self._by_udp: dict[ReuseKey, Flow] = {}
        # The newest connection to an address, in whosever name it was dialled.
        self._by_address: dict[ReuseKey, Flow] = {}
        self._recycler = listeners.recycler
        self._aliases = Aliases(listeners, clock)
        self._sweep: gevent.Greenlet | None = None

    def start(self) -> None:
        """Begin to keep connections alive."""
        self._sweep = gevent.spawn(sweep.run, self._clock, self._channels, self._handler.in_use)

    def close(self) -> None:
        """Close every outbound connection once what was sent has gone out."""
        if self._sweep is not None:
            self._sweep.kill(block=False)
        for flow in list(self._flows.values()):
            flow.channel.close("shutting down")

    @property
    def flows(self) -> list[Flow]:
        """Every outbound TCP and TLS flow."""
        return list(self._flows.values())

    def recycle(self, flow: Flow, reason: str) -> None:
        """Close ``flow`` as soon as nothing is lost with it; nothing new goes over it."""
        self._recycler.add(flow, reason)

    def lookup(
        self, trunk: Trunk, snapshot: Snapshot, peers: Sequence[Address] = (), near: Sequence[Address] = ()
    ) -> Flow | None:
        """The live flow to the first of ``peers`` that has one, without switching; None where there is none.

        ``peers`` are all of the trunk's where none are given; an address that is none of them is where a
        request of the trunk came from. With ``near`` only a flow to one of these addresses (port 0: any)
        will do, of whichever peer.
        """
        if near:
            keys = {self._key(trunk, snapshot, peer) for peer in trunk.peers}
            usable = [flow for flow in self._flows.values() if flow.reuse in keys and self._usable(flow)]
            return next((flow for each in near for flow in usable if _is_at(flow.remote, each)), None)
        for peer in peers or trunk.peers:
            key = self._key(trunk, snapshot, peer)
            live = (self._live if peer in trunk.peers else self._by_address).get(key)
            if live is not None and self._usable(live):
                # A name behind a UDP flow is looked up again now and then; a connection stays where it is.
                if live.reliable or self._clock.monotonic() - self._found_at[key] < RESOLVE_AGAIN:
                    return live
            if trunk.alias and (shared := self._aliases.find(trunk, key, self._domain_of(trunk, key))):
                return shared
            if key.transport == "udp" and is_ip(peer.host):
                with contextlib.suppress(DialFailed):  # ``connect`` will say why
                    return self._open_udp(trunk, key, peer)
        return None

    def _domain_of(self, trunk: Trunk, key: ReuseKey) -> Address:
        """Whose name a certificate is held to at the target of ``key``: its own, or its domain's."""
        for each in trunk.domains:
            if self._names.had(each, key.transport, key.target):
                return each
        return key.target

    def _usable(self, flow: Flow) -> bool:
        return flow.alive and flow.id not in self._recycler.leaving

    def connect(
        self, trunk: Trunk, snapshot: Snapshot, peers: Sequence[Address] = (), near: Sequence[Address] = ()
    ) -> Flow:
        """A flow to the trunk: a live one, or ``peers`` dialled in order; DialFailed.

        With ``near`` those of these addresses (port 0: any) that are a peer's are dialled before.
        """
        flow = self.lookup(trunk, snapshot, peers, near)
        if flow is not None:
            return flow
        if why := self._listeners.contexts.snapshot.why_quarantined(trunk.trunk):
            raise DialFailed(f"trunk {trunk.trunk} is quarantined: {why}")
        if near:
            return self._connect_near(trunk, snapshot, near) or self.connect(trunk, snapshot, peers)
        failed: DialFailed | None = None
        for peer in peers or trunk.peers:
            try:
                return self._dial_once(trunk, snapshot, peer)
            except DialFailed as error:
                failed = error
        raise failed or DialFailed(f"trunk {trunk.trunk} has no peers")

    def _connect_near(self, trunk: Trunk, snapshot: Snapshot, near: Sequence[Address]) -> Flow | None:
        """A flow to the first of these addresses that is one of the trunk's peers' and can be had."""
        found: list[tuple[Address, Address]] = []
        for peer in trunk.peers:
            with contextlib.suppress(DialFailed):
                found += [(address, peer) for address in self._addresses(trunk, snapshot, peer)]
        for address, peer in [pair for each in near for pair in found if _is_at(pair[0], each)]:
            with contextlib.suppress(DialFailed):
                return self._dial_once(trunk, snapshot, peer, address)
        return None

    def apply(self, snapshot: Snapshot) -> None:
        """Drop flows to peers that are no longer trusted; flows of an older generation retire when idle.

        So do those to peers that their trunk has no more; until then nothing begins on them.
        """
        self._by_udp = {key: flow for key, flow in self._by_udp.items() if key.trunk in snapshot.trunks}
        for key, flow in self._by_udp.items():
            flow.former = self._is_former(flow, key, snapshot)
        self._live = {key: flow for key, flow in self._live.items() if flow.reliable and flow.alive}
        self._found_at.clear()
        for flow in list(self._flows.values()):
            assert flow.reuse is not None
            key = flow.reuse
            flow.former = self._is_former(flow, key, snapshot)
            if key.trunk not in snapshot.trunks or not self._still_trusted(flow, key):
                flow.channel.close("its trust was withdrawn")
            elif key.trunk in snapshot.disabled:
                self._recycler.add(flow, f"trunk {key.trunk} is disabled")
            elif snapshot.trust_generations[key.trunk] != key.trust_generation:
                self._recycler.add(flow, "its trunk's trust or certificate has changed since")
            elif flow.former:
                self._recycler.add(flow, f"its peer is none of trunk {key.trunk}'s any more")
            else:
                self._recycler.spare(flow)

    def _is_former(self, flow: Flow, key: ReuseKey, snapshot: Snapshot) -> bool:
        """Whether ``flow`` was dialled to whom its trunk neither calls any more nor is called by."""
        trunk = snapshot.trunks.get(key.trunk)
        if trunk is None or share_addresses((flow.remote.host.partition("%")[0],), trunk.sources):
            return False
        if any(self._names.had(each, key.transport, flow.remote) for each in trunk.domains):
            return False
        either = key.target.host, flow.remote.host
        if any(peer.host in either for peer in trunk.peers if peer not in trunk.domains):
            return False
        # What is too long for a datagram went beside it, to an address and not to the peer by its name.
        return key.transport == snapshot.settings.listeners[trunk.listener].transport

    def _leave_former_servers(self) -> None:
        """Leave connections to servers that a domain has had no more for long."""
        snapshot = self._listeners.contexts.snapshot
        for flow in self._flows.values():
            key = flow.reuse
            if key is None or key.target.port or is_ip(key.target.host) or flow.former:
                continue
            if self._is_former(flow, key, snapshot):
                flow.former = True
                self._recycler.add(flow, f"{key.target.host} has it no more, says DNS")

    def _still_trusted(self, flow: Flow, key: ReuseKey) -> bool:
        if flow.tls is None:
            return True
        admission = self._listeners.contexts.table.outbound(key.trunk, key.target.host)
        session: TlsSession = flow.channel.cipher
        if admission is session.judge.admission:
            return True  # of the same table: nothing has changed since it was judged
        return admission is not None and session.readmit(key.trunk, admission, self._clock.now())

    def _key(self, trunk: Trunk, snapshot: Snapshot, peer: Address) -> ReuseKey:
        transport = snapshot.settings.listeners[trunk.listener].transport
        # A call keeps the rules that it began under; whom we trust and who we are is always of now.
        current = self._listeners.contexts.snapshot
        current = current if trunk.trunk in current.trunks else snapshot
        tls = current.trunks[trunk.trunk].tls
        identity = tls.client_identity if tls is not None else ""
        return ReuseKey(trunk.trunk, transport, peer, identity, current.trust_generations[trunk.trunk])

    def _dial_once(
        self, trunk: Trunk, snapshot: Snapshot, peer: Address, place: Address | None = None
    ) -> Flow:
        """A flow to ``peer``, at ``place`` where one is given; who asks for the same meanwhile shares it."""
        key = self._key(trunk, snapshot, peer)
        return self._share(key, place, lambda: self._dial(trunk, snapshot, key, place))

    def stream(self, trunk: Trunk, snapshot: Snapshot, place: Address) -> Flow:
        """A TCP connection to where the datagrams of a trunk over UDP go; DialFailed, soon."""
        key = self._key(trunk, snapshot, place)._replace(transport="tcp")
        live = self._by_address.get(key)
        if live is not None and self._usable(live):
            return live
        config = snapshot.settings.listeners[trunk.listener]
        return self._share(key, place, lambda: self._connected(trunk, config, key, place, STREAM_WITHIN))

    def _share(self, key: ReuseKey, place: Address | None, dial: Callable[[], Flow]) -> Flow:
        under_way = self._dialling.get((key, place))
        if under_way is not None:
            flow: Flow = under_way.get()
            return flow
        result = self._dialling[key, place] = AsyncResult()
        try:
            flow = dial()
        except DialFailed as error:
            result.set_exception(error)
            raise
        except BaseException:
            result.set_exception(DialFailed("the dial was given up"))
            raise
        else:
            result.set(flow)
            return flow
        finally:
            del self._dialling[key, place]

    def _dial(self, trunk: Trunk, snapshot: Snapshot, key: ReuseKey, place: Address | None) -> Flow:
        failed: DialFailed | None = None
        config = snapshot.settings.listeners[trunk.listener]
        if key.target not in trunk.peers:
            target, place = self._in_whose_name(trunk, snapshot, key.target)
            key = key._replace(target=target)
        for address in (place,) if place is not None else self._found(trunk, snapshot, key):
            try:
                return self._open(trunk, config, key, address)
            except DialFailed as error:
                failed = error
        raise failed or DialFailed(f"{key.target} has no address")

    def _found(self, trunk: Trunk, snapshot: Snapshot, key: ReuseKey) -> list[Address]:
        """The addresses of the peer; where it has none, whoever keeps watch of its trust is told."""
        try:
            return self._addresses(trunk, snapshot, key.target)
        except DialFailed as error:
            if key.transport == "tls" and error.failure is not None:
                target, now = key.target, self._clock.now()
                self._handler.on_unreached(
                    Unreached(trunk.trunk, trunk.listener, str(target), target.host, error.failure, now)
                )
            raise

    def _in_whose_name(
        self, trunk: Trunk, snapshot: Snapshot, peer: Address
    ) -> tuple[Address, Address | None]:
        """Who is dialled at ``peer``, and the address that is meant where that is a name; DialFailed.

        A server of a domain is dialled in the domain's name (RFC 5922 4), and a caller's own address as the
        peer that lives there. One that is no peer's shows a certificate for the trunk's ``names``, or where
        it is for its address no name may be what the trunk is known by.
        """
        domain = self._domain_of(trunk, self._key(trunk, snapshot, peer))
        if domain != peer:
            return domain, peer
        for each in trunk.peers:
            with contextlib.suppress(DialFailed):
                if any(address.host == peer.host for address in self._addresses(trunk, snapshot, each)):
                    return (Address(each.host, peer.port) if each.port else each), peer
        if (
            trunk.tls is not None
            and not trunk.tls.names
            and not all(is_ip(each.host) for each in trunk.peers)
        ):
            raise DialFailed(f"{peer}: no peer of trunk {trunk.trunk} is there, and it has no names")
        return peer, None

    def _addresses(self, trunk: Trunk, snapshot: Snapshot, peer: Address) -> list[Address]:
        """The addresses of a peer within the trunk's dial timeout; DialFailed."""
        try:
            with gevent.Timeout(trunk.dial_timeout):
                if peer.port or is_ip(peer.host):
                    return resolve(peer)
                return self._names.find(trunk, peer, snapshot.settings.listeners[trunk.listener].transport)
        except ResolveFailed as error:
            why = str(error)
        except gevent.Timeout:
            why = f"{peer.host} did not resolve within {trunk.dial_timeout:g} s"
        raise DialFailed(why, unresolved(why))

    def _open(self, trunk: Trunk, config: Listener, key: ReuseKey, address: Address) -> Flow:
        if key.transport == "udp":
            return self._open_udp(trunk, key, address)
        return self._connected(trunk, config, key, address, trunk.dial_timeout)

    def _connected(
        self, trunk: Trunk, config: Listener, key: ReuseKey, address: Address, limit: float
    ) -> Flow:
        contexts, stats = self._listeners.contexts, self._listeners.tally.of(trunk.listener, "outbound")
        dial = Dial(trunk, key, address, contexts, self._handler, self._clock, stats)
        sock, session = dial.run(config, self._listeners.dscp, limit)
        return self._begin(trunk, config, key, address, sock, session)

    def _open_udp(self, trunk: Trunk, key: ReuseKey, address: Address) -> Flow:
        endpoint = self._listeners.endpoint(trunk.listener)
        if not isinstance(endpoint, UdpListener):
            raise DialFailed(f"listener {trunk.listener} is not bound")
        try:
            flow = endpoint.flow_to(address, trunk.trunk)
        except OSError as error:
            raise DialFailed(f"{key.target}: {error.strerror or error}") from None
        flow.former = False
        if key.target in trunk.peers:  # not of a domain's servers, which come and go
            self._live[key] = self._by_udp[key] = flow
            self._found_at[key] = self._clock.monotonic()
        return flow

    def _begin(
        self, trunk: Trunk, config: Listener, key: ReuseKey, address: Address,
        sock: socket.socket, session: TlsSession | None,
    ) -> Flow:  # fmt: skip
        at = self._clock.monotonic()
        channel = StreamChannel(sock, session, at)
        host, port = sock.getsockname()[:2]
        flow = Flow(
            self._listeners.next_id(), key.transport, Address(normal_host(host), port), address,
            listener=trunk.listener, trunk=trunk.trunk, tls=session.facts() if session is not None else None,
            outbound=True, reuse=key, opened_at=at, channel=channel,
            allowance=self._listeners.allowances.of(trunk.trunk, source_of(address.host), at),
        )  # fmt: skip
        channel.flow = flow
        revoked = session.judge.revoked(self._clock.now()) if session is not None else None
        if revoked is not None or not self._still_trusted(flow, key):
            channel.finish("its trust was withdrawn while it was dialled")
            raise DialFailed(f"{key.target}: its trust was withdrawn while it was dialled")
        if session is not None:
            session.write = channel.put
        self._live[key] = self._flows[flow.id] = self._by_address[key._replace(target=address)] = flow
        self._listeners.tally.of(flow.listener, "outbound").open += 1
        if session is not None:
            self._when_confirmed(session, flow)
        self._handler.on_open(flow)
        gevent.spawn(self._serve, flow, key, config, sock, session)
        return flow

    def _when_confirmed(self, session: TlsSession, flow: Flow) -> None:
        def tell() -> None:
            self._handler.on_handshake(handshake_event(session, flow, self._clock.now()))

        if session.confirmed:
            tell()
        else:
            session.on_confirmed = tell

    def _serve(
        self, flow: Flow, key: ReuseKey, config: Listener, sock: socket.socket, session: TlsSession | None
    ) -> None:
        reason = "an internal error"
        try:
            plain = PlainSource(sock) if session is None else None
            source = session if plain is None else plain
            assert source is not None
            stats = self._listeners.tally.of(flow.listener, "outbound")
            reason = converse(flow, source, self._handler, config.max_message, stats)
            if plain is not None and not plain.heard and flow.channel.is_open():
                reason += " before it said anything: it may want TLS on that port"
        except HandshakeError as error:
            assert session is not None
            event = failed_event(
                error, session, direction="outbound", listener=flow.listener,
                candidates=(key.trunk,), remote=flow.remote, sni=session.sni, at=self._clock.now(),
            )  # fmt: skip
            reason = str(event.failure)
            self._handler.on_handshake_failed(event)
        finally:
            flow.alive, flow.ended = False, reason
            flow.channel.finish(reason)
            del self._flows[flow.id]
            self._listeners.tally.of(flow.listener, "outbound").open -= 1
            for index, at in ((self._live, key), (self._by_address, key._replace(target=flow.remote))):
                if index.get(at) is flow:
                    del index[at]
            self._handler.on_close(flow, reason)

    def _channels(self) -> Iterator[tuple[StreamChannel, float, bool]]:
        self._leave_former_servers()
        for flow in self._flows.values():
            bound = self._listeners.endpoint(flow.listener)
            idle = bound.config.idle_timeout if bound is not None else 0.0
            yield flow.channel, idle, flow.id not in self._recycler.leaving


def _is_at(address: Address, wanted: Address) -> bool:
    return address.host == wanted.host and wanted.port in (0, address.port)
