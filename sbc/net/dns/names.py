"""The servers of the domains among the trunks' peers, known before a call asks for them (RFC 3263).

A peer without a port is a domain: DNS says which servers it has. They are looked up when the configuration
names it, and again ahead of their end; what is learned goes to the core, which chooses among them. A domain
that nobody answers for is asked for again and again, and holds nothing up: whoever dials it meanwhile is told
why at once. So it does not matter who comes up first, the DNS server or the SBC.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple, Protocol

import gevent
from gevent.event import Event
from gevent.pool import Pool

from sbc.base import Address
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.dns.lifetime import Known
from sbc.dns.search import Outcome, Search, Target
from sbc.flow import Transport
from sbc.net.dns.ask import Asker
from sbc.net.system.clock import Clock
from sbc.net.system.resolver import ResolveFailed
from sbc.net.system.sockets import datagram_peer, own_address

# How many questions are under way, and how long the loop rests at most.
AT_ONCE: Final = 32
_PERIOD: Final = 0.25
# How many addresses of each domain are remembered that it has no more: calls may still be there.
_FORMER: Final = 64


class Learner(Protocol):
    """Who chooses among the servers: ``sbc.b2bua.peers.Peers``."""

    def learn(self, trunk: str, peer: Address, targets: tuple[Target, ...] | None) -> None:
        """The servers of a trunk's peer are these now; None where it is no peer any more."""


class Name(NamedTuple):
    """A domain, and the transport that it is asked for."""

    domain: str
    transport: Transport


def search(name: Name, asker: Asker, pool: Pool) -> Outcome:
    """Ask until it is known which servers ``name`` has, side by side in ``pool`` what can be at once."""
    asked = Search(*name)
    while asked.outcome is None:
        asked.answered(dict(zip(asked.wanted, pool.map(asker.ask, asked.wanted), strict=True)))
    return asked.outcome


class _Entry:
    """What is known of a name, whom it had before, and whether it is being asked for."""

    __slots__ = ("asking", "done", "former", "known")

    def __init__(self) -> None:
        self.known = Known()
        self.former: deque[Address] = deque(maxlen=_FORMER)
        self.asking = False
        self.done = Event()


