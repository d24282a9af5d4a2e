"""What others notice of a flood: how long a call takes to be set up, and how late RTP arrives.

Caller and callee are one process and one loop, over mutual TLS each with a connection of its own, and answer
at once; so what is measured is the server's, and the scheduling of this process, which a run against a sink
has as well. Beside the calls, which come at a steady rate, one call is held, and a packet goes through it
every 20 ms.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Final

from sbc.sip.message import Message, Request, Response, response_to, serialize
from sbc.sip.stream import MessageStream
from tests.peers.lab import Credentials
from tests.peers.process import PeerFailed

PACKET: Final = 0.02
_SDP: Final = (
    "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)
_REQUEST: Final = (
    "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TLS caller.lab.example:5061;branch=z9hG4bK{branch}\r\n"
    "Max-Forwards: 70\r\nFrom: <sip:a@caller.lab.example>;tag=c{number}\r\n"
    "To: <sip:b@server.lab.example>{to}\r\nCall-ID: {number}@caller\r\nCSeq: {cseq} {about}\r\n"
    "Contact: <sip:a@127.0.0.1:5061;transport=tls>\r\nContent-Type: application/sdp\r\n"
    "Content-Length: {length}\r\n\r\n{body}"
)
_MEDIA: Final = re.compile(rb"m=audio (\d+)").search


class Link:
    """A TLS connection and the messages that it brings."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._stream = MessageStream()

    def send(self, data: bytes) -> None:
        """Send all of it; nothing here is large enough to wait."""
        self.sock.sendall(data)

    def receive(self) -> list[Message]:
        """What has come; PeerFailed where the server has ended the connection."""
        found: list[Message] = []
        try:
            while data := self.sock.recv(1 << 16):
                found += [item for item in self._stream.feed(data) if isinstance(item, Message)]
        except (ssl.SSLWantReadError, BlockingIOError):
            return found
        raise PeerFailed("the server has ended the connection")


def context(own: Credentials, server: bool) -> ssl.SSLContext:
    """TLS as ``own``; a server demands a certificate of the lab as well."""
    made = ssl.create_default_context(
        ssl.Purpose.CLIENT_AUTH if server else ssl.Purpose.SERVER_AUTH, cafile=str(own.ca)
    )
    made.load_cert_chain(own.cert, own.key)
    made.verify_mode = ssl.CERT_REQUIRED
    return made


