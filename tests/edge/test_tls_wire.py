"""The first seconds of a TLS connection: split and large hellos, strangers, loris and floods."""

from __future__ import annotations

import contextlib
import errno
import ssl as stdlib_ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket

from tests.edge.tls_lab import OPTIONS, Lab, client_context, try_options
from tests.peers.waiting import until, until_equal


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    made = Lab(tmp_path)
    made.recorder.answer = b"SIP/2.0 200 OK\r\n\r\n"
    yield made
    made.close()


def start(lab: Lab, *, tenants: bool = True, **options: Any) -> None:
    """With tenants the SNI is peeked at; without any it makes no difference and is not."""
    lab.listener("tls", **options)
    if tenants:
        lab.tenant("acme", "sip.acme.example")
    lab.trunk("acme", {}, tenant="acme" if tenants else None)
    lab.start()


def hello(lab: Lab, large: bool) -> tuple[Any, Any, Any]:
    """A client on memory buffers whose ClientHello is about 300 bytes, or over 8 KB with ``large``."""
    context = client_context(lab, lab.ca.issue(dns=["peer.example"]))
    if large:
        context.set_alpn_protocols([f"{index:03d}" + "x" * 250 for index in range(33)])
    incoming, outgoing = stdlib_ssl.MemoryBIO(), stdlib_ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="sip.acme.example")
    with pytest.raises(stdlib_ssl.SSLWantReadError):
        client.do_handshake()
    return client, incoming, outgoing


def send_in_pieces(sock: Any, data: bytes, piece: int) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(0, len(data), piece):
        sock.sendall(data[at : at + piece])
        if at % 500 == 0:
            gevent.sleep(0)


def finish(client: Any, incoming: Any, sock: Any) -> None:
    while True:
        try:
            client.do_handshake()
            return
        except stdlib_ssl.SSLWantReadError:
            incoming.write(sock.recv(65536))


@pytest.mark.parametrize("tenants", [True, False])
@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("piece", [1, 7, 1000, 100_000])
def test_a_client_hello_split_in_any_way(lab: Lab, tenants: bool, large: bool, piece: int) -> None:
    start(lab, tenants=tenants)
    client, incoming, outgoing = hello(lab, large)
    first = outgoing.read()
    assert (len(first) > 8192) is large
    with socket.create_connection(lab.address()) as sock:
        send_in_pieces(sock, first, piece)
        finish(client, incoming, sock)
        client.write(OPTIONS)
        sock.sendall(outgoing.read())
        until(lambda: lab.recorder.messages)
    flow = lab.recorder.opened[0]
    assert flow.tls is not None and flow.tls.sni == "sip.acme.example"
    assert not lab.recorder.failures


@pytest.mark.parametrize("piece", [1, 3, 400, 100_000])
def test_records_and_the_close_notify_split_in_any_way(lab: Lab, piece: int) -> None:
    start(lab)
    client, incoming, outgoing = hello(lab, False)
    with socket.create_connection(lab.address()) as sock:
        sock.sendall(outgoing.read())
        finish(client, incoming, sock)
        for _ in range(5):
            client.write(OPTIONS)
        with pytest.raises(stdlib_ssl.SSLWantReadError):
            client.unwrap()
        send_in_pieces(sock, outgoing.read(), piece)
        until(lambda: lab.recorder.closed)
    assert len(lab.recorder.messages) == 5
    assert lab.recorder.closed[0][1] == "closed by the peer"


@pytest.mark.parametrize("tenants", [True, False])
@pytest.mark.parametrize("data", [OPTIONS, b"\r\n\r\n", b"GET / HTTP/1.0\r\n\r\n", b"\x80\x2e\x01\x00\x02"])
def test_plain_bytes_on_the_tls_port(lab: Lab, tenants: bool, data: bytes) -> None:
    start(lab, tenants=tenants)
    with socket.create_connection(lab.address()) as sock:
        sock.sendall(data)
        assert sock.recv(100) == b""
    until(lambda: lab.recorder.failures)
    assert lab.recorder.failures[0].failure.kind == "not-tls"
    assert lab.recorder.heard_nothing


@pytest.mark.parametrize("tenants", [True, False])
def test_a_record_of_rubbish_is_a_bad_handshake(lab: Lab, tenants: bool) -> None:
    start(lab, tenants=tenants)
    with socket.create_connection(lab.address()) as sock:
        sock.sendall(b"\x16\x03\x01\x00\x04\x01\x00\x00\x00" + b"\xff" * 100)
        while sock.recv(100):
            pass
    until(lambda: lab.recorder.failures)
    event = lab.recorder.failures[0]
    assert event.failure.kind == "bad-handshake"
    assert event.alert_sent is not None
    assert lab.recorder.heard_nothing


