"""The peers of each trunk: which of them answer, and in which order they are tried (RFC 3263 4.3).

A trunk's peers are tried in the order of the configuration, or by its priorities; those of one priority
share the calls by weight, in turns (RFC 2782). One that its probes found down is left out, and so is one
that asks for a rest, with a 503 and a Retry-After, until that is over (RFC 3261 21.5.4). One that a call
could not reach, or that answered 503 and named no time, is tried after the others for a while: not every
call waits for it again, and yet none is refused that it might take. A trunk is down when all of its peers
are. Of a peer that is a domain each server is a peer of its own (``sbc.b2bua.located``).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from dsl.decision import Group
from sbc.b2bua.leg import DEFAULT_PORT
from sbc.b2bua.located import Domains, Located
from sbc.base import Address
from sbc.config.model import Server, Trunk
from sbc.flow import Flow
from sbc.policy.balance import Balancer
from sbc.sip.headers import Via
from sbc.sip.message import Response
from sbc.sip.uri import Uri
from sbc.tls.names import is_ip
from sbc.tls.sources import share_addresses

# How long a peer is tried after the others that could not be reached, or is busy for no stated time; and how
# long one rests at most that asks for it; in seconds.
REST: Final = 30.0
LONGEST_REST: Final = 300.0
_delta_seconds: Final = re.compile(r"[ \t]*+([0-9]{1,10}+)[ \t]*+(?:[;(]|$)").match

# Why a peer rests: it ``asked`` for it and is left out; it is ``busy`` or was ``unreached``, and comes last.
Rest = Literal["", "asked", "busy", "unreached"]

# Peers to connect to, the first that can be had, and addresses that are meant before where a peer has them
# (port 0: any).
Towards = tuple[tuple[Address, ...], tuple[Address, ...]]


class PeerState:
    """One peer of one trunk; ``up`` is what its probes say, None until the first has an outcome.

    ``asked`` is when it was probed last and ``due`` when it is probed next, ``rests`` until when it rests
    (monotonic seconds), ``rest`` how, and ``met`` what a call met there.
    """

    __slots__ = ("asked", "due", "failures", "met", "pending", "reason", "rest", "rests", "up")

    def __init__(self) -> None:
        self.asked = 0.0
        self.due = 0.0
        self.failures = 0
        self.pending = False
        self.reason = ""
        self.rest: Rest = ""
        self.rests = 0.0
        self.met = ""
        self.up: bool | None = None

    def forget_probes(self) -> None:
        """It is probed no longer."""
        self.due, self.failures, self.pending = 0.0, 0, False
        self.up, self.reason = None, ""

    def answered(self) -> None:
        """A probe was answered: whatever failed before, it is up; one that was down begins afresh."""
        if self.up is False or self.rest == "unreached":
            self.wake()
        self.pending, self.failures, self.reason = False, 0, ""
        self.up = True

    def failed(self, reason: str, down_after: int) -> None:
        """A probe failed for ``reason``; ``down_after`` of them in a row and it is down."""
        self.pending, self.reason = False, reason
        self.failures += 1
        if self.failures >= down_after:
            self.up = False

    def resting(self, at: float) -> Rest:
        """How it rests now, "" where it does not."""
        return self.rest if self.rests > at else ""

    def lie_down(self, rest: Rest, until: float, met: str, at: float) -> bool:
        """It rests until then: True where that is new. What it asked for itself stands above our guess."""
        former = self.resting(at)
        if former == "asked" and rest != "asked":
            return False
        self.rest, self.rests, self.met = rest, until, met
        return former != rest

    def wake(self) -> None:
        """It rests no longer."""
        self.rest, self.rests, self.met = "", 0.0, ""


class Home(NamedTuple):
    """The peer that a trunk is registered with, and the route that it wants calls to take (RFC 3608)."""

    peer: Address
    routes: tuple[str, ...]


class Peers:
    """What is known of the peers of all trunks; ``homes`` has those of the trunks that are registered."""

    __slots__ = ("_fallen", "_states", "_turns", "homes", "located")

    def __init__(self) -> None:
        self.homes: dict[str, Home] = {}
        self.located = Located()
        self._states: dict[str, dict[Address, PeerState]] = {}
        self._turns = Balancer()
        # Trunks that were told to be down, and not yet to be up: a reload may have changed their peers since.
        self._fallen: set[str] = set()

    def state(self, trunk: Trunk, peer: Address) -> PeerState:
        """The state of one peer; one of whom nothing is known yet begins here."""
        return self._states.setdefault(trunk.trunk, {}).setdefault(peer, PeerState())

    def known(self, trunk: Trunk) -> dict[Address, PeerState]:
        """The states of those peers of ``trunk`` of whom anything is known."""
        states = self._states.get(trunk.trunk, {})
        return {peer: states[peer] for peer in self.located.members(trunk) if peer in states}

    def keep(self, trunks: Mapping[str, Trunk], disabled: Collection[str] = ()) -> None:
        """Forget the peers that are in none of ``trunks``, and the probes of those not probed any more."""
        if self._fallen:
            self._fallen &= {name for name, trunk in trunks.items() if trunk.options is not None}
        for name in list(self._states):
            trunk = trunks.get(name)
            if trunk is None:
                del self._states[name]
                continue
            states = self._states[name]
            for peer in states.keys() - set(self.located.members(trunk)):
                del states[peer]
            if trunk.options is None or name in disabled:
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
        members = self.located.members(trunk)
        return bool(members) and all(peer in states and states[peer].up is False for peer in members)

    def why_down(self, trunk: Trunk) -> str:
        """What the probes met of those peers that are down, each named where there are more; "" for none."""
        down = {peer: each.reason for peer, each in self.known(trunk).items() if each.up is False}
        if len(self.located.members(trunk)) == 1:
            return next(iter(down.values()), "")
        return ", ".join(f"{peer}: {reason}" for peer, reason in down.items())

    def order(self, trunk: Trunk, at: float) -> tuple[Address, ...]:
        """The peers that a new call may be sent to, the first to be tried first; with it a turn is taken.

        The first is the one that the trunk is registered with, since it alone may know us.
        """
        states = self._states.get(trunk.trunk, {})
        if not (states or trunk.domains or trunk.ranks or trunk.trunk in self.homes):
            return trunk.peers
        domains = self.located.of(trunk)
        if domains:
            return self._home_first(trunk, *self._spread(trunk, domains, at, turns=True))
        if not trunk.ranks:
            return self.fit(trunk, at)
        ready: list[Address] = []
        last: list[Address] = []
        for rank in trunk.ranks:
            now, later = _sorted_out([each.address for each in rank], states, at)
            ready += self._in_turn(trunk, rank, now) if len(now) > 1 else now
            last += later
        return self._home_first(trunk, ready, last)

    def fit(self, trunk: Trunk, at: float) -> tuple[Address, ...]:
        """The peers that may be sent what is no call, by priority: it takes nobody's turn."""
        domains = self.located.of(trunk)
        if domains:
            return self._home_first(trunk, *self._spread(trunk, domains, at, turns=False))
        states = self._states.get(trunk.trunk)
        peers = [each.address for rank in trunk.ranks for each in rank] if trunk.ranks else trunk.peers
        if not states:
            return self._home_first(trunk, peers, ())
        ready, last = _sorted_out(peers, states, at)
        return self._home_first(trunk, ready, last)

    def _spread(
        self, trunk: Trunk, domains: Domains, at: float, turns: bool
    ) -> tuple[list[Address], list[Address]]:
        """Who is ready and who comes last of a trunk with domains, each of these in the place of its peer."""
        ready: list[Address] = []
        last: list[Address] = []
        for rank in trunk.ranks or tuple([(each,) for each in trunk.listed]):
            peers = [each.address for each in rank]
            if turns and len(rank) > 1:
                peers = self._in_turn(trunk, rank, peers)
            for peer in peers:
                now, later = self._servers(trunk, peer, domains, at, turns)
                ready += now
                last += later
        return list(dict.fromkeys(ready)), list(dict.fromkeys(last))

    def _servers(
        self, trunk: Trunk, peer: Address, domains: Domains, at: float, turns: bool
    ) -> tuple[list[Address], list[Address]]:
        states = self._states.get(trunk.trunk, {})
        servers = domains.get(peer)
        if servers is None:
            return _sorted_out([peer], states, at)
        ready: list[Address] = []
        last: list[Address] = []
        for rank in servers.ranks:
            now, later = _sorted_out([each.address for each in rank], states, at)
            if turns and len(now) > 1:
                now = servers.in_turn([each for each in rank if each.address in now])
            ready += now
            last += later
        return ready, last

    def _home_first(
        self, trunk: Trunk, ready: Sequence[Address], last: Sequence[Address]
    ) -> tuple[Address, ...]:
        """All of them, the peer that the trunk is registered with before those that are as ready as it."""
        home = self.homes.get(trunk.trunk)
        if home is None:
            return (*ready, *last)
        return tuple(
            [
                *[peer for peer in ready if peer == home.peer],
                *[peer for peer in ready if peer != home.peer],
                *[peer for peer in last if peer == home.peer],
                *[peer for peer in last if peer != home.peer],
            ]
        )

    def _in_turn(self, trunk: Trunk, rank: tuple[Server, ...], ready: list[Address]) -> list[Address]:
        """Those of one priority that are ready, first whose turn it is; last those of the weight 0."""
        weights = {each.address: 1 if each.weight is None else each.weight for each in rank}
        sharing = {str(peer): peer for peer in ready if weights[peer]}
        idle = [peer for peer in ready if not weights[peer]]
        if not sharing:
            return idle
        members = tuple([(name, weights[peer]) for name, peer in sharing.items()])
        turns = self._turns.order(Group(f"{trunk.trunk} {rank[0].priority}", members))
        return [*[sharing[name] for name in turns], *idle]

    def patience(self, trunk: Trunk, peer: Address | None) -> float | None:
        """The ``try_for`` of the peer that is tried there, None where it has none of its own."""
        if peer is None or not trunk.patience:
            return None
        return trunk.patience.get(self.located.name_of(trunk, peer))

    def why_none(self, trunk: Trunk, at: float) -> str:
        """Why each peer that is known not to take a call takes none."""
        said: list[str] = []
        for peer, state in self.known(trunk).items():
            if state.up is False:
                said.append(f"{peer}: down: {state.reason}")
            elif state.resting(at) == "asked":
                said.append(f"{peer}: rests for {state.rests - at:.0f} s more: {state.met}")
        for peer, servers in self.located.of(trunk).items():
            if not servers.targets:
                said.append(f"{peer}: DNS names no server of it")
        return ", ".join(said)

    def unreached(self, trunk: Trunk, peer: Address, met: str, at: float) -> None:
        """A call could not reach ``peer``, or heard nothing of it; ``met`` is what happened."""
        self.state(trunk, peer).lie_down("unreached", at + REST, met, at)

    def reached(self, trunk: Trunk, peer: Address) -> None:
        """A call was answered by ``peer``, whatever the answer was."""
        states = self._states.get(trunk.trunk)
        if states and peer in states and states[peer].rest == "unreached":
            states[peer].wake()

    def refused(self, trunk: Trunk, peer: Address, response: Response, at: float) -> float:
        """A call was answered 503 by ``peer``: for how long it asks to rest, 0 where that is nothing new.

        Without a Retry-After that can be read, its 503 is about this call (RFC 3261 21.5.4): it comes last.
        """
        state = self.state(trunk, peer)
        met = f"{response.status} {response.reason}"
        found = _delta_seconds(response.headers.get("Retry-After") or "")
        if found is None:
            state.lie_down("busy", at + REST, met, at)
            return 0.0
        seconds = min(float(found[1]), LONGEST_REST)
        if not seconds:
            state.wake()
            return 0.0
        return seconds if state.lie_down("asked", at + seconds, met, at) else 0.0

    def within(self, trunk: Trunk, begun: Address | None, hop: Uri, former: Address, at: float) -> Towards:
        """Whom a request within a dialog goes to (RFC 3261 12.2.1.1).

        ``hop`` is the first Route or else the remote target, ``begun`` the peer that the dialog was begun
        with where we dialled it, ``former`` the address that was at the other end.
        """
        named = [peer for peer in trunk.peers if _names(hop, peer)] or self.located.meant(trunk, hop)
        if named:
            ours = begun is not None and (begun in named or self.located.name_of(trunk, begun) in named)
            meant = begun if begun is not None and ours else named[0]
            return (meant,), ((Address(former.host, meant.port),) if begun in (None, meant) else ())
        own = begun if begun is not None else _at(trunk, former.host)
        last = Address(former.host, own.port if own is not None else 0)
        near = (Address(hop.host, hop.port or 0), last) if is_ip(hop.host) else (last,)
        return (self.fit(trunk, at) or trunk.peers) if own is None else (own,), near


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


def _sorted_out(
    peers: Sequence[Address], states: Mapping[Address, PeerState], at: float
) -> tuple[list[Address], list[Address]]:
    """Those of ``peers`` that are ready, and those that come last; neither: down, or asked to rest."""
    ready: list[Address] = []
    last: list[Address] = []
    for peer in peers:
        state = states.get(peer)
        rest = state.resting(at) if state is not None else ""
        if rest != "asked" and (state is None or state.up is not False):
            (last if rest else ready).append(peer)
    return ready, last


def _names(hop: Uri, peer: Address) -> bool:
    """Whether a URI means this peer, by host and, where it has one, by port."""
    return hop.host.lower() == peer.host.lower() and (hop.port in (None, peer.port) or not peer.port)


def _at(trunk: Trunk, host: str) -> Address | None:
    """The peer that is configured by this address, if any."""
    for peer in trunk.peers:
        if peer.host == host:
            return peer
    return None
