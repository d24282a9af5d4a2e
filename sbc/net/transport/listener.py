"""All the listeners of a snapshot: bound together at the start, compared at each reload.

``apply`` binds what is new before it closes what is gone, and where a bind fails it undoes
the others and leaves everything as it was, so that a reload with a port in use changes
nothing. A listener whose address and transport stay keeps its socket and its connections; one
whose port is wanted under another name or address steps aside for its successor. A UDP socket has
its calls taken over by its successor, or stays, without taking new ones, until they have ended:
their peers were told its address.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Container, Iterator, Sequence
from typing import TYPE_CHECKING, TypeGuard

import gevent

from sbc.base import LocalError
from sbc.config.model import Listener
from sbc.flow import Allowances, Flow
from sbc.net.handler import Handler
from sbc.net.system.clock import Clock
from sbc.net.system.sockets import mark, step_aside, step_back
from sbc.net.tls.contexts import Contexts
from sbc.net.transport import sweep
from sbc.net.transport.channel import StreamChannel
from sbc.net.transport.recycle import Recycler
from sbc.net.transport.refusals import Gate
from sbc.net.transport.stream_listener import StreamListener
from sbc.net.transport.udp import UdpListener
from sbc.observe.traffic import Tally

if TYPE_CHECKING:
    from sbc.config.snapshot import Snapshot

Bound = UdpListener | StreamListener


class Listeners:
    """Every listening socket, and every connection that came in through one."""

    def __init__(
        self, snapshot: Snapshot, contexts: Contexts, handler: Handler, clock: Clock, tally: Tally,
        gate: Gate | None = None,
    ) -> None:  # fmt: skip
        self.contexts = contexts
        self.tally = tally
        self.recycler = Recycler(handler, clock)
        self.allowances = Allowances(snapshot.settings.caps.messages_per_flow)
        self.next_id: Callable[[], int] = itertools.count(1).__next__
        self._snapshot = snapshot
        self._handler = handler
        self._clock = clock
        self._gate = gate
        self._bound: dict[str, Bound] = {}
        self._retired: list[UdpListener] = []
        self._sweep: gevent.Greenlet | None = None

    def start(self) -> None:
        """Bind and serve every listener; LocalError, with none bound, where one cannot be."""
        self._bound = self._bind_all(self._snapshot.settings.listeners, self._snapshot)
        for each in self._bound.values():
            each.start()
        self._sweep = gevent.spawn(sweep.run, self._clock, self._channels, self._handler.in_use)

    def close(self) -> None:
        """Stop accepting and close every connection once what was sent has gone out."""
        if self._sweep is not None:
            self._sweep.kill(block=False)
        self.recycler.close()
        for each in (*self._bound.values(), *self._retired):
            each.close()
        self._bound, self._retired = {}, []

    def apply(self, snapshot: Snapshot) -> None:
        """Serve a new snapshot; LocalError, with nothing changed, where a new address cannot be bound."""
        wanted = snapshot.settings.listeners
        new = {name: each for name, each in wanted.items() if not self._kept(name, each)}
        leaving = [name for name in self._bound if name not in wanted or name in new]
        left = [*(self._bound[name] for name in leaving), *self._retired]
        fresh = self._succeed(left, new, snapshot)
        if snapshot.settings.dscp.sip != self.dscp:
            self._mark(snapshot.settings.dscp.sip)
        self._snapshot = snapshot
        self.contexts.apply(snapshot)
        self.allowances.apply(snapshot.settings.caps.messages_per_flow)
        for name in leaving:
            del self._bound[name]
        self._retired = [each for each in left if self._stays(each, fresh, snapshot)]
        for name, each in self._bound.items():
            each.apply(snapshot, wanted[name])
        for each in fresh.values():
            each.start()
        self._bound.update(fresh)

    def _stays(self, old: Bound, fresh: dict[str, Bound], snapshot: Snapshot) -> TypeGuard[UdpListener]:
        """Whether UDP calls still need what a reload has left; else it is closed, now or by its successor."""
        if not isinstance(old, UdpListener):
            old.close()
            return False
        for each in fresh.values():
            if isinstance(each, UdpListener) and each.covers(old):
                each.succeed(old)
                return False
        old.retire(snapshot)
        if not old.wanted:
            old.close()
            return False
        step_back(old.sock)
        return True

    def _mark(self, dscp: int) -> None:
        for each in (*self._bound.values(), *self._retired):
            mark(each.sock, dscp)

    def _close_retired(self) -> None:
        for each in [each for each in self._retired if not each.wanted]:
            self._retired.remove(each)
            each.close()

    def endpoint(self, name: str) -> Bound | None:
        """The bound listener of that name; the dialer sends UDP through it."""
        return self._bound.get(name)

    @property
    def dscp(self) -> int:
        """The DSCP of signalling."""
        return self._snapshot.settings.dscp.sip

    def address(self, name: str) -> tuple[str, int]:
        """Where a listener is really bound (its port may have been given as 0); KeyError."""
        local = self._bound[name].local
        return local.host, local.port

    @property
    def flows(self) -> list[Flow]:
        """Every inbound TCP and TLS flow."""
        return [flow for each in self._streams() for flow in each.flows.values()]

    def recycle(self, flow: Flow, reason: str) -> None:
        """Close ``flow`` as soon as nothing is lost with it."""
        self.recycler.add(flow, reason)

    def cut(self, source: str, proven: Container[Flow]) -> None:
        """Let go of what there is of ``source``, an address as it counts, but not of ``proven`` flows."""
        for each in (*self._bound.values(), *self._retired):
            each.cut(source, proven)

    def _kept(self, name: str, config: Listener) -> bool:
        bound = self._bound.get(name)
        return (
            bound is not None
            and bound.config.bind == config.bind
            and bound.config.transport == config.transport
        )

    def _succeed(
        self, leaving: list[Bound], configs: dict[str, Listener], snapshot: Snapshot
    ) -> dict[str, Bound]:
        """Bind ``configs``, which may take ports of listeners that are ``leaving``; LocalError."""
        aside = [each for each in leaving if any(_same_port(each.config, new) for new in configs.values())]
        for each in aside:
            step_aside(each.sock)
        try:
            return self._bind_all(configs, snapshot, [each.config for each in aside])
        except LocalError:
            for each in aside:
                step_back(each.sock)
            raise

    def _bind_all(
        self, configs: dict[str, Listener], snapshot: Snapshot, aside: Sequence[Listener] = ()
    ) -> dict[str, Bound]:
        bound: dict[str, Bound] = {}
        try:
            for name, config in configs.items():
                succeeds = any(_same_port(each, config) for each in aside)
                bound[name] = self._bind(name, config, snapshot, succeeds)
        except BaseException:
            for each in bound.values():
                each.close()
            raise
        return bound

    def _bind(self, name: str, config: Listener, snapshot: Snapshot, succeeds: bool) -> Bound:
        stats = self.tally.of(name, "inbound")
        if config.transport == "udp":
            return UdpListener(
                name, config, snapshot, self._handler, self._clock, self.next_id, stats, self.allowances,
                self._gate, succeeds,
            )  # fmt: skip
        return StreamListener(
            name, config, snapshot, self.contexts, self._handler, self._clock, self.next_id, stats,
            self.recycler, self.allowances, self._gate, succeeds,
        )  # fmt: skip

    def _streams(self) -> Iterator[StreamListener]:
        return (each for each in self._bound.values() if isinstance(each, StreamListener))

    def _channels(self) -> Iterator[tuple[StreamChannel, float, bool]]:
        self._close_retired()
        for each in self._streams():
            for flow in each.flows.values():
                yield flow.channel, each.config.idle_timeout, False


def _same_port(one: Listener, other: Listener) -> bool:
    return one.bind.port == other.bind.port != 0 and (one.transport == "udp") is (other.transport == "udp")
