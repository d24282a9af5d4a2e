"""Whoever is called over UDP: a callee of bare SIP, for tests that are about something else."""

from __future__ import annotations

import gevent

from sbc.base import Address
from sbc.demo.lab import HOST
from sbc.sip.message import Request, response_to, serialize
from tests.edge.raw_sip import Datagrams

#: What both sides of such a call say of their media.
SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n"


class Callee:
    """Answers every request with 200; ``invites`` and ``byes`` are those that came."""

    def __init__(self) -> None:
        self.wire = Datagrams(Address(HOST, 9))
        self.invites: list[Request] = []
        self.byes: list[Request] = []
        self._reader = gevent.spawn(self._serve)

    @property
    def port(self) -> int:
        """Where it is called."""
        return self.wire.port

    def close(self) -> None:
        """Answer nothing more."""
        self._reader.kill()
        self.wire.close()

    def _serve(self) -> None:
        taken = 0
        while True:
            gevent.sleep(0.01)
            for message in self.wire.heard[taken:]:
                taken += 1
                if isinstance(message, Request) and message.method != "ACK":
                    self._answer(message)

    def _answer(self, request: Request) -> None:
        response = response_to(request, 200, "OK", "callee" if not request.to_tag else "")
        if request.method == "INVITE":
            self.invites.append(request)
            response.headers.add("Contact", f"<sip:callee@{HOST}:{self.port}>")
            response.headers.add("Content-Type", "application/sdp")
            response.body = SDP
        elif request.method == "BYE":
            self.byes.append(request)
        self.wire.send_to(serialize(response), Address(HOST, request.via.port or 5060))