@pytest.mark.parametrize("tenants", [True, False])
def test_an_old_version_is_named(lab: Lab, tenants: bool) -> None:
    start(lab, tenants=tenants)
    context = client_context(lab, None)
    with pytest.warns(DeprecationWarning):
        context.minimum_version = stdlib_ssl.TLSVersion.TLSv1
        context.maximum_version = stdlib_ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    assert try_options(lab.address(), context, "sip.acme.example") is not None
    until(lambda: lab.recorder.failures)
    event = lab.recorder.failures[0]
    assert (event.failure.kind, event.alert_sent) == ("no-shared-version", 70)
    assert event.failure.detail == "the peer offers TLS 1.1 at most, acme demands TLS 1.2 or 1.3"
    assert event.failure.remedy == "enable TLS 1.2 or 1.3 at the peer"
    for version in ("1.2", "1.3"):
        mended = client_context(lab, lab.ca.issue(dns=["peer.example"]), version)
        assert try_options(lab.address(), mended, "sip.acme.example") is None


def test_no_common_cipher_is_named(lab: Lab) -> None:
    start(lab)
    context = client_context(lab, None, "1.2")
    context.set_ciphers("AES128-SHA")
    assert try_options(lab.address(), context, "sip.acme.example") is not None
    until(lambda: lab.recorder.failures)
    assert lab.recorder.failures[0].failure.kind == "no-shared-cipher"


@pytest.mark.parametrize("tenants", [True, False])
def test_a_slow_loris_holds_its_slot_for_the_limit_only(lab: Lab, tenants: bool) -> None:
    start(lab, tenants=tenants, handshake_timeout=0.3)
    _, _, outgoing = hello(lab, False)
    first = outgoing.read()
    with socket.create_connection(lab.address()) as sock:
        sent = 0
        while sent < len(first) and not lab.recorder.failures:
            with contextlib.suppress(OSError):
                sock.sendall(first[sent : sent + 1])
            sent += 1
            gevent.sleep(0.02)
    assert 1 < sent < len(first), "ended neither at once nor only when there was nothing more to come"
    assert lab.recorder.failures[0].failure.kind == "timeout"
    until_equal(lambda: lab.listeners.tally.of("tls", "inbound").in_flight, 0)


def test_a_connection_that_says_nothing_times_out(lab: Lab) -> None:
    start(lab, handshake_timeout=0.1)
    with socket.create_connection(lab.address()) as sock:
        assert sock.recv(1) == b""
    until(lambda: lab.recorder.failures)
    assert lab.recorder.failures[0].failure.kind == "timeout"


def test_over_the_cap_of_handshakes_a_connection_is_reset(lab: Lab) -> None:
    start(lab, handshakes_in_flight=2)
    held = [socket.create_connection(lab.address()) for _ in range(2)]
    until_equal(lambda: lab.listeners.tally.of("tls", "inbound").in_flight, 2)
    for _ in range(5):
        with pytest.raises(OSError) as reset, socket.create_connection(lab.address()) as sock:
            sock.sendall(b"\x16\x03\x01")
            sock.recv(1)
        assert reset.value.errno in (errno.ECONNRESET, errno.EPIPE)
    assert len(lab.recorder.refused) == 1, "the warning is throttled"
    assert "2 handshakes are in flight" in lab.recorder.refused[0][2]
    held.pop().close()
    until(lambda: lab.recorder.failures)
    peer = client_context(lab, lab.ca.issue(dns=["peer.example"]))
    assert try_options(lab.address(), peer, "sip.acme.example") is None
    held.pop().close()


def test_a_scanner_that_hangs_up_is_one_event(lab: Lab) -> None:
    start(lab)
    socket.create_connection(lab.address()).close()
    until(lambda: lab.recorder.failures)
    assert lab.recorder.failures[0].failure.kind == "reset-by-peer"


def test_established_connections_do_not_count_as_handshakes(lab: Lab) -> None:
    start(lab, handshakes_in_flight=1)
    context = client_context(lab, lab.ca.issue(dns=["peer.example"]))
    kept = []
    for count in range(1, 4):
        sock = socket.create_connection(lab.address())
        kept.append(context.wrap_socket(sock, server_hostname="sip.acme.example"))
        until(lambda count=count: len(lab.recorder.opened) == count)  # type: ignore[misc]
    assert all(flow.alive for flow in lab.recorder.opened)
    for each in kept:
        each.close()


def test_many_messages_both_ways_over_one_connection(lab: Lab) -> None:
    start(lab)
    lab.recorder.answer = b"x" * 3000
    context = client_context(lab, lab.ca.issue(dns=["peer.example"]))
    with (
        socket.create_connection(lab.address()) as sock,
        context.wrap_socket(sock, server_hostname="sip.acme.example") as up,
    ):
        writer = gevent.spawn(up.sendall, OPTIONS * 200)
        total = 0
        while total < 200 * 3000:
            total += len(up.recv(65536))
        writer.join()
    assert len(lab.recorder.messages) == 200