class Names:
    """Keeps the servers of every domain that a trunk has among its peers."""

    def __init__(
        self, asker: Asker, clock: Clock, learner: Learner, say: Callable[[str, str, dict[str, Any]], None]
    ) -> None:
        self._asker = asker
        self._clock = clock
        self._learner = learner
        self._say = say
        self._entries: dict[Name, _Entry] = {}
        # Who has which of the peers of each trunk, as the core was told.
        self._users: dict[tuple[str, Address], Name] = {}
        self._bound: dict[str, Address] = {}  # by trunk over UDP: what its socket is bound to
        self._pool = Pool(AT_ONCE)
        self._loop: gevent.Greenlet | None = None

    def known(self) -> Iterator[tuple[Name, Known, set[str]]]:
        """What is known of every name, with the trunks that have it among their peers."""
        for name, entry in self._entries.items():
            yield name, entry.known, {user[0] for user, each in self._users.items() if each == name}

    def apply(self, snapshot: Snapshot) -> None:
        """Look after the domains of this configuration, and of no other."""
        users: dict[tuple[str, Address], Name] = {}
        bound: dict[str, Address] = {}
        for trunk in snapshot.trunks.values():
            if domains := trunk.domains:
                listener = snapshot.settings.listeners[trunk.listener]
                if listener.transport == "udp":
                    bound[trunk.trunk] = listener.bind
                users |= {(trunk.trunk, peer): Name(peer.host, listener.transport) for peer in domains}
        for trunk_name, peer in self._users.keys() - users.keys():
            self._learner.learn(trunk_name, peer, None)
        moved = {
            user for user, name in users.items()
            if self._users.get(user) != name or self._bound.get(user[0]) != bound.get(user[0])
        }  # fmt: skip
        self._users, self._bound = users, bound
        wanted = set(users.values())
        self._entries = {name: self._entries.get(name) or _Entry() for name in wanted}
        for user in moved:
            self._teach(user)
        if wanted and self._loop is None:
            self._loop = gevent.spawn(self._run)

    def refresh(self) -> None:
        """Ask for every domain again now, however long what is known would still hold."""
        for entry in self._entries.values():
            entry.known.due = 0.0

    def close(self) -> None:
        """Ask nobody any more."""
        if self._loop is not None:
            self._loop.kill(block=False)

    def find(self, trunk: Trunk, peer: Address, transport: Transport) -> list[Address]:
        """Where the servers of a peer without a port are, waited for the first time; ResolveFailed."""
        name = Name(peer.host, transport)
        entry = self._entries.get(name)
        if entry is None:  # of a configuration that some calls still run on
            entry = self._entries[name] = _Entry()
        if not entry.known.answered and not entry.known.failure:
            self._ask_soon(name, entry)
            entry.done.wait()
        known = entry.known
        if known.targets:
            return [each.address for each in self._reachable(known.targets, self._bound.get(trunk.trunk))]
        why = known.failure or "; ".join(known.remarks) or f"{peer.host} has no servers"
        raise ResolveFailed(f"{peer.host} has no server over {transport.upper()} in DNS: {why}")

    def had(self, peer: Address, transport: Transport, address: Address) -> bool:
        """Whether ``address`` is, or lately was, one of the servers of ``peer``."""
        entry = self._entries.get(Name(peer.host, transport))
        if entry is None:
            return False
        return address in entry.former or any(each.address == address for each in entry.known.targets)

    # Asking

    def _run(self) -> None:
        while True:
            at = self._clock.monotonic()
            for name, entry in list(self._entries.items()):
                if entry.known.due <= at:
                    self._ask_soon(name, entry)
            gevent.sleep(_PERIOD)

    def _ask_soon(self, name: Name, entry: _Entry) -> None:
        if not entry.asking:
            entry.asking = True
            gevent.spawn(self._ask, name, entry)

    def _ask(self, name: Name, entry: _Entry) -> None:
        outcome = Outcome(failure="an internal error")
        try:
            outcome = search(name, self._asker, self._pool)
        finally:
            entry.asking = False
            self._take(name, entry, outcome)
            entry.done.set()

    def _take(self, name: Name, entry: _Entry, outcome: Outcome) -> None:
        known = entry.known
        former, failed, remarks = known.targets, bool(known.failure), known.remarks
        fresh = known.learn(outcome, self._clock.monotonic())
        if outcome.failure:
            if not failed:
                self._tell("WRN", "failed", name, {"reason": outcome.failure, "kept": len(former) or None})
            return
        if fresh:
            entry.former.extend(each.address for each in former if each not in known.targets)
            shown = ", ".join(str(each.address) for each in known.targets[:8])
            level = "INF" if known.targets else "WRN"
            self._tell(level, "found", name, {"servers": len(known.targets), "addresses": shown or None})
            for user, each in self._users.items():
                if each == name:
                    self._teach(user)
        elif failed:
            self._tell("INF", "answered", name, {"servers": len(known.targets)})
        if known.remarks != remarks:
            for remark in known.remarks:
                self._tell("WRN", "remark", name, {"reason": remark})

    def _tell(self, level: str, event: str, name: Name, fields: dict[str, Any]) -> None:
        fields = {"event": event, "name": name.domain, "transport": name.transport.upper(), **fields}
        self._say(level, "[dns]", fields)

    # Teaching

    def _teach(self, user: tuple[str, Address]) -> None:
        trunk, peer = user
        known = self._entries[self._users[user]].known
        if known.answered:
            self._learner.learn(trunk, peer, self._reachable(known.targets, self._bound.get(trunk)))

    def _reachable(self, targets: tuple[Target, ...], bound: Address | None) -> tuple[Target, ...]:
        """Those that this machine has a way to; where that is none, all of them: a call will say why."""
        found = tuple([each for each in targets if _has_a_way(each.address, bound)])
        return found or targets


def _has_a_way(target: Address, bound: Address | None) -> bool:
    try:
        if bound is not None:
            datagram_peer(target, bound)
        own_address((target.host, target.port) if ":" not in target.host else (*target, 0, 0))
    except OSError:
        return False
    return True
