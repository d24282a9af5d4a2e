"""Whoever always has more to say takes turns with everybody else, admitted or not.

What a flood gets done between two rounds of the loop is counted: in each of them every other socket
and every timer has its turn.
"""

from __future__ import annotations

import select
import ssl
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from sbc.net.system import fetch as fetching
from sbc.net.system.fetch import FetchFailed, Limits, fetch
from sbc.net.system.turn import DISCARDED
from sbc.net.tls.session import OneByOne
from sbc.net.transport.connection import BARREN, READ_SIZE
from sbc.tls.events import HandshakeFailed
from tests.edge.rounds import flood, rounds
from tests.edge.tls_lab import OK, OPTIONS, Lab, client_context, try_options
from tests.edge.web import web
from tests.peers.waiting import until, until_equal

BAD_HELLO = b"\x16\x03\x01\x00\x04\x01\x00\x00\x00" + b"\xff" * 100
CHANGE_CIPHER = b"\x14\x03\x03\x00\x01\x01"
BUFFERS = 24 << 20  # octets that two kernels' sockets may hold
WITHOUT_END = 1 << 30
RULED = OPTIONS.replace(b"Content-Length: 0", b"Content-Length: 40") + b"x" * 40


@pytest.fixture
def lab(lab: Lab) -> Lab:
    lab.listener("tcp", "tcp")
    lab.trunk("plain", listener="tcp", sources=("127.0.0.2",))
    lab.trunk("a", {})
    lab.start()
    return lab


def exchange(lab: Lab) -> None:
    """Somebody else shakes hands and has an OPTIONS answered."""
    peer = client_context(lab, lab.ca.issue(dns=["peer.example"]))
    assert try_options(lab.address(), peer) is None


@pytest.mark.parametrize("tenants", [True, False])
def test_octets_after_a_bad_hello_are_read_so_far_and_no_further(
    lab: Lab, tmp_path: Path, tenants: bool
) -> None:
    if tenants:
        lab.tenant("acme", "sip.acme.example")
        lab.trunk("b", {}, tenant="acme")
        lab.reload()
    with flood(tmp_path, lab.address(), BAD_HELLO, bytes(1 << 20), WITHOUT_END) as attacker:
        until(lambda: lab.recorder.failures)
        exchange(lab)
        assert attacker.sent() < DISCARDED + BUFFERS


def test_octets_that_are_no_tls_are_not_read_at_all_long(lab: Lab, tmp_path: Path) -> None:
    with flood(tmp_path, lab.address(), OPTIONS, bytes(1 << 20), WITHOUT_END) as attacker:
        until(lambda: lab.recorder.failures)
        exchange(lab)
        assert attacker.sent() < DISCARDED + BUFFERS


def test_a_handshake_that_never_gets_on_ends(lab: Lab, tmp_path: Path) -> None:
    """Records that a TLS 1.3 server must pass over (RFC 8446 5), after a ClientHello that is good."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(lab, None, "1.3").wrap_bio(incoming, outgoing, server_hostname="sbc.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    with flood(tmp_path, lab.address(), outgoing.read(), CHANGE_CIPHER * 10000, WITHOUT_END) as attacker:
        until(lambda: lab.recorder.failures)
        exchange(lab)
        assert attacker.sent() < DISCARDED + BUFFERS
    assert lab.recorder.failures[0].failure.kind == "bad-handshake"


def test_handshakes_that_begin_together_leave_the_others_a_turn_between_them(lab: Lab) -> None:
    lab.identity("sbc", lab.ca.issue(dns=["sbc.example"], key="rsa"))  # the dearest signature
    lab.reload()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context(lab, None, "1.3").wrap_bio(incoming, outgoing, server_hostname="sbc.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    hello = outgoing.read()
    clients = [socket.create_connection(lab.address()) for _ in range(20)]
    until_equal(lambda: lab.listeners.tally.of("tls", "inbound").in_flight, 20)

    def answered() -> int:
        return len(select.select(clients, [], [], 0)[0])

    with rounds(answered) as looked:
        gevent.sleep(0)
        for each in clients:
            each.send(hello)
        until_equal(answered, 20)
    assert looked.most <= 5
    for each in clients:
        each.close()


def test_handshakes_that_fail_together_are_told_in_turns(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that say nothing have their time limit in the same round."""
    told = lab.recorder.on_handshake_failed

    def tell(event: HandshakeFailed) -> None:
        sum(range(100_000))  # a millisecond and more, as a diagnosis may take
        told(event)

    monkeypatch.setattr(lab.recorder, "on_handshake_failed", tell)
    clients = [socket.create_connection(lab.address()) for _ in range(20)]
    until_equal(lambda: lab.listeners.tally.of("tls", "inbound").in_flight, 20)
    with rounds(lambda: len(lab.recorder.failures)) as looked:
        gevent.sleep(0)
        for each in clients:
            each.close()
        until_equal(lambda: len(lab.recorder.failures), 20)
    assert looked.most <= 2


