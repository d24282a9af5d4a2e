"""What is no call on its way to the phones of one user: each gets a copy (RFC 3428 7, RFC 3261 16.7).

A text is to be on all phones that its reader prefers alike, so a copy goes to each of these at once, and to
those of a lower q only where all of these have refused; ``one by one`` nobody gets one while another may
still take it. The first 2xx is the answer to the sender. Nothing is cancelled then, as nothing but an INVITE
can be: the other copies arrive, or do not, and nobody waits for that. Where no phone takes it, the best of
what all have said is what the sender hears. A phone that is silent to the end of its transaction was asked
for as long as the sender waits, so nobody is asked after it.
"""

from __future__ import annotations

from functools import partial
from typing import Protocol

from dsl.decision import Registered
from sbc.b2bua.commands import Command
from sbc.b2bua.contacts import Failed, better, groups_of, is_reachable
from sbc.b2bua.desk import Desk, Subject
from sbc.b2bua.leg import Leg
from sbc.base import PeerError
from sbc.config.model import Trunk
from sbc.config.snapshot import Snapshot
from sbc.flow import Flow
from sbc.registrar.binding import Binding
from sbc.sip.message import Request, Response


class Sender(Protocol):
    """Whose request is copied: ``sbc.b2bua.page.Page``."""

    @property
    def snapshot(self) -> Snapshot:
        """The configuration that it came under."""

    @property
    def desk(self) -> Desk:
        """Where transactions are started."""

    def objection(self, trunk: Trunk) -> tuple[int, str]:
        """With which status a phone of ``trunk`` fails that cannot be tried, and why; 0 where it can."""

    def written(self, trunk: Trunk, flow: Flow, contact: Binding) -> tuple[Leg, Request]:
        """The copy for ``contact``, and the leg that it is for; PeerError where it may not be sent there."""

    def on_taken(self, leg: Leg, response: Response, at: float, out: list[Command]) -> None:
        """A phone has taken it before all others, with this 2xx."""

    def on_nobody(self, best: Failed, reason: str, at: float, out: list[Command]) -> None:
        """No phone takes it; this is the best of what they said."""


class Copies:
    """Those phones of a user that a copy is on its way to, and those that may still get one."""

    __slots__ = ("_best", "_count", "_groups", "_over", "_starting", "_under_way", "_why", "sender")

    def __init__(self, sender: Sender, contacts: list[Binding], how: Registered) -> None:
        self.sender = sender
        self._best: Failed | None = None
        self._why = "none of its phones can be reached"
        self._count = 0  # how many have failed
        self._under_way = 0
        self._starting = False
        self._over = False  # the sender has its answer
        objections: dict[str, int] = {}
        usable: list[Binding] = []
        for each in contacts:
            trunk = sender.snapshot.trunks.get(each.trunk)
            if trunk is None or not trunk.phones or not is_reachable(each):
                continue
            if each.trunk not in objections:
                status, why = sender.objection(trunk)
                objections[each.trunk] = status
                if status:
                    self._weigh(Failed(status, None, None), why)
            if not objections[each.trunk]:
                usable.append(each)
        self._groups = groups_of(usable, how == "one by one")

    def begin(self, at: float, out: list[Command]) -> None:
        """Send it to the phones of the highest q, and where all have failed to those of the next one."""
        while not self._under_way and self._groups:
            group = self._groups.pop(0)
            self._under_way, self._starting = len(group), True
            for targets in group:
                Copy(self, targets).start(at, out)
            self._starting = False
        if self._under_way or self._over:
            return
        self._over = True
        best = self._best or Failed(480, None, None)
        response = best.response
        if response is not None and response.status == 503 and self._count > 1:
            # The sender is not to take us for busy because one of several is (RFC 3261 16.7 6).
            response.status, response.reason = 500, "Server Internal Error"
        self.sender.on_nobody(best, self._why, at, out)

    def stop(self) -> None:
        """The sender has its answer, or wants none any more: no phone is asked that was not yet."""
        self._over = True
        self._groups = []

    def taken(self, leg: Leg, response: Response, at: float, out: list[Command]) -> None:
        """A phone has taken it; if it is the first, the sender hears of it."""
        self._under_way -= 1
        if not self._over:
            self.stop()
            self.sender.on_taken(leg, response, at, out)

    def failed(self, failed: Failed, why: str, at: float, out: list[Command]) -> None:
        """A phone has not taken it."""
        self._under_way -= 1
        self._count += 1
        if self._over:
            return
        self._weigh(failed, why)
        if failed.status >= 600 or failed.failure == "timeout":
            self._groups = []
        if not self._under_way and not self._starting:
            self.begin(at, out)

    def _weigh(self, failed: Failed, why: str) -> None:
        best = self._best = better(self._best, failed)
        if best is failed:
            self._why = why


