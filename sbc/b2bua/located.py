"""The servers that DNS gave for those peers of a trunk that are domains, and their order (RFC 3263, 2782).

Each address of a server is a peer of its own to whoever tries them: it is probed, rests and is up or down by
itself. The lowest priority comes first; the hosts of one priority share the calls by weight, in turns, and
the addresses of one host alike. Whom two domains name, or a domain and the configuration, is one peer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dsl.decision import Group
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.dns.search import Target
from sbc.policy.balance import Balancer
from sbc.sip.uri import Uri


class Servers:
    """The servers of one domain, and whose turn it is among them; others begin afresh.

    ``ranks`` has them by priority, the lowest first.
    """

    __slots__ = ("_turns", "ranks", "targets")

    def __init__(self, targets: tuple[Target, ...]) -> None:
        found: dict[int, list[Target]] = {}
        for each in targets:
            found.setdefault(each.priority, []).append(each)
        self.targets = targets
        self.ranks = [found[priority] for priority in sorted(found)]
        self._turns = Balancer()

    def in_turn(self, ready: Sequence[Target]) -> list[Address]:
        """Those of one priority, first whose turn it is; last the hosts of the weight 0, if others have more.

        RFC 2782 draws lots by weight; turns come to the same shares, and sooner.
        """
        hosts: dict[str, list[Target]] = {}
        for each in ready:
            hosts.setdefault(f"{each.host}:{each.address.port}", []).append(each)
        weights = {name: found[0].weight for name, found in hosts.items()}
        if not any(weights.values()):
            weights = dict.fromkeys(weights, 1)
        sharing = tuple([(name, weight) for name, weight in weights.items() if weight])
        order = self._order(f"{ready[0].priority}", sharing)
        order += [name for name, weight in weights.items() if not weight]
        found = self._addresses_in_turn(order[0], hosts[order[0]])
        for name in order[1:]:
            found += [each.address for each in hosts[name]]
        return found

    def _addresses_in_turn(self, name: str, targets: list[Target]) -> list[Address]:
        by_text = {str(each.address): each.address for each in targets}
        return [by_text[each] for each in self._order(f"at {name}", tuple([(each, 1) for each in by_text]))]

    def _order(self, name: str, members: tuple[tuple[str, int], ...]) -> list[str]:
        if len(members) == 1:
            return [members[0][0]]
        return self._turns.order(Group(name, members))


Domains = dict[Address, Servers]


class Located:
    """What DNS gave for the domains of every trunk."""

    __slots__ = ("_of",)

    def __init__(self) -> None:
        self._of: dict[str, Domains] = {}

    def learn(self, trunk: str, peer: Address, targets: tuple[Target, ...] | None) -> None:
        """The servers of a peer of ``trunk`` are these now; None where it is no peer any more."""
        if targets is not None:
            self._of.setdefault(trunk, {})[peer] = Servers(targets)
        elif trunk in self._of:
            self._of[trunk].pop(peer, None)
            if not self._of[trunk]:
                del self._of[trunk]

    def of(self, trunk: Trunk) -> Domains:
        """The domains of ``trunk`` of which anything is known."""
        return self._of.get(trunk.trunk, _NONE)

    def members(self, trunk: Trunk) -> tuple[Address, ...]:
        """Everybody who may be tried, in the order of the file; a domain that is not known yet as itself."""
        domains = self._of.get(trunk.trunk)
        if domains is None:
            return trunk.peers
        found: dict[Address, None] = {}
        for peer in trunk.peers:
            servers = domains.get(peer)
            if servers is None:
                found[peer] = None
            else:
                found.update(dict.fromkeys([each.address for each in servers.targets]))
        return tuple(found)

    def name_of(self, trunk: Trunk, address: Address) -> Address:
        """The peer, as the configuration has it, that is tried at ``address``."""
        domains = self._of.get(trunk.trunk)
        if domains is None or address in trunk.peers:
            return address
        for peer in trunk.peers:
            servers = domains.get(peer)
            if servers is not None and any(each.address == address for each in servers.targets):
                return peer
        return address

    def meant(self, trunk: Trunk, hop: Uri) -> list[Address]:
        """The servers that a URI means by their own host names or addresses."""
        return [
            each.address
            for servers in self.of(trunk).values()
            for each in servers.targets
            if hop.host.lower() in (each.host, each.address.host) and hop.port in (None, each.address.port)
        ]


_NONE: Final[Domains] = {}