def test_much_work_that_is_due_together_is_done_in_turns() -> None:
    one_by_one, done = OneByOne(), list[int]()

    def work(number: int) -> int:
        sum(range(400_000))  # milliseconds of it
        done.append(number)
        return number

    with rounds(lambda: len(done)) as looked:
        workers = [gevent.spawn(one_by_one.run, work, number) for number in range(20)]
        assert [each.get() for each in workers] == done == list(range(20))
    assert looked.most == 1


@pytest.mark.slow
@pytest.mark.parametrize("message", [OPTIONS, RULED], ids=["heads", "bodies"])
def test_messages_without_end_are_read_once_a_round(lab: Lab, tmp_path: Path, message: bytes) -> None:
    lab.recorder.answer = b""
    with rounds(lambda: len(lab.recorder.messages)) as looked:
        with flood(tmp_path, lab.address("tcp"), b"", message * 1000, WITHOUT_END, "127.0.0.2") as attacker:
            until(lambda: len(lab.recorder.messages) > 5000)
            lab.recorder.answer = OK
            exchange(lab)
            assert attacker.going_on
    assert looked.most <= READ_SIZE // len(message) + 2


def test_a_head_that_does_not_end_is_given_up(lab: Lab, tmp_path: Path) -> None:
    line = b"X-Filler: " + b"x" * 100 + b"\r\n"
    first = OPTIONS.removesuffix(b"\r\n")
    with flood(tmp_path, lab.address("tcp"), first, line * 1000, WITHOUT_END, "127.0.0.2") as attacker:
        until(lambda: lab.recorder.closed)
        exchange(lab)
        assert attacker.sent() < DISCARDED + BUFFERS
    assert "too long" in lab.recorder.closed[0][1]


def test_keepalives_without_end_are_given_up(lab: Lab, tmp_path: Path) -> None:
    pings = b"\r\n\r\n" * 10000
    with flood(tmp_path, lab.address("tcp"), b"", pings, WITHOUT_END, "127.0.0.2") as attacker:
        until(lambda: lab.recorder.closed)
        exchange(lab)
        assert attacker.sent() < DISCARDED + BUFFERS
    assert f"over {BARREN} keepalives" in lab.recorder.closed[0][1]


def test_what_is_fetched_is_read_once_a_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One octet a chunk, for as long as somebody reads: the time limit is the only end."""
    reads: list[None] = []

    class Counted(fetching._Fair):
        def recv_into(self, *arguments: Any) -> int:
            reads.append(None)
            return super().recv_into(*arguments)

    monkeypatch.setattr(fetching, "_Fair", Counted)

    def endless(sock: Any, _body: bytes) -> None:
        sock.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            sock.sendall(b"1\r\nx\r\n" * 100_000)

    with web() as pages, rounds(lambda: len(reads)) as looked:
        pages.pages["/list.crl"] = endless
        limits = Limits(timeout=0.5, allow_private=("127.0.0.0/8",))
        with pytest.raises(FetchFailed, match="no answer within"):
            fetch(pages.url("/list.crl"), limits)
    assert len(reads) > 10 and looked.most <= 1
