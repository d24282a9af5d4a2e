"""A peer that floods, in a process of its own: ``python -m bench.flooder ORDER``, the order as JSON.

It has one connection, sends messages of one kind as fast as they are taken, or at ``rate`` a second, and
reads and forgets all that comes back; whoever is thrown out for keepalives comes again. Each half second it
prints how many it has sent so far. Other kinds are the attacks by connections (``bench.strangers``), and the
sinks of both, which forget what they are brought.
"""

from __future__ import annotations

import json
import select
import socket
import ssl
import sys
import time
from typing import Final

from bench.order import Order
from bench.strangers import ATTACKS, attack

PIECE: Final = 40  # messages in one write
KEEPALIVES: Final = "keepalives"
_HEAD: Final = (
    "Via: SIP/2.0/TLS flooder.lab.example:5061;branch=z9hG4bK@@\r\nMax-Forwards: 70\r\n"
    "From: <sip:flood@flooder.lab.example>;tag=@@\r\nTo: <sip:x@server.lab.example>{to}\r\n"
    "Call-ID: @@@flooder\r\nCSeq: 1 {method}\r\n"
    "Contact: <sip:flood@127.0.0.2:5061;transport=tls>\r\nContent-Length: 0\r\n\r\n"
)


def _request(method: str, to: str = "", via: str = "SIP/2.0/TLS") -> bytes:
    head = f"{method} sip:x@server.lab.example SIP/2.0\r\n" + _HEAD.format(method=method, to=to)
    return head.replace("SIP/2.0/TLS", via).encode()


KINDS: Final[dict[str, bytes]] = {
    "OPTIONS": _request("OPTIONS"),
    "REGISTER": _request("REGISTER"),
    "CANCEL": _request("CANCEL"),
    "INFO": _request("INFO", ";tag=nobody"),
    "SUBSCRIBE": _request("SUBSCRIBE"),
    "MESSAGE": _request("MESSAGE"),
    "BYE": _request("BYE", ";tag=nobody"),
    "bad Via": _request("OPTIONS", via="SIP/2.0"),
    "stray ACK": _request("ACK", ";tag=nobody"),
    "stray response": ("SIP/2.0 200 OK\r\n" + _HEAD.format(method="INVITE", to=";tag=nobody")).encode(),
    "INVITE without ACK": _request("INVITE"),
    KEEPALIVES: b"\r\n\r\n",
}


SINK, LISTENS = "sink", "listens"


def connect(order: Order) -> socket.socket:
    """One connection, which blocks nobody."""
    sock = socket.create_connection(("127.0.0.1", order.port), 10, (order.source, 0))
    if order.cert:
        context = ssl.create_default_context(cafile=order.ca)
        context.load_cert_chain(order.cert, order.key)
        sock = context.wrap_socket(sock, server_hostname=order.name)
    sock.setblocking(False)
    return sock


class Flooder:
    """Sends one kind of message over one connection."""

    def __init__(self, order: Order) -> None:
        self.sent = 0
        self._order = order
        self._sock = connect(order)
        self._began = time.monotonic()
        self._number = 0
        self._rest = memoryview(b"")

    def run(self) -> None:
        """Go on until the connection ends or somebody ends the process."""
        said = self._began
        while True:
            now = time.monotonic()
            if now - said >= 0.5:
                said = now
                print(self.sent, flush=True)
            try:
                self._drain()
                if self._behind(now):
                    self._send()
                else:
                    time.sleep(0.001)
            except ConnectionError:
                if self._order.kind != KEEPALIVES:
                    raise
                self._sock.close()  # whoever is thrown out for them comes again
                self._sock, self._rest = connect(self._order), memoryview(b"")

    def _behind(self, now: float) -> bool:
        return not self._order.rate or self.sent < (now - self._began) * self._order.rate

    def _send(self) -> None:
        if not self._rest:
            self._rest = memoryview(self._piece())
        try:
            self._rest = self._rest[self._sock.send(self._rest) :]
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError, BlockingIOError):
            select.select([self._sock], [self._sock], [], 0.05)
            return
        if not self._rest:
            self.sent += PIECE * (100 if self._order.kind == KEEPALIVES else 1)

    def _piece(self) -> bytes:
        template, first = KINDS[self._order.kind], self._number
        self._number += PIECE
        if self._order.kind == KEEPALIVES:
            return template * PIECE * 100
        return b"".join([template.replace(b"@@", b"%d" % number) for number in range(first, self._number)])

    def _drain(self) -> None:
        try:
            while self._sock.recv(1 << 16):
                pass
            raise ConnectionResetError("closed by the other side")
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return


def listens(order: Order) -> None:
    """A sink for connections: take all that come, and what they bring."""
    with socket.create_server(("127.0.0.1", order.port), backlog=1024) as acceptor:
        poll, socks = select.epoll(), {acceptor.fileno(): acceptor}
        poll.register(acceptor, select.EPOLLIN)
        while True:
            for number, _ in poll.poll():
                if number == acceptor.fileno():
                    sock, _ = acceptor.accept()
                    sock.setblocking(False)
                    socks[sock.fileno()] = sock
                    poll.register(sock, select.EPOLLIN)
                    continue
                try:
                    over = not socks[number].recv(1 << 16)
                except OSError:
                    over = True
                if over:
                    poll.unregister(number)
                    socks.pop(number).close()


def sink(order: Order) -> None:
    """Take one connection after the other, and all that it brings."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=order.ca or None)
    if order.cert:
        context.load_cert_chain(order.cert, order.key)
    with socket.create_server(("127.0.0.1", order.port)) as acceptor:
        while True:
            sock, _ = acceptor.accept()
            sock = context.wrap_socket(sock, server_side=True) if order.cert else sock
            with sock:
                while sock.recv(1 << 16):
                    pass


if __name__ == "__main__":
    given = Order(**json.loads(sys.argv[1]))
    if given.kind == SINK:
        sink(given)
    elif given.kind == LISTENS:
        listens(given)
    elif given.kind in ATTACKS:
        attack(given)
    else:
        Flooder(given).run()
