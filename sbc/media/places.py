"""Where media is received: a place is one network in one address family, with ports of its own.

A leg is in the network of its trunk or listener. Of the places there one is chosen by family: for an offer by
the address that it names, towards a peer that has not named one yet by that of its signalling.

Ports are even for RTP, the odd one above it for RTCP (RFC 3550 section 11). Pairs are taken in rotation and
given back at the end of the queue, so that a port rests as long as possible before another call gets it and
late packets of the former call find nobody.

All pairs of a call count against the trunk that it came in on, whoever offers. Of the last tenth that is free
no trunk gets a pair while it holds its share of all: as many as each has that holds any, and at most half. So
whoever floods us leaves something to whoever comes later, while trunks that share evenly, or that the
operator gave a number, may use up all of them; but for those that are kept for emergency calls, which count
against no trunk.
"""

from __future__ import annotations

from collections import deque
from typing import Literal, Protocol

from sbc.base import Address, LocalError, is_wildcard
from sbc.media.errors import MediaRefused, StreamRefused

#: Who receives what is sent to an address: one of our calls, nobody although the port is ours for media, our
#: signalling, or somebody else.
Owner = Literal["call", "nobody", "signalling", "other"]


class Ports(Protocol):
    """Where a media session takes its ports from."""

    def take(self, trunk: str, most: int | None) -> int:
        """Return the even port of a free pair for a call of ``trunk``; LocalError when it gets none."""

    def give(self, port: int) -> None:
        """Give the pair of the even ``port`` back."""

    def owner(self, host: str, port: int) -> Owner:
        """Tell who receives what is sent to ``port`` of a literal address."""


class PortPool:
    """The pairs within ``FIRST-LAST``, such as ``20000-29999``; ValueError when it holds none.

    ``everywhere`` counts what each trunk has of this pool and all others: its ``most`` is for them together.
    ``key`` is where sbc.yaml has the range, ``free`` are the pairs that no call has.
    """

    __slots__ = (
        "_everywhere",
        "_first",
        "_held",
        "_last",
        "_taken",
        "_total",
        "free",
        "kept",
        "key",
        "text",
    )

    def __init__(self, text: str, everywhere: dict[str, int] | None = None, key: str = "media.ports") -> None:
        first, dash, last = text.partition("-")
        if not (dash and first.isdigit() and last.isdigit() and 0 < int(first) <= int(last) < 65536):
            raise ValueError(f"{text!r} is not a port range: write FIRST-LAST, such as 20000-29999")
        self.text = text
        self.key = key
        self.free = deque(range(int(first) + int(first) % 2, int(last), 2))
        self._total = len(self.free)
        self._first, self._last = self.free[0] if self.free else 0, int(last)
        #: The trunk of each pair that is taken, and how many each trunk has.
        self._taken: dict[int, str] = {}
        self._held: dict[str, int] = {}
        self._everywhere = {} if everywhere is None else everywhere
        self.kept = 0
        if not self.free:
            raise ValueError(f"{text!r} holds no pair of an even and the next odd port")

    def take(self, trunk: str = "", most: int | None = None) -> int:
        """Return the even port of the pair that has rested longest.

        LocalError when all are in use but for those that are kept, or ``trunk`` has ``most``; without that
        number, when it has its share while few are free. '' is an emergency call, and has what it asks for.
        """
        if not self.free:
            raise LocalError(f"all media ports of {self.text} are in use: widen {self.key} in sbc.yaml")
        if trunk:
            self._count(trunk, most)
        port = self.free.popleft()
        self._taken[port] = trunk
        return port

    def keep(self, pairs: int) -> None:
        """Let the last ``pairs`` be for emergency calls, but never more than a quarter of all."""
        self.kept = min(pairs, self._total // 4)

    def _count(self, trunk: str, most: int | None) -> None:
        held, free = self._held.get(trunk, 0), len(self.free)
        if free <= self.kept:
            raise LocalError(
                f"the last {free} pairs of media ports of {self.text} are kept for emergency calls:"
                f" widen {self.key} in sbc.yaml"
            )
        every = self._everywhere.get(trunk, 0)
        if most is not None:
            if every >= most:
                raise LocalError(
                    f"trunk {trunk} holds {every} pairs of media ports: its limits.ports is {most}"
                )
        elif free <= self._total // 10:
            share = self._total // max(2, len(self._held))
            if held >= share:
                raise LocalError(
                    f"trunk {trunk} holds {held} of {self._total} pairs of media ports, and the last {free}"
                    f" are for trunks that hold less than their share, {share}: widen {self.key} in"
                    " sbc.yaml, or set limits.ports of the trunk"
                )
        self._held[trunk] = held + 1
        self._everywhere[trunk] = every + 1

    def give(self, port: int) -> None:
        """Give a pair back; ValueError when it was not taken, because two calls would share it later."""
        if port not in self._taken:
            raise ValueError(f"media port {port} is given back but was not taken")
        trunk = self._taken.pop(port)
        if trunk:
            held = self._held.pop(trunk) - 1
            if held:
                self._held[trunk] = held
            every = self._everywhere.pop(trunk) - 1
            if every:
                self._everywhere[trunk] = every
        self.free.append(port)

    def is_taken(self, port: int) -> bool | None:
        """Tell whether a call has the pair of ``port``; None for a port that is not of the range."""
        even = port & ~1
        return (even in self._taken) if self._first <= even < self._last else None

    def owner(self, host: str, port: int) -> Owner:
        """Say that it is somebody else's: numbers alone are at no address."""
        return "other"

    def held(self, trunk: str) -> int:
        """Return how many pairs the calls have that came in on ``trunk``."""
        return self._held.get(trunk, 0)

    @property
    def total(self) -> int:
        """How many pairs there are, free or taken."""
        return self._total

    def __len__(self) -> int:
        return len(self.free)


class Place:
    """``address`` is what descriptions say, ``bound`` where the sockets are, and so whom they send to."""

    __slots__ = ("address", "bound", "ports")

    def __init__(self, address: str, ports: Ports, bound: str = "") -> None:
        self.address = address
        self.bound = bound or address
        self.ports = ports


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

    def receiving(self, name: str, host: str | None, signalling: str) -> Place:
        """Where the leg of a description is to receive, in the family of the ``host`` that it names.

        One that names none, on hold, is at its signalling's.
        """
        return self.towards(name, signalling) if host is None else self.reaching(name, host)

    def check(self, remote: Address, place: Place) -> None:
        """StreamRefused where a socket of ``place`` cannot send to ``remote``, MediaRefused where none may.

        None may to our signalling, and to a port of ours that no call has: the next one would get it.
        """
        if not reaches(place.bound, remote.host):
            family = _family(remote.host)
            raise StreamRefused(f"the description names an {family} address; its leg is not in that family")
        for each in self._places:
            owner = each.ports.owner(remote.host, remote.port)
            if owner == "nobody":
                raise MediaRefused("the description names a media port of ours that no call has")
            if owner == "signalling":
                raise MediaRefused("the description names a port of ours where signalling arrives")
            if owner == "call":
                return


def reaches(bound: str, host: str) -> bool:
    """Tell whether a socket on ``bound`` sends to ``host``: one on :: to both families, else to its own."""
    six = ":" in bound
    return six == (":" in host) or (six and is_wildcard(bound))


def _family(host: str) -> str:
    return "IPv6" if ":" in host else "IPv4"
