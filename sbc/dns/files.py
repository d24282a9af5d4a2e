"""What /etc/resolv.conf and /etc/hosts say, of what concerns us (resolv.conf(5), hosts(5))."""

from __future__ import annotations

from typing import Final

from sbc.base import Address
from sbc.tls.names import is_ip

DNS_PORT: Final = 53
MOST_SERVERS: Final = 3


def name_servers(resolv_conf: str) -> tuple[Address, ...]:
    """The servers that a resolv.conf names, three at most, as the system's resolver reads it."""
    found: list[Address] = []
    for line in resolv_conf.splitlines():
        words = line.partition("#")[0].split()
        if len(words) >= 2 and words[0] == "nameserver" and is_ip(words[1].partition("%")[0]):
            found.append(Address(words[1], DNS_PORT))
    return tuple(found[:MOST_SERVERS])


def host_addresses(hosts: str) -> dict[str, tuple[str, ...]]:
    """The addresses of each name in a hosts file, names in lower case."""
    found: dict[str, list[str]] = {}
    for line in hosts.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if is_ip(address):
            for name in names:
                found.setdefault(name.lower().rstrip("."), []).append(address)
    return {name: tuple(dict.fromkeys(addresses)) for name, addresses in found.items()}
