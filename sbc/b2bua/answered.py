"""A 2xx to an INVITE, and its ACK, between the legs (RFC 3261 13.3.1.4, 14).

The server transaction repeats the 2xx until its ACK comes. The ACK is then carried to the other
side, with the answer where the callee made the offer; when the other side repeats its 2xx, our
ACK is repeated. Without an ACK in 64*T1 the call is over.
"""

from __future__ import annotations

from sbc.b2bua.bodies import carried_body, with_sdp
from sbc.b2bua.call import Call
from sbc.b2bua.commands import AnswerMedia, Command
from sbc.b2bua.dialogs import Fork
from sbc.b2bua.leg import Side, other
from sbc.b2bua.life import clear, fire
from sbc.base import PeerError
from sbc.sip.message import Request, Response
from sbc.sip.transactions import ServerTransaction


class AnsweredInvite:
    """One 2xx on its way to the side that sent the INVITE; the user of that server transaction."""

    __slots__ = ("ack", "call", "cseq", "far_cseq", "fork", "made", "offered_by_far", "server", "side")

    def __init__(
        self, call: Call, fork: Fork, side: Side, far_cseq: int, offered_by_far: bool, made: bool = False
    ) -> None:
        self.call = call
        self.fork = fork
        self.side: Side = side
        self.cseq = 0
        self.far_cseq = far_cseq
        self.offered_by_far = offered_by_far
        self.made = made  # the far side has answered an offer of ours: its ACK holds nothing
        self.ack: Request | None = None
        self.server: ServerTransaction | None = None  # until the ACK: the two would keep each other alive

    def start(self, server: ServerTransaction, response: Response, at: float, out: list[Command]) -> None:
        """Give the 2xx for the first time."""
        self.cseq = response.cseq.number
        self.call.answered_invites[self.side, self.cseq] = self
        server.user, self.server = self, server
        server.respond(response, at, out)

    def on_response(self, response: Response, at: float, out: list[Command]) -> None:
        """A server transaction has no responses to tell of."""

    def on_failure(self, kind: str, at: float, out: list[Command]) -> None:
        """``no-ack``: 64*T1 have passed. ``lost``: the 2xx is repeated elsewhere, if that can be had.

        If it cannot the ACK may still come, for the peer may have heard the 2xx.
        """
        if kind == "lost" and self.server is not None:
            leg = self.call.leg(self.side)
            self.call.desk.answer_elsewhere(self.call, leg, self.server, _wait, at, out)
            return
        self.server = None
        if kind == "no-ack" and self.ack is None:
            clear(self.call, "no ACK came for our 2xx", at, out)

    def on_ack(self, ack: Request, at: float, out: list[Command]) -> None:
        """The ACK came: carry it over, with the answer that it may hold."""
        call, server, self.server = self.call, self.server, None
        if server is not None:
            server.acknowledged(at, out)  # it may have come from another address than the INVITE
        call.answered_invites.pop((self.side, self.cseq), None)
        try:
            sdp = carried_body(ack) if self.offered_by_far else b""
        except PeerError as error:
            self._send_ack(b"", error, at, out)
            return
        if sdp:
            call.ask_media(AnswerMedia(call.id, self.side, sdp), self._send_ack, out)
        elif self.offered_by_far:
            self._send_ack(b"", PeerError("the ACK holds no answer to the offer", 488), at, out)
        else:
            self._send_ack(b"", None, at, out)

    def _send_ack(self, sdp: bytes, error: PeerError | None, at: float, out: list[Command]) -> None:
        call = self.call
        ack = call.ack(self.fork, other(self.side), self.far_cseq)
        self.ack = with_sdp(ack, b"" if self.made else sdp)
        self.repeat_ack(at, out)
        if error is not None:
            call.media_refused(self.side, error, out)
            clear(call, error.reason, at, out)
        else:
            fire(call, "ack", at, out)

    def acknowledged(self, at: float, out: list[Command]) -> None:
        """Nobody has to send an ACK: the caller was there, and the other side has had its own."""
        self.server = None
        self.call.answered_invites.pop((self.side, self.cseq), None)
        fire(self.call, "ack", at, out)

    def acknowledge(self, side: Side, at: float, out: list[Command]) -> None:
        """The call ends before the ACK came: ``side`` gets one without, for its 2xx (RFC 3261 15)."""
        if self.ack is None and side != self.side:
            self.ack = self.call.ack(self.fork, side, self.far_cseq)
            self.repeat_ack(at, out)

    def overtaken(self, side: Side, at: float, out: list[Command]) -> None:
        """``side`` said BYE before the ACK: it wants no 2xx of ours again; its own gets an ACK (13.2.2.4)."""
        self.acknowledge(side, at, out)
        if side == self.side and self.server is not None:
            self.server.acknowledged(at, out)
            self.server = None

    def repeat_ack(self, at: float, out: list[Command]) -> None:
        """Send the ACK, again where the far side repeated its 2xx."""
        far = other(self.side)
        if self.ack is not None:
            call = self.call
            call.desk.send_ack(call, call.leg(far), self.fork.dialog(far), self.ack, at, out)


def _wait(at: float, out: list[Command]) -> None:
    """For the ACK."""
