"""One INVITE of ours to one peer: what its responses and its end mean to the call that is set up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dsl.decision import Failure
from sbc.b2bua.answered import AnsweredInvite
from sbc.b2bua.call import Call
from sbc.b2bua.commands import Command
from sbc.b2bua.leg import Leg
from sbc.b2bua.translate import Fields
from sbc.base import PeerError
from sbc.sip.message import Response
from sbc.sip.transactions import SPENT, ClientTransaction

if TYPE_CHECKING:
    from sbc.b2bua.setup import Setup


class Attempt:
    """One INVITE of ours to one peer; it is its transaction's user.

    It holds its transaction only until it is decided: the two would keep each other alive.
    """

    __slots__ = ("answered", "call", "client", "given_up", "heard", "invite", "leg", "setup", "why")

    def __init__(self, setup: Setup, leg: Leg) -> None:
        self.setup = setup
        self.call: Call = setup.call
        self.leg = leg
        self.client: ClientTransaction | None = None
        self.invite = SPENT
        self.heard = False
        self.given_up = False
        self.why: Fields = ()
        self.answered: AnsweredInvite | None = None

    def on_response(self, response: Response, now: float, out: list[Command]) -> None:
        """Any response to our INVITE."""
        if response.status < 200 and not self.heard:
            self.heard = True
            if self.given_up:
                self._send_cancel(now, out)
            else:
                call, leg = self.setup.call, self.leg
                call.cancel_timer("response")
                if leg.peer is not None:
                    call.engine.peers.reached(leg.trunk, leg.peer)
        if self.given_up:
            if 200 <= response.status < 300:
                self._refuse(response, now, out)
        elif response.status != 100:
            try:
                self.setup.on_response(self, response, now, out)
            except PeerError as error:
                if response.status >= 200:
                    self._refuse(response, now, out)
                else:
                    self.give_up(now, out)
                self.setup.hunt.on_hop_failure(502, error.reason, now, out)

    def on_invalid(self, response: Response, error: PeerError, now: float, out: list[Command]) -> None:
        """What remains of a 2xx that was not as it should be: ACK and BYE, and the hop has failed."""
        if self.given_up or self.answered is not None:
            self.on_response(response, now, out)
        else:
            self._refuse(response, now, out)
            self.setup.hunt.on_hop_failure(502, error.reason, now, out)

    def _refuse(self, response: Response, now: float, out: list[Command]) -> None:
        self.call.engine.refuse_late_answer(self.call, self.leg, self.invite, response, now, out)

    def on_failure(self, kind: str, now: float, out: list[Command]) -> None:
        """No final response will come."""
        if not self.given_up:
            failure: Failure = "timeout" if kind == "timeout" else "unreachable"
            self.setup.hunt.on_peer_failure(failure, kind, None, now, out)

    def give_up(self, now: float, out: list[Command], why: Fields = ()) -> None:
        """Send CANCEL, at once or as soon as the callee has been heard (RFC 3261 9.1)."""
        if self.given_up:
            return
        self.given_up, self.client, self.why = True, None, why
        if self.heard:
            self._send_cancel(now, out)

    def _send_cancel(self, now: float, out: list[Command]) -> None:
        self.call.engine.send_cancel(self.leg, self.invite, now, out, self.why)

    def let_go(self) -> None:
        """The call is up: of our INVITE the headers stay, for a fork that answers late (RFC 6026 8.4)."""
        if self.client is not None:
            self.client.last_response = None
            self.client = None
        self.invite.body = b""
