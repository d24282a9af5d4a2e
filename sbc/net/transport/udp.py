"""A UDP listener: one socket, one greenlet that takes many datagrams for each wake.

A datagram from an address that no trunk of the listener admits is counted and dropped
before a byte of it is parsed. Each admitted peer has one Flow, cached by address; the cache
is bounded, and an evicted Flow goes on working for whoever still holds it, because all of
them write to the one socket. On ``0.0.0.0`` or ``::`` whoever wrote to one of our addresses is answered from
it, and who writes to several has a Flow for each. What is over a peer's allowance is dropped unparsed as
well: nobody can be made to wait here, and who sent it will send it again.
"""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Callable, Container
from typing import TYPE_CHECKING, Any

import gevent

from sbc.base import Address, is_wildcard
from sbc.config.model import Listener
from sbc.flow import Allowances, Flow
from sbc.net.handler import Handler
from sbc.net.system.clock import Clock
from sbc.net.system.packet_info import Ancillary, ask_where, leaving, receive
from sbc.net.system.sockets import bind, datagram_peer, normal_host, own_address, turn_away
from sbc.net.system.turn import Turn
from sbc.net.transport.refusals import Gate, Refusals
from sbc.observe.traffic import Stats
from sbc.policy.acl import why
from sbc.policy.shares import source_of
from sbc.sip.grammar import find_param
from sbc.sip.message import Message, Request
from sbc.sip.parse import ParseError, parse_message

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot

DATAGRAM = 65535
BATCH = 64
FLOWS = 8192
STRANGERS = 8192
DEFAULT_PORT = 5060
# What the few octets are made of by which a NAT is kept open.
_KEEPALIVE = b"\r\n\0"


class UdpChannel:
    """Writes datagrams to one peer through the listener's socket."""

    __slots__ = ("_from", "endpoint", "peer", "reason")

    def __init__(self, endpoint: UdpListener, peer: tuple[Any, ...], leaving: Ancillary) -> None:
        self.endpoint = endpoint
        self.peer = peer
        self._from = leaving  # which of our addresses it writes from, where the socket has several
        self.reason: str | None = None

    def send(self, data: bytes) -> None:
        """Send one datagram; dropped, as UDP may, where the kernel's buffer is full."""
        try:
            if self._from:
                self.endpoint.raw.sendmsg((data,), self._from, 0, self.peer)
            else:
                self.endpoint.raw.sendto(data, self.peer)
        except OSError:
            self.endpoint.stats.unsent += 1

    def move(self, endpoint: UdpListener, peer: tuple[Any, ...], leaving: Ancillary) -> None:
        """From now on write through another listener's socket."""
        self.endpoint, self.peer, self._from = endpoint, peer, leaving

    def close(self, reason: str) -> None:
        """Remember why the flow is over; the socket is the listener's and stays."""
        self.reason = reason


