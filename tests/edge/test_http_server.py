"""The HTTP of the admin pages: one request a connection, no bodies, for seconds, and for names of ours."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gevent import socket

from sbc.base import Address
from sbc.net.system import http_server
from sbc.net.system.http_server import CONNECTIONS, HEAD, HttpServer
from sbc.net.system.turn import DISCARDED
from tests.edge.rotation_lab import running
from tests.edge.rounds import flood
from tests.peers.waiting import until

BUFFERS = 24 << 20  # octets that two kernels' sockets may hold
WITHOUT_END = 1 << 30
Start = Callable[..., Callable[[bytes], object]]


class Pages:
    """An application that remembers what it was asked, and answers with ``body``."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.read = b""
        self.body = b"a page"

    def __call__(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        self.read += environ["wsgi.input"].read()
        start("200 OK", [("Content-Length", str(len(self.body)))])
        return [self.body]


@pytest.fixture
def pages() -> Pages:
    return Pages()


@pytest.fixture
def server(pages: Pages) -> Iterator[HttpServer]:
    made = HttpServer(Address("127.0.0.1", 0), pages, ("localhost", "127.0.0.1", "SBC.example.com"))
    made.start()
    yield made
    made.stop()


def exchange(address: tuple[str, int], request: bytes) -> bytes:
    """Everything that is answered to ``request``."""
    with socket.create_connection(address, 30) as sock:
        sock.sendall(request)
        answer = b""
        try:
            while data := sock.recv(65536):
                answer += data
        except ConnectionResetError:
            pass
        return answer


def get(host: str = "localhost", more: str = "", version: str = "1.1") -> bytes:
    named = f"Host: {host}\r\n" if host else ""
    return f"GET /a/b?c HTTP/{version}\r\n{named}{more}\r\n".encode()


def test_a_page_is_answered_and_the_connection_closed(server: HttpServer, pages: Pages) -> None:
    head, _, body = exchange(server.address, get()).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n") and b"\r\nConnection: close" in head
    assert body == b"a page"
    assert pages.asked == [("GET", "/a/b")]


def test_of_many_requests_one_is_answered(server: HttpServer, pages: Pages) -> None:
    assert exchange(server.address, get() * 1000).count(b"HTTP/1.1 200 OK") == 1
    assert len(pages.asked) == 1


@pytest.mark.parametrize("more", ["Content-Length: 7\r\n", "Transfer-Encoding: chunked\r\n"])
def test_no_body_is_read(server: HttpServer, pages: Pages, tmp_path: Path, more: str) -> None:
    body = b"1\r\nx\r\n" * 100_000
    with flood(tmp_path, server.address, get(more=more), body, WITHOUT_END) as attacker:
        until(lambda: pages.asked)
        assert exchange(server.address, get()).endswith(b"a page")
        assert attacker.sent() < DISCARDED + BUFFERS
    assert pages.read == b""


def test_a_head_that_does_not_end_is_given_up(server: HttpServer, pages: Pages, tmp_path: Path) -> None:
    line = b"X-Filler: " + b"x" * 100 + b"\r\n"
    with flood(tmp_path, server.address, b"GET / HTTP/1.1\r\n", line * 1000, WITHOUT_END) as attacker:
        assert exchange(server.address, get()).endswith(b"a page")
        assert attacker.sent() < DISCARDED + BUFFERS
    assert len(pages.asked) == 1
    long = b"GET / HTTP/1.1\r\n" + line * (HEAD // len(line) + 50)
    assert exchange(server.address, long).startswith(b"HTTP/1.1 431 ")


@pytest.mark.slow
def test_half_requests_hold_a_few_descriptors_for_seconds(
    server: HttpServer, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "LIFE", 1.0)
    before = descriptors()
    held = [socket.create_connection(server.address, 30) for _ in range(200)]
    for each in held:
        each.sendall(b"GET / HTTP/1.1\r\n")
    until(lambda: descriptors() - before - len(held) == CONNECTIONS, "so many are accepted")
    assert exchange(server.address, get()).endswith(b"a page"), "when they have been there long enough"
    for each in held:
        each.close()
    until(lambda: descriptors() <= before)


def descriptors() -> int:
    gc.collect()  # what earlier tests have left is closed now or was before
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.slow
def test_who_does_not_read_the_answer_is_gone_in_time(
    server: HttpServer, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server, "LIFE", 1.0)
    pages.body = bytes(BUFFERS)
    before = descriptors()
    with socket.create_connection(server.address, 30) as sock:
        sock.sendall(get())
        until(lambda: pages.asked)
        until(lambda: descriptors() == before + 1, "only our end is left")
        pages.body = b"a page"
        assert exchange(server.address, get()).endswith(b"a page")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:9", "localhost.", "127.0.0.1", "127.0.0.1:8080", "sbc.example.com"]
)
def test_our_own_names_are_answered(server: HttpServer, host: str) -> None:
    assert exchange(server.address, get(host)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "host",
    ["evil.example", "localhost.evil.example", "192.0.2.1", "[::1]", "sbc.example.com.evil.example:80"],
)
def test_a_name_that_a_strangers_page_lets_lead_here_is_refused(
    server: HttpServer, pages: Pages, host: str
) -> None:
    answer = exchange(server.address, get(host))
    assert answer.startswith(b"HTTP/1.1 421 ") or answer.startswith(b"HTTP/1.0 421 ")
    assert pages.asked == []
    if host == "evil.example":
        assert b"list it in sbc.yaml: admin: {hosts: [evil.example]}" in answer


@pytest.mark.parametrize(
    "request_",
    [
        get(""),
        get("localhost", "Host: evil.example\r\n"),
        get("local host"),
        get("a<script>"),
        get("a" * 300),
    ],
)
def test_a_host_that_is_none_is_refused(server: HttpServer, pages: Pages, request_: bytes) -> None:
    assert b" 400 " in exchange(server.address, request_).partition(b"\r\n")[0]
    assert pages.asked == []


def test_a_health_check_of_old_needs_no_host(server: HttpServer) -> None:
    """HTTP/1.0 without Host is what HAProxy sends; no browser does."""
    assert b" 200 OK" in exchange(server.address, get("", version="1.0"))


@pytest.mark.parametrize(
    "rubbish", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
def test_rubbish_is_refused(server: HttpServer, pages: Pages, rubbish: bytes) -> None:
    assert b" 200 " not in exchange(server.address, rubbish + b"\r\n\r\n")
    assert pages.asked == []
    assert exchange(server.address, get()).endswith(b"a page")


@pytest.mark.slow
def test_the_pages_of_a_running_sbc(tmp_path: Path) -> None:
    with running(tmp_path) as lab:
        answer = exchange(lab._admin, get("localhost").replace(b"/a/b?c", b"/sip-tls/health"))
        assert answer.startswith(b"HTTP/1.1 200 ") and b'"status"' in answer
        assert b" 421 " in exchange(lab._admin, get("evil.example"))
        assert b"HTTP/1.1 404 " in exchange(lab._admin, get())
        posted = (
            get()
            .replace(b"GET /a/b?c", b"POST /")
            .replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello")
        )
        assert exchange(lab._admin, posted).startswith(b"HTTP/1.1 405 ")
