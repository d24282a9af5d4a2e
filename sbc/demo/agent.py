"""A small real SIP user agent: TLS with a client certificate, SRTP by SDES, a tone instead of a person.

It serves the demo and the tests. It places calls and answers them, records every message it sent
and received, and says afterwards what TLS, SRTP and its ears found.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gevent import Timeout, spawn
from gevent.event import AsyncResult
from gevent.queue import Queue
from gevent.server import StreamServer

from sbc.base import Address
from sbc.demo.call import AgentCall, Party, with_sdp
from sbc.demo.link import Exchange, Link
from sbc.demo.tls import Credentials, Refused, accept, connect
from sbc.demo.voice import Voice, VoiceSettings
from sbc.sip.headers import Headers
from sbc.sip.message import Message, Request, Response, response_to


class Agent:
    """A user agent named ``name`` in ``domain``; close it when done.

    ``trust`` is the PEM file of the authority that its peers must come from; without
    ``credentials`` it can only place calls, and shows no certificate.
    """

    def __init__(
        self,
        name: str,
        domain: str,
        trust: Path,
        credentials: Credentials | None,
        voice: VoiceSettings | None = None,
        *,
        host: str = "127.0.0.1",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self.domain = domain
        self.trust = trust
        self.credentials = credentials
        self.voice = voice or VoiceSettings()
        self.host = host
        self.record: list[Exchange] = []
        self.incoming: Queue[AgentCall] = Queue()
        self.refused: list[str] = []
        self.calls: dict[str, AgentCall] = {}
        self.links: list[Link] = []
        self._asked: dict[str, AsyncResult[Response]] = {}
        self._clock = clock
        self._server: Any = None
        self._closed = False

    def listen(self, port: int = 0) -> Address:
        """Listen for TLS with client certificates; returns the address."""
        self._server = StreamServer((self.host, port), self._on_connection)
        self._server.start()
        return Address(self.host, self._server.server_port)

    def dial(self, server: Address, name: str) -> Link:
        """Connect to ``server``, whose certificate must bear ``name``; raises Refused."""
        return self._link(connect(server, name, self.trust, self.credentials))

    def call(
        self, link: Link, to: str, *, user: str = "", settings: VoiceSettings | None = None
    ) -> AgentCall:
        """Send an INVITE for the URI ``to`` over ``link``."""
        settings = settings or self.voice
        voice = Voice(self.host, settings)
        invite = self._request("INVITE", link, to, user or self.name)
        with_sdp(invite, voice.offer())
        call = AgentCall(self._party(link), link, invite, voice, caller=True)
        call.local = invite.headers.get("from") or ""
        call.remote = invite.headers.get("to") or ""
        self.calls[call.call_id] = call
        link.send(invite)
        return call

    def ask(self, link: Link, uri: str, seconds: float = 5.0) -> Response | None:
        """Send OPTIONS for ``uri`` over ``link``; the answer, or None where none came in ``seconds``."""
        request = self._request("OPTIONS", link, uri, self.name)
        answer = self._asked[request.call_id] = AsyncResult()
        link.send(request)
        try:
            answered: Response = answer.get(timeout=seconds)
            return answered
        except Timeout:
            return None
        finally:
            del self._asked[request.call_id]

    def close(self) -> None:
        """End every connection and the listener."""
        self._closed = True
        if self._server is not None:
            self._server.stop()
        for call in self.calls.values():
            call.voice.stop()
        for link in self.links:
            link.close()

    def _on_connection(self, sock: Any, address: tuple[str, int]) -> None:
        if self.credentials is None:
            sock.close()
            return
        try:
            self._link(accept(sock, self.trust, self.credentials)).wait_closed(3600)
        except Refused as refused:
            self.refused.append(str(refused))

    def _link(self, stream: Any) -> Link:
        link = Link(stream, self._receive, self.record, self._clock)
        self.links.append(link)
        if self._closed:  # while the handshake was under way
            link.close()
        return link

    def _party(self, link: Link) -> Party:
        return Party(
            self.name, f"<sip:{self.name}@{link.stream.local};transport=tls>", str(link.stream.local)
        )

    def _request(self, method: str, link: Link, to: str, user: str) -> Request:
        party = self._party(link)
        headers = Headers(
            [
                ("Via", f"SIP/2.0/TLS {party.sent_by};branch=z9hG4bK{os.urandom(8).hex()}"),
                ("Max-Forwards", "70"),
                ("From", f"<sip:{user}@{self.domain}>;tag={os.urandom(6).hex()}"),
                ("To", f"<{to}>"),
                ("Call-ID", os.urandom(12).hex()),
                ("CSeq", f"1 {method}"),
                ("Contact", party.contact),
                ("Allow", "INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE"),
                ("User-Agent", "Portcullis lab agent"),
            ]
        )
        return Request(method, to, headers)

    def _receive(self, link: Link, message: Message) -> None:
        call = self.calls.get(message.call_id)
        if isinstance(message, Response):
            if call is not None:
                call.on_response(message)
            elif message.status >= 200 and (asked := self._asked.get(message.call_id)):
                asked.set(message)
        elif isinstance(message, Request):
            self._on_request(link, call, message)

    def _on_request(self, link: Link, call: AgentCall | None, request: Request) -> None:
        if call is not None:
            call.link = link
            call.on_request(request)
        elif request.method == "INVITE":
            self._on_invite(link, request)
        elif request.method == "OPTIONS":
            link.send(response_to(request, 200, "", os.urandom(6).hex()))
        elif request.method != "ACK":
            link.send(response_to(request, 481, "", os.urandom(6).hex()))

    def _on_invite(self, link: Link, request: Request) -> None:
        call = AgentCall(self._party(link), link, request, Voice(self.host, self.voice), caller=False)
        self.calls[call.call_id] = call
        self.incoming.put(call)
        link.send(response_to(request, 100))
        spawn(call.ring_and_answer, os.urandom(6).hex())
