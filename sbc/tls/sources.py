"""Which trunks admit a source address, of whatever transport: the networks, indexed by prefix length.

An address is the weakest of the proofs that Portcullis asks for, and the first: what it refuses costs
nothing more. It fails closed: without networks nobody is admitted, and an address that cannot be read is
nobody's. Under TLS it is a necessary condition only.

A lookup costs one dictionary access per distinct prefix length in use, whatever the number
of trunks. The most specific network comes first, so that a trunk for one host goes before
another that admits the whole network around it, whatever the order of the files. A UDP listener asks for
every datagram, so the last few thousand answers are kept, strangers' too; a flood of forged
sources empties the cache, which costs it little.
"""

from __future__ import annotations

import ipaddress
from bisect import bisect
from collections.abc import Iterable

from dsl.breath import breathe

_RECENT = 4096
# How many leading bits an address shares with one that it may be a slip of.
_ALIKE = {4: 16, 6: 32}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def parse_network(text: str) -> Network:
    """An address or CIDR; IPv4-mapped IPv6 becomes IPv4; ValueError otherwise."""
    network = ipaddress.ip_network(text.strip(), strict=False)
    if isinstance(network, ipaddress.IPv6Network):
        mapped = network.network_address.ipv4_mapped
        if mapped is not None and network.prefixlen >= 96:
            return ipaddress.IPv4Network((mapped, network.prefixlen - 96), strict=False)
    return network


def share_addresses(one: Iterable[str], other: Iterable[str]) -> bool:
    """True where some address lies in networks of both."""
    networks = [parse_network(each) for each in other]
    return any(
        mine.version == theirs.version and mine.overlaps(theirs)
        for mine in map(parse_network, one)
        for theirs in networks
    )


class SourceIndex:
    """Names by the networks that they admit."""

    __slots__ = ("_levels", "_recent", "_sorted")

    def __init__(self, entries: Iterable[tuple[str, str]]) -> None:
        """``entries`` are (network, name); ValueError where a network cannot be read."""
        levels: dict[tuple[int, int], dict[int, list[str]]] = {}
        for text, name in entries:
            breathe()
            network = parse_network(text)
            shift = network.max_prefixlen - network.prefixlen
            names = levels.setdefault((network.version, shift), {})
            bucket = names.setdefault(int(network.network_address) >> shift, [])
            if name not in bucket:
                bucket.append(name)
        self._levels = sorted(levels.items(), key=lambda item: item[0])
        self._recent: dict[str, tuple[str, ...]] = {}
        self._sorted: dict[int, list[tuple[int, int, str]]] = {}

    def lookup(self, source: str) -> tuple[str, ...]:
        """The names that admit a literal address, most specific network first; () for none."""
        known = self._recent.get(source)
        if known is None:
            if len(self._recent) >= _RECENT:
                self._recent.clear()
            known = self._recent[source] = self._search(source)
        return known

    def first(self, source: str) -> str | None:
        """The name whose network around a literal address is the most specific, or None."""
        names = self.lookup(source)
        return names[0] if names else None

    def nearest(self, source: str) -> tuple[str, str] | None:
        """The network that an address which none admits is most like, and its name; None for a stranger."""
        address = _address(source)
        if address is None:
            return None
        number, version, bits = int(address), address.version, address.max_prefixlen
        networks = self._in_order(version)
        at = bisect(networks, (number, 0, ""))
        best, found = _ALIKE[version], None
        # Whatever has the longest prefix in common with a number stands next to it.
        for base, shift, name in networks[max(0, at - 1) : at + 1]:
            common = bits - (base ^ number).bit_length()
            if common >= best and bits - shift >= best:
                best, found = common, (_text(version, base, bits - shift), name)
        return found

    def _in_order(self, version: int) -> list[tuple[int, int, str]]:
        known = self._sorted.get(version)
        if known is None:
            levels = [(shift, names) for (each, shift), names in self._levels if each == version]
            known = self._sorted[version] = sorted(
                (prefix << shift, shift, min(names[prefix])) for shift, names in levels for prefix in names
            )
        return known

    def _search(self, source: str) -> tuple[str, ...]:
        address = _address(source)
        if address is None:
            return ()
        number, version = int(address), address.version
        found: dict[str, None] = {}
        for (level_version, shift), names in self._levels:
            if level_version == version:
                for name in sorted(names.get(number >> shift, ())):
                    found.setdefault(name)
        return tuple(found)


def _address(source: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(source.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _text(version: int, base: int, length: int) -> str:
    """A network as an operator writes it: an address where it is only one."""
    address = ipaddress.IPv4Address(base) if version == 4 else ipaddress.IPv6Address(base)
    return str(address) if length == address.max_prefixlen else f"{address}/{length}"
