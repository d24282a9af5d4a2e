"""Probing: OPTIONS to each trunk that asks for it, and what the answers say of the trunk.

A trunk is up when any final response comes but 408 and 503, and down after ``down_after`` probes
in a row that failed; one good answer brings it back. While it is down no call is sent to it: the
next hop is tried at once instead of after a time-out. What has not been probed yet counts as up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from sbc.b2bua.commands import Command, Note
from sbc.b2bua.leg import Leg, format_target, local_address
from sbc.b2bua.screening import ACCEPT
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.sip.headers import Headers
from sbc.sip.message import Request, Response

if TYPE_CHECKING:
    from sbc.b2bua.call import Call
    from sbc.b2bua.engine import Engine

_NO_SERVICE = (408, 503)


class Health:
    """One trunk's probes; ``up`` is None until the first has an outcome."""

    __slots__ = ("due", "failures", "pending", "reason", "up")

    def __init__(self, due: float) -> None:
        self.due = due
        self.failures = 0
        self.pending = False
        self.up: bool | None = None
        self.reason = ""


class Prober:
    """The health of every probed trunk of the snapshot in force."""

    __slots__ = ("_engine", "health")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.health: dict[str, Health] = {}

    def is_down(self, trunk: str) -> bool:
        """True where the trunk is known not to answer."""
        health = self.health.get(trunk)
        return health is not None and health.up is False

    def tick(self, snapshot: Snapshot, now: float, out: list[Command]) -> None:
        """Probe every trunk that is due; forget those that are probed no longer."""
        probed = {name: trunk for name, trunk in snapshot.trunks.items() if trunk.options and trunk.peers}
        for name in self.health.keys() - probed.keys():
            del self.health[name]
        for name, trunk in probed.items():
            health = self.health.setdefault(name, Health(now))
            if health.due <= now and not health.pending:
                assert trunk.options is not None, "only such trunks are probed"
                health.due, health.pending = now + trunk.options.every, True
                self._probe(snapshot, trunk, health, out)

    def _probe(self, snapshot: Snapshot, trunk: Trunk, health: Health, out: list[Command]) -> None:
        engine, probe = self._engine, Probe(trunk, health)

        def then(flow: Flow | None, reason: str, now: float, out: list[Command]) -> None:
            if flow is None:
                probe.failed(reason, now, out)
                return
            listener = snapshot.settings.listeners[trunk.listener]
            leg = Leg("b", trunk, flow, local_address(listener, trunk, flow), trunk.scheme)
            request = options(leg, engine.transactions.new_branch(), engine.ids.tag(), engine.ids.call_id())
            engine.transactions.start(flow, request, now, out, probe)

        engine.ask_connection("", trunk, snapshot, then, out)


class Probe:
    """One OPTIONS; its transaction's user."""

    __slots__ = ("_health", "_trunk", "call")

    def __init__(self, trunk: Trunk, health: Health) -> None:
        self.call: Call | None = None
        self._trunk = trunk
        self._health = health

    def on_response(self, response: Response, now: float, out: list[Command]) -> None:
        """The peer answered."""
        if response.status in _NO_SERVICE:
            self.failed(f"{response.status} {response.reason}", now, out)
        elif response.status >= 200:
            health = self._health
            health.pending, health.failures, health.reason = False, 0, ""
            if health.up is False:
                out.append(Note("trunk-up", "", {"trunk": self._trunk.trunk}))
            health.up = True

    def on_failure(self, kind: str, now: float, out: list[Command]) -> None:
        """No answer came."""
        self.failed("no answer to OPTIONS" if kind == "timeout" else "the connection closed", now, out)

    def failed(self, reason: str, now: float, out: list[Command]) -> None:
        """This probe failed; enough of them in a row and the trunk is down."""
        health, probe = self._health, self._trunk.options
        health.pending, health.reason = False, reason
        health.failures += 1
        if health.up is not False and probe is not None and health.failures >= probe.down_after:
            health.up = False
            out.append(Note("trunk-down", "", {"trunk": self._trunk.trunk, "reason": reason}))


def options(leg: Leg, branch: str, tag: str, call_id: str) -> Request:
    """The OPTIONS that asks the peer whether it is there (RFC 3261 11.1)."""
    flow = leg.flow
    place = format_target(flow.reuse.target if flow.reuse else flow.remote, flow.transport)
    leg.set_contact("")
    suffix = "" if flow.transport == "udp" else f";transport={flow.transport}"
    own_host = leg.sent_by.rpartition(":")[0]
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
