"""Who is named: the hosts of which a file says one by one that they are ours to talk to.

A trunk names those that stand singly in its ``sources`` or ``peers``, and those that DNS gives for a domain
among its peers; a listener names its load balancers. Whoever is named is never blocked, and has places of its
own at accept. A network names nobody: who comes out of it may be anybody.
"""

from __future__ import annotations

from typing import Final

from sbc.b2bua.located import Located
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.net.system.clock import Clock
from sbc.policy.shares import source_of
from sbc.tls.sources import SourceIndex, parse_network

_LOOK_EVERY: Final = 5.0  # at what DNS gave


class Named:
    """Of the snapshot that is in force, and of what DNS gave a moment ago."""

    def __init__(self, store: SnapshotStore, clock: Clock, located: Located) -> None:
        self._store = store
        self._clock = clock
        self._located = located
        self._look_at = 0.0
        self._by_domain: dict[str, str] = {}
        self.apply(store.current)

    def by(self, source: str) -> str:
        """Who names ``source``, an address as it counts: a trunk, a listener, or "" for nobody."""
        at = self._clock.monotonic()
        if self.is_due(at):
            self._look_at = at + _LOOK_EVERY
            self._by_domain = self._servers()
        named = self._singly.get(source) or self._by_domain.get(source)
        return named or self._balancers.first(source.partition("/")[0]) or ""

    def is_due(self, at: float) -> bool:
        """Whether the next question looks at DNS again, and others may be named by then."""
        return at >= self._look_at

    def apply(self, snapshot: Snapshot) -> None:
        """Another configuration is in force."""
        self._singly, self._look_at = singly_named(snapshot), 0.0
        self._balancers = SourceIndex(_balancers(snapshot))

    def _servers(self) -> dict[str, str]:
        """Who is named by what DNS gave for the domains of trunks."""
        return {
            source_of(address.host): f"trunk {trunk.trunk}"
            for trunk in self._store.current.trunks.values()
            if trunk.domains
            for address in self._located.members(trunk)
        }


def singly_named(snapshot: Snapshot) -> dict[str, str]:
    """Who names which hosts singly, each as it counts: trunks sources and peers, listeners balancers."""
    found: dict[str, str] = {}
    texts = [
        (text, f"trunk {trunk.trunk}")
        for trunk in snapshot.trunks.values()
        for text in (*trunk.sources, *(peer.host for peer in trunk.peers))
    ]
    for text, by in (*texts, *_balancers(snapshot)):
        try:
            network = parse_network(text)
        except ValueError:
            continue  # a host name
        if network.prefixlen == network.max_prefixlen:
            found.setdefault(source_of(str(network.network_address)), by)
    return found


def _balancers(snapshot: Snapshot) -> list[tuple[str, str]]:
    """The networks of load balancers, and whose they are."""
    listeners = snapshot.settings.listeners.items()
    return [(text, f"listener {name}") for name, each in listeners for text in each.proxy_protocol]
