"""Where media is received: a place is one network in one address family, with ports of its own.

A leg is in the network of its trunk or listener. Of the places there one is chosen by family: for an offer by
the address that it names, towards a peer that has not named one yet by that of its signalling.
"""

from __future__ import annotations

from sbc.base import LocalError, is_wildcard
from sbc.media.errors import StreamRefused
from sbc.media.ports import Owner, Ports


class Place:
    """``address`` is what descriptions say, ``bound`` where the sockets are, and so whom they send to."""

    __slots__ = ("address", "bound", "ports")

    def __init__(self, address: str, ports: Ports, bound: str = "") -> None:
        self.address = address
        self.bound = bound or address
        self.ports = ports

    def check(self, host: str) -> None:
        """StreamRefused where a socket here cannot send to ``host``."""
        if not reaches(self.bound, host):
            family = _family(host)
            raise StreamRefused(f"the description names an {family} address; its leg is not in that family")


class Networks:
    """Every place by the name of its network, in the operator's order; '' names the first network."""

    __slots__ = ("_by_name", "_places")

    def __init__(self, places: dict[str, tuple[Place, ...]]) -> None:
        self._by_name = places
        self._places = tuple(place for each in places.values() for place in each)

    def named(self, name: str) -> tuple[Place, ...]:
        """The places of one network; LocalError where it came with a reload and is not open yet."""
        if not name:
            return next(iter(self._by_name.values()))
        found = self._by_name.get(name)
        if found is None:
            raise LocalError(f"media network {name} is not open yet: start Portcullis anew to open it")
        return found

    def reaching(self, name: str, host: str) -> Place:
        """The place of a network that sends to ``host``; StreamRefused, with the word to add, without one."""
        for place in self.named(name):
            if reaches(place.bound, host):
                return place
        own = name or next(iter(self._by_name))
        if own:
            word = "address6" if ":" in host else "address"
            remedy = f"media network {own} has none: add {word} to media.networks.{own} in sbc.yaml"
        else:
            remedy = "media has none: write media.networks in sbc.yaml, with address and address6"
        raise StreamRefused(f"the description names an {_family(host)} address, and {remedy}")

    def towards(self, name: str, host: str) -> Place:
        """The place of a network for a peer whose signalling is at ``host``, the first where none fits."""
        places = self.named(name)
        if len(places) > 1 and host:
            for place in places:
                if reaches(place.bound, host):
                    return place
        return places[0]

    def owner(self, host: str, port: int) -> Owner:
        """Tell who receives what is sent to ``port`` of a literal address, in whichever network."""
        for place in self._places:
            found = place.ports.owner(host, port)
            if found != "other":
                return found
        return "other"


def reaches(bound: str, host: str) -> bool:
    """Tell whether a socket on ``bound`` sends to ``host``: one on :: to both families, else to its own."""
    six = ":" in bound
    return six == (":" in host) or (six and is_wildcard(bound))


def _family(host: str) -> str:
    return "IPv6" if ":" in host else "IPv4"
