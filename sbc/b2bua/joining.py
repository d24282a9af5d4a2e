"""A re-INVITE of ours by which a party of one call is connected with another (RFC 3261 14, RFC 3725).

It offers what the other one has said, and its answer goes into the media of the call that the two have then.
What stands in its way is waited for: an offer or an INVITE that is under way, and 491. Until it is through,
the party's own call holds it, and goes on where the party refuses.
"""

from __future__ import annotations

from typing import Final, Protocol

from sbc.b2bua.answered import AnsweredInvite
from sbc.b2bua.bodies import with_sdp
from sbc.b2bua.call import Call
from sbc.b2bua.commands import Command
from sbc.b2bua.leg import Leg, Side
from sbc.b2bua.life import clear
from sbc.b2bua.proofs import CHALLENGES, Given, proven
from sbc.b2bua.refresh import after_glare, is_busy
from sbc.sip.dialog import Dialog
from sbc.sip.message import Request, Response

#: The timer of the next try, among those of the call that is joined.
JOIN: Final = "join"
# Seconds until the next look at a party that is busy, and how long an answer is waited for: nobody has to
# pick up a telephone for it. How often one is tried.
_BUSY: Final = 0.5
_PATIENCE: Final = 40.0
MOST_TRIES: Final = 20


class Joined(Protocol):
    """Whoever connects the two."""

    def on_joined(self, response: Response, at: float, out: list[Command]) -> None:
        """The party took it: its 2xx, acknowledged where that was to be done at once."""

    def on_refused(self, status: int, at: float, out: list[Command]) -> None:
        """The party did not; with 408 or 481 it is gone."""

    def on_over(self, at: float, out: list[Command]) -> None:
        """The call that it was to join has ended."""


