"""Our own session refreshes, and the end of a session that nobody refreshed (RFC 4028 7.4, 10).

A refresh is an UPDATE without a body where the peer allows UPDATE. Otherwise it is a re-INVITE with the very
description that the peer has of us, so that nothing changes; should its answer be another than before, the
media follows it, and the other leg hears nothing of that. No answer, 408 and 481 say that the peer has lost
the call: both sides get a BYE. After any other refusal it is tried again until the session expires.
"""

from __future__ import annotations

from typing import Final

from sbc.b2bua.bodies import carried_body, with_sdp
from sbc.b2bua.call import LONGEST, Call
from sbc.b2bua.causes import because
from sbc.b2bua.commands import AnswerMedia, Command, Note, OfferMedia
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.leg import Leg, Side, other
from sbc.b2bua.life import clear, fire
from sbc.b2bua.proofs import CHALLENGES, Given, proven
from sbc.b2bua.session import EXPIRE, REFRESH, accepted, lengthen, start
from sbc.b2bua.states import LEFT, UP, Ending
from sbc.base import PeerError
from sbc.sip.message import Request, Response

# Seconds until a refresh is tried that another request stood in the way of, or that was refused or not sent.
_BUSY: Final = 2.0
_AGAIN: Final = 10.0  # at least; in a long session a twentieth of it
_NO_UPDATE: Final = (405, 420, 488, 501)


def on_timer(call: Call, name: str, at: float, out: list[Command]) -> None:
    """A session timer of the call is due, or its longest duration over."""
    if name == LONGEST:
        seconds = f"{at - call.answered_at:.0f} s"
        ending = Ending(f"longest duration reached: {seconds}", reasons=because(480, "Longest duration"))
        fire(call, "clear", at, out, ending)
        return
    side: Side = "a" if name.endswith("a") else "b"
    if name == EXPIRE[side]:
        out.append(Note("session-expired", call.id, {"side": side, "trunk": call.leg(side).trunk.trunk}))
        clear(call, "the session was not refreshed", at, out)
    elif call.fork is not None and call.state in (UP, LEFT):
        _refresh(call, call.fork, side, at, out)


def _refresh(call: Call, fork: Fork, side: Side, at: float, out: list[Command]) -> None:
    description = b"" if call.leg(side).updates else call.described(side)
    if description and is_busy(call, side):
        call.schedule(REFRESH[side], at + _BUSY)
    else:
        Refresh(call, fork, side).start(description, at, out)


def is_busy(call: Call, side: Side) -> bool:
    """Whether a re-INVITE would meet an offer or an INVITE that is under way (RFC 3261 14.1)."""
    leg = call.leg(side)
    waits = call.offerer is not None or bool(call.media_waits) or bool(call.answered_invites)
    return waits or leg.inviting or leg.invited or call.leg(other(side)).refreshing


def after_glare(call: Call, own: bool) -> float:
    """Seconds until the next attempt after a 491: longer where the Call-ID is our ``own`` (RFC 3261 14.1)."""
    chance = int.from_bytes(call.desk.ids.key(2), "big")
    return 2.1 + (chance % 191) / 100 if own else (chance % 201) / 100


