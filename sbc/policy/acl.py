"""Who may speak to a listener, by source address alone.

An address is the weakest of the proofs that Portcullis asks for, and the first: what it refuses
costs nothing more. It fails closed. A listener without trunks admits nobody, a trunk without
``sources`` is one that we only call, and an address that cannot be read is nobody's. For TLS it
is a necessary condition only; the certificate must be admitted as well.

Where networks overlap the longest prefix wins, whatever the order of the files, so that
``10.1.2.3`` can be taken out of somebody's ``10.0.0.0/8``. A UDP listener asks for every
datagram, so the last few thousand answers are kept, strangers' too; the cache is emptied
whole when it is full, which a flood of forged sources can cause and which costs it little.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from sbc.base import Address
from sbc.tls.sources import SourceIndex

_CACHED = 4096


class SourceTable:
    """The trunks of one listener by source network; remembers the last few thousand addresses."""

    __slots__ = ("_cache", "_index")

    def __init__(self, sources: Iterable[tuple[str, str]]) -> None:
        """Take pairs of network (CIDR) and trunk; ValueError where one is not a network."""
        self._index = SourceIndex(sources)
        self._cache: dict[str, str | None] = {}

    def trunk_for(self, host: str) -> str | None:
        """The trunk that ``host`` (a literal IP address) belongs to, or None."""
        try:
            return self._cache[host]
        except KeyError:
            return self._remember(host)

    def _remember(self, host: str) -> str | None:
        trunks = self._index.lookup(host)
        trunk = trunks[0] if trunks else None
        if len(self._cache) >= _CACHED:
            self._cache.clear()
        self._cache[host] = trunk
        return trunk


class HasSources(Protocol):
    """What the access list needs of a snapshot: a table for each listener that has trunks."""

    @property
    def sources(self) -> Mapping[str, SourceTable]:
        """Listener name to its table."""


def allowed(snapshot: HasSources, listener: str, address: Address) -> bool:
    """True where ``address`` is a source of some trunk of ``listener``; False in every doubt."""
    table = snapshot.sources.get(listener)
    return table is not None and table.trunk_for(address.host) is not None
