"""Who may have how many of a listener's places: its connections, its handshakes under way.

All share the places, and a place is taken before anybody has proved anything. So no address has more than a
fixed number. Of a host that a trunk names singly that number is larger: a carrier may open a connection for
each call. And no trunk has more than are free beside: a trunk that takes what it gets ends at half of them,
two at a third each once places have come back, and there is something left for whoever comes later. Several
trunks that one address may mean count together until a certificate has told which it is. Where a listener
has one trunk only, all are that one's.

Of IPv6 a /64 counts as one address: whoever has one of it has them all (RFC 4291 2.5.1).
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Final, NamedTuple, TypeVar

_PREFIX: Final = 64
_REMEMBERED: Final = 8192  # addresses of IPv6

K = TypeVar("K")


class Party(NamedTuple):
    """Who takes a place: an address as it counts (``source_of``), and the trunks that it may mean."""

    source: str
    trunks: tuple[str, ...]


def source_of(host: str) -> str:
    """What counts as one address: an IPv4 address itself, of an IPv6 address its /64."""
    return _prefix(host) if ":" in host else host


@lru_cache(_REMEMBERED)
def _prefix(host: str) -> str:
    try:
        return str(ipaddress.ip_network((host.partition("%")[0], _PREFIX), strict=False))
    except ValueError:
        return host


class Shares:
    """The places of one listener that are taken, by address and by the trunks that the address may mean.

    ``what`` they are, in the words of a refusal; ``limit`` is the listener's key that says how many there
    are, ``cap`` the one of ``caps`` that says how many an address has, ``named_cap`` the one that says it of
    a host that a trunk names.
    """

    __slots__ = ("_cap", "_limit", "_named_cap", "_of_source", "_of_trunks", "_what", "taken")

    def __init__(self, what: str, limit: str, cap: str, named_cap: str) -> None:
        self.taken = 0
        self._what = what
        self._limit = limit
        self._cap = cap
        self._named_cap = named_cap
        self._of_source: dict[str, int] = {}
        self._of_trunks: dict[tuple[str, ...], int] = {}

    def of_source(self, source: str) -> int:
        """How many places ``source`` has, an address as it counts."""
        return self._of_source.get(source, 0)

    def objection(self, party: Party, total: int, most: int, alone: bool, named_by: str = "") -> str | None:
        """Why ``party`` gets none of ``total`` places, of which an address has ``most``; None if it does.

        ``alone``: there are no other trunks for which something has to be left. ``named_by`` is what names
        the address, where it has more for that.
        """
        if self._of_source.get(party.source, 0) >= most:
            if named_by:
                return (
                    f"{most} {self._what} from {party.source}, which {named_by} names, the most that such a"
                    f" host has: raise caps.{self._named_cap} if it needs more"
                )
            return (
                f"{most} {self._what} from {party.source}, the most that one address has:"
                f" raise caps.{self._cap} if it is one for many telephones"
            )
        free = total - self.taken
        if free <= 0:
            return f"{total} {self._what}, the listener's limit"
        if not alone and self._of_trunks.get(party.trunks, 0) > free:
            return (
                f"the addresses of {' and '.join(party.trunks)} hold as many as are left to all others of the"
                f" listener's {total}: raise its {self._limit} if they need more"
            )
        return None

    def take(self, party: Party) -> None:
        """Count a place of ``party``."""
        self.taken += 1
        self._of_source[party.source] = self._of_source.get(party.source, 0) + 1
        self._of_trunks[party.trunks] = self._of_trunks.get(party.trunks, 0) + 1

    def give(self, party: Party) -> None:
        """Count it no more; KeyError where it was not taken."""
        self.taken -= 1
        _less(self._of_source, party.source)
        _less(self._of_trunks, party.trunks)

    def __len__(self) -> int:
        """Of how many addresses something is remembered."""
        return len(self._of_source) + len(self._of_trunks)


def _less(counts: dict[K, int], key: K) -> None:
    left = counts.pop(key) - 1
    if left:
        counts[key] = left
