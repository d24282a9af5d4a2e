"""What no single key of sbc.yaml can get wrong: ports that collide, names that do not exist."""

from __future__ import annotations

from collections.abc import Iterator

from dsl.errors import Diagnostic
from sbc.base import Address, is_wildcard
from sbc.config.crosscheck import SettingsFile
from sbc.config.model import Listener
from sbc.config.schema import Loc, suggest
from sbc.config.values import parse_ports


def check_settings(settings: SettingsFile) -> Iterator[Diagnostic]:
    """Every mistake between the sections of sbc.yaml."""
    yield from _bound_twice(settings)
    yield from _media_ports(settings)
    yield from _shown(settings)
    yield from _tenants(settings)


def _bound_twice(settings: SettingsFile) -> Iterator[Diagnostic]:
    taken: list[tuple[str, str, Address]] = []
    bound: list[tuple[str, str, Address, Loc]] = [
        (name, _protocol(each), each.bind, ("listeners", name, "bind"))
        for name, each in settings.value.listeners.items()
    ]
    if settings.value.admin is not None:
        bound.append(("admin", "TCP", settings.value.admin.bind, ("admin", "bind")))
    if settings.value.acme is not None:
        bound.append(("acme", "TCP", settings.value.acme.listen, ("acme", "listen")))
    for name, protocol, address, loc in bound:
        for other, other_protocol, other_address in taken:
            if protocol == other_protocol and _collide(address, other_address):
                hint = f"{other!r} has {protocol} {other_address} already; give each its own port"
                yield settings.document.problem(loc, f"{name!r} cannot bind {address}", hint)
                break
        taken.append((name, protocol, address))


def _protocol(listener: Listener) -> str:
    return "UDP" if listener.transport == "udp" else "TCP"


def _collide(one: Address, other: Address) -> bool:
    if one.port != other.port or one.port == 0:
        return False
    return one.host == other.host or is_wildcard(one.host) or is_wildcard(other.host)


def _media_ports(settings: SettingsFile) -> Iterator[Diagnostic]:
    media = settings.value.media
    first, last = parse_ports(media.ports)
    if ("media",) in settings.broken:
        return
    for name, listener in settings.value.listeners.items():
        bind = listener.bind
        if _protocol(listener) == "UDP" and first <= bind.port <= last:
            if _collide(bind, Address(media.address, bind.port)):
                hint = f"listener {name!r} has UDP port {bind.port}; choose another range"
                yield settings.document.problem(("media", "ports"), "media ports take a listener's", hint)


def _shown(settings: SettingsFile) -> Iterator[Diagnostic]:
    """Addresses that peers would be told and cannot reach."""
    document = settings.document
    for name, listener in settings.value.listeners.items():
        shown = listener.advertise
        if shown is not None and (is_wildcard(shown.host) or not shown.port):
            hint = (
                "write the address or name, and the port, that peers see, such as 203.0.113.9:5061; without"
                " `advertise` each peer is told the address that it is reached from"
            )
            loc: Loc = ("listeners", name, "advertise")
            yield document.problem(loc, f"no peer can reach {shown}", hint)
    media = settings.value.media
    if ("media",) in settings.broken:
        return
    if media.advertise is not None and is_wildcard(media.advertise):
        hint = "write the address that peers send media to, such as 203.0.113.9"
        yield document.problem(("media", "advertise"), f"no peer can reach {media.advertise}", hint)
    elif media.advertise is None and is_wildcard(media.address):
        hint = (
            "write advertise: ADDRESS beside it, the one that peers send media to, such as 203.0.113.9,"
            " or bind that one address"
        )
        yield document.problem(("media", "address"), f"SDP would tell peers {media.address}", hint)


def _tenants(settings: SettingsFile) -> Iterator[Diagnostic]:
    document, owner = settings.document, dict[str, str]()
    for name, tenant in settings.value.tenants.items():
        identities = settings.names("identities")
        if tenant.server_identity not in identities:
            hint = suggest(tenant.server_identity, identities, "define it under `identities:`")
            loc: Loc = ("tenants", name, "server_identity")
            yield document.problem(loc, f"unknown identity {tenant.server_identity!r}", hint)
        for index, domain in enumerate(tenant.domains):
            other = owner.setdefault(domain.lower(), name)
            if other != name:
                hint = "one SNI name chooses one certificate: give it to one of them"
                loc = ("tenants", name, "domains", index)
                yield document.problem(loc, f"domain {domain!r} is also that of tenant {other!r}", hint)