class UdpListener:
    """Receives on one bound socket and knows a Flow for each admitted peer."""

    def __init__(
        self, name: str, config: Listener, snapshot: Snapshot, handler: Handler, clock: Clock,
        ids: Callable[[], int], stats: Stats, allowances: Allowances, gate: Gate | None = None,
        succeeds: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.config = config
        self.stats = stats
        self._snapshot = snapshot
        self._handler = handler
        self._clock = clock
        self._ids = ids
        self._allowances = allowances
        self._gate = gate
        self._refusals = Refusals(name, handler, clock)
        self._flows: OrderedDict[tuple[Any, ...], Flow] = OrderedDict()
        self._dialled: dict[tuple[tuple[Any, ...], str], Flow] = {}
        self._strangers: set[str] = set()
        self.sock = bind(name, config, succeeds, snapshot.settings.dscp.sip)
        self.raw: Any = self.sock._sock
        self.local = Address(*self.sock.getsockname()[:2])
        self._anywhere = is_wildcard(self.local.host)
        self._six = ":" in self.local.host
        if self._anywhere:
            ask_where(self.sock)
        self._greenlet: gevent.Greenlet | None = None
        self._successor: UdpListener | None = None
        self._retired = False

    def start(self) -> None:
        """Begin to receive."""
        self._greenlet = gevent.spawn(self._run)

    def close(self) -> None:
        """Stop receiving and close the socket."""
        if self._greenlet is not None:
            self._greenlet.kill(block=False)
        self.sock.close()

    def apply(self, snapshot: Snapshot, config: Listener) -> None:
        """Admit by the new snapshot from now on; flows that it no longer admits are closed."""
        self._snapshot, self.config = snapshot, config
        former, self._flows = self._flows, OrderedDict()
        self._strangers.clear()
        self._refusals.forget()
        dialled, self._dialled = self._dialled, {}
        for peer, flow in former.items():
            if self._still_admits(peer, flow):
                self._flows[peer] = flow
            else:
                self._end(flow)
        # Who is heard only because a trunk dialled it is heard for the next one that did.
        for (peer, _), flow in dialled.items():
            if peer not in self._flows and self._still_admits(peer, flow):
                self._flows[peer] = flow

    def cut(self, source: str, proven: Container[Flow]) -> None:
        """Know the flows of ``source``, an address as it counts, no longer, but those that are ``proven``."""
        for peer, flow in list(self._flows.items()):
            if source_of(flow.remote.host) == source and flow not in proven:
                del self._flows[peer]

    def _end(self, flow: Flow) -> None:
        flow.alive = False
        flow.channel.close("no longer admitted by its address")
        self._handler.on_close(flow, "no longer admitted by its address")

    def _still_admits(self, peer: tuple[Any, ...], flow: Flow) -> bool:
        trunk = self._snapshot.trunks.get(flow.trunk or "")
        if trunk is None:
            return False
        host, listener = normal_host(peer[0]), trunk.listener if self._retired else self.name
        # Whom we dialled has to be heard; what it begins is judged by the access list all the same.
        now = self._clock.now()
        if not flow.outbound and self._snapshot.shuts_out(listener, host, trunk.trunk, now):
            return False
        owner = self._snapshot.trunk_for(listener, host)
        return owner == flow.trunk or (flow.outbound and owner is None)

    # The end of a listener that a reload moved or removed

    def covers(self, other: UdpListener) -> bool:
        """Whether what is sent to ``other``'s address arrives here once ``other`` is gone."""
        if self.local.port != other.local.port:
            return False
        return self.local.host == other.local.host or (self._anywhere and self._six >= other._six)

    def succeed(self, other: UdpListener) -> None:
        """Take over the port of ``other`` with its flows, so that nothing of its calls is lost."""
        for key, flow in other._flows.items():
            former, flow.listener = flow.channel.peer, self.name
            peer = self._named(former)
            flow.channel.move(self, peer, self._leaving(flow.local.host))
            if key != former:
                peer = (*peer, flow.local.host)
            if self._still_admits(peer, flow):
                self._flows[peer] = flow
            else:
                self._end(flow)
        for (peer, trunk), flow in other._dialled.items():
            flow.listener = self.name
            flow.channel.move(self, self._named(peer), self._leaving(flow.local.host))
            self._dialled[self._named(peer), trunk] = flow
        other._successor = self
        gevent.spawn(other._hand_over)

    def _named(self, peer: tuple[Any, ...]) -> tuple[Any, ...]:
        """A peer of another socket as this one's would name it."""
        return (f"::ffff:{peer[0]}", peer[1], 0, 0) if self._six and len(peer) == 2 else peer

    def _hand_over(self) -> None:
        """Read what has arrived already for whoever succeeds, and close."""
        turn_away(self.sock)
        with contextlib.suppress(OSError):
            while True:
                self._receive(*self._read())
        self.close()

    def retire(self, snapshot: Snapshot) -> None:
        """Take no new calls; the socket stays as long as ``wanted`` for those that know it."""
        self._retired = True
        self.apply(snapshot, self.config)

    @property
    def wanted(self) -> bool:
        """Whether a call or a transaction is still on this socket."""
        return any(
            isinstance(flow.channel, UdpChannel) and flow.channel.endpoint is self
            for flow in self._handler.in_use()
        )

    # Flows

    def flow_to(self, target: Address, trunk: str) -> Flow:
        """The flow to ``target`` (a literal IP) of ``trunk``; OSError where it cannot be reached."""
        peer = datagram_peer(target, self.local)
        flow = self._flows.get(peer)
        if flow is not None and not self._leaves_from(flow):
            # What it began goes on from where it wrote to; what we begin, from where the way goes now.
            self._flows[(*peer, flow.local.host)] = self._flows.pop(peer)
            flow = None
        if flow is not None and flow.trunk == trunk:
            return flow
        if flow is None and self._snapshot.trunk_for(self.name, normal_host(peer[0])) in (None, trunk):
            flow = self._new_flow(peer, trunk, outbound=True)
            self._remember(peer, flow)
            return flow
        # The address speaks for another trunk: what it sends stays that one's.
        flow = self._dialled.get((peer, trunk))
        if flow is None or not self._leaves_from(flow):
            flow = self._dialled[peer, trunk] = self._new_flow(peer, trunk, outbound=True)
        return flow

    def _leaves_from(self, flow: Flow) -> bool:
        """Whether what we begin leaves from the address that ``flow`` tells its peer."""
        if not self._anywhere:
            return True
        try:
            return own_address(flow.channel.peer) == flow.local.host
        except OSError:  # no descriptor is left to ask with, or there is no way now: nothing better is known
            return True

    def _leaving(self, host: str) -> Ancillary:
        return leaving(host, self._six) if self._anywhere else []

    def _read(self) -> tuple[bytes, tuple[Any, ...], str]:
        if self._anywhere:
            return receive(self.raw, DATAGRAM)
        return (*self.raw.recvfrom(DATAGRAM), "")

    def _run(self) -> None:
        read, turn = self._read, Turn()
        while not self.sock.closed:
            turn.wait(self.sock)
            for _ in range(BATCH):
                try:
                    data, peer, here = read()
                except BlockingIOError:
                    break
                except OSError:
                    if self.sock.closed:
                        return
                    continue  # an ICMP error of an earlier send
                self._receive(data, peer, here)
                turn.share()

    def _receive(self, data: bytes, peer: tuple[Any, ...], here: str) -> None:
        if self._successor is not None:
            self._successor._receive(data, self._successor._named(peer), here)
            return
        self.stats.received += 1
        flow = self._flow_of(peer, here)
        if flow is None:
            return
        allowance = flow.allowance
        if allowance.left >= 1.0:
            allowance.left -= 1.0
        elif not self._allowed(flow):
            return
        if len(data) > 4 or data.strip(_KEEPALIVE):
            self._parse(flow, peer, data)

    def _flow_of(self, peer: tuple[Any, ...], here: str) -> Flow | None:
        """The flow of whom ``peer`` is, who wrote to our address ``here``; None where it is not admitted."""
        key, flow = peer, self._flows.get(peer)
        if flow is not None and here and here != flow.local.host and self._anywhere:
            key = (*peer, here)  # it knows several of our addresses
            flow = self._flows.get(key)
        if flow is None:
            return self._admit(peer, here, key)
        self._flows.move_to_end(key)
        return flow

    def _allowed(self, flow: Flow) -> bool:
        """Whether one more message may come of a peer whose allowance was used up."""
        at = self._clock.monotonic()
        if flow.allowance.take(1, at):
            return True
        self.stats.held += 1
        if flow.allowance.tell(at):
            self._handler.on_flood(flow)
        return False

    def _parse(self, flow: Flow, peer: tuple[Any, ...], data: bytes) -> None:
        try:
            message = parse_message(data)
            begins = self._retired and _begins(message)
        except ParseError as error:
            error.octets = data
            self._handler.on_malformed(self._answered_on(flow, peer, error.message), error)
            return
        if begins:
            self.stats.refused += 1  # to whoever begins something, nobody is here any more
        else:
            self._handler.on_message(self._answered_on(flow, peer, message), message)

    def _answered_on(self, flow: Flow, peer: tuple[Any, ...], message: Message | None) -> Flow:
        """The flow to where a request is answered, and the call it begins goes on (RFC 3261 18.2.2).

        That is the port which its Via names, whatever it was sent from; with rport the latter (RFC 3581 4).
        """
        if not isinstance(message, Request):
            return flow
        try:
            via = message.via
        except ParseError:
            return flow  # the core refuses it
        port = via.port or DEFAULT_PORT
        if port == peer[1] or via.transport != "UDP" or find_param(via.params, "rport") is not None:
            return flow
        there = (peer[0], port, *peer[2:])
        return self._flow_of(there, flow.local.host) or flow

    def _admit(self, peer: tuple[Any, ...], here: str, key: tuple[Any, ...]) -> Flow | None:
        host = normal_host(peer[0])
        if host in self._strangers or (self._gate is not None and self._gate.blocked(host)):
            self.stats.refused += 1
            return None
        trunk = self._snapshot.trunk_for(self.name, host)
        rule = None
        if self._snapshot.acl.rules:
            meant = self._snapshot.meant_by(host, trunk) if trunk is not None else ()
            rule = self._snapshot.barred(self.name, host, meant, self._clock.now())
        if rule is not None:
            self.stats.refused += 1
            self._refusals.note(Address(host, peer[1]), why(rule))
            return None
        if trunk is None:
            # Kept apart from the flows, so that a flood from forged addresses evicts nobody.
            if len(self._strangers) >= STRANGERS:
                self._strangers.clear()
            self._strangers.add(host)
            self.stats.refused += 1
            self._refusals.stranger(Address(host, peer[1]), self._snapshot)
            return None
        try:
            flow = self._new_flow(peer, trunk, here=here)
        except OSError:  # there is no way back to it
            self.stats.unsent += 1
            return None
        self._remember(key, flow)
        return flow

    def _new_flow(self, peer: tuple[Any, ...], trunk: str, outbound: bool = False, here: str = "") -> Flow:
        remote, local = Address(normal_host(peer[0]), peer[1]), self.local
        if self._anywhere:
            local = Address(here or own_address(peer), local.port)
        at = self._clock.monotonic()
        return Flow(
            self._ids(), "udp", local, remote,
            listener=self.name, trunk=trunk, outbound=outbound, opened_at=at,
            channel=UdpChannel(self, peer, self._leaving(local.host)),
            allowance=self._allowances.of(trunk, source_of(remote.host), at),
        )  # fmt: skip

    def _remember(self, peer: tuple[Any, ...], flow: Flow) -> None:
        self._flows[peer] = flow
        if len(self._flows) > FLOWS:
            self._flows.popitem(last=False)


def _begins(message: Message) -> bool:
    """Whether a message is about nothing that has begun: no response, not of a dialog or a transaction."""
    return isinstance(message, Request) and message.method not in ("ACK", "CANCEL") and not message.to_tag
