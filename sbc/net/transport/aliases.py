"""Connections that a peer opened, for our requests to it (RFC 5923).

The peer asks for it with ``alias`` in its Via. That alone proves nothing: whoever opened the connection must
be who would be accepted if we dialled the address that the request is for, by the same name, trust and
certificate, and see the same certificate of ours (RFC 5923 8).
"""

from __future__ import annotations

from sbc.base import Address
from sbc.config.model import Trunk
from sbc.flow import Flow, ReuseKey
from sbc.net.system.clock import Clock
from sbc.net.transport.listener import Listeners
from sbc.net.transport.stream_listener import StreamListener
from sbc.tls.judge import Judge
from sbc.tls.match import Admission, still_trusted
from sbc.tls.names import is_ip


class Aliases:
    """Finds the connection by which a peer has offered to take requests."""

    __slots__ = ("_clock", "_judged", "_listeners")

    def __init__(self, listeners: Listeners, clock: Clock) -> None:
        self._listeners = listeners
        self._clock = clock
        # By flow: for whom its peer was taken, the last time that it was asked.
        self._judged: dict[int, tuple[Admission, bool]] = {}

    def find(self, trunk: Trunk, key: ReuseKey, peer: Address) -> Flow | None:
        """The connection that stands for one to the target of ``key``, in the name of ``peer``."""
        endpoint = self._listeners.endpoint(trunk.listener)
        admission = self._listeners.contexts.table.outbound(trunk.trunk, peer.host)
        if not isinstance(endpoint, StreamListener) or admission is None:
            return None
        for flow in endpoint.flows.values():
            if flow.alias and flow.trunk == trunk.trunk and self._fits(flow, key):
                if self._is_peer(flow, admission):
                    return flow
        return None

    def _fits(self, flow: Flow, key: ReuseKey) -> bool:
        target = key.target
        return (
            flow.alive
            and flow.trusted
            and flow.id not in self._listeners.recycler.leaving
            and flow.tls is not None
            and flow.tls.identity == key.identity
            and target.port in (0, flow.alias)
            and (not is_ip(target.host) or target.host == flow.remote.host)
        )

    def _is_peer(self, flow: Flow, admission: Admission) -> bool:
        """Whether we would accept who opened ``flow`` if we dialled it."""
        known = self._judged.get(flow.id)
        if known is not None and known[0] is admission:
            return known[1]
        judge: Judge = flow.channel.cipher.judge
        presented = judge.presented
        good = presented is not None and presented.leaf.server_auth
        if good:
            good = still_trusted(flow.trunk or "", presented, admission, self._clock.now()).trunk is not None
        still_open = {each.id for each in self._listeners.flows}
        self._judged = {number: said for number, said in self._judged.items() if number in still_open}
        self._judged[flow.id] = admission, good
        return good