class Bystander:
    """Caller and callee; ``setups`` and ``packets`` are what was measured, in seconds; ``failed`` calls."""

    def __init__(self, caller: Credentials, callee: Credentials, port: int, onward: int) -> None:
        self.setups: list[float] = []
        self.packets: list[float] = []
        self.failed = 0
        self._acceptor = socket.create_server(("127.0.0.1", onward))
        self._callee_context = context(callee, server=True)
        sock = socket.create_connection(("127.0.0.1", port), 10)
        self._caller = Link(
            context(caller, server=False).wrap_socket(sock, server_hostname="server.lab.example")
        )
        self._callee: Link | None = None
        self._rtp = [_udp(), _udp()]
        self._to: tuple[str, int] | None = None
        self._began: dict[str, float] = {}
        self._number = 0

    def close(self) -> None:
        """Close everything."""
        links = [self._caller, self._callee] if self._callee is not None else [self._caller]
        for each in (*(link.sock for link in links), self._acceptor, *self._rtp):
            each.close()

    def hold(self) -> None:
        """Set the call up that carries RTP, and with it the connection to the callee."""
        self._invite()
        self._loop(10, lambda: self._to is not None)
        if self._to is None:
            raise PeerFailed("no call could be set up before the flood")
        self.setups.clear()

    def run(self, seconds: float, rate: float) -> None:
        """Make ``rate`` calls a second for so long, with RTP beside them."""
        end, call_at, packet_at = time.monotonic() + seconds, time.monotonic(), time.monotonic()
        while (now := time.monotonic()) < end:
            if now >= call_at:
                call_at += 1 / rate
                self._invite()
            if now >= packet_at:
                packet_at += PACKET
                self._send_packet()
            self._turn(max(0.0, min(call_at, packet_at) - time.monotonic()))
        self._loop(2, lambda: len(self._began) == 0)
        self.failed += len(self._began)

    def _loop(self, seconds: float, done: Callable[[], bool]) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end and not done():
            self._turn(0.1)

    def _turn(self, wait: float) -> None:
        sources: list[socket.socket] = [self._acceptor, self._caller.sock, self._rtp[1]]
        if self._callee is not None:
            sources.append(self._callee.sock)
        ready, _, _ = select.select(sources, [], [], wait)
        if self._rtp[1] in ready:
            self._take_packets()
        if self._callee is not None and self._callee.sock in ready:
            for message in self._callee.receive():
                self._called(self._callee, message)
        if self._caller.sock in ready:
            for message in self._caller.receive():
                self._answered(message)
        if self._acceptor in ready:
            sock, _ = self._acceptor.accept()
            sock.settimeout(10)
            self._callee = Link(self._callee_context.wrap_socket(sock, server_side=True))

    # The caller

    def _invite(self) -> None:
        self._number += 1
        number = str(self._number)
        self._began[f"{number}@caller"] = time.monotonic()
        self._caller.send(
            self._request("INVITE", number, body=_SDP.format(port=self._rtp[0].getsockname()[1]))
        )

    def _request(
        self, method: str, number: str, uri: str = "sip:b@server.lab.example", to: str = "", body: str = ""
    ) -> bytes:
        cseq = 2 if method == "BYE" else 1
        return _REQUEST.format(
            method=method, uri=uri, branch=f"{method}{number}", number=number, to=to, cseq=cseq, about=method,
            length=len(body), body=body,
        ).encode()  # fmt: skip

    def _answered(self, message: Message) -> None:
        if not isinstance(message, Response) or message.status < 200 or message.cseq.method != "INVITE":
            if isinstance(message, Request) and message.method != "ACK":
                self._caller.send(serialize(response_to(message, 200)))
            return
        began = self._began.pop(message.call_id, None)
        if began is None:
            return
        number, to = message.call_id.partition("@")[0], f";tag={message.to_tag}"
        if message.status != 200 or message.contact is None:
            self.failed += 1
            self._caller.send(self._request("ACK", number, to=to))
            return
        self.setups.append(time.monotonic() - began)
        uri = str(message.contact.uri)
        self._caller.send(self._request("ACK", number, uri, to))
        if self._to is None:
            self._to = _place(message.body)
        else:
            self._caller.send(self._request("BYE", number, uri, to))

    # The callee

    def _called(self, link: Link, message: Message) -> None:
        if not isinstance(message, Request) or message.method == "ACK":
            return
        if message.method != "INVITE":
            link.send(serialize(response_to(message, 200, "", "callee")))
            return
        for status in (180, 200):
            response = response_to(message, status, "", "callee")
            response.headers.add("Contact", "<sip:b@127.0.0.1:5061;transport=tls>")
            if status == 200:
                response.headers.add("Content-Type", "application/sdp")
                response.body = _SDP.format(port=self._rtp[1].getsockname()[1]).encode()
            link.send(serialize(response))

    # The media

    def _send_packet(self) -> None:
        if self._to is not None:
            count = len(self.packets) & 0xFFFF
            header = struct.pack("!BBHII", 0x80, 0, count, count * 160, 7)
            self._rtp[0].sendto(header + struct.pack("!d", time.monotonic()) + bytes(152), self._to)

    def _take_packets(self) -> None:
        try:
            while True:
                data = self._rtp[1].recv(2048)
                self.packets.append(time.monotonic() - struct.unpack("!d", data[12:20])[0])
        except BlockingIOError:
            return


def _place(sdp: bytes) -> tuple[str, int]:
    found = _MEDIA(sdp)
    if found is None:
        raise PeerFailed("the answer has no audio")
    return "127.0.0.1", int(found[1])


def _udp() -> socket.socket:
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.bind(("127.0.0.1", 0))
    return made