class Copy:
    """One phone's copy, the user of its transaction; ``targets`` are the phone's flows, the best first."""

    __slots__ = ("_branch", "_contact", "_copies", "_targets", "_turn", "call", "id", "leg", "snapshot")

    def __init__(self, copies: Copies, targets: list[Binding]) -> None:
        self.id = ""
        self.call: Subject | None = None
        self.leg: Leg | None = None
        self.snapshot = copies.sender.snapshot
        self._copies = copies
        self._targets = targets
        self._contact = targets[0]
        self._branch = ""
        self._turn = 0  # counts the flows: what comes late of an earlier one is none of this one's

    def start(self, at: float, out: list[Command]) -> None:
        """Send it over the next of the phone's flows."""
        self._contact = contact = self._targets.pop(0)
        self._turn += 1
        if contact.flow is not None and contact.flow.alive:
            self._send(contact.flow, at, out)
        else:  # datagrams need no connection, only a listener
            then, trunk = partial(self._connected, self._turn), self.snapshot.trunks[contact.trunk]
            self._copies.sender.desk.connect("", trunk, ((contact.remote,), ()), self.snapshot, then, out)

    def _connected(self, turn: int, flow: Flow | None, reason: str, at: float, out: list[Command]) -> None:
        if turn == self._turn:
            if flow is None:
                self._flow_failed(reason, at, out)
            else:
                self._send(flow, at, out)

    def _send(self, flow: Flow, at: float, out: list[Command]) -> None:
        sender, turn = self._copies.sender, self._turn
        try:
            leg, request = sender.written(self.snapshot.trunks[self._contact.trunk], flow, self._contact)
        except PeerError as refused:
            self._copies.failed(Failed(refused.status, None, None), refused.reason, at, out)
            return
        self.leg, self._branch = leg, request.via.branch

        def fitting(flow: Flow, at: float, out: list[Command]) -> None:
            if turn == self._turn:
                sender.desk.transactions.start(flow, request, at, out, self)

        sender.desk.with_room(self, leg, request, fitting, at, out)

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """The phone answered; after 430 it gets it by another of its flows (RFC 5626 5.3)."""
        status, leg = response.status, self.leg
        if status < 200 or leg is None or response.via.branch != self._branch:
            return
        self._branch = ""
        if status < 300:
            self._copies.taken(leg, response, at, out)
        elif status == 430:
            self._flow_failed("its flow has failed", at, out)
        else:
            self._copies.failed(Failed(status, response, leg), f"{status} {response.reason}", at, out)

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """No answer comes."""
        if not self._branch:
            return
        self._branch = ""
        if kind == "timeout":
            self._copies.failed(Failed("timeout", None, None), "no answer in time", at, out)
        else:
            self._flow_failed("its connection closed", at, out)

    def _flow_failed(self, reason: str, at: float, out: list[Command]) -> None:
        self._targets = [each for each in self._targets if is_reachable(each)]
        if self._targets:
            self.start(at, out)
        else:
            self._copies.failed(Failed(480, None, None), reason, at, out)
