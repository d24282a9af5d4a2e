"""What strangers do at listeners that are open to all is bounded, told in few lines, and over when they go.

Connections that say little or nothing, over every transport at once, with default caps; floods of messages
are in ``test_strangers_flood``. How long the trusted wait meanwhile is for ``python -m bench floods``;
here it is that none of them is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from tests.edge.open_ports import Open, open_to_all
from tests.edge.test_phones import REALM, Caller
from tests.peers.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.waits]

HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(
    200
)  # the head of a ClientHello and a part of it
REQUEST = (
    f"INVITE sip:100@{REALM} SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1;branch=z9hG4bK1\r\nFrom: <sip:x@".encode()
)


@pytest.fixture
def sbc(tmp_path: Path) -> Iterator[Open]:
    with open_to_all(tmp_path, patience=5) as made:
        yield made


def abrupt(sock: Any) -> None:
    """Close with a reset, whatever was sent."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_two_thousand_half_open_connections(sbc: Open) -> None:
    """Of forty addresses: some say nothing, some a part of a ClientHello, some of a request."""
    with ExitStack() as stack:
        for number in range(2000):
            kind = "tcp" if number % 4 == 3 else "tls"
            sock = sbc.opened(kind, f"127.0.{1 + number % 40}.1", stack)
            if sock is not None:
                with suppress(OSError):
                    sock.send((b"", HELLO, HELLO[:1], REQUEST)[number % 4])
        held = sbc.held()
        assert held["handshakes"] <= 200 and held["connections"] <= 500
        sbc.trusted_call()
        assert Caller("alice", sbc.alice("udp"), "UDP").says().status == 401
    sbc.forgets()
    lines = [line for line in sbc.log() if "[refused]" in line or "[tls-refused]" in line]
    assert 0 < len(lines) < 500, "two thousand attempts"
    sbc.trusted_call()


def test_octet_by_octet_and_gone_in_every_state(sbc: Open) -> None:
    """Whoever speaks so slowly holds a place and nobody up; who resets his connection leaves nothing."""
    register = Caller("bob", _Nowhere(), "TCP")  # type: ignore[arg-type]
    said = _said(register)
    with ExitStack() as stack:
        slow = [sbc.opened(kind, "127.0.9.1", stack) for kind in ("tcp", "tls") for _ in range(10)]
        for at in range(12):
            for number, sock in enumerate(slow):
                with suppress(OSError):
                    sock.send((said if number < 10 else HELLO)[at : at + 1])
            gevent.sleep(0.02)
        sbc.trusted_call()
        for cut in range(0, len(said) + 1, 7):
            sock = sbc.opened("tcp", "127.0.9.2", stack)
            if sock is not None:
                with suppress(OSError):
                    sock.send(said[:cut])
                abrupt(sock)
        for cut in range(0, len(HELLO), 9):
            sock = sbc.opened("tls", "127.0.9.3", stack)
            if sock is not None:
                with suppress(OSError):
                    sock.send(HELLO[:cut])
                abrupt(sock)
        for number in range(20):
            wire = sbc.wire("tls")
            wire.send(said[: number * len(said) // 20])
            abrupt(wire.stream._sock)  # type: ignore[union-attr]
            wire.close()
    sbc.forgets()
    sbc.trusted_call()


class _Nowhere:
    """A wire that keeps what is sent."""

    def __init__(self) -> None:
        self.sent = b""
        self.heard: list[object] = []

    def send(self, data: bytes) -> None:
        self.sent += data


def _said(caller: Caller) -> bytes:
    """A REGISTER, as octets."""
    caller.sends()
    wire: Any = caller.wire
    until(lambda: wire.sent)
    found: bytes = wire.sent
    return found
