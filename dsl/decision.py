"""What routing decides about a call: send it on, refuse it, or name another place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Failure = int | Literal["timeout", "unreachable"]
Srtp = Literal["off", "accept", "offer", "required"]
Downgrade = Literal["allow", "warn", "forbid"]
Part = Literal["from.user", "from.host", "from.display", "to.user", "to.host"]

DEFAULT_FAILURES: tuple[Failure, ...] = (408, 500, 502, 503, 504, "timeout", "unreachable")


@dataclass(frozen=True, slots=True)
class SetPart:
    """Write one part of the From header (``from.*``) or of the request target (``to.*``)."""

    part: Part
    value: str


@dataclass(frozen=True, slots=True)
class SetHeader:
    """Give the outgoing request one header field of this name, in place of any it had."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class RemoveHeader:
    """Leave out every header whose name matches ``glob`` (``*`` and ``?``, in any case)."""

    glob: str


Edit = SetPart | SetHeader | RemoveHeader


@dataclass(frozen=True, slots=True)
class Hop:
    """One trunk to try; ``on`` are the failures of an earlier hop that lead here (first hop: none)."""

    trunk: str
    on: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Route:
    """Send the call to ``hops`` in turn; None leaves a policy to the trunk.

    ``rule`` names who decided, as ``name (file:line)``; ``hooks`` are the named hooks that it called.
    """

    hops: tuple[Hop, ...]
    edits: tuple[Edit, ...] = ()
    srtp: Srtp | None = None
    downgrade: Downgrade | None = None
    rule: str = ""
    hooks: tuple[str, ...] = ()

    def next_hop(self, index: int, failure: Failure) -> int | None:
        """Index of the next hop to try after ``hops[index]`` failed so; None ends the call."""
        for later in range(index + 1, len(self.hops)):
            if failure in self.hops[later].on:
                return later
        return None


@dataclass(frozen=True, slots=True)
class Reject:
    """Answer the call with this final SIP status (400 to 699)."""

    status: int
    reason: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answer 302 with these SIP URIs as contacts, the first being the first choice."""

    targets: tuple[str, ...]
    rule: str = ""


Decision = Route | Reject | Redirect

NO_ROUTE = Reject(404, "No route", "no rule matched")
