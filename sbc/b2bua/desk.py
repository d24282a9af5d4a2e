"""The desk: what calls, and whoever works for them, ask of the engine.

It knows no call from within, so that whatever a call is made of can stand on it: it starts transactions and
connections, keeps the calls' next timers and the index of their dialogs, and holds what all calls share.
"""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappush
from typing import Any, Final, Protocol

from sbc.b2bua.actions import Actions
from sbc.b2bua.commands import Command, Connect
from sbc.b2bua.dialogs import Dialogs
from sbc.b2bua.leg import Leg
from sbc.b2bua.peers import Peers, Towards
from sbc.b2bua.translate import Fields
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot, SnapshotStore
from sbc.flow import Flow
from sbc.ids import Ids
from sbc.policy.limits import CallLimits
from sbc.sip.cancel import build_cancel
from sbc.sip.dialog import Dialog
from sbc.sip.message import Request, Response, response_to
from sbc.sip.outgoing import Send
from sbc.sip.transactions import ServerTransaction, Transactions

MOST_LATE: Final = 20
# How many numbers PRACK and UPDATE may have taken in an early dialog that is forgotten; gaps are allowed.
EARLY_REQUESTS: Final = 1000
Connected = Callable[["Flow | None", str, float, "list[Command]"], None]


class Subject(Protocol):
    """Whom something is done for: a call."""

    @property
    def id(self) -> str:
        """Its name."""

    @property
    def snapshot(self) -> Snapshot:
        """The configuration that it began with."""


class Awaiting(Protocol):
    """Whoever waits for a transaction: its ``user``."""

    @property
    def call(self) -> Subject | None:
        """The call that it works for, if any."""

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """A response came, provisional or final."""

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """No response will come: ``timeout``, ``transport`` or ``unreachable``; or no ACK: ``no-ack``."""


class Desk:
    """What all calls of one process share; the engine is one.

    ``working_on`` names the call that has its turn, ``serving`` is what became of the request that came last.

    Times are of the monotonic clock, whose jumps nobody has to fear. ``epoch`` is what the wall clock shows
    when that is at 0; whoever runs the engine keeps it right, for rules, hooks and records, which want dates.
    """

    __slots__ = (
        "_calls", "_connect_keys", "_connecting", "_reminders", "actions", "dialogs", "draining",
        "epoch", "ids", "limits", "peers", "serving", "store", "transactions", "working_on",
    )  # fmt: skip

    def __init__(self, store: SnapshotStore, ids: Ids, calls: dict[str, Any]) -> None:
        self.store = store
        self.ids = ids
        self.transactions = Transactions(ids)
        self.limits = CallLimits()
        self.peers = Peers()
        self.dialogs = Dialogs()
        self.actions = Actions(ids, self.count)
        self.draining = False
        self.working_on = ""
        self.epoch = 0.0
        self.serving: ServerTransaction | None = None
        self._calls = calls  # the engine's own: here they are counted, and taken out
        self._connecting: dict[int, tuple[str, Connected]] = {}
        self._connect_keys = 0
        self._reminders: list[tuple[float, str]] = []

    def date(self, at: float) -> float:
        """POSIX seconds of the moment ``at``, by the wall clock as it goes now."""
        return self.epoch + at

    def count(self, trunk: str) -> int:
        """How many calls a trunk has now; of all trunks for an empty name. One that is set up counts."""
        return self.limits.calls(trunk) if trunk else len(self._calls)

    def remind(self, deadline: float, call_id: str) -> None:
        """Look at a call's timers at ``deadline``."""
        heappush(self._reminders, (deadline, call_id))

    def forget(self, call_id: str) -> None:
        """A call is over and holds nothing any more."""
        self._calls.pop(call_id, None)

    # Messages

    def respond_to(self, server: ServerTransaction, status: int, reason: str, tag: str = "") -> Response:
        """A response to the request of ``server``; it gets a To tag where it has none yet."""
        request = server.request
        if not tag and status > 100 and not request.to_tag:
            tag = self.ids.tag()
        return response_to(request, status, reason, tag)

    def connect(
        self, call_id: str, trunk: Trunk, to: Towards, snapshot: Snapshot, then: Connected, out: list[Command]
    ) -> None:
        """Ask for a flow to a peer of ``trunk`` and go on with ``then``; no name where it is for no call."""
        self._connect_keys += 1
        self._connecting[self._connect_keys] = (call_id, then)
        out.append(Connect(self._connect_keys, trunk, snapshot, call_id, *to))

    def send(
        self, call: Subject, leg: Leg, dialog: Dialog, request: Request, user: Awaiting, at: float,
        out: list[Command],
    ) -> None:  # fmt: skip
        """Start a transaction on ``leg``, over a new connection to its peer where the old one is gone."""
        if leg.flow.alive:
            self.transactions.start(leg.flow, request, at, out, user)
            return

        def then(flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
            if flow is None:
                user.on_failure("unreachable", at, out)
            else:
                leg.flow = flow
                self.transactions.start(flow, request, at, out, user)

        to = self.peers.within(leg.trunk, leg.peer, dialog.next_hop, leg.flow.remote, at)
        self.connect(call.id, leg.trunk, to, call.snapshot, then, out)

    def send_cancel(self, leg: Leg, invite: Request, at: float, out: list[Command], why: Fields = ()) -> None:
        """CANCEL ``invite`` on ``leg``; ``why`` are the Reasons of whoever gave it up."""
        if leg.flow.alive:
            cancel = build_cancel(invite)
            cancel.headers.extend(why)
            self.transactions.start(leg.flow, cancel, at, out, NOBODY)

    def refuse_late_answer(
        self, call: Subject, leg: Leg, invite: Request, response: Response, at: float, out: list[Command]
    ) -> None:
        """A 2xx that nobody wants any more: ACK each time, and BYE once, if it made a dialog (13.2.2.4).

        Of a callee that answers under ever new tags no more than ``MOST_LATE`` are heard.
        """
        tag = response.to_tag
        first = not invite.to_tag and tag not in leg.late
        if first and len(leg.late) >= MOST_LATE:
            return
        if response.contact is None:
            # It can only be told where the INVITE found it.
            response.headers.set("Contact", f"<{invite.uri}>")
        dialog = Dialog.as_uac(invite, response)
        dialog.local_cseq += EARLY_REQUESTS
        via, cseq = leg.via(self.transactions.new_branch()), invite.cseq.number
        out.append(Send(leg.flow, dialog.request("ACK", via=via, contact=leg.contact, cseq=cseq)))
        if first:
            leg.late += (tag,)
            via = leg.via(self.transactions.new_branch())
            bye = dialog.request("BYE", via=via, contact=leg.contact)
            self.send(call, leg, dialog, bye, NOBODY, at, out)


class _Nobody:
    """Waits for responses that change nothing, such as those to our BYE."""

    call = None

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """Nothing to do."""

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """Nothing to do."""


NOBODY: Final = _Nobody()
