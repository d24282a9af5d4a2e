"""Probing: OPTIONS to each peer of a trunk that asks for it, and what the answers say of the peer.

A peer is up when any final response comes but 408 and 503, and down after ``down_after`` probes
in a row that failed or were not answered in the trunk's ``response_timeout``; one good answer, however
late, brings it back. While it is down no call is sent to it: the
next peer, or the next hop where all are down, is tried at once instead of after a time-out. What has
not been probed yet counts as up.
"""

from __future__ import annotations

from sbc.b2bua.commands import Command, Note
from sbc.b2bua.desk import Desk, Subject
from sbc.b2bua.leg import Leg, format_target, local_address
from sbc.b2bua.peers import Peers
from sbc.b2bua.translate import ACCEPT
from sbc.base import Address
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response

_NO_SERVICE = (408, 503)


class Prober:
    """Probes every peer of the probed trunks of the snapshot in force."""

    __slots__ = ("_desk",)

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def tick(self, snapshot: Snapshot, at: float, out: list[Command]) -> None:
        """Probe every peer that is due; forget those that are there no longer."""
        peers = self._desk.peers
        peers.keep(snapshot.trunks, snapshot.disabled)
        for trunk in snapshot.trunks.values():
            if trunk.options is None or trunk.trunk in snapshot.disabled:
                continue
            for peer in peers.located.members(trunk):
                state = peers.state(trunk, peer)
                if state.pending and at - state.asked >= trunk.response_timeout:
                    Probe(peers, trunk, peer, state.asked).failed("no answer to OPTIONS", at, out)
                if state.due <= at and not state.pending:
                    state.asked, state.due, state.pending = at, at + trunk.options.every, True
                    self._probe(snapshot, trunk, peer, at, out)

    def _probe(
        self, snapshot: Snapshot, trunk: Trunk, peer: Address, asked: float, out: list[Command]
    ) -> None:
        desk = self._desk
        probe = Probe(desk.peers, trunk, peer, asked)

        def then(flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
            if flow is None:
                probe.failed(reason, at, out)
                return
            probe.flow = flow
            listener = snapshot.settings.listeners[trunk.listener]
            leg = desk.leg_to(trunk, flow, local_address(listener, trunk, flow), peer)
            request = options(leg, desk.ids.branch(), desk.ids.tag(), desk.ids.call_id())
            desk.transactions.start(flow, request, at, out, probe)

        desk.connect("", trunk, ((peer,), ()), snapshot, then, out)


class Probe:
    """One OPTIONS, ``asked`` then; its transaction's user."""

    __slots__ = ("_asked", "_peer", "_peers", "_trunk", "call", "flow", "leg")

    def __init__(self, peers: Peers, trunk: Trunk, peer: Address, asked: float) -> None:
        self.call: Subject | None = None
        self.leg: Leg | None = None
        self.flow: Flow | None = None
        self._peers = peers
        self._trunk = trunk
        self._peer = peer
        self._asked = asked

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """The peer answered."""
        if response.status in _NO_SERVICE:
            self.failed(f"{response.status} {response.reason}", at, out)
        elif response.status >= 200:
            state = self._peers.state(self._trunk, self._peer)
            if state.up is False:
                self._note("peer-up", {"peer": str(self._peer)}, out)
            state.answered()
            if self._peers.rose(self._trunk):
                self._note("trunk-up", {}, out)

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """No answer came."""
        ended = self.flow.ended if self.flow is not None else ""
        reason = ended or "the connection closed"
        self.failed("no answer to OPTIONS" if kind == "timeout" else reason, at, out)

    def failed(self, reason: str, at: float, out: list[Command]) -> None:
        """This probe failed; enough of them in a row and the peer is down, with the last one the trunk."""
        if self._trunk.options is None:
            return
        state = self._peers.state(self._trunk, self._peer)
        if not state.pending or state.asked != self._asked:
            return  # it has failed already, and perhaps another one is under way
        was_down = state.up is False
        state.failed(reason, self._trunk.options.down_after)
        if state.up is False and not was_down:
            self._note("peer-down", {"peer": str(self._peer), "reason": reason}, out)
            if self._peers.is_down(self._trunk):
                self._peers.fell(self._trunk)
                self._note("trunk-down", {"reason": self._peers.why_down(self._trunk)}, out)

    def _note(self, event: str, fields: dict[str, str], out: list[Command]) -> None:
        out.append(Note(event, "", {"trunk": self._trunk.trunk, **fields}))


def options(leg: Leg, branch: str, tag: str, call_id: str) -> Request:
    """The OPTIONS that asks the peer whether it is there (RFC 3261 11.1)."""
    flow = leg.flow
    place = format_target(leg.target, flow.transport)
    leg.contact = leg.address_of("")
    suffix = "" if flow.transport == "udp" else f";transport={flow.transport}"
    own_host = leg.host
    fields = [
        ("Via", leg.via(branch)),
        ("Max-Forwards", "70"),
        ("From", f"<{leg.scheme}:{own_host}>;tag={tag}"),
        ("To", f"<{leg.scheme}:{place}>"),
        ("Call-ID", call_id),
        ("CSeq", "1 OPTIONS"),
        ("Contact", leg.contact),
        ACCEPT,
    ]
    return Request("OPTIONS", f"{leg.scheme}:{place}{suffix}", Headers(fields))
