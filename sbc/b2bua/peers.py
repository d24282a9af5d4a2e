"""The peers of each trunk: which of them answer, and in which order they are tried (RFC 3263 4.3).

A trunk's peers are tried in the order of the configuration. One that its probes found down is left
out; one that a call could not reach is tried after the others for a while, so that not every call
waits for it again. A trunk is down when all of its peers are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from sbc.b2bua.leg import DEFAULT_PORT
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.flow import Flow
from sbc.sip.uri import Uri
from sbc.sip.via import Via
from sbc.tls.names import is_ip
from sbc.tls.sources import share_addresses

# How long a peer that could not be reached is tried after the others, in seconds.
REST: Final = 30.0

# Peers to connect to, the first that can be had, and addresses that are meant before where a peer has them
# (port 0: any).
Towards = tuple[tuple[Address, ...], tuple[Address, ...]]


class PeerState:
    """One peer of one trunk; ``up`` is what its probes say, None until the first has an outcome.

    ``due`` is when it is probed next, ``rests`` until when it is tried last (monotonic seconds).
    """

    __slots__ = ("due", "failures", "pending", "reason", "rests", "up")

    def __init__(self) -> None:
        self.due = 0.0
        self.failures = 0
        self.pending = False
        self.reason = ""
        self.rests = 0.0
        self.up: bool | None = None

    def forget_probes(self) -> None:
        """It is probed no longer."""
        self.due, self.failures, self.pending = 0.0, 0, False
        self.up, self.reason = None, ""

    def answered(self) -> None:
        """A probe was answered: whatever failed before, it is up."""
        self.pending, self.failures, self.reason = False, 0, ""
        self.up = True

    def failed(self, reason: str, down_after: int) -> None:
        """A probe failed for ``reason``; ``down_after`` of them in a row and it is down."""
        self.pending, self.reason = False, reason
        self.failures += 1
        if self.failures >= down_after:
            self.up = False


class Home(NamedTuple):
    """The peer that a trunk is registered with, and the route that it wants calls to take (RFC 3608)."""

    peer: Address
    routes: tuple[str, ...]


class Peers:
    """What is known of the peers of all trunks; ``homes`` has those of the trunks that are registered."""

    __slots__ = ("_fallen", "_states", "homes")

    def __init__(self) -> None:
        self.homes: dict[str, Home] = {}
        self._states: dict[str, dict[Address, PeerState]] = {}
        # Trunks that were told to be down, and not yet to be up: a reload may have changed their peers since.
        self._fallen: set[str] = set()

    def state(self, trunk: Trunk, peer: Address) -> PeerState:
        """The state of one peer; one of whom nothing is known yet begins here."""
        return self._states.setdefault(trunk.trunk, {}).setdefault(peer, PeerState())

    def known(self, trunk: Trunk) -> dict[Address, PeerState]:
        """The states of those peers of ``trunk`` of whom anything is known."""
        states = self._states.get(trunk.trunk, {})
        return {peer: states[peer] for peer in trunk.peers if peer in states}

    def keep(self, trunks: Mapping[str, Trunk]) -> None:
        """Forget the peers that are in none of ``trunks``, and the probes of those not probed any more."""
        if self._fallen:
            self._fallen &= {name for name, trunk in trunks.items() if trunk.options is not None}
        for name in list(self._states):
            trunk = trunks.get(name)
            if trunk is None:
                del self._states[name]
                continue
            states = self._states[name]
            for peer in states.keys() - set(trunk.peers):
                del states[peer]
            if trunk.options is None:
                for state in states.values():
                    state.forget_probes()

    def fell(self, trunk: Trunk) -> None:
        """It was told that the trunk is down."""
        self._fallen.add(trunk.trunk)

    def rose(self, trunk: Trunk) -> bool:
        """Whether a peer that answers brings back a trunk that was told to be down; True once."""
        fallen = trunk.trunk in self._fallen
        self._fallen.discard(trunk.trunk)
        return fallen

    def is_down(self, trunk: Trunk) -> bool:
        """True where every peer of ``trunk`` is known not to answer."""
        states = self._states.get(trunk.trunk)
        if not states or not trunk.peers:
            return False
        return all(peer in states and states[peer].up is False for peer in trunk.peers)

    def why_down(self, trunk: Trunk) -> str:
        """What the probes met of those peers that are down, each named where there are more; "" for none."""
        down = {peer: each.reason for peer, each in self.known(trunk).items() if each.up is False}
        if len(trunk.peers) == 1:
            return next(iter(down.values()), "")
        return ", ".join(f"{peer}: {reason}" for peer, reason in down.items())

    def order(self, trunk: Trunk, at: float) -> tuple[Address, ...]:
        """The peers that a new call may be sent to, the first to be tried first.

        That is the one that the trunk is registered with, since it alone may know us.
        """
        home = self.homes.get(trunk.trunk)
        if home is None or home.peer not in trunk.peers:
            return self._order(trunk, trunk.peers, at)
        return self._order(trunk, (home.peer, *[each for each in trunk.peers if each != home.peer]), at)

    def _order(self, trunk: Trunk, peers: tuple[Address, ...], at: float) -> tuple[Address, ...]:
        states = self._states.get(trunk.trunk)
        if not states:
            return peers
        ready: list[Address] = []
        resting: list[Address] = []
        for peer in peers:
            state = states.get(peer)
            if state is None or state.up is not False:
                (resting if state is not None and state.rests > at else ready).append(peer)
        return (*ready, *resting)

    def unreached(self, trunk: Trunk, peer: Address, at: float) -> None:
        """A call could not reach ``peer``, or heard nothing of it."""
        self.state(trunk, peer).rests = at + REST

    def reached(self, trunk: Trunk, peer: Address) -> None:
        """A call was answered by ``peer``, whatever the answer was."""
        states = self._states.get(trunk.trunk)
        if states and peer in states:
            states[peer].rests = 0.0

    def within(self, trunk: Trunk, begun: Address | None, hop: Uri, former: Address, at: float) -> Towards:
        """Whom a request within a dialog goes to (RFC 3261 12.2.1.1).

        ``hop`` is the first Route or else the remote target, ``begun`` the peer that the dialog was begun
        with where we dialled it, ``former`` the address that was at the other end.
        """
        named = [peer for peer in trunk.peers if _names(hop, peer)]
        if named:
            meant = begun if begun is not None and begun in named else named[0]
            return (meant,), ((Address(former.host, meant.port),) if begun in (None, meant) else ())
        own = begun if begun is not None else _at(trunk, former.host)
        last = Address(former.host, own.port if own is not None else 0)
        near = (Address(hop.host, hop.port or 0), last) if is_ip(hop.host) else (last,)
        return (self.order(trunk, at) or trunk.peers) if own is None else (own,), near


def way_back(trunk: Trunk, via: Via, former: Flow) -> Towards | None:
    """Where a response goes when ``former``, on which its request came, is gone (RFC 3261 18.2.2).

    To the address that the request came from, which is what ``received`` says, and the sent-by port of its
    top ``via``; None where ``trunk`` knows nobody there any more. What else the Via says is its sender's
    word, and we dial for nobody.
    """
    host = former.remote.host
    if not former.outbound and not share_addresses((host.partition("%")[0],), trunk.sources):
        return None
    home = Address(host, via.port or DEFAULT_PORT[former.transport])
    return (home,), ()


def _names(hop: Uri, peer: Address) -> bool:
    """Whether a URI means this peer, by host and, where it has one, by port."""
    return hop.host.lower() == peer.host.lower() and hop.port in (None, peer.port)


def _at(trunk: Trunk, host: str) -> Address | None:
    """The peer that is configured by this address, if any."""
    for peer in trunk.peers:
        if peer.host == host:
            return peer
    return None
