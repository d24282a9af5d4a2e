"""Bare SIP for attackers: octets out, and in comes whatever can be read, with no transaction behind it."""

from __future__ import annotations

import os

import gevent
from gevent import socket

from sbc.base import Address
from sbc.demo.agent import Agent
from sbc.demo.call import AgentCall
from sbc.demo.lab import HOST
from sbc.demo.link import Link
from sbc.demo.tls import Refused, TlsStream
from sbc.sip.message import Message, Request, Response, response_to
from sbc.sip.parse import ParseError, parse_message
from sbc.sip.stream import MessageStream
from tests.peers.waiting import until

PROBE = "sip:probe@lab.example"  # who asks with OPTIONS whether the SBC is alive


class Stream:
    """A TLS connection to the SBC on which anything may be said; ``garbled`` is what came and is no SIP."""

    def __init__(self, stream: TlsStream) -> None:
        self.stream = stream
        self.heard: list[Message] = []
        self.garbled: list[ParseError] = []
        self._reader = gevent.spawn(self._read)

    @property
    def closed(self) -> bool:
        """Whether the SBC has ended it."""
        return bool(self._reader.dead)

    def send(self, data: bytes) -> None:
        """Say ``data``."""
        self.stream.send(data)

    def close(self) -> None:
        """End it from our side."""
        self._reader.kill()
        self.stream.close()

    def _read(self) -> None:
        messages = MessageStream()
        try:
            while data := self.stream.recv():
                items = messages.feed(data)
                self.heard += [item for item in items if isinstance(item, Message)]
                self.garbled += [item for item in items if isinstance(item, ParseError)]
        except Refused:
            return


class Datagrams:
    """A UDP socket that speaks to the SBC."""

    closed = False

    def __init__(self, target: Address) -> None:
        self.heard: list[Message] = []
        self.garbled: list[ParseError] = []
        self._target = tuple(target)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((HOST, 0))
        self.port: int = self._socket.getsockname()[1]
        self._reader = gevent.spawn(self._read)

    def send(self, data: bytes) -> None:
        """Say ``data`` in one datagram."""
        self.send_to(data, Address(*self._target))

    def send_to(self, data: bytes, target: Address) -> None:
        """The same, to somebody else."""
        self._socket.sendto(data, tuple(target))

    def close(self) -> None:
        """Close the socket."""
        self._reader.kill()
        self._socket.close()

    def _read(self) -> None:
        while True:
            data = self._socket.recv(65535)
            try:
                self.heard.append(parse_message(data))
            except ParseError as error:
                self.garbled.append(error)


def options(speaker: Stream | Datagrams, host: str = "office.lab.example:5061") -> bool:
    """Whether an OPTIONS is answered with 200, and not with something else or a closed connection."""
    call_id = os.urandom(8).hex()
    speaker.send(
        f"OPTIONS sip:sbc.lab.example SIP/2.0\r\nVia: SIP/2.0/TLS {host};rport;branch=z9hG4bK{call_id}\r\n"
        f"Max-Forwards: 70\r\nFrom: <{PROBE}>;tag=1\r\nTo: <sip:sbc.lab.example>\r\n"
        f"Call-ID: {call_id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n".encode()
    )

    def statuses() -> list[int]:
        heard = [each for each in speaker.heard if isinstance(each, Response)]
        return [each.status for each in heard if each.headers.get("Call-ID") == call_id]

    return until(lambda: statuses() or speaker.closed, "an answer to OPTIONS") == [200]


class Reluctant(Agent):
    """A callee for attackers: rings, answers CANCEL, gives up after a while; +12125550100 reaches a person.

    ``patience`` is how long it rings, in seconds; then it is busy.
    """

    patience = 0.0

    def _on_invite(self, link: Link, request: Request) -> None:
        if request.target.user == "+12125550100":
            super()._on_invite(link, request)
            return
        tag = os.urandom(6).hex()
        link.send(response_to(request, 180, "", tag))
        self._ringing()[request.call_id] = request
        gevent.spawn_later(self.patience, self._give_up, link, request, 486, tag)

    def _ringing(self) -> dict[str, Request]:
        ringing: dict[str, Request] = self.__dict__.setdefault("ringing", {})
        return ringing

    def _on_request(self, link: Link, call: AgentCall | None, request: Request) -> None:
        invite = self._ringing().get(request.call_id)
        if request.method == "CANCEL" and invite is not None:
            link.send(response_to(request, 200))
            self._give_up(link, invite, 487, "cancelled")
        else:
            super()._on_request(link, call, request)

    def _give_up(self, link: Link, request: Request, status: int, tag: str) -> None:
        if self._ringing().pop(request.call_id, None) is not None:
            link.send(response_to(request, status, "", tag))