class Joining:
    """One party on its way from the call that holds it, ``holder``, into ``call``.

    ``acks``: its 2xx is acknowledged at once, where that has no offer of its own; else by ``answered``.
    """

    __slots__ = (
        "_acks", "_holder", "_lost", "_on", "_pending", "_side", "_tries", "answered", "call", "cancelled",
        "dialog", "given", "heard", "leg", "offer", "request", "took",
    )  # fmt: skip

    def __init__(
        self, call: Call, holder: Call, side: Side, offer: bytes, on: Joined, acks: bool = True
    ) -> None:
        assert holder.fork is not None, "its party has answered"
        self.call = call
        self.leg: Leg = holder.leg(side)
        self.dialog: Dialog = holder.fork.dialog(side)
        self.offer = offer
        self.request: Request | None = None
        self.given: Given | None = None
        self.heard = self.cancelled = self.took = False
        self.answered: AnsweredInvite | None = None  # who sends the ACK, where the party makes the offer
        self._acks = acks and bool(offer)
        self._holder = holder
        self._side: Side = side
        self._on = on
        self._tries = 0
        self._pending = self._lost = False

    def start(self, at: float, out: list[Command]) -> None:
        """Send the re-INVITE as soon as it can be."""
        self.call.mirrors.append(self)
        self.again(at, out)

    def again(self, at: float, out: list[Command]) -> None:
        """Try, and where the party is busy later; one that has been asked has not answered."""
        call, leg = self.call, self.leg
        if self._pending:
            self._free()
            self.cancelled = True
            if self.heard:
                self._send_cancel(at, out)
            self._on.on_refused(408, at, out)
            return
        self._tries += 1
        if self._tries > MOST_TRIES:
            self._on.on_refused(491, at, out)
            return
        if is_busy(self._holder, self._side):
            call.schedule(JOIN, at + _BUSY)
            return
        via = leg.via(call.desk.ids.branch())
        request = self.dialog.request("INVITE", via=via, contact=leg.contact)
        leg.ask_for_session(request)
        with_sdp(request, self.offer)
        leg.proof = ()
        leg.refreshing = leg.inviting = self._pending = True
        self.given, self.heard = None, False
        self._send(request, at, out)

    def _send(self, request: Request, at: float, out: list[Command]) -> None:
        self.request = request
        self.call.schedule(JOIN, at + _PATIENCE)
        self.call.desk.send(self.call, self.leg, self.dialog, request, self, at, out)

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """The party answered."""
        number = response.cseq.number
        if self.request is not None and number != self.request.cseq.number:
            if 200 <= response.status < 300:  # it has read that of the connection that closed, too
                self._send_ack(number, b"", at, out)
            return
        if response.status < 200:
            if self.cancelled and not self.heard:
                self._send_cancel(at, out)
            self.heard = True
            return
        if response.status < 300:
            self._acknowledge(at, out)
        if self.took:
            return
        if self not in self.call.mirrors:
            if response.status < 300:
                clear(self._holder, "its media is that of a call that is over", at, out)
            return
        if response.status in CHALLENGES and self._prove(response, at, out):
            return
        self._free()
        if response.status == 491:
            self.call.schedule(JOIN, at + after_glare(self.call, self.leg.peer is not None))
        elif response.status >= 300:
            self._on.on_refused(response.status, at, out)
        else:
            self.took = True
            self.dialog.refresh(response)
            self._on.on_joined(response, at, out)

    def _acknowledge(self, at: float, out: list[Command]) -> None:
        if self.answered is not None:
            self.answered.repeat_ack(at, out)
        elif self._acks or self not in self.call.mirrors:
            self.send_ack(b"", at, out)

    def send_ack(self, sdp: bytes, at: float, out: list[Command]) -> None:
        """Acknowledge the party's 2xx, with an answer where that has its offer."""
        assert self.request is not None, "a 2xx implies the request"
        self._send_ack(self.request.cseq.number, sdp, at, out)

    def _send_ack(self, cseq: int, sdp: bytes, at: float, out: list[Command]) -> None:
        leg, desk = self.leg, self.call.desk
        via = leg.via(desk.ids.branch())
        ack = self.dialog.request("ACK", via=via, contact=leg.contact, cseq=cseq)
        desk.send_ack(self.call, leg, self.dialog, with_sdp(ack, sdp), at, out)

    def _prove(self, response: Response, at: float, out: list[Command]) -> bool:
        leg, desk = self.leg, self.call.desk
        given = self.given = self.given or Given()
        assert self.request is not None, "a response implies the request"
        again = desk.proofs.within(leg.name, self.dialog, self.request, response, given, out)
        if again is None:
            return False
        leg.proof = proven(again)
        self.heard = False
        self._send(again, at, out)
        return True

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """No answer came in time, or there is no connection to ask on."""
        if self.took or self not in self.call.mirrors or kind == "adrift":
            return
        self._free()
        if kind == "transport" and not self._lost:
            self._lost = True  # who still waits for it must not be hung up for a connection: ask on a new one
            self.call.schedule(JOIN, at + _BUSY)
            return
        self._on.on_refused(408 if kind == "timeout" else 503, at, out)

    def abandon(self, at: float, out: list[Command]) -> None:
        """The call that it joins ended first: no INVITE stays pending (RFC 3261 15.1.2)."""
        self.call.mirrors.remove(self)
        pending = self._pending
        self._free()
        self.cancelled = True
        if pending and self.heard:
            self._send_cancel(at, out)
        if self.took:
            clear(self._holder, "its media is that of a call that is over", at, out)
        self._on.on_over(at, out)

    def outlives(self, side: Side) -> bool:
        """It ends with the call that it joins."""
        return False

    def _send_cancel(self, at: float, out: list[Command]) -> None:
        if self.request is not None:
            self.call.desk.send_cancel(self.call, self.leg, self.request, at, out)

    def _free(self) -> None:
        """No re-INVITE of ours is under way any more."""
        self.call.cancel_timer(JOIN)
        if self._pending:
            self._pending = self.leg.refreshing = self.leg.inviting = False
