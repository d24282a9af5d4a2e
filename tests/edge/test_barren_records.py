"""TLS records that bring no data: a few in a row are normal, more end the connection, and hold nobody up."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest
from gevent import socket

from sbc.net.tls.session import BARREN
from sbc.net.transport.connection import READ_SIZE
from tests.edge.forge import ALERT, CHANGE_CIPHER, DATA, HANDSHAKE, Forger
from tests.edge.rounds import rounds
from tests.edge.tls_lab import OK, OPTIONS, Lab, client_context, server_context
from tests.peers.waiting import until

# A TLS 1.2 ClientHello with one cipher suite (RFC 5246 7.4.1.2).
HELLO = b"\x01\x00\x00\x29\x03\x03" + bytes(32) + b"\x00\x00\x02\xc0\x2f\x01\x00"
# A NewSessionTicket (RFC 8446 4.6.1): lifetime, age_add, nonce, ticket, extensions.
TICKET = b"\x04\x00\x00\x0f" + b"\x00\x00\x0e\x10" + bytes(4) + b"\x01\x01" + b"\x00\x01\x07" + b"\x00\x00"
ANSWER = b"SIP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def admitted(lab: Lab, version: str = "1.3") -> Iterator[Forger]:
    """A forger that called in and was admitted."""
    context = client_context(lab, lab.ca.issue(dns=["peer.example"]), version)
    if version == "1.2":
        context.set_ciphers("ECDHE+AESGCM")
    with socket.create_connection(lab.address()) as sock:
        sock.settimeout(30)
        forger = Forger(sock, context, lab.directory)
        sock.sendall(forger.record(DATA, OPTIONS))
        assert forger.read() == OK
        yield forger


@pytest.fixture
def lab(lab: Lab) -> Lab:
    lab.trunk("a", {})
    lab.start()
    return lab


Make = Callable[[Forger], bytes]
OURS, OPENSSLS = "records in a row without data", "TLS failed: "
# What is sent again and again, over which version, and how it ends: several OpenSSL itself puts an end to.
KINDS: dict[str, tuple[str, Make, str]] = {
    "key updates": ("1.3", lambda peer: peer.key_update(), OURS),
    "key updates to be answered": ("1.3", lambda peer: peer.key_update(True), OURS),
    "empty data": ("1.3", lambda peer: peer.record(DATA, b""), OPENSSLS),
    "empty data, 1.2": ("1.2", lambda peer: peer.record(DATA, b""), OPENSSLS),
    "user_canceled": ("1.3", lambda peer: peer.record(ALERT, b"\x01\x5a"), OPENSSLS),
    "user_canceled, 1.2": ("1.2", lambda peer: peer.record(ALERT, b"\x01\x5a"), OPENSSLS),
    "change_cipher_spec": ("1.3", lambda peer: b"\x14\x03\x03\x00\x01\x01", OPENSSLS),
    "change_cipher_spec, 1.2": ("1.2", lambda peer: peer.record(CHANGE_CIPHER, b"\x01"), OPENSSLS),
    "empty handshake": ("1.2", lambda peer: peer.record(HANDSHAKE, b""), OPENSSLS),
    "another ClientHello": ("1.2", lambda peer: peer.record(HANDSHAKE, HELLO), OURS),
}


@pytest.mark.parametrize("kind", KINDS)
def test_records_without_data_end_a_connection(lab: Lab, kind: str) -> None:
    version, make, ending = KINDS[kind]
    with admitted(lab, version) as peer:
        peer.sock.sendall(b"".join(make(peer) for _ in range(200)))
        until(lambda: lab.recorder.closed, "it is closed")
        assert ending in lab.recorder.closed[0][1]
        assert not lab.recorder.messages[1:]


def test_a_second_handshake_is_refused_and_the_first_holds(lab: Lab) -> None:
    """RFC 5746 aside, a client that asks for one could have itself verified as somebody else."""
    with admitted(lab, "1.2") as peer:
        peer.sock.sendall(peer.record(HANDSHAKE, HELLO) + peer.record(DATA, OPTIONS))
        with pytest.raises(ssl.SSLError, match="NO_RENEGOTIATION"):
            peer.read()
        until(lambda: len(lab.recorder.messages) == 2)
        assert not lab.recorder.closed and len(lab.recorder.handshakes) == 1


def test_each_in_a_segment_of_its_own_counts_too(lab: Lab) -> None:
    with admitted(lab) as peer:
        for _ in range(BARREN):
            peer.sock.sendall(peer.key_update())
            gevent.sleep(0.001)
        peer.sock.sendall(peer.record(DATA, OPTIONS))
        until(lambda: len(lab.recorder.messages) == 2)
        assert not lab.recorder.closed
        for _ in range(BARREN + 1):
            peer.sock.sendall(peer.key_update())
            gevent.sleep(0.001)
        until(lambda: lab.recorder.closed)
        assert OURS in lab.recorder.closed[0][1]


def test_between_data_they_are_normal(lab: Lab) -> None:
    with admitted(lab) as peer:
        for _ in range(20):
            peer.sock.sendall(peer.key_update() + peer.key_update(True) + peer.record(DATA, OPTIONS))
            assert peer.read() == OK
        assert not lab.recorder.closed


@pytest.mark.parametrize("piece", [1, 4, 5, 6, 100])
def test_records_split_anywhere_are_counted_once(lab: Lab, piece: int) -> None:
    with admitted(lab) as peer:
        sent = b"".join(peer.key_update() for _ in range(BARREN)) + peer.record(DATA, OPTIONS)
        for at in range(0, len(sent), piece):
            peer.sock.sendall(sent[at : at + piece])
            gevent.sleep(0)
        assert peer.read() == OK
        assert not lab.recorder.closed


@pytest.mark.parametrize("compatible", [True, False])
@pytest.mark.parametrize("messages", [1, 2, 10])
def test_what_comes_together_with_the_end_of_the_handshake_is_read(
    lab: Lab, messages: int, compatible: bool
) -> None:
    """RFC 8446 2: a client may send as soon as its Finished is written, in the same segment (D.4: or not)."""
    context = client_context(lab, lab.ca.issue(dns=["peer.example"]), "1.3")
    if not compatible:  # without a ChangeCipherSpec
        context.options &= ~ssl.OP_ENABLE_MIDDLEBOX_COMPAT
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    peer = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection(lab.address()) as sock:
        sock.settimeout(30)
        with pytest.raises(ssl.SSLWantReadError):
            peer.do_handshake()
        while True:
            sock.sendall(outgoing.read())
            incoming.write(sock.recv(65536))
            try:
                peer.do_handshake()
            except ssl.SSLWantReadError:
                continue
            break
        for _ in range(messages):
            peer.write(OPTIONS)
        sock.sendall(outgoing.read())  # Certificate, CertificateVerify, Finished and those
        until(lambda: len(lab.recorder.messages) == messages, "they are read")
        assert not lab.recorder.closed


@pytest.mark.parametrize("kind", ["key updates", "tickets"])
def test_a_dialled_peer_is_held_to_it_too(lab: Lab, tmp_path: Path, kind: str) -> None:
    context = server_context(lab, lab.ca.issue(dns=["localhost"]), "1.3")
    context.num_tickets = 0
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen()
    trunk = lab.trunk("a", {}, peers=(f"localhost:{listening.getsockname()[1]}",))
    dialled = gevent.spawn(lab.dialer.connect, trunk, lab.reload())
    sock, _ = listening.accept()
    with sock, listening:
        peer = Forger(sock, context, tmp_path, server=True)
        flow = dialled.get()
        sock.sendall(peer.record(DATA, ANSWER))
        for _ in range(200):
            sock.sendall(peer.key_update() if kind == "key updates" else peer.record(HANDSHAKE, TICKET))
        until(lambda: lab.recorder.closed)
        assert OURS in lab.recorder.closed[0][1]
        assert not flow.alive and lab.recorder.messages


@pytest.mark.slow
def test_who_mixes_them_with_data_takes_its_turn_and_no_more(lab: Lab) -> None:
    """As many as are allowed before each message: whoever else is there goes on after each read."""
    with admitted(lab) as peer:
        parts = [
            b"".join(peer.key_update() for _ in range(BARREN)) + peer.record(DATA, OPTIONS)
            for _ in range(600)
        ]
        with rounds(lambda: len(lab.recorder.messages)) as looked:
            gevent.spawn(peer.sock.sendall, b"".join(parts))
            until(lambda: len(lab.recorder.messages) == len(parts) + 1)
        assert looked.most <= READ_SIZE // min(map(len, parts)) + 2
        assert not lab.recorder.closed
