"""A strict stand-in for Microsoft Teams Direct Routing: what it demands of an SBC, and how it speaks itself.

Written from Microsoft's pages "Plan Direct Routing" and "Direct Routing: SIP protocol", and not tried against
Teams itself. What an SBC does against them is answered as Teams answers, and kept in ``objections``: a test
that ends with none has shown an SBC that Teams takes.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any, Final, Literal

from gevent import spawn
from gevent.event import AsyncResult

from sbc.demo.agent import Agent
from sbc.demo.call import AgentCall, Party, with_sdp
from sbc.demo.link import Link
from sbc.demo.voice import Voice, VoiceSettings, read_sdp
from sbc.media.sdes import CryptoLine
from sbc.sip.message import Message, Request, Response, response_to

Mood = Literal["", "503", "mute", "options-503"]

#: As Teams writes it: the weaker suite first.
SUITES: Final = ("AES_CM_128_HMAC_SHA1_32", "AES_CM_128_HMAC_SHA1_80")
_SUITE: Final = "AES_CM_128_HMAC_SHA1_80"
_TAG: Final = 10  # octets of its authentication tag
#: Parameters of the Contact of a Teams server; what comes back must be the same to the letter.
PARAMETERS: Final = "x-i=63aa4b4d-1c8f-4a0c-8b5d-0123456789ab;x-c=7a1b6f0e/d/8/" + "0f" * 16
#: Parameters by which Teams knows a transfer again: of Refer-To and Referred-By, to come back as they are.
MARKS: Final = (
    "x-m=8:orgid:0123456789abcdef;x-t=fedcba9876543210;x-ti=63aa4b4d;x-tt=aHR0cHM6Ly9h" + "YXBp" * 90
)
_E164: Final = re.compile(r"\+[1-9][0-9]{3,14}")
_crypto_end = re.compile(rb"(a=crypto:(\d+) [^\r]+)\r").sub


def objections_to(request: Request, sbc: str) -> list[str]:
    """What Teams has against a request of the SBC whose FQDN is ``sbc``; in words, none where it is taken."""
    found = []
    for name in ("From", "To", "Contact"):
        if "sips:" in (request.headers.get(name) or ""):
            found.append(f"sips in {name}")
    if request.uri.startswith("sips:"):
        found.append("sips in the request URI")
    if request.method in ("INVITE", "OPTIONS"):
        found += _objections_to_contact(request, sbc)
    if request.method == "INVITE" and not request.to_tag:
        found += _objections_to_call(request)
    return found


def _objections_to_contact(request: Request, sbc: str) -> list[str]:
    contact = request.contact
    if contact is None:
        return ["no Contact"]
    host, parameters = contact.uri.host, str(contact.uri)
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        found = [] if host == sbc else [f"Contact names {host}, not {sbc}"]
    else:
        found = ["an address in Contact"]
    return found if "transport=tls" in parameters.lower() else [*found, "no transport=tls in Contact"]


def _objections_to_call(invite: Request) -> list[str]:
    users = {"request URI": invite.target.user or "", "From": invite.from_.uri.user or ""}
    transferred = invite.target.param("x-t") is not None
    if transferred:  # it goes to whom Teams has named itself, which is no number
        del users["request URI"]
    found = [f"{where} without +E.164: {user}" for where, user in users.items() if not _E164.fullmatch(user)]
    if transferred and not all(mark in invite.uri for mark in MARKS.split(";")):
        found.append(f"request URI without the parameters of Refer-To: {invite.uri}")
    if transferred and MARKS not in (invite.headers.get("Referred-By") or ""):
        found.append(f"Referred-By is not as it was written: {invite.headers.get('Referred-By')}")
    if invite.headers.get("Replaces"):
        found.append("Replaces")
    if not invite.body:
        return [*found, "no offer"]
    media = read_sdp(invite.body)
    if media.profile != "RTP/SAVP" or all(each.suite != _SUITE for each in media.crypto):
        found.append(f"no {_SUITE} over RTP/SAVP")
    return found


class TeamsVoice(Voice):
    """Media as Teams describes it: lifetimes, an MKI where it offers, tags from 0, rtcp-mux."""

    def offer(self) -> bytes:
        self._offered = [replace(each, tag=each.tag - 1, mki=b"\x01") for each in self._offered]
        return super().offer()

    def direction(self, word: str) -> bytes:
        """The last description again, a version on, with another direction."""
        self._version += 1
        body = self._described.replace(b" 1 IN IP4", b" %d IN IP4" % self._version, 1)
        return body.replace(b"a=sendrecv", b"a=" + word.encode())

    _version = 1
    _described = b""
    _mki = b""

    def _secure(self, ours: CryptoLine, theirs: CryptoLine) -> None:
        super()._secure(ours, theirs)
        self._mki = ours.mki

    def _send(self, packet: bytes) -> None:
        """With the MKI that was offered, before the tag (RFC 3711 3.1)."""
        if not self._mki:
            super()._send(packet)
            return
        assert self._protector is not None and self._remote is not None
        secured = self._protector.rtp(packet)
        self._socket.sendto(secured[:-_TAG] + self._mki + secured[-_TAG:], self._remote)
        self._report.sent += 1

    def _describe(self, profile: str, crypto: list[CryptoLine]) -> bytes:
        body = super()._describe(profile, crypto).replace(b"a=sendrecv", b"a=rtcp-mux\r\na=sendrecv")
        mki = b"|1:1" if any(each.mki for each in crypto) else b""
        self._described = _crypto_end(rb"\1|2^31" + mki + b"\r", body)
        return self._described


class TeamsCall(AgentCall):
    """A call of Teams, which can be held, and whose dialog is looked at for what an SBC may do wrong."""

    objections: list[str]
    told: list[bytes]
    _changing: AsyncResult[Response] | None = None
    _change: Request | None = None

    def change(self, direction: str) -> Response:
        """A re-INVITE: ``inactive`` holds, ``sendrecv`` resumes. The final response, acknowledged."""
        assert isinstance(self.voice, TeamsVoice)
        self._change = self.request("INVITE")
        self._change.headers.set("Via", f"{self._change.headers.get('Via')}{os.urandom(4).hex()}")
        self._change.headers.add("Contact", self.party.contact)
        with_sdp(self._change, self.voice.direction(direction))
        self._changing = AsyncResult()
        self.link.send(self._change)
        answered: Response = self._changing.get(timeout=10)
        return answered

    def transfer(self) -> None:
        """The user lets the other side be called by another user, as Teams writes that."""
        refer = self.request("REFER")
        refer.headers.add("Contact", self.party.contact)
        refer.headers.add("Refer-To", f"<sip:sip.pstnhub.microsoft.com:5061;transport=tls;{MARKS}>")
        refer.headers.add("Referred-By", f"<sip:sip.pstnhub.microsoft.com:5061;transport=tls;{MARKS}>")
        self.link.send(refer)

    def on_response(self, response: Response) -> None:
        changing = self._changing
        if changing is None or self._change is None or response.cseq != self._change.cseq:
            super().on_response(response)
        elif response.status >= 200:
            ack = self.request("ACK")
            ack.headers.set("CSeq", f"{response.cseq.number} ACK")
            ack.headers.set("Via", f"{ack.headers.get('Via')}{os.urandom(4).hex()}")
            self.link.send(ack)
            changing.set(response)

    def on_request(self, request: Request) -> None:
        self._look_at(request)
        if request.method != "NOTIFY":
            super().on_request(request)
            return
        self.told.append(request.body.strip())
        self.link.send(response_to(request, 200))

    def _look_at(self, request: Request) -> None:
        """Within the dialog the SBC asks for our Contact, letter by letter, along our Record-Route."""
        if self.caller and PARAMETERS not in request.uri:
            self.objections.append(f"{request.method} without the parameters of our Contact: {request.uri}")
        if self.caller and not request.headers.get("Route"):
            self.objections.append(f"{request.method} without our Record-Route")


@dataclass(slots=True)
class Heard:
    """What came, by method."""

    options: int = 0
    invites: int = 0


class Teams(Agent):
    """One of the names that Teams has; ``sbc`` is the FQDN that it knows its SBC by."""

    sbc = "sbc.lab.example"
    mood: Mood = ""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.objections: list[str] = []
        self.heard = Heard()

    def call(
        self, link: Link, to: str, *, user: str = "", settings: VoiceSettings | None = None
    ) -> TeamsCall:
        """An INVITE as Teams sends it: its data centre's Contact behind a Record-Route."""
        voice = TeamsVoice(self.host, settings or self.voice)
        invite = self._request("INVITE", link, to, user or "+14255550100")
        invite.headers.set("Contact", self._contact(link))
        invite.headers.add("Record-Route", f"<sip:{link.stream.local};transport=tls;lr>")
        invite.headers.set("Allow", "INVITE, ACK, CANCEL, BYE, NOTIFY")
        invite.headers.set("User-Agent", "Microsoft.PSTNHub.SIPProxy")
        with_sdp(invite, voice.offer())
        call = self._made(link, invite, voice, caller=True)
        call.local, call.remote = invite.headers.get("from") or "", invite.headers.get("to") or ""
        link.send(invite)
        return call

    def _contact(self, link: Link) -> str:
        return f"<sip:api-du-a-euwe.{self.domain}:443;{PARAMETERS}>"

    def _made(self, link: Link, invite: Request, voice: Voice, *, caller: bool) -> TeamsCall:
        party = Party(self.name, self._contact(link), str(link.stream.local))
        call = TeamsCall(party, link, invite, voice, caller=caller)
        call.objections, call.told = self.objections, []
        self.calls[call.call_id] = call
        return call

    def _receive(self, link: Link, message: Message) -> None:
        if self.mood != "mute":
            super()._receive(link, message)

    def _on_request(self, link: Link, call: AgentCall | None, request: Request) -> None:
        if found := objections_to(request, self.sbc):
            self.objections += found
            link.send(response_to(request, 403, "", os.urandom(6).hex()))
        elif request.method == "OPTIONS" and call is None:
            self.heard.options += 1
            link.send(response_to(request, 503 if self.mood else 200, "", os.urandom(6).hex()))
        else:
            super()._on_request(link, call, request)

    def _on_invite(self, link: Link, request: Request) -> None:
        self.heard.invites += 1
        if self.mood == "503":
            busy = response_to(request, 503, "", os.urandom(6).hex())
            busy.headers.add("Retry-After", "1")
            link.send(busy)
            return
        call = self._made(link, request, TeamsVoice(self.host, self.voice), caller=False)
        self.incoming.put(call)
        link.send(response_to(request, 100))
        spawn(self._ring, link, call)

    def _ring(self, link: Link, call: TeamsCall) -> None:
        """Two of the user's clients ring, each a fork with a To tag of its own; a third answers."""
        for _ in range(2):
            ringing = response_to(call.invite, 180, "", os.urandom(6).hex())
            ringing.headers.add("Contact", self._contact(link))
            link.send(ringing)
        call.ring_and_answer(os.urandom(6).hex())
