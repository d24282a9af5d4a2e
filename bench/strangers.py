"""Attacks by connections rather than by messages, in the flooder's process; each goes on until it is ended.

They come from as many addresses as it takes to go around what one address may have. What was tried is
counted: connections, octets said one by one, key updates. At a sink, which speaks no TLS, the same is tried
in the clear and at the rate that was reached before.
"""

from __future__ import annotations

import socket
import ssl
import struct
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from bench.order import Order

HALF_OPEN: Final = 2000
SLOW: Final = 200
# The head of a ClientHello, and some of what it promises.
_HELLO: Final = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100)
_SIP: Final = b"OPTIONS sip:x@server.lab.example SIP/2.0\r\nVia: SIP/2.0/TLS x;branch=z9hG4bK"
_RESET: Final = struct.pack("ii", 1, 0)
_UPDATES: Final = 30  # in one connection; a few more and it is ended


def _connected(order: Order, number: int) -> socket.socket:
    """A connection from the ``number``-th of two hundred addresses."""
    source = f"127.1.{1 + number % 200}.2"
    return socket.create_connection(("127.0.0.1", order.port), 10, (source, 0))


def _half_open(order: Order, says: bytes) -> Iterator[int]:
    """Keeps so many connections that never get on; whoever is thrown out comes again."""
    held: deque[socket.socket] = deque()
    number = 0
    while True:
        number += 1
        try:
            sock = _connected(order, number)
            if says:
                sock.send(says)
            held.append(sock)
        except OSError:
            time.sleep(0.001)
        if len(held) > HALF_OPEN:
            held.popleft().close()
        yield 1


def _octet_by_octet(order: Order, opened: Callable[[Order, int], Any], says: bytes) -> Iterator[int]:
    """Says a thing on many connections, on each an octet a second."""
    held: list[Any] = []
    at = 0
    while True:
        while len(held) < SLOW:
            try:
                held.append(opened(order, len(held) + at))
            except OSError:
                time.sleep(0.01)
                break
        for sock in list(held):
            try:
                sock.send(says[at % len(says) :][:1])
                yield 1
            except OSError:
                held.remove(sock)
            time.sleep(1 / SLOW)
        at += 1


def _secured(order: Order, number: int) -> Any:
    """A connection with the flooder's certificate; a plain one where that is none."""
    sock = _connected(order, number)
    if not order.cert:
        return sock
    return _context(order).wrap_socket(sock, server_hostname=order.name)


def _context(order: Order) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=order.ca)
    context.load_cert_chain(order.cert, order.key)
    return context


def _abrupt(order: Order) -> Iterator[int]:
    """Connects, says some of a ClientHello, or shakes hands and says some of a request, and resets it."""
    number = 0
    while True:
        number += 1
        try:
            sock = _secured(order, number) if number % 4 == 0 else _connected(order, number)
            sock.send((_HELLO if number % 4 else _SIP)[: number % 97])
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()
        except OSError:
            time.sleep(0.001)
        yield 1


def _key_updates(order: Order) -> Iterator[int]:
    """Asks for new keys again and again, as often as a connection bears it, and comes again."""
    from tests.edge.forge import Forger  # which brings gevent, and only this one needs it

    number = 0
    context = _context(order) if order.cert else None
    if context is not None:
        context.check_hostname = False  # the forger asks for a name of its own
    with TemporaryDirectory(prefix="bench-") as directory:
        while True:
            number += 1
            try:
                sock = _connected(order, number)
                if context is not None:
                    forger = Forger(sock, context, Path(directory))
                    sock.sendall(b"".join([forger.key_update(True) for _ in range(_UPDATES)]))
                else:
                    sock.sendall(bytes(31 * _UPDATES))
                sock.close()
            except (OSError, AssertionError):
                time.sleep(0.001)
            yield _UPDATES


ATTACKS: Final[dict[str, Callable[[Order], Iterator[int]]]] = {
    "half-open": lambda order: _half_open(order, b""),
    "ClientHello, silence": lambda order: _half_open(order, _HELLO),
    "TLS by octets": lambda order: _octet_by_octet(order, _connected, _HELLO),
    "SIP by octets": lambda order: _octet_by_octet(order, _secured, _SIP),
    "key updates": _key_updates,
    "resets": _abrupt,
}


def attack(order: Order) -> None:
    """Go on until somebody ends the process, and say each half second how much was tried so far."""
    began = said = time.monotonic()
    tried = 0
    for count in ATTACKS[order.kind](order):
        tried += count
        now = time.monotonic()
        if now - said >= 0.5:
            said = now
            print(tried, flush=True)
        if order.rate and (ahead := tried / order.rate - (now - began)) > 0:
            time.sleep(ahead)