class Refresh:
    """One refresh on its way; its transaction's user."""

    __slots__ = ("call", "cancelled", "fork", "given", "heard", "request", "side")

    def __init__(self, call: Call, fork: Fork, side: Side) -> None:
        self.call = call
        self.fork = fork
        self.side: Side = side
        self.request: Request | None = None
        self.given: Given | None = None
        self.heard = self.cancelled = False

    @property
    def leg(self) -> Leg:
        """The one that is refreshed."""
        return self.call.leg(self.side)

    def start(self, description: bytes, at: float, out: list[Command]) -> None:
        """Send the refresh: a re-INVITE where there is a ``description`` of ours to repeat."""
        call, leg = self.call, self.leg
        self.request = call.request(self.fork, self.side, "INVITE" if description else "UPDATE")
        leg.ask_for_session(self.request)
        with_sdp(self.request, description)
        call.mirrors.append(self)
        leg.refreshing = leg.inviting = bool(description)
        if description:
            leg.proof = ()
        call.send(self.fork, self.side, self.request, self, at, out)

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """The peer answered."""
        assert self.request is not None, "a response implies the request"
        if response.status < 200:
            if self.cancelled and not self.heard:
                self._send_cancel(at, out)
            self.heard = True
            return
        if self.request.method == "INVITE" and response.status < 300:
            ack = self.call.ack(self.fork, self.side, self.request.cseq.number)
            self.call.desk.send_ack(self.call, self.leg, self.fork.dialog(self.side), ack, at, out)
        if self not in self.call.mirrors:
            return
        if response.status in CHALLENGES and self._prove(self.request, response, at, out):
            return
        self._finish()
        if response.status >= 300:
            self._refused(self.request, response, at, out)
            return
        self.fork.dialog(self.side).refresh(response)
        accepted(self.call, self.side, self.request, response, at)
        self._follow(response, at, out)

    def _prove(self, request: Request, response: Response, at: float, out: list[Command]) -> bool:
        """Answer a challenge to a re-INVITE; those to UPDATE are ``sbc.b2bua.desk.Again``'s."""
        if request.method != "INVITE":
            return False
        leg, dialog, desk = self.leg, self.fork.dialog(self.side), self.call.desk
        given = self.given = self.given or Given()
        again = desk.proofs.within(leg.name, dialog, request, response, given, out)
        if again is None:
            return False
        leg.proof = proven(again)
        self.request, self.heard = again, False
        self.call.send(self.fork, self.side, again, self, at, out)
        return True

    def _follow(self, response: Response, at: float, out: list[Command]) -> None:
        """Let the media go where the answer says, if that is elsewhere."""
        call, far = self.call, other(self.side)
        try:
            sdp = carried_body(response)
        except PeerError as error:
            clear(call, error.reason, at, out)
            return
        if self.cancelled or not sdp or _substance(sdp) == _substance(call.heard(self.side)):
            return

        def offered(_: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
            if error is None:
                call.ask_media(AnswerMedia(call.id, self.side, sdp), answered, out)
            else:
                answered(b"", error, at, out)

        def answered(_: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
            if error is not None:
                call.media_refused(self.side, error, out)
                clear(call, error.reason, at, out)

        ours, theirs = call.policies[far], call.policies[self.side]
        call.ask_media(OfferMedia(call.id, far, call.heard(far), ours, theirs), offered, out)

    def _refused(self, request: Request, response: Response, at: float, out: list[Command]) -> None:
        call, leg, status = self.call, self.leg, response.status
        if status in (408, 481):
            clear(call, f"{status} to a session refresh", at, out)
        elif status == 491:
            call.schedule(REFRESH[self.side], at + after_glare(call, self.side == "b"))
        elif status == 422 and lengthen(leg, request, response):
            _refresh(call, self.fork, self.side, at, out)
        elif request.method == "UPDATE" and status in _NO_UPDATE and call.described(self.side):
            leg.updates = False
            _refresh(call, self.fork, self.side, at, out)
        elif leg.session is not None and not leg.session.known:
            start(call, self.side, at)  # who can refuse is there
        else:
            self._later(f"{status} {response.reason}", at, out)

    def _later(self, reason: str, at: float, out: list[Command]) -> None:
        fields = {"side": self.side, "trunk": self.leg.name, "reason": reason}
        out.append(Note("refresh-failed", self.call.id, fields))
        interval = self.leg.session.interval if self.leg.session is not None else 0
        self.call.schedule(REFRESH[self.side], at + max(_AGAIN, interval / 20))

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """No answer came in time, or there is no connection to ask on."""
        if self not in self.call.mirrors or kind == "adrift":
            return
        self._finish()
        if kind == "timeout":
            clear(self.call, "no answer to a session refresh", at, out)
        else:
            self._later("the peer cannot be reached", at, out)

    def abandon(self, at: float, out: list[Command]) -> None:
        """The call ended first: no INVITE stays pending (RFC 3261 15.1.2)."""
        self._finish()
        self.cancelled = True
        if self.heard:
            self._send_cancel(at, out)

    def outlives(self, side: Side) -> bool:
        """It ends with its dialogs."""
        return False

    def _send_cancel(self, at: float, out: list[Command]) -> None:
        if self.request is not None and self.request.method == "INVITE":
            self.call.desk.send_cancel(self.call, self.leg, self.request, at, out)

    def _finish(self) -> None:
        self.call.mirrors.remove(self)
        if self.leg.refreshing:
            self.leg.refreshing = self.leg.inviting = False


def _substance(sdp: bytes) -> list[bytes]:
    """What a description says but for its version (RFC 4566 5.2)."""
    return [line for line in sdp.splitlines() if not line.startswith(b"o=")]
