"""Requests that are too long for a datagram go by TCP, where their peer takes it (RFC 3261 18.1.1).

A long datagram crosses the network in fragments, which many a firewall drops; and who has lost one of them
never knows. So a request over UDP that is longer than 1300 octets is sent on a connection to the same address
and port. Who does not accept one within a second gets it as a datagram after all, and is not tried again for
a while; so does who accepts it and closes it without a word, and for who is silent on it the next request is
a datagram. What such a request needs later (CANCEL, the ACK of a refusal) goes the same way; the dialog stays
with UDP, for that is what our Contact names.
"""

from __future__ import annotations

from typing import Final

from sbc.b2bua.translate import octets
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.sip.message import Request

# The path's MTU is not known (RFC 3261 18.1.1).
LONGEST: Final = 1300
# How long a peer that takes no connection is not tried again, in seconds, and of how many that is remembered.
AGAIN: Final = 600.0
# The same for one that takes the connection and does not answer on it: each try may cost a call.
DEAF: Final = 21600.0
MOST: Final = 1000
_BY_UDP: Final = "SIP/2.0/UDP "
_BY_TCP: Final = "SIP/2.0/TCP "


class WithoutTcp:
    """The peers of UDP trunks that took no TCP connection, until when that is believed (monotonic)."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: dict[Address, float] = {}

    def has(self, peer: Address, at: float) -> bool:
        """Whether ``peer`` took none lately."""
        return self._until.get(peer, 0.0) > at

    def add(self, peer: Address, at: float, seconds: float = AGAIN) -> None:
        """``peer`` took none, or not in earnest."""
        if len(self._until) >= MOST:
            self._until.clear()
        self._until[peer] = at + seconds


def is_long(trunk: Trunk, request: Request) -> bool:
    """Whether ``request`` is too long to go to a peer of ``trunk`` as a datagram."""
    if trunk.long_requests != "tcp":
        return False
    return octets(request.headers.fields) + len(request.uri) + len(request.body) + 20 > LONGEST


def went_by_tcp(flow: Flow, request: Request) -> bool:
    """Whether ``request`` was sent by TCP beside ``flow``, which is UDP."""
    return not flow.reliable and (request.headers.get("Via") or "").startswith(_BY_TCP)


def address_to(flow: Flow, request: Request) -> None:
    """Let the top Via, which is ours, say by what ``request`` goes: ``rport`` is for datagrams (RFC 3581)."""
    value = request.headers.get("Via") or ""
    if flow.transport == "tcp" and value.startswith(_BY_UDP):
        request.headers.set("Via", _BY_TCP + value[len(_BY_UDP) :].replace(";rport", "", 1))
    elif flow.transport == "udp" and value.startswith(_BY_TCP):
        sent_by, _, rest = value[len(_BY_TCP) :].partition(";")
        request.headers.set("Via", f"{_BY_UDP}{sent_by};rport;{rest}")
