"""A UDP listener: one socket, one greenlet that takes many datagrams for each wake.

A datagram from an address that no trunk of the listener admits is counted and dropped
before a byte of it is parsed. Each admitted peer has one Flow, cached by address; the cache
is bounded, and an evicted Flow goes on working for whoever still holds it, because all of
them write to the one socket.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gevent
from gevent import socket

from sbc.base import Address
from sbc.config.model import Listener
from sbc.flow import Flow
from sbc.net.handler import Handler
from sbc.net.system.clock import Clock
from sbc.net.system.sockets import bind, normal_host
from sbc.net.system.turn import Turn
from sbc.sip.parse import ParseError, parse_message

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot

DATAGRAM = 65535
BATCH = 64
FLOWS = 8192
STRANGERS = 8192
_KEEPALIVES = (b"\r\n\r\n", b"\r\n", b"\x00\x00\x00\x00", b"")


@dataclass(slots=True)
class UdpStats:
    """Counts of one UDP listener since it was bound."""

    received: int = 0
    unknown_source: int = 0
    malformed: int = 0
    keepalives: int = 0
    unsent: int = 0


class UdpChannel:
    """Writes datagrams to one peer through the listener's socket."""

    __slots__ = ("_endpoint", "_peer", "reason")

    def __init__(self, endpoint: UdpListener, peer: tuple[Any, ...]) -> None:
        self._endpoint = endpoint
        self._peer = peer
        self.reason: str | None = None

    def send(self, data: bytes) -> None:
        """Send one datagram; dropped, as UDP may, where the kernel's buffer is full."""
        try:
            self._endpoint.raw.sendto(data, self._peer)
        except OSError:
            self._endpoint.stats.unsent += 1

    def close(self, reason: str) -> None:
        """Remember why the flow is over; the socket is the listener's and stays."""
        self.reason = reason


class UdpListener:
    """Receives on one bound socket and knows a Flow for each admitted peer."""

    def __init__(
        self, name: str, config: Listener, snapshot: Snapshot, handler: Handler, clock: Clock,
        ids: Callable[[], int], succeeds: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.config = config
        self.stats = UdpStats()
        self._snapshot = snapshot
        self._handler = handler
        self._clock = clock
        self._ids = ids
        self._flows: OrderedDict[tuple[Any, ...], Flow] = OrderedDict()
        self._dialled: dict[tuple[tuple[Any, ...], str], Flow] = {}
        self._strangers: set[str] = set()
        self.sock = bind(name, config, succeeds)
        self.raw: Any = self.sock._sock
        self.local = Address(*self.sock.getsockname()[:2])
        self._greenlet: gevent.Greenlet | None = None

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
        self._dialled.clear()
        for peer, flow in former.items():
            owner = snapshot.trunk_for(self.name, normal_host(peer[0]))
            if owner == flow.trunk or (flow.outbound and owner is None and flow.trunk in snapshot.trunks):
                self._flows[peer] = flow
            else:
                flow.alive = False
                flow.channel.close("no longer admitted by its address")
                self._handler.on_close(flow, "no longer admitted by its address")

    def flow_to(self, target: Address, trunk: str) -> Flow:
        """The flow over which ``trunk`` is reached at ``target`` (a literal IP)."""
        peer = socket.getaddrinfo(target.host, target.port, self.sock.family, socket.SOCK_DGRAM)[0][4]
        flow = self._flows.get(peer)
        if flow is not None and flow.trunk == trunk:
            return flow
        if flow is None and self._snapshot.trunk_for(self.name, normal_host(peer[0])) in (None, trunk):
            flow = self._new_flow(peer, trunk, outbound=True)
            self._remember(peer, flow)
            return flow
        # The address speaks for another trunk: what it sends stays that one's.
        flow = self._dialled.get((peer, trunk))
        if flow is None:
            flow = self._dialled[peer, trunk] = self._new_flow(peer, trunk, outbound=True)
        return flow

    def _run(self) -> None:
        recvfrom, turn = self.raw.recvfrom, Turn()
        while True:
            turn.wait(self.sock)
            for _ in range(BATCH):
                try:
                    data, peer = recvfrom(DATAGRAM)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # an ICMP error of an earlier send
                self._receive(data, peer)
                turn.share()

    def _receive(self, data: bytes, peer: tuple[Any, ...]) -> None:
        self.stats.received += 1
        flow = self._flows.get(peer)
        if flow is not None:
            self._flows.move_to_end(peer)
        else:
            flow = self._admit(peer)
            if flow is None:
                self.stats.unknown_source += 1
                return
        if len(data) <= 4 and data in _KEEPALIVES:
            self.stats.keepalives += 1
        else:
            self._parse(flow, data)

    def _parse(self, flow: Flow, data: bytes) -> None:
        try:
            message = parse_message(data)
        except ParseError as error:
            self.stats.malformed += 1
            self._handler.on_malformed(flow, error)
        else:
            self._handler.on_message(flow, message)

    def _admit(self, peer: tuple[Any, ...]) -> Flow | None:
        host = normal_host(peer[0])
        if host in self._strangers:
            return None
        trunk = self._snapshot.trunk_for(self.name, host)
        if trunk is None:
            # Kept apart from the flows, so that a flood from forged addresses evicts nobody.
            if len(self._strangers) >= STRANGERS:
                self._strangers.clear()
            self._strangers.add(host)
            return None
        flow = self._new_flow(peer, trunk)
        self._remember(peer, flow)
        return flow

    def _new_flow(self, peer: tuple[Any, ...], trunk: str, outbound: bool = False) -> Flow:
        remote = Address(normal_host(peer[0]), peer[1])
        return Flow(
            self._ids(), "udp", self.local, remote,
            listener=self.name, trunk=trunk, outbound=outbound, opened_at=self._clock.now(),
            channel=UdpChannel(self, peer),
        )  # fmt: skip

    def _remember(self, peer: tuple[Any, ...], flow: Flow) -> None:
        self._flows[peer] = flow
        if len(self._flows) > FLOWS:
            self._flows.popitem(last=False)
