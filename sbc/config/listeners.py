"""What no single key of sbc.yaml can get wrong: ports that collide, names that do not exist."""

from __future__ import annotations

from collections.abc import Iterator

from dsl.errors import Diagnostic
from sbc.base import Address, is_wildcard
from sbc.config.crosscheck import SettingsFile
from sbc.config.media import MediaPlace
from sbc.config.model import Listener
from sbc.config.schema import Loc, suggest
from sbc.config.values import parse_ports


def check_settings(settings: SettingsFile) -> Iterator[Diagnostic]:
    """Every mistake between the sections of sbc.yaml."""
    yield from _bound_twice(settings)
    yield from _media_ports(settings)
    yield from _networks(settings)
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
    if _unread(settings):
        return
    for place in settings.value.media.places:
        first, last = parse_ports(place.ports)
        for name, listener in settings.value.listeners.items():
            bind = listener.bind
            if _protocol(listener) == "UDP" and first <= bind.port <= last:
                if _collide(bind, Address(place.address, bind.port)):
                    hint = f"listener {name!r} has UDP port {bind.port}; choose another range"
                    loc = _written(place, "ports")
                    yield settings.document.problem(loc, "media ports take a listener's", hint)


def _networks(settings: SettingsFile) -> Iterator[Diagnostic]:
    """Two networks on the same ports, and listeners in a network that is not there."""
    if _unread(settings):
        return
    document, places = settings.document, settings.value.media.places
    for index, place in enumerate(places):
        first, last = parse_ports(place.ports)
        for other in places[:index]:
            start, end = parse_ports(other.ports)
            bound = Address(place.address, first), Address(other.address, first)
            same = place.key == other.key and _collide(*bound)
            if same and first <= end and start <= last:
                whose = f"network {other.network!r} has {other.ports} on {other.address}"
                hint = f"{whose}: give each its own ports"
                message = f"network {place.network!r} takes the ports of another"
                yield document.problem(_written(place, "ports"), message, hint)
    known = set(settings.value.media.networks)
    for name, listener in settings.value.listeners.items():
        if listener.network is not None and listener.network not in known:
            hint = suggest(listener.network, known, "define it under `media.networks:`")
            loc: Loc = ("listeners", name, "network")
            yield document.problem(loc, f"unknown media network {listener.network!r}", hint)


def _unread(settings: SettingsFile) -> bool:
    return any(loc[:1] == ("media",) for loc in settings.broken)


def _written(place: MediaPlace, key: str) -> Loc:
    return ("media", "networks", place.network, key) if place.network else ("media", key)


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
    for place in () if _unread(settings) else settings.value.media.places:
        yield from _shown_media(settings, place)


def _shown_media(settings: SettingsFile, place: MediaPlace) -> Iterator[Diagnostic]:
    document, word = settings.document, place.key.replace("address", "advertise")
    if place.key == "address6" and is_wildcard(place.address):
        hint = "write the one IPv6 address of this machine that the network's peers send media to"
        yield document.problem(_written(place, place.key), "media of a network cannot be on ::", hint)
    elif place.advertise is not None and is_wildcard(place.advertise):
        hint = "write the address that peers send media to, such as 203.0.113.9"
        yield document.problem(_written(place, word), f"no peer can reach {place.advertise}", hint)
    elif place.advertise is None and is_wildcard(place.address):
        hint = (
            "write advertise: ADDRESS beside it, the one that peers send media to, such as 203.0.113.9,"
            " or bind that one address"
        )
        yield document.problem(_written(place, place.key), f"SDP would tell peers {place.address}", hint)


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
