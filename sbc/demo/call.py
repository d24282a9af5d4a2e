"""One call of an agent, either side of it: its dialog, its voice, how it ended.

Only what a call through a B2BUA needs of RFC 3261: one INVITE transaction, its ACK, a BYE from
either side. Nothing is retransmitted, because an agent speaks TLS alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gevent.event import Event

from sbc.base import PeerError
from sbc.demo.link import Link
from sbc.demo.voice import Voice, VoiceReport
from sbc.flow import TlsFacts
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response, response_to

State = Literal["calling", "ringing", "up", "ended", "failed"]
SDP = "application/sdp"


@dataclass(frozen=True, slots=True)
class CallReport:
    """One leg as its agent saw it; ``ended_by`` is "us", "peer" or "", ``status`` the final answer."""

    agent: str
    state: State
    status: int
    reason: str
    ended_by: str
    tls: TlsFacts
    voice: VoiceReport


@dataclass(slots=True)
class Party:
    """Who speaks in a dialog: our address and tag, our Contact, and how we make branches."""

    agent: str
    contact: str
    sent_by: str


class AgentCall:
    """A call; ``wait`` for ``up`` or ``over``, then ``hang_up`` and ``report``."""

    def __init__(self, party: Party, link: Link, invite: Request, voice: Voice, *, caller: bool) -> None:
        self.party = party
        self.link = link
        self.invite = invite
        self.voice = voice
        self.caller = caller
        self.state: State = "calling"
        self.status = 0
        self.reason = ""
        self.ended_by = ""
        self.remote_target = ""
        self.route: list[str] = []
        self.local = self.remote = ""
        self.up = Event()
        self.over = Event()
        self._cseq = 1

    @property
    def call_id(self) -> str:
        """The Call-ID of this leg."""
        return self.invite.call_id

    def wait_up(self, seconds: float) -> bool:
        """Whether the call is up within ``seconds``; returns early if it failed."""
        self.up.wait(seconds)
        return self.state == "up"

    def wait_over(self, seconds: float) -> bool:
        """Whether the call has ended or failed within ``seconds``."""
        return bool(self.over.wait(seconds))

    def hang_up(self) -> None:
        """Send BYE; the call is over when the peer answers it."""
        if self.state == "up":
            self.state, self.ended_by = "ended", "us"
            self.voice.stop()
            self.link.send(self.request("BYE"))

    def report(self) -> CallReport:
        """How the call went; ends its media."""
        voice = self.voice.stop()
        return CallReport(
            self.party.agent, self.state, self.status, self.reason, self.ended_by, self.link.facts, voice
        )

    def request(self, method: str) -> Request:
        """A request within the dialog, numbered after the last (ACK: like the INVITE)."""
        if method != "ACK":
            self._cseq += 1
        number = self.invite.cseq.number if method == "ACK" else self._cseq
        headers = Headers(
            [
                (
                    "Via",
                    f"SIP/2.0/TLS {self.party.sent_by};branch=z9hG4bK{method}{number}{self.call_id[:12]}",
                ),
                ("Max-Forwards", "70"),
                *(("Route", each) for each in self.route),
                ("From", self.local),
                ("To", self.remote),
                ("Call-ID", self.call_id),
                ("CSeq", f"{number} {method}"),
            ]
        )
        return Request(method, self.remote_target, headers)

    # The caller's side

    def on_response(self, response: Response) -> None:
        """A response to our INVITE or BYE."""
        if response.cseq.method == "BYE":
            self.over.set()
        elif response.cseq.method == "INVITE" and response.status >= 200:
            self._on_final(response)
        elif response.status > 100 and self.state == "calling":
            self.state = "ringing"

    def _on_final(self, response: Response) -> None:
        self.remote = response.headers.get("to") or self.remote
        if response.status < 300:
            self._on_answered(response)
            return
        self.remote_target = self.invite.uri
        ack = self.request("ACK")
        ack.headers.set("Via", self.invite.headers.get("via") or "")
        self.link.send(ack)
        self.fail(response.status, response.reason)

    def _on_answered(self, response: Response) -> None:
        repeated = self.state in ("up", "ended")
        contact = response.contact
        self.remote_target = str(contact.uri) if contact else self.invite.uri
        self.route = [str(each) for each in reversed(response.record_routes)]
        self.link.send(self.request("ACK"))
        if repeated:
            return
        self.state, self.status, self.reason = "up", response.status, response.reason
        try:
            self.voice.accept(response.body)
        except PeerError as error:
            self.hang_up()
            self.fail(response.status, error.reason)
            return
        self.voice.start()
        self.up.set()

    def fail(self, status: int, reason: str) -> None:
        """The call came to nothing."""
        self.state, self.status, self.reason = "failed", status, reason
        self.up.set()
        self.over.set()

    # The callee's side

    def ring_and_answer(self, tag: str) -> None:
        """Answer the INVITE: 180, then 200 with our SDP, or 488 where it cannot be answered."""
        invite = self.invite
        self.remote = invite.headers.get("from") or ""
        self.local = f"{invite.headers.get('to')};tag={tag}"
        self.remote_target = str(invite.contact.uri) if invite.contact else ""
        self.route = [str(each) for each in invite.record_routes]
        self._answer(180, "", tag, b"")
        self.state = "ringing"
        try:
            sdp = self.voice.answer(invite.body) if invite.body else self.voice.offer()
        except PeerError as error:
            self._answer(488, "", tag, b"")
            self.fail(488, error.reason)
            return
        self.status, self.reason = 200, "OK"
        self._answer(200, "", tag, sdp)

    def on_request(self, request: Request) -> None:
        """A request within the dialog."""
        if request.method == "ACK":
            self._on_ack(request)
        elif request.method == "BYE":
            self._on_bye(request)
        elif request.method == "INVITE":
            self._on_reinvite(request)
        elif request.method == "CANCEL":
            self.link.send(response_to(request, 200))
        else:
            self.link.send(response_to(request, 200 if request.method == "UPDATE" else 501))

    def _on_ack(self, ack: Request) -> None:
        if self.state != "ringing":
            return
        self.state = "up"
        try:
            if ack.body:
                self.voice.accept(ack.body)
        except PeerError as error:
            self.hang_up()
            self.fail(200, error.reason)
            return
        self.voice.start()
        self.up.set()

    def _on_bye(self, bye: Request) -> None:
        self.link.send(response_to(bye, 200))
        if self.state != "ended":
            self.state, self.ended_by = "ended", "peer"
        self.voice.stop()
        self.up.set()
        self.over.set()

    def _on_reinvite(self, request: Request) -> None:
        try:
            self._respond(request, 200, self.voice.answer(request.body))
        except PeerError:
            self._respond(request, 488, b"")

    def _answer(self, status: int, reason: str, tag: str, body: bytes) -> None:
        self._respond(self.invite, status, body, reason, tag)

    def _respond(self, request: Request, status: int, body: bytes, reason: str = "", tag: str = "") -> None:
        response = response_to(request, status, reason, tag)
        response.headers.add("Contact", self.party.contact)
        with_sdp(response, body)
        self.link.send(response)


def with_sdp(message: Message, body: bytes) -> None:
    """Give ``message`` an SDP body; nothing where ``body`` is empty."""
    if body:
        message.headers.set("Content-Type", SDP)
        message.body = body
