"""What strangers do at listeners that are open to all is bounded, told in few lines, and over when they go.

Over every transport at once, with default caps. How long the trusted wait meanwhile is measured by
``python -m bench floods``; here it is that none of them is refused.
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

from bench.flooder import KEEPALIVES, KINDS
from tests.edge.open_ports import Open, open_to_all
from tests.edge.test_phones import REALM, Caller
from tests.peers.asking import ask
from tests.peers.waiting import until

pytestmark = pytest.mark.slow

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


def address(sbc: Open, kind: str) -> tuple[str, int]:
    return ("127.0.0.1", {"tcp": sbc.tcp, "tls": sbc.tls, "udp": sbc.udp}[kind])


def opened(sbc: Open, kind: str, source: str, stack: ExitStack) -> Any:
    """A connection of ``source`` that is closed at the end; None where it was refused."""
    sock = socket.socket()
    stack.callback(sock.close)
    sock.bind((source, 0))
    sock.settimeout(20)
    with suppress(OSError):
        sock.connect(address(sbc, kind))
        return sock
    return None


def abrupt(sock: Any) -> None:
    """Close with a reset, whatever was sent."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


def test_two_thousand_half_open_connections(sbc: Open) -> None:
    """Of forty addresses: some say nothing, some a part of a ClientHello, some of a request."""
    with ExitStack() as stack:
        for number in range(2000):
            kind = "tcp" if number % 4 == 3 else "tls"
            sock = opened(sbc, kind, f"127.0.{1 + number % 40}.1", stack)
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
        slow = [opened(sbc, kind, "127.0.9.1", stack) for kind in ("tcp", "tls") for _ in range(10)]
        for at in range(12):
            for number, sock in enumerate(slow):
                with suppress(OSError):
                    sock.send((said if number < 10 else HELLO)[at : at + 1])
            gevent.sleep(0.02)
        sbc.trusted_call()
        for cut in range(0, len(said) + 1, 7):
            sock = opened(sbc, "tcp", "127.0.9.2", stack)
            if sock is not None:
                with suppress(OSError):
                    sock.send(said[:cut])
                abrupt(sock)
        for cut in range(0, len(HELLO), 9):
            sock = opened(sbc, "tls", "127.0.9.3", stack)
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


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_floods_of_every_method_leave_the_trusted_alone_and_are_few_lines(sbc: Open, kind: str) -> None:
    """Each as fast as this process sends it; over UDP nobody is sent more than it sends."""
    sent = 0
    with ExitStack() as stack:
        for word, template in KINDS.items():
            if word == KEEPALIVES:
                continue
            sock = _speaker(sbc, kind, stack)
            for number in range(500):
                data = template.replace(b"@@", b"%d" % number).replace(
                    b"SIP/2.0/TLS", f"SIP/2.0/{kind}".encode()
                )
                sent += len(data)
                try:
                    sock.send(data)
                except OSError:  # thrown out, for what it says
                    sock = _speaker(sbc, kind, stack)
                if number % 100 == 99:
                    gevent.sleep(0)
            sbc.trusted_call()
    sbc.forgets()
    status = sbc.status()
    counts = {each["cap"]: each["refused"] for each in status["caps"]}
    assert counts["caps.challenges_per_source"] > 500
    assert not [each for each in status["caps"] if each["trunk"] in ("office", "carrier")]
    assert not status["load"]["overloaded_since"]
    about = [line for line in sbc.log() if " WRN " in line or " ERR " in line]
    assert len(about) < 60, "of five thousand messages\n" + "\n".join(about[:80])


DENIED = "rules:\n  - deny: {address: 127.0.8.1}\n    force: true\n"


def test_a_rule_that_is_written_while_it_floods_ends_a_flood(tmp_path: Path) -> None:
    """A file that is broken meanwhile changes nothing, and who was denied is heard again by another rule."""
    rules = tmp_path / "acl.d" / "10.yaml"
    rules.parent.mkdir()
    rules.write_text("rules:\n  - deny: {address: 198.51.100.1}\n")
    with open_to_all(tmp_path, "acl: acl.d\n") as sbc, ExitStack() as stack:
        datagrams, stream = _speaker(sbc, "udp", stack), _speaker(sbc, "tcp", stack)
        flood = gevent.spawn(_says_without_end, datagrams, stream)
        until(lambda: _answered(datagrams), "the flood is answered")
        rules.write_text(DENIED)
        _reload(sbc)  # unless it was noticed already
        until(lambda: _is_over(stream), "its connection is closed")
        _forget(datagrams)
        assert Caller("alice", sbc.alice("udp"), "UDP").says().status == 401
        rules.write_text(DENIED.replace("127.0.8.1", "127.0.8.1.9"))
        assert not _reload(sbc)["changed"]
        sbc.trusted_call()
        assert not _answered(datagrams), "nothing of it was answered any more"
        rules.write_text("rules:\n  - deny: {address: 198.51.100.2}\n")
        _reload(sbc)  # unless it was noticed already
        until(lambda: _answered(datagrams), "it is heard again")
        flood.kill()
        sbc.forgets()


OPTIONS = KINDS["OPTIONS"].replace(b"SIP/2.0/TLS flooder.lab.example:5061;", b"SIP/2.0/UDP 127.0.8.1;rport;")


def _says_without_end(*socks: Any) -> None:
    number = 0
    while True:
        for sock in socks:
            number += 1
            with suppress(OSError):
                sock.send(OPTIONS.replace(b"@@", b"%d" % number))
        gevent.sleep(0.002)


def _answered(sock: Any) -> bool:
    sock.settimeout(0)
    with suppress(OSError):
        return bool(sock.recv(65535))
    return False


def _forget(sock: Any) -> None:
    """What was answered before this is of no interest."""
    while _answered(sock):
        pass


def _is_over(sock: Any) -> bool:
    sock.settimeout(0)
    try:
        return not sock.recv(65535)
    except BlockingIOError:
        return False
    except OSError:
        return True


def _reload(sbc: Open) -> Any:
    return ask(sbc.directory / "run" / "sbc.sock", "reload")


def _speaker(sbc: Open, kind: str, stack: ExitStack) -> Any:
    if kind == "tcp":
        sock = opened(sbc, "tcp", "127.0.8.1", stack)
        assert sock is not None
        return sock
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stack.callback(sock.close)
    sock.bind(("127.0.8.1", 0))
    sock.connect(address(sbc, "udp"))
    return sock


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
