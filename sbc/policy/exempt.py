"""Addresses that nobody may shut out by accident: those of this machine, and of private networks.

They are spelled out. ``ipaddress.is_private`` counts documentation networks among them, which on a public
listener are as strange as any other, and thereby would be of no use for a trial either.
"""

from __future__ import annotations

from typing import Final

from sbc.tls.sources import Network, SourceIndex, parse_network, share_addresses

#: Loopback, RFC 1918, unique local (RFC 4193) and link-local (RFC 3927, RFC 4291 2.5.6) addresses.
EXEMPT: Final = (
    "127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16",
    "::1/128", "fc00::/7", "fe80::/10",
)  # fmt: skip
#: The same as patterns of addresses in their shortest form: ``*`` any characters, ``?`` one.
EXEMPT_TEXTS: Final = (
    "127.*", "10.*", "192.168.*", "169.254.*", *[f"172.{each}.*" for each in range(16, 32)],
    "::1", "fc??:*", "fd??:*", "fe8?:*", "fe9?:*", "fea?:*", "feb?:*",
)  # fmt: skip
_INDEX: Final = SourceIndex([(each, each) for each in EXEMPT])


def exempt(host: str) -> bool:
    """Whether a literal address, in IPv4-mapped form too, is of this machine or of a private network."""
    return _INDEX.first(host) is not None


def touches_exempt(network: str) -> str | None:
    """The first of ``EXEMPT`` that has an address in common with an address or CIDR; ValueError."""
    mine: Network = parse_network(network)
    return next((each for each in EXEMPT if share_addresses([str(mine)], [each])), None)
